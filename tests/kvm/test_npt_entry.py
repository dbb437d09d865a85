# SPDX-License-Identifier: GPL-2.0-only
"""NPT entries by release against a table of their marks, and what may not be one."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.kvm.npt_entry import decode_npt, decode_npt_at_any_level
from mtcalc.kvm.spte_reading import SpteKind
from support.notes import noted


class Marks(NamedTuple):
    """One release: the bits of host- and MMU-writable, whether bit 11 marks what is present, and of an MMIO entry
    the bits that are always set and those that may be (its generation)."""

    release: tuple[int, ...]
    host: int | None
    mmu: int | None
    present: bool
    mmio: int | None
    removed: int | None
    empty: tuple[int, ...]


def bits(*numbers: int) -> int:
    """A mask of these bits."""
    return sum(1 << number for number in numbers)


TABLE = (
    Marks((2, 6, 29), None, None, False, None, None, (0,)),
    Marks((2, 6, 32), 9, None, False, None, None, (0,)),
    Marks((3, 2), 9, None, False, bits(0, *range(51, 63)), None, (0,)),
    Marks((3, 6), 10, 11, False, bits(0, *range(51, 63)), None, (0,)),
    Marks((3, 16), 10, 11, False, bits(0, 51, 62, 63), None, (0,)),
    Marks((4, 11), 10, 11, False, bits(0, 51, 62), None, (0,)),
    Marks((5, 0), 10, 11, False, bits(0, 51, 62), None, (0,)),
    Marks((5, 4), 10, 11, False, bits(0, 51, 52, 53), None, (0,)),
    Marks((5, 12), 10, 11, False, bits(0, 51, 52, 53), 1 << 59, (0,)),
    Marks((5, 15), 9, 10, True, bits(0, 51), 0x5A0, (0,)),
    Marks((6, 12), 9, 10, True, bits(0, 51), 1 << 63 | 0x5A0, (0, 1 << 63)),
    Marks((7, 2), 9, 10, True, bits(0, 51), 1 << 63 | 0x1A0, (0, 1 << 63)),
)
PFN = 0x4_5529_9000


@pytest.mark.parametrize("marks", TABLE, ids=lambda marks: ".".join(map(str, marks.release)))
def test_every_leaf(marks: Marks) -> None:
    """P, W, U, A, D and the marks in every combination that KVM can write, at every level that has leaves."""
    seen = 0
    for level, dirty, accessed, write, nx in itertools.product((1, 2, 3), (0, 1), (0, 1), (0, 1), (0, 1)):
        value = 1 | 4 | write << 1 | accessed << 5 | dirty << 6 | nx << 63
        value |= (PFN >> 12 + 9 * (level - 1)) << 12 + 9 * (level - 1)
        value |= 1 << 7 if level > 1 else 0
        value |= 1 << 11 if marks.present else 0
        value |= 1 << marks.host if write and marks.host is not None else 0
        value |= 1 << marks.mmu if write and marks.mmu is not None else 0
        spte = decode_npt(value, level, release=marks.release)
        assert spte.kind is SpteKind.LEAF
        assert (spte.npt_index, spte.memtype, spte.ipat) == (0, None, None)
        assert spte.address == PFN >> 12 + 9 * (level - 1) << 12 + 9 * (level - 1)
        reading = spte.readings[0].reading
        assert reading.odd == ()
        names = {name: bit for name, bit in reading.state if name != "MMU-present"}
        wanted = {"host-writable": marks.host, "MMU-writable": marks.mmu}
        assert names == {name: bit for name, bit in wanted.items() if write and bit is not None}
        assert ("no-execute" in reading.flags) is bool(nx)
        seen += 1
    assert seen == 48


@pytest.mark.parametrize("marks", TABLE, ids=lambda marks: ".".join(map(str, marks.release)))
def test_tables_and_what_is_no_memory(marks: Marks) -> None:
    release = marks.release
    present = 1 << 11 if marks.present else 0
    for level in (2, 3, 4, 5):
        table = decode_npt(PFN | 0x27 | present, level, release=release)
        assert (table.kind, table.address, table.npt_index) == (SpteKind.TABLE, PFN, None)
        assert table.readings[0].reading.odd == ()
    for value in marks.empty:
        assert decode_npt(value, 1, release=release).kind is SpteKind.EMPTY
    if marks.removed is not None:
        assert decode_npt(marks.removed, 2, release=release).kind is SpteKind.REMOVED
    if marks.mmio is not None:
        mmio = decode_npt(marks.mmio | 0xFEE00 << 12 | 6, 1, release=release)
        assert mmio.kind is SpteKind.MMIO
        assert mmio.readings[0].reading.gfns[0].gfn == 0xFEE00
        assert mmio.npt_index is None
    if marks.present:
        assert decode_npt(PFN | 0x67, 1, release=release).kind is SpteKind.NOT_PRESENT


@pytest.mark.parametrize("release", [(5, 15), (6, 1), (6, 12), (7, 2), None])
def test_an_mmio_entry_of_an_sme_host_whatever_bit_11_is(release: tuple[int, ...] | None) -> None:
    """8 March 2021: all bits from the host's width up to 51; patches of then counted bit 11 as generation."""
    for width in (36, 43, 48):
        for value in (0xFFC12817, 0xFFC12017, 0xFFC12807, 0xFFC12815):
            spte = decode_npt((1 << 52) - (1 << width) | value, 1, release=release)
            assert (spte.kind, spte.npt_index, spte.notes) == (SpteKind.MMIO, None, ())
            assert {found.gfn for found in spte.readings[0].reading.gfns} >= {0xFFC12}
            assert spte.readings[0].reading.generation == (0 if value & 0x10 == 0 else 2)
            assert ("bit 11" in spte.readings[0].reading.sign) is bool(value & 0x800)


def test_the_era_is_that_of_the_releases_that_read_it_so() -> None:
    assert decode_npt(1 << 59, 1, release=(5, 12)).era == "5.12"
    assert decode_npt(0x455299C67, 1, release=(5, 12)).era == "5.4 to 5.12"


@pytest.mark.parametrize("index", range(1, 8))
def test_an_index_that_kvm_does_not_write_is_shown_and_odd(index: int) -> None:
    """A page selects entry 4*PAT + 2*PCD + PWT; PAT is bit 7 at level 1, bit 12 above."""
    for level, pat in ((1, 7), (2, 12), (3, 12)):
        value = 0x400000000 | 0xE67 | (0 if level == 1 else 1 << 7)
        value |= (index & 1) << 3 | (index >> 1 & 1) << 4 | (index >> 2) << pat
        spte = decode_npt(value, level, release=(6, 12))
        assert (spte.kind, spte.npt_index) == (SpteKind.LEAF, index)
        assert spte.readings[0].reading.odd == (f"PAT, PCD and PWT select entry {index}, and KVM leaves them clear",)


@pytest.mark.parametrize(
    ("value", "level", "kind", "era"),
    [
        (0x455299E67, 1, SpteKind.LEAF, "5.13 on"),
        (0x455299C67, 1, SpteKind.LEAF, "3.6 to 5.12"),
        (0x455299267, 1, SpteKind.LEAF, "2.6.32 to 3.5"),
        (0x455299027, 2, SpteKind.TABLE, "2.6.29 to 5.12"),
        (0x455299827, 2, SpteKind.TABLE, "5.13 on"),
        (0x455299007, 2, SpteKind.TABLE, "2.6.29 to 3.5"),
        (0, 1, SpteKind.EMPTY, "2.6.29 on"),
        (1 << 63, 1, SpteKind.EMPTY, "6.10 on"),
    ],
)
def test_without_a_release_the_value_tells_its_own(value: int, level: int, kind: SpteKind, era: str) -> None:
    spte = decode_npt(value, level)
    assert (spte.kind, spte.era, noted(spte.notes)) == (kind, era, ())


def test_an_entry_of_another_release_says_whose_it_may_be() -> None:
    spte = decode_npt(0x455299C67, 1, release=(6, 12))
    assert spte.fits == "3.6 to 5.12"
    assert noted(decode_npt(0x455299E7F, 1).notes) == (
        "no release of KVM writes such an NPT entry: read by the newest release's layout",
    )


def test_the_c_bit() -> None:
    for bit in (47, 51):
        spte = decode_npt(1 << bit | 0x455299E67, 1, maxphyaddr=43, release=(6, 12))
        assert noted(spte.notes) == (
            f"bit {bit} is the C-bit on hosts that encrypt memory (SME, SEV), and no address bit",
        )
        assert spte.readings[0].reading.odd == ()
    assert decode_npt(1 << 46 | 0x455299E67, 1, maxphyaddr=43, release=(6, 12)).readings[0].reading.odd == (
        "address bits at or above maxphyaddr 43",
    )


@given(st.integers(0, (1 << 64) - 1), st.sampled_from([None, (3, 16), (5, 10), (6, 12), (7, 2)]))
def test_law_a_nested_type_is_a_leafs_alone(value: int, release: tuple[int, ...] | None) -> None:
    for level in range(1, 6):
        spte = decode_npt(value, level, release=release)
        for found in spte.readings:
            assert (found.reading.npt_index is not None) is (found.reading.kind is SpteKind.LEAF)
            assert (found.reading.memtype, found.reading.ipat) == (None, None)
    assert decode_npt_at_any_level(value, release=release).npt
