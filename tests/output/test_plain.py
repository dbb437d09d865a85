# SPDX-License-Identifier: GPL-2.0-only
"""Plain text: at most 80 columns of ASCII, whatever it is made of, and nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.kvm.notes import Note
from mtcalc.output.document import Block, Cell, Document, Fields, Table, grouped_notes
from mtcalc.output.plain import WIDTH, escape, render, table_lines, wrap

words = st.one_of(
    st.sampled_from(("0xfffffffffffff", "UC-", "WB", "slot-flag", "naïve 内存", "a\x1b[31mb", "the guest's MTRRs")),
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.text("abc -", max_size=200),
)


def solid(text: str) -> str:
    """Text without its blanks: what folding must keep."""
    return "".join(text.split())


@given(words, st.integers(0, 30), st.integers(40, 100))
def test_wrap_keeps_to_its_width_and_loses_nothing(text: str, lead: int, width: int) -> None:
    lines = list(wrap(text, "n" * lead, " " * lead, width))
    assert all(len(line) <= width for line in lines)
    assert solid("".join(lines)) == "n" * lead + solid(escape(text))


def test_wrap_breaks_at_blanks_and_long_words_where_they_must() -> None:
    assert list(wrap("one two three", "", "  ", 9)) == ["one two", "  three"]
    assert list(wrap("a abcdefghij", "> ", "  ", 7)) == ["> a", "  abcde", "  fghij"]
    assert list(wrap("", "note: ", "")) == ["note:"]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Tables of any shape: short columns, and a last one of any length."""
    count = draw(st.integers(1, 6))
    short = st.one_of(st.sampled_from(("0x0", "0xfffffffffffff", "4K", "UC*")), st.text("abc", max_size=12))
    rows = draw(st.lists(st.tuples(*[short] * (count - 1), words), max_size=4))
    return Table(tuple(f"C{n}" for n in range(count)), rows, draw(st.sampled_from(("", "a title"))))


@given(tables())
def test_a_table_keeps_to_80_columns_and_loses_nothing(table: Table) -> None:
    lines = list(table_lines(table))
    assert all(len(line) <= WIDTH and line.isascii() and line.isprintable() for line in lines)
    cells = [table.title, *table.columns, *(str(cell) for row in table.rows for cell in row)]
    assert solid("".join(lines)) == solid("".join(map(escape, cells)))
    assert all(line == line.rstrip() for line in lines)


def test_columns_stand_under_each_other() -> None:
    table = Table(("GPA", "LVL", "SLOT"), [("0x0", "4K", "ram"), ("0x100000000", "1G", Cell("blob", "warn"))])
    assert list(table_lines(table)) == [
        "GPA         LVL SLOT",
        "0x0         4K  ram",
        "0x100000000 1G  blob",
    ]


def test_a_last_cell_that_does_not_fit_goes_on_below() -> None:
    (header, first, *rest) = table_lines(Table(("A", "B"), [("x", "word " * 30)]))
    assert (header, first[:6]) == ("A B", "x word")
    assert all(line.startswith("  word") for line in rest)
    name = "n" * 100
    assert list(table_lines(Table(("A", "B"), [("x" * 70, name)])))[-3:] == [
        "x" * 70,
        "    " + "n" * 76,
        "    " + "n" * 24,
    ]


@given(st.lists(words, max_size=4), st.lists(words, max_size=3))
def test_a_document_is_80_columns_of_ascii(values: list[str], notes: list[str]) -> None:
    blocks: list[Block] = [Cell("rules x", "strong"), Fields([("name", value) for value in values], "fields"), *values]
    lines = list(render(Document(blocks, notes)))
    assert all(len(line) <= WIDTH and line.isascii() and line.isprintable() for line in lines)


def test_a_blank_line_before_tables_and_fields() -> None:
    """One behind them and before the notes too; none between sentences, nor below a heading."""
    blocks: list[Block] = [
        "title",
        "more",
        Table(("A",), [["x"]]),
        Fields([("k", "v")]),
        "end",
        Fields((), "head"),
        "of",
    ]
    lines = list(render(Document(blocks, ["said"])))
    assert lines == ["title", "more", "", "A", "x", "", "k  v", "", "end", "", "head", "of", "", "note: said"]
    assert list(render(Document([], ["said"]))) == ["note: said"]


WIDE = Table(
    ("GPA", "END", "RULE", "SLOT"),
    [("0x0", "0xfff", "coherent", "ram"), ("0x1000", "0x1fff", "coherent", "ram"), ("0x2000", "0x2fff", "mmio", "b 0")],
    owners=2,
)


ABOVE = """\
GPA    END    RULE
SLOT ram
0x0    0xfff  coherent
0x1000 0x1fff coherent
SLOT b 0
0x2000 0x2fff mmio"""

BOTH_ABOVE = """\
GPA    END
SLOT ram, RULE coherent
0x0    0xfff
0x1000 0x1fff
SLOT b 0, RULE mmio
0x2000 0x2fff"""

IN_TURN = """\
GPA    END
0x0    0xfff
0x1000 0x1fff
0x2000 0x2fff

GPA    RULE
0x0    coherent
0x1000 coherent
0x2000 mmio

GPA    SLOT
0x0    ram
0x1000 ram
0x2000 b 0"""


@pytest.mark.parametrize(
    ("width", "owners", "wanted"), [(26, 2, ABOVE), (23, 2, ABOVE), (21, 2, BOTH_ABOVE), (15, 0, IN_TURN)]
)
def test_a_table_that_is_too_wide(width: int, owners: int, wanted: str) -> None:
    lines = list(table_lines(WIDE._replace(owners=owners), width))
    assert lines == [part for line in wanted.split("\n") for part in wrap(line, "", "    ", width)]


def test_a_table_that_has_room_is_left_alone() -> None:
    for owners in (0, 2):
        assert list(table_lines(WIDE._replace(owners=owners), 27)) == [
            "GPA    END    RULE     SLOT",
            "0x0    0xfff  coherent ram",
            "0x1000 0x1fff coherent ram",
            "0x2000 0x2fff mmio     b 0",
        ]


def test_a_word_that_is_too_long_is_broken_at_its_joints() -> None:
    name = "pc.ram-below-4g-with-a-long-name"
    assert list(wrap(name, "", "", 20)) == ["pc.ram-below-4g-", "with-a-long-name"]
    assert list(wrap("x" * 25, "", "", 20)) == ["x" * 20, "x" * 5]


def test_a_title_goes_on_further_in_than_what_it_is_of() -> None:
    document = Document([Fields([("", "said " * 12)], "1. a rule: " + "words " * 14)])
    assert [len(line) - len(line.lstrip()) for line in render(document)] == [0, 4, 2]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("naïve", "na\\xefve"),
        ("\x1b[0m", "\\x1b[0m"),
        ("内", "\\u5185"),
        ("😀", "\\U0001f600"),
        ("\n", "\\n"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_notes_are_said_once_with_whom_they_concern() -> None:
    pairs = [
        (who, Note("bar", what)) for who, what in (("ram", "a"), ("bar", "a"), ("", "b"), ("ram", "a"), ("ram", "c"))
    ]
    assert grouped_notes(pairs) == ["ram, bar: a", "b", "ram: c"]
    many = [(f"s{n}", Note("bar", "x")) for n in range(7)]
    assert grouped_notes(many) == ["s0, s1, s2, s3 and 3 more: x"]
