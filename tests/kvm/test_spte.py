# SPDX-License-Identifier: GPL-2.0-only
"""SPTEs told apart: public logs, each kind at its edges, what no release writes, and what nothing tells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.kvm.spte import Spte, SpteKind, decode_spte, decode_spte_at_any_level, eras_of
from mtcalc.kvm.spte_eras import LAYOUTS
from support.notes import noted

LEAF, TABLE, EMPTY, REMOVED = SpteKind.LEAF, SpteKind.TABLE, SpteKind.EMPTY, SpteKind.REMOVED
MMIO, NOT_EPT, NOT_PRESENT = SpteKind.MMIO, SpteKind.NOT_EPT, SpteKind.NOT_PRESENT

VALUES = st.integers(0, (1 << 64) - 1)
LEVELS = st.integers(1, 5)
RELEASES = st.one_of(st.none(), st.sampled_from([layout.since for layout in LAYOUTS]))


def mask_of(spte: Spte) -> int | None:
    """The EPT byte, None where it has no type."""
    return None if spte.memtype is None else spte.memtype << 3 | (0x40 if spte.ipat else 0)


@pytest.mark.parametrize(
    ("value", "level", "kind", "mask", "era"),
    [
        # EPT, from a public ftrace log of a teardown
        (0x0600_0004_5529_9B77, 1, LEAF, 0x70, "5.13 to 6.9"),
        (0x0600_0002_1BE0_0BF3, 2, LEAF, 0x70, "5.13 to 6.9"),
        (0x2_C583_E907, 4, TABLE, None, "5.13 to 6.9"),
        (0x2_C583_D907, 3, TABLE, None, "5.13 to 6.9"),
        (0x2_C583_C907, 2, TABLE, None, "5.13 to 6.9"),
        # the same of 6.12, with suppress-#VE; a log of a CPU with that bit in empty and frozen entries
        (0x8600_0000_02BB_9B77, 1, LEAF, 0x70, "6.10 to 7.1"),
        (0x8000_0001_0BC9_7907, 2, TABLE, None, "6.10 to 7.1"),
        (0x8000_0000_0000_05A0, 2, REMOVED, None, "6.10 to 7.1"),
        (0x8000_0000_0000_0000, 1, EMPTY, None, "6.10 on"),
        (0x5A0, 1, REMOVED, None, "5.13 to 6.9"),
        (0x5A0, 4, REMOVED, None, "5.13 to 6.9"),
        (1 << 59, 1, REMOVED, None, "5.12"),
        (0x8000_0000_0000_01A0, 1, REMOVED, None, "7.2 on"),
        (0, 1, EMPTY, None, "2.6.29 on"),
        (0, 4, EMPTY, None, "2.6.29 on"),
        # an incident report of a RHEL 7 host: host- and MMU-writable are bits 10 and 11
        (0x8_4C23_6107, 4, TABLE, None, "3.6 to 5.12"),
        (0x10_515C_7107, 3, TABLE, None, "3.6 to 5.12"),
        (0xD_E465_7107, 2, TABLE, None, "3.6 to 5.12"),
        (0x10_2812_5D77, 1, LEAF, 0x70, "3.6 to 5.12"),
        # ordinary leaves of each layout: WB, ignore PAT, accessed and dirty
        (0x1234_5277, 1, LEAF, 0x70, "2.6.32 to 3.5"),
        (0x1234_5F77, 1, LEAF, 0x70, "3.6 to 5.12"),
        (0x80A0_0000_0224_CF77, 1, LEAF, 0x70, "7.2 on"),
        # read-only ones, which bits 62:52 do not tell apart
        (0x8000_0000_0224_CD75, 1, LEAF, 0x70, "7.2 on"),
        (0x8000_0000_036D_8975, 1, LEAF, 0x70, "6.10 to 7.1"),
        (0x32B_1975, 1, LEAF, 0x70, "5.13 to 6.9"),
        (0x8000_0000_0000_0D07, 2, TABLE, None, "7.2 on"),
        # NPT and shadow paging, from public logs
        (0x100_3EB2_7E67, 1, NOT_EPT, None, "5.13 on"),
        (0x29D_BE67, 1, NOT_EPT, None, "5.13 on"),
        (0x25C_0C67, 1, NOT_EPT, None, "3.6 to 5.12"),
        (0x100_B1B1_6827, 2, NOT_EPT, None, "5.13 on"),
        (0x1_344A_0827, 4, NOT_EPT, None, "5.13 on"),
        (0x1_6FBF_0827, 2, NOT_EPT, None, "5.13 on"),
        (0xF_F800_FFC1_2817, 1, NOT_EPT, None, "5.13 on"),
        # MMIO: recorded ones, and generation numbers all set and all clear
        (0xF8_F000_0066, 1, MMIO, None, "5.13 on"),
        (0x90_00F8_F000_01B6, 1, MMIO, None, "5.13 on"),
        (0x30_01F8_0000_0046, 1, MMIO, None, "5.4 on"),
        (0x7FF0_00FE_C000_07FE, 1, MMIO, None, "4.11 to 7.1"),
        (0x01FE_0000_FEE0_0006, 1, MMIO, None, "3.1 to 3.10, 5.4 on"),
        (0x01CE_0000_FEE0_0006, 1, MMIO, None, "5.13 on"),
        (0xC000_0000_FEE0_0006, 1, MMIO, None, "3.11 to 4.10"),
        # access-tracked: RWX saved, memory type still valid
        (0x0750_0000_1234_5870, 1, LEAF, 0x70, "5.13 to 6.9"),
        (0x0150_0000_02BF_5C30, 1, LEAF, 0x30, "5.4 to 5.12"),
        (0xD0F0_0000_0540_0AB0, 2, LEAF, 0x30, "7.2 on"),
        # nothing that KVM writes, nor the CPU would walk to
        (0x1234_5000, 2, NOT_PRESENT, None, ""),
        (0x1234_5030, 1, NOT_PRESENT, None, ""),
        # the mask of 6.10 on has bit 63 clear, and before nothing sets it
        (0x8000_00FE_C000_0006, 1, LEAF, 0x00, ""),
    ],
)
def test_entries_of_every_kind(value: int, level: int, kind: SpteKind, mask: int | None, era: str) -> None:
    """Without a release the value tells its era; memory type and IPAT mean something only in leaves."""
    spte = decode_spte(value, level)
    assert spte.kind is kind
    assert spte.era == era
    assert mask_of(spte) == mask
    assert not spte.undecided


@pytest.mark.parametrize(
    ("value", "level", "release", "kind"),
    [
        # 1c: the signs of entries that are no EPT's, by release
        (0x1234_5E67, 1, (6, 1), NOT_EPT),  # WT with IPAT
        (0x1234_5C67, 1, (4, 4), NOT_EPT),
        (0x1234_5267, 1, (3, 0), NOT_EPT),
        (0x1234_5067, 1, (2, 6, 31), NOT_EPT),
        (0x1234_5067, 1, (2, 6, 29), LEAF),  # whose rules gave every type IPAT
        (0x1234_5E37, 1, (6, 1), NOT_EPT),  # bit 10, which EPT leaves never had there
        (0x1234_5E25, 1, (5, 15), NOT_EPT),
        (0x8000_0000_1234_5F75, 1, (7, 3), LEAF),  # and have from 7.2
        (0x1234_5F37, 1, (5, 10), LEAF),  # and had up to 5.12
        (0x0600_0000_1234_5F37, 1, (6, 1), LEAF),  # 57 or 58 is EPT's
        (0x1234_5975, 1, (6, 9), LEAF),
        (0x1234_5975, 1, (6, 10), NOT_EPT),  # bit 63 clear
        (0x1234_5907, 2, (6, 10), NOT_EPT),
        (0x80A0_0000_1234_5F77, 1, (7, 2), LEAF),
        (0x00A0_0000_1234_5F77, 1, (7, 2), NOT_EPT),
        (0x1234_5027, 3, (3, 2), NOT_EPT),  # shadow tables: accessed
        (0x1234_5027, 3, (5, 10), NOT_EPT),
        (0x1234_5007, 3, (3, 2), TABLE),
        # MMIO SPTEs of NPT and shadow paging
        (0x7FFF_FF00_FEE0_0007, 1, (3, 2), NOT_EPT),
        (0xC00F_F000_FEE0_0007, 1, (3, 11), NOT_EPT),
        (0x400F_F000_FEE0_0003, 1, (4, 14), NOT_EPT),
        (0x0038_00F8_F000_0067, 1, (5, 10), NOT_EPT),
        (0x0008_0000_FEE0_0007, 1, (6, 1), NOT_EPT),
        (0x000F_F800_FEE0_0001, 1, (7, 3), NOT_EPT),
    ],
)
def test_npt_and_shadow_paging_by_release(value: int, level: int, release: tuple[int, ...], kind: SpteKind) -> None:
    """The strongest sign is named; there is no memory type."""
    spte = decode_spte(value, level, 52, release)
    assert spte.kind is kind
    assert (spte.memtype is None) is (kind is not LEAF)
    assert bool(spte.readings[0].reading.sign) is (kind is NOT_EPT)


def test_an_mmio_entry_of_shadow_paging_that_a_leaf_far_up_may_look_like() -> None:
    """4.13 to 5.3: bits 62, 51 and 0; or EPT without A/D bits on a host of 52 bits. Fewer bits decide."""
    spte = decode_spte(0x4008_0000_FEE0_0001, 1, 52, (5, 3))
    assert spte.undecided
    assert decode_spte(0x4008_0000_FEE0_0001, 1, 46, (5, 3)).kind is NOT_EPT


def test_the_mmio_entry_of_a_mail() -> None:
    """8 March 2021: NPT on a host with SME, gfn 0xffc12; bit 11 was still of the generation."""
    spte = decode_spte_at_any_level(0xF_F800_FFC1_2817)
    assert spte.kind is NOT_EPT
    assert spte.memtype is None
    reading = spte.readings[0].reading
    assert [gfn.gfn for gfn in reading.gfns] == [0xFFC12]
    assert "MMIO" in reading.sign


@pytest.mark.parametrize(
    ("value", "levels", "kind", "address"),
    [
        (0x1_344A_0827, (2, 3, 4, 5), NOT_EPT, 0x1_344A_0000),
        (0x1234_5907, (2, 3, 4, 5), TABLE, 0x1234_5000),
        (0x0600_0002_1BE0_0BF3, (2,), LEAF, 0x2_1BE0_0000),
        (0x0600_0002_4000_0BF7, (2, 3), LEAF, 0x2_4000_0000),
        (0x0600_0004_5529_9B77, (1,), LEAF, 0x4_5529_9000),
        (0x5A0, (1, 2, 3, 4, 5), REMOVED, None),
        (0xF8_F000_0066, (1,), MMIO, None),
        (0x22, (1,), LEAF, 0),
    ],
)
def test_without_a_level(value: int, levels: tuple[int, ...], kind: SpteKind, address: int | None) -> None:
    """The levels at which KVM would write it; level 1 where there is none."""
    spte = decode_spte_at_any_level(value)
    assert spte.levels == levels
    assert spte.level == levels[0]
    assert spte.kind is kind
    assert spte.address == address


def test_a_value_that_says_something_else_at_other_levels() -> None:
    spte = decode_spte_at_any_level(0x1234_5007, release=(3, 2))
    assert (spte.level, spte.kind) == (1, LEAF)
    assert [(other.levels, other.kind) for other in spte.others] == [((2, 3, 4, 5), TABLE)]


def test_a_read_only_page_of_either_kind_is_undecided() -> None:
    """From shadow paging; a leaf of EPT up to 6.9 may be the same. A release where EPT has a sign decides."""
    spte = decode_spte(0x32B_1825)
    assert spte.undecided
    assert (spte.kind, spte.memtype) == (None, None)
    assert [(era, found.kind) for era, found in spte.readings] == [("5.13 to 6.9", LEAF), ("5.13 on", NOT_EPT)]
    known = decode_spte(0x32B_1825, 1, 52, (6, 1))
    assert known.undecided
    assert (known.kind, mask_of(known)) == (LEAF, 0x20)
    assert decode_spte(0x32B_1825, 1, 52, (6, 12)).kind is NOT_EPT


@given(VALUES, LEVELS, RELEASES)
def test_a_memory_type_is_a_leafs_alone(value: int, level: int, release: tuple[int, ...] | None) -> None:
    """Memory type and IPAT mean something only in leaves: level 1, or bit 7 set at level 2 or 3."""
    spte = decode_spte(value, level, 52, release)
    large = level in (2, 3) and value & 0x80 != 0
    for _, reading in spte.readings:
        assert (reading.memtype is None) is (reading.kind is not LEAF)
        if reading.kind is LEAF:
            assert level == 1 or large
            assert reading.memtype == value >> 3 & 7
            assert reading.ipat == bool(value & 0x40)
        if reading.kind is TABLE:
            assert level > 1
            assert not large
        assert (reading.kind is MMIO) <= (value & 6 == 6 or bool(value >> 52 & 3))
        # unknown bits are shown, never dropped
        assert reading.other & ~value == 0


@given(VALUES, LEVELS)
def test_the_eras_that_fit_read_it_the_same_with_their_release(value: int, level: int) -> None:
    """Also for values near those that KVM writes."""
    for near in (value, value & ~0x0F50_0000_0000_0000, value & 0xFFF | 1 << 63, value & 0x06FF_FFFF_FFFF_FFFF | 0x807):
        fits = eras_of(near, level)
        spte = decode_spte(near, level)
        for layout in LAYOUTS:
            known = decode_spte(near, level, 52, layout.since)
            sound = not known.readings[0].reading.odd and known.kind is not NOT_EPT
            assert not sound or known.era in fits
            if sound and not spte.undecided:
                assert known.kind is spte.kind


@pytest.mark.parametrize(
    ("value", "release", "kind", "era"),
    [
        (1 << 59, (5, 12), REMOVED, "5.12"),
        (1 << 59, (5, 11), NOT_PRESENT, "5.4 to 5.11"),
        (0xF77, (5, 12), LEAF, "5.4 to 5.12"),
        (0x5A0, (6, 1), REMOVED, "5.13 to 6.9"),
        (0x67, (2, 6, 31), NOT_EPT, "2.6.31"),
        (0x67, (2, 6, 30), LEAF, "2.6.29 to 2.6.30"),
    ],
)
def test_the_era_is_that_of_the_releases_that_read_it_so(
    value: int, release: tuple[int, ...], kind: SpteKind, era: str
) -> None:
    """Rows inside an era tell some entries apart."""
    spte = decode_spte(value, 1, release=release)
    assert (spte.kind, spte.era, spte.readings[0].era) == (kind, era, era)


@pytest.mark.parametrize(
    ("value", "release", "gfns"),
    [
        (0x30_01F8_0000_0046, (5, 10), {0x1F8_0000_0, 0x80_0000}),
        (0x30_00F8_8300_00C6, (5, 10), {0xF88_3000, 0x8_3000}),
        (0x30_00F8_8300_00C6, (5, 7), {0xF88_3000, 0x8_3000}),
        (0x4000_00F8_8300_00C6, (4, 20), {0xF88_3000, 0x8_3000}),
        (0x4000_00F8_8300_00C6, (4, 14), {0xF88_3000}),
        (0xFEE0_0006, (6, 1), {0xFEE00}),
        (0x3E00_FEE0_0006, (6, 1), {0x3_E00F_EE00, 0xFEE00}),  # a host of 46 bits
        (0x5_F000_0000_0006 & 0xF_FFFF_FFFF_FFFF, (6, 1), {0x5_F000_0000_0}),
    ],
)
def test_the_gfn_of_an_mmio_entry_with_and_without_the_l1tf_mask(
    value: int, release: tuple[int, ...], gfns: set[int]
) -> None:
    """The 5 top bits of the width set, the gpa bits there moved up by 5; which hosts do so an entry does not tell."""
    (found,) = decode_spte(value, 1, 52, release).readings
    assert found.reading.kind is MMIO
    assert {gfn.gfn for gfn in found.reading.gfns} == gfns


def test_a_generation_whose_upper_half_repeats() -> None:
    """5.1 to 5.10 without the fix wrote low bits twice; 5.11 has it."""
    value = 0x0030_0000_FEE0_0006 | 0x15 << 3 | 0x15 << 54
    unfixed, fixed = (decode_spte(value, 1, 52, release) for release in ((5, 10), (5, 11)))
    assert (unfixed.readings[0].reading.generation, fixed.readings[0].reading.generation) == (0x15, 0x15 << 9 | 0x15)
    assert "34c0f6f2695a" in noted(unfixed.notes)[0]
    assert noted(fixed.notes) == ()


def test_what_another_release_writes_is_said() -> None:
    spte = decode_spte(0x0600_0004_5529_9B77, 1, 52, (5, 10))
    assert (spte.kind, mask_of(spte), spte.fits) == (LEAF, 0x70, "5.13 to 6.9")
    assert spte.readings[0].reading.other == 0x0600_0000_0000_0000
    assert spte.readings[0].reading.odd == (
        "MMU-writable, but not host-writable",
        "bits 0x600000000000000, which no leaf has",
    )
    assert decode_spte(0x5A0, 1, 52, (7, 3)).fits == "5.13 to 6.9"
    newer = decode_spte_at_any_level(0x1_344A_0827, release=(5, 10))
    assert (newer.kind, newer.level, newer.fits, newer.pte_fits) == (NOT_EPT, 2, "", "5.13 on")
    older = decode_spte_at_any_level(0x0600_0004_5529_9B77, release=(6, 12))
    assert (older.kind, older.levels, older.fits) == (NOT_EPT, (1,), "5.13 to 6.9")


def test_what_no_release_writes_is_read_as_the_cpu_does() -> None:
    """EPT misconfigurations are still said."""
    for value, wrong in (
        (0x22, "writable but not readable"),
        (0x17, "reserved memory type 2"),
        (0x1F, "reserved memory type 3"),
        (0x3F, "reserved memory type 7"),
    ):
        spte = decode_spte(value)
        assert (spte.kind, spte.era) == (LEAF, "")
        assert spte.readings[0].reading.misconfigurations == (wrong,)
        assert noted(spte.notes) == ("no release of KVM writes such an entry: read as the CPU does",)


def test_an_entry_of_a_tdx_guest() -> None:
    """From 6.16 on the MMIO value of a TDX guest's shared EPT is 0."""
    for release, said in (((6, 15), False), ((6, 16), True), ((7, 3), True)):
        notes = noted(decode_spte(0x1234_5000, 1, 52, release).notes)
        assert any("TDX" in note for note in notes) is said
    assert noted(decode_spte(1 << 63, 1, 52, (7, 3)).notes) == ()


def test_an_address_beyond_the_cpus_width() -> None:
    """Incident report: bit 36 is set in two entries, a misconfiguration on a CPU of 36 bits."""
    for value, level, beyond in ((0x8_4C23_6107, 4, 0), (0x10_515C_7107, 3, 1), (0x10_2812_5D77, 1, 1)):
        for width, count in ((36, beyond), (37, 0)):
            reading = decode_spte(value, level, width, (3, 10)).readings[0].reading
            assert len(reading.misconfigurations) == count
