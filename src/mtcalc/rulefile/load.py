# SPDX-License-Identifier: GPL-2.0-only
"""A rule set in YAML: either a whole list of rules, or what a variation changes in another.

name: my-idea
kernel: 6.10                   # whose behaviour is around the rules
rules:
  - id: mmio
    when: mmio                 # rules.condition_parse; without `when` a rule always matches
    ept: {memtype: UC, ipat: 0}
  - id: rest
    ept: {memtype: guest_mtrr, ipat: 0}

name: my-variation
base: v6.7
changes:                       # insert_after, insert_before, replace, remove: each names a rule of the base
  - insert_after: mmio
    id: slot-flag
    when: slot_flag NON_COHERENT_DMA
    ept: {memtype: WB, ipat: 0}
  - remove: cd-quirk
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from mtcalc.kvm.notes import Note
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.rulefile.around import AROUND_KEYS, around
from mtcalc.rulefile.nodes import condition, mapping, number, scalar, sequence, text_of, texts_of
from mtcalc.rulefile.write import write_rule_file as write_rule_file
from mtcalc.rules.condition import ALWAYS, reason_text
from mtcalc.rules.inputs import GUEST_MTRR, Input
from mtcalc.rules.kernel import Kernel, kernel_for_rules
from mtcalc.rules.rule import Outcome, Rule, RuleSet, inputs_read
from mtcalc.rules.truth import members, rule_space, values_at, verdicts
from mtcalc.text.errors import InputError, Place
from mtcalc.text.filenames import is_file_ref
from mtcalc.text.suggest import did_you_mean
from mtcalc.text.yaml import MapNode, Node, ScalarNode, parse_yaml
from mtcalc.x86.ept import IPAT_BIT, ept_mask
from mtcalc.x86.memtype import MTRR_TYPES, MemType, parse_memtype

_TOP_KEYS = (
    "name",
    "title",
    "base",
    "kernel",
    "rules",
    "changes",
    "sources",
    "unconfirmed",
    "mainline",
    "proposal",
    "notes",
    *AROUND_KEYS,
)
_RULE_KEYS = ("id", "when", "ept", "why", "source")
_ACTIONS = ("insert_after", "insert_before", "replace", "remove")
_EPT_KEYS = ("memtype", "ipat", "byte", "shift")

_Located: TypeAlias = tuple[Rule, Place]


class _Change(NamedTuple):
    """One change: what it does to which rule, and the rules it brings."""

    action: str
    target: ScalarNode
    rules: tuple[_Located, ...]


def load_rule_file(
    text: str,
    file: str,
    resolve_base: Callable[[str], Kernel],
    strict: bool = True,
    below: Kernel | None = None,
) -> Kernel:
    """The rule set that a YAML text says, with the behaviour of its `kernel`, else of its `base`, around it.

    `resolve_base` finds the base by its REF, a file included. Without `strict`, a list that leaves inputs
    uncaught is taken, for check_rules() to show. `below` is the base of a file that names none, as in
    `6.6+file.yaml`. Raises InputError with the place of what is wrong.
    """
    root = parse_yaml(text, file)
    if isinstance(root, MapNode) and root.entries.keys() & {"memslots", "guest", "vm"}:
        raise InputError("this is a scenario (a rule file, with rules: or base: and changes:)", root.place)
    top = mapping(root, "a rule file", _TOP_KEYS)
    base = _base(top, resolve_base) if below is None else _on_top_of(top, below)
    located = _rules(top) if base is None else _varied(top, base)
    rules = tuple(rule for rule, _ in located)
    rule_set = RuleSet(
        name=text_of(top, "name", _stem(file)),
        title=text_of(top, "title", f"variation of {base.rules.name}" if base else ""),
        rules=rules,
        sources=texts_of(top, "sources"),
        unconfirmed=texts_of(top, "unconfirmed"),
        mainline=_mainline(top),
    )
    kernel = around(top, _surrounding(top, rule_set, base, file, resolve_base))
    _check_walk(top, kernel)
    if strict:
        _check_end(rule_set, located[-1][1])
    return kernel


def _stem(file: str) -> str:
    if file == "-" or file.startswith("/dev/"):  # a pipe, whose name is a number
        return "rules"
    name = file.replace("\\", "/").rsplit("/", 1)[-1]
    return name.rsplit(".", 1)[0] or "rules"


# Rules ------------------------------------------------------------------------------------------------------


def _rules(top: MapNode) -> tuple[_Located, ...]:
    changes = top.entries.get("changes")
    if changes is not None:
        raise InputError("changes without a base (base: v6.7, or write rules)", changes.key_place)
    entry = top.entries.get("rules")
    if entry is None:
        raise InputError("no rules (rules: a list; or base: and changes:)", top.place)
    return _rule_list(entry.value)


def _rule_list(node: Node) -> tuple[_Located, ...]:
    found: list[_Located] = []
    for item in sequence(node, "rules"):
        rule = _rule(mapping(item, "a rule", _RULE_KEYS))
        _check_new(rule, [old for old, _ in found])
        found.append(rule)
    if not found:
        raise InputError("no rules (at least one, the last without `when`)", node.place)
    return tuple(found)


def _check_new(rule: _Located, others: Sequence[Rule]) -> None:
    if any(rule[0].id == other.id for other in others):
        raise InputError(f"two rules with the id '{rule[0].id}' (an id of its own)", rule[1])


def _rule(node: MapNode, default_id: str = "") -> _Located:
    entry = node.entries.get("id")
    if entry is None and not default_id:
        raise InputError("a rule without id (id: a name of its own)", node.place)
    place = node.place if entry is None else entry.value.place
    name = default_id if entry is None else scalar(entry.value, "id").text
    when = node.entries.get("when")
    ept = node.entries.get("ept")
    if ept is None:
        raise InputError(f"rule '{name}' without ept (ept: {{memtype: WB, ipat: 1}})", node.place)
    matches = ALWAYS if when is None else condition(when.value, "when")
    rule = Rule(name, matches, _outcome(ept.value), text_of(node, "why", ""), text_of(node, "source", ""))
    if not name:
        raise InputError("an empty id (a name of its own)", place)
    return rule, place


def _outcome(node: Node) -> Outcome:
    keys = mapping(node, "ept", _EPT_KEYS).entries
    memtype, ipat, byte, shift = (keys.get(key) for key in _EPT_KEYS)
    if ipat is not None and byte is not None:
        raise InputError("ipat and byte (one of them: bit 6 of the byte is ipat)", byte.key_place)
    const = 0
    if byte is not None:
        const = number(byte.value, "byte", 0xFF)
    elif ipat is not None:
        const = IPAT_BIT if _ipat(ipat.value) else 0
    elif memtype is not None:
        raise InputError("ept without ipat (ipat: 1 ignores the guest's PAT, 0 does not)", node.place)
    taken_from = None
    if memtype is None:
        if byte is None:
            raise InputError("ept without memtype (memtype: WB; or byte: 0x30)", node.place)
    else:
        kind = _memtype(memtype.value)
        if isinstance(kind, Input):
            taken_from = kind
        elif byte is not None:
            raise InputError(f"memtype {kind} and byte (ipat with a memtype; byte says it all)", byte.key_place)
        else:
            const |= ept_mask(kind, False)
    if shift is None:
        return Outcome(const, taken_from)
    if taken_from is None:
        raise InputError("shift without a memory type to shift (memtype: guest_mtrr)", shift.key_place)
    return Outcome(const, taken_from, number(shift.value, "shift", 63))


def _ipat(node: Node) -> bool:
    value = scalar(node, "ipat").text.lower()
    if value not in ("0", "1", "true", "false"):
        raise InputError(f"ipat {value} (0 or 1)", node.place)
    return value in ("1", "true")


def _memtype(node: Node) -> MemType | Input:
    if isinstance(node, MapNode):
        entry = mapping(node, "memtype", ("assume",)).entries.get("assume")
        if entry is None:
            raise InputError("a memtype of nothing (memtype: {assume: the source text})", node.place)
        return Input("assume_type", scalar(entry.value, "assume").text)
    named = scalar(node, "memtype")
    if named.text.lower().replace("-", "_") == "guest_mtrr":
        return GUEST_MTRR
    try:
        return parse_memtype(named.text, MTRR_TYPES)
    except ValueError as error:
        message = str(error)
        if "is not a memory type" in message:
            words = (*map(str, MTRR_TYPES), "guest_mtrr")
            message = f"unknown memtype '{named.text}' ({did_you_mean(named.text, words)})"
        raise InputError(message, node.place) from None


# Variations -------------------------------------------------------------------------------------------------


def _base(top: MapNode, resolve_base: Callable[[str], Kernel]) -> Kernel | None:
    entry = top.entries.get("base")
    if entry is None:
        return None
    rules = top.entries.get("rules")
    if rules is not None:
        raise InputError("rules besides a base (changes: what differs from the base)", rules.key_place)
    ref = scalar(entry.value, "base")
    try:
        return resolve_base(ref.text)
    except InputError as error:
        raise type(error)(error.message, error.place or ref.place) from None
    except ValueError as error:
        raise InputError(str(error), ref.place) from None


def _on_top_of(top: MapNode, below: Kernel) -> Kernel:
    for key in ("base", "rules", "kernel"):
        if key in top.entries:
            what = f"{key} in a file that goes on top of {below.ref}"
            raise InputError(f"{what} (changes: alone; or -r without '{below.ref}+')", top.entries[key].key_place)
    if "changes" not in top.entries:
        raise InputError(f"nothing to put on top of {below.ref} (changes: a list)", top.place)
    return below


def _varied(top: MapNode, base: Kernel) -> tuple[_Located, ...]:
    entry = top.entries.get("changes")
    if entry is None:
        key = next((top.entries[key] for key in AROUND_KEYS if key in top.entries), None)
        if key is None:
            raise InputError("a base without changes (changes: a list)", top.entries["base"].key_place)
        return tuple((rule, key.key_place) for rule in base.rules.rules)
    found = [(rule, entry.key_place) for rule in base.rules.rules]
    items = sequence(entry.value, "changes")
    if not items:
        raise InputError("no changes (at least one)", entry.value.place)
    for item in items:
        change = _change(item)
        at = next((i for i, (rule, _) in enumerate(found) if rule.id == change.target.text), None)
        if at is None:
            known = [rule.id for rule, _ in found]
            right = did_you_mean(change.target.text, known)
            raise InputError(f"no rule '{change.target.text}' in the base ({right})", change.target.place)
        if change.action in ("replace", "remove"):
            del found[at]
        elif change.action == "insert_after":
            at += 1
        for rule in change.rules:
            _check_new(rule, [old for old, _ in found])
            found.insert(at, rule)
            at += 1
    if not found:
        raise InputError("the changes leave no rule (at least one)", entry.key_place)
    return tuple(found)


def _change(node: Node) -> _Change:
    keys = mapping(node, "a change", (*_ACTIONS, "rules", *_RULE_KEYS))
    actions = [key for key in keys.entries if key in _ACTIONS]
    if not actions:
        raise InputError(f"a change that does nothing ({', '.join(_ACTIONS)}: a rule's id)", node.place)
    action = keys.entries[actions[0]]
    if len(actions) > 1:
        place = keys.entries[actions[1]].key_place
        raise InputError(f"{actions[0]} and {actions[1]} in one change (one each)", place)
    target = scalar(action.value, action.key)
    own = [entry for key, entry in keys.entries.items() if key not in _ACTIONS]
    if action.key == "remove":
        if own:
            raise InputError(f"'{own[0].key}' in a removal (replace: {target.text}?)", own[0].key_place)
        return _Change("remove", target, ())
    several = keys.entries.get("rules")
    if several is None:
        if action.key == "replace" and "when" not in keys.entries:
            what = f"what replaces {target.text} has no condition, so it would catch everything"
            raise InputError(f"{what} (when: ..., or when: always)", action.key_place)
        return _Change(action.key, target, (_rule(keys, target.text if action.key == "replace" else ""),))
    if len(own) > 1:
        other = next(entry for entry in own if entry.key != "rules")
        raise InputError(
            f"'{other.key}' beside rules (a rule in the change itself, or a list of rules)", other.key_place
        )
    return _Change(action.key, target, _rule_list(several.value))


# The kernel around ------------------------------------------------------------------------------------------


def _surrounding(
    top: MapNode, rule_set: RuleSet, base: Kernel | None, file: str, resolve: Callable[[str], Kernel]
) -> Kernel:
    entry = top.entries.get("kernel")
    if entry is None:
        found = kernel_for_rules(rule_set, file)._replace(mmio_said=False) if base is None else base
        notes = found.notes
    else:
        ref = scalar(entry.value, "kernel")
        if is_file_ref(ref.text):
            raise InputError(f"kernel '{ref.text}' is a file (a kernel release, or a built-in rule set)", ref.place)
        try:
            found = resolve(ref.text)
        except ValueError as error:
            raise InputError(str(error), ref.place) from None
        notes = ()
    if "notes" in top.entries:
        notes = tuple(Note("rule-file", text) for text in texts_of(top, "notes"))
    kernel = found._replace(ref=file, rules=rule_set, notes=notes, default=False)
    return kernel._replace(proposal=text_of(top, "proposal", ""))


def _mainline(top: MapNode) -> str:
    text = text_of(top, "mainline", "")
    if text and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise InputError(f"mainline '{text}' (year and month: 2024-01)", top.entries["mainline"].value.place)
    return text


def _check_walk(top: MapNode, kernel: Kernel) -> None:
    if kernel.mtrr_walk is MtrrWalk.NONE and GUEST_MTRR in inputs_read(kernel.rules):
        entry = top.entries.get("mtrr_walk") or top.entries.get("kernel") or top.entries.get("base")
        what = "the rules ask for guest_mtrr, and this kernel never looks at it"
        raise InputError(
            f"{what} (kernel: 6.10 or older, or mtrr_walk: v4.4)", entry.value.place if entry else top.place
        )


def _check_end(rule_set: RuleSet, place: Place) -> None:
    if any(rule.when == ALWAYS for rule in rule_set.rules):
        return
    try:
        space = rule_space(rule_set)
    except ValueError as error:
        what = f"a list that does not end with a rule without `when`: {error}"
        raise InputError(what, place) from None
    first = next(members(verdicts(rule_set, space).uncaught), None)
    if first is not None:
        facts = zip(space.inputs, values_at(space, first), strict=True)
        shown = ", ".join(reason_text(item, value) for item, value in facts)
        raise InputError(f"no rule matches where {shown} (end the list with a rule without `when`)", place)
