# SPDX-License-Identifier: GPL-2.0-only
"""A rule set from C: the body of vmx_get_mt_mask() executed symbolically.

    rules_from_c(text, "vmx.c").rules -> mmio -> UC; not noncoherent_dma -> WB, ignore PAT; ...

Takes a whole kernel file of any version from 2.6.31 on, or a lone function with its helpers. What the tables of
predicates.py do not know becomes an assumption under its source text; what can't be followed is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tree_sitter import Node

from mtcalc.csource.calls import call
from mtcalc.csource.context import Context, NameScope, State, child, line_of, refuse, split, text_of
from mtcalc.csource.functions import run
from mtcalc.csource.names import integer_named
from mtcalc.csource.parse import CText, ParsedFunction
from mtcalc.csource.predicates import FUNCTION
from mtcalc.csource.slots import flags_by_name, slot_given
from mtcalc.csource.tree import FoundRule, Hole, Known, Leaf, rules_of, shown_again
from mtcalc.csource.types import INT, CType, is_type_name
from mtcalc.csource.values import Val, number
from mtcalc.rules.condition import Condition
from mtcalc.rules.proposals import PROPOSALS
from mtcalc.rules.releases import RELEASES
from mtcalc.rules.rule import Outcome, Rule, RuleSet, inputs_read
from mtcalc.x86.ept import MEMTYPE_SHIFT

OLDEST_FUNCTION = "vmx_get_mt_mask_shift"
"""What 2.6.29 and 2.6.30 had instead."""

NEVER_MACROS = frozenset(
    (
        *("return", "if", "else", "switch", "case", "default", "goto", "break", "static", "inline", "struct", "enum"),
        *("union", "const", "volatile", "int", "long", "short", "char", "unsigned", "signed", "void"),
    )
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_STATEMENT = re.compile(r"[;{}]|\b(?:return|goto|if|else|switch|case|default|break|while|for|do)\b")

_MADE_OF_OTHERS = ("compound_statement", "labeled_statement", "case_statement")
_ONE_BYTE = "an EPT memory-type byte has 8 bits (a byte up to 0xff, or a function of type u8)"


class ReadC(NamedTuple):
    """The rules in a C text, every function that is called on the way to them, and those whose bodies were followed."""

    rules: RuleSet
    called: frozenset[str]
    followed: frozenset[str]


def rules_from_c(text: str, file: str, name: str | None = None) -> RuleSet:
    """The rules that vmx_get_mt_mask() in a C text comes to, named `name` (default: the file).

    Raises InputError for what is not understood, with FILE:LINE:COLUMN.
    """
    return read_c(text, file, name).rules


def read_c(text: str, file: str, name: str | None = None) -> ReadC:
    """As rules_from_c(), with the names of the functions called. Raises InputError."""
    source = CText(text, file)
    function = source.function(FUNCTION)
    if function is None:
        older = source.function(OLDEST_FUNCTION)
        if older is not None:
            what = f"{OLDEST_FUNCTION}() returns no more than a shift, and its callers decide"
            source.refuse(f"{what} (say v2.6.29, whose kernels had it)", older.offset)
        at = source.mentioned(FUNCTION)
        source.refuse(f"no {FUNCTION}() is defined here (return type and name, starting in column 1)", at)
    context = Context(source, call)
    root = Hole()
    for state, val, node, scope in run(context, function, None, State(root, {}, Known())):
        if val is None:
            refuse(context, f"{FUNCTION} returns nothing (a byte)", node, scope)
        for after, one in split(context, val, state, node, scope):
            after.hole.tree = Leaf(_outcome(context, one, node, scope), line_of(context, node, scope))
    if root.tree is None:
        source.refuse(f"{FUNCTION} never returns (a byte on every way)", function.offset)
    check_macros(context)
    slot_asked = slot_given(root)
    rules = _with_ids(flags_by_name(context, function.offset, shown_again(rules_of(root))), source)
    unreached = tuple(_unreached(context, function, child(function.node, "body")))
    read = RuleSet(name or file, f"{FUNCTION}() of {file}", rules, (where(source, function),), unreached=unreached)
    read = read._replace(slot_asked=slot_asked)
    _check_assumptions(read, source, function)
    return ReadC(read, frozenset(context.called), context.followed)


def check_macros(context: Context) -> None:
    """Refuses macros of the file that stand where only C's own words, types and fields are looked for.

    What a macro says where an expression stands was heeded on the way. Anywhere else, and in what was never
    reached, it could be anything.
    """
    source = context.source
    for name in sorted(context.followed):
        function = source.function(name)
        if function is None:
            continue
        for match in _WORD.finditer(function.text):
            macro = source.macros.of(match.group(), function.offset)
            if macro is None:
                continue
            at = function.offset + match.start()
            field = function.text[: match.start()].rstrip().endswith((".", "->"))
            if field or match.group() in NEVER_MACROS or is_type_name(match.group()) or match.group() == name:
                source.refuse(f"{match.group()} is a macro of this file here (without it)", at)
            if _STATEMENT.search(macro.whole) and match.group() not in context.kept:
                source.refuse(f"{match.group()} is a macro that makes statements (what it stands for)", at)


def where(source: CText, function: ParsedFunction) -> str:
    """FILE:LINE of a function."""
    return f"{source.file}:{source.place(function.offset).line}"


def _unreached(context: Context, function: ParsedFunction, node: Node) -> Iterator[str]:
    """The outermost statements below a node that were never executed, each in one line."""
    for part in node.named_children:
        plain = part.type.endswith("_statement") and part.type not in _MADE_OF_OTHERS
        if plain and (function.name, part.start_byte) not in context.reached:
            yield " ".join(function.text_of(part).split())
        else:
            yield from _unreached(context, function, part)


def _outcome(context: Context, val: Val, node: Node, scope: NameScope) -> Outcome:
    words = child(scope.function.node, "type")
    kind = integer_named(context, text_of(words), words, scope) or INT
    wide = kind.bits > 8  # and then nothing cuts the value to a byte
    if kind == CType(8, True):
        refuse(context, f"{FUNCTION} returns a signed byte, whose bit 7 would fill what is above it (u8)", words, scope)
    if val.num is not None:
        value = number(val.num, kind._replace(signed=False)).num or 0
        if value > 0xFF and wide:
            refuse(context, f"returns {value:#x}, and {_ONE_BYTE}", node, scope)
        return Outcome(value & 0xFF)
    if val.bits is None:
        what = f"the byte `{val.text}` is not known"
        refuse(context, f"{what} (constants, and a memory type << VMX_EPT_MT_EPTE_SHIFT)", node, scope)
    bits = val.bits
    if wide and (bits.const > 0xFF or bits.shift > MEMTYPE_SHIFT + 2):
        refuse(context, f"`{val.text}` has bits above the lowest 8, and {_ONE_BYTE}", node, scope)
    if bits.shift >= 8:
        return Outcome(bits.const & 0xFF)
    return Outcome(bits.const & 0xFF, bits.input, bits.shift)


def _check_assumptions(read: RuleSet, source: CText, function: ParsedFunction) -> None:
    """Refuses a text that serves both as a condition and as a memory type: one --assume can't say both."""
    items = inputs_read(read)
    conditions = {item.arg for item in items if item.kind.text and not item.kind.typed}
    both = [item.arg for item in items if item.kind.text and item.kind.typed and item.arg in conditions]
    if both:
        what = f"`{both[0]}` is asked as a condition and used as a memory type"
        source.refuse(f"{what} (a comparison with the type meant)", function.offset)


def _known_ids() -> dict[tuple[Condition, Outcome | None], str]:
    ids: dict[tuple[Condition, Outcome | None], str] = {}
    for rules in (*(row.rules for row in reversed(RELEASES)), *(p.rules for p in PROPOSALS)):
        for rule in rules.rules:
            ids.setdefault((rule.when, rule.then), rule.id)
            if rule is not rules.rules[-1]:
                ids.setdefault((rule.when, None), rule.id)
    return ids


def _with_ids(found: list[FoundRule], source: CText) -> tuple[Rule, ...]:
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
