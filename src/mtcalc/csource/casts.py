# SPDX-License-Identifier: GPL-2.0-only
"""What the grammar would take for a cast, and casts that it would not see: it has no table of types.

The texts keep their length, so that every offset stays what it was. `types`: the file's own.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from mtcalc.csource.types import is_type_name

# A lone name in parentheses where only an operand can stand: without a symbol table, `(x) & y` reads as a cast.
_LONE_NAME = re.compile(r"((?:[=|&!~<>+\-?:,(*/^%]|\breturn)\s*)\((\s*)([A-Za-z_]\w*)(\s*)\)")
# The same of a call or an element with a sign behind it: `(f(x)) - (y)` reads as a cast to a function.
_LONE_CALL = re.compile(
    r"((?:[=|&!~<>+\-?:,(*/^%]|\breturn)\s*)\((\s*)([A-Za-z_]\w*)(\s*[(\[][^()\[\]]*[)\]]\s*)\)(?=\s*[-+*&])"
)
# A lone type in parentheses and a sign: without a symbol table, `(u8)-1` reads as a difference.
_SIGNED_CAST = re.compile(r"\(\s*([A-Za-z_]\w*)\s*\)\s*([-+*&])(?!\2|=)")
_BEFORE_OPERAND = re.compile(r"(?:[^\w\]\s]|\b(?:return|case|else))\s*$")
# The same behind a cast: `(u8)(x)->y` reads as what a call returns.
_CAST_NAME = re.compile(r"(?<=\))(\s*)\((\s*)([A-Za-z_]\w*)(\s*)\)")
_CAST = re.compile(r"\(\s*([A-Za-z_]\w*)\s*\)$")


def _is_type(word: str, types: Collection[str]) -> bool:
    return is_type_name(word) or word in types


def bare_names(text: str, types: Collection[str]) -> str:
    """The text without parentheses around lone names and calls, where only an operand can stand."""

    def bare(match: re.Match[str]) -> str:
        if _is_type(match[3], types):
            return match.group()
        return f"{match[1]} {match[2]}{match[3]}{match[4]} "

    before = None
    while before != text:  # names in several pairs, and neighbours that share an operator
        before, text = text, _LONE_CALL.sub(bare, _LONE_NAME.sub(bare, text))

    def bare_behind(match: re.Match[str]) -> str:
        cast = _CAST.search(match.string[max(0, match.start() - 40) : match.start()])
        if cast is None or not _is_type(cast[1], types) or _is_type(match[3], types):
            return match.group()
        return f"{match[1]} {match[2]}{match[3]}{match[4]} "

    return _CAST_NAME.sub(bare_behind, text)


def signs_marked(text: str, types: Collection[str]) -> str:
    """The text with ~ for each sign behind a cast to a type that only its name tells."""

    def marked(match: re.Match[str]) -> str:
        if not _is_type(match[1], types):
            return match.group()
        if not _BEFORE_OPERAND.search(text[max(0, match.start() - 20) : match.start()]):
            return match.group()
        return f"{match.group()[:-1]}~"

    return _SIGNED_CAST.sub(marked, text)


def types_marked(text: str, types: Collection[str]) -> str:
    """A macro's text with a qualifier in each such cast, which tells a type; its offsets are not used."""
    return _SIGNED_CAST.sub(lambda m: f"(const {m.group()[1:]}" if _is_type(m[1], types) else m.group(), text)
