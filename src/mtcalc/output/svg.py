# SPDX-License-Identifier: GPL-2.0-only
"""Documents as pictures: SVG in the reader's own monospace font, as wide as what is in it.

Every piece of text stands at its own place and is told its width, so columns hold in any font.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mtcalc.output import bars
from mtcalc.output.bars import Bars
from mtcalc.output.document import FAINT, STRONG, WARN, Cell, Content, Document, Fields, Table, text_of
from mtcalc.output.markup import BAR_TONES, DARK, LIGHT, TYPE_TONES, escape_xml, plain_title
from mtcalc.text.errors import columns_of, printable

PROSE = 100
"""Columns that sentences are filled to; where a table is wider, as wide as the table."""

_CHAR = 8.4  # pixels a column, with letters 14 pixels high
_LINE = 20
_MARGIN = 16
_GAP = 2  # columns between a table's columns


class SvgPiece(NamedTuple):
    """Printable text at a column of a line."""

    column: int
    text: str
    tone: str = ""
    bar: bool = False  # on a field in its tone

    @property
    def end(self) -> int:
        """The first column behind it."""
        return self.column + columns_of(self.text)


class SvgLine(NamedTuple):
    """Pieces side by side; `ruled` columns have a stroke drawn below."""

    pieces: tuple[SvgPiece, ...] = ()
    ruled: int = 0


def layout(document: Document) -> list[SvgLine]:
    """The lines of the picture, top down."""
    tables = {number: _table(block) for number, block in enumerate(document.blocks) if isinstance(block, Table)}
    room = max([PROSE, *(width_of(lines) for lines in tables.values())])
    lines: list[SvgLine] = []
    prose = True
    for number, block in enumerate(document.blocks):
        said = isinstance(block, str | Cell)
        if number and not (said and prose):
            lines.append(SvgLine())
        prose = said or (isinstance(block, Fields) and not block.rows)  # a heading goes with what it is of
        if isinstance(block, Table | Fields):
            if block.title:
                lines += _prose(Cell(block.title, STRONG), room)
            lines += tables[number] if isinstance(block, Table) else _fields(block, room)
        elif isinstance(block, Bars):
            lines += _bars(block, room)
        else:
            lines += _prose(block, room)
    if document.notes:
        lines += [SvgLine(), *_fields(Fields([("note:", Cell(note, FAINT)) for note in document.notes]), room)]
    return lines


def width_of(lines: Iterable[SvgLine]) -> int:
    """Columns that the lines take."""
    return max((piece.end for line in lines for piece in line.pieces), default=0)


def _table(table: Table) -> list[SvgLine]:
    """Header and rows, no cell folded: a picture has no edge."""
    rows = [[_shown(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(columns_of(cell.text) for cell in column) for column in zip(*rows, strict=True)]
    starts = [sum(widths[:at]) + _GAP * at for at in range(len(widths))]
    lines = [SvgLine(tuple(SvgPiece(start, *cell) for start, cell in zip(starts, row, strict=True))) for row in rows]
    head = tuple(piece._replace(tone=STRONG) for piece in lines[0].pieces)
    lines[0] = SvgLine(head, ruled=starts[-1] + widths[-1] if starts else 0)
    return lines


def _fields(fields: Fields, room: int) -> Iterator[SvgLine]:
    names = [printable(name) for name, _ in fields.rows]
    indent = max((columns_of(name) for name in names), default=0) + _GAP
    for name, (_, value) in zip(names, fields.rows, strict=True):
        cell = _shown(value)
        for number, text in enumerate(fill(cell.text, max(room - indent, 20))):
            lead = (SvgPiece(0, name, FAINT),) if name and not number else ()
            yield SvgLine((*lead, SvgPiece(indent, text, cell.tone)))


def _bars(block: Bars, room: int) -> Iterator[SvgLine]:
    """The picture's lines, each bar on a field of its own."""
    for line in bars.lines(block, room):
        pieces = []
        column = 0
        for cell in line:
            if cell.text.strip(" "):
                pieces.append(SvgPiece(column, cell.text, cell.tone, cell.tone in BAR_TONES))
            column += columns_of(cell.text)
        yield SvgLine(tuple(pieces))


def _prose(content: Content, room: int) -> Iterator[SvgLine]:
    cell = _shown(content)
    return (SvgLine((SvgPiece(0, text, cell.tone),)) for text in fill(cell.text, room))


def _shown(content: Content) -> Cell:
    return Cell(printable(text_of(content)), "" if isinstance(content, str) else content.tone)


def fill(text: str, room: int) -> Iterator[str]:
    """Text in lines of at most `room` columns, broken at blanks; a longer word has a longer line."""
    line, *rest = text.split(" ")
    for word in rest:
        joined = f"{line} {word}"
        if line.strip(" ") and columns_of(joined) > room:
            yield line
            line = word
        else:
            line = joined
    yield line


def svg(document: Document) -> Iterator[str]:
    """The lines of a document as an SVG picture, in ASCII, without line ends."""
    lines = layout(document)
    # A word wider than the room makes the picture wider: nothing is cut.
    width = round(width_of(lines) * _CHAR + 2 * _MARGIN)
    height = len(lines) * _LINE + 2 * _MARGIN
    title = escape_xml(plain_title(document))
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    yield f"<title>{title}</title>"
    yield "<style>"
    yield "text { font: 14px ui-monospace, monospace; white-space: pre; }"
    yield f".{STRONG}, .{WARN} {{ font-weight: bold; }}"
    yield from _palette(LIGHT)
    yield "@media (prefers-color-scheme: dark) {"
    yield from _palette(DARK)
    yield "}"
    yield "</style>"
    yield '<rect class="page" width="100%" height="100%"/>'
    for number, line in enumerate(lines):
        base = _MARGIN + number * _LINE + 14
        if line.ruled:
            right = _MARGIN + line.ruled * _CHAR
            yield f'<path class="line" d="M{_MARGIN} {base + 5.5}H{right:.1f}"/>'
        yield from (_field(piece, base) for piece in line.pieces if piece.bar)
        yield from (_text(piece, base) for piece in line.pieces if piece.text)
    yield "</svg>"


def _palette(colours: dict[str, str]) -> Iterator[str]:
    yield f".page {{ fill: {colours['page']}; }}"
    yield f".line {{ stroke: {colours['line']}; }}"
    yield f"text {{ fill: {colours['text']}; }}"
    yield from (f".{tone} {{ fill: {colours[tone]}; }}" for tone in (*TYPE_TONES, WARN, FAINT))
    yield ".bar { fill-opacity: 0.16; }"


def _field(piece: SvgPiece, base: int) -> str:
    left, width = _MARGIN + piece.column * _CHAR, columns_of(piece.text) * _CHAR
    return f'<rect class="bar {piece.tone}" x="{left:.1f}" y="{base - 14}" width="{width:.1f}" height="{_LINE - 1}"/>'


def _text(piece: SvgPiece, base: int) -> str:
    left = _MARGIN + piece.column * _CHAR
    length = columns_of(piece.text) * _CHAR
    tone = f' class="{piece.tone}"' if piece.tone else ""
    # The older attribute too: not every viewer knows white-space, and blanks in a row are part of the text.
    return (
        f'<text x="{left:.1f}" y="{base}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"'
        f' xml:space="preserve"{tone}>{escape_xml(piece.text)}</text>'
    )
