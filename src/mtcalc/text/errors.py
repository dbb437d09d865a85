# SPDX-License-Identifier: GPL-2.0-only
"""The located error, and how it prints: FILE:LINE:COLUMN, the source line, a caret."""

from collections.abc import Sequence

from mtcalc.text.record import Record


class Place(Record):
    """Where something stands in a text: 1-based line and column, and the source line itself."""

    file: str
    line: int
    column: int
    source: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class InputError(ValueError):
    """Bad input: a message `what is wrong (what would be right)`, and its place where it has one.

    `more`: what stands below it, in lines of its own; tools that read one line do without.
    """

    def __init__(self, message: str, place: Place | None = None, more: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.more = tuple(more)

    def __str__(self) -> str:
        """The whole report, without a final newline: under 1,000 characters, control characters escaped."""
        if self.place is None:
            return shown(self.message)
        file = printable(self.place.file)
        if len(file) > LONGEST_PATH:
            file = f"...{file[3 - LONGEST_PATH :]}"
        head = f"{file}:{self.place.line}:{self.place.column}: {shown(self.message)}"
        lines = [head]
        if self.place.source:
            lines.append(excerpt(self.place.source, self.place.column))
        return "\n".join((*lines, *(f"  {printable(line)}" for line in self.more)))


LONGEST_MESSAGE = 600
"""Characters of a message, the place and the source line aside."""

LONGEST_PATH = 200


def shown(message: str) -> str:
    """A message as it is printed: control characters escaped, and what is long cut in front of its remedy."""
    text = printable(message[: 2 * LONGEST_MESSAGE] + message[2 * LONGEST_MESSAGE :][-LONGEST_MESSAGE:])
    if len(text) <= LONGEST_MESSAGE:
        return text
    at = text.rfind(" (")
    remedy = text[at:] if text.endswith(")") and len(text) - at <= LONGEST_MESSAGE // 2 else ""
    return f"{text[: LONGEST_MESSAGE - len(remedy) - 3]}...{remedy}"


def printable(text: str) -> str:
    """Text with control characters written as \\x.. so that input can't steer the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def excerpt(source: str, column: int, width: int = 76) -> str:
    """The source line and a caret under `column` (1-based), cut around the caret to `width` cells.

    A tab is shown as one blank; escapes and wide characters take the cells that a terminal gives them.
    """
    index = min(max(column - 1, 0), len(source))
    if len(source) <= width and source.isascii() and source.isprintable():  # as most lines are: a character a cell
        return f"  {source.rstrip()}\n  {' ' * index}^"
    near = max(index - width, 0)  # no more than this can be shown, however long the line
    shown = [printable(" " if c == "\t" else c) for c in source[near : index + width]]
    cells = [columns_of(text) for text in shown]
    index -= near
    start, end = 0, len(shown)
    if sum(cells) > width:
        start, used = index, 0
        while start and used + cells[start - 1] <= width // 2:
            start -= 1
            used += cells[start]
        end = index
        while end < len(shown) and used + cells[end] <= width:
            used += cells[end]
            end += 1
        while start and used + cells[start - 1] <= width:
            start -= 1
            used += cells[start]
    line = "".join(shown[start:end]).rstrip()
    return f"  {line}\n  {' ' * sum(cells[start:index])}^"


def columns_of(text: str) -> int:
    """Columns of a terminal that printable text takes: two for East Asian wide, none for combining marks."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # errors alone need it

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
