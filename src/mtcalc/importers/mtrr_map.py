# SPDX-License-Identifier: GPL-2.0-only
"""The map of ranges that kernels from 6.5 on print: what they resolved from the registers.

Source: arch/x86/kernel/cpu/mtrr/generic.c, mtrr_build_map(): the fixed ranges are its first rows, where they are on;
UC wins over everything, WT over WB, other types that overlap are UC; RAM from 4G up to TOM2 is WB. Addresses in no
row have the default type.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mtcalc.importers.dump import DumpPair, DumpRegister, MapRow, Pairs, RangeMap
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import FIXED_RANGES, FIXED_REGISTERS, ONE_MEGABYTE, PAGE

MOST_PAIRS = 32
_4G = 1 << 32


class Span(NamedTuple):
    """Bytes from `start` up to `end` (not in it), of one type, and the place that tells it."""

    start: int
    end: int
    memtype: MemType
    place: Place


def tiled(ranges: Sequence[MapRow], place: Place) -> tuple[DumpRegister, ...]:
    """The fixed-range registers of ranges from 0 to 1M. Raises InputError for a hole, an overlap, and other steps."""
    at = 0
    kinds: list[tuple[MemType, Place]] = []
    for start, end, kind, where in sorted(ranges, key=lambda item: item[0]):
        if start != at or end <= start or end > ONE_MEGABYTE:
            raise InputError(
                f"the fixed ranges do not go on at {at:#x} (0 to 0xfffff, each one behind the last)", where
            )
        held = [span for span in FIXED_RANGES if start <= span[0] and span[1] <= end]
        if not held or held[0][0] != start or held[-1][1] != end:
            raise InputError(
                f"{start:#x}-{end - 1:#x} cuts a fixed range in two (steps of 64K, 16K from 0x80000, 4K from 0xc0000)",
                where,
            )
        kinds += [(kind, where)] * len(held)
        at = end
    if at != ONE_MEGABYTE:
        what = (
            f"the fixed ranges end at {at:#x}, and the log is cut there" if ranges else "no fixed range is listed below"
        )
        raise InputError(f"{what} (the whole log: they go up to 0xfffff)", kinds[-1][1] if kinds else place)
    registers = []
    for number, (msr, _, _) in enumerate(FIXED_REGISTERS):
        eight = kinds[8 * number : 8 * number + 8]
        registers.append(DumpRegister(msr, sum(kind << 8 * k for k, (kind, _) in enumerate(eight)), eight[0][1]))
    return tuple(registers)


def check_map(found: RangeMap) -> None:
    """Raises InputError for a map whose numbers do not agree with each other."""
    if len(found.rows) != found.entries:
        what = f"a map of {found.entries} entries, of which {len(found.rows)} are there"
        raise InputError(f"{what} (the whole map)", found.place)
    for before, row in zip(found.rows, found.rows[1:], strict=False):
        if row.start < before.end:
            what = f"{row.start:#x} is below the end of the row at {before.place.file}:{before.place.line}"
            raise InputError(f"{what} (rows ascend, and both ends are in them)", row.place)
    if found.fixed:
        tiled(found.rows[: found.fixed], found.place)


def of_map(found: RangeMap) -> tuple[tuple[DumpRegister, ...], Pairs]:
    """Registers that come out as the map: the fixed ranges, the rest in pairs without an overlap.

    Raises InputError where more than 32 pairs would be needed.
    """
    registers = tiled(found.rows[: found.fixed], found.place) if found.fixed else ()
    pairs: list[DumpPair] = []
    for row in found.rows[found.fixed :]:
        at = row.start
        while at < row.end:
            size = min(at & -at or 1 << 63, 1 << (row.end - at).bit_length() - 1)
            pairs.append(DumpPair(len(pairs), at | row.memtype, None, size, row.place))
            at += size
    if len(pairs) > MOST_PAIRS:
        raise InputError(
            f"a map that takes {len(pairs)} pairs (at most {MOST_PAIRS}: the list of registers above it)", found.place
        )
    return registers, Pairs(tuple(pairs), found.place)


def same_as_map(
    found: RangeMap,
    fixed: Sequence[DumpRegister],
    pairs: Sequence[DumpPair],
    default: MemType,
    default_place: Place,
    width: int,
) -> None:
    """Raises InputError, at the map, where it is not what these registers come to; `fixed` is empty where they are off.

    Pairs whose mask has holes can't be compared: then nothing is.
    """
    spans = list(_spans(pairs, width))
    if len(spans) != sum(pair.valid for pair in pairs):
        return
    low = list(_fixed_spans(fixed))
    top = found.tom2 or 0
    tom2 = [Span(_4G, top, MemType.WB, found.place)] if top > _4G else []
    edges = {0, ONE_MEGABYTE, *(edge for span in (*spans, *low, *tom2) for edge in span[:2])}
    edges |= {edge for row in found.rows for edge in row[:2]}
    for at in sorted(edges):
        if at >> width or (at >= _4G and found.tom2 is None):
            break
        row = next((row for row in found.rows if row.start <= at < row.end), None)
        by_map = default if row is None else row.memtype
        over = [span for span in (low or spans if at < ONE_MEGABYTE else [*spans, *tom2]) if span[0] <= at < span[1]]
        told = _resolved(over, default)
        rows = found.rows if at < ONE_MEGABYTE else found.rows[found.fixed :]
        if told is by_map and (row is None) == _left_out(over, rows):
            continue
        place = next((span.place for span in over if span.memtype is told), over[0].place if over else default_place)
        here = f"the map has {by_map if row is not None else f'no row, so {by_map},'} at {at:#x}"
        there = f"the registers have {told}, by {place.file}:{place.line}" if over else "no register is about that"
        what = f"{here}, and {there} (one of the two is mistyped, or another machine's)"
        raise InputError(what, found.place if row is None else row.place)


def _left_out(over: Sequence[Span], rows: Sequence[MapRow]) -> bool:
    """Whether an address is in no row: in no range, or only in such as have no row of their type anywhere in them."""
    return not any(
        row.memtype is span.memtype and row.start < span.end and span.start < row.end for span in over for row in rows
    )


def _resolved(over: Sequence[Span], default: MemType) -> MemType:
    """The type that the kernel takes where ranges overlap."""
    kinds = {span.memtype for span in over}
    if not kinds:
        return default
    if len(kinds) == 1:
        return kinds.pop()
    return MemType.WT if kinds == {MemType.WT, MemType.WB} else MemType.UC


def _spans(pairs: Sequence[DumpPair], width: int) -> Iterator[Span]:
    for pair in pairs:
        if not pair.valid:
            continue
        size = pair.size
        if pair.physmask is not None:
            mask = pair.physmask & ~(PAGE - 1)
            size = mask & -mask
            if not mask or mask != (1 << mask.bit_length()) - size:
                continue
        base = pair.physbase & ~(PAGE - 1)
        yield Span(base, base + size, MemType(pair.physbase & 0xFF), pair.place)


def _fixed_spans(fixed: Sequence[DumpRegister]) -> Iterator[Span]:
    by_number = {register.msr: register for register in fixed}
    for index, (start, end, *_) in enumerate(FIXED_RANGES):
        msr = FIXED_REGISTERS[index // 8][0]
        if msr in by_number:
            register = by_number[msr]
            yield Span(start, end, MemType(register.value >> 8 * (index % 8) & 0xFF), register.place)
