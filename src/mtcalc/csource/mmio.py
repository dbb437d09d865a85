# SPDX-License-Identifier: GPL-2.0-only
"""The host-MMIO test from C: kvm_is_mmio_pfn() and its like, as rules over what is known of a host page.

    read_mmio_test(text, "mmu.c").rules -> not struct_page -> MMIO; zero_page -> not MMIO; ...

Executed as vmx_get_mt_mask() is, with another table: predicates.HOST_PAGE_SPELLINGS. What that table does not know
becomes an assumption under its source text.
"""

from __future__ import annotations

from typing import NamedTuple

from tree_sitter import Node

from mtcalc.csource.calls import call
from mtcalc.csource.context import Context, NameScope, State, child, fork, line_of, refuse, text_of
from mtcalc.csource.functions import run
from mtcalc.csource.masks import NEVER, negated
from mtcalc.csource.names import integer_named
from mtcalc.csource.parse import CText, ParsedFunction
from mtcalc.csource.predicates import host_page_spelling
from mtcalc.csource.source import check_macros, where
from mtcalc.csource.tree import (
    Branch,
    FoundRule,
    Hole,
    Known,
    Leaf,
    all_of,
    any_of,
    learnt,
    rules_of,
    shown_again,
    simplified,
)
from mtcalc.csource.types import INT, CType
from mtcalc.csource.values import UNARY, Val, Var, number, truth
from mtcalc.csource.words import named
from mtcalc.kvm.history import MMIO_TESTS, row_at
from mtcalc.kvm.release import Version
from mtcalc.rules.condition import ALWAYS, And, Condition, Not, Or
from mtcalc.rules.inputs import HOST_PAGE_KINDS, input_words
from mtcalc.rules.mmio import MMIO_RULES
from mtcalc.rules.rule import Rule, RuleSet, inputs_read, mmio
from mtcalc.rules.truth import space_of, verdicts

TEST, INNER, RESERVED_TEST = "kvm_is_mmio_pfn", "__kvm_is_mmio_pfn", "kvm_is_reserved_pfn"
"""The function that KVM's callers ask; what does its work from 6.17 on; what was asked from 3.18 to 4.1."""

LATER_PFN = "kvm_pfn_t"
"""A page number's type from 4.5 on, ba049e93aef7: a RESERVED_TEST that takes one is asked for the mapping level."""

NOT_ASKED_YET = -1
"""What 6.17's callers keep of the answer before they ask. Source: arch/x86/kvm/mmu/spte.c, make_spte()."""


class ReadTest(NamedTuple):
    """The rules of a host-MMIO test, and the functions whose bodies were followed on the way to them."""

    rules: RuleSet
    followed: frozenset[str]


def read_mmio_test(text: str, file: str) -> RuleSet | None:
    """The host-MMIO test that a C text defines, over rules.inputs.HOST_PAGE_KINDS; None where it defines none.

    Each rule's outcome is rules.rule.mmio(). Raises InputError for what is not understood, with FILE:LINE:COLUMN.
    """
    found = _read_followed(text, file)
    return None if found is None else found.rules


def mmio_test_of(text: str, file: str, release: Version) -> ReadTest | None:
    """As read_mmio_test(), of a text that a release's kernel is around, with the functions followed.

    Whether RESERVED_TEST is the test hangs on the release, and so do the words for it. Raises InputError.
    """
    found, row = _read_followed(text, file), row_at(MMIO_TESTS, release)
    if found is None or (found.rules.name == RESERVED_TEST and not row.source.startswith(f"{RESERVED_TEST}()")):
        return None
    # By the words of the version that it is: the release's own where it can be, else the newest that says the same.
    versions = (MMIO_RULES[row.what], *reversed(MMIO_RULES.values()))
    alike = next((known for known in versions if _alike(known, found.rules)), found.rules)
    return found._replace(rules=found.rules._replace(title=alike.title))


def _read_followed(text: str, file: str) -> ReadTest | None:
    """As read_mmio_test(), with the functions followed. Raises InputError."""
    if not any(name in text for name in (TEST, RESERVED_TEST)):
        return None
    source = CText(text, file)
    outer, inner = _defined(source, TEST), _defined(source, INNER)
    if outer is None and inner is None:
        reserved = _defined(source, RESERVED_TEST)
        taken = "" if reserved is None else text_of(child(child(reserved.node, "declarator"), "parameters"))
        return None if reserved is None or LATER_PFN in taken else _read(source, reserved)
    if outer is None or inner is None:
        (only,) = (one for one in (outer, inner) if one is not None)
        return _read(source, only)
    asked, worker = _read(source, outer), _read(source, inner)
    # A kvm_is_mmio_pfn() that only keeps the answer is not the test; one that has a say of its own is.
    return worker if _alike(asked.rules, worker.rules) else asked


def _defined(source: CText, name: str) -> ParsedFunction | None:
    """A function of the file, or None. Raises InputError for a definition that can't be looked into."""
    function = source.function(name)
    if function is None:
        at = source.defined_otherwise(name)
        if at is not None:
            source.refuse(f"a definition of {name} that is not followed (type and name, starting in column 1)", at)
        lines = source.macros.lines(name)
        if lines and lines[-1].body is not None:
            source.refuse(f"{name} is a macro that is not followed (a function)", lines[-1].offset)
    return function


def _read(source: CText, function: ParsedFunction) -> ReadTest:
    context = Context(source, call, host_page_spelling)
    root = Hole()
    arguments, env = _arguments(context, function)
    for state, val, node, scope in run(context, function, arguments, State(root, env, Known())):
        if val is None:
            refuse(context, f"{function.name} returns nothing (whether a page is host MMIO)", node, scope)
        yes, no = fork(context, truth(val), state, node, scope)
        for after, taken in ((yes, True), (no, False)):
            if after is not None:
                after.hole.tree = Leaf(mmio(taken), line_of(context, node, scope))
    if root.tree is None:
        source.refuse(f"{function.name} never returns (a value on every way)", function.offset)
    check_macros(context)
    rules = _with_ids(shown_again(rules_of(_tidied(root, Known()))), source)
    read = RuleSet(function.name, f"{function.name}() of {source.file}", rules, (where(source, function),))
    for item in inputs_read(read):
        if item.name not in HOST_PAGE_KINDS and not item.kind.text:
            source.refuse(
                f"{function.name} asks for {input_words(item)} (what is known of a host page)", function.offset
            )
    return ReadTest(read, context.followed)


def _arguments(context: Context, function: ParsedFunction) -> tuple[list[Val], dict[Var, Val]]:
    """What callers pass, and what it points to: the page's number, and a kept answer that is not there yet."""
    scope = NameScope(function, {})
    head = child(function.node, "declarator")
    listed = head.child_by_field_name("parameters")
    named_ones = [node for node in listed.named_children if node.child_by_field_name("declarator")] if listed else []
    kinds = [integer_named(context, text_of(child(node, "type")), node, scope) for node in named_ones]
    page = _page_among(named_ones, kinds)
    if page is None:
        refuse(context, f"{function.name} takes no page (its number)", head, scope)
    passed: list[Val] = []
    env: dict[Var, Val] = {}
    for node, kind in zip(named_ones, kinds, strict=True):
        inner = child(node, "declarator")
        if inner.type == "pointer_declarator" and kind == INT:
            kept = Var("kept", "", len(env), INT)
            env[kept] = number(NOT_ASKED_YET, INT)
            passed.append(Val(f"&{kept.name}", UNARY, ref=kept))
        elif node is page and kind is not None:
            passed.append(Val(named("pfn", text_of(inner)), type=kind))
        else:
            passed.append(_other(text_of(inner), kind))
    return passed, env


def _page_among(parameters: list[Node], kinds: list[CType | None]) -> Node | None:
    """The parameter that is a page's number: by its type, else by its name, else the only whole number."""
    numbers = [
        node
        for node, kind in zip(parameters, kinds, strict=True)
        if kind is not None and child(node, "declarator").type == "identifier"
    ]
    by_type = [node for node in numbers if text_of(child(node, "type")) in ("pfn_t", LATER_PFN)]
    by_name = [node for node in numbers if text_of(child(node, "declarator")) == "pfn"]
    found = by_type or by_name or numbers
    return found[0] if len(found) == 1 else None


def _other(declared: str, kind: CType | None) -> Val:
    """A parameter of another meaning: only its name tells it."""
    name = declared.lstrip("* ")
    return Val(named(f"other {name}", name), type=kind) if kind is not None and "*" not in declared else Val(name)


def _tidied(hole: Hole, known: Known) -> Hole:
    """The tree without what earlier decisions, and the parts before it in one condition, settle."""
    tree = hole.tree
    if not isinstance(tree, Branch):
        return hole
    asked = _left_of(tree.condition, known)
    if asked in (ALWAYS, NEVER):
        return _tidied(tree.yes if asked == ALWAYS else tree.no, known)
    new = Hole()
    yes, no = (_tidied(side, learnt(known, asked, holds)) for side, holds in ((tree.yes, True), (tree.no, False)))
    new.tree = tree._replace(condition=asked, yes=yes, no=no)
    return new


def _left_of(condition: Condition, known: Known) -> Condition:
    """What is left of a condition: each part of an and, or of an or, is only looked at once those before it are."""
    if isinstance(condition, Not):
        return negated(_left_of(condition.of, known))
    if not isinstance(condition, And | Or):
        return simplified(condition, known)
    parts = []
    for part in condition.of:
        parts.append(_left_of(part, known))
        known = learnt(known, parts[-1], isinstance(condition, And))
    return all_of(parts) if isinstance(condition, And) else any_of(parts)


def _with_ids(found: list[FoundRule], source: CText) -> tuple[Rule, ...]:
    """The rules, those that a version of the test has under its word for them."""
    known = {(rule.when, rule.then): rule.id for rules in MMIO_RULES.values() for rule in rules.rules}
    used: set[str] = set()
    rules = []
    for at, (when, then, line) in enumerate(found, start=1):
        word = known.get((when, then), f"rule-{at}")
        if word in used:
            word = f"rule-{at}"
        used.add(word)
        rules.append(Rule(word, when, then, " ".join(source.line(line).split()), f"{source.file}:{line}"))
    return tuple(rules)


def _alike(one: RuleSet, other: RuleSet) -> bool:
    """Whether two tests say the same of every host page."""
    try:
        space = space_of((*inputs_read(one), *inputs_read(other)))
    except ValueError:
        return False  # more assumptions than can be gone through
    return verdicts(one, space).by_byte == verdicts(other, space).by_byte
