# SPDX-License-Identifier: GPL-2.0-only
"""diff against brute force: every single change, and rows that say exactly those, as few as possible."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mtcalc.analysis.diff import (
    Change,
    Diff,
    DiffRow,
    diff,
    outcome_bytes,
)
from mtcalc.analysis.diff_words import common_conditions, mattering, notes, sentence, when_text
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.condition import And, Atom, Condition, Not
from mtcalc.rules.inputs import (
    CR0_CD,
    FLAG_NON_COHERENT_DMA,
    GUEST_MTRR,
    MMIO,
    NONCOHERENT_DMA,
    QUIRK_IGNORE_GUEST_PAT,
    SELF_SNOOP,
    Facts,
    Input,
    Value,
    with_value,
)
from mtcalc.rules.kernel import Kernel, Unreachable, kernel_at
from mtcalc.rules.releases import V6_11, V6_16
from mtcalc.rules.rule import Outcome, Rule, RuleSet, decide, ept, guest_mtrr, inputs_read, insert_after
from mtcalc.rules.truth import members, values_at
from mtcalc.x86.memtype import MemType
from support.notes import noted
from support.random_rules import ASSUMED, PLAIN, TYPED, can_reach, conditions, rule_sets, states

NAMES = built_in_names()


@cache
def kernel(name: str) -> Kernel:
    found = built_in(name)
    assert found is not None
    return found


def brute_force(before: Kernel, after: Kernel, items: tuple[Input, ...]) -> tuple[list[Change], int]:
    """Every change by asking the engine about each state in turn, and how many states are reachable."""
    changes = []
    reachable = 0
    for values, facts in states(items):
        if can_reach(before, items, facts) or can_reach(after, items, facts):
            reachable += 1
            old, new = decide(before.rules, facts)[1], decide(after.rules, facts)[1]
            if old != new:
                changes.append(Change(values, old, new))
    return changes, reachable


def admits(items: tuple[Input, ...], row: DiffRow, values: tuple[Value, ...]) -> bool:
    return all(value in row.when.get(item, (value,)) for item, value in zip(items, values, strict=True))


def check_against_brute_force(before: Kernel, after: Kernel) -> Diff:
    found = diff(before, after)
    assert set(found.inputs) == {*inputs_read(before.rules), *inputs_read(after.rules)}
    changes, reachable = brute_force(before, after, found.inputs)
    assert list(found.changes) == changes
    assert (found.changed_count, found.total) == (len(changes), reachable)
    assert found.left_out == found.space.size - reachable
    wanted = {change.values: change for change in changes}
    covered: dict[tuple[Value, ...], list[int]] = {}
    for values, facts in states(found.inputs):
        if not (can_reach(before, found.inputs, facts) or can_reach(after, found.inputs, facts)):
            continue
        for at, row in enumerate(found.rows):
            if admits(found.inputs, row, values):
                # What a row says is so: it covers a change, with these bytes.
                assert (row.before.byte(facts), row.after.byte(facts)) == wanted[values][1:]
                covered.setdefault(values, []).append(at)
    assert covered.keys() == wanted.keys()
    for at, row in enumerate(found.rows):
        assert row.states == sum(at in rows for rows in covered.values())
        assert any(rows == [at] for rows in covered.values()), "a row that could be left out"
    check_no_two_rows_make_one(found)
    return found


def check_no_two_rows_make_one(found: Diff) -> None:
    facts = dict(states(found.inputs))
    changes = {change.values: change for change in found.changes}
    for one, other in itertools.combinations(found.rows, 2):
        if (one.before, one.after) == (other.before, other.after):
            both = one._replace(when=joined(one.when, other.when))
            admitted = [
                values_at(found.space, number)
                for number in members(found.reachable)
                if admits(found.inputs, both, values_at(found.space, number))
            ]
            said = [(both.before.byte(facts[values]), both.after.byte(facts[values])) for values in admitted]
            is_so = [changes[values][1:] if values in changes else None for values in admitted]
            assert said != is_so, "two rows that one could say"


def joined(
    one: Mapping[Input, Iterable[Value]], other: Mapping[Input, Iterable[Value]]
) -> dict[Input, tuple[Value, ...]]:
    return {item: tuple({*one[item], *other[item]}) for item in one if item in other}


@pytest.mark.parametrize("before", NAMES)
def test_all_pairs_of_built_in_sets_against_brute_force(before: str) -> None:
    """The minimal rows expand to exactly the brute-force set and cover nothing else."""
    for after in NAMES:
        found = check_against_brute_force(kernel(before), kernel(after))
        if before == after:
            assert not found.changed
            assert not found.rows
            assert not found.around


def test_diff_and_its_reverse_mirror_each_other() -> None:
    for before, after in itertools.combinations(NAMES, 2):
        there, back = diff(kernel(before), kernel(after)), diff(kernel(after), kernel(before))
        assert [(c[0], c.after, c.before) for c in there.changes] == list(back.changes)
        assert len(there.rows) == len(back.rows)
        assert there.inputs == back.inputs
        assert mattering(there) == mattering(back)[::-1]


SMALL = (PLAIN[0], PLAIN[1], PLAIN[4], PLAIN[6], ASSUMED[0], *TYPED)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Kernel, Kernel]:
    pool = draw(st.lists(st.sampled_from(SMALL), min_size=1, max_size=4, unique=True))
    boolean = [item for item in pool if item not in TYPED] or [MMIO]
    never = st.lists(st.builds(Unreachable, conditions(boolean), st.just("so")), max_size=1).map(tuple)
    old, new = (kernel_at((6, 10), draw(rule_sets(pool)), name) for name in ("a", "b"))
    return old._replace(unreachable=draw(never)), new._replace(unreachable=draw(never))


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_random_rule_sets_against_brute_force(pair: tuple[Kernel, Kernel]) -> None:
    """Exact whatever the rules: odd bytes, assumed conditions and types, unreachable states."""
    check_against_brute_force(*pair)


@settings(max_examples=20, deadline=None)
@given(rule_sets((*PLAIN[:4], GUEST_MTRR)))
def test_a_rule_set_does_not_differ_from_itself(rule_set: RuleSet) -> None:
    one = kernel_at((6, 10), rule_set, "a")
    found = diff(one, one)
    assert (found.changed, found.rows, found.around, list(found.changes)) == (0, (), (), [])


def rows(before: str, after: str) -> list[str]:
    found = diff(kernel(before), kernel(after))
    return [f"{when_text(row.when)}: {row.before} -> {row.after} ({row.states})" for row in found.rows]


def test_rows_of_the_proposal() -> None:
    """The guest's MTRR types collapse to one row; WB, which is no change, is not in it."""
    slot = "not mmio and slot_flag NON_COHERENT_DMA"
    assert rows("v6.7", "slot-flag") == [
        f"{slot} and not noncoherent_dma: WB, ignore PAT -> WB (20)",
        f"{slot} and noncoherent_dma and not cr0_cd and guest_mtrr UC|WC|WT|WP: guest MTRR type -> WB (8)",
        f"{slot} and noncoherent_dma and cr0_cd and not quirk CD_NW_CLEARED: UC, ignore PAT -> WB (5)",
    ]


def test_rows_of_the_fix_in_6_7() -> None:
    assert rows("v4.4", "v6.7") == [
        "not mmio and noncoherent_dma and cr0_cd and quirk CD_NW_CLEARED: WB, ignore PAT -> WB (5)"
    ]


SENTENCES = {
    ("v6.7", "slot-flag"): "33 of 160 reachable inputs change: slots with NON_COHERENT_DMA that are not host MMIO; "
    "non-coherent DMA, guest CR0.CD, quirk CD_NW_CLEARED and guest MTRR type stop mattering there",
    ("slot-flag", "slot-honor-mtrr"): "32 of 160 reachable inputs change: slots with NON_COHERENT_DMA that are not "
    "host MMIO, with guest MTRR type UC, WC, WT or WP; guest MTRR type starts mattering there",
    ("v4.2", "v4.3"): "36 of 80 reachable inputs change: pages that are host MMIO; guest CR0.CD, quirk CD_NW_CLEARED "
    "and guest MTRR type stop mattering there",
    (
        "v4.4",
        "v6.7",
    ): "5 of 80 reachable inputs change: pages that are not host MMIO, with non-coherent DMA, with guest "
    "CR0.CD set, with quirk CD_NW_CLEARED in force",
    ("v6.11", "v6.11-rc1"): "1 of 8 reachable inputs changes: pages that are not host MMIO, without non-coherent DMA, "
    "on a CPU with self-snoop",
    ("v6.11", "v6.16"): "1 of 8 reachable inputs changes: pages that are not host MMIO, without non-coherent DMA, with "
    "quirk IGNORE_GUEST_PAT disabled",
    ("v2.6.28", "v2.6.29"): "9 of 10 reachable inputs change; host MMIO and guest MTRR type start mattering there",
    ("kvm-mem-dma", "slot-honor-mtrr"): "75 of 320 reachable inputs change: pages that are not host MMIO; KVM_MEM_DMA "
    "in some slot stops mattering there; slot flag NON_COHERENT_DMA starts mattering there",
    ("v4.3", "v4.4"): "none of 80 reachable inputs changes: the rules of v4.3 and v4.4 return the same bytes",
}


@pytest.mark.parametrize("pair", SENTENCES, ids=" ".join)
def test_sentences(pair: tuple[str, str]) -> None:
    assert sentence(diff(kernel(pair[0]), kernel(pair[1]))) == SENTENCES[pair]


def test_what_matters_by_flipping_each_input() -> None:
    """An input matters there if another value of it, in a state with the same common conditions, changes the byte."""
    for before, after in itertools.permutations(NAMES, 2):
        found = diff(kernel(before), kernel(after))
        common = common_conditions(found)
        changes = list(found.changes)
        for item, values in common.items():
            at = found.inputs.index(item)
            assert {change.values[at] for change in changes} == set(values)
        matter: list[set[Input]] = [set(), set()]
        by_rest: dict[tuple[int, tuple[Value, ...]], list[tuple[int, int]]] = {}
        for number in members(found.reachable) if changes else ():
            state = values_at(found.space, number)
            if any(state[found.inputs.index(item)] not in values for item, values in common.items()):
                continue
            facts = Facts()
            for item, value in zip(found.inputs, state, strict=True):
                facts = with_value(facts, item, value)
            pair = (decide(found.before.rules, facts)[1], decide(found.after.rules, facts)[1])
            for at in range(len(state)):
                by_rest.setdefault((at, state[:at] + state[at + 1 :]), []).append(pair)
        for (at, _), siblings in by_rest.items():
            for side in (0, 1):
                if len({pair[side] for pair in siblings}) > 1:
                    matter[side].add(found.inputs[at])
        stops, starts = mattering(found)
        assert (set(stops), set(starts)) == (matter[0] - matter[1], matter[1] - matter[0])


def single(name: str, when: Condition, then: Outcome, rest: Outcome) -> RuleSet:
    return RuleSet(name, "", (Rule("one", when, then, ""), Rule("rest", And(()), rest, "")))


def test_more_sentences() -> None:
    all_change = diff(
        *(kernel_at((6, 10), single("x", Atom(CR0_CD), ept(MemType.WB, i), ept(MemType.WB, i)), "x") for i in (0, 1))
    )
    assert sentence(all_change) == "all 2 reachable inputs change"
    assert when_text(all_change.rows[0].when) == "always"
    flags = And((Atom(FLAG_NON_COHERENT_DMA), Not(Atom(Input("slot_flag", "READONLY")))))
    cases: dict[str, Condition] = {
        "slots with NON_COHERENT_DMA but without READONLY": flags,
        "slots without READONLY": Not(Atom(Input("slot_flag", "READONLY"))),
        "pages, on a CPU without self-snoop": Not(Atom(SELF_SNOOP)),
        "pages, while no slot has KVM_MEM_DMA": Not(Atom(Input("mem_dma"))),
        "pages, where `f(x)` holds": Atom(Input("assume", "f(x)")),
        "pages, where `f(x)` does not hold": Not(Atom(Input("assume", "f(x)"))),
        "pages, with `g()` WC": Atom(Input("assume_type", "g()"), MemType.WC),
    }
    for words, condition in cases.items():
        old = single("a", condition, ept(MemType.UC, 0), ept(MemType.WB, 0))
        new = single("b", condition, ept(MemType.WB, 0), ept(MemType.WB, 0))
        assert f"change: {words}" in sentence(diff(kernel_at((6, 10), old, "a"), kernel_at((6, 10), new, "b"))).replace(
            "changes", "change"
        )


def test_states_neither_kernel_reaches_are_left_out() -> None:
    """Left out and counted in a note; a state that one of them reaches stays."""
    snoop = Rule("x", And((Not(Atom(SELF_SNOOP)), Not(Atom(QUIRK_IGNORE_GUEST_PAT)))), ept(MemType.UC, 1), "")
    new = V6_16._replace(name="x", rules=insert_after(V6_16.rules, "mmio", snoop))
    same = diff(kernel_at((7, 3), V6_16, "a"), kernel_at((7, 3), new, "b"))
    assert (same.changed, same.total, same.left_out) == (0, 12, 4)
    why = "from 6.16 and 6.12.78 on, IGNORE_GUEST_PAT cannot be disabled on a CPU without self-snoop"
    assert noted(notes(same)) == (f"4 combinations left out: neither kernel can get there ({why})",)
    free = kernel_at((7, 3), new, "b")._replace(unreachable=())
    one_reaches = diff(kernel_at((7, 3), V6_16, "a"), free)
    assert (one_reaches.changed_count, one_reaches.total, one_reaches.left_out) == (2, 16, 0)
    # A quirk that neither has can't be disabled under either.
    neither_has = diff(kernel_at((6, 10), V6_16, "a"), kernel_at((6, 10), new, "b"))
    assert (neither_has.total, neither_has.left_out) == (8, 8)
    assert noted(notes(neither_has)) == (
        "8 combinations left out: neither kernel can get there (v6.16 has no quirk IGNORE_GUEST_PAT; x has no quirk "
        "IGNORE_GUEST_PAT)",
    )
    # IGNORE_GUEST_PAT off alone is reachable: self-snoop, which neither reads, may be there.
    unread = diff(kernel_at((7, 3), V6_16, "a"), kernel_at((6, 15), V6_11, "b"))
    assert (unread.total, unread.left_out) == (8, 0)


def test_states_left_out_make_rows_simpler() -> None:
    """A row may admit states that neither kernel can reach, and speaks of fewer inputs then."""
    where = And((Not(Atom(SELF_SNOOP)), Atom(QUIRK_IGNORE_GUEST_PAT)))
    sets = [
        single(name, where, ept(kind, 0), ept(MemType.WB, 0)) for name, kind in (("a", MemType.UC), ("b", MemType.WC))
    ]
    for free, text in ((False, "not self_snoop"), (True, "quirk IGNORE_GUEST_PAT and not self_snoop")):
        old, new = (kernel_at((7, 3), rules, rules.name) for rules in sets)
        if free:
            old, new = old._replace(unreachable=()), new._replace(unreachable=())
        (row,) = diff(old, new).rows
        assert (when_text(row.when), row.states) == (text, 1)


def test_lists_that_agree_while_the_walks_differ() -> None:
    """Rule sets whose lists agree but whose guest-MTRR walks differ compare as equal, with a note."""
    found = diff(kernel("v4.3"), kernel("v4.4"))
    assert not found.rows
    assert [difference.what for difference in found.around] == [
        "guest MTRR walk",
        "host MMIO test",
        "guest MTRRs limit the mapping level",
        "MTRR check past the fixed ranges",
        "page reserved or no struct page",
        "slot ids",
        "user space ends at",
        "slots above host maxphyaddr refused",
        "slots over KVM's own ones refused",
    ]
    assert str(found.around[0]).startswith("guest MTRR walk: 4.2 and 4.3: ")
    assert noted(notes(found)) == (
        "the rules agree, but the guest MTRR type itself is found another way: see guest MTRR walk",
    )


def test_what_differs_around() -> None:
    """A release, not the name of a set, which stands for its newest: so later rows change nothing here."""
    found = diff(kernel("kvm-mem-dma"), resolve("7.3"))
    assert [
        (d.what, d.before, d.after) for d in found.around if d.what not in ("guest MTRR walk", "host MMIO test")
    ] == [
        ("guest MTRRs limit the mapping level", "always", "never"),
        ("page reserved or no struct page", "mapped in 4K", "mapped as large as any"),
        ("largest page of a BAR under VFIO", "4K", "1G"),
        ("slot flags accepted", "LOG_DIRTY_PAGES, READONLY", "LOG_DIRTY_PAGES, READONLY, GUEST_MEMFD"),
        ("slot ids", "0 to 508", "0 to 32763"),
        ("GUEST_MEMFD on every VM", "no", "yes"),
        ("slots above host maxphyaddr refused", "no", "yes"),
        ("quirks known", "CD_NW_CLEARED", "CD_NW_CLEARED, IGNORE_GUEST_PAT"),
        (
            "states that can't be reached",
            "none",
            "not quirk IGNORE_GUEST_PAT and not self_snoop; "
            "quirk CD_NW_CLEARED in force (off from the start, and nothing turns it on)",
        ),
    ]


def test_one_memory_type_left_is_a_constant() -> None:
    old = single("a", Atom(GUEST_MTRR, MemType.WC), guest_mtrr(0), ept(MemType.WB, 0))
    new = single("b", And(()), ept(MemType.WB, 0), ept(MemType.WB, 0))
    (row,) = diff(kernel_at((6, 10), old, "a"), kernel_at((6, 10), new, "b")).rows
    assert (row.when, row.before, row.after) == ({GUEST_MTRR: (MemType.WC,)}, ept(MemType.WC, 0), ept(MemType.WB, 0))
    assert outcome_bytes(guest_mtrr(1), {}) == (0x40, 0x48, 0x60, 0x68, 0x70)


def test_a_list_that_does_not_end_is_an_error() -> None:
    broken = kernel_at((6, 10), V6_11._replace(name="x", rules=V6_11.rules[:-1]), "x")
    with pytest.raises(ValueError, match="no rule of x matches"):
        diff(kernel("v6.11"), broken)


def test_too_many_inputs_are_an_error() -> None:
    items = [Atom(Input("assume", f"f({n})")) for n in range(21)]
    wide = kernel_at((6, 10), single("x", And(tuple(items)), ept(MemType.UC, 0), ept(MemType.WB, 0)), "x")
    with pytest.raises(ValueError, match="21 inputs have 2097152 combinations"):
        diff(wide, wide)


def test_many_inputs_are_compared_in_a_moment() -> None:
    items = tuple(Atom(Input("assume", f"f({n})")) for n in range(16))
    old = single("a", And(items), ept(MemType.UC, 0), ept(MemType.WB, 0))
    new = single("b", And((*items, Atom(NONCOHERENT_DMA))), ept(MemType.UC, 0), ept(MemType.WB, 0))
    found = diff(kernel_at((6, 10), old, "a"), kernel_at((6, 10), new, "b"))
    assert (found.changed_count, found.total, len(found.rows)) == (1, 1 << 17, 1)
    assert next(found.changes).values == (False, *[True] * 16)


def test_a_text_assumed_in_two_ways_is_an_error() -> None:
    one = kernel_at((6, 10), single("a", Atom(Input("assume", "f")), ept(MemType.UC, 0), ept(MemType.WB, 0)), "a")
    other = kernel_at((6, 10), single("b", And(()), Outcome(0, Input("assume_type", "f")), ept(MemType.WB, 0)), "b")
    with pytest.raises(ValueError, match="`f` is assumed as a condition and as a memory type"):
        diff(one, other)


@settings(max_examples=30)
@given(st.data())
def test_states_are_numbered_as_itertools_product_does(data: st.DataObject) -> None:
    name, other = data.draw(st.sampled_from(NAMES)), data.draw(st.sampled_from(NAMES))
    found = diff(kernel(name), kernel(other))
    number = data.draw(st.integers(0, found.space.size - 1))
    values, facts = next(itertools.islice(states(found.inputs), number, None))
    assert values_at(found.space, number) == values
    assert isinstance(facts, Facts)
    assume(found.changed)
    assert list(members(found.changed)) == [n for n in range(found.space.size) if found.changed >> n & 1]
