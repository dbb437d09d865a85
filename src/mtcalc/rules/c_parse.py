# SPDX-License-Identifier: GPL-2.0-only
"""A C file as far as one function needs it: functions cut out by name, parsed, and macros by name.

The whole of a kernel file does not parse (macros, #ifdef across statements); one function alone does. Comments are
blanked before anything else looks at the text, so that every offset stays what it was.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, NoReturn

from tree_sitter import Language, Node, Parser
from tree_sitter_c import language

from mtcalc.rules.c_predicates import ATTRIBUTES
from mtcalc.rules.c_types import is_type_name
from mtcalc.text.errors import InputError, Place

MAX_FUNCTION = 50_000
"""Characters of one function. The longest vmx_get_mt_mask() so far has some 1,500."""

_OPAQUE = re.compile(
    r"""(?P<comment>/\*.*?(?:\*/|\Z)|//(?:\\\n|[^\n])*)|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')""",
    re.DOTALL,
)
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w*)[ \t]*(.*)$", re.MULTILINE)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(\(?)((?:\\\n|[^\n])*)", re.MULTILINE)
_UNDEF = re.compile(r"^[ \t]*#[ \t]*undef[ \t]+(\w+)", re.MULTILINE)
# A lone name in parentheses where only an operand can stand: without a symbol table, `(x) & y` reads as a cast.
_LONE_NAME = re.compile(r"((?:[=|&!~<>+\-?:,(*/^%]|\breturn)\s*)\((\s*)([A-Za-z_]\w*)(\s*)\)")


class Function(NamedTuple):
    """One function of a file: its name, where its text starts in the file, its parsed definition."""

    name: str
    offset: int
    text: str
    node: Node


class Macro(NamedTuple):
    """An object-like #define, or one that can't be used here: then `body` is None."""

    name: str
    body: str | None
    offset: int


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _mask(text: str) -> str:
    """The text with comments blank, strings empty, `#if 0` parts blank and all of it ASCII; no offset moves."""

    def hide(match: re.Match[str]) -> str:
        found = match.group()
        if match["comment"] is not None:
            return _blank(found)
        return found[0] + " " * (len(found) - 2) + found[-1] if "\n" not in found else _blank(found)

    masked = _OPAQUE.sub(hide, text)
    masked = re.sub(r"[^\x00-\x7f]", "?", masked)
    return _without_if_0(masked)


def _without_if_0(text: str) -> str:
    parts = []
    kept = 0
    depth = 0
    dead_at: int | None = None  # the nesting depth of the `#if 0` we are in
    for match in _DIRECTIVE.finditer(text):
        word = match[1]
        if word.startswith("if"):
            depth += 1
            if word == "if" and match[2].strip() == "0" and dead_at is None:
                dead_at = depth
                parts.append(text[kept : match.start()])
                kept = match.start()
        elif dead_at == depth and word in ("else", "elif", "endif"):
            parts.append(_blank(text[kept : match.end()]))
            kept = match.end()
            dead_at = None
        if word == "endif":
            depth -= 1
    if dead_at is not None:
        return "".join(parts) + _blank(text[kept:])
    return "".join(parts) + text[kept:]


@lru_cache(maxsize=1)
def _parser() -> Parser:
    return Parser(Language(language()))


class Source:
    """A C file's text, and what is looked up in it."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._masked = _mask(text)
        self._functions: dict[str, Function | None] = {}
        self._macros: dict[str, Macro] | None = None

    def place(self, offset: int) -> Place:
        """Line and column of an offset in the file."""
        line = min(bisect_right(self._starts, offset), len(self._lines))
        return Place(self.file, line, offset - self._starts[line - 1] + 1, self.line(line))

    def line(self, number: int) -> str:
        """A source line (1-based), without its end."""
        return self._lines[number - 1].rstrip("\r")

    def refuse(self, message: str, offset: int) -> NoReturn:
        """Raises InputError at an offset."""
        raise InputError(message, self.place(offset))

    def macro(self, name: str) -> Macro | None:
        """What the file's own #define lines make of a name; None where there is none."""
        if self._macros is None:
            self._macros = {}
            for match in _DEFINE.finditer(self._masked):
                body = None if match[2] else " ".join(match[3].replace("\\\n", " ").split())
                before = self._macros.get(match[1])
                if before is not None and before.body != body:
                    body = None
                self._macros[match[1]] = Macro(match[1], body, match.start(1))
            for match in _UNDEF.finditer(self._masked):
                if match[1] in self._macros:
                    self._macros[match[1]] = self._macros[match[1]]._replace(body=None)
        return self._macros.get(name)

    def expression(self, name: str, body: str | None) -> Node:
        """The parsed body of a macro. Raises ValueError where it is not one plain expression."""
        if body is None or len(body) > 200:
            raise ValueError(f"{name} is not one number")
        root = _parser().parse(f"long x = {body};".encode("ascii")).root_node
        first = root.named_children[0]
        value = first.named_children[-1].child_by_field_name("value") if first.named_children else None
        if root.has_error or len(root.named_children) != 1 or len(first.named_children) != 2 or value is None:
            raise ValueError(f"{name} is not one number")
        return value

    def function(self, name: str) -> Function | None:
        """The definition of a function in this file, None where there is none. Raises InputError."""
        if name not in self._functions:
            self._functions[name] = self._find(name)
        return self._functions[name]

    def mentioned(self, name: str) -> int:
        """Where a function's name first stands with a parenthesis behind it; 0 if nowhere."""
        match = re.search(rf"\b{re.escape(name)}\s*\(", self._masked)
        return match.start() if match else 0

    def defined_otherwise(self, name: str) -> int | None:
        """Where a function's name stands that has a body and that function() does not find."""
        for match in re.finditer(rf"\b{re.escape(name)}\s*\(", self._masked):
            close = _closing(self._masked, match.end() - 1, "()")
            if close is not None and re.match(r"\)\s*\{", self._masked[close : close + 200]):
                return match.start()
        return None

    def _find(self, name: str) -> Function | None:
        masked = self._masked
        found: list[tuple[int, int, int]] = []  # start, the name, the opening brace
        for match in re.finditer(rf"^([A-Za-z_][\w\t *]*[\t *])?({re.escape(name)})\s*\(", masked, re.MULTILINE):
            close = _closing(masked, match.end() - 1, "()")
            if close is None:
                self.refuse(f"the parameters of {name} never end (a closing parenthesis)", match.start(2))
            stop = re.compile(r"[{;}]").search(masked, close)
            if stop is None or stop.group() != "{":
                continue  # a declaration, or a call
            between = masked[close + 1 : stop.start()]
            if between.strip():
                at = close + 1 + len(between) - len(between.lstrip())
                self.refuse(f"'{between.strip().split()[0]}' behind the parameters of {name} (a brace)", at)
            start = match.start()
            if match[1] is None:  # the return type on the line before
                line = self.place(start).line
                above = masked[self._starts[line - 2] : start] if line > 1 else ""
                if re.fullmatch(r"[A-Za-z_][\w\t *]*\r?\n", above):
                    start -= len(above)
            found.append((start, match.start(2), stop.start()))
        if not found:
            return None
        if len(found) > 1:
            first = self.place(found[0][1]).line
            self.refuse(f"{name} again, first in line {first} (one definition: cut out the one you mean)", found[1][1])
        return self._cut(name, *found[0])

    def _cut(self, name: str, start: int, at_name: int, opening: int) -> Function:
        masked = self._masked
        end = _closing(masked, opening, "{}")
        if end is None:
            self.refuse(f"{name} never ends (a closing brace in column 1)", opening)
        if masked[end - 1] != "\n" and "\n" in masked[opening:end]:
            self.refuse(f"this brace ends {name} too early (the last one stands in column 1)", end)
        if end - start > MAX_FUNCTION:
            self.refuse(f"{name} has {end - start} characters (at most {MAX_FUNCTION})", at_name)
        text = masked[start : end + 1]
        directive = _DIRECTIVE.search(text)
        if directive:
            at = start + directive.start() + len(directive.group()) - len(directive.group().lstrip())
            self.refuse(f"#{directive[1]} inside {name} (leave in only what is compiled)", at)
        head = re.sub(
            r"\w+", lambda m: " " * len(m.group()) if m.group() in ATTRIBUTES else m.group(), text[: at_name - start]
        )
        text = head + _bare_names(text[at_name - start :])
        tree = _parser().parse(text.encode("ascii"))
        root = tree.root_node
        if root.has_error:
            self._refuse_broken(root, start, text)
        definitions = [node for node in root.named_children if node.type == "function_definition"]
        if len(definitions) != 1 or len(root.named_children) != 1:
            self.refuse(f"{name} is not one function definition (return type, name, parameters, body)", at_name)
        return Function(name, start, text, definitions[0])

    def _refuse_broken(self, root: Node, start: int, text: str) -> NoReturn:
        for node in walk(root):
            if node.is_missing:
                what = "an operand" if node.type == "identifier" else f"'{node.type}'"
                self.refuse(f"{what} is missing here (valid C)", start + node.start_byte)
            if node.is_error:
                at = node.start_byte
                while at < len(text) - 1 and text[at].isspace():
                    at += 1
                word = re.match(r"\w+|[^\w\s]+|", text[at:])
                shown = word.group() if word else ""
                self.refuse(
                    f"'{shown}' is not understood (plain C, without attributes and macros that make statements)",
                    start + at,
                )
        self.refuse("not understood (valid C)", start)


def _bare_names(text: str) -> str:
    def bare(match: re.Match[str]) -> str:
        if is_type_name(match[3]):
            return match.group()
        return f"{match[1]} {match[2]}{match[3]}{match[4]} "

    before = None
    while before != text:  # names in several pairs, and neighbours that share an operator
        before, text = text, _LONE_NAME.sub(bare, text)
    return text


def _closing(text: str, at: int, pair: str) -> int | None:
    """The offset of the bracket that closes the one at `at`, None where there is none."""
    depth = 0
    for match in re.compile(f"[{re.escape(pair)}]").finditer(text, at):
        depth += 1 if match.group() == pair[0] else -1
        if depth == 0:
            return match.start()
    return None


def walk(root: Node) -> Iterator[Node]:
    """Every node below and including `root`, in the order of the text, without recursion."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))
