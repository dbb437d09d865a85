# SPDX-License-Identifier: GPL-2.0-only
"""One hunk on a C file, line by line: found by content with blanks ignored, near its stated line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from mtcalc.patches.records import Hunk
from mtcalc.patches.result import source_line
from mtcalc.rules.rule import Rule
from mtcalc.text.errors import InputError, Place


class PatchedLine(NamedTuple):
    """A line of the patched file, and where it came from: the file itself or the patch."""

    text: str
    place: Place


def joined(lines: Sequence[PatchedLine]) -> str:
    """The lines as one text."""
    return "\n".join(line.text for line in lines)


def in_origin(error: InputError, lines: Sequence[PatchedLine]) -> InputError:
    """An error in a patched text, told at the place where its line came from."""
    seen = error.place
    if seen is None or not 0 < seen.line <= len(lines):
        return error
    origin = lines[seen.line - 1].place
    # The line may have a sign and blanks there.
    shift = len(origin.source) - len(seen.source)
    column = min(max(seen.column + shift, 1), len(origin.source) + 1)
    return InputError(error.message, origin._replace(column=column))


def at_origin(rules: Sequence[Rule], file: str, lines: Sequence[PatchedLine]) -> tuple[Rule, ...]:
    """Rules of a patched text, each with the line as its source that it came from."""
    placed = []
    for rule in rules:
        line = source_line(rule, file)
        origin = lines[line - 1].place if 0 < line <= len(lines) else None
        placed.append(rule._replace(source=f"{origin.file}:{origin.line}") if origin else rule)
    return tuple(placed)


_GIT_SECTION = 50
"""Characters of a section that are compared; archives cut what git writes."""


class _Old(NamedTuple):
    """The old side of a hunk without its blank lines."""

    keys: list[str]
    at: list[int]  # index in the hunk's lines
    lead: int  # how many of them stand before the first change, and behind the last
    trail: int


def _key(text: str) -> str:
    return re.sub(r"\s+", "", text)


def apply_hunk(
    lines: Sequence[PatchedLine], hunk: Hunk, shift: int, partial: bool, by_number: bool = False
) -> tuple[list[PatchedLine], int] | None:
    """(The lines with the hunk applied, by how many it moves those behind it), None where it is not found.

    `shift`: by how many lines earlier hunks moved what follows. `partial`: the file holds only part of what
    the patch is for, so context may hang over either end of it. `by_number`: an addition without context stands where
    its line number says. Raises InputError where it fits in several places.
    """
    old = _old_side(hunk)
    filled = [n for n, line in enumerate(lines) if line.text.strip()]
    keys = [_key(lines[n].text) for n in filled]
    if not old.keys and by_number and not hunk.old_count:
        return _inserted(lines, hunk, hunk.old_start + shift)
    if not old.keys:
        raise InputError("this hunk has no old lines to find its place by (make it with context: diff -u)", hunk.place)
    found = _matches(keys, old, partial)
    if not found:
        return None
    start = _choose(lines, filled, found, hunk, shift)
    return _replaced(lines, filled, start, hunk, old)


def _inserted(lines: Sequence[PatchedLine], hunk: Hunk, at: int) -> tuple[list[PatchedLine], int] | None:
    """The lines with those of an addition behind line `at`; None where another function stands there than @@ names."""
    section = _key(hunk.section[:_GIT_SECTION])
    if not 0 <= at <= len(lines) or (at and section and not _section(lines, at).startswith(section)):
        return None
    new = [PatchedLine(line.text, line.place) for line in hunk.lines]
    return [*lines[:at], *new, *lines[at:]], len(new)


def _old_side(hunk: Hunk) -> _Old:
    kept = [(n, line) for n, line in enumerate(hunk.lines) if line.kind in " -" and line.text.strip()]
    changes = [n for n, line in enumerate(hunk.lines) if line.kind in "+-"] or [len(hunk.lines)]
    lead = sum(n < changes[0] for n, _ in kept)
    trail = sum(n > changes[-1] for n, _ in kept)
    return _Old([_key(line.text) for _, line in kept], [n for n, _ in kept], lead, trail)


def _matches(keys: Sequence[str], old: _Old, partial: bool) -> list[int]:
    """Where the old side starts among the file's filled lines; negative where context hangs over its start."""
    length = len(old.keys)
    least, most = 0, len(keys) - length
    if partial:
        # Only context may hang over, and the line next to a change has to be there.
        least, most = -max(old.lead - 1, 0), most + max(old.trail - 1, 0)
    return [
        start
        for start in range(least, most + 1)
        if all(keys[at] == old.keys[at - start] for at in range(max(start, 0), min(start + length, len(keys))))
    ]


def _choose(lines: Sequence[PatchedLine], filled: Sequence[int], found: Sequence[int], hunk: Hunk, shift: int) -> int:
    """The one place meant. Raises InputError."""
    if len(found) == 1:
        return found[0]
    stated = hunk.old_start - 1 + shift
    exact = [start for start in found if start >= 0 and _first_line(filled, start, hunk) == stated]
    named = [start for start in found if hunk.section and _section(lines, filled[max(start, 0)]) == _key(hunk.section)]
    for narrowed in (exact, named):
        if len(narrowed) == 1:
            return narrowed[0]
    at = ", ".join(str(filled[max(start, 0)] + 1) for start in found)
    raise InputError(f"this hunk fits in several places (lines {at})", hunk.place)


def _first_line(filled: Sequence[int], start: int, hunk: Hunk) -> int:
    """The line, from 0, at which the hunk would begin, its leading blank lines counted."""
    blank = 0
    for line in hunk.lines:
        if line.kind == "+":
            continue
        if line.text.strip():
            break
        blank += 1
    return filled[start] - blank


def _section(lines: Sequence[PatchedLine], at: int) -> str:
    """The heading diff -p would give: the last line before that begins with a letter."""
    for line in reversed(lines[:at]):
        if line.text[:1].isalpha() or line.text[:1] in ("_", "$"):
            return _key(line.text[:80])
    return ""


def _replaced(
    lines: Sequence[PatchedLine], filled: Sequence[int], start: int, hunk: Hunk, old: _Old
) -> tuple[list[PatchedLine], int]:
    position = {index: start + n for n, index in enumerate(old.at)}  # hunk line -> filled line of the file
    inside = [at for at in position.values() if 0 <= at < len(filled)]
    first, last = filled[inside[0]], filled[inside[-1]]
    result = list(lines[:first])
    copied = first
    for index, line in enumerate(hunk.lines):
        at = position.get(index)
        if at is not None and 0 <= at < len(filled):
            # The blank lines of the file before this one stay.
            result += lines[copied : filled[at]]
            if line.kind == " ":
                result.append(lines[filled[at]])
            copied = filled[at] + 1
        elif line.kind == "+":
            result.append(PatchedLine(line.text, line.place))
    result += lines[last + 1 :]
    return result, len(result) - len(lines)
