# SPDX-License-Identifier: GPL-2.0-only
"""The distinct entries of a trace, counted where nothing that is asked of them differs, and what each of them says.

Entries of one level whose values differ in the middle of the address alone say the same, and between two edges of the
VM every page has the same answer: so millions of entries are a few hundred cells.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from mtcalc.kvm.recorded import LEVELS, NO_LEVEL, Recorded, aligned
from mtcalc.kvm.spte import read_both
from mtcalc.kvm.spte_eras import LAYOUTS, layout_at, spans
from mtcalc.kvm.spte_reading import Reading, SpteKind
from mtcalc.x86.ept_entry import decode_entry

_PAGE_SHIFT = 12
_ADDRESS = (1 << 52) - 0x1000
_MIDDLE = 30
"""The lowest address bit that is none of a large page's offset."""
_HIGHEST = 48
"""The lowest bit above that may tell something: of masks and marks."""

SpteClass: TypeAlias = tuple[int, int]
"""(level, value with the middle of its address put together)."""
Cell: TypeAlias = tuple[int, int, int, int]
"""(address space, number of the piece of guest memory, level, value as in SpteClass). Piece -1: no page was told."""


class Seen:
    """What is known of a cell: how many entries, and the first of them."""

    __slots__ = ("count", "first")

    def __init__(self, first: Recorded) -> None:
        self.count = 1
        self.first = first


class Tally:
    """The entries of a trace, each (address space, gfn, level, value) once. It grows with distinct entries alone."""

    def __init__(self, edges: Sequence[int] | None, maxphyaddr: int = 52, keep: bool = False) -> None:
        """`edges`: where pieces of guest memory begin, in bytes, ascending from 0; None: each page is a piece.

        `maxphyaddr`: the host's, in bits. `keep`: the line of every entry is kept, for entries().
        """
        self._edges = None if edges is None else [edge >> _PAGE_SHIFT for edge in edges]
        self._middle = (1 << min(_HIGHEST, maxphyaddr)) - (1 << _MIDDLE)
        self._keep = keep
        self._seen: dict[int, int] = {}
        self._no_level: dict[tuple[int, int, int], int] = {}
        self.cells: dict[Cell, Seen] = {}

    def add(self, batch: Iterable[Recorded]) -> None:
        """Counts entries."""
        seen, cells, edges, middle = self._seen, self.cells, self._edges, self._middle
        keep, mark = self._keep, 1 << _MIDDLE
        for entry in batch:
            space, gfn, level, value, line = entry
            if level != 1:
                if level == NO_LEVEL:
                    self._no_level.setdefault((space, gfn, value), line)
                    continue
                gfn = aligned(gfn, level)
            if gfn < 0 and value & 7 == 6:  # an MMIO entry, which holds its page
                gfn = (value & _ADDRESS) >> _PAGE_SHIFT
            key = ((gfn << 64 | value) << 3 | level) << 7 | space
            if key in seen:
                continue
            seen[key] = line if keep else 0
            piece = (gfn if edges is None else bisect_right(edges, gfn)) if gfn >= 0 else -1
            cell = (space, piece, level, value & ~middle | mark if value & middle else value)
            found = cells.get(cell)
            if found is None:
                cells[cell] = Seen((space, gfn, level, value, line))
            else:
                found.count += 1

    def without_level(self) -> Iterator[tuple[int, int]]:
        """(value, count) of the entries whose level no line tells: not those that another line has with its level."""
        counts: dict[int, int] = {}
        for space, gfn, value in self._no_level:
            keys = (((aligned(gfn, level) << 64 | value) << 3 | level) << 7 | space for level in LEVELS)
            if not any(key in self._seen for key in keys):
                counts[value] = counts.get(value, 0) + 1
        yield from counts.items()

    def entries(self) -> Iterator[tuple[Recorded, Cell]]:
        """Every entry with its cell; its line is 0 where lines are not kept."""
        for key, line in self._seen.items():
            space, level, rest = key & 0x7F, key >> 7 & 7, key >> 10
            gfn, value = rest >> 64, rest & (1 << 64) - 1
            piece = (gfn if self._edges is None else bisect_right(self._edges, gfn)) if gfn >= 0 else -1
            middle = self._middle
            folded = value & ~middle | 1 << _MIDDLE if value & middle else value
            yield (space, gfn, level, value, line), (space, piece, level, folded)


class Told(NamedTuple):
    """What an entry says. `kind` is None where that can't be decided."""

    kind: SpteKind | None
    byte: int | None = None  # of a leaf: memory type and ignore-PAT
    problem: str = ""  # why KVM of the trace's release would not write it: 'era', 'odd', 'not-ept'
    why: str = ""  # the same in words
    fits: str = ""  # the releases that can have written it into an EPT
    layouts: frozenset[int] = frozenset()  # theirs, as indices of LAYOUTS


class Trace(NamedTuple):
    """What the entries of a trace say, and whose they are."""

    told: Mapping[SpteClass, Told]
    era: str  # the releases
    no_ept: str  # what tells that the entries are none of an EPT; '' where they are
    no_ept_example: Recorded | None
    decided: bool  # something in it tells whether it is an EPT
    layouts: tuple[int, ...]  # the releases', as indices of LAYOUTS


class _Read(NamedTuple):
    """One class under every layout."""

    ept: tuple[Reading, ...]
    pte: tuple[Reading | None, ...]
    total: int
    first: Recorded


def read_trace(tally: Tally, release: tuple[int, ...] | None, maxphyaddr: int = 52) -> Trace:
    """What the entries counted say in KVM of `release`, None: of the releases that fit most of them.

    Raises ValueError for a release before 2.6.29. `maxphyaddr`: the host's, in bits.
    """
    classes = _classes(tally, maxphyaddr)
    chosen = _chosen(classes, release)
    kinds = {name: _weigh(read, chosen) for name, read in classes.items()}
    count = dict.fromkeys(("ept", "not", "both", "none"), 0)
    for name, read in classes.items():
        count[kinds[name]] += read.total
    era = spans(LAYOUTS[k] for k in chosen)
    if count["not"] > count["ept"]:
        read = next(read for name, read in classes.items() if kinds[name] == "not")
        return Trace({}, era, _sign(read, chosen), read.first, True, tuple(chosen))
    decided = count["ept"] > 0
    told = {name: _told(read, chosen, kinds[name], decided) for name, read in classes.items()}
    return Trace(told, era, "", None, decided, tuple(chosen))


def _classes(tally: Tally, maxphyaddr: int) -> dict[SpteClass, _Read]:
    firsts: dict[SpteClass, Recorded] = {}
    counts: dict[SpteClass, int] = {}
    for (_, _, level, value), seen in tally.cells.items():
        name = (level, value)
        counts[name] = counts.get(name, 0) + seen.count
        if name not in firsts or firsts[name][4] > seen.first[4]:
            firsts[name] = seen.first
    found = {}
    for name, first in firsts.items():
        entry = decode_entry(first[3], first[2])
        held = decode_entry(first[3], first[2], maxphyaddr)
        readings = []
        for layout in LAYOUTS:
            ept, pte = read_both(entry, layout)
            if ept.kind in (SpteKind.LEAF, SpteKind.TABLE) and held != entry:
                ept, pte = read_both(held, layout)
            readings.append((ept, pte))
        found[name] = _Read(tuple(e for e, _ in readings), tuple(p for _, p in readings), counts[name], first)
    return found


def _chosen(classes: Mapping[SpteClass, _Read], release: tuple[int, ...] | None) -> list[int]:
    """The layouts of the trace, as indices."""
    if release is not None:
        return [LAYOUTS.index(layout_at(release))]
    score = [0] * len(LAYOUTS)
    for read in classes.values():
        for k, reading in enumerate(read.ept):
            if not reading.odd:
                score[k] += read.total
    best = max(score)
    return [k for k, found in enumerate(score) if found == best]


def _weigh(read: _Read, chosen: Sequence[int]) -> str:
    """Whether an entry tells that it is an EPT's ('ept'), that it is not ('not'), neither, or that it is none."""
    if all(reading.kind in (SpteKind.EMPTY, SpteKind.REMOVED, SpteKind.MMIO) for reading in _of(read.ept, chosen)):
        return "none"
    fits = any(not reading.odd for reading in read.ept)
    as_pte = any(reading is not None for reading in read.pte)
    in_era = any(not reading.odd for reading in _of(read.ept, chosen))
    pte_in_era = any(read.pte[k] is not None for k in chosen)
    if in_era:
        return "both" if pte_in_era else "ept"
    if fits:
        return "both" if as_pte else "ept"
    signs = any(reading.kind is SpteKind.NOT_EPT for reading in _of(read.ept, chosen))
    return "not" if as_pte or signs else "none"


def _of(readings: Sequence[Reading], chosen: Sequence[int]) -> list[Reading]:
    return [readings[k] for k in chosen]


def _sign(read: _Read, chosen: Sequence[int]) -> str:
    """What tells that an entry is none of an EPT."""
    for k in chosen:
        pte = read.pte[k]
        if read.ept[k].sign:
            return read.ept[k].sign
        if pte is not None and pte.sign:
            return pte.sign
    return next((pte.sign for pte in read.pte if pte is not None), "")


def _told(read: _Read, chosen: Sequence[int], weight: str, decided: bool) -> Told:
    layouts = frozenset(k for k, reading in enumerate(read.ept) if not reading.odd)
    if weight == "both" and not decided:
        return Told(None, layouts=layouts)
    readings = [reading for reading in _of(read.ept, chosen) if not reading.odd]
    if readings:
        if len({reading.kind for reading in readings}) > 1:
            return Told(None, layouts=layouts)
        return Told(readings[0].kind, _byte(readings[0]), layouts=layouts)
    if layouts:
        theirs = [reading for reading in read.ept if not reading.odd]
        fits = spans(LAYOUTS[k] for k in layouts)
        if len({reading.kind for reading in theirs}) > 1:
            return Told(None, layouts=layouts)
        why = f"the entries are those of KVM {fits}"
        return Told(theirs[0].kind, _byte(theirs[0]), "era", why, fits, layouts)
    reading = read.ept[chosen[-1]]
    if weight == "not":
        return Told(SpteKind.NOT_EPT, None, "not-ept", _sign(read, chosen))
    return Told(reading.kind, _byte(reading), "odd", ", ".join(reading.odd))


def _byte(reading: Reading) -> int | None:
    if reading.memtype is None or reading.ipat is None:
        return None
    return reading.memtype << 3 | (0x40 if reading.ipat else 0)


def kind_without_level(value: int, layouts: Sequence[int]) -> SpteKind | None:
    """What an entry is whose level is not told: None but for what is the same at every level, and so no leaf."""
    kinds = {read_both(decode_entry(value, level), LAYOUTS[k])[0].kind for k in layouts for level in LEVELS}
    found = kinds.pop() if len(kinds) == 1 else None
    return found if found in (SpteKind.EMPTY, SpteKind.REMOVED, SpteKind.MMIO) else None
