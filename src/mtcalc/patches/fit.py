# SPDX-License-Identifier: GPL-2.0-only
"""Patches on a rule set that has no source: on the function as mtcalc writes it for those rules.

A hunk fits where its old side, as tokens without comments, is one contiguous part of a written function.
Heads of functions are compared by name alone, as parameter lists came and went.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from mtcalc.csource.predicates import FUNCTION
from mtcalc.csource.tokens import Function, Rendered, Token, functions, render, texts, tokens
from mtcalc.csource.writer import HELPER
from mtcalc.patches.hunks import Piece, Prepared, Step, defines, holds_function, hunk_name, whole
from mtcalc.patches.read import Hunk, Mail
from mtcalc.text.errors import Place

_STATEMENTS = {"if", "else", "for", "while", "do", "switch", "case", "return", "goto", "break", "continue"}
_NEVER_OUTSIDE = {"=", ":", "->", ".", "+=", "-=", "|=", "&=", "++", "--", "<<=", ">>="}
"""Behind the first word of a line outside of functions."""
_BREAK_BEHIND = {"&&", "||", "|", "&", "<<", ",", "=", "?", ":", "==", "!="}
_BREAK_BEFORE = {"&&", "||", "|", "?", ":"}
_STORAGE = frozenset(("static", "inline", "__inline", "__always_inline", "noinline", "noinstr", "extern", "__init"))
"""Words of a head that change nothing about what the function returns."""

_TELLING = 8
"""Tokens of context that, without any name, are taken for those of the function and of no other."""


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
    """A patch that changes nothing in a text."""


class Fitted(NamedTuple):
    """A text with patches applied, and what of them was left aside."""

    written: Rendered
    mails: tuple[Mail, ...]  # those that touch the function
    named: Mapping[int, list[str]]  # by the identity of a hunk, what of it was left aside
    touched: Place  # the first hunk that does

    @property
    def left(self) -> int:
        """How much of the hunks that can concern the function was left aside."""
        return sum(len(names) for names in self.named.values())


class Effect(NamedTuple):
    """What a hunk does: changes a function held here, changes others, adds or moves some (by name)."""

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

    def __init__(self, c_text: str, names: frozenset[str]) -> None:
        self.functions = {function.name: function for function in _written(c_text)}
        self.names = names  # other functions are nobody's concern
        self.macros: list[tuple[Token, ...]] = []
        self.cursor: dict[str, int] = {}
        self.elsewhere: dict[str, Function] = {}  # helpers added in other files
        self.twins: dict[str, Place] = {}  # of them, those of which two differ
        self.partial: dict[str, Place] = {}  # added, and not shown whole
        self.twice: dict[str, tuple[Function, Place]] = {}  # added while there is one: moved, if that one goes
        self.gone: dict[str, Place] = {}  # removed whole: moved, if it is added elsewhere

    def render(self) -> Rendered:
        parts = [token for line in self.macros for token in line]
        for function in (*(f for n, f in self.functions.items() if n != FUNCTION), self.functions[FUNCTION]):
            parts += _fresh_line(function.head)
            parts.append(Token("{", "\n", None))
            parts += function.body
        return render(parts)

    def apply(self, step: Step) -> Effect:
        """Applies a hunk. Raises _Refused."""
        if step.trouble:
            raise _Refused(step.trouble)
        before, after = step.before, step.after
        if not holds_function(step.item):
            return self._note_helpers(step)
        others = []
        touched = False
        for number, piece in enumerate(before):
            match = _same_name(after, piece)
            if match and not step.comments_only and _same(piece, match):
                continue
            last = number == len(before) - 1
            name = piece.name or self._by_content(piece, last, step)
            if name == HELPER and name not in self.functions:
                raise _Refused(f"there is no {HELPER}() in it")
            if name not in self.functions or name not in self.names:
                others.append(piece.name)
            elif match is None:
                self._remove(name, piece, step.hunk.place)
                touched = True
            elif step.comments_only:
                touched = touched or self._comments_inside(name, piece, last, step.hunk)
            else:
                at = after.index(match) + 1
                followed = after[at] if at < len(after) else None
                was = self.functions[name]
                self.functions[name] = self._change(name, piece, match, last, followed)
                touched = touched or texts(was.body) != texts(self.functions[name].body)
                touched = touched or _meaning(piece.head) != _meaning(match.head)
        self.macros += defines(step.hunk)
        added = [piece for piece in after if piece.head and _same_name(before, piece) is None]
        for piece in added:
            self._add(piece, step.hunk.place)
        return Effect(touched, tuple(others), tuple(piece.name for piece in added))

    def _add(self, piece: Piece, place: Place) -> None:
        end = whole(piece)
        if end is None:
            self.partial[piece.name] = place
            return
        function = Function(piece.name, piece.head, piece.body[:end])
        if piece.name in self.functions:
            self.twice[piece.name] = function, place
            return
        self.gone.pop(piece.name, None)
        self.functions[piece.name] = function

    def _note_helpers(self, step: Step) -> Effect:
        """Functions that a hunk of another file adds whole."""
        added = []
        for piece in step.after:
            end = whole(piece) if piece.head and _same_name(step.before, piece) is None else None
            if end is None:
                continue
            function = Function(piece.name, piece.head, piece.body[:end])
            if not _same(self.elsewhere.setdefault(piece.name, function), function):
                self.twins[piece.name] = step.hunk.place
            added.append(piece.name)
        return Effect(False, (), tuple(added))

    def settle(self) -> tuple[set[str], tuple[str, Place] | None]:
        """Forgets the functions that nothing on the way from vmx_get_mt_mask() names.

        Returns those that stay, and what is wrong with one of them, if anything is.
        """
        used: set[str] = set()
        new = {FUNCTION}
        while new:
            used |= new
            named = {text for name in new if name in self.functions for text in texts(self.functions[name].body)}
            for name in sorted(named - self.functions.keys()):
                if name in self.twins:
                    return used, (f"it adds two {name}() that differ", self.twins[name])
                if name in self.elsewhere:
                    self.functions[name] = self.elsewhere[name]
            new = {name for name in named if name in self.functions} - used
            wrong = [name for name in sorted(named) if name not in self.functions and name in self.partial]
            if wrong:
                return used, (f"it does not show all of {wrong[0]}(), which it adds", self.partial[wrong[0]])
        if FUNCTION not in self.functions:
            return used, (f"it removes {FUNCTION}()", self.gone[FUNCTION])
        again = next((name for name in self.twice if name in used), None)
        if again:
            return used, (f"it adds {again}() once more", self.twice[again][1])
        self.functions = {name: function for name, function in self.functions.items() if name in used}
        return used, None

    def _by_content(self, piece: Piece, last: bool, step: Step) -> str:
        """The function that a piece without a name lies in; '' where it is none held here."""
        if not piece.body:
            return ""
        found = [name for name in self.functions if self._positions(name, piece, last)]
        if len(found) == 1 and not step.hinted and len(piece.body) < _TELLING:
            if step.comments_only:
                return ""
            raise _Refused("its @@ line names no function, and its lines can be those of others too (diff -p)")
        if len(found) == 1:
            return found[0]
        if found:
            raise _Refused(f"its context fits {' and '.join(found)}")
        if step.hinted:
            raise _Refused("its @@ line names no function, and its statements fit none", near=False)
        return ""

    def _comments_inside(self, name: str, piece: Piece, last: bool, hunk: Hunk) -> bool:
        """Whether a change of comments lies in the function's body. Raises _Refused where its code is another."""
        if piece.body:
            found = self._positions(name, piece, last)
            if not found:
                raise _Refused(f"its context and removed lines are not in {name}()", near=False)
            _, depth, _ = found[0]
        else:
            depth = 1
        start = piece.head[0].place if piece.head else None
        end = piece.ends.get(depth)
        stop = piece.body[end - 1].place if end else None
        lines = [line.place.line for line in hunk.lines if line.kind != " "]
        return any((not start or start.line < line) and (not stop or line < stop.line) for line in lines)

    def _positions(self, name: str, piece: Piece, last: bool) -> list[tuple[int, int, int]]:
        """Where a piece fits a function's body: (position, depth there, how many of its tokens lie inside)."""
        body = tuple(texts(self.functions[name].body))
        wanted = piece.words
        starts = [0] if piece.anchored else range(self.cursor.get(name, 0), len(body))
        depths = _depths(body)
        found = []
        for start in starts:
            if piece.anchored and self.cursor.get(name, 0) > 0:
                continue
            if not piece.anchored and wanted and body[start] != wanted[0]:
                continue
            end = piece.ends.get(depths[start])
            length = len(wanted) if end is None else end
            if start + length > len(body) or (end is None and not last):
                continue
            inside = body[start : start + length]
            if inside != wanted[:length] or (end is not None and start + length != len(body)):
                continue
            tokens_here = self.functions[name].body
            if not _line_starts(tokens_here, start) or (end is None and not _line_starts(tokens_here, start + length)):
                continue
            if end is None or _between_functions(piece.body[end:]):
                found.append((start, depths[start], length))
        return found

    def _change(self, name: str, old: Piece, new: Piece, last: bool, followed: Piece | None) -> Function:
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
            if old.words == new.words:
                return function._replace(head=head)
            raise _Refused(f"its context fits {name}() in {len(found)} places")
        start, depth, length = found[0]
        end = new.ends.get(depth)
        if end is None and followed:
            raise _Refused(f"it does not show all of {followed.name}(), which it adds")
        closed = start + length == len(function.body)
        if closed is not (end is not None):
            raise _Refused(f"it leaves the braces of {name}() unbalanced")
        inside = new.body[:end] if end is not None else new.body
        if end is None and _net_braces(inside) != _net_braces(old.body):
            raise _Refused(f"it leaves the braces of {name}() unbalanced")
        if end is not None and not _between_functions(new.body[end:]):
            raise _Refused(f"it leaves code behind the end of {name}()")
        tail = function.body[start + length :]
        if tail and tuple(texts(inside)) != old.words[:length]:
            tail = (tail[0]._replace(gap="\n"), *tail[1:])
        self.cursor[name] = start + len(inside)
        return function._replace(head=head, body=(*function.body[:start], *inside, *tail))

    def _remove(self, name: str, piece: Piece, place: Place) -> None:
        function = self.functions[name]
        end = whole(piece) if piece.head else None
        if end is None or piece.words[:end] != tuple(texts(function.body)):
            raise _Refused(f"it removes {name}() or part of it in a way that cannot be followed")
        del self.functions[name]
        if name in self.twice:
            self.functions[name] = self.twice.pop(name)[0]
        else:
            self.gone[name] = place


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


def _same(one: Function | Piece, other: Function | Piece) -> bool:
    return texts(one.head) == texts(other.head) and _words(one) == _words(other)


def _words(one: Function | Piece) -> Sequence[str]:
    return one.words if isinstance(one, Piece) else tuple(texts(one.body))


def _between_functions(found: Sequence[Token]) -> bool:
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


def _net_braces(found: Iterable[Token]) -> int:
    return sum((token.text == "{") - (token.text == "}") for token in found)


def _same_name(pieces: Sequence[Piece], wanted: Piece) -> Piece | None:
    for piece in pieces:
        if piece.name == wanted.name and bool(piece.head) == bool(wanted.head):
            return piece
    return None


def _meaning(head: Sequence[Token]) -> list[str]:
    """A head's type and parameters."""
    return [token.text for token in head if token.text not in _STORAGE]


def fit(patches: Prepared, c_text: str) -> Fitted | Misfit | Untouched:
    """The patches applied in order to a written text, or where they do not fit.

    Raises InputError for a patch after which the file is no C.
    """
    text = _Text(c_text, patches.names)
    effects: list[tuple[Step, Effect]] = []
    last = None
    for step in patches.steps:
        if step.item is not last:
            text.cursor.clear()
            last = step.item
        try:
            effects.append((step, text.apply(step)))
        except _Refused as refused:
            return Misfit(str(refused), step.hunk.place, refused.near)
    used, wrong = text.settle()
    if wrong:
        return Misfit(wrong[0], wrong[1], True)
    named: dict[int, list[str]] = {}
    touching: list[Mail] = []
    touched: Place | None = None
    for step, effect in effects:
        path = step.item.path[-100:]
        added = [f"{path}: {name}() (new)" for name in effect.added if name not in used]
        others = [f"{path}: {name}" for name in effect.others if name]
        if not effect.touches and not used.intersection(effect.added):
            others = added + others if added or not step.hunk.section else []
            named[id(step.hunk)] = others or [hunk_name(step.item, step.hunk)]
            continue
        named[id(step.hunk)] = added + others
        if step.mail not in touching:
            touching.append(step.mail)
        if effect.touches:
            touched = touched or step.hunk.place
    if touched is None:
        return Untouched()
    if patches.unbalanced:
        raise patches.unbalanced
    return Fitted(text.render(), tuple(touching), named, touched)


def left_aside(patches: Prepared, named: Mapping[int, list[str]]) -> tuple[str, ...]:
    """What of the patches is not about the function, in their order."""
    listed = (
        name
        for mail in patches.mails
        for item in mail.files
        for hunk in item.hunks or (None,)
        for name in (named[id(hunk)] if id(hunk) in named else [hunk_name(item, hunk)])
    )
    return tuple(dict.fromkeys(listed))
