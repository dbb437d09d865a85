# SPDX-License-Identifier: GPL-2.0-only
"""How large a page KVM may map: recorded consistency checks, and what a slot allows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.kvm.guest_mtrr import GuestMtrrMap
from mtcalc.kvm.mapping_level import consistent, largest_level, mapping_level
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.kvm.vm import Slot
from mtcalc.x86.ept import LEVEL_NAMES
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
