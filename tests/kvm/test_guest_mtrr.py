# SPDX-License-Identifier: GPL-2.0-only
"""KVM's walk over guest MTRRs in its versions, and the map of segments made by it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.kvm.guest_mtrr import GuestMtrrMap, as_read, combine, kvm_lookup
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.x86.memtype import MTRR_TYPES, MemType
from mtcalc.x86.mtrr import Mtrrs, decode_registers, fixed_index
from support import models
from support.registers import PAGE, registers
from support.vectors import mtrr_vectors

WALKS = {MtrrWalk.V4_1: "4.1", MtrrWalk.V4_2: "4.2", MtrrWalk.V4_4: "4.4"}
BITS = 22  # 4M: 1024 pages, a quarter of them under fixed ranges
WB4G_UC3G = models.Registers(0x800, {}, [(6, 0xF_0000_0800), (0xC000_0000, 0xF_C000_0800)], 36)
GIB = 1 << 30


def name_of(memtype: MemType | None) -> str:
    return "unknown" if memtype is None else str(memtype)


def decoded(regs: models.Registers) -> Mtrrs:
    return decode_registers(regs.msrs(), regs.maxphyaddr, len(regs.variable))


def test_walk_of_4_4_equals_every_recorded_answer() -> None:
    """2,821 lookups made by running the code of 6.1."""
    checked = 0
    for vector in mtrr_vectors():
        mtrrs, regs = vector.mtrrs, vector.registers
        segments = GuestMtrrMap(mtrrs, MtrrWalk.V4_4, regs.cpuid_mtrr)
        for gpa, kvm, _ in vector.lookups:
            assert str(kvm_lookup(mtrrs, gpa, MtrrWalk.V4_4, regs.cpuid_mtrr).memtype) == kvm, (vector.id, hex(gpa))
            assert str(segments.lookup(gpa).memtype) == kvm, (vector.id, hex(gpa))
            assert models.kvm_type(regs, gpa, "4.4") == kvm, (vector.id, hex(gpa))
            checked += 1
    assert checked == 2821


@pytest.mark.parametrize("walk", [MtrrWalk.V4_1, MtrrWalk.V4_2])
def test_older_walks_equal_the_model_on_every_recorded_state(walk: MtrrWalk) -> None:
    for vector in mtrr_vectors():
        mtrrs, regs = vector.mtrrs, vector.registers
        for gpa, _, _ in vector.lookups:
            found = name_of(kvm_lookup(mtrrs, gpa, walk, regs.cpuid_mtrr).memtype)
            assert found == models.kvm_type(regs, gpa, WALKS[walk]), (vector.id, hex(gpa))


def test_the_walks_of_4_2_and_4_4_part_with_mtrrs_off_and_below_1m_alone() -> None:
    """4.2 and 4.3: E=0 is always UC, fixed ranges are misread; from 4.4 on E=0 is UC if the CPUID has MTRR, else WB."""
    parted = 0
    for vector in mtrr_vectors():
        mtrrs, regs = vector.mtrrs, vector.registers
        for gpa, _, _ in vector.lookups:
            old = kvm_lookup(mtrrs, gpa, MtrrWalk.V4_2, regs.cpuid_mtrr)
            new = kvm_lookup(mtrrs, gpa, MtrrWalk.V4_4, regs.cpuid_mtrr)
            if old != new and not (mtrrs.enabled and mtrrs.fixed_enabled and gpa < 1 << 20):
                parted += 1
                assert not mtrrs.enabled
                assert not regs.cpuid_mtrr
                assert (old.memtype, new.memtype) == (MemType.UC, MemType.WB)
    assert parted > 0


@settings(max_examples=25)
@given(registers(BITS), st.sampled_from(list(WALKS)), st.integers(0, 1024), st.integers(0, 1024))
def test_a_map_of_segments_equals_the_walk_of_every_page(
    regs: models.Registers, walk: MtrrWalk, one: int, other: int
) -> None:
    """The type can change at an edge and nowhere else; pieces tile what was asked for."""
    segments = GuestMtrrMap(decoded(regs), walk, regs.cpuid_mtrr)
    start, end = min(one, other) * PAGE, max(one, other) * PAGE
    if start == end:
        start, end = 0, 1 << BITS
    at = start
    for low, high, found in segments.pieces(start, end):
        assert low == at
        assert low < high
        for page in range(low, high, PAGE):
            assert name_of(found.memtype) == models.kvm_type(regs, page, WALKS[walk]), hex(page)
            assert segments.lookup(page) == found
        assert segments.lookup(high - 1) == found
        at = high
    assert at == end
    edges = segments.edges(start, end)
    assert edges == sorted(set(edges))
    assert all(start < edge < end for edge in edges)


@settings(max_examples=25)
@given(registers(BITS), st.sampled_from(list(WALKS)))
def test_a_map_says_what_the_lookup_says(regs: models.Registers, walk: MtrrWalk) -> None:
    """Type, way and pairs of a page do not hang on being asked through the map."""
    mtrrs = decoded(regs)
    segments = GuestMtrrMap(mtrrs, walk, regs.cpuid_mtrr)
    for page in range(0, 1 << BITS, 5 * PAGE):
        assert segments.lookup(page) == kvm_lookup(mtrrs, page, walk, regs.cpuid_mtrr)


@pytest.mark.parametrize(("current", "new"), list(itertools.product(MTRR_TYPES, repeat=2)))
def test_one_step_of_the_walk(current: MemType, new: MemType) -> None:
    """Equal -> go on; the new one is UC -> UC, stop; WT and WB -> WT, go on; anything else -> WB, stop."""
    names = (str(current), str(new))
    if names[0] == names[1]:
        expected = (names[0], False)
    elif names[1] == "UC":
        expected = ("UC", True)
    elif set(names) == {"WT", "WB"}:
        expected = ("WT", False)
    else:
        expected = ("WB", True)
    memtype, stop = combine(current, new)
    assert (str(memtype), stop) == expected


def test_uc_over_wb_at_a_higher_base_is_wb() -> None:
    """UC is visited first and the later WB falls through; the manual says UC."""
    mtrrs = decoded(WB4G_UC3G)
    found = kvm_lookup(mtrrs, 3 * GIB, MtrrWalk.V4_4)
    assert found == (MemType.WB, "variable", (1, 0))
    assert models.manual_type(WB4G_UC3G, 3 * GIB) == "UC"
    assert kvm_lookup(mtrrs, 3 * GIB, MtrrWalk.V4_1).memtype is MemType.UC
    assert kvm_lookup(mtrrs, 4 * GIB, MtrrWalk.V4_4) == (MemType.UC, "default", ())


def test_the_raw_base_orders_the_ranges_type_byte_included() -> None:
    """Of two ranges with one address the higher type is visited first: WB, then UC stops as UC."""
    mask = 0xF_C000_0800
    for variable in ([(0xC000_0000, mask), (0xC000_0006, mask)], [(0xC000_0006, mask), (0xC000_0000, mask)]):
        regs = models.Registers(0x806, {}, variable, 36)
        assert kvm_lookup(decoded(regs), 3 * GIB, MtrrWalk.V4_4).memtype is MemType.UC


def test_up_to_4_1_the_fixed_ranges_count_whenever_either_enable_is_on() -> None:
    """Both enables off -> WB; E=0 with FE=1 -> fixed under 1M, the default type elsewhere."""
    fixed = {0x250: 0x0101_0101_0101_0101}
    expected = {0x000: ("WB", "WB"), 0x400: ("WC", "WP"), 0x800: ("WC", "WT"), 0xC00: ("WC", "WT")}
    for enables, (low, high) in expected.items():
        regs = models.Registers(enables | 5, fixed, [(4, 0x800)], 36)
        mtrrs = decoded(regs)
        assert str(kvm_lookup(mtrrs, 0, MtrrWalk.V4_1).memtype) == low, hex(enables)
        assert str(kvm_lookup(mtrrs, 1 << 20, MtrrWalk.V4_1).memtype) == high, hex(enables)


def test_from_6_11_on_nobody_asks() -> None:
    with pytest.raises(ValueError, match=r"from 6\.11 on KVM does not look at guest MTRRs"):
        kvm_lookup(decoded(WB4G_UC3G), 0, MtrrWalk.NONE)


def test_a_mask_full_of_holes_is_refused_by_the_range_and_answered_by_the_page() -> None:
    """Every second page of 4G matches: more pieces than anyone reads. 4.2 and later see one range."""
    regs = models.Registers(0x800, {}, [(6, 0x1800)], 36)
    mtrrs = decoded(regs)
    segments = GuestMtrrMap(mtrrs, MtrrWalk.V4_1)
    with pytest.raises(ValueError, match=r"cuts \[0x0, 0x100000000\) into more than 65536 pieces .*--gpa"):
        segments.edges(0, 4 * GIB)
    assert str(segments.lookup(GIB).memtype) == "WB"
    assert str(segments.lookup(GIB + PAGE).memtype) == "UC"
    assert GuestMtrrMap(mtrrs, MtrrWalk.V4_4).edges(GIB, 4 * GIB) == []


def each_its_own(variable: list[tuple[int, int]]) -> models.Registers:
    """Fixed types of a pattern that has no period of 2, 4 or 8; WP by default."""
    codes = [(0, 1, 4, 5, 6)[(n * n + n // 8) % 5] for n in range(88)]
    numbers = models.FIXED_NUMBERS
    fixed = {number: int.from_bytes(codes[8 * n : 8 * n + 8], "little") for n, number in enumerate(numbers)}
    return models.Registers(0xC05, fixed, variable, 36)


PAIR = (4, 0xF_FFF8_0800)  # WT over the first 512K
OVERRUN = {
    "no pair": ([], True),
    "pairs 0 to 5": ([PAIR] * 6, True),
    "a base in pair 6": ([(0, 0)] * 6 + [(1, 0), (0, 0)], False),
    "pair 7": ([(0, 0)] * 7 + [PAIR], False),
    "a mask in pair 7": ([(0, 0)] * 7 + [(0, 0x1000)], False),
}


@pytest.mark.parametrize(("variable", "known"), OVERRUN.values(), ids=list(OVERRUN))
def test_4_2_misreads_the_fixed_ranges_as_its_arithmetic_says(variable: list[tuple[int, int]], known: bool) -> None:
    """Every page below 1M against the code's own arithmetic; right in three pages and nowhere else by design."""
    regs = each_its_own(variable)
    mtrrs = decoded(regs)
    segments = GuestMtrrMap(mtrrs, MtrrWalk.V4_2)
    garbage = [page for page in range(0, 1 << 20, PAGE) if (models.fixed_index_4_2(page) or 0) < 0]
    assert (garbage[0], garbage[-1], len(garbage)) == (0x1000, 0xA7000, 0x5F + 0x27)
    for page in range(0, 1 << 20, PAGE):
        found = kvm_lookup(mtrrs, page, MtrrWalk.V4_2)
        assert name_of(found.memtype) == models.kvm_type(regs, page, "4.2"), hex(page)
        assert segments.lookup(page) == segments.lookup(page + PAGE - 1) == found
        right = page in (0, 0x80000, 0xC0000)
        if right:
            assert (found.memtype, found.via) == (mtrrs.fixed[fixed_index(page)], "fixed")
        if page in garbage:
            assert found == ((MemType.UC, "misread", ()) if known else (None, "garbage", ()))
        if page > 0xC0000:
            assert found.via in ("default", "variable")
    assert {kvm_lookup(mtrrs, page, MtrrWalk.V4_4).via for page in range(0, 1 << 20, PAGE)} == {"fixed"}


@pytest.mark.parametrize("host", [32, 36, 40, 46])
def test_4_2_takes_masks_to_have_the_hosts_width(host: int) -> None:
    """A guest of 36 bits on a wider host: a valid pair covers everything from its base up."""
    regs = models.Registers(0x806, {}, [(0x8000_0004, 0xF_FFF0_0800)], 36)
    for walk, version in WALKS.items():
        mtrrs = as_read(decoded(regs), walk, host)
        for gpa in (0x7FFF_F000, 0x8000_0000, 0x800F_F000, 0x8010_0000, 0x1_0000_0000, 0xF_FFFF_F000):
            found = kvm_lookup(mtrrs, gpa, walk).memtype
            assert str(found) == models.kvm_type(regs, gpa, version, host), (version, hex(gpa))
            everything = walk is MtrrWalk.V4_2 and host > 36
            covered = gpa >= 0x8000_0000 and (everything or gpa < 0x8010_0000)
            assert found is (MemType.WT if covered else MemType.WB), (version, hex(gpa))
