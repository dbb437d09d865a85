# SPDX-License-Identifier: GPL-2.0-only
"""Whether a known helper that a file defines, and that can't be followed, is the kernel's own.

Then its name means what it always does. It does not for what negates that, or asks for more: so what the definition
returns is read alone, and has to come to the known meaning on every return. A walk over MTRRs has no such expression;
it has to speak of nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from mtcalc.csource.parse import Definition
from mtcalc.csource.predicates import KNOWN_HELPERS, PASSED_OVER
from mtcalc.csource.values import Val, truth

_RETURN = re.compile(r"\breturn\b([^;]*);")
_NAME = re.compile(r"[A-Za-z_]\w*")
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\((?=([^;{}()]{0,300}))")
_OTHER_INPUTS = re.compile(
    r"noncoherent|quirk|\bcr0\b|_cr0_|read_cr0|\bflags\b|cpu_has|cpu_feature|is_mmio\b|->arch\.(?!\w*mtrr)"
)
_NARROW = re.compile(r"\b(?:__)?[us](?:8|16)\b|\b(?:char|short|ushort)\b")
_BOOL = re.compile(r"\b(?:bool|_Bool)\b")
_KEYWORDS = frozenset(("if", "for", "while", "switch", "return", "sizeof", "do", "else"))


Alone: TypeAlias = Callable[[Definition, str], Val | None]
"""What a definition that did nothing but return an expression would return here; None where that is not clear."""


def is_the_kernel_s_own(definitions: list[Definition], name: str, known: Val, alone: Alone) -> bool:
    """Whether every definition of `name` in a file means what the kernel does by it, which is `known` here."""
    helper = KNOWN_HELPERS.get(name)
    if helper is None or not definitions:
        return False
    for one in definitions:
        if helper.reads not in one.body:
            return False
        if helper.allowed is not None:
            if not _speaks_only_of(helper.allowed, one.body):
                return False
            continue
        returned = _returned(one)
        if not returned or (known.mask is not None and _BOOL.search(one.body)):
            return False
        for text in returned:
            meant = alone(one, text)
            if meant is None or not _same(meant, known):
                return False
    return True


def _speaks_only_of(allowed: re.Pattern[str], body: str) -> bool:
    """Whether a body calls nothing but what its subject needs, and reads no state that is another input's."""
    if _OTHER_INPUTS.search(body) or not _RETURN.search(body):
        return False
    for match in _CALL.finditer(body):
        name = match[1]
        known = name in _KEYWORDS or PASSED_OVER.fullmatch(name) or allowed.search(f"{name}({match[2]}")
        if not known:
            return False
    return True


def _returned(one: Definition) -> list[str]:
    """The expressions that a definition returns, those stored in a local that is returned included; [] if unclear."""
    if _NARROW.search(one.body):
        return []  # a local that could cut what is stored in it
    found: list[str] = []
    for match in _RETURN.finditer(one.body):
        text = match[1].strip()
        if not _NAME.fullmatch(text) or text in one.parameters:
            found.append(text)
            continue
        if _written(text, one.body, plainly=True):
            return []
        stored = re.findall(rf"(?<![\w.>&*]){text}\s*=(?!=)\s*([^;]*);", one.body)
        if not stored:
            return []
        found += [part.strip() for part in stored]
    if any(_written(name, one.body) for name in one.parameters):
        return []
    return found


def _written(name: str, body: str, plainly: bool = False) -> bool:
    """Whether a body may change a local. `plainly`: a plain assignment is no matter."""
    signs = r"(?:[-+*/%&|^]|<<|>>)" + ("" if plainly else "?")
    changed = rf"(?<![\w.>]){name}\s*{signs}=(?!=)|(?:\+\+|--)\s*{name}\b|(?<![\w.>]){name}\s*(?:\+\+|--)"
    address = rf"(?:[(,=?:;{{}}!|^+*/<>-]|\breturn)\s*&\s*\(*{name}\b(?!\s*(?:->|\.|\[))"
    if re.search(f"{changed}|{address}", body):
        return True
    # What a loop of a macro steps through stands before what it goes over.
    return bool(re.search(rf"\b\w*for_each\w*\s*\((?:[^;{{}}]{{0,300}},)?\s*{name}\s*,", body))


def _same(one: Val, known: Val) -> bool:
    if known.mask is not None:
        return one.mask == known.mask
    if known.num is not None:
        return one.num == known.num
    return one.ref is None and truth(one) == truth(known)
