# SPDX-License-Identifier: GPL-2.0-only
"""Tables for a terminal, by rich, the one module that draws with it."""

from __future__ import annotations

import os
import stat
import sys
from io import StringIO
from typing import TextIO

from rich.console import Console
from rich.text import Text

from mtcalc.output.document import CACHED, COMBINING, FAINT, STRONG, UNCACHED, WARN, Document
from mtcalc.output.plain import Page, layout
from mtcalc.text.errors import printable

# The terminal's own colours, of them those that are legible on light and on dark: xterm's green is not on white, and
# dim is not in Solarized. What is ordinary, cacheable memory, has none, and what is not stands out.
STYLES = {
    CACHED: "",
    COMBINING: "magenta",
    UNCACHED: "red",
    STRONG: "bold",
    WARN: "bold red",
    FAINT: "",
    "": "",
}


NO_EDGE = 1000
"""Columns where there is no terminal."""

LEAST_WIDTH = 20
"""Columns at least: what is folded into fewer is harder to read than what the terminal breaks."""


def render(document: Document, stream: TextIO, colour: bool, width: int | None = None) -> None:
    """Draws a document on a stream; nothing is cut: what is too wide for the terminal is folded."""
    encoding = (stream.encoding or "ascii").lower().replace("-", "")
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
    page = Page(console.width, printable, gap=2, rule="\u2500" if encoding.startswith("utf") else "-")
    for line in layout(document, page):
        console.print(Text.assemble(*((cell.text, STYLES[cell.tone]) for cell in line)), soft_wrap=True)
    stream.writelines(f"{line.rstrip()}\n" for line in drawn.getvalue().splitlines())


def _width(stream: TextIO) -> int:
    """COLUMNS if it is a number, else the terminal's; a file has no edge, so nothing is folded there."""
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isascii() and columns.isdigit() and len(columns) < 6 else 0
    return max(width or _of_terminal(stream) or NO_EDGE, LEAST_WIDTH)


def _of_terminal(stream: TextIO) -> int:
    """Columns of the terminal that a stream is, or where it is a pipe, a pager's mostly, of that of the errors."""
    try:
        number = stream.fileno()
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            number = sys.stderr.fileno()
        return os.get_terminal_size(number).columns or 80
    except (OSError, ValueError, AttributeError):
        return 0
