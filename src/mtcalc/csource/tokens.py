# SPDX-License-Identifier: GPL-2.0-only
"""C as tokens that know where they come from, for texts that are only parts of a file.

A hunk of a patch starts and ends anywhere: inside a comment, a statement, the head of a function. A parser with a
grammar (tree-sitter, which parse.py uses for whole functions) makes error nodes of that, and can't say what was meant;
so hunks are compared and put together as tokens, and only a function that is whole again is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
    "(?:\\.|[^"\\])*(?:"|\Z)|'(?:\\.|[^'\\])*(?:'|\Z)|[A-Za-z_]\w*|\.?\d[\w.]*|
    <<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.""",
    re.X | re.S,
)
_CUT_COMMENT = re.compile(r"\*(?:\s|/|$)")
_NAME = re.compile(r"[A-Za-z_]\w*$")
_CONTROL = {"if", "for", "while", "switch", "return", "else", "do", "sizeof", "case", "goto"}


class Side(NamedTuple):
    """The tokens of one side of a hunk, and whether a comment is open where it begins and where it ends."""

    tokens: tuple[Token, ...]
    begins_open: bool
    ends_open: bool


def tokens(lines: Iterable[tuple[str, Place | None]]) -> list[Token]:
    """The tokens of part of a file, comments left out, also those cut at either end of the part.

    A comment that is cut has to look like one, each line of it starting with '*': what has lost only the
    mark that opens or closes a comment must not vanish. Raises ValueError where it does not.
    """
    return list(side_of(lines).tokens)


def side_of(lines: Iterable[tuple[str, Place | None]]) -> Side:
    """The tokens of part of a file as tokens() has them, and the comments cut at its ends. Raises ValueError."""
    given = list(lines)
    found: list[Token] = []
    start = _behind_cut_comment([text for text, _ in given])
    in_comment = False
    in_line_comment = False  # of the line before, which goes on behind a backslash
    for number, (text, place) in enumerate(given):
        at, gap = 0, "\n"
        file, line, _, source = place or ("", 0, 0, "")
        shift = source.find(text) + 1
        if (number, 0) < start:
            if number < start[0]:
                continue
            at = start[1]
        if in_line_comment:
            in_line_comment = _goes_on(text)
            continue
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
                    _check_cut(given, number + 1)
                    break
                at = close + 2
                gap = gap or " "
                continue
            if match.group() == "*" and text.startswith("/", match.end()):
                raise ValueError("a comment that ends and does not begin (a cut one has '*' on each line)")
            at = match.end()
            if match.lastgroup == "blank":
                gap = gap or " "
            elif match.lastgroup == "line_comment":
                in_line_comment = _goes_on(text)
            elif match.lastgroup is None:
                where = place and Place(file, line, shift + match.start(), source)
                found.append(Token(match.group(), gap, where))
                gap = ""
    return Side(tuple(found), start > (0, 0), in_comment or in_line_comment)


def _goes_on(text: str) -> bool:
    """Whether a line is spliced with the next; gcc takes blanks behind the backslash too."""
    return text.rstrip().endswith("\\")


def _behind_cut_comment(texts: Sequence[str]) -> tuple[int, int]:
    """(line, column) behind a comment that began before the part. Raises ValueError where it does not end there."""
    at = (0, 0)
    for number, text in enumerate(texts):
        stripped = text.strip()
        if not stripped:
            continue
        if not _CUT_COMMENT.match(stripped):
            if at > (0, 0):
                raise ValueError("a comment that does not end (a cut one goes on with '*' on each line)")
            break
        close = text.find("*/")
        if close >= 0:
            return number, close + 2
        at = (number + 1, 0)
    return at


def _check_cut(given: Sequence[tuple[str, Place | None]], start: int) -> None:
    """What follows an opened comment: its lines up to the closing mark, or up to the end of the part."""
    if any("*/" in given[at][0] for at in range(start, len(given))):
        return
    if any(text.strip() and not text.strip().startswith("*") for text, _ in given[start:]):
        raise ValueError("a comment that does not end (a cut one goes on with '*' on each line)")


def texts(found: Iterable[Token]) -> list[str]:
    """The tokens' texts alone, for comparing."""
    return [token.text for token in found]


def parentheses(found: Sequence[Token]) -> dict[int, int]:
    """Each `(` that is closed, and where."""
    closed: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(found):
        if token.text == "(":
            opened.append(index)
        elif token.text == ")" and opened:
            closed[opened.pop()] = index
    return closed


def head_at(found: Sequence[Token], at: int, closed: Mapping[int, int]) -> tuple[int, int, str] | None:
    """(first token, index of `{`, name) of a function head whose name stands at `at`, None if none does.

    `closed` is parentheses(found).
    """
    name = found[at].text
    if not _NAME.match(name) or name in _CONTROL or at + 1 >= len(found) or found[at + 1].text != "(":
        return None
    if at == 0 or not (_NAME.match(found[at - 1].text) or found[at - 1].text == "*"):
        return None
    if found[at - 1].text in _CONTROL:
        return None
    index = closed.get(at + 1, len(found))
    if index + 1 >= len(found) or found[index + 1].text != "{":
        return None
    first = at
    while first and (_NAME.match(found[first - 1].text) or found[first - 1].text == "*"):
        if "\n" in found[first].gap and _ends_directive(found, first - 1):
            break
        first -= 1
    return first, index + 1, name


def _ends_directive(found: Sequence[Token], at: int) -> bool:
    """Whether the line that a token ends is one of the preprocessor's."""
    while at and "\n" not in found[at].gap:
        at -= 1
    return found[at].text == "#"


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
    closed = parentheses(found)
    at = 0
    while at < len(found):
        head = head_at(found, at, closed)
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
