# SPDX-License-Identifier: GPL-2.0-only
"""Patches on a rule set that has no source: on the function as mtcalc writes it for those rules.

A hunk fits where its old side, as tokens without comments, is one contiguous part of a written function.
Heads of functions are compared by name alone, as parameter lists came and went.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache
from typing import NamedTuple

from mtcalc.csource.predicates import FUNCTION
from mtcalc.csource.tokens import Function, Rendered, Token, functions, render, texts, tokens
from mtcalc.csource.writer import HELPER
from mtcalc.patches.hunks import Piece, Prepared, Step, holds_function, hunk_name, whole
from mtcalc.patches.macros import parameters, use_of
from mtcalc.patches.read import Hunk, Mail
from mtcalc.text.errors import InputError, Place

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
    broken: InputError | None  # why the text is no C, though the patches fit it

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

    def __init__(self, c_text: str, patches: Prepared) -> None:
        self.functions = {function.name: function for function in _written(c_text)}
        self.names = patches.names  # other functions are nobody's concern
        self.macros = patches.macros
        self.known = {change.name: change.new for change in patches.known if change.new}
        self.renamed: dict[str, str] = {}
        self.without: dict[str, set[str]] = {}  # by function, the parameters that it has no longer
        self.cursor: dict[str, int] = {}
        self.elsewhere: dict[str, Function] = {}  # helpers added in other files
        self.twins: dict[str, Place] = {}  # added, and of which two differ
        self.added: set[str] = set()
        self.partial: dict[str, Place] = {}  # added, and not shown whole
        self.twice: dict[str, tuple[Function, Place]] = {}  # added while there is one: moved, if that one goes
        self.gone: dict[str, Place] = {}  # removed whole: moved, if it is added elsewhere

    def render(self) -> Rendered:
        bodies = [function.body for function in self.functions.values()]
        parts = [token for macro in self.macros.used_in(bodies) for token in macro.line]
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
        pairs = _pairs(before, after)
        lost = {number for number, at in enumerate(pairs) if at is None}
        new = set(range(len(after))) - set(pairs)
        for number, (piece, pair) in enumerate(zip(before, pairs, strict=True)):
            match = None if pair is None else after[pair]
            if match and not step.comments_only and _same(piece, match):
                continue
            if pair is not None and not step.comments_only and texts(piece.head) == texts(after[pair].head):
                around = _with_tails(before, number, lost) == _with_tails(after, pair, new)
            else:
                around = False
            if around:
                continue  # whole functions come or go behind it, or in its midst
            last = number == len(before) - 1
            name = piece.name or self._by_content(piece, last, step)
            if name not in self.functions:
                name = self.renamed.get(name, name)
            if name == HELPER and name not in self.functions:
                raise _Refused(f"there is no {HELPER}() in it", near=False)
            if name not in self.functions or name not in self.names:
                others.append(piece.name)
            elif match is None or pair is None:
                self._remove(name, piece, step.hunk.place)
                touched = True
            elif step.comments_only:
                touched = touched or self._comments_inside(name, piece, last, step.hunk)
            else:
                followed = after[pair + 1] if pair + 1 < len(after) else None
                was = self.functions[name]
                now = self._change(name, piece, match, last, followed)
                touched = touched or texts(was.body) != texts(now.body)
                touched = touched or _meaning(piece.head) != _meaning(match.head)
                if piece.head and match.head:
                    gone = self.without.pop(name, set()) | parameters(piece.head)
                    self.without[match.name] = gone - parameters(match.head)
                if piece.head and match.name != piece.name:
                    self._rename(name, match.name, step.hunk.place)
                    now = now._replace(name=match.name)
                self.functions[now.name] = now
        added = [after[at] for at in sorted(new) if after[at].head]
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
            if piece.name in self.added and piece.name != FUNCTION:
                if not _same(self.functions[piece.name], function):
                    self.twins[piece.name] = piece.head[0].place or place
            else:
                self.twice[piece.name] = function, place
            return
        self.gone.pop(piece.name, None)
        self.added.add(piece.name)
        self.functions[piece.name] = function

    def _rename(self, name: str, new: str, place: Place) -> None:
        del self.functions[name]
        self.renamed[name] = new
        self.gone[name] = place
        if name in self.cursor:
            self.cursor[new] = self.cursor.pop(name)
        if name in self.twice:
            self.functions[name] = self.twice.pop(name)[0]
            self.gone.pop(name)

    def _note_helpers(self, step: Step) -> Effect:
        """Functions that a hunk of another file adds whole."""
        added = []
        old = {piece.name for piece in step.before if piece.head}
        for piece in step.after:
            end = whole(piece) if piece.head and piece.name not in old else None
            if end is None:
                continue
            function = Function(piece.name, piece.head, piece.body[:end])
            if not _same(self.elsewhere.setdefault(piece.name, function), function):
                self.twins.setdefault(piece.name, piece.head[0].place or step.hunk.place)
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
            for name in new & self.functions.keys():
                body = self.macros.expanded(self.functions[name].body)
                self.functions[name] = self.functions[name]._replace(body=body)
            named = {text for name in new if name in self.functions for text in texts(self.functions[name].body)}
            for name in sorted(named - self.functions.keys()):
                if name in self.known:
                    self.functions[name] = self.known[name]
                elif name in self.elsewhere:
                    self.functions[name] = self.elsewhere[name]
            for name in sorted(named & self.twins.keys()):
                what = f"the patch adds two {name}() that differ (the one that is compiled)"
                raise InputError(what, self.twins[name])
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

    def lost_parameter(self) -> InputError | None:
        """What is wrong where a function uses a parameter that a patch takes from it."""
        for name, function in self.functions.items():
            token = use_of(self.without.get(name, ()), function.body)
            if token:
                what = f"after the patch {name}() uses {token.text}, which is no parameter of it any longer"
                return InputError(f"{what} (all hunks of the patch)", token.place or function.head[0].place)
        return None

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


def _pairs(before: Sequence[Piece], after: Sequence[Piece]) -> list[int | None]:
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


def _with_tails(pieces: Sequence[Piece], at: int, passed_over: Set[int]) -> tuple[str, ...]:
    """A piece's words, and those behind the whole functions that follow it and are passed over."""
    words = list(pieces[at].words)
    for number in range(at + 1, len(pieces)):
        end = whole(pieces[number]) if pieces[number].head and number in passed_over else None
        if end is None:
            break
        words += pieces[number].words[end:]
    return tuple(words)


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


def _meaning(head: Sequence[Token]) -> list[str]:
    """A head's type and parameters."""
    return [token.text for token in head if token.text not in _STORAGE]


def fit(patches: Prepared, c_text: str) -> Fitted | Misfit | Untouched:
    """The patches applied in order to a written text, or where they do not fit.
    Raises InputError for a patch after which the file is no C.
    """
    text = _Text(c_text, patches)
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
    followed = {change.name for change in patches.known if change.new} & text.functions.keys()
    named: dict[int, list[str]] = {}
    touching: list[Mail] = []
    touched: Place | None = None
    for step, effect in effects:
        path = step.item.path[-100:]
        added = [f"{path}: {name}() (new)" for name in effect.added if name not in used]
        others = [f"{path}: {name}" for name in effect.others if name]
        if not effect.touches and not used.intersection(effect.added):
            if followed.intersection(piece.name for piece in step.before):
                named[id(step.hunk)] = []
                continue
            others = added + others if added or not step.hunk.section else []
            named[id(step.hunk)] = others or [hunk_name(step.item, step.hunk)]
            continue
        named[id(step.hunk)] = added + others
        if step.mail not in touching:
            touching.append(step.mail)
        if effect.touches:
            touched = touched or step.hunk.place
    for change in patches.known:
        if change.name in followed:
            touched = touched or change.place
            if change.mail not in touching:
                touching.append(change.mail)
    if touched is None:
        return Untouched()
    if patches.unbalanced:
        raise patches.unbalanced
    return Fitted(text.render(), tuple(touching), named, touched, text.lost_parameter())


def left_aside(patches: Prepared, named: Mapping[int, list[str]]) -> tuple[str, ...]:
    """What of the patches is not about the function, in their order."""
    listed = (
        name
        for mail in patches.mails
        for item in mail.files
        for hunk in item.hunks or (None,)
        if hunk is None or not patches.macros.holds_used(hunk)
        for name in (named[id(hunk)] if id(hunk) in named else [hunk_name(item, hunk)])
    )
    return tuple(dict.fromkeys(listed))
