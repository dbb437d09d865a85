# SPDX-License-Identifier: GPL-2.0-only
"""Macros that a patch adds, expanded where its new code uses them; and parameters that it takes away.

What is plain is expanded as the preprocessor does it (C11, "Macro replacement"); what is not stays a macro, and is
refused by whoever reads the C.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mtcalc.csource.tokens import Token, texts, tokens
from mtcalc.patches.records import Hunk
from mtcalc.text.errors import InputError, Place


class Define(NamedTuple):
    """A #define that a patch adds: its whole line, and what it stands for. `takes` is None for one without ( )."""

    name: str
    takes: tuple[str, ...] | None
    body: tuple[Token, ...]
    line: tuple[Token, ...]
    place: Place


_DEFINE = re.compile(r"\s*#\s*define\s+(\w+)(\(?)")
_NAME = re.compile(r"[A-Za-z_]\w*$")
_NOT_PLAIN = frozenset((";", "{", "}", "#", "...", "__VA_ARGS__"))
_MOST_TOKENS = 5_000
"""Of a function whose macros are expanded; the longest so far has some 300 without."""
_DEEPEST = 25
"""Macros within macros and arguments; the kernel's own go some five deep."""
_BEFORE_USE = frozenset(("return", "case", "goto", "else", "sizeof"))


def macro_name(text: str) -> str:
    """The macro that a line defines; '' for none."""
    found = _DEFINE.match(text[:500]) if "#" in text[:100] else None
    return found[1] if found else ""


class DefineText(NamedTuple):
    """A #define's text, one with continuation lines as one line."""

    name: str
    text: str
    place: Place


def defines(hunk: Hunk) -> Iterator[DefineText]:
    """The macros that a hunk adds."""
    pending = ""
    place = None
    for line in hunk.lines:
        if line.kind != "+":
            pending, place = "", None
            continue
        text = line.text.rstrip()
        if place is None and not _DEFINE.match(text):
            continue
        place = place or line.place
        pending += text.removesuffix("\\")
        if not text.endswith("\\"):
            yield DefineText(macro_name(pending), pending, place)
            pending, place = "", None


def _define(name: str, text: str, place: Place) -> Define:
    """A #define's parts. Raises InputError for half a comment."""
    found = _DEFINE.match(text)
    assert found is not None
    try:
        line = tuple(token._replace(place=place) for token in tokens([(text, None)]))
    except ValueError as error:
        raise InputError(str(error), place) from None
    behind = line[3:]  # '#', 'define', the name
    if not found[2]:
        return Define(name, None, behind, line, place)
    end = next((at for at, token in enumerate(behind) if token.text == ")"), 0)
    takes = tuple(token.text for token in behind[1:end] if token.text != ",")
    return Define(name, takes, behind[end + 1 :], line, place)


class Macros:
    """What patches define, by name."""

    def __init__(self, found: Iterable[DefineText]) -> None:
        self._by_name: dict[str, list[DefineText]] = {}
        self._read: dict[str, Define] = {}
        for one in found:
            self._by_name.setdefault(one.name, []).append(one)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def holds_used(self, hunk: Hunk) -> bool:
        """Whether a hunk adds one of those that were looked at."""
        return any(line.kind == "+" and macro_name(line.text) in self._read for line in hunk.lines)

    def may_stand_in(self, text: str) -> bool:
        """Whether a line can hold one of them."""
        return any(name in text for name in self._by_name)

    def one(self, name: str) -> Define:
        """The macro of a name. Raises InputError where the patch defines it in two ways."""
        if name not in self._read:
            first, *others = (_define(*one) for one in self._by_name[name])
            for other in others:
                if texts(other.line) != texts(first.line):
                    raise InputError(f"the patch adds two {name} that differ (the one that is compiled)", other.place)
            self._read[name] = first
        return self._read[name]

    def used_in(self, bodies: Sequence[Sequence[Token]]) -> list[Define]:
        """The macros that bodies use, and those that these use, each above its use. Raises InputError."""
        found: dict[str, Define] = {}
        todo = list(bodies)
        while todo:
            body = todo.pop()
            for at, token in enumerate(body):
                if token.text in self and token.text not in found and self._is_use(body, at):
                    found[token.text] = self.one(token.text)
                    todo.append(found[token.text].body)
        return list(found.values())[::-1]

    def _is_use(self, body: Sequence[Token], at: int) -> bool:
        """Whether a macro's name stands for the macro: one that takes arguments does only where a ( follows."""
        macro = self.one(body[at].text)
        return macro.takes is None or (at + 1 < len(body) and body[at + 1].text == "(")

    def expanded(
        self, body: Sequence[Token], inside: frozenset[str] = frozenset(), depth: int = 0
    ) -> tuple[Token, ...]:
        """Tokens with the plain macros that take arguments replaced. Raises InputError: too many, or too deep."""
        found: list[Token] = []
        at = 0
        while at < len(body):
            token = body[at]
            call = self._call(body, at) if token.text in self and token.text not in inside else None
            if call is None or is_field(body, at):
                found.append(token)
                at += 1
                continue
            macro, arguments, at = call
            if depth == _DEEPEST:
                raise InputError(f"{macro.name} stands {depth} macros deep (at most {_DEEPEST - 1})", macro.place)
            given = {name: self.expanded(argument, inside, depth + 1) for name, argument in arguments.items()}
            made = [one for part in macro.body for one in given.get(part.text, (part,))]
            if len(made) > _MOST_TOKENS or len(found) > _MOST_TOKENS:
                raise InputError(f"{macro.name} becomes far too long (a shorter macro)", macro.place)
            again = self.expanded(made, inside | {macro.name}, depth + 1)
            first, *rest = again or (Token("", token.gap, token.place),)
            found += [first._replace(gap=token.gap), *(one._replace(gap=one.gap and " ") for one in rest)]
        return tuple(found)

    def _call(self, body: Sequence[Token], at: int) -> tuple[Define, Mapping[str, Sequence[Token]], int] | None:
        """(The macro called at `at`, its arguments, where the call ends); None where it stays as it is."""
        macro = self.one(body[at].text)
        if macro.takes is None or at + 1 == len(body) or body[at + 1].text != "(":
            return None
        if not macro.body or _NOT_PLAIN.intersection((*texts(macro.body), *macro.takes)):
            return None
        arguments: list[list[Token]] = [[]]
        depth = 0
        for end in range(at + 1, len(body)):
            text = body[end].text
            depth += (text == "(") - (text == ")")
            if not depth:
                if len(arguments) != len(macro.takes) and (macro.takes or arguments != [[]]):
                    return None
                return macro, dict(zip(macro.takes, arguments, strict=False)), end + 1
            if text == "," and depth == 1:
                arguments.append([])
            elif end > at + 1:
                arguments[-1].append(body[end])
        return None


def is_field(body: Sequence[Token], at: int) -> bool:
    """Whether a name is that of a structure's member."""
    return at > 0 and body[at - 1].text in (".", "->")


def parameters(head: Sequence[Token]) -> set[str]:
    """The names of a head's parameters."""
    return set(parameters_in_order(head))


def parameters_in_order(head: Sequence[Token]) -> list[str]:
    """The names of a head's parameters, as they stand."""
    found = []
    depth = 0
    for at, token in enumerate(head):
        depth += (token.text == "(") - (token.text == ")")
        ends = (token.text == "," and depth == 1) or (token.text == ")" and not depth)
        if ends and at and _NAME.match(head[at - 1].text):
            found.append(head[at - 1].text)
    return [name for name in found if name != "void"]


def use_of(gone: Iterable[str], body: Sequence[Token]) -> Token | None:
    """Where a body uses one of these names, that it does not declare itself; None where it does not."""
    names = set(gone)
    for at, token in enumerate(body):
        if token.text not in names or is_field(body, at):
            continue
        if declares(body, at):
            names.discard(token.text)
            continue
        return token
    return None


def declares(body: Sequence[Token], at: int) -> bool:
    """Whether a name is declared here: a type, perhaps stars or another name and a comma, and no operator behind it."""
    behind = body[at + 1].text if at + 1 < len(body) else ""
    if behind not in ("=", ";", ",", "["):
        return False
    before = at - 1
    while before > 0 and body[before].text == "*":
        before -= 1
    text = body[before].text if before >= 0 else ""
    if text == ",":
        depth = 0
        for earlier in range(before, -1, -1):
            depth += (body[earlier].text == ")") - (body[earlier].text == "(")
            if depth < 0:
                return False
            if body[earlier].text in (";", "{", "}"):
                return earlier + 2 < at and all(_NAME.match(body[n].text) for n in (earlier + 1, earlier + 2))
        return False
    return bool(_NAME.match(text)) and text not in _BEFORE_USE
