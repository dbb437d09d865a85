# SPDX-License-Identifier: GPL-2.0-only
"""What a review asks: each remark is so in the state that it shows, and in as many as it says."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.diff import diff
from mtcalc.analysis.questions import QUESTIONS
from mtcalc.analysis.review import Remark, review
from mtcalc.rules.builtin import built_in_names
from mtcalc.rules.condition import And, Atom, Not, holds
from mtcalc.rules.inputs import (
    CR0_CD,
    GUEST_MTRR,
    MMIO,
    NONCOHERENT_DMA,
    Facts,
    HostPage,
    Input,
    Value,
    domain,
    with_value,
)
from mtcalc.rules.kernel import Kernel, kernel_at
from mtcalc.rules.rule import Outcome, Rule, RuleSet, decide, ept, guest_mtrr, inputs_read, insert_after
from mtcalc.x86.memtype import PAT_TYPES, Effective, MemType
from support.answers import lookup
from support.patches import kernel
from support.random_rules import ASSUMED, PLAIN, TYPED, can_reach, rule_sets, states

CACHED = {MemType.WT, MemType.WP, MemType.WB}
POOL = (MMIO, NONCOHERENT_DMA, CR0_CD, Input("slot_flag", "READONLY"), ASSUMED[0], *TYPED)

State: TypeAlias = Mapping[Input, Value]
Bytes: TypeAlias = tuple[int, int]
Changed: TypeAlias = dict[tuple[Value, ...], Bytes]


def changed_states(before: Kernel, after: Kernel, items: tuple[Input, ...]) -> Changed:
    """Every state that changes, with the bytes before and after, by asking the engine about each in turn."""
    found = {}
    for values, facts in states(items):
        if can_reach(before, items, facts) or can_reach(after, items, facts):
            old, new = decide(before.rules, facts)[1], decide(after.rules, facts)[1]
            if old != new:
                found[values] = (old, new)
    return found


def region_states(before: Kernel, after: Kernel, items: tuple[Input, ...], changed: Changed) -> Changed:
    """Every reachable state that has what all changed ones have in common, with both bytes."""
    seen = [{values[at] for values in changed} for at in range(len(items))]
    found = {}
    for values, facts in states(items):
        inside = all(value in some for value, some in zip(values, seen, strict=True))
        if inside and (can_reach(before, items, facts) or can_reach(after, items, facts)):
            found[values] = (decide(before.rules, facts)[1], decide(after.rules, facts)[1])
    return found


def reachable_states(before: Kernel, after: Kernel, items: tuple[Input, ...]) -> Changed:
    """Every state that one of the kernels reaches, with both bytes."""
    return {
        values: (decide(before.rules, facts)[1], decide(after.rules, facts)[1])
        for values, facts in states(items)
        if can_reach(before, items, facts) or can_reach(after, items, facts)
    }


def types_of(byte: int) -> dict[MemType, Effective | None]:
    """The effective type for each PAT type, as lookup answers it."""
    rules = RuleSet("x", "", (Rule("x", And(()), Outcome(byte), ""),))
    effective = {}
    for answer in lookup(kernel_at((6, 10), rules, "x"), Facts()):
        ((pat, kind),) = answer.effective
        effective[pat] = kind
    return effective


TYPES = {byte: types_of(byte) for byte in range(256)}


def gets_cached(pair: Bytes) -> set[MemType]:
    """PAT types with which memory was UC or WC, and is cached now."""
    old, new = TYPES[pair[0]], TYPES[pair[1]]
    return {pat for pat in old if old[pat] in (MemType.UC, MemType.WC) and new[pat] in CACHED}


def turned(pair: Bytes, old: MemType, new: MemType) -> set[MemType]:
    """PAT types with which memory was of one effective type, and is of another now."""
    return {pat for pat in TYPES[pair[0]] if (TYPES[pair[0]][pat], TYPES[pair[1]][pat]) == (old, new)}


def uncached(byte: int) -> bool:
    """Whether memory with that byte is UC or WC with some PAT type."""
    return not {MemType.UC, MemType.WC}.isdisjoint(TYPES[byte].values())


def differing(pair: Bytes) -> set[MemType]:
    return {pat for pat in TYPES[pair[0]] if TYPES[pair[0]][pat] != TYPES[pair[1]][pat]}


def ipat(byte: int) -> bool | None:
    """The ignore-PAT bit; None where the memory type is reserved."""
    return None if byte >> 3 & 7 in (2, 3, 7) else bool(byte & 0x40)


def flips(items: tuple[Input, ...], region: Changed, values: tuple[Value, ...], at: int, side: int) -> bool:
    """Whether another value of one input makes another byte there, in a state of the region too."""
    for value in domain(items[at]):
        sibling = region.get((*values[:at], value, *values[at + 1 :]))
        if sibling is not None and sibling[side] != region[values][side]:
            return True
    return False


Claim: TypeAlias = Callable[[State, Bytes, tuple[Value, ...]], bool]


def claims(before: Kernel, after: Kernel, items: tuple[Input, ...], changed: Changed) -> dict[str, Claim]:
    """What may be asked about the change, by the words it is asked in, and where each is so."""
    found: dict[str, Claim] = {}
    for byte in {new for _, new in changed.values()}:
        if byte >> 3 & 7 in (2, 3, 7):
            found[rf"{byte:#04x} is returned: memory type \d is reserved"] = lambda _, p, __, b=byte: p[1] == b  # type: ignore[misc]
        elif byte & 0x87:
            found[rf"{byte:#04x} is returned: .*stray bits"] = lambda _, p, __, b=byte: p[1] == b  # type: ignore[misc]
    found["becomes cacheable though guest CR0.CD is set"] = lambda s, p, _: (
        s.get(MMIO) is not True and s.get(CR0_CD) is True and bool(gets_cached(p))
    )
    found["becomes cacheable though the guest's MTRRs say UC or WC"] = lambda s, p, _: (
        s.get(MMIO) is not True
        and s.get(CR0_CD) is not True
        and s.get(GUEST_MTRR) in (MemType.UC, MemType.WC)
        and bool(gets_cached(p))
    )
    found["is cacheable no longer"] = lambda s, p, _: (
        s.get(MMIO) is not True and TYPES[p[0]][MemType.WB] in CACHED and TYPES[p[1]][MemType.WB] not in CACHED
    )
    found["host MMIO may become cacheable"] = lambda s, p, _: s.get(MMIO) is True and bool(gets_cached(p))
    found["host MMIO is touched"] = lambda s, _, __: s.get(MMIO) is True
    found["maps UC becomes WC"] = lambda _, p, __: (
        (TYPES[p[0]][MemType.UC], TYPES[p[1]][MemType.UC])
        == (
            MemType.UC,
            MemType.WC,
        )
    )
    found["was WC becomes UC"] = lambda _, p, __: bool(turned(p, MemType.WC, MemType.UC))
    found["was UC becomes WC"] = lambda _, p, __: (
        bool(turned(p, MemType.UC, MemType.WC)) and MemType.UC not in turned(p, MemType.UC, MemType.WC)
    )
    everywhere = reachable_states(before, after, items) if changed else {}
    guests = {at for at, item in enumerate(items) if item in (CR0_CD, GUEST_MTRR)}

    def alike(one: tuple[Value, ...], other: tuple[Value, ...]) -> bool:
        return all(a == b for at, (a, b) in enumerate(zip(one, other, strict=True)) if at not in guests)

    found["can now make RAM uncached"] = lambda s, p, v: (
        s.get(MMIO) is not True
        and s.get(NONCOHERENT_DMA) is not True
        and uncached(p[1])
        and not any(uncached(old) for other, (old, _) in everywhere.items() if alike(v, other))
    )

    @functools.cache
    def decided(at: int) -> set[tuple[Value, ...]]:
        """Where an input made another byte before: the states without it and the guest's own inputs."""
        return {
            tuple(value for n, value in enumerate(values) if n not in guests | {at})
            for values in everywhere
            if flips(items, everywhere, values, at, 0)
        }

    def newly(values: tuple[Value, ...], at: int) -> bool:
        """Whether another value of an input makes another byte now, and made none, whatever the guest's own state."""
        if tuple(value for n, value in enumerate(values) if n not in guests | {at}) in decided(at):
            return False
        for value in domain(items[at]):
            sibling = everywhere.get((*values[:at], value, *values[at + 1 :]))
            here = everywhere[values]
            if sibling is not None and sibling[0] == here[0] and sibling[1] != here[1]:
                return True
        return False

    found["of one vCPU decides? for all"] = lambda _, __, v: any(newly(v, at) for at in guests)
    for at, item in enumerate(items):
        if item.name == "slot_flag" and item not in inputs_read(before.rules):
            found[f"{item.arg} may be set on any slot"] = lambda s, _, v, at=at, item=item: (  # type: ignore[misc]
                s[item] is True and s.get(MMIO) is not True and newly(v, at)
            )
    # What 6.10 drops: all as non-coherent DMA comes or goes; nothing with a quirk; the rest with non-coherent DMA.
    kept: dict[Input, Callable[[State], bool]] = {
        CR0_CD: lambda s: s.get(NONCOHERENT_DMA) is not True or s.get(Input("quirk", "CD_NW_CLEARED")) is not False,
        GUEST_MTRR: lambda s: s.get(NONCOHERENT_DMA) is not True,
        Input("quirk", "CD_NW_CLEARED"): lambda _: True,
    }
    found["stale entries stay"] = lambda s, _, v: any(
        newly(v, at) and kept[item](s) for at, item in enumerate(items) if item in kept
    )
    found["PAT is newly honoured"] = lambda _, p, __: (ipat(p[0]), ipat(p[1])) == (True, False)
    found["PAT is honoured no longer"] = lambda _, p, __: (ipat(p[0]), ipat(p[1])) == (False, True)
    region = region_states(before, after, items, changed) if changed else {}
    matter = [
        {at for at in range(len(items)) for values in region if flips(items, region, values, at, side)}
        for side in (0, 1)
    ]
    for side, verb in ((0, "stops?"), (1, "starts?")):
        mine = matter[side] - matter[1 - side]
        found[rf"{verb} mattering there"] = lambda _, __, v, m=mine, s=side: any(  # type: ignore[misc]
            flips(items, region, v, at, s) for at in m
        )
    nowhere = [
        {at for at in range(len(items)) for values in everywhere if flips(items, everywhere, values, at, side)}
        for side in (0, 1)
    ]
    lost = nowhere[0] - nowhere[1] - (matter[0] - matter[1])
    found["nowhere any longer"] = lambda _, __, v: any(flips(items, everywhere, v, at, 0) for at in lost)
    split = after.split_when
    stops = {items[at] for at in matter[0] - matter[1]}
    if GUEST_MTRR in stops and split is not None and NONCOHERENT_DMA in items:
        found["still limit the mapping level"] = lambda s, _, __: s[NONCOHERENT_DMA] is True
    for item in set(inputs_read(after.rules)) - set(inputs_read(before.rules)):
        words = "guest MTRR type" if item == GUEST_MTRR else f"`{item.arg}`" if item.name != "slot_flag" else item.arg
        found[re.escape(words if item.arg or item == GUEST_MTRR else NAMED[item]) + r"(: \d+ changes?\b|$)"] = (
            lambda *_: True
        )
    return found


NAMED = {MMIO: "host MMIO", NONCOHERENT_DMA: "non-coherent DMA", CR0_CD: "guest CR0.CD"}


def dead(rules: RuleSet) -> dict[str, Rule]:
    """The rules that are never the first to match."""
    seen = {decide(rules, facts)[0].id for _, facts in states(inputs_read(rules))}
    return {rule.id: rule for rule in rules.rules if rule.id not in seen}


def check_remarks(before: Kernel, after: Kernel) -> tuple[Remark, ...]:
    """Every remark is so, and nothing that is so is left unasked."""
    found = diff(before, after)
    changed = changed_states(before, after, found.inputs)
    remarks = review(found)
    assert {remark.code for remark in remarks} <= set(QUESTIONS)
    asked = [remark for remark in remarks if remark.kind != "dead rule"]
    for words, is_so in claims(before, after, found.inputs, changed).items():
        there = {
            values: pair
            for values, pair in changed.items()
            if is_so(dict(zip(found.inputs, values, strict=True)), pair, values)
        }
        mine = [remark for remark in asked if re.search(words, remark.text)]
        assert len(mine) == bool(there), words
        for remark in mine:
            asked.remove(remark)
            check_example(remark, there, found.inputs)
            assert remark.states == len(there), words
    assert not asked, "a remark that nothing shows"
    check_sides(remarks, found.inputs, changed)
    gone = {rule.when for rule in dead(before.rules).values()}
    new = [name for name, rule in dead(after.rules).items() if rule.when not in gone]
    assert [remark.rule for remark in remarks if remark.kind == "dead rule"] == new
    return remarks


def check_example(remark: Remark, there: Changed, items: tuple[Input, ...]) -> None:
    """The example is one of the states that show it, and the PAT type named shows it."""
    assert remark.example is not None
    assert there[remark.example.values] == (remark.example.before, remark.example.after)
    pair = there[remark.example.values]
    if "cacheable no longer" in remark.text:
        assert remark.pat is MemType.WB
    elif "cacheable" in remark.text.split(":")[0]:
        assert remark.pat in gets_cached(pair)
    elif remark.code == "uncached-ram":
        assert remark.pat is not None
        assert TYPES[pair[1]][remark.pat] in {MemType.UC, MemType.WC}
    elif remark.pat is not None:
        assert remark.pat in differing(pair)
    assert remark.pat is not None or remark.kind not in ("pat", "cacheable")


def check_sides(remarks: Iterable[Remark], items: tuple[Input, ...], changed: Changed) -> None:
    """A new condition, and how many changes are on either side of it."""
    for remark in remarks:
        said = re.fullmatch(r"new condition, (.+): (\d+) changes? where it holds, (\d+) where it does not", remark.text)
        if said:
            (at,) = [n for n, item in enumerate(items) if said[1] in (NAMED.get(item), f"`{item.arg}`", words_of(item))]
            sides = [sum(values[at] is side for values in changed) for side in (True, False)]
            assert [int(said[2]), int(said[3])] == sides


def words_of(item: Input) -> str:
    return f"slot flag {item.arg}" if item.name == "slot_flag" else f"quirk {item.arg}"


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Kernel, Kernel]:
    pool = draw(st.lists(st.sampled_from(POOL), min_size=1, max_size=4, unique=True))
    old, new = (kernel_at((6, 10), draw(rule_sets(pool)), name) for name in ("a", "b"))
    return old, new


@settings(max_examples=30, deadline=None)
@given(pairs())
def test_random_pairs(pair: tuple[Kernel, Kernel]) -> None:
    """It says nothing it can't show a row for; and what a careful reviewer would ask, it asks."""
    check_remarks(*pair)


VM_WIDE = [PLAIN[at] for at in (0, 1, 3)]


@settings(max_examples=25, deadline=None)
@given(rule_sets((*VM_WIDE, GUEST_MTRR)), rule_sets((*VM_WIDE[:2], GUEST_MTRR)))
def test_random_pairs_that_read_what_kvm_reads(old: RuleSet, new: RuleSet) -> None:
    check_remarks(kernel_at((6, 10), old, "a"), kernel_at((6, 10), new, "b"))


def loses_host_mmio(before: Kernel, after: Kernel) -> bool:
    """Whether a host page is MMIO before and not after, page by page."""
    bools = (False, True)
    pages = (HostPage(*page) for page in itertools.product(bools, bools, bools, PAT_TYPES, bools, bools))
    return any(decide(before.mmio_test, page)[1] and not decide(after.mmio_test, page)[1] for page in pages)


@pytest.mark.parametrize("name", built_in_names())
def test_built_in_pairs_are_asked_about_alike(name: str) -> None:
    """Whatever changed is in the changed states with the bytes that the engine gives."""
    for other in built_in_names():
        found = diff(kernel(name), kernel(other))
        changed = changed_states(kernel(name), kernel(other), found.inputs)
        remarks = review(found)
        of_pages = [remark for remark in remarks if remark.code == "host-mmio-lost"]
        assert bool(of_pages) is loses_host_mmio(kernel(name), kernel(other))
        rest = [remark for remark in remarks if remark not in of_pages]
        assert not rest or changed
        for remark in rest:
            assert remark.example is not None
            assert changed[remark.example.values] == (remark.example.before, remark.example.after)
            assert 0 < remark.states <= len(changed)


# Each kind provoked by one change of v6.7's rules.

WB, UC = MemType.WB, MemType.UC


def v6_7_with(*new: Rule, behind: str = "mmio", without: str = "") -> Kernel:
    base = kernel("v6.7")
    rules = insert_after(base.rules.rules, behind, *new)
    return base._replace(rules=base.rules._replace(rules=tuple(rule for rule in rules if rule.id != without)))


READONLY = Atom(Input("slot_flag", "READONLY"))
PROVOKED: dict[str, tuple[Kernel, str, int]] = {
    "a forgotten shift": (
        v6_7_with(Rule("x", READONLY, Outcome(0x06), "")),
        "0x06 is returned: UC, stray bits 0x06, which end up in the entry (was a shift forgotten?)",
        40,
    ),
    "a reserved type": (
        v6_7_with(Rule("x", READONLY, Outcome(0x10), "")),
        "0x10 is returned: memory type 2 is reserved, an EPT misconfiguration",
        40,
    ),
    "host MMIO WB": (
        v6_7_with(Rule("x", Atom(MMIO), ept(WB, 0), ""), without="mmio"),
        "host MMIO may become cacheable: device memory mapped cacheable can raise a machine check",
        40,
    ),
    "host MMIO another way": (
        v6_7_with(Rule("x", Atom(MMIO), ept(UC, 1), ""), without="mmio"),
        "host MMIO is touched: is that meant?",
        40,
    ),
    "CR0.CD without effect": (
        v6_7_with(without="cd"),
        "guest memory becomes cacheable though guest CR0.CD is set: is that meant?",
        3,  # quirk off: UC becomes the guest's MTRR type, WT, WP or WB
    ),
    "MTRRs without effect": (
        v6_7_with(Rule("x", READONLY, ept(WB, 0), "")),
        "guest memory becomes cacheable though the guest's MTRRs say UC or WC: is that meant?",
        4,
    ),
    "PAT honoured": (
        v6_7_with(Rule("x", READONLY, ept(WB, 0), ""), behind="mmio"),
        "the guest's PAT is newly honoured: the host maps RAM WB, so another type in the guest is an alias",
        25,
    ),
    "PAT honoured no longer": (
        v6_7_with(Rule("x", READONLY, ept(WB, 1), "")),
        "the guest's PAT is honoured no longer: what drivers map WC or UC they don't get",
        15,
    ),
    "mapping level still split": (
        v6_7_with(Rule("x", READONLY, ept(WB, 0), "")),
        "the guest's MTRRs still limit the mapping level there (noncoherent_dma)",
        13,
    ),
    "a new predicate": (
        v6_7_with(Rule("x", Not(Atom(Input("assume", "kvm_own(vcpu)"))), ept(WB, 0), "")),
        "new condition, `kvm_own(vcpu)`: 0 changes where it holds, 33 where it does not",
        33,
    ),
    "a new memory type": (
        v6_7_with(Rule("x", READONLY, Outcome(0, Input("assume_type", "own(gfn)")), "")),
        "new memory type, `own(gfn)`",
        185,  # without N 100; with N 40 with CD clear, 20 with the quirk, 25 without
    ),
    "inputs that stop mattering": (
        v6_7_with(Rule("x", READONLY, ept(WB, 0), "")),
        "non-coherent DMA, guest CR0.CD, quirk CD_NW_CLEARED, guest MTRR type stop mattering there: is that said?",
        33,  # all of them: without N it is 0x70, which it is nowhere with N
    ),
    "an input that matters nowhere any longer": (
        v6_7_with(without="cd-quirk"),
        "quirk CD_NW_CLEARED matters nowhere any longer: is that said?",
        5,
    ),
    "an input that starts mattering": (
        v6_7_with(Rule("x", And((READONLY, Not(Atom(NONCOHERENT_DMA)))), guest_mtrr(0), "")),
        "guest MTRR type starts mattering there: is that said?",
        20,
    ),
}


@pytest.mark.parametrize("what", PROVOKED)
def test_provoked(what: str) -> None:
    """One change of v6.7's rules, one question about it, and in how many of the changed states it stands."""
    after, text, count = PROVOKED[what]
    found = diff(kernel("v6.7"), after)
    (remark,) = [remark for remark in review(found) if remark.text == text]
    assert remark.states == count


def test_a_rule_that_can_never_match() -> None:
    late = v6_7_with(Rule("x", And((Atom(MMIO), READONLY)), ept(WB, 0), ""))
    (remark,) = review(diff(kernel("v6.7"), late))
    assert remark == Remark("dead-rule", "rule 'x' never matches: 'mmio' catches all of it before", 0, None, None, "x")
    # One that could not match before either is not this change's.
    later = late._replace(rules=late.rules._replace(rules=insert_after(late.rules.rules, "x", EXTRA)))
    assert "dead rule" not in {remark.kind for remark in review(diff(late, later))}
    assert {remark.rule for remark in review(diff(kernel("v6.7"), later))} >= {"x"}


EXTRA = Rule("extra", READONLY, guest_mtrr(0), "")


def test_nothing_changes_nothing_is_asked() -> None:
    for name in built_in_names():
        assert review(diff(kernel(name), kernel(name))) == ()
    # Equal lists of rules; the kernel around the later one has another host-MMIO test.
    assert [remark.code for remark in review(diff(kernel("v4.3"), kernel("v4.4")))] == ["host-mmio-lost"]


def test_the_gravest_comes_first() -> None:
    worst = v6_7_with(Rule("x", Atom(MMIO), Outcome(0x06), ""), Rule("y", READONLY, ept(WB, 0), ""), without="mmio")
    kinds = [remark.kind for remark in review(diff(kernel("v6.7"), worst))]
    order = (
        *("byte", "cacheable", "mmio", "combining", "uncached ram", "pat", "slot flag"),
        *("input", "mapping level", "new input", "dead rule"),
    )
    assert kinds == sorted(kinds, key=order.index)
    assert kinds[0] == "byte"


def test_the_example_is_as_plain_a_vm_as_can_show_it() -> None:
    """Inputs are as a plain VM has them unless they have a part in it."""
    remarks = {remark.kind: remark for remark in review(diff(kernel("v6.7"), kernel("slot-flag")))}
    found = diff(kernel("v6.7"), kernel("slot-flag"))
    example = remarks["pat"].example
    assert example is not None
    facts = Facts()
    for item, value in zip(found.inputs, example.values, strict=True):
        facts = with_value(facts, item, value)
    assert facts == Facts(slot_flags=8)


def test_mapping_level_is_asked_about_where_the_kernel_around_splits() -> None:
    remarks = review(diff(kernel("v6.7"), kernel("slot-flag")))
    (remark,) = [remark for remark in remarks if remark.kind == "mapping level"]
    split = kernel("slot-flag").split_when
    assert split is not None
    assert holds(split, Facts(noncoherent_dma=True))
    assert remark.states == 13
    assert "mapping level" not in {remark.kind for remark in review(diff(kernel("v6.7"), kernel("v6.11")))}
