# SPDX-License-Identifier: GPL-2.0-only
"""Markdown, HTML and SVG: nothing breaks out, nothing is lost, nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mtcalc.output.bars import Bars
from mtcalc.output.document import (
    CACHED,
    COMBINING,
    FAINT,
    STRONG,
    UNCACHED,
    WARN,
    Block,
    Cell,
    Document,
    Fields,
    Table,
    text_of,
)
from mtcalc.output.emit import PAGES
from mtcalc.output.markup import DARK, LIGHT, html, markdown
from mtcalc.output.plain import render as plain
from mtcalc.output.svg import PROSE, fill, layout, svg, width_of
from mtcalc.text import markdown as md
from mtcalc.text.errors import columns_of, printable
from support.program import quick, run

ROOT = Path(__file__).parents[2]
TONES = ("", CACHED, COMBINING, UNCACHED, STRONG, WARN, FAINT)
NASTY = "a|b`c*d_e<f>&g\"h'i\nj\\k[l](m) ]]> --> <!-- </td></svg> #\u202e\ud800\x1b[31m\x85é漢\u0301"

texts = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="|`*_<>&\"'\n\\[]()#+-=~!:/.1 a", max_size=12),
    st.sampled_from((NASTY, "http://x", "| --- |", "~~~", "```", "---", "1. a", "\\", "&amp;", "<b>")),
)
cells = st.builds(Cell, texts, st.sampled_from(TONES)) | texts
tables = st.integers(1, 4).flatmap(
    lambda width: st.builds(
        Table,
        st.tuples(*[texts] * width),
        st.lists(st.tuples(*[cells] * width), max_size=3),
        texts,
    )
)
fields = st.builds(Fields, st.lists(st.tuples(texts, cells), max_size=3), texts)
documents = st.builds(Document, st.lists(cells | tables | fields, max_size=4), st.lists(texts, max_size=2))
NASTY_DOCUMENT = Document(
    [NASTY, Table((NASTY, "B"), [[NASTY, Cell(NASTY, CACHED)]], NASTY), Fields([("", NASTY), (NASTY, "x")], NASTY)],
    [NASTY],
)


def contents(document: Document) -> Iterator[str]:
    """Every text of a document."""
    for block in document.blocks:
        if isinstance(block, Table):
            yield from (block.title, *block.columns)
            yield from (text_of(cell) for row in block.rows for cell in row)
        elif isinstance(block, Fields):
            yield block.title
            yield from (text for name, value in block.rows for text in (name, text_of(value)))
        elif not isinstance(block, Bars):
            yield text_of(block)
    yield from document.notes


def whole(render: Callable[[Document], Iterator[str]], document: Document) -> str:
    """The page."""
    return "".join(f"{line}\n" for line in render(document))


def words(text: str) -> str:
    """Text without blanks, by which lines are folded and filled."""
    return "".join(printable(text).split())


# HTML and SVG


@pytest.mark.parametrize("render", [html, svg])
@given(document=documents)
@example(document=NASTY_DOCUMENT)
def test_pages_are_well_formed_xml_that_says_all_of_it(
    render: Callable[[Document], Iterator[str]], document: Document
) -> None:
    """The page parses, holds every text of the document as it is, in ASCII, and no element besides ours."""
    page = whole(render, document)
    assert page.isascii()
    root = ElementTree.fromstring(page)
    said = "".join("".join(root.itertext()).split())
    for text in contents(document):
        assert words(text) in said
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {
        *("html", "head", "meta", "title", "style", "body", "div", "table", "caption", "thead", "tbody", "tr", "th"),
        *("td", "h1", "h2", "p", "dl", "dt", "dd", "span", "b", "svg", "rect", "path", "text"),
    }
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or "href" in name or "src" in name}


@pytest.mark.parametrize("render", [html, svg])
def test_pages_point_at_nothing(render: Callable[[Document], Iterator[str]]) -> None:
    """No address but the names of the XML languages; no font, picture or sheet from elsewhere."""
    page = whole(render, Document(["title", Table(("A",), [["b"]]), Fields([("c", "d")])], ["e"]))
    without = re.sub(r'xmlns="http://www\.w3\.org/[^"]*"', "", page)
    for word in ("http", "url(", "@import", "@font-face", "href", "src", "//"):
        assert word not in without
    assert "<script" not in page


@pytest.mark.parametrize("render", [html, svg])
def test_tones_are_classes_with_a_colour_on_light_and_on_dark(render: Callable[[Document], Iterator[str]]) -> None:
    page = whole(render, Document([Table(tuple("abcdef"), [[Cell("x", tone) for tone in TONES[1:]]])]))
    light, _, dark = page.partition("@media (prefers-color-scheme: dark)")
    assert dark
    for tone in TONES[1:]:
        assert f'class="{tone}"' in page
        if tone != STRONG:
            assert LIGHT[tone] in light
            assert DARK[tone] in dark


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_every_tone_is_legible(colours: dict[str, str]) -> None:
    """WCAG 2.1, 1.4.3: text and its page have a contrast of at least 4.5."""
    page = _luminance(colours["page"])
    for role in ("text", CACHED, COMBINING, UNCACHED, WARN, FAINT):
        low, high = sorted((page, _luminance(colours[role])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, role


def test_an_html_table_has_its_cells_in_place() -> None:
    table = Table(("A", "B"), [["1", Cell("WB", CACHED)], ["<3", "4"]], "what")
    root = ElementTree.fromstring(whole(html, Document(["of it", table])))
    tag = "{http://www.w3.org/1999/xhtml}"
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter(f"{tag}tr")]
    assert rows == [["A", "B"], ["1", "WB"], ["<3", "4"]]
    assert [span.attrib for span in root.iter(f"{tag}span")] == [{"class": CACHED, "title": CACHED}]
    assert root.findtext(f".//{tag}title") == root.findtext(f".//{tag}h1") == "of it"
    assert root.findtext(f".//{tag}caption") == "what"


@given(document=documents)
@example(document=NASTY_DOCUMENT)
def test_a_picture_is_wide_and_high_enough_for_all_of_it(document: Document) -> None:
    """Nothing is cut: every text ends before the right edge and stands above the lower one."""
    root = ElementTree.fromstring(whole(svg, document))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert root.attrib["viewBox"] == f"0 0 {width:.0f} {height:.0f}"
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        assert float(text.attrib["x"]) + float(text.attrib["textLength"]) <= width
        assert float(text.attrib["y"]) <= height


@given(document=documents)
def test_the_pieces_of_a_line_do_not_touch(document: Document) -> None:
    for line in layout(document):
        for before, after in zip(line.pieces, line.pieces[1:], strict=False):
            assert before.end < after.column


@given(texts, st.integers(1, 30))
def test_filled_lines_are_the_text_again(text: str, room: int) -> None:
    lines = list(fill(text, room))
    assert " ".join(lines) == text
    for line in lines:
        assert columns_of(line) <= room or " " not in line.strip(" ")


def test_prose_is_filled_to_the_widest_table() -> None:
    prose = "word " * 100
    wide = Table(("A",), [["x" * (PROSE + 40)]])
    assert width_of(layout(Document([prose]))) <= PROSE
    assert PROSE < width_of(layout(Document([wide, prose]))) == PROSE + 40


def test_wide_characters_take_two_columns() -> None:
    table = Table(("A", "B"), [["漢字漢字", "x"], ["é", "y"]])
    columns = [line.pieces[1].column for line in layout(Document([table]))]
    assert columns == [10, 10, 10]


# Markdown

_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_LIVE = re.compile(r"[`*_\[\]<|~&]")


def cells_of(line: str) -> list[str]:
    """The cells of a table's line as GitHub cuts it: at every | that has no backslash before it."""
    assert line.startswith("| ")
    assert line.endswith(" |")
    return [cell.strip(" ") for cell in re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]]


def shown(text: str) -> str:
    """What Markdown shows of inline text; nothing in it may be left that means something."""
    assert not _LIVE.search(_ESCAPED.sub("", text)), text
    return _ESCAPED.sub(r"\1", text)


@given(tables)
@example(Table((NASTY, "B"), [[NASTY, Cell(NASTY, WARN)]]))
def test_a_markdown_table_holds_each_cell_as_text(table: Table) -> None:
    """Any name stays in its cell: as many cells a row as columns, and nothing in them is markup."""
    lines = list(markdown(Document([table._replace(title="")])))
    head, rule, *rows = lines
    assert len(rows) == len(table.rows)
    assert re.fullmatch(r"\|( -{3,} \|)+", rule)
    assert rule.count("|") == len(table.columns) + 1
    for line, cells_meant in zip((head, *rows), (table.columns, *table.rows), strict=True):
        assert [shown(cell) for cell in cells_of(line)] == [printable(text_of(c)).strip(" ") for c in cells_meant]


@given(texts)
@example("# a")
@example("1. a")
@example("- a")
@example("    code")
@example("> a")
def test_a_paragraph_is_a_paragraph(text: str) -> None:
    (line,) = markdown(Document([text]))
    assert "\n" not in line
    assert shown(line) == printable(text.strip(" "))
    assert not re.match(r"\s|[#>+=-]|\d+[.)](\s|$)", line)


@given(documents)
@example(NASTY_DOCUMENT)
def test_markdown_says_all_of_it_in_lines_of_its_own(document: Document) -> None:
    lines = list(markdown(document))
    assert not any("\n" in line or "\r" in line for line in lines)
    said = "".join("".join(_ESCAPED.sub(r"\1", line).split()) for line in lines)
    for text in contents(document):
        assert words(text) in said


@given(texts)
def test_code_is_closed_where_it_should_be(text: str) -> None:
    made = md.code(text)
    fence = re.match("`+", made)
    assert fence
    assert made.endswith(fence[0])
    inner = made[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in inner.strip(" ")
    assert "|" not in inner.replace("\\|", "")


LOOKUP = """\
**rules v6.7, VMX with EPT**

- **EPT**: 0x30  WB, guest PAT honoured
- **rule**: guest-mtrr: otherwise -> guest MTRR type\\
  with non-coherent DMA the guest's MTRRs and PAT are honoured

| PAT        | UC  | UC- | WC  | WT  | WP  | WB  |
| ---------- | --- | --- | --- | --- | --- | --- |
| guest gets | UC  | UC  | WC  | WT  | WP  | WB  |
"""


def test_lookup_in_markdown() -> None:
    assert quick("lookup", "-r", "v6.7", "--noncoherent-dma", "-o", "markdown") == (0, LOOKUP, "")


# Every command


VFIO = str(ROOT / "examples" / "vfio.yaml")
COMMANDS: list[tuple[str, ...]] = [
    ("lookup",),
    ("lookup", "-r", "v6.7", "-r", "v6.16"),
    ("eval", VFIO),
    ("eval", VFIO, "--gpa", "0"),
    ("table", "--noncoherent-dma"),
    ("table", "--where", "effective=WC"),
    ("explain", "--mmio"),
    ("mtrr", VFIO),
    ("mtrr", VFIO, "--gpa", "3G"),
    ("rules", "list"),
    ("rules", "show", "slot-flag"),
    ("decode", "pat", "linux"),
    ("decode", "mtrr", "0x2ff=0xc06"),
    ("decode", "epte", "0x600000455299b77"),
    ("diff", "v6.7", "slot-flag"),
    ("check", str(ROOT / "examples" / "virtio-gpu.yaml")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(Path(word).name for word in command))
def test_every_command_has_pages_that_say_what_plain_says(command: tuple[str, ...]) -> None:
    plain = quick(*command, "-o", "plain")
    said = {word for word in re.findall(r"\w{2,}", plain.out) if word != "note"}
    assert said
    for form in PAGES:
        done = quick(*command, "-o", form)
        assert (done.status, done.err) == (plain.status, ""), form
        text = done.out
        if form == "markdown":
            text = _ESCAPED.sub(r"\1", text)
        else:
            text = " ".join(ElementTree.fromstring(text).itertext())
        # Plain text breaks the longest words at the line's end.
        missing = [word for word in said if word not in text and not re.search(rf"{word}$|^\s*{word}", plain.out, re.M)]
        assert not missing, form


def test_pages_are_the_same_on_an_ascii_stream() -> None:
    """HTML and SVG say what is not ASCII by number, so that they are right in any encoding."""
    scenario = "memslots: [{name: 漢字é, gpa: 0, size: 4K}]"
    for form in ("html", "svg"):
        utf8 = run("eval", "-", "-o", form, stdin=scenario)
        ascii_ = run("eval", "-", "-o", form, stdin=scenario, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
        assert utf8 == ascii_
        assert "漢字é" in "".join(ElementTree.fromstring(utf8.out).itertext())


def test_a_stream_has_no_pages() -> None:
    for form in PAGES:
        done = quick("eval", VFIO, "--gpa", "-", "-o", form)
        assert (done.status, done.out) == (2, "")
        assert f"--gpa - does not go with -o {form}" in done.err


def test_nothing_to_show_is_an_empty_page() -> None:
    empty: list[Block] = []
    for render in (html, svg):
        ElementTree.fromstring(whole(render, Document(empty)))
    assert list(markdown(Document(empty))) == []


def test_no_blank_line_is_doubled() -> None:
    """Nor does one begin or end a document: headings with and without lines of their own, tables, notes."""
    head = Fields((), "a heading")
    blocks: list[Block] = [
        "title",
        head,
        "of it",
        head,
        Table(("A",), [["x"]], "t"),
        "behind",
        Fields([("k", "v")], "f"),
        head,
        head,
    ]
    for render in (markdown, plain):
        lines = list(render(Document(blocks, ["n", "m"])))
        assert lines[0]
        assert lines[-1]
        assert "\n\n\n" not in "\n".join(lines)
