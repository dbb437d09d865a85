# SPDX-License-Identifier: GPL-2.0-only
"""A C file as far as one function needs it: functions cut out by name and parsed.

What its preprocessor lines say of a name is in macros.py, what it declares in declared.py.
The whole of a kernel file does not parse (macros, #ifdef across statements); one function alone does. Comments are
blanked before anything else looks at the text, so that every offset stays what it was.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from functools import cached_property, lru_cache
from typing import NamedTuple, NoReturn

from tree_sitter import Language, Node, Parser
from tree_sitter_c import language

from mtcalc.csource.casts import bare_names, signs_marked, types_marked
from mtcalc.csource.declared import FileNames
from mtcalc.csource.macros import MAX_NESTING, MacroTable
from mtcalc.csource.predicates import ATTRIBUTES
from mtcalc.csource.text import DIRECTIVE, SPLICE, masked
from mtcalc.csource.words import shown_text
from mtcalc.text.errors import InputError, Place

MAX_FUNCTION = 50_000
"""Characters of one function. The longest vmx_get_mt_mask() so far has some 1,500."""

MAX_FILE = 2_000_000
"""Characters of a file. vmx.c has some 250,000."""

MAX_TREE = 300
"""Levels of a function's syntax tree. An `else if` counts two; the real ones have some 20."""

_MAX_PARAMETERS = 2_000
"""Characters from a function's name to the end of its parameters."""

_MAX_HEADS = 100_000
_MAX_DEFINITIONS = 50
_MAX_MENTIONS = 1_000
_MAX_MESSAGE = 500

# A function's head as kernel code has it: type and name in column 1, no parenthesis before its own.
_HEAD = re.compile(r"^[A-Za-z_][\w\t *]*+\s*+\(", re.MULTILINE)
_LAST_WORD = re.compile(r"([A-Za-z_]\w*)\s*\($")
_CALLED = re.compile(r"\b([A-Za-z_]\w*)\s*+\(")
_STATEMENT_BEHIND = re.compile(r"\s*([{*\w])")
_WITH_BLOCKS = ("if", "for", "while", "switch")
_STOP = re.compile(r"[{;}]")
_BRACKET = re.compile(r"[()\[\]{}]")
_PAIRS = {pair: re.compile(f"[{re.escape(pair)}]") for pair in ("()", "{}")}


class ParsedFunction(NamedTuple):
    """One function of a file: its name, where its text starts in the file, its parsed definition.

    The parsed text has ~ for a sign that the parser would take for an operator of two operands: the sign is in `text`.
    """

    name: str
    offset: int
    text: str
    node: Node

    def text_of(self, node: Node) -> str:
        """A node's own text, as the source has it."""
        return self.text[node.start_byte : node.end_byte]


class Definition(NamedTuple):
    """A definition as text alone: where it starts, what stands before its brace, its parameters and its body."""

    offset: int
    head: str
    parameters: tuple[str, ...]
    body: str


@lru_cache(maxsize=1)
def _parser() -> Parser:
    return Parser(Language(language()))


class CText:
    """A C file's text, and what is looked up in it."""

    def __init__(self, text: str, file: str) -> None:
        if len(text) > MAX_FILE:
            what = f"a C file of {len(text)} characters (at most {MAX_FILE}: cut out what matters)"
            raise InputError(what, Place(file, 1, 1))
        self.file = file
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        try:
            self._masked = masked(text)
        except ValueError as error:
            self.refuse(error.args[0], error.args[1])
        self._functions: dict[str, ParsedFunction | None] = {}
        self._otherwise: dict[str, int | None] = {}
        self._heads: dict[str, list[tuple[int, int, int]]] | None = None

    def place(self, offset: int) -> Place:
        """Line and column of an offset in the file."""
        line = min(bisect_right(self._starts, offset), len(self._lines))
        shown = self.line(line)
        return Place(self.file, line, min(offset - self._starts[line - 1], len(shown)) + 1, shown)

    def line(self, number: int) -> str:
        """A source line (1-based), without its end."""
        return self._lines[number - 1].rstrip("\r")

    def refuse(self, message: str, offset: int) -> NoReturn:
        """Raises InputError at an offset."""
        message = shown_text(message)
        if len(message) > _MAX_MESSAGE:
            message = f"{message[: _MAX_MESSAGE // 2]}...{message[-_MAX_MESSAGE // 2 :]}"
        raise InputError(message, self.place(offset))

    def words(self, pattern: re.Pattern[str]) -> list[str]:
        """What of the file matches a pattern, comments aside, each once, in order."""
        return list(dict.fromkeys(pattern.findall(self._masked)))

    @cached_property
    def names(self) -> FileNames:
        """What the file itself declares: enumerators, types, variables."""
        return FileNames(self._masked)

    @cached_property
    def macros(self) -> MacroTable:
        """What the file's own preprocessor lines make of a name."""
        return MacroTable(self._masked)

    def expression(self, name: str, body: str | None) -> Node:
        """The parsed body of a macro. Raises ValueError where it is not one plain expression."""
        if body is None or len(body) > 200:
            raise ValueError(f"{name} is not one number")
        # No offset in it is used, so that a qualifier can tell the parser that a type stands in the parentheses.
        body = types_marked(body, self.names.types)
        root = _parser().parse(f"long x = {body};".encode("ascii")).root_node
        first = root.named_children[0]
        value = first.named_children[-1].child_by_field_name("value") if first.named_children else None
        if root.has_error or len(root.named_children) != 1 or len(first.named_children) != 2 or value is None:
            raise ValueError(f"{name} is not one number")
        return value

    def function(self, name: str) -> ParsedFunction | None:
        """The definition of a function in this file, None where there is none. Raises InputError."""
        if name not in self._functions:
            self._functions[name] = self._find(name)
        return self._functions[name]

    def mentioned(self, name: str) -> int:
        """Where a function's name first stands with a parenthesis behind it; 0 if nowhere."""
        match = re.search(rf"\b{re.escape(name)}\s*+\(", self._masked)
        return match.start() if match else 0

    def definitions(self, name: str) -> list[Definition]:
        """Every definition of a function's name, wherever it stands, of a macro that takes arguments too."""
        found = [self._definition(at) for at in self._bodies_of(name)]
        for row in self.macros.lines(name):
            listed, _, body = (row.body or "").partition(")")
            names = tuple(part.strip() for part in listed.split(","))
            body = re.sub(SPLICE, " ", body).strip()
            if not row.takes or not all(map(str.isidentifier, names)) or not _stands_alone(body, names):
                return []
            taken = ", ".join(f"void *{name}" for name in names)
            found.append(Definition(row.offset, f"unsigned long {name}({taken})", names, f"return {_of_block(body)};"))
        return found

    def defined_otherwise(self, name: str) -> int | None:
        """Where a function's name stands that has a body and that function() does not find."""
        if name not in self._otherwise:
            self._otherwise[name] = self._look_for(name)
        return self._otherwise[name]

    def _look_for(self, name: str) -> int | None:
        return next(self._bodies_of(name), None)

    def _bodies_of(self, name: str) -> Iterator[int]:
        """Where a name stands with parameters and a body behind it."""
        for seen, match in enumerate(re.finditer(rf"\b{re.escape(name)}\s*+\(", self._masked)):
            if seen == _MAX_MENTIONS:
                self.refuse(f"{name} stands here too often to look for its definition (a shorter file)", match.start())
            close = _closing(self._masked, match.end() - 1, "()", _MAX_PARAMETERS)
            if close is not None and re.match(r"\)\s*\{", self._masked[close : close + 200]):
                yield match.start()

    def _definition(self, at: int) -> Definition:
        text = self._masked
        opening = text.index("{", at)
        end = _closing(text, opening, "{}", MAX_FUNCTION)
        start = text.rfind("\n", 0, at) + 1
        if start == at:  # the return type on the line before
            start = text.rfind("\n", 0, max(0, at - 1)) + 1
        head = text[start:opening]
        listed = head[head.index("(", at - start) + 1 :].rstrip()[:-1].split(",")
        names = tuple(words[-1] for words in (re.findall(r"\w+", part) for part in listed) if words)
        return Definition(start, head, names, text[opening + 1 : end or opening + 1])

    def alone(self, name: str, one: Definition, expression: str) -> ParsedFunction:
        """A function with a definition's head that returns an expression. Raises InputError."""
        head = re.sub(r"\w+", lambda m: " " * len(m.group()) if m.group() in ATTRIBUTES else m.group(), one.head)
        text = f"{head}{{ return {expression}; }}"
        self._check_nesting(text, one.offset)
        return self._parsed(name, one.offset, bare_names(text, self.names.types), len(head))

    def _heads_of(self, name: str) -> list[tuple[int, int, int]]:
        """(start of the line, the name, its parenthesis) wherever a line looks like the head of a function."""
        if self._heads is None:
            self._heads = {}
            for count, match in enumerate(_HEAD.finditer(self._masked)):
                if count == _MAX_HEADS:
                    self.refuse(f"more than {_MAX_HEADS} functions (cut out what matters)", match.start())
                word = _LAST_WORD.search(match.group()[-200:])
                if word:
                    behind = match.end() - len(match.group()[-200:])
                    row = (match.start(), behind + word.start(1), match.end() - 1)
                    self._heads.setdefault(word[1], []).append(row)
        return self._heads.get(name, [])

    def _find(self, name: str) -> ParsedFunction | None:
        text = self._masked
        found: list[tuple[int, int, int]] = []  # start, the name, the opening brace
        heads = self._heads_of(name)
        if len(heads) > _MAX_DEFINITIONS:
            self.refuse(f"{name} begins too many lines (cut out what matters)", heads[_MAX_DEFINITIONS][1])
        for start, at_name, parenthesis in heads:
            close = _closing(text, parenthesis, "()", _MAX_PARAMETERS)
            if close is None:
                self.refuse(f"the parameters of {name} never end (a closing parenthesis)", at_name)
            stop = _STOP.search(text, close)
            if stop is None or stop.group() != "{":
                continue  # a declaration, or a call
            between = text[close + 1 : stop.start()]
            if between.strip():
                at = close + 1 + len(between) - len(between.lstrip())
                self.refuse(f"'{between.strip().split()[0]}' behind the parameters of {name} (a brace)", at)
            if start == at_name:  # the return type on the line before
                line = self.place(start).line
                above = text[self._starts[line - 2] : start] if line > 1 else ""
                if re.fullmatch(r"[A-Za-z_][\w\t *]*\r?\n", above):
                    start -= len(above)
            found.append((start, at_name, stop.start()))
        if not found:
            return None
        if len(found) > 1:
            first = self.place(found[0][1]).line
            self.refuse(f"{name} again, first in line {first} (one definition: cut out the one you mean)", found[1][1])
        return self._cut(name, *found[0])

    def _cut(self, name: str, start: int, at_name: int, opening: int) -> ParsedFunction:
        masked = self._masked
        end = _closing(masked, opening, "{}", MAX_FUNCTION * 2)
        if end is None:
            self.refuse(f"{name} never ends (a closing brace in column 1)", opening)
        if masked[end - 1] != "\n" and "\n" in masked[opening:end]:
            self.refuse(f"this brace ends {name} too early (the last one stands in column 1)", end)
        if end - start > MAX_FUNCTION:
            self.refuse(f"{name} has {end - start} characters (at most {MAX_FUNCTION})", at_name)
        text = masked[start : end + 1]
        self._check_nesting(text, start)
        spliced = re.search(SPLICE, text)
        if spliced:
            self.refuse("a line that goes on behind a backslash (one line)", start + spliced.start())
        directive = DIRECTIVE.search(text)
        if directive:
            at = start + directive.start() + len(directive.group()) - len(directive.group().lstrip())
            self.refuse(f"#{directive[1]} inside {name} (leave in only what is compiled)", at)
        head = re.sub(
            r"\w+", lambda m: " " * len(m.group()) if m.group() in ATTRIBUTES else m.group(), text[: at_name - start]
        )
        text = head + bare_names(text[at_name - start :], self.names.types)
        self._check_loops(text, start)
        return self._parsed(name, start, text, at_name - start)

    def _parsed(self, name: str, start: int, text: str, at_name: int) -> ParsedFunction:
        root = _parser().parse(signs_marked(text, self.names.types).encode("ascii")).root_node
        if root.has_error:
            self._refuse_broken(root, start, text)
        self._check_depth(root, start)
        definitions = [node for node in root.named_children if node.type == "function_definition"]
        if len(definitions) != 1 or len(root.named_children) != 1:
            self.refuse(f"{name} is not one function definition (return type, name, parameters, body)", start + at_name)
        return ParsedFunction(name, start, text, definitions[0])

    def _check_nesting(self, text: str, start: int) -> None:
        """Before anything that nested brackets could drive to recursion, or to quadratic time."""
        depth = 0
        for match in _BRACKET.finditer(text):
            depth += 1 if match.group() in "([{" else -1
            if depth > MAX_NESTING:
                self.refuse(f"nested too deeply (at most {MAX_NESTING} levels)", start + match.start())

    def _check_loops(self, text: str, start: int, broken: bool = False) -> None:
        """Refuses macros that make loops, before the parser sees something else in them; blocks in what is broken."""
        for match in _CALLED.finditer(text, text.index("{")):
            close = _closing(text, match.end() - 1, "()", _MAX_PARAMETERS)
            behind = _STATEMENT_BEHIND.match(text, close + 1) if close is not None else None
            if behind and match[1] not in _WITH_BLOCKS and ("for_each" in match[1] or (broken and behind[1] == "{")):
                what = f"{match[1]} is not understood here, a macro that makes a loop or a block"
                self.refuse(f"{what} (if, switch, goto, return and assignments)", start + match.start())

    def _check_depth(self, root: Node, start: int) -> None:
        """What nests without brackets: labels, signs, sums."""
        level = [root]
        for _ in range(MAX_TREE):
            level = [child for node in level for child in node.named_children]
            if not level:
                return
        self.refuse(f"nested too deeply (at most {MAX_TREE} levels)", start + level[0].start_byte)

    def _refuse_broken(self, root: Node, start: int, text: str) -> NoReturn:
        self._check_loops(text, start, broken=True)
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


def _stands_alone(body: str, parameters: Collection[str]) -> bool:
    """Whether a macro's body is one operand, whatever stands around it, and so is each parameter in it."""
    opening = re.match(r"!?\w*\(", body)
    if opening is None or _closing(body, opening.end() - 1, "()", len(body)) != len(body) - 1:
        return False
    for name in parameters:
        if len(re.findall(rf"\b{name}\b", body)) != len(re.findall(rf"[(,]\s*{name}\s*(?=[),])", body)):
            return False
    return True


def _of_block(text: str) -> str:
    """The expression of a macro's ({ x; }), other text as it is."""
    block = re.fullmatch(r"\s*\(\s*\{([^;{}]*);\s*\}\s*\)\s*", text)
    return block[1] if block else text


def _closing(text: str, at: int, pair: str, most: int) -> int | None:
    """The offset of the bracket that closes the one at `at`, None where none does within `most` characters."""
    depth = 0
    for match in _PAIRS[pair].finditer(text, at, at + most):
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
