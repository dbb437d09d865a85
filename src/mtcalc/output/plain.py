# SPDX-License-Identifier: GPL-2.0-only
"""Plain text: fixed columns in ASCII, no escape codes, at most 80 columns, fit for a mail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mtcalc.output.document import Cell, Document, Fields, Table, text_of

WIDTH = 80


def render(document: Document) -> Iterator[str]:
    """The lines of a document, without line ends."""
    first = True
    for block in document.blocks:
        if not first and not isinstance(block, str | Cell):
            yield ""
        first = False
        if isinstance(block, Table):
            yield from table_lines(block)
        elif isinstance(block, Fields):
            yield from _field_lines(block)
        elif isinstance(block, str | Cell):
            yield from wrap(text_of(block), "", "")
        else:
            from mtcalc.output import bars  # one command draws them

            yield from ("".join(cell.text for cell in line).rstrip() for line in bars.lines(block, WIDTH, escape))
    for note in document.notes:
        yield from wrap(note, "note: ", "      ")


def table_lines(table: Table, width: int = WIDTH) -> Iterator[str]:
    """Header and rows, every column but the last as wide as its longest cell; `width` columns in all."""
    if table.title:
        yield from wrap(table.title, "", "", width)
    rows = [[escape(text_of(cell)) for cell in row] for row in table.rows]
    header = [escape(name) for name in table.columns]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        yield from _row(row, widths, width)


def _row(row: Sequence[str], widths: Sequence[int], room: int) -> Iterator[str]:
    """One row; a last cell that does not fit goes on below, in pieces."""
    lead = " ".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False))
    lead = f"{lead} " if lead else ""
    last = row[-1]
    if len(lead) + len(last) <= room:
        yield (lead + last).rstrip()
    elif room - len(lead) >= 24 and " " in last:
        yield from wrap(last, lead, " " * len(lead), room)
    else:
        yield from wrap(lead.rstrip(), "", "    ", room)
        yield from wrap(last, "    ", "    ", room)


def _field_lines(fields: Fields) -> Iterator[str]:
    if fields.title:
        yield from wrap(fields.title, "", "")
    width = max((len(name) for name, _ in fields.rows), default=0) + 2
    for name, value in fields.rows:
        yield from wrap(text_of(value), name.ljust(width), " " * width)


def wrap(text: str, first: str, rest: str, width: int = WIDTH) -> Iterator[str]:
    """Text filled to a width at its blanks; a longer word is broken, beside a long lead letter by letter."""
    lead, line = first, ""
    for raw in escape(text).split(" "):
        word = raw
        while True:
            joined = f"{line} {word}" if line else word
            if len(lead) + len(joined) <= width:
                line = joined
                break
            if line:
                yield lead + line
                lead, line = rest, ""
                continue
            room = max(width - len(lead), 1)
            yield lead + word[:room]
            lead, word = rest, word[room:]
    yield (lead + line).rstrip()


def escape(text: str) -> str:
    """Text in printable ASCII, anything else as \\x.., \\u...."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isascii() and c.isprintable() else ascii(c)[1:-1] for c in text)
