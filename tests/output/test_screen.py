# SPDX-License-Identifier: GPL-2.0-only
"""Tables as a terminal shows them: folded, never cut, in tones that say nothing words do not."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.output.document import CACHED, WARN, Cell, Document, Fields, Table
from mtcalc.output.screen import STYLES, render

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
LINES = re.compile(r"[\u2500-\u257f]|-{2,}")


def drawn(document: Document, width: int = 80, colour: bool = False, encoding: str = "utf-8") -> str:
    """What arrives on a stream."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, errors="backslashreplace")
    render(document, stream, colour, width)
    stream.flush()
    return raw.getvalue().decode(encoding)


def solid(text: str) -> str:
    """The letters of a text in order of the alphabet: folding moves them, and must lose none."""
    return "".join(sorted("".join(LINES.sub("", text).split())))


cells = st.text("abcdefgh", min_size=1, max_size=14)
lasts = st.one_of(cells, st.lists(st.text("abcdefgh", min_size=1, max_size=12), max_size=12).map(" ".join))


@settings(max_examples=60)
@given(st.lists(st.tuples(cells, cells, lasts), min_size=1, max_size=3), st.integers(40, 140))
def test_a_table_is_folded_and_never_cut(rows: list[tuple[str, str, str]], width: int) -> None:
    text = drawn(Document([Table(("A", "B", "C"), rows)]), width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "\u2026" not in text
    assert solid(text) == solid("ABC" + "".join(map("".join, rows)))


def test_colour_is_added_and_nothing_else() -> None:
    document = Document([Cell("title", "strong"), Table(("A",), [[Cell("WB", CACHED)], [Cell("no", WARN)]])], ["n"])
    coloured = drawn(document, colour=True)
    assert "\x1b[" in coloured
    assert [line.rstrip() for line in ESCAPES.sub("", coloured).splitlines()] == [
        line.rstrip() for line in drawn(document).splitlines()
    ]
    assert "\x1b" not in drawn(document)


def test_every_tone_has_a_style_of_the_terminals_own() -> None:
    """The terminal's own eight colours, legible on light and on dark."""
    named = {"", "bold", "dim", "red", "green", "yellow", "blue", "magenta", "cyan"}
    assert {word for style in STYLES.values() for word in style.split()} <= named


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_stream_without_line_characters_gets_none(encoding: str) -> None:
    text = drawn(Document([Table(("A", "B"), [["x", "naïve 内存"]]), Fields([("k", "內")])]), encoding=encoding)
    assert not re.search(r"[\u2500-\u257f]|\\u25", text)
    assert "\\u5185\\u5b58" in text
    assert "\\u5167" in text


def test_words_of_input_are_words() -> None:
    """Neither rich's markup nor emoji codes nor escapes mean anything in a slot's name."""
    text = drawn(Document([Table(("A",), [["[red]x[/red] :smile: \x1b[31m"]]), "[bold]y"], ["[link=z]"]))
    for word in ("[red]x[/red] :smile: \\x1b[31m", "[bold]y", "[link=z]"):
        assert word in text


def test_wide_characters_take_their_cells() -> None:
    text = drawn(Document([Table(("NAME", "B"), [["内存", "x"], ["abcd", "y"]])]))
    rows = text.splitlines()
    assert rows[-2].index("x") + 2 == rows[-1].index("y")
