# SPDX-License-Identifier: GPL-2.0-only
"""The located error, and how it prints: FILE:LINE:COLUMN, the source line, a caret."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Where something stands in a text: 1-based line and column, and the source line itself."""

    file: str
    line: int
    column: int
    source: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class InputError(ValueError):
    """Bad input: a message `what is wrong (what would be right)`, and its place where it has one."""

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place

    def __str__(self) -> str:
        """The whole report, without a final newline; control characters of the source escaped."""
        if self.place is None:
            return printable(self.message)
        head = f"{printable(self.place.file)}:{self.place.line}:{self.place.column}: {printable(self.message)}"
        if not self.place.source:
            return head
        return f"{head}\n{excerpt(self.place.source, self.place.column)}"


def printable(text: str) -> str:
    """Text with control characters written as \\x.. so that input can't steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def excerpt(source: str, column: int, width: int = 76) -> str:
    """The source line and a caret under `column` (1-based), cut around the caret to `width`."""
    index = min(max(column - 1, 0), len(source))
    start = 0
    if len(source) > width:
        start = min(max(index - width // 2, 0), len(source) - width)
    shown = source[start : start + width].replace("\t", " ")
    before = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown[: index - start])
    after = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown[index - start :])
    return f"  {before}{after}".rstrip() + f"\n  {' ' * len(before)}^"
