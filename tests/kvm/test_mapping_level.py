# SPDX-License-Identifier: GPL-2.0-only
"""How large a page KVM may map: recorded consistency checks, and what a slot allows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.kvm.guest_mtrr import GuestMtrrMap
from mtcalc.kvm.history import (
    LEVEL_LIMITS,
    MMIO_TESTS,
    MTRR_LIMITS,
    PAIRS,
    UNDEFINED_CHECKS,
    WALKS,
    row_at,
)
from mtcalc.kvm.host_mmio import MMIO, RAM, Backing
from mtcalc.kvm.mapping_level import consistent, is_determined, largest_level, level_obstacle, mapping_level
from mtcalc.kvm.release import sort_key
from mtcalc.kvm.versions import MtrrLimit, MtrrWalk
from mtcalc.kvm.vm import Slot
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import decode_registers
from support import models
from support.registers import PAGE, registers
from support.vectors import mtrr_vectors

SIZES = {"2M": 1 << 21, "1G": 1 << 30}
MIB, GIB = 1 << 20, 1 << 30


def test_equals_every_recorded_consistency_check() -> None:
    """2,749 checks made by running the code of 6.1."""
    checked = 0
    for vector in mtrr_vectors():
        mtrrs = vector.mtrrs
        for gpa, level, expected in vector.blocks:
            size = SIZES[level]
            assert consistent(mtrrs, gpa, gpa + size) is expected, (vector.id, hex(gpa), level)
            assert models.block_is_consistent(vector.registers, gpa, size) is expected, (vector.id, hex(gpa), level)
            checked += 1
    assert checked == 2749


def test_equals_every_recorded_level() -> None:
    """From 1G down to 4K, the first level whose block is consistent."""
    for vector in mtrr_vectors():
        mtrrs = vector.mtrrs
        for gpa, level in vector.levels:
            assert LEVEL_NAMES[mapping_level(mtrrs, None, gpa)] == level, (vector.id, hex(gpa))
            assert models.mtrr_level(vector.registers, gpa) == level, (vector.id, hex(gpa))


@settings(max_examples=60)
@given(registers(33), st.integers(0, (1 << 21) - 1))
def test_level_equals_the_model_on_random_states(regs: models.Registers, page: int) -> None:
    """ "Left a gap" is judged over the variable ranges alone, in descending base order."""
    mtrrs = decode_registers(regs.msrs(), regs.maxphyaddr, len(regs.variable))
    corners = [end for _, end, _ in models.kvm_ranges(regs)]
    for gpa in (page * PAGE, 0, 0x1F_F000, 0x20_0000, *(corner - PAGE for corner in corners)):
        assert LEVEL_NAMES[mapping_level(mtrrs, None, gpa)] == models.mtrr_level(regs, gpa), hex(gpa)


def test_two_adjacent_ranges_can_look_like_a_gap() -> None:
    """The highest end seen so far is that of the range visited first, which has the higher base."""
    lower, upper = (4 * GIB + 6, 0xF_FFF0_0800), (4 * GIB + MIB | 6, 0xF_FFF0_0800)
    adjacent = models.Registers(0x800, {}, [lower, upper], 36)
    one = models.Registers(0x800, {}, [(4 * GIB + 6, 0xF_FFE0_0800)], 36)
    for regs, level in ((adjacent, 1), (one, 2)):
        mtrrs = decode_registers(regs.msrs(), 36, len(regs.variable))
        assert mapping_level(mtrrs, None, 4 * GIB) == level
    # With the same type as default a gap does no harm.
    mtrrs = decode_registers(adjacent._replace(def_type=0x806).msrs(), 36, 2)
    assert mapping_level(mtrrs, None, 4 * GIB) == 3


@pytest.mark.parametrize(
    ("slot", "gpa", "level"),
    [
        (Slot(0, 2 * GIB, "whole"), 0, 3),
        (Slot(0, GIB - PAGE, "short of 1G"), 0, 2),
        (Slot(PAGE, 2 * GIB - PAGE, "begins late"), PAGE, 1),
        (Slot(PAGE, 2 * GIB - PAGE, "begins late"), 2 * MIB, 2),
        (Slot(PAGE, 2 * GIB - PAGE, "begins late"), GIB, 3),
        (Slot(0, 2 * MIB - PAGE, "short of 2M"), 0, 1),
        (Slot(0, 2 * MIB, "2M"), 2 * MIB - 1, 2),
        (Slot(0, 2 * GIB, "dirty log", flags=1), 0, 1),
        (Slot(0, 2 * GIB, "flagged", flags=8), 0, 3),
        (Slot(0, 2 * GIB, "read-only", flags=2), 0, 3),
        (Slot(0, 2 * GIB, "congruent", hva=0x7F00_4000_0000), 0, 3),
        (Slot(0, 2 * GIB, "2M apart", hva=0x7F00_4020_0000), 0, 2),
        (Slot(0, 2 * GIB, "4K apart", hva=0x7F00_4000_1000), 0, 1),
    ],
)
def test_a_slot_limits_the_level(slot: Slot, gpa: int, level: int) -> None:
    """Its edges, a guest and host address not congruent modulo the page size, dirty logging (4K)."""
    assert mapping_level(None, slot, gpa) == level


OLDEST, V5_19, V6_0, V6_12 = (row_at(LEVEL_LIMITS, at).what for at in ((2, 6, 31), (5, 19), (6, 11), (6, 12)))
RAM_2M, RAM_1G = RAM._replace(page_level=2), RAM._replace(page_level=3)
RESERVED = Backing(reserved=True, host_type=MemType.UC_MINUS)
HIDDEN = Backing(struct_page=False)
ZERO = Backing(reserved=True, zero_page=True)


@pytest.mark.parametrize(
    ("backing", "device", "levels"),
    [
        # levels at 2.6.31, 5.19, 6.11 and 6.12
        (RAM, False, (2, 3, 3, 3)),
        (RAM._replace(page_level=1), False, (1, 1, 1, 1)),
        (RAM_2M, False, (2, 2, 2, 2)),
        (RAM_1G, False, (2, 3, 3, 3)),
        (RAM, True, (2, 3, 3, 3)),  # a BAR of the guest's that is memory of the host's
        (MMIO, True, (1, 1, 1, 3)),
        (MMIO._replace(page_level=2), True, (1, 1, 2, 2)),
        (MMIO._replace(page_level=3), True, (1, 1, 3, 3)),
        (RESERVED, False, (1, 1, 3, 3)),
        (RESERVED, True, (1, 1, 1, 3)),
        (RESERVED._replace(page_level=2), True, (1, 1, 2, 2)),
        (HIDDEN, False, (1, 1, 1, 3)),
        (HIDDEN._replace(page_level=2), False, (1, 1, 2, 2)),
        (ZERO, False, (1, 1, 1, 1)),
        (ZERO._replace(page_level=2), False, (1, 1, 1, 1)),
    ],
)
def test_the_host_page_limits_the_level_by_release(
    backing: Backing, device: bool, levels: tuple[int, int, int, int]
) -> None:
    """Reserved or without struct page: 4K up to 5.19; VFIO maps BARs in 4K up to 6.11; page_size says it."""
    slot = Slot(0, 2 * GIB, "slot", backing=backing, device=device, hva=0x7F00_4000_0000)
    found = tuple(mapping_level(None, slot, GIB, limits) for limits in (OLDEST, V5_19, V6_0, V6_12))
    assert found == levels
    for limits, level in zip((OLDEST, V5_19, V6_0, V6_12), levels, strict=True):
        for above in range(level + 1, 4):
            assert level_obstacle(None, slot, GIB, above, limits)
    assert is_determined(slot, 2) is (backing.page_level is not None)


@pytest.mark.parametrize(
    ("release", "limit"),
    [
        ((4, 1), MtrrLimit.NEVER),
        ((4, 2), MtrrLimit.ALWAYS),
        ((5, 19, 17), MtrrLimit.ALWAYS),
        ((6, 0), MtrrLimit.NONCOHERENT_DMA),
        ((6, 10), MtrrLimit.NONCOHERENT_DMA),
        ((6, 11, -1), MtrrLimit.NEVER),
        ((7, 3), MtrrLimit.NEVER),
    ],
)
def test_when_mtrrs_limit_the_level(release: tuple[int, ...], limit: MtrrLimit) -> None:
    assert row_at(MTRR_LIMITS, release).what is limit


def test_every_table_ascends_and_begins_before_every_release() -> None:
    for rows in (WALKS, PAIRS, MTRR_LIMITS, LEVEL_LIMITS, MMIO_TESTS, UNDEFINED_CHECKS):
        releases = [sort_key(row.since) for row in rows]
        assert releases == sorted(set(releases))
        assert releases[0] < (2, 6, 28)
        assert all("read: " in row.source for row in rows)


@settings(max_examples=30)
@given(registers(32), st.integers(0, 1023), st.integers(1, 1024), st.sampled_from((0, 2 * MIB, PAGE, None)))
def test_largest_level_is_the_highest_of_all_pages(
    regs: models.Registers, first: int, count: int, apart: int | None
) -> None:
    """The level of a piece is the largest that a page in it can get: all blocks of 2M are tried."""
    mtrrs = decode_registers(regs.msrs(), regs.maxphyaddr, len(regs.variable))
    start = first * 3 * MIB
    slot = Slot(start, count * MIB, "slot", hva=None if apart is None else start + (1 << 40) + apart)
    for low, high, _ in GuestMtrrMap(mtrrs, MtrrWalk.V4_4).pieces(slot.gpa, slot.end):
        pages = {low, high - 1, *range((low & -2 * MIB) + 2 * MIB, high, 2 * MIB)}
        best = max(mapping_level(mtrrs, slot, gpa) for gpa in pages)
        assert largest_level(mtrrs, slot, low, high) == best, (hex(low), hex(high))
