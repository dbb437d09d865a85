# SPDX-License-Identifier: GPL-2.0-only
"""Pages against a second model, ranges and segments against pages, the recorded VMs against KVM."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.host_mmio import MMIO, Backing
from mtcalc.kvm.mapping_level import is_determined
from mtcalc.kvm.vm import Slot, Vm, reset_free_mtrrs
from mtcalc.refs.resolve import resolve
from mtcalc.scenario.load import load_scenario
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import Mtrrs, VariableRange
from support.notes import noted
from support.program import DATA
from support.random_vms import END, PAGE, Expected, RandomVm, expected_page, random_vms
from support.vectors import live_entries, sized_live_entries

ISSUE_MTRRS = Mtrrs(
    True,
    False,
    MemType.WB,
    (MemType.UC,) * 88,
    (VariableRange(6, (1 << 46) - (4 << 30) | 0x800), VariableRange(3 << 30, (1 << 46) - (1 << 30) | 0x800)),
    46,
)
"""WB over [0, 4G) with UC over [3G, 4G): KVM reads WB at 3G, the manual UC."""


def interesting(case: RandomVm) -> list[int]:
    """Pages at and next to every edge there is, and some between."""
    edges = {0, 0x80000, 0xA0000, 0xC0000, 0xC1000, 0x100000, 1 << 21, 1 << 30, END}
    edges.update(edge for slot in case.slots for edge in (slot.gpa, slot.end))
    for base, mask in case.regs.variable:
        edges.update((base >> 12 << 12, (base | END - 1 & ~mask | 0xFFF) + 1))
    near = {edge + step for edge in edges for step in (-PAGE, 0, PAGE, 1 << 21, -1 << 21)}
    return sorted(gpa for gpa in near if 0 <= gpa < END)


def as_expected(answer: Answer) -> Expected | None:
    """An answer as the model says it."""
    if answer.slot is None:
        assert (answer.facts, answer.rule, answer.byte, answer.level, answer.effective) == (None,) * 4 + ((),)
        return None
    assert answer.facts is not None
    assert answer.level is not None
    effective = tuple(str(kind) for _, kind in answer.effective)
    return Expected(answer.slot.name, answer.guest_mtrr, answer.byte, effective, LEVEL_NAMES[answer.level])


@settings(max_examples=80)
@given(random_vms())
def test_a_page_gets_what_the_model_says(case: RandomVm) -> None:
    """Host MMIO test, MTRR walk, rules, effective type and mapping level, each by the kernel chosen."""
    evaluator = case.evaluator()
    for gpa in interesting(case):
        assert as_expected(evaluator.page(gpa)) == expected_page(case, gpa)


def blocks(start: int, end: int, limit: int = 300) -> Iterator[int]:
    """The first page of [start, end), and of each 2M block that begins in it; of many, evenly some."""
    starts = range((start | (1 << 21) - 1) + 1, end, 1 << 21)
    yield start
    yield end - PAGE
    yield from starts[:: max(1, len(starts) // limit)]
    yield from range((start | (1 << 30) - 1) + 1, end, 1 << 30)


@settings(max_examples=50)
@given(random_vms())
def test_a_range_says_what_its_pages_say(case: RandomVm) -> None:
    """A range is cut where slot, guest MTRR type or EPT byte change; its level is the largest that a page in it can
    get."""
    evaluator = case.evaluator()
    ranges = list(evaluator.ranges())
    probes = interesting(case)
    # Slots in the order given, each tiled exactly.
    tiles = [(answer.slot, answer.gpa or 0, (answer.end or 0) + 1) for answer in ranges]
    whole = [(slot, pieces[0][1], pieces[-1][2]) for slot, pieces in _by_slot(tiles)]
    assert whole == [(slot, slot.gpa, slot.end) for slot in case.slots]
    for before, after in itertools.pairwise(ranges):
        if before.slot == after.slot:
            assert before.end is not None
            assert after.gpa == before.end + 1
            assert before.facts is not None
            assert after.facts is not None
            # Neighbours differ.
            assert (before.facts.guest_mtrr, before.byte) != (after.facts.guest_mtrr, after.byte)
    for answer, (slot, start, end) in zip(ranges, tiles, strict=True):
        if slot is None or slot.address_space:
            continue
        inside = [gpa for gpa in probes if start <= gpa < end]
        pages = [evaluator.page(gpa) for gpa in {*inside, *blocks(start, end)}]
        said = {(page.slot, page.facts, page.rule, page.byte, page.effective) for page in map(_hashable, pages)}
        mine = _hashable(answer)
        assert said == {(mine.slot, mine.facts, mine.rule, mine.byte, mine.effective)}
        assert max(page.level or 0 for page in pages) == answer.level


def _by_slot(tiles: list[tuple[Slot | None, int, int]]) -> Iterator[tuple[Slot | None, list[Any]]]:
    for slot, pieces in itertools.groupby(tiles, key=lambda tile: tile[0]):
        yield slot, list(pieces)


def _hashable(answer: Answer) -> Answer:
    assert answer.facts is not None
    return answer._replace(facts=answer.facts._replace(assume=()))  # type: ignore[arg-type]


@settings(max_examples=50)
@given(random_vms(), st.randoms(use_true_random=False))
def test_a_segment_answers_as_one_page(case: RandomVm, random: Any) -> None:
    """page() is constant on each segment, but for the address itself."""
    evaluator = case.evaluator()
    starts = evaluator.segments()
    if starts is None:
        return  # masks with holes: each address is its own
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    for start, end in itertools.pairwise([*starts, END]):
        first = evaluator.page(start)
        for gpa in (end - 1, end - PAGE, random.randrange(start, end)):
            assert evaluator.page(gpa)._replace(gpa=start) == first


@cache
def live_evaluator(run: str) -> Evaluator:
    """A recorded VM under its own kernel."""
    path = DATA / "live" / f"{run}.yaml"
    scenario = load_scenario(path.read_text(), str(path))
    assert scenario.rules
    return Evaluator(resolve(scenario.rules), scenario.vm, scenario.slots)


def test_every_entry_that_kvm_wrote_is_the_answer() -> None:
    """539 leaf entries of 17 recorded VMs, byte for byte; none maps more than `level` says."""
    entries = live_entries()
    assert len(entries) == 539
    assert len({entry["run"] for entry in entries}) == 17
    for entry in entries:
        answer = live_evaluator(entry["run"]).page(int(entry["gpa"], 16))
        assert answer.byte == int(entry["mask"], 16), entry
        assert answer.level is not None
        assert entry["level"] <= answer.level, entry
        assert int(entry["spte"], 16) & 0x78 == answer.byte, entry


def test_every_entry_of_5_10_and_7_3_has_byte_and_level_of_the_answer() -> None:
    """396 leaf entries of 16 recorded VMs; host addresses and page sizes are said, so the level is determined."""
    entries = sized_live_entries()
    assert len(entries) == 396
    assert len({entry["run"] for entry in entries}) == 16
    for entry in entries:
        answer = live_evaluator(entry["run"]).page(int(entry["gpa"], 16))
        assert answer.byte == int(entry["mask"], 16), entry
        assert answer.level == entry["level"], entry
        assert int(entry["spte"], 16) & 0x78 == answer.byte, entry
        assert answer.slot is not None
        assert answer.level is not None
        assert is_determined(answer.slot, answer.level), entry
    assert {entry["level"] for entry in entries} == {1, 2, 3}


def test_beyond_the_guests_maxphyaddr_is_an_error() -> None:
    evaluator = Evaluator(resolve("v6.7"), Vm(maxphyaddr=40), (Slot(0, PAGE, "ram"),))
    assert evaluator.page((1 << 40) - 1).slot is None
    with pytest.raises(
        ValueError, match=r"^0x10000000000 is beyond the guest's maxphyaddr 40 \(at most 0xffffffffff\)$"
    ):
        evaluator.page(1 << 40)


def test_more_mtrr_pairs_than_kvm_has_leave_the_manuals_view_alone() -> None:
    mtrrs = Mtrrs(True, False, MemType.WB, (MemType.UC,) * 88, (VariableRange(0, 0),) * 10, 46)
    slots = (Slot(0, PAGE, "ram"),)
    with pytest.raises(ValueError, match=r"^10 variable MTRRs, and KVM gives a guest 8 \(only the manual's view"):
        Evaluator(resolve("v6.7"), Vm(mtrrs=mtrrs), slots)
    assert Evaluator(resolve("v6.16"), Vm(mtrrs=mtrrs), slots).page(0).byte == 0x70


def test_a_note_says_where_kvm_and_the_manual_part() -> None:
    """UC over WB at a higher base is visited first, and the later WB falls through."""
    vm = Vm(noncoherent_dma=True, mtrrs=ISSUE_MTRRS)
    evaluator = Evaluator(resolve("v6.7"), vm, (Slot(0, 4 << 30, "ram"),))
    note = "guest MTRRs: KVM reads WB, the manual says UC"
    assert noted(evaluator.page(0xC0000000).notes) == (note,)
    assert noted(evaluator.page(0xBFFFFFFF).notes) == ()
    (whole,) = evaluator.ranges()
    assert noted(whole.notes)[0] == "guest MTRRs at 0xc0000000: KVM reads WB, the manual says UC"


def test_undefined_overlaps_are_named() -> None:
    full = (1 << 46) - (1 << 30) | 0x800
    mtrrs = ISSUE_MTRRS._replace(variable=(VariableRange(1, full), VariableRange(4, full)))
    evaluator = Evaluator(resolve("v6.7"), Vm(noncoherent_dma=True, mtrrs=mtrrs), (Slot(0, PAGE, "ram"),))
    assert noted(evaluator.page(0).notes) == ("guest MTRRs: KVM reads WB, the manual leaves it undefined",)


def test_reserved_ram_mapped_wb_earns_a_warning() -> None:
    """The VGA window counts as RAM; device memory mapped WB can raise a machine check."""
    slot = Slot(0xA0000, 0x20000, "vga", backing=Backing(reserved=True))
    (note,) = noted(Evaluator(resolve("v6.16"), Vm(), (slot,)).page(0xA0000).notes)
    assert "mapped WB, ignore PAT; if it is device memory, such as the VGA window, expect machine checks" in note
    assert not noted(Evaluator(resolve("v4.4"), Vm(), (slot._replace(backing=Backing()),)).page(0xA0000).notes)
    uncached = slot._replace(backing=Backing(reserved=True, host_type=MemType.UC_MINUS))
    assert not noted(Evaluator(resolve("v6.16"), Vm(), (uncached,)).page(0xA0000).notes)


def test_memory_that_mtrrs_call_uncached_and_kvm_does_not() -> None:
    mtrrs = ISSUE_MTRRS._replace(variable=(), default=MemType.UC)
    slots = (Slot(0, PAGE, "ram"), Slot(PAGE, PAGE, "blob", 1, flags=8))
    plain, flagged = Evaluator(resolve("slot-flag"), Vm(mtrrs=mtrrs), slots).ranges()
    says = "the guest's MTRRs say UC; this rule does not look at them: memory is"
    assert f"{says} WB all the same" in noted(plain.notes)
    assert f"{says} what the guest's PAT says" in noted(flagged.notes)


def test_what_kvm_alone_reads_is_not_said_of_the_guest() -> None:
    """With FE=0 the manual passes over the fixed ranges; KVM up to 4.1 takes them, of type UC, where E is set."""
    mtrrs = ISSUE_MTRRS._replace(variable=())
    slots = (Slot(0, 4 << 20, "ram"),)
    note = "the guest's MTRRs say UC, as KVM reads them; this rule does not look at them: memory is WB all the same"
    below, above = Evaluator(resolve("4.1"), Vm(mtrrs=mtrrs), slots).ranges()
    assert (note in noted(below.notes), note in noted(above.notes)) == (True, False)
    assert note not in noted(Evaluator(resolve("4.4"), Vm(mtrrs=mtrrs), slots).page(0).notes)


def test_masks_with_holes_have_no_segments() -> None:
    mtrrs = ISSUE_MTRRS._replace(variable=(VariableRange(0, 0x1800),))
    evaluator = Evaluator(resolve("v4.1"), Vm(noncoherent_dma=True, mtrrs=mtrrs), (Slot(0, 1 << 40, "ram"),))
    assert evaluator.segments() is None
    with pytest.raises(ValueError, match=r"more than 65536 pieces \(ask for single addresses with --gpa\)$"):
        list(evaluator.ranges())
    assert evaluator.page(0x201000).byte == 0x30  # by the default type: bit 12 is in the mask
    assert evaluator.page(0x200000).byte == 0x00


# What answers say besides.


def notes_of(ref: str, vm: Vm, slot: Slot, gpa: int | None = None) -> str:
    evaluator = Evaluator(resolve(ref), vm, (slot,))
    answers = list(evaluator.ranges()) if gpa is None else [evaluator.page(gpa)]
    return "\n".join(note for answer in answers for note in noted(answer.notes))


@pytest.mark.parametrize(
    ("backing", "said"),
    [
        (Backing(reserved=True), "a reserved host page tracked WB counts as RAM and is mapped WB, ignore PAT"),
        (
            Backing(reserved=True, host_type=MemType.WT),
            "a reserved host page tracked WT counts as RAM and is mapped WB",
        ),
        (Backing(reserved=True, zero_page=True), ""),
        (Backing(), ""),
        (Backing(reserved=True, host_type=MemType.UC), ""),
    ],
)
def test_reserved_pages_that_count_as_ram(backing: Backing, said: str) -> None:
    """Reserved pages tracked WB count as RAM; the zero page is no device memory."""
    notes = notes_of("6.1", Vm(), Slot(0, 0x1000, "page", backing=backing))
    assert said in notes
    assert bool(said) is ("machine checks" in notes)


@pytest.mark.parametrize(("ref", "said"), [("4.1", False), ("4.2", True), ("4.3", True), ("4.4", False)])
@pytest.mark.parametrize(
    ("gpa", "pair7", "text"),
    [
        (0x1000, VariableRange(0, 0), "misread the fixed ranges below 1M"),
        (0xC1000, VariableRange(0, 0), "misread the fixed ranges below 1M"),
        (0x1000, VariableRange(6, 0), "pairs 6 and 7 have changed: the guest MTRR type is unknown"),
        (0xA7000, VariableRange(6, 0x800), "pairs 6 and 7 have changed: the guest MTRR type is unknown"),
        (0, VariableRange(6, 0), ""),
        (0x80000, VariableRange(6, 0), ""),
        (0xC0000, VariableRange(6, 0), ""),
        (1 << 20, VariableRange(6, 0), ""),
    ],
)
def test_the_fixed_ranges_of_4_2_and_4_3_are_noted(
    ref: str, said: bool, gpa: int, pair7: VariableRange, text: str
) -> None:
    mtrrs = reset_free_mtrrs(46)._replace(fixed_enabled=True)
    mtrrs = mtrrs._replace(variable=(*mtrrs.variable[:7], pair7))
    notes = notes_of(ref, Vm(mtrrs=mtrrs), Slot(0, 2 << 20, "low"), gpa)
    assert ("fixed range" in notes or "unknown" in notes) is (said and bool(text))
    assert (bool(text) and text in notes) is (said and bool(text))


@pytest.mark.parametrize(("rules", "byte"), [("v4.3", None), ("v4.4", 0x28)])
def test_a_byte_that_hangs_on_an_unknown_type_is_unknown(rules: str, byte: int | None) -> None:
    """Where 4.2 and 4.3 read garbage no type is claimed; a rule that does not look at it answers all the same."""
    mtrrs = reset_free_mtrrs(46)._replace(fixed_enabled=True, fixed=(MemType.WP,) * 88)
    mtrrs = mtrrs._replace(variable=(*mtrrs.variable[:7], VariableRange(6, 0x800)))
    for dma in (True, False):
        vm = Vm(noncoherent_dma=dma, mtrrs=mtrrs)
        answer = Evaluator(resolve(rules), vm, (Slot(0, 1 << 20, "low"),)).page(0x5000)
        assert answer.guest_mtrr == ("unknown" if byte is None else "WP")
        assert answer.byte == (byte if dma else 0x70)
        wanted = {None} if dma and byte is None else {MemType.WB} if not dma else None
        assert wanted is None or {kind for _, kind in answer.effective} == wanted


@pytest.mark.parametrize(
    ("ref", "level", "said"),
    [("4.2", 1, True), ("4.6", 1, True), ("4.7", 1, False), ("4.1", 3, False), ("6.12", 3, False)],
)
def test_the_stray_cursor_up_to_4_6_is_noted(ref: str, level: int, said: bool) -> None:
    """Fixed ranges all of one type, and the check goes on to the variable ones."""
    mtrrs = reset_free_mtrrs(46)._replace(fixed_enabled=True, default=MemType.WC)
    vm = Vm(mtrrs=mtrrs)
    slot = Slot(0, 1 << 30, "ram")
    for gpa in (0, 0x1FF000, 0x200000):
        assert ("stray cursor" in notes_of(ref, vm, slot, gpa)) is said
    assert "stray" not in notes_of(ref, vm, slot._replace(size=1 << 29), 0x200000)
    mixed = mtrrs._replace(fixed=(MemType.WB, *mtrrs.fixed[1:]))
    assert "stray" not in notes_of(ref, vm._replace(mtrrs=mixed), slot, 0)


BAR = Slot(64 << 30, 4 << 30, "bar", backing=MMIO)


@pytest.mark.parametrize(
    ("ref", "page_level", "level", "note"),
    [
        ("4.1", None, "4K", ""),
        ("5.19", None, "4K", ""),
        ("5.19", 3, "4K", ""),
        ("6.0", None, "4K", "BAR taken as mapped in 4K pages"),
        ("6.0", 3, "1G", ""),
        ("6.8", None, "4K", "BAR taken as mapped in 4K pages"),
        ("slot-flag", None, "4K", "BAR taken as mapped in 4K pages"),
        ("6.11", None, "4K", "BAR taken as mapped in 4K pages"),
        ("6.11", 2, "2M", ""),
        ("6.12", None, "1G", "BAR taken as mapped as large as fits"),
        ("6.12", 1, "4K", ""),
        ("7.3", None, "1G", "BAR taken as mapped as large as fits"),
        ("7.3", 2, "2M", ""),
    ],
)
def test_the_level_of_a_bar_and_what_it_rests_on(ref: str, page_level: int | None, level: str, note: str) -> None:
    """Up to 5.19 a page without struct page is mapped in 4K; VFIO maps BARs huge from 6.12 on."""
    slot = BAR._replace(backing=MMIO._replace(page_level=page_level))
    evaluator = Evaluator(resolve(ref), Vm(), (slot,))
    (whole,) = evaluator.ranges()
    for answer in (evaluator.page(64 << 30), whole):
        assert answer.level is not None
        assert LEVEL_NAMES[answer.level] == level
        assert [text for text in noted(answer.notes) if "BAR" in text] == [
            text for text in noted(answer.notes) if note and note in text
        ]
        assert any("BAR" in text for text in noted(answer.notes)) is bool(note)


def test_a_bar_too_small_for_a_large_page_needs_no_note() -> None:
    for ref in ("6.8", "6.12"):
        assert "BAR" not in notes_of(ref, Vm(), BAR._replace(size=1 << 20))


def test_10_pairs_in_3_16_alone() -> None:
    mtrrs = reset_free_mtrrs(46)._replace(variable=(*[VariableRange(0, 0)] * 9, VariableRange(4, 0x800)))
    slots = (Slot(1 << 20, PAGE, "ram"),)
    answer = Evaluator(resolve("3.16"), Vm(noncoherent_dma=True, mtrrs=mtrrs), slots).page(1 << 20)
    assert (answer.guest_mtrr, answer.byte) == ("WT", 0x20)
    for ref in ("3.14", "3.18", "4.4"):
        with pytest.raises(ValueError, match="10 variable MTRRs, and KVM gives a guest 8"):
            Evaluator(resolve(ref), Vm(mtrrs=mtrrs), slots)
    many = "10 variable pairs: KVM gives a guest 8, so only the manual's view exists"
    assert many in noted(Evaluator(resolve("6.16"), Vm(mtrrs=mtrrs), slots).page(1 << 20).notes)


def test_what_lies_beyond_the_guests_address_width() -> None:
    """The guest has no such address, so the manual says nothing of it."""
    mtrrs = reset_free_mtrrs(36)._replace(variable=(VariableRange(0x8_0000_0000, 0xF_8000_0800),) * 8)
    vm = Vm(noncoherent_dma=True, maxphyaddr=36, mtrrs=mtrrs)
    notes = notes_of("6.1", vm, Slot(60 << 30, 8 << 30, "high"))
    assert "the guest, of maxphyaddr 36, can't reach all of this" in notes
    assert "the manual" not in notes


def test_an_address_in_an_smm_slot_alone() -> None:
    assert "address space 1 (SMM) has a slot here" in notes_of("6.1", Vm(), Slot(0, 0x1000, "smm", address_space=1), 0)


def test_a_note_that_hangs_on_the_address_has_a_segment_of_its_own() -> None:
    """KVM's own APIC page inside a user slot: no page beside it is said to be it, in a stream either."""
    slot = Slot(0xFEC00000, 0x400000, "high", 0)
    evaluator = Evaluator(resolve("6.12"), Vm(), (slot,))
    starts = evaluator.segments()
    assert starts is not None
    assert {0xFEE00000, 0xFEE01000} <= set(starts)
    said = [
        any("KVM's own" in note for note in noted(evaluator.page(0xFEE00000 + at).notes))
        for at in (-1, 0, 0xFFF, 0x1000)
    ]
    assert said == [False, True, True, False]
