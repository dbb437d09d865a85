# SPDX-License-Identifier: GPL-2.0-only
"""Guest MTRRs decoded, both maps of the address space, where they part, and why."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis import mtrr_map
from mtcalc.analysis.mtrr_map import (
    MtrrView,
    ResolvedMap,
    Run,
    Segment,
    address_answers,
    address_segments,
    decode_pairs,
    fixed_runs,
)
from mtcalc.kvm.mapping_level import mapping_level
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.refs.resolve import resolve
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import Mtrrs, decode_registers
from support import models
from support.notes import noted
from support.registers import PAGE, registers
from support.vectors import mtrr_vectors

R = TypeVar("R", Run, Segment)
MIB, GIB = 1 << 20, 1 << 30
RELEASES = {"4.0": "4.1", "4.3": "4.2", "6.1": "4.4"}  # a release, and the model's name of its walk
V = 0x800


def view_of(regs: models.Registers, ref: str = "6.1", slots: tuple[Slot, ...] = (), dma: bool = False) -> MtrrView:
    mtrrs = decode_registers(regs.msrs(), regs.maxphyaddr, len(regs.variable))
    vm = Vm(mtrrs=mtrrs, maxphyaddr=regs.maxphyaddr, cpuid_mtrr=regs.cpuid_mtrr, noncoherent_dma=dma)
    return MtrrView(resolve(ref), vm, slots)


def manual_name(memtype: MemType | None) -> str:
    return "undefined" if memtype is None else str(memtype)


def mask_of(size: int, bits: int = 36) -> int:
    """The mask register of a valid pair of `size` bytes."""
    return (1 << bits) - size | V


def parts(found: ResolvedMap) -> list[tuple[str, str, str, str, str]]:
    """Where the two part: start, last byte, KVM's type, the manual's, the reason without its end."""
    rows = []
    for s in found.segments:
        if s.reason:
            why, end = s.reason.rsplit(": ", 1)
            says = "leaves it undefined" if s.manual is None else str(s.manual)
            assert end == f"KVM answers {s.kvm}, the manual {says}"
            rows.append((hex(s.start), hex(s.end - 1), str(s.kvm), manual_name(s.manual), why))
    return rows


WB_4G_UC_3G = models.Registers(0x800, {}, [(6, mask_of(4 * GIB)), (3 * GIB, mask_of(GIB))], 36)


def test_uc_over_wb_at_a_higher_base() -> None:
    found = view_of(WB_4G_UC_3G).resolve()
    rows = [(s.start, s.end, str(s.kvm), str(s.manual)) for s in found.segments]
    assert rows == [
        (0, 3 * GIB, "WB", "WB"),
        (3 * GIB, 4 * GIB, "WB", "UC"),
        (4 * GIB, 1 << 36, "UC", "UC"),
    ]
    assert found.segments[1].reason == (
        "UC at 0xc0000000 (pair 1) is visited before WB at 0 (pair 0): KVM answers WB, the manual UC"
    )
    assert [(r.start, r.end, str(r.memtype)) for r in found.kvm] == [(0, 4 * GIB, "WB"), (4 * GIB, 1 << 36, "UC")]
    manual = [(0, 3 * GIB, "WB"), (3 * GIB, 1 << 36, "UC")]
    assert [(r.start, r.end, str(r.memtype)) for r in found.manual] == manual
    assert found.complete_to == 1 << 36


HIGH = "0xfffffffff"
FIXED_WC = {0x250: 0x0101_0101_0101_0101}
CASES = {
    "nothing parts": ("6.1", models.Registers(0xC06, {}, [(3 * GIB, mask_of(GIB))], 36), []),
    "E=0 without CPUID.MTRR": (
        "6.1",
        models.Registers(0, {}, [], 36, cpuid_mtrr=False),
        [("0x0", HIGH, "WB", "UC", "E is 0 and the guest's CPUID has no MTRRs")],
    ),
    "E=0 with CPUID.MTRR": ("6.1", models.Registers(0, {}, [], 36), []),
    "E=0 on 4.3": ("4.3", models.Registers(0, {}, [], 36, cpuid_mtrr=False), []),
    "both off up to 4.1": ("4.0", models.Registers(0, {}, [], 36), [("0x0", HIGH, "WB", "UC", "E and FE are 0")]),
    "E=0 FE=1 up to 4.1": (
        "4.0",
        models.Registers(0x405, FIXED_WC, [(6, mask_of(4 * GIB))], 36),
        [
            ("0x0", "0x7ffff", "WC", "UC", "E is 0 but FE is 1, and KVM up to 4.1 then reads the fixed ranges"),
            ("0x100000", HIGH, "WP", "UC", "E is 0 but FE is 1, and KVM up to 4.1 then reads the default type"),
        ],
    ),
    "E=1 FE=0 up to 4.1": (
        "4.0",
        models.Registers(0x806, FIXED_WC, [], 36),
        [
            ("0x0", "0x7ffff", "WC", "WB", "FE is 0, and KVM up to 4.1 reads the fixed ranges all the same"),
            ("0x80000", "0xfffff", "UC", "WB", "FE is 0, and KVM up to 4.1 reads the fixed ranges all the same"),
        ],
    ),
    "WC over WB": (
        "6.1",
        models.Registers(0x806, {}, [(6, mask_of(4 * GIB)), (0xD000_0001, mask_of(256 * MIB))], 36),
        [
            (
                "0xd0000000",
                "0xdfffffff",
                "WB",
                "undefined",
                "WC at 0xd0000000 (pair 1) is visited before WB at 0 (pair 0)",
            )
        ],
    ),
    "WC over WB up to 4.1": (
        "4.0",
        models.Registers(0xC06, {}, [(6, mask_of(4 * GIB)), (0xD000_0001, mask_of(256 * MIB))], 36),
        [
            (
                "0xd0000000",
                "0xdfffffff",
                "UC",
                "undefined",
                "WB at 0 (pair 0) and WC at 0xd0000000 (pair 1) overlap, for KVM up to 4.1 a conflict",
            )
        ],
    ),
    "an UC that the walk never reaches": (
        "6.1",
        models.Registers(0x806, {}, [(0, mask_of(4 * GIB)), (GIB | 6, mask_of(GIB)), (GIB | 1, mask_of(GIB))], 36),
        [
            (
                "0x40000000",
                "0x7fffffff",
                "WB",
                "UC",
                "WB at 0x40000000 (pair 1) is visited before WC at 0x40000000 (pair 2); "
                "UC at 0 (pair 0) is never reached",
            )
        ],
    ),
    "WT and WB, then WC": (
        "6.1",
        models.Registers(0x806, {}, [(1, mask_of(4 * GIB)), (GIB | 6, mask_of(GIB)), (GIB | 4, mask_of(GIB))], 36),
        [
            (
                "0x40000000",
                "0x7fffffff",
                "WB",
                "undefined",
                "WT (of WB at 0x40000000 (pair 1) and WT at 0x40000000 (pair 2)) is visited before WC at 0 (pair 0)",
            )
        ],
    ),
    "a mask with a hole": (
        "6.1",
        models.Registers(0x806, {}, [(0x10_0001, mask_of(0x1000) & ~0x2000)], 36),
        [
            (
                "0x101000",
                "0x101fff",
                "WC",
                "WB",
                "WC at 0x100000 (pair 0) covers 0x100000 to 0x102fff for KVM, "
                "for the manual only what its mask 0xfffffd000 matches",
            )
        ],
    ),
    "a base outside its mask": (
        "6.1",
        models.Registers(0x806, {}, [(0x10_1001, mask_of(0x2000))], 36),
        [
            (
                "0x100000",
                "0x100fff",
                "WB",
                "WC",
                "mask 0xfffffe000 of WC at 0x101000 (pair 0) matches here, "
                "and for KVM it covers 0x101000 to 0x101fff alone",
            )
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_where_the_two_part_and_why(name: str) -> None:
    ref, regs, expected = CASES[name]
    assert parts(view_of(regs, ref).resolve()) == expected


def test_from_6_11_on_and_beyond_eight_pairs_the_manual_stands_alone() -> None:
    ten = models.Registers(0x800, {}, [*WB_4G_UC_3G.variable, *[(0, 0)] * 7, (5 * GIB | 1, mask_of(GIB))], 36)
    for view, note in (
        (view_of(WB_4G_UC_3G, "6.12"), "this KVM does not look at guest MTRRs"),
        (view_of(ten, "6.1", dma=True), "10 variable pairs, and KVM gives a guest 8"),
    ):
        assert not view.asked
        assert any(line.startswith(note) for line in noted(view.notes()))
        found = view.resolve()
        assert found.kvm == ()
        assert {(s.kvm, s.reason) for s in found.segments} == {(None, "")}
        assert (str(view.at(3 * GIB).manual), view.at(3 * GIB).kvm, view.at(3 * GIB).level) == ("UC", None, 3)
    assert str(view_of(ten).at(5 * GIB).manual) == "WC"


def test_4_2_and_4_3_are_noted() -> None:
    """4.2 and 4.3 read masks with the host's width (46 here, the guest's 36), and misread fixed ranges."""
    fixed = WB_4G_UC_3G._replace(def_type=0xC00)
    garbage = fixed._replace(variable=[*WB_4G_UC_3G.variable, *[(0, 0)] * 4, (0, mask_of(GIB)), (0, 0)])
    texts = ("misread the fixed ranges", "with the host's width", "unknown: bytes of KVM's own")
    for regs, said in ((WB_4G_UC_3G, (False, True, False)), (fixed, (True, True, False)), (garbage, (True,) * 3)):
        notes = " ".join(noted(view_of(regs, "4.3").notes()))
        assert tuple(text in notes for text in texts) == said
        assert not any("4.3" in note for note in noted(view_of(regs, "4.4").notes()))
    off = fixed._replace(def_type=0x400)
    assert not any("4.3" in note for note in noted(view_of(off, "4.3").notes()))


def decoded(regs: models.Registers) -> Mtrrs:
    return decode_registers(regs.msrs(), regs.maxphyaddr, len(regs.variable))


def test_fixed_ranges_of_one_type_are_one_run() -> None:
    regs = models.Registers(0xC06, {0x250: 0x0606_0606_0606_0606, 0x258: 0x0606_0606_0606_0606}, [], 36)
    runs = fixed_runs(decoded(regs))
    assert [(r.start, r.end, str(r.memtype)) for r in runs] == [(0, 0xA0000, "WB"), (0xA0000, MIB, "UC")]


@pytest.mark.parametrize(
    ("base", "mask", "size", "kvm", "irregular"),
    [
        (6, mask_of(4 * GIB), 4 * GIB, (0, 4 * GIB), ()),
        (0, V, 1 << 36, (0, 1 << 36), ()),
        (6, mask_of(4 * GIB) & ~V, None, None, ()),
        (0x1000, mask_of(0x1000) & ~0x2_C000, None, (0x1000, 0x2E000), ("hole in the mask: bits 14-15, 17 clear",)),
        (0x101000, mask_of(0x2000), None, (0x101000, 0x102000), ("base bits outside the mask: 0x1000",)),
        (0x1000, V, None, (0x1000, 1 << 36), ("base bits outside the mask: 0x1000",)),
        (
            0x2_0001_0000,
            mask_of(0x10000) & ~0x2_0000_0000,
            None,
            (0x2_0001_0000, 0x2_0002_0000),
            ("hole in the mask: bit 33 clear", "base bits outside the mask: 0x200000000"),
        ),
        (0, mask_of(4 * GIB, 34), None, (0, 0xD_0000_0000), ("hole in the mask: bits 34-35 clear",)),
    ],
)
def test_a_pair_decoded(
    base: int, mask: int, size: int | None, kvm: tuple[int, int] | None, irregular: tuple[str, ...]
) -> None:
    (pair,) = decode_pairs(decoded(models.Registers(0x800, {}, [(base, mask)], 36)))
    assert (pair.size, pair.kvm, pair.irregular) == (size, kvm, irregular)
    assert pair.registers == (base, mask)


def test_a_map_of_a_mask_full_of_holes_says_where_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second page of 2^52 bytes matches: 2^40 blocks. KVM's own map has one edge, and is complete."""
    monkeypatch.setattr(mtrr_map, "MAX_PIECES", 64)
    regs = models.Registers(0x800, {}, [(6, 0x1800), (3 * GIB, mask_of(GIB, 52))], 52)
    view = view_of(regs)
    found = view.resolve()
    assert found.complete_to == found.segments[-1].end == found.manual[-1].end == 64 * PAGE
    assert len(found.segments) == 64
    assert found.kvm[-1].end == 1 << 52
    assert [str(run.memtype) for run in found.kvm] == ["WB", "UC"]
    assert address_segments(view) is None
    answer = address_answers(view)
    for gpa in (0, PAGE, 5 * GIB, 5 * GIB + PAGE, 3 * GIB, (1 << 52) - 1, 5 * GIB + 1):
        assert answer(gpa) == view.at(gpa)
    assert view_of(regs, "4.0").resolve().kvm[-1].end < 1 << 52


@pytest.mark.parametrize("gpa", [1 << 36, -1])
def test_an_address_outside_the_space_is_refused(gpa: int) -> None:
    with pytest.raises(ValueError, match=r"is beyond the guest's maxphyaddr 36 \(at most 0xfffffffff\)"):
        view_of(WB_4G_UC_3G).at(gpa)


def test_the_level_of_an_address() -> None:
    """Only with non-coherent DMA do MTRRs limit it; a slot limits it too."""
    regs = models.Registers(0x806, {}, [(3 * GIB + PAGE, mask_of(PAGE))], 36)
    for dma, ref, level in ((True, "6.1", 1), (False, "6.1", 3), (True, "6.12", 3), (True, "4.1", 3)):
        assert view_of(regs, ref, dma=dma).at(3 * GIB).level == level
    assert view_of(regs, dma=True).at(3 * GIB + 2 * MIB).level == 2
    assert view_of(regs, dma=True).at(2 * GIB).level == 3
    ram = Slot(0, GIB + 2 * MIB, "ram")
    for gpa, level in ((0, 3), (GIB, 2), (3 * GIB, 1), (2 * GIB, 3)):
        assert view_of(regs, dma=True, slots=(ram,)).at(gpa).level == level


# Laws

BITS = 22


@pytest.fixture(scope="module", autouse=True)
def _short_maps() -> Iterator[None]:
    """Masks with holes are cut short early: what the laws say does not hang on where."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mtrr_map, "MAX_PIECES", 1500)
        yield


def probes(found: ResolvedMap, end: int) -> set[int]:
    """Both sides of every edge, a page off and to the byte; of very many edges the first."""
    edges = {0, end, *(s.start for s in found.segments[:60]), found.segments[-1].start}
    near = {edge + off for edge in edges for off in (-PAGE, -1, 0, 1, PAGE)}
    return {gpa for gpa in near if 0 <= gpa < end}


def at(segments: tuple[Segment, ...], gpa: int) -> Segment:
    (segment,) = [s for s in segments if s.start <= gpa < s.end]
    return segment


def assert_merged(runs: Sequence[R], end: int) -> None:
    """From 0 to the end without gaps, and neighbours differ."""
    assert (runs[0].start, runs[-1].end) == (0, end)
    for one, other in itertools.pairwise(runs):
        assert one.end == other.start
        assert one[2:] != other[2:]


@settings(max_examples=25)
@given(registers(BITS), st.sampled_from(list(RELEASES)))
def test_merged_maps_equal_the_lookup_of_every_page(regs: models.Registers, ref: str) -> None:
    """Both maps say of every address what a lookup of that address alone says."""
    found = view_of(regs, ref).resolve()
    assert_merged(found.segments, 1 << BITS)
    assert_merged(found.kvm, 1 << BITS)
    assert_merged(found.manual, 1 << BITS)
    for segment in found.segments:
        for page in range(segment.start, segment.end, PAGE):
            assert (str(segment.kvm) if segment.kvm is not None else "unknown") == models.kvm_type(
                regs, page, RELEASES[ref], 46
            ), hex(page)
            assert manual_name(segment.manual) == models.manual_type(regs, page), hex(page)
    for run in found.kvm:
        assert {str(run.memtype)} == {str(s.kvm) for s in found.segments if run.start <= s.start < run.end}
    for run in found.manual:
        assert {run.memtype} == {s.manual for s in found.segments if run.start <= s.start < run.end}


@settings(max_examples=40)
@given(registers(36), st.sampled_from(list(RELEASES)))
def test_disagreements_are_exactly_the_addresses_where_the_lookups_differ(regs: models.Registers, ref: str) -> None:
    """A reason stands where the two differ and nowhere else, and ends with what they answer."""
    view = view_of(regs, ref)
    found = view.resolve()
    for gpa in probes(found, found.complete_to):
        kvm, manual = models.kvm_type(regs, gpa, RELEASES[ref], 46), models.manual_type(regs, gpa)
        segment = at(found.segments, gpa)
        assert (kvm != manual) == bool(segment.reason), hex(gpa)
        if segment.reason:
            says = "leaves it undefined" if manual == "undefined" else manual
            kvm = "what these hold" if kvm == "unknown" else kvm
            assert segment.reason.endswith(f": KVM answers {kvm}, the manual {says}")
            assert not segment.reason.startswith(":")
        assert view.at(gpa)[:2] == segment[2:4]


def test_equals_every_recorded_answer() -> None:
    """2,821 lookups with both answers, and the levels, made by running the code of 6.1."""
    checked = 0
    for vector in mtrr_vectors():
        view = view_of(vector.registers, "6.1", dma=True)
        segments = address_segments(view)
        answer = segments.find if segments else address_answers(view)
        for gpa, kvm, manual in vector.lookups:
            seen = answer(gpa)
            assert (str(seen.kvm), manual_name(seen.manual)) == (kvm, manual), (vector.id, hex(gpa))
            checked += 1
        for gpa, level in vector.levels:
            assert LEVEL_NAMES[answer(gpa).level] == level, (vector.id, hex(gpa))
    assert checked == 2821


slots = st.lists(st.tuples(st.integers(0, 1 << 18), st.integers(1, 1 << 18), st.sampled_from((0, 1, 2, 3))), max_size=5)


@settings(max_examples=40)
@given(registers(33), slots, st.booleans(), st.sampled_from(("6.1", "6.12", "4.3", "4.0")), st.data())
def test_address_segments_say_what_single_lookups_say(
    regs: models.Registers, layout: list[tuple[int, int, int]], dma: bool, ref: str, data: st.DataObject
) -> None:
    """Types and mapping level are constant from one start to the next, whatever slots and large pages do."""
    memslots, gpa = [], 0
    for gap, pages, how in layout:
        gpa += gap * PAGE
        hva = {0: None, 1: gpa + (1 << 40), 2: gpa + 2 * MIB, 3: None}[how]
        memslots.append(Slot(gpa, pages * PAGE, f"slot{how}", flags=1 if how == 3 else 0, hva=hva))
        gpa += pages * PAGE
    view = view_of(regs, ref, tuple(memslots), dma)
    segments = address_segments(view)
    answer = address_answers(view)
    assert segments is not None or view.starts()[1] < 1 << 33
    edges = {0, *(edge for slot in memslots for edge in (slot.gpa, slot.end))}
    edges.update(edge for low, high, _ in models.kvm_ranges(regs) for edge in (low, high))
    if segments is not None:
        assert segments.starts == sorted(set(segments.starts))
        assert segments.starts[0] == 0
        edges.update(data.draw(st.sampled_from(segments.starts)) for _ in range(10))
    edges.add(data.draw(st.integers(0, (1 << 33) - 1)))
    near = {edge + off for edge in edges for off in (-GIB, -2 * MIB, -PAGE, -1, 0, PAGE, 2 * MIB, GIB)}
    for probe in near:
        if not 0 <= probe < 1 << 33:
            continue
        seen = view.at(probe)
        assert answer(probe) == seen, hex(probe)
        if segments is not None:
            assert segments.find(probe) == seen, hex(probe)
        slot = next((slot for slot in memslots if slot.gpa <= probe < slot.end), None)
        limit = LEVEL_NAMES[mapping_level(None, slot, probe)]
        asked = ref == "4.3" or (dma and ref == "6.1")
        if slot is None and asked:
            width = 46 if ref == "4.3" else 0
            assert LEVEL_NAMES[seen.level] == models.mtrr_level(regs, probe, width), hex(probe)
        if not asked:
            assert LEVEL_NAMES[seen.level] == limit, hex(probe)


def test_segments_of_as_many_slots_as_kvm_takes_are_few() -> None:
    """32,764 slots make some pieces each, not a piece a page."""
    memslots = tuple(Slot(n * 4 * MIB, 3 * MIB, f"slot{n}", n) for n in range(32764))
    segments = address_segments(view_of(WB_4G_UC_3G._replace(maxphyaddr=40), slots=memslots, dma=True))
    assert segments is not None
    assert len(segments.starts) < 5 * len(memslots)
