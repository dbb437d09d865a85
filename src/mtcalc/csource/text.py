# SPDX-License-Identifier: GPL-2.0-only
"""A C file's text made ready for looking things up: comments blank, strings empty, no offset moved.

Everything here is one pass over the text, whatever it holds. Source: C11, "Lexical elements"; a backslash with blanks
behind it goes on in the next line too, as gcc reads it.
"""

from __future__ import annotations

import re

SPLICE = r"\\[ \t\f\v]*\r?\n"
"""A line that goes on in the next one."""

DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w*)[ \t]*(.*)$", re.MULTILINE)

_OPENING = re.compile(r"/\*|//|[\"']")
_LINE_COMMENT = re.compile(rf"(?:{SPLICE}|[^\n])*+")
_LITERAL = {mark: re.compile(rf"(?:\\\r?\n|\\.|[^{mark}\\\n])*+{mark}") for mark in "\"'"}
_MARK = re.compile(r"/\*|//|\n")
_SPLIT_MARK = re.compile(rf"/{SPLICE}[/*]|\*{SPLICE}/")


def blank(text: str) -> str:
    """Blanks of the same length, line ends kept."""
    return re.sub(r"[^\n]", " ", text)


def masked(text: str) -> str:
    """The text with comments blank, strings empty, `#if 0` parts blank and all of it ASCII.

    Raises ValueError, with the offset in its second argument, for a comment that never ends and for a comment
    mark that is cut in two by the end of a line.
    """
    cut = _SPLIT_MARK.search(text)
    if cut:
        raise ValueError("a comment mark cut in two by the end of a line (the mark in one line)", cut.start())
    parts = []
    at = 0
    while (match := _OPENING.search(text, at)) is not None:
        start = match.start()
        parts.append(text[at:start])
        at = _end_of(text, start, match.group())
        found = text[start:at]
        if found[0] == "/":
            parts.append(blank(found))
        elif len(found) > 1:
            parts.append(found[0] + " " * (len(found) - 2) + found[-1] if "\n" not in found else blank(found))
        else:  # a quote that ends nowhere in its line stands for itself; what follows may still be a comment
            mark = _MARK.search(text, at)
            at = mark.start() if mark else len(text)
            parts.append(text[start:at])
    parts.append(text[at:])
    whole = re.sub(r"[^\x00-\x7f]", "?", "".join(parts))
    return _without_if_0(whole)


def _end_of(text: str, start: int, opening: str) -> int:
    """The offset behind a comment or a literal; of a quote that ends nowhere, behind the quote."""
    if opening == "/*":
        end = text.find("*/", start + 2)
        if end < 0:
            raise ValueError("a comment that never ends (*/)", start)
        return end + 2
    if opening == "//":
        found = _LINE_COMMENT.match(text, start)
        return found.end() if found else len(text)
    closed = _LITERAL[opening].match(text, start + 1)
    return closed.end() if closed else start + 1


def _without_if_0(text: str) -> str:
    parts = []
    kept = 0
    depth = 0
    dead_at: int | None = None  # the nesting depth of the `#if 0` we are in
    for match in DIRECTIVE.finditer(text):
        word = match[1]
        if word.startswith("if"):
            depth += 1
            if word == "if" and match[2].strip() == "0" and dead_at is None:
                dead_at = depth
                parts.append(text[kept : match.start()])
                kept = match.start()
        elif dead_at == depth and word in ("else", "elif", "endif"):
            parts.append(blank(text[kept : match.end()]))
            kept = match.end()
            dead_at = None
        if word == "endif":
            depth -= 1
    if dead_at is not None:
        return "".join(parts) + blank(text[kept:])
    return "".join(parts) + text[kept:]
