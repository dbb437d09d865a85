# SPDX-License-Identifier: GPL-2.0-only
"""One hunk as pieces of functions: both of its sides as tokens, cut at the heads of functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from mtcalc.csource.tokens import Side, Token, head_at, parentheses, side_of, texts, without_cut_head
from mtcalc.patches.records import Hunk

OUTSIDE = "code outside functions"
LABEL = re.compile(r"(\w+):$")
CALLED = re.compile(r"\b(\w+)\s*\(")
CONDITIONAL = re.compile(r"\s*#\s*(if|ifdef|ifndef|else|elif|endif)\b")
NOT_NAMES = {"if", "for", "while", "switch", "return", "else", "do", "sizeof", "case", "goto"}


class FunctionPiece(NamedTuple):
    """Part of one side of a hunk that lies in one function; without head where it began before the hunk."""

    name: str
    head: tuple[Token, ...]
    body: tuple[Token, ...]
    anchored: bool  # starts right behind the function's `{`
    words: tuple[str, ...]  # the texts of the body
    ends: Mapping[int, int]  # by the brace depth it begins at, the index behind the `}` that closes the function


def section_function(section: str) -> str | None:
    """The function an @@ line names; None where it names none, '' for another kind of definition."""
    if not section or LABEL.match(section):
        return None
    found = CALLED.search(section)
    return found[1] if found else ""


def head_name(text: str) -> str:
    """The function whose head a line may be, '' for none."""
    if not (text[:1].isalpha() or text[:1] == "_"):
        return ""
    words, parenthesis, _ = text[:300].partition("(")
    name = words.split()[-1].lstrip("*") if parenthesis and words.split() else ""
    plain = name not in NOT_NAMES and words.split()[0] not in NOT_NAMES if name else False
    return name if plain and not text.endswith(";") else ""


def sides_of(hunk: Hunk) -> tuple[tuple[FunctionPiece, ...], tuple[FunctionPiece, ...]]:
    """Both sides of a hunk cut at the heads of functions; none where they can't be followed."""
    try:
        return pieces_of(hunk, side_of_hunk(hunk, "-").tokens), pieces_of(hunk, side_of_hunk(hunk, "+").tokens)
    except ValueError:
        return (), ()


def comments_only(hunk: Hunk) -> bool:
    """Whether both sides of a hunk are the same code."""
    try:
        return texts(side_of_hunk(hunk, "-").tokens) == texts(side_of_hunk(hunk, "+").tokens)
    except ValueError:
        return False


@lru_cache(maxsize=16)
def side_of_hunk(hunk: Hunk, sign: str) -> Side:
    """One side of a hunk, the old ('-') or the new ('+'). Raises ValueError.

    Each hunk is asked for a dozen times: for the rules, for the host-MMIO test, for what stands beside.
    """
    return side_of((line.text, line.place) for line in hunk.lines if line.kind in (" ", sign))


def pieces_of(hunk: Hunk, found: Sequence[Token]) -> tuple[FunctionPiece, ...]:
    """One side of a hunk cut at the heads of functions."""
    section = section_function(hunk.section)
    side = without_cut_head(found)
    closed = parentheses(side)
    heads = []
    at = 0
    while at < len(side):
        head = head_at(side, at, closed)
        if head:
            heads.append(head)
            at = head[1]
        at += 1
    first = list(side[: heads[0][0]] if heads else side)
    # A head that began before the hunk: its closing parenthesis is one too many.
    depth = 0
    anchored = False
    for index, token in enumerate(first):
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0:
            anchored = index + 1 < len(first) and first[index + 1].text == "{"
            first = first[index + 2 :] if anchored else first
            break
    if not anchored and first and first[0].text == "{":
        # In the kernel's style a line begins so only where a function does; its head is above the hunk.
        anchored = True
        first = first[1:]
    outside = section is not None and not section
    pieces = [_piece(OUTSIDE if outside else section or "", (), first, anchored)]
    ends = [*(head[0] for head in heads[1:]), len(side)]
    for (start, brace, name), end in zip(heads, ends, strict=False):
        pieces.append(_piece(name, side[start:brace], side[brace + 1 : end], True))
    return tuple(pieces)


def _piece(name: str, head: Sequence[Token], body: Sequence[Token], anchored: bool) -> FunctionPiece:
    ends: dict[int, int] = {}
    depth = 0
    for index, token in enumerate(body):
        depth += (token.text == "{") - (token.text == "}")
        if depth < 0:
            ends.setdefault(-depth, index + 1)
    return FunctionPiece(name, tuple(head), tuple(body), anchored, tuple(texts(body)), ends)


def under_condition(hunk: Hunk, pieces: Sequence[FunctionPiece], changed: bool = True) -> str:
    """What is wrong where a hunk puts a function under an #if, or takes it out from under one; '' if nothing is.

    Without `changed` any #if that the hunk shows counts.
    """
    for sign in "-+":
        for start, end in _conditions(hunk, sign, changed):
            for piece in pieces:
                place = piece.head[0].place
                if place and start < place.line < end:
                    return f"it changes under which #if {piece.name}() stands"
    return ""


def _conditions(hunk: Hunk, sign: str, only_changed: bool) -> list[tuple[float, float]]:
    """From which line to which an #if that the hunk adds or removes reaches; infinite where it does not show that.

    Without `only_changed` those of its context too.
    """
    found: list[tuple[float, float]] = []
    opened: list[tuple[float, bool]] = []
    for line in hunk.lines:
        match = CONDITIONAL.match(line.text) if line.kind in (" ", sign) and "#" in line.text else None
        if match is None:
            continue
        changed = line.kind == sign or not only_changed
        if match[1].startswith("if"):
            opened.append((line.place.line, changed))
            continue
        start, was = opened.pop() if opened else (float("-inf"), False)
        if changed or was:
            found.append((start, line.place.line))
        if match[1] != "endif":
            opened.append((line.place.line, changed))
    found += [(start, float("inf")) for start, changed in opened if changed]
    return found


def net_braces(found: Iterable[Token]) -> int:
    return sum((token.text == "{") - (token.text == "}") for token in found)


def whole(piece: FunctionPiece) -> int | None:
    """The index behind the `}` that closes a piece with a head; None where the hunk does not show it."""
    return piece.ends.get(1)
