# SPDX-License-Identifier: GPL-2.0-only
"""Hypothesis strategies for MTRR states of small address spaces."""

from __future__ import annotations

from hypothesis import strategies as st

from support.models import Registers

PAGE = 0x1000
TYPES = (0, 1, 4, 5, 6)
FIXED_NUMBERS = (0x250, 0x258, 0x259, *range(0x268, 0x270))

memtypes = st.sampled_from(TYPES)


@st.composite
def pairs(draw: st.DrawFn, maxphyaddr: int, regular: bool) -> tuple[int, int]:
    """A (base, mask) pair that KVM accepts; `regular`: mask without holes, base inside it."""
    pages = 1 << maxphyaddr - 12
    page = draw(st.integers(0, pages - 1))
    if regular:
        size = 1 << draw(st.integers(0, maxphyaddr - 12))
        page &= -size
        mask = pages - size
    else:
        mask = draw(st.integers(0, pages - 1))
    valid = draw(st.integers(0, 7)) > 0
    return page << 12 | draw(memtypes), mask << 12 | (0x800 if valid else 0)


@st.composite
def registers(draw: st.DrawFn, maxphyaddr: int) -> Registers:
    """A register state that KVM accepts, with ranges that meet each other often."""
    enables = draw(st.sampled_from((0xC00, 0x800, 0xC00, 0x800, 0x400, 0)))
    regular = draw(st.lists(st.sampled_from((True, True, True, False)), max_size=6))
    variable = [draw(pairs(maxphyaddr, each)) for each in regular]
    fixed = {}
    for number in draw(st.sets(st.sampled_from(FIXED_NUMBERS))):
        fixed[number] = sum(kind << 8 * k for k, kind in enumerate(draw(st.tuples(*[memtypes] * 8))))
    return Registers(enables | draw(memtypes), fixed, variable, maxphyaddr, draw(st.booleans()))
