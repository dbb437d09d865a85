# SPDX-License-Identifier: GPL-2.0-only
"""The located error, and where its caret stands in a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.text.errors import LONGEST_MESSAGE, InputError, Place, excerpt, printable, shown
from mtcalc.text.suggest import did_you_mean, nearest


def cells(text: str) -> int:
    """Columns of a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
        for char in text
    )


def test_the_whole_report() -> None:
    error = InputError("unknown key 'gpaa' (did you mean gpa?)", Place("vm.yaml", 3, 5, "  - gpaa: 0"))
    assert str(error) == "vm.yaml:3:5: unknown key 'gpaa' (did you mean gpa?)\n    - gpaa: 0\n      ^"
    assert str(InputError("no place (none)")) == "no place (none)"
    assert str(InputError("no source (none)", Place("-", 1, 1))) == "-:1:1: no source (none)"
    assert str(error.place) == "vm.yaml:3:5"


@pytest.mark.parametrize(
    ("source", "column", "shown"),
    [
        ("abc", 1, "  abc\n  ^"),
        ("abc", 3, "  abc\n    ^"),
        ("abc", 4, "  abc\n     ^"),  # behind the end
        ("abc", 99, "  abc\n     ^"),
        ("abc", 0, "  abc\n  ^"),
        ("a  ", 2, "  a\n   ^"),
        ("\tabc", 2, "   abc\n   ^"),
        ("a\tb\tc", 5, "  a b c\n      ^"),
        ("a\x1b[2Jb", 6, "  a\\x1b[2Jb\n          ^"),
        ("\x07x", 1, "  \\x07x\n  ^"),
        ("x\u202ey", 3, "  x\\u202ey\n         ^"),
        ("名前: x", 5, "  名前: x\n        ^"),
        ("\uff21x", 2, "  \uff21x\n    ^"),
        ("e\u0301x", 3, "  e\u0301x\n   ^"),
        ("äx", 2, "  äx\n   ^"),
    ],
)
def test_the_caret_stands_under_its_column(source: str, column: int, shown: str) -> None:
    """A tab is one blank, a control character its escape; wide characters take two columns, combining marks none."""
    assert excerpt(source, column) == shown


def test_a_long_line_is_cut_around_the_caret() -> None:
    source = "".join(chr(ord("a") + n % 26) for n in range(500))
    for column in (1, 38, 39, 76, 77, 250, 460, 462, 500, 501):
        line, caret = (part[2:] for part in excerpt(source, column).split("\n"))
        assert len(line) == 76
        assert line in source
        assert len(caret) - 1 <= 76
        if column <= 500:
            assert line[len(caret) - 1] == source[column - 1]
            assert source.index(line) <= column - 1
    assert excerpt(source, 1).startswith("  abc")
    assert excerpt(source, 500).split("\n")[0].endswith(source[-76:])
    assert excerpt("x" * 76, 76) == f"  {'x' * 76}\n  {' ' * 75}^"


def test_a_line_of_many_megabytes_costs_no_more_than_what_is_shown() -> None:
    source = "x" * (1 << 24)
    assert excerpt(source, 1 << 23) == f"  {'x' * 76}\n  {' ' * 38}^"


@given(st.text(st.sampled_from("ab \t\x00\x1b\u202e名\uff21é\U0001f600"), max_size=120), st.integers(-3, 130))
def test_an_excerpt_fits_and_points_at_its_character(source: str, column: int) -> None:
    """At most 76 columns (and a caret behind them), nothing that steers a terminal, the caret under the column."""
    text = excerpt(source, column)
    line, caret = text.split("\n")
    assert line.startswith("  ") or not line.strip()
    assert printable(line) == line
    assert cells(line) <= 78
    assert caret.strip() == "^"
    assert len(caret) <= 79
    index = min(max(column - 1, 0), len(source))
    if index < len(source):
        pointed = printable(source[index].replace("\t", " "))
        rest = line
        while cells(line) - cells(rest) < len(caret) - 1 and rest:
            rest = rest[1:]
        assert rest.startswith(pointed) or not pointed.strip()


@given(st.text(max_size=30))
def test_printable_text_has_no_control_characters_and_plain_text_stays(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize("part", ["file", "message", "source"])
def test_no_part_of_a_report_steers_the_terminal(part: str) -> None:
    evil = "a\x1b]0;title\x07b"
    error = InputError(
        evil if part == "message" else "wrong (right)",
        Place(evil if part == "file" else "f", 1, 1, evil if part == "source" else "x"),
    )
    assert "\x1b" not in str(error)
    assert "\x07" not in str(error)
    assert "a\\x1b]0;title\\x07b" in str(error)


def test_the_nearest_words() -> None:
    words = ["READONLY", "GUEST_MEMFD", "NON_COHERENT_DMA"]
    assert nearest("readonyl", words) == ["READONLY"]
    assert nearest("zzz", words) == []
    assert did_you_mean("non_coherent", words) == "did you mean NON_COHERENT_DMA?"
    assert did_you_mean("zzz", words) == "one of READONLY, GUEST_MEMFD, NON_COHERENT_DMA"


@given(st.text(max_size=3000), st.text(max_size=400))
def test_a_message_is_cut_in_front_of_its_remedy(what: str, remedy: str) -> None:
    """No report passes 1,000 characters, and what would be right is kept where it is not itself too long."""
    remedy = remedy.replace("(", "").replace(")", "")
    message = f"{what} ({remedy})"
    text = shown(message)
    assert len(text) <= LONGEST_MESSAGE
    if len(printable(message)) <= LONGEST_MESSAGE:
        assert text == printable(message)
    elif len(printable(remedy)) <= LONGEST_MESSAGE // 4:
        assert text.endswith(f"... ({printable(remedy)})")


def test_a_whole_report_has_less_than_1000_characters() -> None:
    long = "\x1b" * 5000
    for place in (None, Place(f"/{long}/x.yaml", 1 << 30, 1 << 30, long), Place("x" * 4096, 1, 1, "y" * 4096)):
        assert len(str(InputError(f"{long} ({long})", place))) < 1000
    assert str(InputError("no", Place("d/" * 200 + "x.yaml", 1, 1))).endswith("d/x.yaml:1:1: no")
