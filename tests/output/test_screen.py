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


# Text, page and what colours are used, rrggbb, as these terminals have them at first.
PALETTES = {
    "xterm on white": ("000000", "ffffff", {"red": "cd0000", "magenta": "cd00cd"}),
    "xterm on black": ("e5e5e5", "000000", {"red": "cd0000", "magenta": "cd00cd"}),
    "GNOME light": ("171421", "ffffff", {"red": "c01c28", "magenta": "a347ba"}),
    "GNOME dark": ("d0cfcc", "171421", {"red": "c01c28", "magenta": "a347ba"}),
    "Solarized light": ("657b83", "fdf6e3", {"red": "dc322f", "magenta": "d33682"}),
    "Solarized dark": ("839496", "002b36", {"red": "dc322f", "magenta": "d33682"}),
}


def luminance(colour: str) -> float:
    """WCAG 2.1's relative luminance of rrggbb."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", PALETTES)
def test_every_colour_can_be_read(name: str) -> None:
    """In the terminal's own colours, of which xterm's green and yellow on white have contrasts of 2.2 and 1.7."""
    text, page, colours = PALETTES[name]
    for word in {word for style in STYLES.values() for word in style.split()} - {"bold"}:
        dark, light = sorted(map(luminance, (colours[word], page)))
        assert (light + 0.05) / (dark + 0.05) > 2.7, word
    assert STYLES[""] == ""
    assert luminance(text) != luminance(page)


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
