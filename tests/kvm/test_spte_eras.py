# SPDX-License-Identifier: GPL-2.0-only
"""The layouts by release against a second model, written as a table of names and read bit by bit."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import pytest

from mtcalc.kvm.spte import SpteKind, decode_spte, eras_of
from mtcalc.kvm.spte_eras import LAYOUTS, era_text, layout_at, spans, unread

TABLE = """
era              releases            host mmu present a/d   saved        mmio               mask               gen
2.6.29 to 2.6.31 2.6.29,2.6.31.3     -    -   any     -     -            -                  -                  -
2.6.32 to 3.0    2.6.32,2.6.39,3.0   9    -   any     -     -            -                  -                  -
3.1 to 3.5       3.1,3.2.7,3.5       9    -   0       -     -            1fe000000000006    1fe000000000006    -
3.6 to 3.10      3.6,3.10.99         10   11  0       -     -            1fe000000000006    1fe000000000006    -
3.11 to 4.7      3.11,3.18,4.7.4     10   11  0       -     -            c000000000000006   c000000000000006   11:61
4.8 to 4.10      4.8,4.10.17         10   11  31:0    -     -            c000000000000006   c000000000000006   11:61
4.11 to 4.12     4.11,4.12.4         10   11  any     62    52,54        4000000000000006   4000000000000006   11:61
4.13 to 5.3      4.13,4.18,5.0,5.3.1 10   11  any     62    52,54        4000000000000006   4000000000000007   11:61
5.4 to 5.12      5.4,5.7.14          10   11  any     53:52 54,56        30000000000006     30000000000007     11:62
5.4 to 5.12      5.8,5.10.262,5.12.9 10   11  any     53:52 54,56        30000000000000     30000000000000     11:62
5.13 to 6.9      5.14,5.15,6.1,6.9   57   58  11      53:52 54,56        6                  7                  10:62
6.10 to 7.1      6.10,6.12.117,7.1.5 57   58  11      53:52 54,56        6                  8000000000000007   10:62
7.2 on           7.2.13,7.3          53   55  11      61:60 52,54,62     6                  8000000000000007   9:62
"""

REMOVED = {(5, 12): 1 << 59, (5, 13): 0x5A0, (6, 10): 0x8000_0000_0000_05A0, (7, 2): 0x8000_0000_0000_01A0}


class Row(NamedTuple):
    """One row of the table, for one of its releases."""

    era: str
    release: tuple[int, ...]
    host: int | None
    mmu: int | None
    present: str
    mode: str
    saved: tuple[int, ...]
    mmio: tuple[int, int] | None
    generation: tuple[int, int] | None  # highest bits of both halves

    @property
    def marks(self) -> int:
        """The A/D-off mark."""
        return {"-": 0, "62": 1 << 62, "53:52": 1 << 52, "61:60": 1 << 60}[self.mode]

    @property
    def modes(self) -> tuple[int, ...]:
        """The marks of entries with any of RWX: none, and A/D off; up to 4.12 that is for RWX=0 alone."""
        return (0, self.marks) if self.marks and self.release >= (4, 13) else (0,)

    @property
    def always(self) -> int:
        """What every present EPT entry has."""
        return (1 << 11 if self.present == "11" else 0) | (1 << 63 if self.release >= (6, 10) else 0)

    @property
    def executable(self) -> int:
        """Execute, and from 7.2 user-execute."""
        return 0x404 if self.release >= (7, 2) else 4

    @property
    def writable(self) -> int:
        """Write and the marks that go with it."""
        return 2 | sum(1 << bit for bit in (self.host, self.mmu) if bit is not None)


def _rows() -> list[Row]:
    found = []
    head, *lines = TABLE.strip().splitlines()
    starts = [head.index(name) for name in head.split()]
    for line in lines:
        cells = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
        era, releases, host, mmu, present, mode, saved, mmio, mask, generation = cells
        low, _, high = generation.partition(":")
        found += [
            Row(
                era,
                tuple(map(int, text.split("."))),
                None if host == "-" else int(host),
                None if mmu == "-" else int(mmu),
                present,
                mode,
                () if saved == "-" else tuple(map(int, saved.split(","))),
                None if mmio == "-" else (int(mmio, 16), int(mask, 16)),
                None if generation == "-" else (int(low), int(high)),
            )
            for text in releases.split(",")
        ]
    return found


ROWS = _rows()
IDS = [".".join(map(str, row.release)) for row in ROWS]
TYPES = (0, 1, 4, 5, 6)


def removed_at(release: tuple[int, ...]) -> int | None:
    """The removed (frozen) value of a release."""
    values = [value for since, value in REMOVED.items() if since <= release]
    return values[-1] if values else None


def kind_of(row: Row, value: int, level: int) -> str:
    """The second model: the order of tests for entries that KVM may have written."""
    if value == 0 or (row.release >= (6, 10) and value == 1 << 63):
        return "empty"
    if value == removed_at(row.release):
        return "removed"
    if row.mmio and value & row.mmio[1] == row.mmio[0] and not (row.present == "11" and value & 0x800):
        return "mmio"
    there = {"any": value, "0": value & 1, "31:0": value & 0xFFFF_FFFF, "11": value & 0x800}[row.present]
    if not there:
        return "not_present"
    return "leaf" if level == 1 or (level < 4 and value & 0x80) else "table"


# Entries without a release: those of releases of one era are the same.
eras_of_any = cache(eras_of)
decode_any = cache(decode_spte)


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_every_leaf_of_every_release(row: Row) -> None:
    """All types, IPAT, permissions, marks and levels: kind, type, address; the era is among those that fit."""
    assert era_text(layout_at(row.release)) == row.era
    ad_bits = (0, 0x100, 0x300) if row.release >= (3, 6) else (0,)
    for memtype, ipat, level, execute, write, ad, mode in product(
        TYPES, (0, 1), (1, 2, 3), (0, 1), (0, 1, 2), ad_bits, row.modes
    ):
        if memtype == 4 and ipat:
            continue
        permissions = (1, 1 | row.writable, 1 | row.writable & ~2)[write] | (row.executable if execute else 0)
        low = memtype << 3 | ipat << 6 | (0x80 if level > 1 else 0) | ad
        value = row.always | mode | permissions | low | 0x1_4000_0000
        assert kind_of(row, value, level) == "leaf"
        spte = decode_spte(value, level, 52, row.release)
        reading = spte.readings[0].reading
        assert spte.kind is SpteKind.LEAF, hex(value)
        assert (spte.memtype, spte.ipat, spte.address) == (memtype, bool(ipat), 0x1_4000_0000)
        assert reading.odd == (), hex(value)
        assert reading.other == 0
        assert row.era in eras_of_any(value, level)
        names = dict(reading.state)
        assert names.get("host-writable") == (row.host if write else None)
        assert names.get("MMU-writable") == (row.mmu if write else None)
        assert ("A/D disabled" in names) is bool(mode)
        for flag, bit in (("write", 2), ("execute", 4)):
            assert (flag in reading.flags) is bool(value & bit)
        assert ("user-execute" in reading.flags) is (row.release >= (7, 2) and bool(execute))
        free = decode_any(value, level)
        assert free.memtype in (memtype, None)
        assert (free.memtype is None) is free.undecided
        if memtype not in (0, 4) or ad & 0x100:
            assert not spte.undecided
            assert not free.undecided


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_every_table_of_every_release(row: Row) -> None:
    """Address, RWX, accessed, present and suppress-#VE; never a memory type."""
    ad_bits = (0, 0x100, 0x300) if row.release >= (3, 6) else (0,)
    for level, ad, mode in product((2, 3, 4, 5), ad_bits, row.modes):
        value = row.always | 3 | row.executable | ad | mode | 0x1234_5000
        assert kind_of(row, value, level) == "table"
        spte = decode_spte(value, level, 52, row.release)
        assert spte.kind is SpteKind.TABLE, hex(value)
        assert spte.readings[0].reading.odd == ()
        assert spte.memtype is spte.ipat is None
        assert spte.address == 0x1234_5000
        assert row.era in eras_of(value, level)


@pytest.mark.parametrize("row", [row for row in ROWS if row.saved], ids=lambda row: ".".join(map(str, row.release)))
def test_every_access_tracked_leaf(row: Row) -> None:
    """RWX is 0, type and IPAT are valid, and what was saved is named."""
    names = "RXU"
    for memtype, ipat, which in product((0, 6), (0, 1), range(1 << len(row.saved))):
        saved = sum(1 << bit for k, bit in enumerate(row.saved) if which >> k & 1)
        value = row.always | row.marks | row.writable & ~2 | memtype << 3 | ipat << 6 | saved | 0x5000
        assert kind_of(row, value, 1) == "leaf"
        spte = decode_spte(value, 1, 52, row.release)
        assert spte.access_tracked
        assert (spte.kind, spte.memtype, spte.ipat) == (SpteKind.LEAF, memtype, bool(ipat))
        assert spte.readings[0].reading.saved == "".join(c for k, c in enumerate(names) if which >> k & 1)
        assert spte.readings[0].reading.odd == ()
        assert row.era in eras_of(value, 1)


@pytest.mark.parametrize("row", [row for row in ROWS if row.mmio], ids=lambda row: ".".join(map(str, row.release)))
def test_every_mmio_entry(row: Row) -> None:
    """gfn and generation, with and without the L1TF mask; no memory type."""
    assert row.mmio is not None
    value = row.mmio[0] | 6
    lowest = {11: 3, 10: 3, 9: 3}
    for gfn in (0, 0xFEE00, 0xF_FFFF_FFFF & 0x3_FFFF_FFF):
        spte = decode_spte(value | gfn << 12, 1, 52, row.release)
        assert kind_of(row, value | gfn << 12, 1) == "mmio"
        assert spte.kind is SpteKind.MMIO
        assert spte.readings[0].reading.gfns[0] == (gfn, 0)
        assert spte.memtype is spte.address is None
    if row.generation is None:
        assert decode_spte(value, 1, 52, row.release).readings[0].reading.generation is None
        return
    low_top, high_top = row.generation
    first = {61: 52, 62: 54 if low_top == 11 else 52}[high_top]
    width = low_top - lowest[low_top] + 1
    kept = 1 if (3, 18) <= row.release < (5, 1) else 0
    for number in (0, 1, 2, 0x15, 1 << width, (3 << width) | 5):
        bits = (number & ((1 << width) - 1)) << 3 | number >> width << first
        found = decode_spte(value | bits | 0xFEE0_0000, 1, 52, row.release).readings[0].reading
        assert found.odd == ()
        assert found.generation == number << kept
        assert found.gfns[0].gfn == 0xFEE00


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_nothing_there(row: Row) -> None:
    """Empty and removed entries of a release, and those of others."""
    empty = {0} | ({1 << 63} if row.release >= (6, 10) else set())
    for value in (0, 1 << 63, *REMOVED.values()):
        for level in (1, 2, 4):
            kind = decode_spte(value, level, 52, row.release).kind
            assert (kind is SpteKind.EMPTY) is (value in empty)
            assert (kind is SpteKind.REMOVED) is (value == removed_at(row.release))
            assert kind in (SpteKind.EMPTY, SpteKind.REMOVED, SpteKind.NOT_PRESENT, SpteKind.TABLE)


def test_every_release_has_one_layout_and_they_follow_each_other() -> None:
    starts = [layout.since for layout in LAYOUTS]
    assert starts == sorted(set(starts))
    assert spans(LAYOUTS) == "2.6.29 on"
    assert spans(()) == ""
    assert spans([*LAYOUTS[2:4], LAYOUTS[-1]]) == "2.6.32 to 3.5, 7.2 on"
    for layout in LAYOUTS:
        assert layout_at(layout.since) is layout
        assert layout_at((*layout.since, -1)) is layout
        assert layout.source
        if layout.read is not None:
            before, after = layout.read
            assert before < layout.since <= (after[:-1] if after[-1] < 0 else after) or after[:2] >= layout.since


def test_a_release_between_two_that_were_read_says_so() -> None:
    assert unread((5, 13)).startswith("5.13 itself was not read: its SPTEs changed after 5.12.9, by 5.14-rc")
    assert unread((3, 4)).startswith("3.4 itself was not read")
    for release in ((5, 12), (5, 14), (6, 1), (7, 3), (2, 6, 32), (3, 2), (3, 6), (6, 10), (7, 2)):
        assert unread(release) == ""


def test_before_2_6_29_nothing_is_known() -> None:
    with pytest.raises(ValueError, match=r"2\.6\.28: SPTEs are known from 2\.6\.29 on"):
        layout_at((2, 6, 28))
