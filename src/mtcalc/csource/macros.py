# SPDX-License-Identifier: GPL-2.0-only
"""What a C file's own #define and #undef lines make of a name, the #if around them heeded."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple

from mtcalc.csource.text import SPLICE

MAX_NESTING = 100
"""Brackets open at once in a function, and #if in a file."""

_MACRO = re.compile(
    rf"^[ \t]*#[ \t]*(?:define[ \t]+(?P<name>\w+)(?P<takes>\(?)(?P<body>(?:{SPLICE}|[^\n])*+)"
    r"|undef[ \t]+(?P<gone>\w+)|(?P<group>if\w*|el\w*|endif)\b[ \t]*(?P<asked>[^\n]*))",
    re.MULTILINE,
)


class Macro(NamedTuple):
    """An object-like #define, or one that can't be used here: then `body` is None.

    `whole`: the text behind the name, as it stands.
    """

    name: str
    body: str | None
    whole: str


class MacroLine(NamedTuple):
    """A #define or #undef (then `body` is None): where, and inside which #if."""

    offset: int
    takes: bool
    body: str | None
    groups: tuple[int, ...]
    guard: bool  # directly below an `#ifndef` of the name itself


class MacroTable:
    """The preprocessor lines of a masked C text, looked up by name."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _read(self) -> tuple[dict[str, list[MacroLine]], list[tuple[int, tuple[int, ...]]]]:
        """Every #define and #undef by name, and where which #if are open."""
        found: dict[str, list[MacroLine]] = {}
        groups: tuple[int, ...] = ()
        opened: list[tuple[int, tuple[int, ...]]] = [(0, ())]
        guards: dict[int, str] = {}
        for match in _MACRO.finditer(self._text):
            name = match["name"] or match["gone"]
            if name:
                guard = bool(groups) and guards.get(groups[-1]) == name
                row = MacroLine(match.start(), bool(match["takes"]), match["body"], groups, guard)
                found.setdefault(name, []).append(row)
                continue
            word, asked = match["group"], match["asked"].split()
            if not word.startswith("if"):
                groups = groups[:-1]
            if word != "endif" and len(groups) < MAX_NESTING:
                groups = (*groups, match.start())
            if word == "ifndef" and asked:
                guards[match.start()] = asked[0]
            opened.append((match.start(), groups))
        return found, opened

    def lines(self, name: str) -> list[MacroLine]:
        """Every #define and #undef of a name, in the order of the file."""
        return self._read[0].get(name, [])

    def of(self, name: str, offset: int) -> Macro | None:
        """What the file's own #define lines before an offset make of a name; None where there are none."""
        lines, opened = self._read
        before = [row for row in lines.get(name, ()) if row.offset < offset]
        inside = opened[bisect_right(opened, offset, key=lambda row: row[0]) - 1][1]
        if not before or self._is_gone(before[-1], inside):
            return None
        bodies = set()
        for row in before:
            body = None if row.body is None or row.takes else " ".join(re.sub(SPLICE, " ", row.body).split())
            if row.groups != inside[: len(row.groups)] and not row.guard:
                body = None  # whether this line counts is not known
            bodies.add(body)
        whole = " ".join(row.body or "" for row in before)
        return Macro(name, bodies.pop() if len(bodies) == 1 else None, whole)

    def undefined(self, name: str, offset: int) -> bool:
        """Whether the last that the file's preprocessor lines say of a name before an offset is #undef."""
        before = [row for row in self.lines(name) if row.offset < offset]
        return bool(before) and before[-1].body is None

    @staticmethod
    def _is_gone(last: MacroLine, inside: tuple[int, ...]) -> bool:
        return last.body is None and last.groups == inside[: len(last.groups)]
