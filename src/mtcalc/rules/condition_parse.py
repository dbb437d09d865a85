# SPDX-License-Identifier: GPL-2.0-only
"""Conditions as a person writes them: the inverse of condition_text().

    condition = part {"or" part};  part = term {"and" term};  term = "not" term | "(" condition ")" | atom
    atom = always | never | INPUT | INPUT NAME | INPUT "text"; of an input of memory types, [is] TYPE behind it

INPUT is one of rules.inputs: mmio, noncoherent_dma, quirk NAME, slot_flag NAME, guest_mtrr [is] TYPE, assume "text".

So not binds tighter than and, and than or. Case does not matter, nor - or _; in the text of an assumption \\" is
a quote and \\\\ a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from mtcalc.kvm.flags import flag_names
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, Or
from mtcalc.rules.inputs import KINDS, Input, Kind
from mtcalc.text.errors import InputError, Place
from mtcalc.text.suggest import did_you_mean
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType, parse_memtype

MAX_DEPTH = 64
"""How deep parentheses and nots may be nested."""

_TOKEN = re.compile(r'\s*(?:([()])|"((?:[^"\\]|\\.)*)("?)|([^\s()"]+))', re.DOTALL)
_C_WORDS = {"&": "and", "|": "or", "!": "not"}  # by the first letter of the operator


class _Token(NamedTuple):
    text: str  # as written; of quoted text what it stands for
    word: str  # in small letters with _, '' for quoted text and at the end
    at: int  # offset


def parse_condition(text: str, place: Place | None = None, kinds: Mapping[str, Kind] = KINDS) -> Condition:
    """The condition that a text says; `place` is where the text begins, `kinds` are
    the inputs that it can name.

    Raises InputError at the offending word.
    """
    return _Parser(text, place or Place("", 1, 1), kinds).whole()


class _Parser:
    def __init__(self, text: str, place: Place, kinds: Mapping[str, Kind]) -> None:
        self.place = place
        self.kinds = kinds
        self.tokens = self._tokens(text)
        self.next = 0
        self.depth = 0

    def _tokens(self, text: str) -> list[_Token]:
        end = len(text.rstrip())
        found = []
        at = 0
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None or match[3] == "":
                start = at + len(text[at:]) - len(text[at:].lstrip())
                self._fail('a quote that is never closed (end the text with ")', start)
            start = next(match.start(group) for group in (1, 2, 4) if match[group] is not None)
            if match[2] is not None:
                found.append(_Token(re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL), "", start - 1))
            else:
                word = match[1] or match[4]
                found.append(_Token(word, word.lower().replace("-", "_"), start))
            at = match.end()
        return [*found, _Token("", "", end)]

    def _fail(self, message: str, at: int) -> NoReturn:
        raise InputError(message, self.place._replace(column=self.place.column + at))

    @property
    def _here(self) -> _Token:
        return self.tokens[self.next]

    def _ended(self) -> bool:
        return self.next == len(self.tokens) - 1

    def whole(self) -> Condition:
        if self._ended():
            self._fail("no condition here (always, or such as: mmio and not noncoherent_dma)", 0)
        found = self._chain()
        if not self._ended():
            token = self._here
            if token.word == ")":
                self._fail("a ')' too many (no '(' is open)", token.at)
            self._stray(token, "and, or, or nothing")
        return found

    def _stray(self, token: _Token, expected: str) -> NoReturn:
        right = _C_WORDS.get(token.text[:1])
        self._fail(f"'{token.text}' where a condition ended ({f'write {right}' if right else expected})", token.at)

    def _chain(self) -> Condition:
        return self._joined("or", Or, lambda: self._joined("and", And, self._term))

    def _joined(self, word: str, kind: type[And] | type[Or], part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._here.word == word:
            self.next += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def _term(self) -> Condition:
        token = self._here
        if token.word not in ("not", "("):
            return self._atom()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(f"nested too deeply (at most {MAX_DEPTH} levels)", token.at)
        self.next += 1
        found: Condition
        if token.word == "not":
            found = Not(self._term())
        else:
            found = self._chain()
            if self._here.word != ")":
                if self._ended():
                    self._fail("a '(' that is never closed (end with ')')", token.at)
                self._stray(self._here, "and, or, or a closing parenthesis")
            self.next += 1
        self.depth -= 1
        return found

    def _atom(self) -> Condition:
        token = self._here
        if self._ended() or token.word in (")", "and", "or"):
            what = f"no condition before '{token.text}'" if token.text else "no condition at the end"
            self._fail(f"{what} (such as mmio, or not noncoherent_dma)", token.at)
        self.next += 1
        word = token.word
        if word == "always":
            return ALWAYS
        if word == "never":
            return Or(())
        kind = self.kinds.get(word)
        if kind is not None:
            arg = ""
            if kind.text:
                arg = self._quoted(token)
            elif kind.parse is not None:
                arg = self._name(token, kind.parse, kind.bits)
            item = Input(word, arg)
            return Atom(item, self._memtype(token, kind)) if kind.typed else Atom(item)
        if not word:
            self._fail(f'text in quotes (only behind assume: assume "{token.text}")', token.at)
        right = _C_WORDS.get(token.text[0])
        if right:
            self._fail(f"'{token.text}' is C (write {right})", token.at)
        return self._fail(
            f"unknown condition '{token.text}' ({did_you_mean(word, (*self.kinds, 'not', 'always', 'never'))})",
            token.at,
        )

    def _name(self, before: _Token, parse: Callable[[str], int], names: Mapping[str, int]) -> str:
        token = self._here
        if not token.word or token.word in ("(", ")", "and", "or", "not"):
            self._fail(f"{before.text} without a name ({', '.join(names)})", token.at if token.text else before.at)
        if before.word == "slot_flag" and token.word.removeprefix("kvm_mem_") == "dma":
            self._fail("KVM_MEM_DMA acts on the whole VM (write mem_dma)", token.at)
        try:
            found = flag_names(parse(token.text), names)
        except ValueError as error:
            self._fail(str(error), token.at)
        if len(found) != 1:
            self._fail(f"{before.text} {token.text} is {len(found)} flags (one: {', '.join(names)})", token.at)
        if found[0] not in names:
            self._fail(f"{before.text} {token.text} decides no memory type ({', '.join(names)})", token.at)
        self.next += 1
        return found[0]

    def _memtype(self, before: _Token, kind: Kind) -> MemType:
        if self._here.word == "is":
            self.next += 1
        token = self._here
        if not token.word or token.word in ("(", ")", "and", "or", "not"):
            types = ", ".join(map(str, kind.domain))
            self._fail(f"{before.text} without a memory type (one of {types})", token.at if token.text else before.at)
        try:
            found = parse_memtype(token.text, PAT_TYPES if MemType.UC_MINUS in kind.domain else MTRR_TYPES)
        except ValueError as error:
            self._fail(str(error), token.at)
        self.next += 1
        return found

    def _quoted(self, before: _Token) -> str:
        token = self._here
        if self._ended() or token.word or not token.text.strip():
            self._fail(f'{before.text} without its text ({before.word} "the text, in double quotes")', before.at)
        self.next += 1
        return token.text
