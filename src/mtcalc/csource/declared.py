# SPDX-License-Identifier: GPL-2.0-only
"""What a C file declares besides functions: enumerators, typedefs and variables that can hide what a name means."""

from __future__ import annotations

import re
from functools import cached_property
from typing import NamedTuple

from mtcalc.csource.types import CType, integer_type

_ENUM = re.compile(r"\benum\b\s*+(?P<tag>[A-Za-z_]\w*+\s*+)?\{(?P<body>[^{}]*+)\}")
_TYPEDEF = re.compile(r"\btypedef\b([^;{}()]{0,300}+)(?:\{|;|\()")
_VARIABLE = re.compile(r"^[A-Za-z_][\w\t *]*+(?:=|;|\[)", re.MULTILINE)
_CONST = re.compile(r"[\w\t ]*\bconst\b[\w\t ]*(?:=|;|\[)")
_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*")


class Enumerator(NamedTuple):
    """One name of an enum: the expression it stands for (None: none is given), and how many come behind that."""

    value: str | None
    further: int
    offset: int
    outer: bool  # outside all braces, so that every function sees it


class FileNames:
    """What a masked C text declares, each looked up by name."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def enumerators(self) -> dict[str, list[Enumerator]]:
        """Every enumerator, with all its definitions."""
        found: dict[str, list[Enumerator]] = {}
        depth, seen = 0, 0
        for match in _ENUM.finditer(self._text):
            depth += self._text.count("{", seen, match.start()) - self._text.count("}", seen, match.start())
            seen = match.start()
            value, further = None, -1
            at = match.start("body")
            for part in _parts(match["body"]):
                name = _NAME.match(part)
                if name:
                    rest = part[name.end() :].strip()
                    value, further = (rest[1:].strip(), 0) if rest[:1] == "=" else (value, further + 1)
                    row = Enumerator(value, further, at + name.start(1), depth == 0)
                    found.setdefault(name[1], []).append(row)
                at += len(part) + 1
        return found

    @cached_property
    def enums(self) -> dict[str, list[str]]:
        """The enumerators of every enum with a name, those of several definitions together."""
        found: dict[str, list[str]] = {}
        for match in _ENUM.finditer(self._text):
            if match["tag"]:
                names = [name[1] for part in _parts(match["body"]) if (name := _NAME.match(part))]
                found.setdefault(match["tag"].strip(), []).extend(names)
        return found

    @cached_property
    def types(self) -> dict[str, CType | None]:
        """Every typedef: the integer type it stands for, None for any other, and for one that is not followed."""
        found: dict[str, CType | None] = {}
        for match in _TYPEDEF.finditer(self._text):
            words = match[1].split()
            if not words:
                continue
            plain = match.group().endswith(";") and "*" not in match[1] and "[" not in match[1]
            kind = integer_type(" ".join(words[:-1])) if plain and len(words) > 1 else None
            found[words[-1].lstrip("*")] = kind if words[-1] not in found else None
        # The name of `typedef struct {...} name;` or of a function type stands behind its braces.
        for match in re.finditer(r"\btypedef\b[^;]{0,2000}+;", self._text):
            last = re.search(r"(\w+)\s*(?:\([^()]*\)\s*)?;$", match.group()[-300:])
            if last:
                found.setdefault(last[1], None)
        return found

    @cached_property
    def variables(self) -> dict[str, int]:
        """Every variable declared in column 1, and where."""
        found: dict[str, int] = {}
        for match in _VARIABLE.finditer(self._text):
            words = re.findall(r"\w+", match.group()[-300:])
            if len(words) > 1 and words[0] not in ("typedef", "return", "goto", "else"):
                found.setdefault(words[-1], match.start())
        return found

    @cached_property
    def constants(self) -> dict[str, int]:
        """Those of them that never change: const, and no pointers."""
        return {name: at for name, at in self.variables.items() if _CONST.match(self._text, at)}


def _parts(text: str) -> list[str]:
    """A list cut at the commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(r"[(),]", text):
        if match.group() == ",":
            if not depth:
                parts.append(text[start : match.start()])
                start = match.end()
        else:
            depth += 1 if match.group() == "(" else -1
    return [*parts, text[start:]]
