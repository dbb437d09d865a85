# SPDX-License-Identifier: GPL-2.0-only
"""What of a C file a function's meaning hangs on, cut out fast, so that equal texts are read as rules but once.

A history has thousands of versions of one large file, and a few dozen of the function. Nothing is understood here:
what is cut out may be too much, which costs a reading, and is meant never to be too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_CALL = re.compile(rb"\b([A-Za-z_]\w*)[ \t]*\(")
_WORD = re.compile(rb"[A-Za-z_]\w*")
_MACRO = re.compile(rb"#[ \t]*(?:define|undef)[ \t]+(\w+)(?:[^\n\\]|\\.)*+", re.DOTALL)
_ENUM = re.compile(rb"enum\b[^;{}()]*+\{[^}]*+\}")
_DECLARED = re.compile(rb"\n[a-z][^\n(){};=\[]*+[;=\[][^\n]*+")  # of lines, those that declare no function
_COMMON = frozenset(
    b"static inline const struct enum union unsigned signed int long short char bool void u8 u16 u32 u64 extern typedef"
    b" if else for while do switch case default return goto break continue sizeof volatile likely unlikely".split()
)


class Cut(NamedTuple):
    """A function with those of its file that it calls, and what the file else says of the words in them."""

    functions: bytes
    around: bytes


def cut(text: bytes, name: str) -> Cut | None:
    """What of a file a function's meaning hangs on; None where the file does not define the function."""
    pieces: dict[bytes, list[bytes]] = {}
    todo = [name.encode()]
    while todo:
        called = todo.pop()
        pieces[called] = found = list(definitions(text, called))
        for piece in found:
            todo += set(_CALL.findall(piece)) - _COMMON - pieces.keys() - set(todo)
    if not pieces[name.encode()]:
        return None
    functions = sorted(piece for found in pieces.values() for piece in found)
    words = {word for piece in functions for word in _WORD.findall(piece)} - _COMMON
    around = [match.group() for match in _MACRO.finditer(text) if match[1] in words]
    for pattern in (_ENUM, _DECLARED):
        said = (match.group() for match in pattern.finditer(text))
        around += (piece for piece in said if words.intersection(_WORD.findall(piece)))
    return Cut(b"\n".join(functions), b"\n".join(around))


def definitions(text: bytes, name: bytes) -> Iterator[bytes]:
    """What begins with a function's name at the head of a line and has a body, up to a brace in column 1."""
    at = text.find(name)
    while at >= 0:
        behind = at + len(name)
        start = text.rfind(b"\n", 0, at) + 1
        if text[behind : behind + 9].lstrip()[:1] == b"(" and (
            text[start : start + 1].isalpha() or text[start] == 0x5F
        ):
            opening = text.find(b"{", behind)
            if opening >= 0 and text.find(b";", behind, opening) < 0 and not _in_word(text, at):
                if start == at:  # the return type on the line before
                    start = text.rfind(b"\n", 0, max(start - 1, 0)) + 1
                end = text.find(b"\n}", opening)
                yield text[start : end + 2 if end >= 0 else len(text)]
        at = text.find(name, behind)


def _in_word(text: bytes, at: int) -> bool:
    before = text[at - 1 : at]
    return before.isalnum() or before == b"_"
