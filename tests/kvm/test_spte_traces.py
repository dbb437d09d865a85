# SPDX-License-Identifier: GPL-2.0-only
"""SPTEs that real KVM wrote: every entry of the recorded traces, with its release and without."""

from __future__ import annotations

from functools import cache

import pytest

import mtcalc.kvm.spte
from mtcalc.kvm.spte import SpteKind
from mtcalc.kvm.spte_eras import era_text, layout_at
from support.traces import EPT, SHADOW, Traced, entries, release_of
from support.vectors import json_lines

# The traces hold the same entries again and again.
decode_spte = cache(mtcalc.kvm.spte.decode_spte)
decode_spte_at_any_level = cache(mtcalc.kvm.spte.decode_spte_at_any_level)
eras_of = cache(mtcalc.kvm.spte.eras_of)

NO_TYPE = {SpteKind.EMPTY, SpteKind.REMOVED, SpteKind.MMIO, SpteKind.TABLE}


def by_hand(entry: Traced) -> SpteKind:
    """The kind as the low bits tell in the releases recorded: 5.10, 6.1, 6.12 and 7.3."""
    if entry.value in (0, 1 << 63):
        return SpteKind.EMPTY
    if entry.value & 0xFFF in (0x1A0, 0x5A0) and not entry.value & 0xFFFF_FFFF_F000:
        return SpteKind.REMOVED
    if entry.value & 7 == 6:
        return SpteKind.MMIO
    return SpteKind.LEAF if entry.level == 1 or entry.value & 0x80 else SpteKind.TABLE


@pytest.mark.parametrize("name", EPT)
def test_every_entry_of_a_recorded_ept(name: str) -> None:
    """Its kind, type and IPAT are the same with the release that wrote it, without one, and without a level."""
    release = release_of(name)
    era = era_text(layout_at(release))
    found = entries(name)
    assert found
    for entry in found:
        known = decode_spte(entry.value, entry.level, 40 if by_hand(entry) is SpteKind.LEAF else 52, release)
        unknown = decode_spte(entry.value, entry.level)
        assert known.readings[0].reading.odd == (), entry
        assert known.kind is unknown.kind is by_hand(entry), entry
        assert not known.undecided, entry
        assert not unknown.undecided, entry
        assert era in eras_of(entry.value, entry.level), entry
        if known.kind is SpteKind.LEAF:
            assert known.memtype == unknown.memtype == entry.value >> 3 & 7, entry
            assert known.ipat == unknown.ipat == bool(entry.value & 0x40), entry
            assert known.address == unknown.address == entry.value & 0xF_FFFF_FFFF_F000, entry
            assert entry.level in decode_spte_at_any_level(entry.value).levels, entry
        else:
            assert known.memtype is unknown.memtype is None, entry
        if known.kind is SpteKind.MMIO:
            for spte in (known, unknown):
                for _, reading in spte.readings:
                    assert entry.gfn in [gfn.gfn for gfn in reading.gfns], entry
        if known.kind is SpteKind.TABLE:
            assert entry.level in decode_spte_at_any_level(entry.value, release=release).levels, entry


def test_the_recorded_traces_hold_entries_of_every_kind() -> None:
    kinds = {by_hand(entry) for name in EPT for entry in entries(name)}
    assert kinds == NO_TYPE | {SpteKind.LEAF}
    assert len(EPT) == 36
    assert {release_of(name) for name in EPT} == {(5, 10), (6, 1), (6, 12), (7, 3)}


@pytest.mark.parametrize(("vector", "count"), [("live.jsonl", 539), ("live2.jsonl", 396)])
def test_every_recorded_leaf_has_the_recorded_mask(vector: str, count: int) -> None:
    """935 leaves of 5.10, 6.1, 6.12 and 7.3."""
    rows = json_lines(vector)
    assert len(rows) == count
    for row in rows:
        value, level = int(row["spte"], 16), row["level"]
        for release in (release_of(row["run"]), None):
            spte = decode_spte(value, level, 40, release)
            assert spte.kind is SpteKind.LEAF, row
            assert not spte.undecided, row
            assert spte.memtype is not None
            assert spte.memtype << 3 | (0x40 if spte.ipat else 0) == int(row["mask"], 16), row
            assert spte.readings[0].reading.misconfigurations == (), row


@pytest.mark.parametrize("name", SHADOW)
def test_shadow_paging_is_told_or_said_to_be_undecidable(name: str) -> None:
    """ept=0: nothing in a line says so. Read-only pages of 5.10 and 6.1 have no sign; in 7.3 all have one."""
    release = release_of(name)
    read_only = 0
    for entry in entries(name):
        known, unknown = decode_spte(entry.value, entry.level, 52, release), decode_spte(entry.value, entry.level)
        writable = bool(entry.value & 2)
        read_only += not writable
        for spte in (known, unknown):
            assert spte.kind is SpteKind.NOT_EPT or spte.undecided, entry
            if writable:
                assert spte.kind is SpteKind.NOT_EPT, entry
                assert spte.memtype is None, entry
        if release >= (6, 10):
            assert known.kind is SpteKind.NOT_EPT, entry
    assert 0 < read_only < len(entries(name)) / 4
    assert len(SHADOW) == 3


@pytest.mark.parametrize(
    ("value", "level"),
    [(0x100_B1B1_6827, 2), (0x100_3EB2_7E67, 1), (0x100_56CC_8E67, 1), (0x100_A43F_4E67, 1)],
)
def test_npt_from_a_public_trace(value: int, level: int) -> None:
    """A log of an AMD host, before 6.10: every present entry has a sign."""
    for release in (None, (5, 15), (6, 1), (6, 12), (7, 3)):
        spte = decode_spte(value, level, 52, release)
        assert spte.kind is SpteKind.NOT_EPT
        assert spte.memtype is spte.ipat is None
        assert spte.readings[0].reading.sign


def test_npt_without_a_sign_is_undecided() -> None:
    """From public logs: WT without IPAT. Read-only of old; a clean huge page, which 3.6 to 5.12's EPT looks like."""
    for value, level, era, pte_era in (
        (0x8B_E217_1025, 1, "2.6.29 to 5.12", "2.6.29 to 5.12"),
        (0x100_B4A0_0EA7, 2, "3.6 on", "5.13 on"),
    ):
        spte = decode_spte(value, level)
        assert spte.undecided
        assert (spte.kind, spte.memtype, spte.ipat) == (None, None, None)
        assert (spte.era, spte.pte_era) == (era, pte_era)
    for release in ((5, 15), (6, 1), (6, 12)):
        assert decode_spte(0x100_B4A0_0EA7, 2, 52, release).kind is SpteKind.NOT_EPT
