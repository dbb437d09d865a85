# SPDX-License-Identifier: GPL-2.0-only
"""Documents as Markdown, and as one HTML page that needs nothing besides itself."""

from __future__ import annotations

from collections.abc import Iterator

from mtcalc.output import bars
from mtcalc.output.bars import Bars
from mtcalc.output.document import (
    CACHED,
    COMBINING,
    FAINT,
    STRONG,
    UNCACHED,
    WARN,
    Cell,
    Content,
    Document,
    Fields,
    Table,
    text_of,
)
from mtcalc.text import markdown as md
from mtcalc.text.errors import printable

# Colours by role, #rrggbb; text has a contrast of 4.5 to its page at least.
LIGHT = {
    "page": "#ffffff",
    "text": "#1f2328",
    "line": "#d1d9e0",
    CACHED: "#0f6b2f",
    COMBINING: "#7d4e00",
    UNCACHED: "#b3151f",
    WARN: "#b3151f",
    FAINT: "#59636e",
}
DARK = {
    "page": "#0d1117",
    "text": "#e6edf3",
    "line": "#3d444d",
    CACHED: "#56d364",
    COMBINING: "#e3b341",
    UNCACHED: "#ff8b85",
    WARN: "#ff8b85",
    FAINT: "#9198a1",
}
TYPE_TONES = (CACHED, COMBINING, UNCACHED)
"""Tones that say something of a memory type: the words are shown where a pointer rests on one."""


BAR_TONES = (*TYPE_TONES, WARN)
"""Tones of bars that stand on a field of their colour."""

WIDE = 120
"""Columns of a picture in a page, which scrolls sideways where the window is narrower."""


def plain_title(document: Document) -> str:
    """What a document is about, in a line: its first block."""
    first = document.blocks[0] if document.blocks else "mtcalc"
    if isinstance(first, Bars):
        return first.axis
    if isinstance(first, Table | Fields):
        return first.title or "mtcalc"
    return text_of(first)


def grouped(fields: Fields) -> list[tuple[str, list[Content]]]:
    """The fields with values that have no name put to the name above them."""
    groups: list[tuple[str, list[Content]]] = []
    for name, value in fields.rows:
        if name or not groups:
            groups.append((name, [value]))
        else:
            groups[-1][1].append(value)
    return groups


def markdown(document: Document) -> Iterator[str]:
    """The lines of a document in Markdown, without line ends."""
    for number, block in enumerate(document.blocks):
        if number:
            yield ""
        if isinstance(block, Table | Fields):
            if block.title:
                yield f"**{md.escape(block.title.strip(' '))}**"
            if block.title and block.rows:
                yield ""
            yield from _md_table(block) if isinstance(block, Table) else _md_fields(block)
        elif isinstance(block, Bars):
            yield from ("```", *("".join(cell.text for cell in line).rstrip() for line in bars.lines(block, 80)), "```")
        elif isinstance(block, Cell) and block.tone == STRONG:
            yield f"**{md.escape(block.text.strip(' '))}**"
        else:
            yield md.paragraph(text_of(block))
    for number, note in enumerate(document.notes):
        yield ">" if number else ""
        yield f"> note: {md.escape(note)}"


def _md_table(table: Table) -> list[str]:
    rows = [[md.escape(text_of(cell)) for cell in row] for row in table.rows]
    return md.table([md.escape(name) for name in table.columns], rows)


def _md_fields(fields: Fields) -> Iterator[str]:
    for name, values in grouped(fields):
        lines = [md.paragraph(text_of(value)) for value in values]
        if not name:
            yield from (f"- {line}" for line in lines)
            continue
        lines[0] = f"- **{md.escape(name)}**: {md.escape(text_of(values[0]))}"
        # A backslash before the line's end is a line break in the list's item.
        yield from "\\\n  ".join(lines).split("\n")


_RULES = """\
body {{ margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.25rem; }}
h2, caption {{ font-size: 1rem; font-weight: bold; text-align: left; }}
h2 {{ margin: 1.2rem 0 0.2rem; }}
p, dl {{ margin: 0.2rem 0; }}
dl + p {{ margin-top: 1rem; }}
.note {{ margin-top: 0.6rem; }}
caption {{ padding: 0.3rem 0.6rem 0.3rem 0; }}
.wide {{ overflow-x: auto; margin: 1rem 0; }}
table {{ border-collapse: collapse; font-family: ui-monospace, monospace; font-size: 0.9rem; }}
th, td {{ padding: 0.15rem 0.6rem 0.15rem 0; text-align: left; vertical-align: top; white-space: pre-wrap; }}
th, td:not(:last-child) {{ white-space: pre; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }}
dt {{ grid-column: 1; }}
dd {{ grid-column: 2; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }}
pre {{ font: 0.9rem/1.4 ui-monospace, monospace; margin: 0; }}
.bar {{ background: color-mix(in srgb, currentColor 16%, transparent); }}
.strong {{ font-weight: bold; }}
.warn {{ font-weight: bold; }}
@media (max-width: 40rem) {{ dl {{ display: block; }} dd {{ margin-left: 1rem; }} }}
{light}
@media (prefers-color-scheme: dark) {{
{dark}
}}"""


def _palette(colours: dict[str, str]) -> str:
    return "\n".join(
        (
            f"body {{ background: {colours['page']}; color: {colours['text']}; }}",
            f"th, td {{ border-bottom: 1px solid {colours['line']}; }}",
            f"dt, .{FAINT} {{ color: {colours[FAINT]}; }}",
            *(f".{tone} {{ color: {colours[tone]}; }}" for tone in (*TYPE_TONES, WARN)),
        )
    )


def html(document: Document) -> Iterator[str]:
    """The lines of a document as an HTML page, well-formed XML too, in ASCII, without line ends."""
    title = escape_xml(plain_title(document))
    yield "<!DOCTYPE html>"
    yield '<html xmlns="http://www.w3.org/1999/xhtml" lang="en">'
    yield f'<head><meta charset="utf-8"/><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
    yield '<meta name="color-scheme" content="light dark"/>'
    yield f"<style>\n{_RULES.format(light=_palette(LIGHT), dark=_palette(DARK))}\n</style></head>"
    yield "<body>"
    for number, block in enumerate(document.blocks):
        if isinstance(block, Table):
            yield from _html_table(block)
        elif isinstance(block, Fields):
            yield from _html_fields(block)
        elif isinstance(block, Bars):
            yield from _html_bars(block)
        elif number == 0:
            yield f"<h1>{title}</h1>"
        else:
            yield f"<p>{_span(block)}</p>"
    for note in document.notes:
        yield f'<p class="note"><b>note:</b> {escape_xml(note)}</p>'
    yield "</body></html>"


def _html_table(table: Table) -> Iterator[str]:
    yield '<div class="wide"><table>'
    if table.title:
        yield f"<caption>{escape_xml(table.title)}</caption>"
    head = "".join(f'<th scope="col">{escape_xml(name)}</th>' for name in table.columns)
    yield f"<thead><tr>{head}</tr></thead><tbody>"
    for row in table.rows:
        yield f"<tr>{''.join(f'<td>{_span(cell)}</td>' for cell in row)}</tr>"
    yield "</tbody></table></div>"


def _html_bars(block: Bars) -> Iterator[str]:
    drawn = ("".join(_html_bar(cell) for cell in line) for line in bars.lines(block, WIDE))
    yield f'<div class="wide"><pre>{chr(10).join(drawn)}</pre></div>'


def _html_bar(cell: Cell) -> str:
    if cell.tone not in BAR_TONES:
        return _span(cell)
    meaning = f' title="{cell.tone}"' if cell.tone in TYPE_TONES else ""
    return f'<span class="bar {cell.tone}"{meaning}>{escape_xml(cell.text)}</span>'


def _html_fields(fields: Fields) -> Iterator[str]:
    if fields.title:
        yield f"<h2>{escape_xml(fields.title)}</h2>"
    groups = grouped(fields)
    if groups and not groups[0][0]:
        yield from (f"<p>{_span(value)}</p>" for value in groups.pop(0)[1])
    if groups:
        yield "<dl>"
        for name, values in groups:
            yield f"<dt>{escape_xml(name)}</dt>{''.join(f'<dd>{_span(value)}</dd>' for value in values)}"
        yield "</dl>"


def _span(content: Content) -> str:
    text = escape_xml(text_of(content))
    tone = "" if isinstance(content, str) else content.tone
    if not tone:
        return text
    meaning = f' title="{tone}"' if tone in TYPE_TONES else ""
    return f'<span class="{tone}"{meaning}>{text}</span>'


def escape_xml(text: str) -> str:
    """Text in XML, between tags or in quotes; ASCII alone, whatever standard output can say."""
    shown = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return shown.encode("ascii", "xmlcharrefreplace").decode()
