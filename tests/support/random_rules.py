# SPDX-License-Identifier: GPL-2.0-only
"""Hypothesis strategies for conditions and rule sets, and what they mean by plain enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from hypothesis import strategies as st

from mtcalc.kvm.flags import QUIRKS
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, Or, holds, inputs
from mtcalc.rules.inputs import GUEST_MTRR, Facts, Input, Value, with_value
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.rule import Outcome, Rule, RuleSet
from mtcalc.x86.ept import ept_mask
from mtcalc.x86.memtype import MTRR_TYPES

PLAIN = (
    *map(Input, ("mmio", "noncoherent_dma", "mem_dma", "cr0_cd", "self_snoop")),
    Input("quirk", "CD_NW_CLEARED"),
    Input("quirk", "IGNORE_GUEST_PAT"),
    Input("slot_flag", "LOG_DIRTY_PAGES"),
    Input("slot_flag", "NON_COHERENT_DMA"),
)
TYPED = (GUEST_MTRR, Input("assume_type", "cache_of(vcpu)"))
ASSUMED = (Input("assume", 'strcmp(s, "a\\n") == 0'), Input("assume", "x: {[#'"))
POOL = (*PLAIN, *ASSUMED, *TYPED)


def atoms(pool: Sequence[Input]) -> st.SearchStrategy[Condition]:
    """Atoms of some inputs, as condition_text() can write them."""
    yes = [Atom(item) for item in pool if item not in TYPED]
    typed = [Atom(item, kind) for item in pool if item in TYPED for kind in MTRR_TYPES]
    return st.sampled_from([*yes, *typed])


def conditions(pool: Sequence[Input] = POOL) -> st.SearchStrategy[Condition]:
    """Conditions in normal form: no And or Or of a single part."""

    def larger(parts: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        several = st.one_of(st.just(()), st.lists(parts, min_size=2, max_size=3).map(tuple))
        return st.one_of(st.builds(Not, parts), st.builds(And, several), st.builds(Or, several))

    return st.recursive(atoms(pool), larger, max_leaves=6)


def outcomes(pool: Sequence[Input] = POOL) -> st.SearchStrategy[Outcome]:
    """Bytes KVM returns, any other byte, and memory types taken from an input."""
    plain = st.sampled_from([Outcome(ept_mask(kind, ipat)) for kind in MTRR_TYPES for ipat in (False, True)])
    choices: list[st.SearchStrategy[Outcome]] = [plain, plain, st.integers(0, 0xFF).map(Outcome)]
    taken = [item for item in pool if item in TYPED]
    if taken:
        usual = st.tuples(st.sampled_from([0, 0x40]), st.sampled_from(taken))
        odd = st.tuples(st.integers(0, 0xFF), st.sampled_from(taken), st.integers(0, 7))
        choices += [usual.map(lambda parts: Outcome(*parts)), odd.map(lambda parts: Outcome(*parts))]
    return st.one_of(choices)


@st.composite
def rule_sets(draw: st.DrawFn, pool: Sequence[Input] = POOL, ends: bool = True) -> RuleSet:
    """Rule sets of some inputs; with `ends`, the last rule catches everything."""
    rules = [
        Rule(f"r{at}", draw(conditions(pool)), draw(outcomes(pool)), draw(_TEXT), draw(_TEXT))
        for at in range(draw(st.integers(0 if ends else 1, 4)))
    ]
    if ends:
        rules.append(Rule("last", ALWAYS, draw(outcomes(pool)), ""))
    return RuleSet("random", draw(_TEXT), tuple(rules), tuple(draw(st.lists(_TEXT, max_size=2))))


_TEXT = st.one_of(
    st.sampled_from(
        ["", "null", "- a", "a: b", "it's", '"', "a # b", "\\n", "0x10", "a\nb\t\x7f\x85\u2028", "[x]", "é"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


def states(items: Iterable[Input]) -> Iterator[tuple[tuple[Value, ...], Facts]]:
    """Every combination of the inputs' values, and the facts that have them."""
    order = tuple(items)
    domains: list[tuple[Value, ...]] = [MTRR_TYPES if item in TYPED else (False, True) for item in order]
    for values in itertools.product(*domains):
        facts = Facts()
        for item, value in zip(order, values, strict=True):
            facts = with_value(facts, item, value)
        yield values, facts


def can_reach(kernel: Kernel, known: Sequence[Input], facts: Facts) -> bool:
    """Whether the kernel reaches a state of the inputs known, for some values of all others."""
    absent = tuple(Not(Atom(Input("quirk", name))) for name in QUIRKS if name not in kernel.quirks)
    never = Or((*(state.when for state in kernel.unreachable), *absent))
    others = [item for item in dict.fromkeys(inputs(never)) if item not in known]
    for values, _ in states(others):
        whole = facts
        for item, value in zip(others, values, strict=True):
            whole = with_value(whole, item, value)
        if not holds(never, whole):
            return True
    return False
