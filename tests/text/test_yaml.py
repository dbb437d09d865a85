# SPDX-License-Identifier: GPL-2.0-only
"""YAML and JSON with places: what is read, what is refused, and where."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.text.errors import InputError, Place
from mtcalc.text.yaml import MAX_DEPTH, ListNode, MapNode, Node, ScalarNode, parse_yaml, scalar_value


def plain(node: Node) -> Any:
    """The tree without places."""
    if isinstance(node, ScalarNode):
        return scalar_value(node)
    if isinstance(node, MapNode):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    return [plain(item) for item in node.items]


def refusal(text: str) -> InputError:
    """The error that a text is answered with."""
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "vm.yaml")
    return caught.value


def test_every_key_and_value_has_its_place() -> None:
    root = parse_yaml('guest:\n  pat: [WB, "WC"]\n', "vm.yaml")
    assert isinstance(root, MapNode)
    guest = root.entries["guest"]
    assert guest.key_place == Place("vm.yaml", 1, 1, "guest:")
    assert isinstance(guest.value, MapNode)
    pat = guest.value.entries["pat"]
    assert pat.key_place == Place("vm.yaml", 2, 3, '  pat: [WB, "WC"]')
    assert isinstance(pat.value, ListNode)
    assert pat.value.place[1:3] == (2, 8)
    assert [item.place[1:3] for item in pat.value.items] == [(2, 9), (2, 13)]
    assert [item.quoted for item in pat.value.items if isinstance(item, ScalarNode)] == [False, True]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("~", None),
        ("Null", None),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("on", "on"),
        ("y", "y"),
        ("6.10", "6.10"),
        ("010", "010"),
        ("0x30", "0x30"),
        ("1_000", "1_000"),
        ("2024-01-05", "2024-01-05"),
        ("1:30", "1:30"),
        ('"true"', "true"),
        ("'null'", "null"),
        ('""', ""),
        ("|\n  true\n", "true\n"),
        ("UC-", "UC-"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    """YAML 1.2, core schema: true, false and null words alone are no text (numbers are read later)."""
    root = parse_yaml(f"key: {text}", "vm.yaml")
    assert plain(root) == {"key": value}


def test_empty_value_is_null() -> None:
    assert plain(parse_yaml("a:\nb: {c, d: }", "x")) == {"a": None, "b": {"c": None, "d": None}}


def test_json_indented_with_tabs_keeps_its_places() -> None:
    text = '{\n\t"a":\t[\n\t\t1,\n \t"\\/\\u00e4"\t,true]\n}'
    root = parse_yaml(text, "vm.json")
    assert plain(root) == {"a": ["1", "/ä", True]}
    assert isinstance(root, MapNode)
    values = root.entries["a"].value
    assert isinstance(values, ListNode)
    assert values.items[0].place == Place("vm.json", 3, 3, "\t\t1,")


def test_byte_order_mark_and_every_line_break() -> None:
    root = parse_yaml("\ufeffa: 1\r\nb: 2\rc: 3\n", "x")
    assert isinstance(root, MapNode)
    assert [entry.key_place[1:] for entry in root.entries.values()] == [(1, 1, "a: 1"), (2, 1, "b: 2"), (3, 1, "c: 3")]


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "nothing here"),
        ("# only a comment\n", 1, 1, "nothing here"),
        ("---\n", 1, 1, "nothing here"),
        ("a: 1\nb: 2\na: 3", 3, 1, "duplicate key 'a' (first on line 1)"),
        ('{a: 1, "a": 2}', 1, 8, "duplicate key 'a' (first on line 1)"),
        ("a: !!str 1", 1, 4, "tag 'tag:yaml.org,2002:str'"),
        ("a: ! 1", 1, 4, "tag '!'"),
        ("a: !<x> [1]", 1, 4, "tag 'x'"),
        ("a: &x 1", 1, 4, "anchor '&x'"),
        ("&x {a: 1}", 1, 1, "anchor '&x'"),
        ("a: *x", 1, 4, "alias '*x'"),
        ("*x : 1", 1, 1, "alias '*x'"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document"),
        ("[a]: 1", 1, 1, "a collection as a key"),
        ("{{a: 1}: 1}", 1, 2, "a collection as a key"),
        ("%YAML 1.1\n---\na: 1", 1, 1, "%YAML 1.1"),
        ("%YAML 2.0\n---\na: 1", 1, 1, "a %YAML directive of another version"),
        ("%TAG ! x:\n---\na: 1", 1, 1, "%TAG"),
        ("a\0b", 1, 2, "NUL character"),
        ("x: 1\ny: \x1b[0m", 2, 4, "character U+001B"),
        ("a: \ud800", 1, 4, "character U+D800"),
        ("a:\n\tb: 1", 2, 1, "a tab in the indentation"),
        ("a: 1\n\tb: 1", 2, 1, "a tab in the indentation"),
        ("a: 'x", 1, 4, "a quote that is never closed"),
        ("a: [1,\n2", 2, 2, "no ',' or ']' here (the '[' is on line 1)"),
        ("- a\nb: c", 2, 1, "not an item of the list that begins on line 1"),
        ('a: "\\ud83d"', 1, 7, "an escape that is no character"),
        ("a: `b`", 1, 4, "a value can't begin with '`'"),
    ],
)
def test_refusals_say_where(text: str, line: int, column: int, words: str) -> None:
    error = refusal(text)
    assert error.place is not None
    assert (error.place.line, error.place.column) == (line, column)
    assert error.message.startswith(words)
    assert error.message.endswith(")")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "a:\n", "[{a: "])
def test_depth_is_limited_and_harmless(opening: str) -> None:
    """100,000 levels: an error, soon, and no crash."""
    count = 2000 if opening == "a:\n" else 100_000  # block mappings need their indentation
    text = "".join(" " * n + opening for n in range(count)) if opening == "a:\n" else opening * count
    assert refusal(text).message == f"nested too deeply (at most {MAX_DEPTH} levels)"


def test_depth_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether our own count stops first or the library's, the place is that of the first bracket too many."""
    text = "\n  " + "[" * 5000
    for loader in ("CSafeLoader", "SafeLoader"):
        if hasattr(yaml, "CSafeLoader"):
            monkeypatch.setattr(yaml, "CSafeLoader", getattr(yaml, loader))
        error = refusal(text)
        assert error.message == f"nested too deeply (at most {MAX_DEPTH} levels)"
        assert error.place is not None
        assert (error.place.line, error.place.column) == (2, 3 + MAX_DEPTH)


@pytest.mark.parametrize("error", [yaml.YAMLError("words"), yaml.MarkedYAMLError("some", None, "words", None)])
def test_no_word_of_the_library_is_shown(monkeypatch: pytest.MonkeyPatch, error: yaml.YAMLError) -> None:
    """Its wording changes with its versions: a problem that is not known gets words of our own."""

    def broken(text: str) -> object:
        raise error

    monkeypatch.setattr("mtcalc.text.yaml._events", broken)
    assert refusal("a: 1").message == "not understood (YAML 1.2 or JSON)"


def test_depth_limit_is_exact() -> None:
    assert plain(parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, "x")) is not None
    refusal("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_number_of_parts_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtcalc.text.yaml.MAX_EVENTS", 100)
    error = refusal("[" + "1,\n" * 200 + "]")
    assert error.message.startswith("too much in one document (at most 100 ")
    assert error.place is not None
    assert error.place.line == 98


def test_number_of_lines_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtcalc.text.yaml.MAX_LINES", 100)
    assert plain(parse_yaml("- 1\n" * 99, "x")) == ["1"] * 99
    error = refusal("# a\n" * 100 + "- b\n- c\n")
    assert error.message == "too many lines in one document (at most 100)"
    assert error.place is not None
    assert (error.place.line, error.place.source) == (101, "- b")


def test_works_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        "a: {b: [1, 'x']}\nc:",
        "{a: 1, a: 2}",
        "a: *x",
        "a: 'x",
        "a:\n- b\nc: [",
        "a: & b",
        "a: @",
        "a\nb: c",
        "- - b: c\n d",
    ]
    expected = [_outcome(text) for text in texts]
    monkeypatch.delattr(yaml, "CSafeLoader")
    for text, (tree, error) in zip(texts, expected, strict=True):
        assert _outcome(text)[0] == tree
        assert str(_outcome(text)[1]) == str(error)


def _outcome(text: str) -> tuple[Node | None, InputError | None]:
    """The tree, or the error."""
    try:
        return parse_yaml(text, "x"), None
    except InputError as error:
        return None, error


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(blacklist_categories=["C", "Zl", "Zp"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values.filter(lambda value: value is not None), st.sampled_from([None, 1, "\t"]))
def test_json_is_yaml(value: Any, indent: int | str | None) -> None:
    """YAML 1.2, section 1.3: every JSON text is YAML and means the same."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    expected = json.loads(text, parse_int=str)
    assert plain(parse_yaml(text, "x")) == expected


@settings(deadline=None)
@given(st.text(st.sampled_from(list(" \n\t-:?[]{},#&*!|>'\"%@`ab01~<.\\\x85\u2028\ufeff\x07é")), max_size=60))
def test_any_text_is_a_tree_or_an_error_with_its_place(text: str) -> None:
    tree, error = _outcome(text)
    if tree is None:
        assert error is not None
        assert error.place is not None
        assert error.place.line >= 1
        assert error.place.column >= 1
        assert str(error).startswith(f"x:{error.place.line}:{error.place.column}: ")


@given(st.lists(st.text(max_size=5), max_size=6), st.booleans())
def test_json_is_read_as_json(texts: list[str], ascii_only: bool) -> None:
    """Every string, characters beyond 16 bits as JSON escapes them too."""
    text = json.dumps({"names": texts, "last": 1}, ensure_ascii=True) if ascii_only else json.dumps(texts)
    try:
        wanted = json.loads(text)
        read = plain(parse_yaml(text, "vm.json"))
    except InputError as error:
        assert "half a surrogate pair" in error.message or "only printable text" in error.message  # noqa: PT017
        return
    assert read == ({**wanted, "last": "1"} if ascii_only else wanted)


def test_places_behind_surrogate_pairs_are_those_of_the_text() -> None:
    line = r'{"a": "\ud83d\ude00\\\uD83D\uDE00", "b": ["\ud83d\ude00", 3], "c": "\\ud83d\\ude00"}'
    root = parse_yaml(f"[\n{line}]", "vm.json")
    assert isinstance(root, ListNode)
    (found,) = root.items
    assert isinstance(found, MapNode)
    assert plain(found) == {"a": "\U0001f600\\\U0001f600", "b": ["\U0001f600", "3"], "c": r"\ud83d\ude00"}
    for key, entry in found.entries.items():
        assert (entry.key_place.line, entry.key_place.column - 1) == (2, line.index(f'"{key}"'))
    b = found.entries["b"].value
    assert isinstance(b, ListNode)
    assert [item.place.column - 1 for item in b.items] == [line.index('["') + 1, line.index("3]")]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (r'{"a": "\ud83d"}', 8),
        (r'{"a": "\ude00"}', 8),
        (r'{"a": "\ud83d\u0041"}', 8),
        (r'{"a": "\ude00\ud83d"}', 8),
        (r'{"a": "\ud83d\ude00\ud83d"}', 20),
        (r'{"\ud83d\ude00": "\uDE00"}', 19),
    ],
)
def test_half_a_surrogate_pair_is_refused_at_its_place(text: str, column: int) -> None:
    error = refusal(text)
    assert "half a surrogate pair" in error.message
    assert error.place
    assert (error.place.line, error.place.source) == (1, text)
    assert error.place.column in (column, column + 2), "at the escape, or at its digits"
