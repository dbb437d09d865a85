# SPDX-License-Identifier: GPL-2.0-only
"""Markdown as GitHub reads it: text that stays text, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mtcalc.text.errors import printable

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<&|~$"})
_BLOCK_STARTS = ("#", "+", "-", "=", ">")


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line, in a table's cell too."""
    return printable(text).translate(_SPECIAL)


def paragraph(text: str) -> str:
    """Text as a paragraph or as an item of a list: no heading, no quotation, no list of its own."""
    line = escape(text.strip(" "))
    digits = line[: len(line) - len(line.lstrip("0123456789"))]
    if digits and (line[len(digits) :] + " ")[:2] in (". ", ") "):
        return f"{digits}\\{line[len(digits) :]}"
    return f"\\{line}" if line.startswith(_BLOCK_STARTS) else line


def code(text: str) -> str:
    """Text as code, in a table's cell too."""
    shown = printable(text).replace("|", "\\|")
    fence = "`"
    while fence in shown:
        fence += "`"
    pad = " " if shown[:1] in ("`", "", " ") or shown[-1:] in ("`", " ") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; cells are Markdown already. Columns are padded, the last one not."""
    lines = [list(header), *map(list, rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    widths[-1] = 3
    lines.insert(1, ["-" * width for width in widths])
    return [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines]
