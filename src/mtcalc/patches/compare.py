# SPDX-License-Identifier: GPL-2.0-only
"""Pieces of functions compared: which becomes which, whether two are the same, where one can begin and end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set

from mtcalc.csource.tokens import Function, Token, texts
from mtcalc.patches.pieces import FunctionPiece, whole

_STATEMENTS = {"if", "else", "for", "while", "do", "switch", "case", "return", "goto", "break", "continue"}
_NEVER_OUTSIDE = {"=", ":", "->", ".", "+=", "-=", "|=", "&=", "++", "--", "<<=", ">>="}
"""Behind the first word of a line outside of functions."""
_BREAK_BEHIND = {"&&", "||", "|", "&", "<<", ",", "=", "?", ":", "==", "!="}
_BREAK_BEFORE = {"&&", "||", "|", "?", ":"}
_STORAGE = frozenset(("static", "inline", "__inline", "__always_inline", "noinline", "noinstr", "extern", "__init"))
"""Words of a head that change nothing about what the function returns."""


def paired(before: Sequence[FunctionPiece], after: Sequence[FunctionPiece]) -> list[int | None]:
    """For each piece of the old side the one of the new side that it becomes; one that is renamed too.

    Of several with one name, the first becomes the first.
    """
    named: dict[tuple[str, bool], deque[int]] = {}
    for at, piece in enumerate(after):
        named.setdefault((piece.name, bool(piece.head)), deque()).append(at)
    old = {piece.name for piece in before if piece.head}
    alike: dict[tuple[str, ...], deque[int]] = {}  # new names, by the words of their bodies
    for at, piece in enumerate(after):
        if piece.head and piece.name not in old:
            alike.setdefault(piece.words, deque()).append(at)
    found: list[int | None] = []
    for piece in before:
        same = named.get((piece.name, bool(piece.head)))
        match = same[0] if same else None
        if piece.head and (match is None or after[match].words != piece.words) and alike.get(piece.words):
            match = alike[piece.words].popleft()
        elif same:
            same.popleft()
        found.append(match)
    taken = set(found)
    lost = [number for number, at in enumerate(found) if at is None and before[number].head]
    free = [at for at, piece in enumerate(after) if piece.head and piece.name not in old and at not in taken]
    if len(lost) == 1 and len(free) == 1:
        found[lost[0]] = free[0]
    return found


def with_tails(pieces: Sequence[FunctionPiece], at: int, passed_over: Set[int]) -> tuple[str, ...]:
    """A piece's words, and those behind the whole functions that follow it and are passed over."""
    words = list(pieces[at].words)
    for number in range(at + 1, len(pieces)):
        end = whole(pieces[number]) if pieces[number].head and number in passed_over else None
        if end is None:
            break
        words += pieces[number].words[end:]
    return tuple(words)


def on_a_fresh_line(head: tuple[Token, ...]) -> tuple[Token, ...]:
    return (head[0]._replace(gap="\n"), *head[1:]) if head else head


def brace_depths(body: Sequence[str]) -> list[int]:
    """The brace depth before each token of a body, whose own `{` counts."""
    found, depth = [], 1
    for text in body:
        found.append(depth)
        depth += (text == "{") - (text == "}")
    return found or [1]


def line_may_start(body: Sequence[Token], at: int) -> bool:
    """Whether a line can begin with a token: one does in the written text, or a long statement may be broken there."""
    if at in (0, len(body)) or "\n" in body[at].gap:
        return True
    return body[at - 1].text in _BREAK_BEHIND or body[at].text in _BREAK_BEFORE


def same_code(one: Function | FunctionPiece, other: Function | FunctionPiece) -> bool:
    return texts(one.head) == texts(other.head) and _words(one) == _words(other)


def _words(one: Function | FunctionPiece) -> Sequence[str]:
    return one.words if isinstance(one, FunctionPiece) else tuple(texts(one.body))


def between_functions(found: Sequence[Token]) -> bool:
    """Whether tokens can stand behind a function's end: no brace closed that was not opened, no statement."""
    depth = 0
    before = ";"
    for at, token in enumerate(found):
        text = token.text
        if not depth and text in _STATEMENTS:
            return False
        if not depth and before in (";", "}"):
            behind = found[at + 1].text if at + 1 < len(found) else ""
            if behind in _NEVER_OUTSIDE or _is_indented(token):
                return False
        depth += (text == "{") - (text == "}")
        if depth < 0:
            return False
        before = text
    return True


def _is_indented(token: Token) -> bool:
    """Whether a token begins a line, and not in its first column; archives that eat blanks hide that."""
    if "\n" not in token.gap or token.place is None:
        return False
    return token.place.source[: token.place.column - 1].endswith(("\t", "    "))


def meaning_of_head(head: Sequence[Token]) -> list[str]:
    """A head's type and parameters."""
    return [token.text for token in head if token.text not in _STORAGE]
