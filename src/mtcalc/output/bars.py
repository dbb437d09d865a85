# SPDX-License-Identifier: GPL-2.0-only
"""Aligned bars over an axis, laid out in as many bands as the width asks for. Every piece has its label.

A bar is a `|`, the longest of its texts that fits, and its fill; what is cut ends with `~`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from mtcalc.output.document import FAINT, STRONG, Cell
from mtcalc.text.errors import columns_of, printable

CUT = "~"
SHORTENED = "///"

_LEAST = 4

Clean: TypeAlias = Callable[[str], str]
"""What makes text fit to be printed."""


class Bar(NamedTuple):
    """One value over neighbouring pieces, the first and the last by number."""

    first: int
    last: int
    texts: tuple[str, ...]  # longest first: the first that fits is written
    fill: str  # one character behind the text, '' for none
    tone: str = ""
    most: int = 0  # columns that pieces make room for if the last text is longer; 0: for all of it


class BarLayer(NamedTuple):
    """A line of bars, in order; without bars its name is a heading.

    `marks`: it only marks pieces, and is left out where it marks none.
    """

    name: str
    bars: tuple[Bar, ...]
    marks: bool = False


class Bars(NamedTuple):
    """Layers of bars aligned to the pieces of an axis, in as many bands below each other as the width asks for."""

    axis: str
    labels: tuple[str, ...]  # where each piece begins
    end: str  # where the last one ends
    extra: tuple[int, ...]  # columns that a piece has beyond what its texts need
    shortened: tuple[bool, ...]  # pieces drawn much shorter than they are
    layers: tuple[BarLayer, ...]


def lines(bars: Bars, width: int, clean: Clean = printable) -> Iterator[list[Cell]]:
    """The lines of the picture in at most `width` columns, each as cells side by side; one empty between bands."""
    named = (layer.name for layer in bars.layers if layer.bars)
    names = max(columns_of(clean(name)) for name in (bars.axis, *named)) + 1
    needs = [_need(bars, at, clean) for at in range(len(bars.labels))]
    room = max(width - names - 1, _LEAST)
    for number, (first, last) in enumerate(_bands(needs, room, columns_of(bars.end))):
        if number:
            yield []
        widths = [min(need, room) for need in needs[first:last]]
        yield _axis(bars, first, widths, names, width)
        for layer in bars.layers:
            if not layer.bars and not layer.marks:
                yield [Cell(clean(layer.name), STRONG)]
                continue
            if layer.marks and all(bar.first >= last or bar.last < first for bar in layer.bars):
                continue
            bars_there = _layer(layer, first, widths, clean)
            yield [Cell(_fit(clean(layer.name), names), FAINT), *bars_there]


def cut_texts(bars: Bars, clean: Clean = printable) -> list[str]:
    """The texts that may be cut where their bar begins, whatever the width."""
    limited = (bar for layer in bars.layers for bar in layer.bars if bar.most and bar.texts)
    cut = (bar.texts[-1] for bar in limited if columns_of(clean(bar.texts[-1])) >= _need(bars, bar.first, clean))
    return list(dict.fromkeys(cut))


def _need(bars: Bars, at: int, clean: Clean) -> int:
    """The columns of a piece: its label, the shortest text of every bar that begins there, what its size adds."""
    need = max(columns_of(bars.labels[at]) + 2, _LEAST)
    for layer in bars.layers:
        for bar in layer.bars:
            if bar.first == at and bar.texts:
                text = columns_of(clean(bar.texts[-1]))
                need = max(need, (min(text, bar.most) if bar.most else text) + 2)
    return need + bars.extra[at] + (len(SHORTENED) if bars.shortened[at] else 0)


def _bands(needs: Sequence[int], room: int, end: int) -> Iterator[tuple[int, int]]:
    """The pieces of each band; behind the last one the axis has a label of `end` columns."""
    first = used = 0
    for at, need in enumerate(needs):
        if at > first and used + need + (end if at == len(needs) - 1 else 0) > room:
            yield first, at
            first, used = at, 0
        used += need
    if first < len(needs):
        yield first, len(needs)


def _axis(bars: Bars, first: int, widths: Sequence[int], names: int, width: int) -> list[Cell]:
    cells = [Cell(f"{bars.axis:<{names}}", FAINT)]
    for at, wide in enumerate(widths, start=first):
        text = f"|{bars.labels[at]}"
        if bars.shortened[at]:
            text = f"{text} {SHORTENED}"
        cells.append(Cell(_fit(text, wide), STRONG))
    last = first + len(widths) == len(bars.labels)
    end = f"|{bars.end}" if last else "|"
    used = names + sum(widths)
    cells.append(Cell(end if used + len(end) <= width else "|", STRONG))
    return cells


def _layer(layer: BarLayer, first: int, widths: Sequence[int], clean: Clean) -> Iterator[Cell]:
    """The bars of one line: those that meet the band, and blanks where there is none."""
    at, end = first, first + len(widths)
    for bar in layer.bars:
        low, high = max(bar.first, first), min(bar.last + 1, end)
        if low >= high:
            continue
        yield from _blank(widths, at - first, low - first, not layer.marks)
        wide = sum(widths[low - first : high - first])
        yield Cell(" " + bar.fill * (wide - 1) if layer.marks else _bar(bar, wide, clean), bar.tone)
        at = high
    yield from _blank(widths, at - first, len(widths), not layer.marks)
    if not layer.marks:
        yield Cell("|", FAINT)


def _blank(widths: Sequence[int], low: int, high: int, edged: bool) -> Iterator[Cell]:
    """Pieces without a bar; `edged`: with a mark where they begin."""
    if low < high:
        wide = sum(widths[low:high])
        yield Cell("|".ljust(wide) if edged else " " * wide, FAINT)


def _bar(bar: Bar, wide: int, clean: Clean) -> str:
    texts = [clean(text) for text in bar.texts]
    text = next((text for text in texts if columns_of(text) < wide), texts[-1] if texts else "")
    shown = f"|{text} " if text else "|"
    room = wide - columns_of(shown)
    return shown + bar.fill * room if room > 0 and bar.fill else _fit(shown.rstrip(" "), wide)


def _fit(text: str, wide: int) -> str:
    """Text in so many columns: filled with blanks, or cut with a mark."""
    if columns_of(text) <= wide:
        return text + " " * (wide - columns_of(text))
    while columns_of(text) > wide - 1:
        text = text[:-1]
    return text + CUT + " " * (wide - 1 - columns_of(text))
