# SPDX-License-Identifier: GPL-2.0-only
"""Tables for a terminal, by rich, the one module that draws with it."""

from __future__ import annotations

import os
from typing import TextIO

from rich import box
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
    Content,
    Document,
    Fields,
    Table,
    text_of,
)
from mtcalc.text.errors import printable

# The terminal's own eight colours, which its owner chose to be legible on light and on dark.
STYLES = {
    CACHED: "green",
    COMBINING: "yellow",
    UNCACHED: "red",
    STRONG: "bold",
    WARN: "bold red",
    FAINT: "dim",
    "": "",
}


def render(document: Document, stream: TextIO, colour: bool, width: int | None = None) -> None:
    """Draws a document on a stream; nothing is cut: what is too wide for the terminal is folded."""
    encoding = (stream.encoding or "ascii").lower().replace("-", "")
    rich_table_box = box.SIMPLE_HEAD if encoding.startswith("utf") else box.ASCII2
    console = Console(
        file=stream,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        width=width or _width(stream),
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    for number, block in enumerate(document.blocks):
        if number and isinstance(block, Table | Fields):
            console.print()
        if isinstance(block, Table):
            console.print(_table(block, rich_table_box))
        elif isinstance(block, Fields):
            console.print(_fields(block))
        else:
            console.print(_text(block), soft_wrap=False)
    if document.notes:
        console.print(_fields(Fields([("note", note) for note in document.notes])))


def _width(stream: TextIO) -> int:
    """The terminal's columns; a pipe has no edge, so nothing is folded there unless COLUMNS says so."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 1000


def _text(content: Content) -> Text:
    tone = "" if isinstance(content, str) else content.tone
    return Text(printable(text_of(content)), style=STYLES[tone])


def _table(table: Table, edges: box.Box) -> RichTable:
    drawn = RichTable(
        box=edges,
        title=printable(table.title) or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
        collapse_padding=True,
        show_edge=False,
    )
    for number, name in enumerate(table.columns):
        last = number == len(table.columns) - 1
        drawn.add_column(printable(name), overflow="fold", no_wrap=not last)
    for row in table.rows:
        drawn.add_row(*map(_text, row))
    return drawn


def _fields(fields: Fields) -> RichTable:
    drawn = RichTable(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    if fields.title:
        drawn.title = Text(printable(fields.title), style="bold")
    drawn.add_column(no_wrap=True, style="dim")
    drawn.add_column(overflow="fold")
    for name, value in fields.rows:
        drawn.add_row(name, _text(value))
    return drawn
