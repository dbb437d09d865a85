# SPDX-License-Identifier: GPL-2.0-only
"""The distinct entries of a trace, counted where nothing that is asked of them differs, and what each of them says.

Entries of one level whose values differ in the middle of the address alone say the same, and between two edges of the
VM every page has the same answer: so millions of entries are a few hundred cells.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import compress, islice, repeat
from operator import ne, not_
from typing import NamedTuple, TypeAlias

from mtcalc.kvm.recorded import LEVELS, NO_LEVEL, Batch, Entry, Recorded, aligned
from mtcalc.kvm.spte import read_both
from mtcalc.kvm.spte_eras import LAYOUTS, era_text, layout_at, spans
from mtcalc.kvm.spte_reading import Reading, SpteKind
from mtcalc.x86.ept import LEVEL_SHIFT
from mtcalc.x86.ept_entry import decode_entry

_PAGE_SHIFT = 12
_ADDRESS = (1 << 52) - 0x1000
_LARGE = 1 << 7
_HIGHEST = 48
"""The lowest address bit that may tell something: of masks and marks."""
_GENERATION = (0x3F8, 0x1F << 57)
"""Bits that are the generation of an MMIO entry in every release that keeps one: 9:3 and 61:57."""
_EMPTY = (0, 1 << 63)
_NOT_EMPTY = (1 << 63) - 1
_FEW = 128
"""Entries that are counted one by one, where they can't be at once."""
_SOME = 1 << 30
"""Stands for any address but 0."""

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
        top = 1 << min(_HIGHEST, maxphyaddr)
        self._address = top - (1 << _PAGE_SHIFT)
        self._large = [self._address, *(top - (1 << LEVEL_SHIFT.get(level, _PAGE_SHIFT)) for level in LEVELS)]
        self._keep = keep
        self._values: dict[int, dict[int, int]] = {}  # by space and level: the first value of a page that is not empty
        self._others: set[tuple[int, int, int]] = set()  # and further ones
        self._empty: dict[tuple[int, int], set[int]] = {}  # by space and level, and value: pages
        self._no_level: dict[tuple[int, int, int], int] = {}
        self._lines: dict[Entry, int] = {}
        self._cells: dict[Cell, Seen] = {}

    def add(self, batch: Batch) -> None:
        """Counts entries."""
        rows = list(zip(batch.spaces, batch.levels, strict=True))
        kinds = dict.fromkeys(rows)
        if len(kinds) == 1:
            ((space, level),) = kinds
            self._add(space, level, batch.gfns, batch.values, batch.line)
            return
        for space, level in kinds:
            chosen = list(map((space, level).__eq__, rows))
            gfns, values = list(compress(batch.gfns, chosen)), list(compress(batch.values, chosen))
            self._add(space, level, gfns, values, _nth(batch.line, chosen))

    def _add(
        self, space: int, level: int, gfns: Sequence[int], values: Sequence[int], line: Callable[[int], int]
    ) -> None:
        """Counts entries of one address space and level."""
        if level == NO_LEVEL:
            for number, (gfn, value) in enumerate(zip(gfns, values, strict=True)):
                if (space, gfn, value) not in self._no_level:
                    self._no_level[space, gfn, value] = line(number)
            return
        if level != 1:
            gfns = [aligned(gfn, level) for gfn in gfns]
        where = space << 3 | level
        if values[0] in _EMPTY and values.count(values[0]) == len(values):  # as is what new entries replace
            self._empty.setdefault((where, values[0]), set()).update(gfns)
            return
        if not self._keep and self._add_alike(where, gfns, values, line):
            return
        if not self._keep and len(gfns) > _FEW:  # perhaps a part of them
            half = len(gfns) // 2
            self._add(space, level, gfns[:half], values[:half], line)
            self._add(space, level, gfns[half:], values[half:], lambda number: line(half + number))
            return
        cells, others, known_of = self._cells, self._others, self._values.setdefault(where, {})
        empty = [self._empty.setdefault((where, nothing), set()) for nothing in _EMPTY]
        address, large, keep = self._address, self._large[level], self._keep
        piece, low, high, last = 0, 0, 0, -1
        found: Seen | None = None
        for number, (gfn, value) in enumerate(zip(gfns, values, strict=True)):
            if not value & _NOT_EMPTY:
                empty[value != 0].add(gfn)
                continue
            if gfn < 0 and value & 7 == 6:  # an MMIO entry, which holds its page
                gfn = (value & _ADDRESS) >> _PAGE_SHIFT
            known = known_of.get(gfn)
            if known is None:
                known_of[gfn] = value
            elif known == value or (where, gfn, value) in others:
                continue
            else:
                others.add((where, gfn, value))
            if keep:
                self._lines[space, gfn, level, value] = line(number)
            middle = large if value & _LARGE else address
            folded = value & ~middle | _SOME if value & middle else value
            if value & 7 == 6:
                folded = _fold_generation(folded)
            if folded == last and low <= gfn < high and found is not None:  # as most are: in the cell of the one before
                found.count += 1
                continue
            if not low <= gfn < high:
                piece, low, high = self._piece(gfn)
            last = folded
            found = cells.get((space, piece, level, folded))
            if found is not None:
                found.count += 1
            else:
                found = cells[space, piece, level, folded] = Seen((space, gfn, level, value, line(number)))

    def _add_alike(self, where: int, gfns: Sequence[int], values: Sequence[int], line: Callable[[int], int]) -> bool:
        """Counts entries at once where none is special, as most are: of a page before, but for those known already.

        Returns whether that was so; if not, nothing was counted. An eighth of the time of one after the other.
        """
        known_of, edges = self._values.setdefault(where, {}), self._edges
        nothing = [empty for empty in _EMPTY if empty in values]
        if nothing:
            chosen = [value not in nothing for value in values]
            some = list(compress(gfns, chosen)), list(compress(values, chosen))
            if some[0] and not self._add_alike(where, *some, _nth(line, chosen)):
                return False
            for empty in nothing:
                pages = self._empty.setdefault((where, empty), set())
                pages.update(compress(gfns, map(empty.__eq__, values)))
            return True
        other: list[tuple[int, int, int]] = []
        if not known_of.keys().isdisjoint(gfns):
            known = list(map(known_of.get, gfns))
            fresh = list(map(ne, known, values))
            gfns, values, line = list(compress(gfns, fresh)), list(compress(values, fresh)), _nth(line, fresh)
            if not gfns:
                return True
            first = [value is None for value in compress(known, fresh)]
            changed = list(map(not_, first))
            other = list(zip(repeat(where), compress(gfns, changed), compress(values, changed), strict=False))
            if len(set(other)) < len(other) or not self._others.isdisjoint(other):
                return False
            new = dict(zip(compress(gfns, first), compress(values, first), strict=True))
        else:
            new = dict(zip(gfns, values, strict=True))
        space, level = where >> 3, where & 7
        middle = self._address
        if self._large[level] != middle and any(map(_LARGE.__and__, values)):
            middle = self._large[level]
            if not all(map(_LARGE.__and__, values)):
                return False
        least = min(gfns)
        if len(new) + len(other) < len(gfns) or edges is None or least < 0 or not all(map(middle.__and__, values)):
            return False
        folded = list(map((~middle).__and__, values))
        if any(value & 7 == 6 for value in set(folded)):
            return False
        piece, _, high = self._piece(least)
        pieces = repeat(piece) if max(gfns) < high else map(partial(bisect_right, edges), gfns)
        rows = list(zip(pieces, folded, strict=False))
        for row, count in Counter(rows).items():
            cell = (space, row[0], level, row[1] | _SOME)
            found = self._cells.get(cell)
            if found is None:
                number = rows.index(row)
                found = self._cells[cell] = Seen((space, gfns[number], level, values[number], line(number)))
                count -= 1
            found.count += count
        known_of.update(new)
        self._others.update(other)
        return True

    def _piece(self, gfn: int) -> tuple[int, int, int]:
        """The number of the piece that holds a page, and its bounds."""
        edges = self._edges
        if gfn < 0 or edges is None:
            return max(gfn, -1), gfn, gfn + 1
        at = bisect_right(edges, gfn)
        return at, edges[at - 1] if at else 0, edges[at] if at < len(edges) else 1 << 64

    def cells(self) -> dict[Cell, Seen]:
        """What was counted. Empty entries are of no piece, and their lines are not kept."""
        found = dict(self._cells)
        for (where, value), pages in self._empty.items():
            if pages:
                space, level = where >> 3, where & 7
                seen = found[space, -1, level, value] = Seen((space, -1, level, value, 0))
                seen.count = len(pages)
        return found

    def _has(self, space: int, gfn: int, level: int, value: int) -> bool:
        """Whether an entry was counted."""
        where = space << 3 | level
        if not value & _NOT_EMPTY:
            return gfn in self._empty.get((where, value), ())
        return self._values.get(where, {}).get(gfn) == value or (where, gfn, value) in self._others

    def without_level(self) -> Iterator[tuple[int, int]]:
        """(value, count) of the entries whose level no line tells: not those that another line has with its level."""
        counts: dict[int, int] = {}
        for space, gfn, value in self._no_level:
            if not any(self._has(space, aligned(gfn, level), level, value) for level in LEVELS):
                counts[value] = counts.get(value, 0) + 1
        yield from counts.items()

    def entries(self) -> Iterator[tuple[Recorded, Cell]]:
        """Every entry but the empty ones with its cell; its line is 0 where lines are not kept."""
        for where, values in self._values.items():
            yield from (self._entry(where, gfn, value) for gfn, value in values.items())
        yield from (self._entry(*other) for other in self._others)

    def _entry(self, where: int, gfn: int, value: int) -> tuple[Recorded, Cell]:
        space, level = where >> 3, where & 7
        piece = self._piece(gfn)[0]
        middle = self._large[level] if value & _LARGE else self._address
        folded = value & ~middle | _SOME if value & middle else value
        if value & 7 == 6:
            folded = _fold_generation(folded)
        line = self._lines.get((space, gfn, level, value), 0)
        return (space, gfn, level, value, line), (space, piece, level, folded)


def _nth(line: Callable[[int], int], chosen: Sequence[bool]) -> Callable[[int], int]:
    """The lines of those that were chosen, by their index among them."""
    return lambda number: line(next(islice(compress(range(len(chosen)), chosen), number, None)))


def _fold_generation(value: int) -> int:
    """What has RWX of an MMIO entry without the bits that are its generation in every release that has one there."""
    for field in _GENERATION:
        if value & field:
            value = value & ~field | field & -field
    return value


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
    era = spans(LAYOUTS[k] for k in chosen) if release is None else era_text(layout_at(release))
    if count["not"] > count["ept"]:
        read = next(read for name, read in classes.items() if kinds[name] == "not")
        return Trace({}, era, _sign(read, chosen), read.first, True, tuple(chosen))
    decided = count["ept"] > 0
    told = {name: _told(read, chosen, kinds[name], decided) for name, read in classes.items()}
    return Trace(told, era, "", None, decided, tuple(chosen))


def _classes(tally: Tally, maxphyaddr: int) -> dict[SpteClass, _Read]:
    firsts: dict[SpteClass, Recorded] = {}
    counts: dict[SpteClass, int] = {}
    for (_, _, level, value), seen in tally.cells().items():
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
    signs = all(reading.kind is SpteKind.NOT_EPT for reading in _of(read.ept, chosen))
    return "not" if as_pte or signs else "none"


def _of(readings: Sequence[Reading], chosen: Sequence[int]) -> list[Reading]:
    return [readings[k] for k in chosen]


def _sign(read: _Read, chosen: Sequence[int]) -> str:
    """What tells that an entry is none of an EPT: in each release that it may be of, where there is such a sign."""
    of_ept = [read.ept[k].sign for k in chosen]
    if all(of_ept):
        return of_ept[0]
    of_pte = [pte.sign for k in (*chosen, *range(len(read.pte))) if (pte := read.pte[k]) is not None and pte.sign]
    return next(iter(of_pte), "") or next(filter(None, of_ept), "")


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
    reading = next((read.ept[k] for k in reversed(chosen) if not read.ept[k].sign), read.ept[chosen[-1]])
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
