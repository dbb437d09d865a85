# SPDX-License-Identifier: GPL-2.0-only
"""A rule set from C: the body of vmx_get_mt_mask() executed symbolically.

    rules_from_c(text, "vmx.c").rules -> mmio -> UC; not noncoherent_dma -> WB, ignore PAT; ...

Takes a whole kernel file of any version from 2.6.31 on, or a lone function with its helpers. What the tables of
c_predicates do not know becomes an assumption under its source text; what can't be followed is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from mtcalc.rules.c_call import Executor
from mtcalc.rules.c_parse import Function, Source
from mtcalc.rules.c_predicates import FUNCTION
from mtcalc.rules.c_state import Scope, State, child, text_of
from mtcalc.rules.c_tree import Found, Known, Leaf, Slot, rules_of
from mtcalc.rules.c_types import INT, integer_type
from mtcalc.rules.c_values import Val, number
from mtcalc.rules.condition import Condition
from mtcalc.rules.proposals import PROPOSALS
from mtcalc.rules.releases import RELEASE_RULES
from mtcalc.rules.rule import Outcome, Rule, RuleSet, inputs_read
from mtcalc.x86.ept import MEMTYPE_SHIFT

_MADE_OF_OTHERS = ("compound_statement", "labeled_statement", "case_statement")
_ONE_BYTE = "an EPT memory-type byte has 8 bits (a byte up to 0xff, or a function of type u8)"


def rules_from_c(text: str, file: str, name: str | None = None) -> RuleSet:
    """The rules that vmx_get_mt_mask() in a C text comes to, named `name` (default: the file).

    Raises InputError for what is not understood, with FILE:LINE:COLUMN.
    """
    source = Source(text, file)
    function = source.function(FUNCTION)
    if function is None:
        at = source.mentioned(FUNCTION)
        source.refuse(f"no {FUNCTION}() is defined here (return type and name, starting in column 1)", at)
    executor = Executor(source)
    root = Slot()
    for state, val, node, scope in executor.run(function, None, State(root, {}, Known())):
        if val is None:
            executor.refuse(f"{FUNCTION} returns nothing (a byte)", node, scope)
        for after, one in executor.split(val, state, node, scope):
            after.slot.tree = Leaf(_outcome(executor, one, node, scope), executor.line(node, scope))
    if root.tree is None:
        source.refuse(f"{FUNCTION} never returns (a byte on every way)", function.offset)
    rules = _with_ids(rules_of(root), source)
    unreached = tuple(_unreached(executor, function, child(function.node, "body")))
    read = RuleSet(name or file, f"{FUNCTION}() of {file}", rules, (_where(source, function),), unreached=unreached)
    _check_assumptions(read, source, function)
    return read


def _where(source: Source, function: Function) -> str:
    return f"{source.file}:{source.place(function.offset).line}"


def _unreached(executor: Executor, function: Function, node: Node) -> Iterator[str]:
    """The outermost statements below a node that were never executed, each in one line."""
    for part in node.named_children:
        plain = part.type.endswith("_statement") and part.type not in _MADE_OF_OTHERS
        if plain and (function.name, part.start_byte) not in executor.reached:
            yield " ".join(text_of(part).split())
        else:
            yield from _unreached(executor, function, part)


def _outcome(executor: Executor, val: Val, node: Node, scope: Scope) -> Outcome:
    kind = integer_type(text_of(child(scope.function.node, "type"))) or INT
    wide = kind.bits > 8  # and then nothing cuts the value to a byte
    if val.num is not None:
        value = number(val.num, kind._replace(signed=False)).num or 0
        if value > 0xFF and wide:
            executor.refuse(f"returns {value:#x}, and {_ONE_BYTE}", node, scope)
        return Outcome(value & 0xFF)
    if val.bits is None:
        what = f"the byte `{val.text}` is not known"
        executor.refuse(f"{what} (constants, and a memory type << VMX_EPT_MT_EPTE_SHIFT)", node, scope)
    bits = val.bits
    if wide and (bits.const > 0xFF or bits.shift > MEMTYPE_SHIFT + 2):
        executor.refuse(f"`{val.text}` has bits above the lowest 8, and {_ONE_BYTE}", node, scope)
    if bits.shift >= 8:
        return Outcome(bits.const & 0xFF)
    return Outcome(bits.const & 0xFF, bits.input, bits.shift)


def _check_assumptions(read: RuleSet, source: Source, function: Function) -> None:
    """Refuses a text that serves both as a condition and as a memory type: one --assume can't say both."""
    items = inputs_read(read)
    conditions = {item.arg for item in items if item.name == "assume"}
    both = [item.arg for item in items if item.name == "assume_type" and item.arg in conditions]
    if both:
        what = f"`{both[0]}` is asked as a condition and used as a memory type"
        source.refuse(f"{what} (a comparison with the type meant)", function.offset)


def _known_ids() -> dict[tuple[Condition, Outcome | None], str]:
    ids: dict[tuple[Condition, Outcome | None], str] = {}
    for rules in (*(rules for _, rules, _ in reversed(RELEASE_RULES)), *(p.rules for p in PROPOSALS)):
        for rule in rules.rules:
            ids.setdefault((rule.when, rule.then), rule.id)
            if rule is not rules.rules[-1]:
                ids.setdefault((rule.when, None), rule.id)
    return ids


def _with_ids(found: list[Found], source: Source) -> tuple[Rule, ...]:
    known = _known_ids()
    used: set[str] = set()
    rules = []
    for at, (when, then, line) in enumerate(found, start=1):
        word = known.get((when, then)) or known.get((when, None)) or f"rule-{at}"
        if word in used:
            word = f"rule-{at}"
        used.add(word)
        why = " ".join(source.line(line).split())
        rules.append(Rule(word, when, then, why, f"{source.file}:{line}"))
    return tuple(rules)
