# SPDX-License-Identifier: GPL-2.0-only
"""C as tokens that know where they come from, for texts that are only parts of a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mtcalc.text.errors import Place


class Token(NamedTuple):
    """A token, what stood before it ('', ' ' or a line break), and its place; None: written by mtcalc."""

    text: str
    gap: str
    place: Place | None


class Function(NamedTuple):
    """A function definition: everything up to `{`, and everything behind it up to the closing `}`."""

    name: str
    head: tuple[Token, ...]
    body: tuple[Token, ...]


_TOKEN = re.compile(
    r"""(?P<blank>\s+)|(?P<line_comment>//.*)|(?P<comment>/\*)|
    "(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[A-Za-z_]\w*|\.?\d[\w.]*|
    <<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.""",
    re.X | re.S,
)
_NAME = re.compile(r"[A-Za-z_]\w*$")
_CONTROL = {"if", "for", "while", "switch", "return", "else", "do", "sizeof", "case", "goto"}


def tokens(lines: Iterable[tuple[str, Place | None]]) -> list[Token]:
    """The tokens of part of a file, comments left out, also those cut at either end of the part.

    A comment that is cut has to look like one, each line of it starting with '*': what has lost only the
    mark that opens or closes a comment must not vanish. Raises ValueError where it does not.
    """
    given = list(lines)
    found: list[Token] = []
    start = _behind_cut_comment([text for text, _ in given])
    in_comment = False
    for number, (text, place) in enumerate(given):
        at, gap = 0, "\n"
        if (number, 0) < start:
            if number < start[0]:
                continue
            at = start[1]
        if in_comment:
            close = text.find("*/")
            if close < 0:
                continue
            at, in_comment = close + 2, False
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:  # never: the last alternative takes anything
                break
            if match.lastgroup == "comment":
                close = text.find("*/", match.end())
                if close < 0:
                    in_comment = True
                    _check_cut(given[number + 1 :])
                    break
                at = close + 2
                gap = gap or " "
                continue
            at = match.end()
            if match.lastgroup == "blank":
                gap = gap or " "
            elif match.lastgroup is None:
                where = place and place._replace(column=place.source.find(text) + 1 + match.start())
                found.append(Token(match.group(), gap, where))
                gap = ""
    return found


def _behind_cut_comment(texts: Sequence[str]) -> tuple[int, int]:
    """(line, column) behind a comment that began before the part."""
    at = (0, 0)
    for number, text in enumerate(texts):
        stripped = text.strip()
        if not stripped:
            continue
        if not re.match(r"\*(?:\s|/|$)", stripped):
            break
        close = text.find("*/")
        if close >= 0:
            return number, close + 2
        at = (number + 1, 0)
    return at


def _check_cut(rest: Sequence[tuple[str, Place | None]]) -> None:
    """What follows an opened comment: its lines up to the closing mark, or up to the end of the part."""
    if any("*/" in text for text, _ in rest):
        return
    if any(text.strip() and not text.strip().startswith("*") for text, _ in rest):
        raise ValueError("a comment that does not end (a cut one goes on with '*' on each line)")


def texts(found: Iterable[Token]) -> list[str]:
    """The tokens' texts alone, for comparing."""
    return [token.text for token in found]


def head_at(found: Sequence[Token], at: int) -> tuple[int, int, str] | None:
    """(first token, index of `{`, name) of a function head whose name stands at `at`, None if none does."""
    name = found[at].text
    if not _NAME.match(name) or name in _CONTROL or at + 1 >= len(found) or found[at + 1].text != "(":
        return None
    if at == 0 or not (_NAME.match(found[at - 1].text) or found[at - 1].text == "*"):
        return None
    if found[at - 1].text in _CONTROL:
        return None
    depth = 0
    for index in range(at + 1, len(found)):
        depth += (found[index].text == "(") - (found[index].text == ")")
        if not depth:
            break
    if depth or index + 1 >= len(found) or found[index + 1].text != "{":
        return None
    first = at
    while first and (_NAME.match(found[first - 1].text) or found[first - 1].text == "*"):
        first -= 1
    return first, index + 1, name


def without_cut_head(found: Sequence[Token]) -> Sequence[Token]:
    """The tokens without a function head at their end whose `{` is cut off."""
    for at in range(len(found) - 1, 0, -1):
        if found[at].text in ("{", "}", ";"):
            break
        if found[at].text != "(" or not _NAME.match(found[at - 1].text):
            continue
        first = at - 1
        while first and (_NAME.match(found[first - 1].text) or found[first - 1].text == "*"):
            first -= 1
        words = {token.text for token in found[first:at]}
        if at - first >= 2 and not words & _CONTROL and (not first or found[first - 1].text in ("}", ";")):
            return found[:first]
    return found


def closing(found: Sequence[Token], at: int, depth: int) -> int | None:
    """The index behind the `}` that brings `depth` to 0, from token `at` on; None where none does."""
    for index in range(at, len(found)):
        depth += (found[index].text == "{") - (found[index].text == "}")
        if not depth:
            return index + 1
    return None


def functions(found: Sequence[Token]) -> list[Function]:
    """The complete function definitions in a token list."""
    defined = []
    at = 0
    while at < len(found):
        head = head_at(found, at)
        end = closing(found, head[1], 0) if head else None
        if head and end is not None:
            first, brace, name = head
            defined.append(Function(name, tuple(found[first:brace]), tuple(found[brace + 1 : end])))
            at = end
        else:
            at += 1
    return defined


class Rendered(NamedTuple):
    """Tokens written out as a file, and where each token stands in it."""

    text: str
    at: dict[tuple[int, int], Token]  # by line and column, 1-based

    def token_near(self, line: int, column: int) -> Token | None:
        """The token at a position or the last one before it in that line; else the line's first."""
        in_line = sorted((col, token) for (row, col), token in self.at.items() if row == line)
        before = [token for col, token in in_line if col <= column]
        return before[-1] if before else in_line[0][1] if in_line else None


def render(found: Sequence[Token]) -> Rendered:
    """Token list to text, indented by its braces so that only a function's last brace is at column 0."""
    lines: list[str] = []
    at: dict[tuple[int, int], Token] = {}
    current = ""
    depth = 0
    for token in found:
        if "\n" in token.gap and current:
            lines.append(current)
            current = ""
        if not current:
            inner = depth - (token.text == "}")
            current = "" if token.text == "#" else "\t" * max(inner, 0)
        elif token.gap:
            current += " "
        at[len(lines) + 1, len(current) + 1] = token
        current += token.text
        depth += (token.text == "{") - (token.text == "}")
    return Rendered("\n".join([*lines, current, ""]), at)
