# SPDX-License-Identifier: GPL-2.0-only
"""The functions of a text that mtcalc wrote, while hunks are applied to them.

A hunk fits where its old side, as tokens without comments, is one contiguous part of a written function. Heads of
functions are compared by name alone, as parameter lists came and went.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from mtcalc.csource.tokens import Function, Rendered, Token, functions, render, texts, tokens
from mtcalc.patches.compare import (
    between_functions,
    brace_depths,
    line_may_start,
    meaning_of_head,
    on_a_fresh_line,
    paired,
    same_code,
    with_tails,
)
from mtcalc.patches.hunks import CutHunk, Prepared, holds_function
from mtcalc.patches.macros import parameters, use_of
from mtcalc.patches.pieces import FunctionPiece, net_braces, whole
from mtcalc.patches.records import Hunk
from mtcalc.text.errors import InputError, Place

_TELLING = 8
"""Tokens of context that, without any name, are taken for those of the function and of no other."""


class Effect(NamedTuple):
    """What a hunk does: changes a function held here, changes others, adds or moves some (by name)."""

    touches: bool
    others: tuple[str, ...]
    added: tuple[str, ...]


class Refused(Exception):
    """A hunk does not fit; the reason, and whether its statements are there."""

    def __init__(self, reason: str, near: bool = True) -> None:
        super().__init__(reason)
        self.near = near


class WrittenText:
    """The functions of a written text while patches are applied to it."""

    def __init__(self, c_text: str, patches: Prepared) -> None:
        self.functions = {function.name: function for function in written_functions(c_text)}
        self.subject = patches.subject
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
        asked = self.subject.asked
        helpers = [function for name, function in self.functions.items() if name not in asked]
        for function in (*helpers, *(self.functions[name] for name in asked if name in self.functions)):
            parts += on_a_fresh_line(function.head)
            parts.append(Token("{", "\n", None))
            parts += function.body
        return render(parts)

    def apply(self, cut: CutHunk) -> Effect:
        """Applies a hunk. Raises Refused."""
        if cut.trouble:
            raise Refused(cut.trouble)
        before, after = cut.before, cut.after
        if not holds_function(cut.item, self.subject):
            return self._note_helpers(cut)
        others = []
        touched = False
        pairs = paired(before, after)
        lost = {number for number, at in enumerate(pairs) if at is None}
        new = set(range(len(after))) - set(pairs)
        for number, (piece, pair) in enumerate(zip(before, pairs, strict=True)):
            match = None if pair is None else after[pair]
            if match and not cut.comments_only and same_code(piece, match):
                continue
            around = pair is not None and not cut.comments_only and texts(piece.head) == texts(after[pair].head)
            if pair is not None and around and with_tails(before, number, lost) == with_tails(after, pair, new):
                continue  # whole functions come or go behind it, or in its midst
            last = number == len(before) - 1
            name = self._name_of(piece, last, cut)
            if name not in self.functions or name not in self.names:
                others.append(piece.name)
            elif match is None or pair is None:
                self._remove(name, piece, cut.hunk.place)
                touched = True
            elif cut.comments_only:
                touched = touched or self._comments_inside(name, piece, last, cut.hunk)
            else:
                followed = after[pair + 1] if pair + 1 < len(after) else None
                changed = self._change(name, piece, match, last, followed)
                touched = self._replace(name, piece, match, changed, cut.hunk.place) or touched
        added = [after[at] for at in sorted(new) if after[at].head]
        for piece in added:
            self._add(piece, cut.hunk.place)
        return Effect(touched, tuple(others), tuple(piece.name for piece in added))

    def _name_of(self, piece: FunctionPiece, last: bool, cut: CutHunk) -> str:
        """The name that the function of a piece has by now. Raises Refused."""
        name = piece.name or self._by_content(piece, last, cut)
        if name not in self.functions:
            name = self.renamed.get(name, name)
        if name in self.subject.needed and name not in self.functions:
            raise Refused(f"there is no {name}() in it", near=False)
        return name

    def _replace(self, name: str, old: FunctionPiece, new: FunctionPiece, changed: Function, place: Place) -> bool:
        """Puts a changed function in its place, under its new name. Whether it means another thing than before."""
        touches = texts(self.functions[name].body) != texts(changed.body)
        touches = touches or meaning_of_head(old.head) != meaning_of_head(new.head)
        if old.head and new.head:
            gone = self.without.pop(name, set()) | parameters(old.head)
            self.without[new.name] = gone - parameters(new.head)
        if old.head and new.name != old.name:
            self._rename(name, new.name, place)
            changed = changed._replace(name=new.name)
        self.functions[changed.name] = changed
        return touches

    def _add(self, piece: FunctionPiece, place: Place) -> None:
        end = whole(piece)
        if end is None:
            self.partial[piece.name] = place
            return
        function = Function(piece.name, piece.head, piece.body[:end])
        if piece.name in self.functions:
            if piece.name in self.added and piece.name not in self.subject.asked:
                if not same_code(self.functions[piece.name], function):
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

    def _note_helpers(self, cut: CutHunk) -> Effect:
        """Functions that a hunk of another file adds whole."""
        added = []
        old = {piece.name for piece in cut.before if piece.head}
        for piece in cut.after:
            end = whole(piece) if piece.head and piece.name not in old else None
            if end is None:
                continue
            function = Function(piece.name, piece.head, piece.body[:end])
            if not same_code(self.elsewhere.setdefault(piece.name, function), function):
                self.twins.setdefault(piece.name, piece.head[0].place or cut.hunk.place)
            added.append(piece.name)
        return Effect(False, (), tuple(added))

    def settle(self) -> tuple[set[str], tuple[str, Place] | None]:
        """Forgets the functions that nothing on the way from what is asked, vmx_get_mt_mask(), names.

        Returns those that stay, and what is wrong with one of them, if anything is.
        """
        used: set[str] = set()
        asked = self.subject.asked
        new = {name for name in asked if name in self.functions} or {asked[0]}
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
        if not any(name in self.functions for name in asked):
            gone, place = next((name, self.gone[name]) for name in asked if name in self.gone)
            return used, (f"it removes {gone}()", place)
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

    def _by_content(self, piece: FunctionPiece, last: bool, cut: CutHunk) -> str:
        """The function that a piece without a name lies in; '' where it is none held here."""
        if not piece.body:
            return ""
        found = [name for name in self.functions if self._positions(name, piece, last)]
        if len(found) == 1 and not cut.hinted and len(piece.body) < _TELLING:
            if cut.comments_only:
                return ""
            raise Refused("its @@ line names no function, and its lines can be those of others too (diff -p)")
        if len(found) == 1:
            return found[0]
        if found:
            raise Refused(f"its context fits {' and '.join(found)}")
        if cut.hinted:
            raise Refused("its @@ line names no function, and its statements fit none", near=False)
        return ""

    def _comments_inside(self, name: str, piece: FunctionPiece, last: bool, hunk: Hunk) -> bool:
        """Whether a change of comments lies in the function's body. Raises Refused where its code is another."""
        if piece.body:
            found = self._positions(name, piece, last)
            if not found:
                raise Refused(f"its context and removed lines are not in {name}()", near=False)
            _, depth, _ = found[0]
        else:
            depth = 1
        start = piece.head[0].place if piece.head else None
        end = piece.ends.get(depth)
        stop = piece.body[end - 1].place if end else None
        lines = [line.place.line for line in hunk.lines if line.kind != " "]
        return any((not start or start.line < line) and (not stop or line < stop.line) for line in lines)

    def _positions(self, name: str, piece: FunctionPiece, last: bool) -> list[tuple[int, int, int]]:
        """Where a piece fits a function's body: (position, depth there, how many of its tokens lie inside)."""
        body = tuple(texts(self.functions[name].body))
        wanted = piece.words
        starts = [0] if piece.anchored else range(self.cursor.get(name, 0), len(body))
        depths = brace_depths(body)
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
            edges = (start,) if end is not None else (start, start + length)
            if not all(line_may_start(self.functions[name].body, edge) for edge in edges):
                continue
            if end is None or between_functions(piece.body[end:]):
                found.append((start, depths[start], length))
        return found

    def _change(
        self, name: str, old: FunctionPiece, new: FunctionPiece, last: bool, followed: FunctionPiece | None
    ) -> Function:
        function = self.functions[name]
        head = new.head if new.head and old.head and texts(new.head) != texts(old.head) else function.head
        if not old.body and not new.body:
            return function._replace(head=head)
        if not old.body and not old.anchored:
            raise Refused("it has no context to find its place by")
        found = self._positions(name, old, last)
        if not found:
            raise Refused(f"its context and removed lines are not in {name}()", near=False)
        if len(found) > 1:
            if old.words == new.words:
                return function._replace(head=head)
            raise Refused(f"its context fits {name}() in {len(found)} places")
        start, depth, length = found[0]
        end = new.ends.get(depth)
        if end is None and followed:
            raise Refused(f"it does not show all of {followed.name}(), which it adds")
        closed = start + length == len(function.body)
        if closed is not (end is not None):
            raise Refused(f"it leaves the braces of {name}() unbalanced")
        inside = new.body[:end] if end is not None else new.body
        if end is None and net_braces(inside) != net_braces(old.body):
            raise Refused(f"it leaves the braces of {name}() unbalanced")
        if end is not None and not between_functions(new.body[end:]):
            raise Refused(f"it leaves code behind the end of {name}()")
        tail = function.body[start + length :]
        if tail and tuple(texts(inside)) != old.words[:length]:
            tail = (tail[0]._replace(gap="\n"), *tail[1:])
        self.cursor[name] = start + len(inside)
        return function._replace(head=head, body=(*function.body[:start], *inside, *tail))

    def _remove(self, name: str, piece: FunctionPiece, place: Place) -> None:
        function = self.functions[name]
        end = whole(piece) if piece.head else None
        if end is None or piece.words[:end] != tuple(texts(function.body)):
            raise Refused(f"it removes {name}() or part of it in a way that cannot be followed")
        del self.functions[name]
        if name in self.twice:
            self.functions[name] = self.twice.pop(name)[0]
        else:
            self.gone[name] = place


@lru_cache(maxsize=1024)
def written_functions(c_text: str) -> tuple[Function, ...]:
    return tuple(functions(tokens((line, None) for line in c_text.splitlines())))
