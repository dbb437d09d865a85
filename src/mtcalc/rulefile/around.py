# SPDX-License-Identifier: GPL-2.0-only
"""What a rule file says about the kernel around its rules: the walk, the host-MMIO test, flags, quirks, states."""

from __future__ import annotations

from collections.abc import Callable, Collection

from mtcalc.kvm.flags import QUIRKS, parse_quirk, parse_slot_flag
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.rulefile.nodes import condition, mapping, scalar, sequence, text_of, word
from mtcalc.rules.condition import ALWAYS, Condition, Or, inputs
from mtcalc.rules.inputs import HOST_PAGE_KINDS, KINDS, Scope
from mtcalc.rules.kernel import Kernel, Unreachable, with_read
from mtcalc.rules.mmio import MMIO_RULES
from mtcalc.rules.rule import Rule, RuleSet, mmio
from mtcalc.text.errors import InputError
from mtcalc.text.yaml import MapNode, Node, ScalarNode

AROUND_KEYS = ("mtrr_walk", "mmio_test", "split_when", "slot_flags", "quirks", "unreachable")
_MMIO_KEYS = ("id", "when", "mmio", "why", "source")

# What a condition around the rules can ask for: what is so for the whole VM, or for a page whatever its type.
_VM_WIDE = frozenset(
    kind.name for kind in KINDS.values() if kind.scope in (Scope.VM, Scope.VCPU, Scope.HOST) and not kind.typed
)
_TEST_KINDS = {**HOST_PAGE_KINDS, "assume": KINDS["assume"]}
_REACHABLE = frozenset(kind.name for kind in KINDS.values() if not kind.text and not kind.typed)


def around(top: MapNode, kernel: Kernel) -> Kernel:
    """The kernel with what the file says about the behaviour around its rules."""
    kernel = with_read(kernel)  # before what the file says itself, which wins
    keys = top.entries
    if "mtrr_walk" in keys:
        walks: dict[str, MtrrWalk] = {walk.value: walk for walk in MtrrWalk}
        kernel = kernel._replace(mtrr_walk=walks[word(keys["mtrr_walk"].value, "mtrr_walk", walks)])
    if "mmio_test" in keys:
        kernel = kernel._replace(mmio_test=_mmio_test(keys["mmio_test"].value), mmio_said=True)
    if "split_when" in keys:
        when = _condition_around(keys["split_when"].value, "split_when", _VM_WIDE)
        kernel = kernel._replace(split_when=None if when == Or(()) else when)
    if "slot_flags" in keys:
        kernel = kernel._replace(slot_flags=_bits(keys["slot_flags"].value, "slot_flags", parse_slot_flag))
    if "quirks" in keys:
        bits = _bits(keys["quirks"].value, "quirks", parse_quirk)
        kernel = kernel._replace(quirks=tuple(name for name, bit in QUIRKS.items() if bits & bit))
    if "unreachable" in keys:
        states = []
        for item in sequence(keys["unreachable"].value, "unreachable"):
            node = mapping(item, "an unreachable state", ("when", "why"))
            if "when" not in node.entries:
                raise InputError("an unreachable state without when (when: a condition)", node.place)
            when = _condition_around(node.entries["when"].value, "when", _REACHABLE)
            states.append(Unreachable(when, text_of(node, "why", "the rule file says so")))
        kernel = kernel._replace(unreachable=tuple(states))
    return kernel


def _mmio_test(node: Node) -> RuleSet:
    """One of KVM's versions by name, or a list of rules."""
    if isinstance(node, ScalarNode):
        tests: dict[str, RuleSet] = {test.value: rules for test, rules in MMIO_RULES.items()}
        return tests[word(node, "mmio_test", tests)]
    found: list[Rule] = []
    for item in sequence(node, "mmio_test"):
        keys = mapping(item, "a rule of mmio_test", _MMIO_KEYS)
        if "mmio" not in keys.entries:
            raise InputError("a rule of mmio_test without mmio (mmio: true, or false)", item.place)
        taken = word(keys.entries["mmio"].value, "mmio", ("true", "false")) == "true"
        when = condition(keys.entries["when"].value, "when", _TEST_KINDS) if "when" in keys.entries else ALWAYS
        name = text_of(keys, "id", f"rule-{len(found) + 1}")
        found.append(Rule(name, when, mmio(taken), text_of(keys, "why", ""), text_of(keys, "source", "")))
    if not found or found[-1].when != ALWAYS:
        raise InputError("mmio_test does not say what every page is (a last rule without when)", node.place)
    return RuleSet("own", f"of its own, {len(found)} rules", tuple(found))


def _condition_around(node: Node, what: str, allowed: Collection[str]) -> Condition:
    found = condition(node, what)
    for item in inputs(found):
        if item.name not in allowed:
            right = f"only for {', '.join(sorted(allowed))}"
            raise InputError(f"{what} can't ask for {item.name} ({right})", node.place)
    return found


def _bits(node: Node, what: str, parse: Callable[[str], int]) -> int:
    bits = 0
    for item in sequence(node, what):
        named = scalar(item, what)
        try:
            bits |= parse(named.text)
        except ValueError as error:
            raise InputError(str(error), named.place) from None
    return bits
