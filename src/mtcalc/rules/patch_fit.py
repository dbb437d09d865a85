# SPDX-License-Identifier: GPL-2.0-only
"""Patches on a rule set that has no source: on the function as mtcalc writes it for those rules.

A hunk fits where its old side, as tokens without comments, is one contiguous part of a written function.
Heads of functions are compared by name alone, as parameter lists came and went.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from mtcalc.rules.c_predicates import FUNCTION
from mtcalc.rules.c_tokens import (
    Function,
    Rendered,
    Token,
    closing,
    functions,
    head_at,
    render,
    texts,
    tokens,
    without_cut_head,
)
from mtcalc.rules.patch import FilePatch, Hunk, Mail
from mtcalc.text.errors import InputError, Place

_OUTSIDE = "code outside functions"
_LABEL = re.compile(r"\w+:$")
_CALLED = re.compile(r"(\w+)\s*\(")
_STATEMENTS = {"if", "else", "for", "while", "do", "switch", "case", "return", "goto", "break", "continue"}
_BREAK_BEHIND = {"&&", "||", "|", "&", "<<", ",", "=", "?", ":", "==", "!="}
_BREAK_BEFORE = {"&&", "||", "|", "?", ":"}
_HINTS = {FUNCTION, "VMX_EPT_MT_EPTE_SHIFT", "VMX_EPT_IPAT_BIT", "VMX_EPT_IGMT_BIT", "is_mmio"}
"""Words that give away a hunk of the function where its @@ line names none."""


class Misfit(NamedTuple):
    """Why a patch does not fit a text; `near`: not for want of the right statements."""

    reason: str
    place: Place
    near: bool

    @property
    def rank(self) -> tuple[int, bool]:
        """The higher, the further the patch came."""
        return self.place.line, self.near


class Untouched(NamedTuple):
    """A patch that changes nothing in a text; what it does touch."""

    aside: tuple[str, ...]


class Fitted(NamedTuple):
    """A text with patches applied, and what of them was left aside."""

    written: Rendered
    mails: tuple[Mail, ...]  # those that touch the function
    left_aside: tuple[str, ...]
    touched: Place  # the first hunk that does


class _Piece(NamedTuple):
    """Part of one side of a hunk that lies in one function; without head where it began before the hunk."""

    name: str
    head: tuple[Token, ...]
    body: tuple[Token, ...]
    anchored: bool  # starts right behind the function's `{`


class Effect(NamedTuple):
    """What a hunk does: changes a function held here, changes others, adds some (by name)."""

    touches: bool
    others: tuple[str, ...]
    added: tuple[str, ...]


class _Refused(Exception):
    """A hunk does not fit; the reason, and whether its statements are there."""

    def __init__(self, reason: str, near: bool = True) -> None:
        super().__init__(reason)
        self.near = near


class _Text:
    """The functions of a written text while patches are applied to it."""

    def __init__(self, c_text: str) -> None:
        self.functions = {function.name: function for function in _written(c_text)}
        self.macros: list[tuple[Token, ...]] = []
        self.cursor: dict[str, int] = {}

    def render(self) -> Rendered:
        parts = [token for line in self.macros for token in line]
        for function in (*(f for n, f in self.functions.items() if n != FUNCTION), self.functions[FUNCTION]):
            parts += _fresh_line(function.head)
            parts.append(Token("{", "\n", None))
            parts += function.body
        return render(parts)

    def apply(self, hunk: Hunk) -> Effect:
        """Applies a hunk. Raises _Refused."""
        old, new = _side(hunk, "-"), _side(hunk, "+")
        comments_only = texts(old) == texts(new)
        before, after = _pieces(hunk, "-"), _pieces(hunk, "+")
        others = []
        touched = False
        for number, piece in enumerate(before):
            match = _same_name(after, piece)
            if match and not comments_only and _same(piece, match):
                continue
            last = number == len(before) - 1
            name = piece.name or self._by_content(piece, last, {*texts(old), *texts(new)})
            if name not in self.functions:
                others.append(piece.name)
                continue
            if match is None:
                self._remove(name, piece)
                touched = True
            else:
                was = self.functions[name]
                self.functions[name] = self._change(name, piece, match, last)
                touched = touched or comments_only or not _same(was, self.functions[name])
        self.macros += _defines(hunk)
        added = [piece for piece in after if piece.head and _same_name(before, piece) is None]
        for piece in added:
            end = closing(piece.body, 0, 1)
            if end is None:
                raise _Refused(f"it does not show all of {piece.name}(), which it adds")
            if piece.name in self.functions:
                raise _Refused(f"it adds {piece.name}() once more")
            self.functions[piece.name] = Function(piece.name, piece.head, piece.body[:end])
        return Effect(touched, tuple(others), tuple(piece.name for piece in added))

    def drop_unused(self) -> set[str]:
        """Forgets the functions that nothing on the way from vmx_get_mt_mask() names; those that stay."""
        used: set[str] = set()
        new = {FUNCTION}
        while new:
            used |= new
            named = {text for name in new for text in texts(self.functions[name].body)}
            new = {name for name in self.functions if name in named} - used
        self.functions = {name: function for name, function in self.functions.items() if name in used}
        return used

    def _by_content(self, piece: _Piece, last: bool, named: set[str]) -> str:
        """The function that a piece without a name lies in; '' where it is none held here."""
        if not piece.body:
            return ""
        found = [name for name in self.functions if self._positions(name, piece, last)]
        if len(found) == 1:
            return found[0]
        if found:
            raise _Refused(f"its context fits {' and '.join(found)}")
        if _HINTS & named:
            raise _Refused("its @@ line names no function, and its statements fit none", near=False)
        return ""

    def _positions(self, name: str, piece: _Piece, last: bool) -> list[tuple[int, int, int]]:
        """Where a piece fits a function's body: (position, depth there, how many of its tokens lie inside)."""
        body = texts(self.functions[name].body)
        wanted = texts(piece.body)
        starts = [0] if piece.anchored else range(self.cursor.get(name, 0), len(body))
        depths = _depths(body)
        found = []
        for start in starts:
            if piece.anchored and self.cursor.get(name, 0) > 0:
                continue
            if not piece.anchored and wanted and body[start] != wanted[0]:
                continue
            end = closing(piece.body, 0, depths[start])
            length = len(wanted) if end is None else end
            if end is None and not last:
                continue
            inside = body[start : start + length]
            if inside != wanted[:length] or (end is not None and start + length != len(body)):
                continue
            tokens_here = self.functions[name].body
            if not _line_starts(tokens_here, start) or (end is None and not _line_starts(tokens_here, start + length)):
                continue
            if end is None or _between_functions(wanted[end:]):
                found.append((start, depths[start], length))
        return found

    def _change(self, name: str, old: _Piece, new: _Piece, last: bool) -> Function:
        function = self.functions[name]
        head = new.head if new.head and old.head and texts(new.head) != texts(old.head) else function.head
        if not old.body and not new.body:
            return function._replace(head=head)
        if not old.body and not old.anchored:
            raise _Refused("it has no context to find its place by")
        found = self._positions(name, old, last)
        if not found:
            raise _Refused(f"its context and removed lines are not in {name}()", near=False)
        if len(found) > 1:
            if texts(old.body) == texts(new.body):
                return function._replace(head=head)
            raise _Refused(f"its context fits {name}() in {len(found)} places")
        start, depth, length = found[0]
        end = closing(new.body, 0, depth)
        closed = start + length == len(function.body)
        if closed is not (end is not None):
            raise _Refused(f"it leaves the braces of {name}() unbalanced")
        inside = new.body[:end] if end is not None else new.body
        if end is None and _net_braces(inside) != _net_braces(old.body):
            raise _Refused(f"it leaves the braces of {name}() unbalanced")
        if end is not None and not _between_functions(texts(new.body[end:])):
            raise _Refused(f"it leaves code behind the end of {name}()")
        tail = function.body[start + length :]
        if tail and texts(inside) != texts(old.body[:length]):
            tail = (tail[0]._replace(gap="\n"), *tail[1:])
        self.cursor[name] = start + len(inside)
        return function._replace(head=head, body=(*function.body[:start], *inside, *tail))

    def _remove(self, name: str, piece: _Piece) -> None:
        function = self.functions[name]
        end = closing(piece.body, 0, 1)
        if name == FUNCTION or end is None or texts(piece.body[:end]) != texts(function.body):
            raise _Refused(f"it removes {name}() or part of it in a way that cannot be followed")
        del self.functions[name]


@lru_cache(maxsize=1024)
def _written(c_text: str) -> tuple[Function, ...]:
    return tuple(functions(tokens((line, None) for line in c_text.splitlines())))


def _fresh_line(head: tuple[Token, ...]) -> tuple[Token, ...]:
    return (head[0]._replace(gap="\n"), *head[1:]) if head else head


def _depths(body: Sequence[str]) -> list[int]:
    """The brace depth before each token of a body, whose own `{` counts."""
    found, depth = [], 1
    for text in body:
        found.append(depth)
        depth += (text == "{") - (text == "}")
    return found or [1]


def _line_starts(body: Sequence[Token], at: int) -> bool:
    """Whether a line can begin with a token: one does in the written text, or a long statement may be broken there."""
    if at in (0, len(body)) or "\n" in body[at].gap:
        return True
    return body[at - 1].text in _BREAK_BEHIND or body[at].text in _BREAK_BEFORE


def _same(one: Function | _Piece, other: Function | _Piece) -> bool:
    return texts(one.head) == texts(other.head) and texts(one.body) == texts(other.body)


def _between_functions(found: Sequence[str]) -> bool:
    """Whether tokens can stand behind a function's end: no brace closed that was not opened, no statement."""
    depth = 0
    for text in found:
        depth += (text == "{") - (text == "}")
        if depth < 0 or (not depth and text in _STATEMENTS):
            return False
    return True


def _net_braces(found: Iterable[Token]) -> int:
    return sum((token.text == "{") - (token.text == "}") for token in found)


@lru_cache(maxsize=256)
def _side(hunk: Hunk, sign: str) -> tuple[Token, ...]:
    """The tokens of a hunk's old ('-') or new ('+') side. Raises _Refused."""
    try:
        return tuple(tokens((line.text, line.place) for line in hunk.lines if line.kind in (" ", sign)))
    except ValueError as error:
        raise _Refused(str(error)) from None


def _section_function(section: str) -> str | None:
    """The function an @@ line names; None where it names none, '' for another kind of definition."""
    if not section or _LABEL.match(section):
        return None
    found = _CALLED.search(section)
    return found[1] if found else ""


@lru_cache(maxsize=256)
def _pieces(hunk: Hunk, sign: str) -> tuple[_Piece, ...]:
    """One side of a hunk cut at the heads of functions. Raises _Refused."""
    section = _section_function(hunk.section)
    side = without_cut_head(_side(hunk, sign))
    heads = []
    at = 0
    while at < len(side):
        head = head_at(side, at)
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
    pieces = [_Piece(_OUTSIDE if outside else section or "", (), tuple(first), anchored)]
    ends = [*(head[0] for head in heads[1:]), len(side)]
    for (start, brace, name), end in zip(heads, ends, strict=False):
        pieces.append(_Piece(name, tuple(side[start:brace]), tuple(side[brace + 1 : end]), True))
    return tuple(pieces)


def _same_name(pieces: Sequence[_Piece], wanted: _Piece) -> _Piece | None:
    for piece in pieces:
        if piece.name == wanted.name and bool(piece.head) == bool(wanted.head):
            return piece
    return None


def _defines(hunk: Hunk) -> Iterator[tuple[Token, ...]]:
    for line in hunk.lines:
        if line.kind == "+" and re.match(r"\s*#\s*define\s", line.text) and not line.text.rstrip().endswith("\\"):
            yield tuple(tokens([(line.text, line.place)]))


def is_function_file(path: str) -> bool:
    """Whether a path is that of the file with vmx_get_mt_mask()."""
    return path.rsplit("/", 1)[-1] == "vmx.c" and "selftests" not in path


def fit(mails: Sequence[Mail], c_text: str) -> Fitted | Misfit | Untouched:
    """The patches applied in order to a written text, or where they do not fit.

    Raises InputError for a patch of the function's file that could not be read.
    """
    text = _Text(c_text)
    effects: list[tuple[Mail, FilePatch, Hunk | None, Effect]] = []
    for mail in mails:
        for item in mail.files:
            if not is_function_file(item.path):
                effects += ((mail, item, hunk, Effect(False, (), ())) for hunk in item.hunks or (None,))
                continue
            if item.trouble:
                raise item.trouble
            text.cursor.clear()
            for hunk in item.hunks:
                try:
                    effects.append((mail, item, hunk, text.apply(hunk)))
                except _Refused as refused:
                    return Misfit(str(refused), hunk.place, refused.near)
    used = text.drop_unused()
    aside: list[str] = []
    touching: list[Mail] = []
    touched: Place | None = None
    for mail, item, at, effect in effects:
        added = [f"{item.path}: {name}() (new)" for name in effect.added if name not in used]
        others = [f"{item.path}: {name}" for name in effect.others if name]
        if not effect.touches and not used.intersection(effect.added):
            named = added + others if added or not (at and at.section) else []
            aside += named or [hunk_name(item, at)]
            continue
        aside += added + others
        if mail not in touching:
            touching.append(mail)
        if effect.touches and at:
            touched = touched or at.place
    if touched is None:
        return Untouched(tuple(aside))
    return Fitted(text.render(), tuple(touching), tuple(dict.fromkeys(aside)), touched)


def hunk_name(item: FilePatch, hunk: Hunk | None) -> str:
    """'arch/x86/kvm/mmu/spte.c: static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)'; without a hunk the path alone."""
    if hunk is None:
        return item.path
    return f"{item.path}: {hunk.section or f'line {hunk.old_start}'}"


def nothing_touched(aside: Iterable[str], mails: Sequence[Mail]) -> InputError:
    """The error for patches that leave the function as it is."""
    listed = "; ".join(dict.fromkeys(aside)) or "nothing"
    place = mails[0].files[0].place
    return InputError(f"the patch does not touch {FUNCTION}() (it touches {listed})", place)
