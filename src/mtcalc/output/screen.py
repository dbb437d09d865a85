# SPDX-License-Identifier: GPL-2.0-only
"""Tables for a terminal, by rich, the one module that draws with it."""

from __future__ import annotations

import os
from io import StringIO
from typing import TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mtcalc.output.document import (
    CACHED,
    COMBINING,
    FAINT,
    STRONG,
    UNCACHED,
    WARN,
    Cell,
    Content,
    Document,
    Fields,
    Table,
    text_of,
)
from mtcalc.output.plain import table_lines
from mtcalc.text.errors import printable

# The terminal's own eight colours, which its owner chose to be legible on light and on dark.
STYLES = {
    CACHED: "green",
    COMBINING: "magenta",
    UNCACHED: "red",
    STRONG: "bold",
    WARN: "bold red",
    FAINT: "dim",
    "": "",
}


LEAST_WIDTH = 20
"""Columns at least: what is folded into fewer is harder to read than what the terminal breaks."""

WIDEST = 160
"""Columns of a picture at most, where the terminal has no edge."""

LEAST_LAST = 16
"""Columns that are left to the last column at least, if it is to be folded."""

ASCII_HEAD = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A line under the header, for streams that have no line characters."""


def render(document: Document, stream: TextIO, colour: bool, width: int | None = None) -> None:
    """Draws a document on a stream; nothing is cut: what is too wide for the terminal is folded."""
    encoding = (stream.encoding or "ascii").lower().replace("-", "")
    edges = box.SIMPLE_HEAD if encoding.startswith("utf") else ASCII_HEAD
    drawn = StringIO()
    console = Console(
        file=drawn,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        width=width or _width(stream),
        height=25,  # else rich reads LINES, whatever it holds
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    for number, block in enumerate(document.blocks):
        if number and not isinstance(block, str | Cell):
            console.print()
        if isinstance(block, Table):
            _draw_table(console, block, edges)
        elif isinstance(block, Fields):
            _draw_fields(console, block)
        elif isinstance(block, str | Cell):
            console.print(_text(block))
        else:
            from mtcalc.output import bars  # one command draws them

            for line in bars.lines(block, min(console.width, WIDEST)):
                console.print(Text.assemble(*map(_text, line)), soft_wrap=True)
    _draw_fields(console, Fields([("note", note) for note in document.notes]))
    # rich fills every row with blanks.
    stream.writelines(f"{line.rstrip()}\n" for line in drawn.getvalue().splitlines())


def _width(stream: TextIO) -> int:
    """COLUMNS if it is a number, else the terminal's; a pipe has no edge, so nothing is folded there."""
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isascii() and columns.isdigit() and len(columns) < 6 else 0
    if not width:
        try:
            width = os.get_terminal_size(stream.fileno()).columns or 80
        except (OSError, ValueError):
            width = 1000
    return max(width, LEAST_WIDTH)


def _text(content: Content) -> Text:
    tone = "" if isinstance(content, str) else content.tone
    return Text(printable(text_of(content)), style=STYLES[tone])


def _draw_table(console: Console, table: Table, edges: box.Box) -> None:
    """A table, its columns two blanks apart where there is room, else one; see _too_wide() for neither."""
    rows = [[printable(text_of(cell)) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    gaps = len(widths) - 1
    if _too_wide(widths, console.width):
        if table.title:
            console.print(Text(printable(table.title), style="bold"))
        for line in table_lines(table._replace(title=""), console.width):
            console.print(Text(line), soft_wrap=True)
        return
    drawn = RichTable(
        box=edges,
        title=printable(table.title) or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        pad_edge=False,
        # The box has a blank between columns; padding would be a second one.
        padding=(0, 1, 0, 0) if sum(widths) + 2 * gaps <= console.width else 0,
        show_edge=False,
    )
    for number, name in enumerate(table.columns):
        drawn.add_column(printable(name), overflow="fold", no_wrap=number < gaps)
    for row in table.rows:
        drawn.add_row(*map(_text, row))
    console.print(drawn)


def _too_wide(widths: list[int], width: int) -> bool:
    """Whether the last column, which alone is folded, is left too little to be read."""
    room = width - sum(widths[:-1]) - len(widths) + 1
    return room < min(widths[-1], LEAST_LAST)


def _draw_fields(console: Console, fields: Fields) -> None:
    """Names and values; a value goes on under itself."""
    if fields.title:
        console.print(Text(printable(fields.title), style="bold"))
    indent = max((cell_len(name) for name, _ in fields.rows), default=0) + 2
    for name, value in fields.rows:
        lines = _text(value).wrap(console, max(console.width - indent, 20))
        for number, line in enumerate(lines):
            lead = Text(name if not number else "", style="dim")
            lead.align("left", indent)
            console.print(Text.assemble(lead, line), soft_wrap=True)
