# SPDX-License-Identifier: GPL-2.0-only
"""Documents as lines of fixed columns: plain text in ASCII, fit for a mail; screen.py lays its lines out here too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from mtcalc.output.document import FAINT, STRONG, Cell, Content, Document, Fields, Table, text_of
from mtcalc.text.errors import columns_of

WIDTH = 80

WIDEST = 160
"""Columns of a picture at most, where there is no edge."""

LEAST_LAST = 24
"""Columns that a last column is folded into at least; where there are fewer its cells go on below."""

LEAST_VALUE = 16
"""The same of a field's value, which goes below its name where there are fewer."""

Clean: TypeAlias = Callable[[str], str]
"""What makes text fit to be printed."""

Line: TypeAlias = list[Cell]
"""Cells side by side, blanks between columns among them."""


def escape(text: str) -> str:
    """Text in printable ASCII, anything else as \\x.., \\u...."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isascii() and c.isprintable() else ascii(c)[1:-1] for c in text)


class Page(NamedTuple):
    """What documents are laid out for."""

    width: int = WIDTH
    clean: Clean = escape
    gap: int = 1  # columns between those of a table, where there is room; one where there is not
    rule: str = ""  # the character of the line below a table's header, '' for no line


PLAIN = Page()


def render(document: Document, width: int = WIDTH) -> Iterator[str]:
    """The lines of a document in plain text, without line ends."""
    return map(_plain, layout(document, PLAIN._replace(width=width)))


def terminal_width() -> int:
    """COLUMNS or the terminal's, at most 80, which it is where there is neither."""
    from shutil import get_terminal_size

    return min(max(get_terminal_size((WIDTH, 24)).columns, 20), WIDTH)


def _plain(line: Line) -> str:
    return "".join(cell.text for cell in line).rstrip()


def layout(document: Document, page: Page) -> Iterator[Line]:
    """The lines of a document; what is too wide is folded, and nothing is cut.

    A blank line stands before what is not prose, behind it, and before the notes.
    """
    prose = True
    for number, block in enumerate(document.blocks):
        said = isinstance(block, str | Cell)
        if number and not (said and prose):
            yield []
        prose = said or (isinstance(block, Fields) and not block.rows)  # a heading goes with what it is of
        if isinstance(block, Table):
            yield from _table(block, page)
        elif isinstance(block, Fields):
            yield from _fields(block, page)
        elif isinstance(block, str | Cell):
            yield from _prose(block, page)
        else:
            from mtcalc.output import bars  # one command draws them

            yield from bars.lines(block, min(page.width, WIDEST), page.clean)
    if document.notes and document.blocks:
        yield []
    for note in document.notes:
        yield from _prose(note, page, Cell("note: ", FAINT))


def _prose(content: Content, page: Page, lead: Cell | None = None, hang: int = 0) -> Iterator[Line]:
    """Text behind its lead, under which it goes on; without one `hang` columns in."""
    width = columns_of(lead.text) if lead else 0
    tone = "" if isinstance(content, str) else content.tone
    lines = wrap(text_of(content), "", " " * hang, max(page.width - width, 1), page.clean)
    for number, text in enumerate(lines):
        first = lead if lead and not number else Cell(" " * width)
        yield [first, Cell(text, tone)] if width else [Cell(text, tone)]


def _fields(fields: Fields, page: Page) -> Iterator[Line]:
    """Names and values; a value goes on under itself, and stands below its name where a word of it has no room."""
    if fields.title:
        yield from _prose(Cell(fields.title, STRONG), page, hang=4)
    names = [page.clean(name) for name, _ in fields.rows]
    width = max(map(columns_of, names), default=0) + 2
    room = page.width - width
    for name, (_, value) in zip(names, fields.rows, strict=True):
        longest = max(map(columns_of, page.clean(text_of(value)).split(" ")))
        if width == 2 or room >= max(LEAST_VALUE, min(longest, page.width - 2)):
            yield from _prose(value, page, Cell(name + " " * (width - columns_of(name)), FAINT))
            continue
        if name:
            yield from _prose(Cell(name, FAINT), page, hang=4)
        yield from _prose(value, page, Cell("  "))


def table_lines(table: Table, width: int = WIDTH) -> Iterator[str]:
    """A table in plain text, `width` columns in all."""
    return map(_plain, _table(table, PLAIN._replace(width=width)))


def _table(table: Table, page: Page) -> Iterator[Line]:
    """Title, header and rows, every column but the last as wide as its longest cell.

    What is too wide: the last column is folded, or its cells go on below; those that tell whose the rows are stand
    above them; else the columns are shown in turn, the first one before each lot.
    """
    if table.title:
        yield from _prose(Cell(table.title, STRONG), page)
    rows = [[_shown(cell, page) for cell in row] for row in table.rows]
    rows.insert(0, [Cell(page.clean(name), STRONG) for name in table.columns])
    widths = [max(columns_of(cell.text) for cell in column) for column in zip(*rows, strict=True)]
    if _wide(widths, page.gap) > page.width:
        page = page._replace(gap=1)
    above = _above(table, widths, page)
    if above:
        yield from _owned(rows, widths, above, page)
    elif _wide(widths[:-1]) <= page.width:
        yield from _rows(rows, widths, page)
    else:
        for number, shown in enumerate(_lots(widths, page.width)):
            if number:
                yield []
            yield from _rows([[row[at] for at in shown] for row in rows], [widths[at] for at in shown], page)


def _shown(content: Content, page: Page) -> Cell:
    return Cell(page.clean(text_of(content)), "" if isinstance(content, str) else content.tone)


def _wide(widths: Sequence[int], gap: int = 1) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _above(table: Table, widths: Sequence[int], page: Page) -> int:
    """How many of the last columns, which tell whose the rows are, stand above them: none where all has room."""
    fitting = [count for count in range(table.owners + 1) if _wide(widths[: len(widths) - count]) <= page.width]
    return fitting[0] if fitting else 0


def _owned(rows: Sequence[Sequence[Cell]], widths: Sequence[int], above: int, page: Page) -> Iterator[Line]:
    """Rows below a line that tells whose they are, where that changes."""
    names, kept = rows[0][-above:], widths[:-above]
    yield from _rows([rows[0][:-above]], kept, page)
    before: Sequence[Cell] = ()
    for row in rows[1:]:
        if row[-above:] != before:
            before = row[-above:]
            words = (f"{name.text} {cell.text}" for name, cell in zip(names, before, strict=True))
            yield from _prose(Cell(", ".join(reversed(list(words))), STRONG), page, hang=4)
        yield _side_by_side(row[:-above], kept, page)


def _lots(widths: Sequence[int], width: int) -> Iterator[list[int]]:
    """The columns in lots that fit, by number, the first one in each."""
    lot, used = [0], widths[0]
    for at, wide in enumerate(widths[1:], 1):
        if len(lot) > 1 and used + 1 + wide > width:
            yield lot
            lot, used = [0], widths[0]
        lot.append(at)
        used += 1 + wide
    yield lot


def _rows(rows: Sequence[Sequence[Cell]], widths: Sequence[int], page: Page) -> Iterator[Line]:
    """Header and rows; a last cell that does not fit is folded in its column, if that is wide enough, or below."""
    lead = _wide(widths[:-1], page.gap) + page.gap if len(widths) > 1 else 0
    room = page.width - lead
    for number, row in enumerate(rows):
        last = row[-1]
        before = _side_by_side(row[:-1], widths, page)
        if columns_of(last.text) <= room:
            yield [*before, last]
        elif room >= LEAST_LAST and " " in last.text:
            for at, text in enumerate(wrap(last.text, "", "", room, page.clean)):
                yield [*(before if not at else [Cell(" " * lead)]), Cell(text, last.tone)]
        else:
            if _plain(before):
                yield from _folded(before, page)
            yield from _prose(last, page, Cell("    "))
        if not number and page.rule:
            yield [Cell(page.rule * min(lead + widths[-1], page.width))]


def _side_by_side(cells: Sequence[Cell], widths: Sequence[int], page: Page) -> Line:
    """Cells in their columns, blanks behind each."""
    line = []
    for cell, wide in zip(cells, widths, strict=False):
        line += [cell, Cell(" " * (wide - columns_of(cell.text) + page.gap))]
    return line


def _folded(line: Line, page: Page) -> Iterator[Line]:
    """A line as it is, if it has room."""
    text = _plain(line)
    return iter([line]) if columns_of(text) <= page.width else _prose(text, page, hang=4)


def wrap(text: str, first: str, rest: str, width: int = WIDTH, clean: Clean = escape) -> Iterator[str]:
    """Text filled to a width at its blanks; a longer word is broken, beside a long lead letter by letter."""
    lead, line = first, ""
    for raw in clean(text).split(" "):
        word = raw
        while True:
            joined = f"{line} {word}" if line else word
            if columns_of(lead) + columns_of(joined) <= width:
                line = joined
                break
            if line:
                yield (lead + line).rstrip()
                lead, line = rest, ""
                continue
            head = _head(word, max(width - columns_of(lead), 1))
            yield lead + head
            lead, word = rest, word[len(head) :]
    yield (lead + line).rstrip()


_JOINTS = "-_/.,:;|)]}"


def _head(word: str, room: int) -> str:
    """As much of a word as has room, to a joint of it if one is in the second half."""
    most = room
    while columns_of(word[:most]) > room and most > 1:
        most -= 1
    joint = max(word.rfind(mark, most // 2, most) for mark in _JOINTS)
    return word[: joint + 1] if joint > 0 else word[:most]
