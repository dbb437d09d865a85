# SPDX-License-Identifier: GPL-2.0-only
"""Which change of an input drops entries, release by release, against what was read in the trees, put down anew."""

from __future__ import annotations

import itertools

import pytest

from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.kvm.release import sort_key
from mtcalc.kvm.zaps import FLAG_ZAPS, NEW_FLAG_ZAPS, ZAPS, Zap, zapped_when

N, CD, MTRR, PAT, QUIRK = "noncoherent_dma", "cr0_cd", "guest_mtrr", "guest_pat", "quirk"

# (first tree, last tree): what each change drops there.
READ = [
    ((2, 6, 31), (4, 1, 3), {N: Zap.NEVER, CD: Zap.NEVER, MTRR: Zap.NEVER}),
    ((4, 2, 8), (6, 6, 9), {N: Zap.NEVER, CD: Zap.NONCOHERENT_DMA_WITHOUT_QUIRK, MTRR: Zap.NONCOHERENT_DMA}),
    ((6, 8, 0), (6, 10, 0), {N: Zap.ALWAYS, CD: Zap.NONCOHERENT_DMA_WITHOUT_QUIRK, MTRR: Zap.NONCOHERENT_DMA}),
    ((6, 11, 11), (6, 12, 0), {N: Zap.ALWAYS, CD: Zap.NEVER, MTRR: Zap.NEVER}),
    ((6, 12, 78), (6, 12, 117), {N: Zap.IGNORE_GUEST_PAT, CD: Zap.NEVER, MTRR: Zap.NEVER}),  # the quirk's backport
    ((6, 13, 2), (6, 14, 0), {N: Zap.ALWAYS, CD: Zap.NEVER, MTRR: Zap.NEVER}),
    ((6, 16, 1), (7, 3, 4), {N: Zap.IGNORE_GUEST_PAT, CD: Zap.NEVER, MTRR: Zap.NEVER}),
]


@pytest.mark.parametrize(("first", "last", "wanted"), READ)
def test_what_the_trees_drop(first: tuple[int, ...], last: tuple[int, ...], wanted: dict[str, Zap]) -> None:
    for release in (first, last):
        assert {kind: zapped_when(kind, "", release) for kind in wanted} == wanted
        for kind in (PAT, QUIRK):
            assert zapped_when(kind, "CD_NW_CLEARED", release) is Zap.NEVER


def test_release_candidates_of_6_11_drop_nothing_any_longer() -> None:
    assert zapped_when(MTRR, "", (6, 11, -1)) is Zap.NEVER
    assert zapped_when(MTRR, "", (6, 10, 14)) is Zap.NONCOHERENT_DMA


def test_slot_flags() -> None:
    """READONLY could change on a live slot in 3.7 and 3.8; who knows of a new flag, or of what dirty logging drops."""
    assert [zapped_when("slot_flag", "READONLY", release) for release in ((3, 8), (3, 9))] == [Zap.NEVER, Zap.ALWAYS]
    for name in ("NON_COHERENT_DMA", "OWN"):
        assert zapped_when("slot_flag", name, (6, 7)) is Zap.NEVER
    assert zapped_when("slot_flag", "LOG_DIRTY_PAGES", (6, 7)) is None
    assert set(FLAG_ZAPS) < set(SLOT_FLAGS)


def test_what_does_not_change_is_not_known() -> None:
    for kind in ("mmio", "self_snoop", "mem_dma", "assume"):
        assert zapped_when(kind, "", (6, 7)) is None


TABLES = {**ZAPS, **FLAG_ZAPS, "a new flag": NEW_FLAG_ZAPS}


@pytest.mark.parametrize("name", TABLES)
def test_rows_ascend_and_have_a_source(name: str) -> None:
    rows = TABLES[name]
    assert rows[0].since == (0,)
    keys = [sort_key(row.since) for row in rows]
    assert keys == sorted(set(keys))
    assert all(row.source for row in rows)
    assert all(one.what is not other.what for one, other in itertools.pairwise(rows))
