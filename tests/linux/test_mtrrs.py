# SPDX-License-Identifier: GPL-2.0-only
"""What a Linux guest sees in its own MTRRs: the manual's reading, over a whole range, or a view that it forces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.kvm.versions import VmType
from mtcalc.linux.mtrrs import SeenType, State, seen_type
from mtcalc.linux.pat import GuestLinux
from mtcalc.x86.memtype import MTRR_TYPES, MemType
from mtcalc.x86.mtrr import Mtrrs, VariableRange, decode_registers, manual_lookup

WB, UC, WC, WT = MemType.WB, MemType.UC, MemType.WC, MemType.WT
G = 1 << 30
GUEST = GuestLinux((6, 8))


def ranges(*given_ranges: tuple[int, int, MemType], default: MemType = WB) -> Mtrrs:
    full = (1 << 46) - 1
    registers = {0x2FF: 0x800 | default}
    for n, (base, size, kind) in enumerate(given_ranges):
        registers |= {0x200 + 2 * n: base | kind, 0x201 + 2 * n: (full & ~(size - 1)) | 0x800}
    return decode_registers(registers, 46)


HOLE = ranges((3 * G, G, UC), (32 * G, 32 * G, UC))


@pytest.mark.parametrize(
    ("start", "size", "name"),
    [
        (0, 4096, "WB"),
        (3 * G, 4096, "UC"),
        (3 * G, G, "UC"),
        (3 * G - 4096, 8192, "mixed"),
        (2 * G, 2 * G, "mixed"),
        (4 * G - 4096, 4096, "UC"),
        (4 * G, 28 * G, "WB"),
        (4 * G, 28 * G + 1, "mixed"),
        (32 * G, 32 * G, "UC"),
    ],
)
def test_the_whole_range_counts(start: int, size: int, name: str) -> None:
    assert seen_type(HOLE, GUEST, start, start + size).name == name


def test_uc_over_wb_is_uc_as_the_manual_has_it() -> None:
    """KVM up to 6.10 makes WB of it; the guest reads its registers itself."""
    mtrrs = ranges((0, 4 * G, WB), (3 * G, G, UC), default=UC)
    assert seen_type(mtrrs, GUEST, 3 * G, 3 * G + 4096).memtype is UC
    assert seen_type(mtrrs, GUEST, 0, 4096).memtype is WB


def test_an_overlap_that_the_manual_leaves_undefined_is_not_wb() -> None:
    found = seen_type(ranges((0, 4 * G, WB), (3 * G, G, WC)), GUEST, 3 * G, 3 * G + 4096)
    assert (found.memtype, found.state) == (None, State.UNDEFINED)
    assert seen_type(ranges((0, 4 * G, WB), (3 * G, G, WT)), GUEST, 3 * G, 3 * G + 4096).memtype is WT


def test_off_and_not_in_cpuid() -> None:
    off = HOLE._replace(enabled=False)
    assert seen_type(off, GUEST._replace(mtrrs_on=False), 0, 4096).state is State.OFF
    assert seen_type(HOLE, GUEST._replace(cpuid_mtrr=False), 0, 4096).state is State.NONE
    assert "invalid" in seen_type(off, GuestLinux((6, 4)), 0, 4096).words
    assert "UC" in seen_type(off, GuestLinux((6, 5)), 0, 4096).words


def test_fixed_ranges_count_below_1m() -> None:
    mtrrs = decode_registers({0x2FF: 0xC06, 0x250: 0x0606060606060606}, 46)
    assert seen_type(mtrrs, GUEST, 0, 0x80000).memtype is WB
    assert seen_type(mtrrs, GUEST, 0x7F000, 0x81000).name == "mixed"
    assert seen_type(mtrrs, GUEST, 0x80000, 0xA0000).memtype is UC
    assert seen_type(mtrrs, GUEST, 0x100000, 0x200000).memtype is WB


@pytest.mark.parametrize(
    ("release", "start", "name"),
    [
        ((6, 11), 3 * G, "UC"),
        ((6, 12), 3 * G, "WB"),
        ((6, 12, 53), 3 * G, "WB"),
        ((6, 12, 54), 3 * G, "UC"),
        ((6, 13), 3 * G, "WB"),
        ((6, 17), 3 * G, "WB"),
        ((6, 18), 3 * G, "UC"),
        ((6, 18), 32 * G, "WB"),
        ((6, 18), 2 * G, "UC"),
        ((6, 18), 2 * G - 4096, "WB"),
        ((6, 18), 4 * G, "WB"),
    ],
)
@pytest.mark.parametrize("kind", [VmType.TD, VmType.SNP])
def test_the_view_that_a_confidential_guest_forces(
    release: tuple[int, ...], start: int, name: str, kind: VmType
) -> None:
    """Its low RAM ends at 2G here; an ordinary VM's view stays the registers'."""
    found = seen_type(HOLE, GuestLinux(release, kind=kind), start, start + 4096, 2 * G)
    assert found.name == name
    assert found.source
    plain = seen_type(HOLE, GuestLinux(release), start, start + 4096, 2 * G)
    assert plain.memtype is manual_lookup(HOLE, start).memtype


def test_a_range_across_the_forced_hole_is_mixed() -> None:
    guest = GuestLinux((6, 18), kind=VmType.TD)
    assert seen_type(HOLE, guest, G, 3 * G, 2 * G).name == "mixed"
    assert seen_type(HOLE, guest, 3 * G, 5 * G, 2 * G).name == "mixed"


PAIRS = st.tuples(st.integers(0, 63), st.integers(0, 6), st.sampled_from(MTRR_TYPES))


@given(st.lists(PAIRS, max_size=4), st.sampled_from(MTRR_TYPES), st.integers(0, 63), st.integers(1, 64))
def test_law_a_range_has_a_type_if_all_its_pages_have(
    pairs: list[tuple[int, int, MemType]], default: MemType, start: int, count: int
) -> None:
    """Against one lookup a page, over 64 pages."""
    page = 4096
    variable = [
        VariableRange((at >> order << order) * page | kind, ((1 << 46) - (page << order)) | 0x800)
        for at, order, kind in pairs
    ]
    mtrrs = Mtrrs(True, False, default, (UC,) * 88, tuple(variable), 46)
    types = {manual_lookup(mtrrs, at * page).memtype for at in range(start, start + count)}
    found: SeenType = seen_type(mtrrs, GUEST, start * page, (start + count) * page)
    if len(types) > 1:
        assert (found.memtype, found.state) == (None, State.MIXED)
    else:
        assert {found.memtype} == types
