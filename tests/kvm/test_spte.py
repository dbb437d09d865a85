# SPDX-License-Identifier: GPL-2.0-only
"""SPTEs told apart: KVM's own recorded entries, public logs, and each kind at its edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.kvm.spte import SpteKind, decode_spte
from support.vectors import live_entries

LEAF, TABLE, EMPTY = SpteKind.LEAF, SpteKind.TABLE, SpteKind.EMPTY


def test_every_recorded_leaf_is_a_leaf_with_the_recorded_mask() -> None:
    """539 leaf entries that KVM itself wrote into the EPT, 6.1 and 6.12."""
    entries = live_entries()
    assert len(entries) == 539
    for row in entries:
        value, level = int(row["spte"], 16), row["level"]
        spte = decode_spte(value, level, 40)
        assert spte.kind is LEAF, row
        assert spte.entry.memtype is not None
        assert spte.entry.memtype << 3 | (0x40 if spte.entry.ipat else 0) == int(row["mask"], 16), row
        assert spte.entry.misconfigurations == (), row
        # KVM marks every page that user space may write; the rest are read-only slots.
        assert spte.undecided is ("write" not in spte.entry.flags), row


@pytest.mark.parametrize(
    ("value", "level", "kind", "mask"),
    [
        # EPT, from a public ftrace log of a teardown
        (0x0600_0004_5529_9B77, 1, LEAF, 0x70),
        (0x0600_0002_1BE0_0BF3, 2, LEAF, 0x70),
        (0x2_C583_E907, 4, TABLE, None),
        (0x2_C583_D907, 3, TABLE, None),
        (0x2_C583_C907, 2, TABLE, None),
        # the same of 6.12, with suppress-#VE; a log of a CPU with that bit in empty and frozen entries
        (0x8600_0000_02BB_9B77, 1, LEAF, 0x70),
        (0x8000_0001_0BC9_7907, 2, TABLE, None),
        (0x8000_0000_0000_05A0, 2, SpteKind.REMOVED, None),
        (0x8000_0000_0000_0000, 1, EMPTY, None),
        (0x5A0, 1, SpteKind.REMOVED, None),
        (0x5A0, 4, SpteKind.REMOVED, None),
        (0, 1, EMPTY, None),
        (0, 4, EMPTY, None),
        # NPT and shadow paging, from public logs: bit 10 is MMU-writable there
        (0x100_B4A0_0EA7, 2, SpteKind.NOT_EPT, None),
        (0x100_3EB2_7E67, 1, SpteKind.NOT_EPT, None),
        (0x29D_BE67, 1, SpteKind.NOT_EPT, None),
        (0x100_B1B1_6827, 2, TABLE, None),
        # MMIO: one recorded, and generation numbers (10:3 and 62:52) all set and all clear
        (0xF8_F000_0066, 1, SpteKind.MMIO, None),
        (0x7FF0_00FE_C000_07FE, 1, SpteKind.MMIO, None),
        (0x8000_00FE_C000_0006, 1, SpteKind.MMIO, None),
        # access-tracked: RWX saved, memory type still valid
        (0x0750_0000_1234_5870, 1, LEAF, 0x70),
        (0x0610_0000_1220_08B0, 2, LEAF, 0x30),
        # nothing that the CPU would walk to
        (0x1234_5000, 2, EMPTY, None),
        (0x1234_5030, 1, EMPTY, None),
    ],
)
def test_entries_of_every_kind(value: int, level: int, kind: SpteKind, mask: int | None) -> None:
    """Memory type and IPAT mean something only in leaves."""
    spte = decode_spte(value, level)
    assert spte.kind is kind
    if mask is not None:
        assert spte.entry.memtype is not None
        assert spte.entry.memtype << 3 | (0x40 if spte.entry.ipat else 0) == mask
        assert not spte.undecided


@pytest.mark.parametrize("leaf", [(0x37, 1), (0xB7, 2), (0xB7, 3), (0x35, 1), (0xB5, 2)])
def test_the_sign_of_npt(leaf: tuple[int, int]) -> None:
    """Bit 10 set with 57 and 58 clear; with all three clear (read-only pages) one entry alone does not tell."""
    low, level = leaf
    for bits in range(8):
        value = low | 0x800 | (bits & 1) << 10 | (bits >> 1 & 1) << 57 | (bits >> 2) << 58
        spte = decode_spte(value, level)
        assert spte.kind is (SpteKind.NOT_EPT if bits == 1 else LEAF), bits
        assert spte.undecided is (bits == 0 and not low & 2), bits


def test_a_read_only_page_of_either_kind_is_undecided() -> None:
    """One recorded from EPT (WB, ignore PAT), one from shadow paging: nothing in them tells."""
    for value in (0x32B_1975, 0x32B_1825, 0x8000_0000_036D_8975):
        spte = decode_spte(value)
        assert spte.kind is LEAF
        assert spte.undecided
        assert "MMU-present" in spte.state


@given(st.integers(0, (1 << 64) - 1), st.integers(1, 5))
def test_an_mmio_spte_is_110b_without_bit_11_and_nothing_else_is(value: int, level: int) -> None:
    """MMIO SPTEs: RWX = 110b with bit 11 clear."""
    for low in (value, value & ~7 | 6, value & ~0x807 | 6):
        assert (decode_spte(low, level).kind is SpteKind.MMIO) is (low & 0x807 == 6)


@given(st.integers(0, (1 << 64) - 1), st.integers(1, 5))
def test_a_leaf_is_at_level_1_or_has_bit_7_at_level_2_or_3(value: int, level: int) -> None:
    """Memory type and IPAT mean something only in leaves: never in non-leaf entries."""
    spte = decode_spte(value, level)
    large = level in (2, 3) and value & 0x80 != 0
    if spte.kind is LEAF:
        assert level == 1 or large
    if spte.kind is TABLE:
        assert level > 1
        assert not large
    assert not (spte.undecided and spte.kind is not LEAF)


@pytest.mark.parametrize(
    ("bits", "state"),
    [
        (0x800, ("MMU-present",)),
        (1 << 57 | 0x800, ("MMU-present", "host-writable")),
        (1 << 58 | 0x800, ("MMU-present", "MMU-writable")),
        (1 << 52 | 0x800, ("MMU-present", "A/D disabled")),
        (2 << 52 | 0x800, ("MMU-present", "A/D write-protect only")),
        (3 << 52 | 0x800, ("MMU-present", "A/D mode 3")),
    ],
)
def test_kvms_own_bits_by_name(bits: int, state: tuple[str, ...]) -> None:
    """Bit 11 MMU-present, 57 host-writable, 58 MMU-writable, 53:52 A/D mode."""
    assert decode_spte(bits | 0x37).state == state


@pytest.mark.parametrize(("saved", "words"), [(0, "none"), (1 << 54, "R"), (1 << 56, "X"), (1 << 54 | 1 << 56, "RX")])
def test_an_access_tracked_leaf_says_what_it_saved(saved: int, words: str) -> None:
    """54 and 56 saved R and X of an access-tracked leaf; RWX is then 0."""
    spte = decode_spte(saved | 1 << 57 | 1 << 52 | 0x830)
    assert spte.kind is LEAF
    assert spte.access_tracked
    assert spte.state[-1] == f"access-tracked, saved {words}"
    assert not decode_spte(saved | 1 << 57 | 0x837).access_tracked


@pytest.mark.parametrize("value", [0x407, 0x607, 0xC07])
def test_the_sign_of_npt_needs_no_present_bit_of_kvm(value: int) -> None:
    """Bit 10 set with 57 and 58 clear; older kernels have no bit 11."""
    assert decode_spte(value).kind is SpteKind.NOT_EPT
