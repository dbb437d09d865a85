# SPDX-License-Identifier: GPL-2.0-only
"""YAML 1.2 and JSON with the place of every key and value, read from the parser's events.

What is left out is refused with its place: tags, anchors, aliases, a second document, keys that are no
scalars, duplicate keys, more than MAX_DEPTH levels, MAX_LINES lines or MAX_EVENTS parts. Scalars stay text: `6.10`
is not 6.1; see scalar_value() and mtcalc.text.numbers.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias, Union

import yaml

from mtcalc.text.errors import InputError, Place

MAX_DEPTH = 64
MAX_LINES = 1_000_000
MAX_EVENTS = 1_300_000
"""Scalars, starts and ends of collections; 32,764 slots with every key take about 1.2 million.

With these two, 16 MiB of anything takes less than 500 MB.
"""

_TOO_DEEP = f"nested too deeply (at most {MAX_DEPTH} levels)"

# YAML's line breaks (libyaml counts lines by them), and what is not printable in YAML.
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
# Named by what it is: a set of all but the printable ones takes 11 ms to compile, at every start.
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_BRACKET = re.compile(r"[\[\]{}]")
# JSON writes a character beyond 16 bits as two escapes, YAML as one.
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_LEADING_TABS = re.compile("^[ \t]*\t", re.MULTILINE)

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class ScalarNode(NamedTuple):
    """A scalar as text; `quoted` covers the block styles | and > too."""

    text: str
    quoted: bool
    place: Place


class ListNode(NamedTuple):
    """A sequence."""

    items: tuple[Node, ...]
    place: Place


class KeyValue(NamedTuple):
    """One key of a mapping and its value."""

    key: str
    key_place: Place
    value: Node


class MapNode(NamedTuple):
    """A mapping, in the order of the text."""

    entries: dict[str, KeyValue]
    place: Place


Node: TypeAlias = Union[ScalarNode, ListNode, MapNode]


def scalar_value(node: ScalarNode) -> bool | str | None:
    """A scalar by YAML 1.2's core rules, numbers aside: null words, true and false; all else is text."""
    if node.quoted:
        return node.text
    if node.text in _NULLS:
        return None
    return _BOOLS.get(node.text, node.text)


def parse_yaml(text: str, file: str) -> Node:
    """The tree of the one document in `text`; `file` names it in places.

    Raises InputError, with the place, for text that is not YAML 1.2 or uses what is left out here.
    """
    text = text.removeprefix("\ufeff")
    lines = _BREAK.split(text, MAX_LINES)
    if len(lines) > MAX_LINES:
        what = f"too many lines in one document (at most {MAX_LINES:,})"
        raise InputError(what, Place(file, MAX_LINES + 1, 1, lines.pop()[:200].split("\n", 1)[0]))
    odd = _FORBIDDEN.search(text)
    if odd:
        raise InputError(*_odd_character(text, odd.start(), file, lines))
    if text.lstrip()[:1] in ("{", "["):
        # JSON may be indented with tabs, which YAML forbids; one blank each keeps the columns.
        text = _LEADING_TABS.sub(lambda tabs: " " * len(tabs[0]), text)
    shifts: _Shifts = {}
    if "\\ud" in text or "\\uD" in text:
        text = _PAIR.sub(_one_escape, text)
        shifts = _shifts(lines)
    try:
        return _build(_events(text), file, lines, shifts)
    except yaml.YAMLError as error:
        raise _reworded(error, text, file, lines, shifts) from None


_Shifts: TypeAlias = dict[int, list[int]]
"""By line, from 0: the columns behind each pair of escapes that became one, two characters shorter."""


def _one_escape(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return f"{pair[1]}\\U{0x10000 + (high - 0xD800 << 10 | low - 0xDC00):08X}"


def _shifts(lines: list[str]) -> _Shifts:
    found: _Shifts = {}
    for number, line in enumerate(lines):
        if "\\u" in line:
            ends = [pair.end() - 2 * (at + 1) for at, pair in enumerate(_PAIR.finditer(line))]
            if ends:
                found[number] = ends
    return found


def _column(mark: Any, shifts: _Shifts) -> int:
    """The column, from 0, at which the text as it was given has what `mark` points at."""
    column: int = mark.column
    return column + 2 * bisect_right(shifts[mark.line], column) if mark.line in shifts else column


def _events(text: str) -> Iterator[Any]:
    # Lazily: on 100,000 opening brackets libyaml alone takes half a minute, and _build() stops at MAX_DEPTH.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return iter(loader(text).get_event, None)


class _Open(NamedTuple):
    """A collection whose end is not yet read."""

    items: list[Node] | None  # None: a mapping
    entries: dict[str, KeyValue]
    place: Place


def _build(events: Iterator[Any], file: str, lines: list[str], shifts: _Shifts) -> Node:
    """The tree. One loop without recursion; it runs for every event, hence the local names."""
    count = len(lines)
    scalar_event, map_event, list_event = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent
    stack: list[_Open] = []
    keys: list[ScalarNode | None] = []  # the key read last of each open mapping, None where a key comes next
    root: Node | None = None
    for number, event in enumerate(events):
        kind = type(event)
        mark = event.start_mark
        line = mark.line
        column = _column(mark, shifts) if shifts else mark.column
        place = Place(file, line + 1, column + 1, lines[line] if line < count else "")
        if number == MAX_EVENTS:
            raise InputError(f"too much in one document (at most {MAX_EVENTS:,} keys, values and brackets)", place)
        node: Node
        if kind is scalar_event:
            if event.tag is not None or event.anchor is not None:
                raise _refused(event, place)
            node = ScalarNode(event.value, event.style is not None and event.style != "", place)
        elif kind is map_event or kind is list_event:
            if event.tag is not None or event.anchor is not None:
                raise _refused(event, place)
            if stack and stack[-1].items is None and keys[-1] is None:
                raise InputError("a collection as a key (keys are plain words or numbers)", place)
            if len(stack) == MAX_DEPTH:
                raise InputError(_TOO_DEEP, place)
            stack.append(_Open(None if kind is map_event else [], {}, place))
            keys.append(None)
            continue
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            done = stack.pop()
            keys.pop()
            node = MapNode(done.entries, done.place) if done.items is None else ListNode(tuple(done.items), done.place)
        elif kind is yaml.AliasEvent:
            raise InputError(f"alias '*{event.anchor}' (write the value out)", place)
        elif kind is yaml.DocumentStartEvent:
            if root is not None:
                raise InputError("a second document (one a file)", place)
            _check_directives(event, place)
            continue
        else:
            continue
        if not stack:
            root = node
            continue
        top = stack[-1]
        if top.items is not None:
            top.items.append(node)
            continue
        key = keys[-1]
        if key is not None:
            top.entries[key.text] = KeyValue(key.text, key.place, node)
            keys[-1] = None
        elif isinstance(node, ScalarNode):
            first = top.entries.get(node.text)
            if first is not None:
                what = f"duplicate key '{_short(node.text)}' (first on line {first.key_place.line})"
                raise InputError(what, node.place)
            keys[-1] = node
    if root is None or (isinstance(root, ScalarNode) and not root.text and not root.quoted):
        raise InputError("nothing here (a YAML or JSON document)", Place(file, 1, 1, lines[0]))
    return root


def _refused(event: Any, place: Place) -> InputError:
    if event.anchor is not None:
        return InputError(f"anchor '&{event.anchor}' (leave it out; aliases are not read)", place)
    return InputError(f"tag '{event.tag}' (leave it out; quotes make text)", place)


def _check_directives(event: Any, place: Place) -> None:
    if event.tags:
        raise InputError("%TAG directive (leave it out; tags are not read)", place)
    if event.version is not None and tuple(event.version) != (1, 2):
        version = ".".join(map(str, event.version))
        raise InputError(f"%YAML {version} (this is read as YAML 1.2; leave the directive out)", place)


def _odd_character(text: str, index: int, file: str, lines: list[str]) -> tuple[str, Place]:
    before = _BREAK.split(text[:index])
    line = len(before)
    code = ord(text[index])
    kind = "NUL character" if not code else f"character U+{code:04X}"
    what = f"{kind} (only printable text, tabs and line breaks)"
    return what, Place(file, line, len(before[-1]) + 1, lines[line - 1])


# The parser's problem -> what is wrong (what would be right). {opened}: line of what was being read.
_PROBLEMS = (
    ("cannot start any token", "a value can't begin with '{char}' (put it in quotes)"),
    ("tab character", "a tab in the indentation (use blanks)"),
    ("mapping values are not allowed", "a ':' where no key can stand (indent keys alike, quote text with ': ')"),
    ("could not find expected ':'", "no ':' behind the key on line {opened} (key: value)"),
    ("expected ',' or '}'", "no ',' or '}}' here (the '{{' is on line {opened})"),
    ("expected ',' or ']'", "no ',' or ']' here (the '[' is on line {opened})"),
    ("expected '-' indicator", "not an item of the list that begins on line {opened} ('- ', indented alike)"),
    (
        "block collection: expected <block end>",
        "not an item of the list that begins on line {opened} ('- ', indented alike)",
    ),
    ("expected <block end>", "not a key of the mapping that begins on line {opened} (indent keys alike)"),
    ("expected key", "not a key of the mapping that begins on line {opened} (indent keys alike)"),
    ("expected node content", "no value here (a scalar, a list or a mapping)"),
    ("expected the node content", "no value here (a scalar, a list or a mapping)"),
    ("block sequence entries are not allowed", "a '- ' where no list can begin (on a line of its own)"),
    ("sequence entries are not allowed", "a '- ' where no list can begin (on a line of its own)"),
    ("expected <document start>", "text behind the end of the document (one document a file)"),
    ("expected the '<document start>'", "text behind the end of the document (one document a file)"),
    ("unknown escape", "unknown escape in double quotes (\\\\ is a backslash; single quotes take it as it is)"),
    ("invalid Unicode character escape", "an escape that is no character (half a surrogate pair? write it out)"),
    ("unknown directive", "unknown directive (leave it out; quote a value that begins with %)"),
    ("incompatible", "a %YAML directive of another version (this is read as YAML 1.2; leave it out)"),
    ("duplicate %YAML", "two %YAML directives (leave them out)"),
    ("expected comment or line break", "text behind | or > (it begins on the next line)"),
    ("expected a comment or a line break", "text behind | or > (it begins on the next line)"),
    ("undefined tag handle", "a tag (leave it out; quotes make text)"),
    ("expected alphabetic or numeric", "'{char}' begins an anchor or alias (put it in quotes)"),
)
# Where the text ends inside quotes the place of the opening quote says more.
_AT_THE_START = "unexpected end of stream"


_NOT_UNDERSTOOD = "not understood (YAML 1.2 or JSON)"
"""For a problem that _PROBLEMS lacks: the parser's own words change from one of its versions to the next."""


def _reworded(error: yaml.YAMLError, text: str, file: str, lines: list[str], shifts: _Shifts) -> InputError:
    context: Any = getattr(error, "context_mark", None)
    mark: Any = getattr(error, "problem_mark", None) or context
    if mark is None:
        return InputError(_NOT_UNDERSTOOD, Place(file, 1, 1, lines[0]))
    problem = f"{getattr(error, 'context', None)}: {getattr(error, 'problem', None)}"
    if _AT_THE_START in problem and context is not None:
        message = "a quote that is never closed (end it with the same sign)"
        mark = context
    else:
        source = lines[mark.line] if mark.line < len(lines) else ""
        char = source[_column(mark, shifts) :][:1]
        opened = context.line + 1 if context is not None else mark.line + 1
        if char == "\t":
            problem = "tab character"
        for part, words in _PROBLEMS:
            if part in problem:
                message = words.format(char=char, opened=opened)
                break
        else:
            deep = _too_deep(text, file, lines)
            if deep is not None and deep[:3] <= (file, mark.line + 1, mark.column + 1):
                return InputError(_TOO_DEEP, deep)
            message = _NOT_UNDERSTOOD
    # The end of the text lies behind its last line: show that one.
    line = min(mark.line, len(lines) - 1)
    column = _column(mark, shifts) + 1 if line == mark.line else len(lines[line]) + 1
    return InputError(message, Place(file, line + 1, column, lines[line]))


def _too_deep(text: str, file: str, lines: list[str]) -> Place | None:
    """Where the brackets are one level too deep, counted without regard to quotes.

    From 0.2.6 on libyaml looks further ahead than it has events for, and stops at a depth of its own first.
    """
    depth = 0
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            before = _BREAK.split(text[: bracket.start()])
            return Place(file, len(before), len(before[-1]) + 1, lines[len(before) - 1])
    return None


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
