# SPDX-License-Identifier: GPL-2.0-only
"""Markdown, and what click knows of a command, as the man macros of groff."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

_PARSER = MarkdownIt("commonmark").enable("table")
LINKS: dict[str, tuple[str, int]] = {}
"""A page of docs/ by its file: the manual page that says the same. docs/_man.py fills it."""

_WIDE = 70
"""Columns that are left for a table beside the margin."""

_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


def text(words: str) -> str:
    """Plain words, nothing in them a request or an escape."""
    escaped = words.replace("\\", "\\e").replace("^", "\\(ha").replace("~", "\\(ti").replace("`", "\\(ga")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", escaped.replace("'", "\\(aq").replace("-", "\\-"))


def prose(words: str) -> str:
    """Words of a sentence: a hyphen stays one, and options stand out."""
    parts, at = [], 0
    for match in _OPTION.finditer(words):
        parts += [text(words[at : match.start()]).replace("\\-", "-"), bold(match[0])]
        at = match.end()
    return "".join([*parts, text(words[at:]).replace("\\-", "-")])


def bold(words: str) -> str:
    """Words to be typed as they are."""
    return f"\\fB{text(words)}\\fR"


def example(lines: Sequence[str]) -> Iterator[str]:
    """Lines as they are, set apart; wide ones from the left margin on, so that 80 columns have them whole."""
    width = max(map(len, lines))
    indent = "+2n" if width <= 71 else "+0n" if width <= 73 else "0"
    yield from (".PP", f".in {indent}", ".EX", *map(text, lines), ".EE", ".in")


def markdown(source: str) -> Iterator[str]:
    """The lines of a page: level 2 headings are sections, level 3 subsections, level 1 is left out.

    A link to another page becomes the name of a manual page. Raises KeyError where LINKS has none.
    """
    tokens = _PARSER.parse(re.sub(r"<!--.*?-->\n?", "", source, flags=re.S))
    yield from _blocks(tokens)


def _blocks(tokens: Sequence[Token]) -> Iterator[str]:
    at = 0
    fresh = False  # an item's tag stands above, so its first paragraph needs no request
    while at < len(tokens):
        token = tokens[at]
        if token.type == "heading_open":
            words = _inline(tokens[at + 1])
            if token.tag == "h2":
                yield f".SH {_heading(words).upper()}"
            elif token.tag == "h3":
                yield f".SS {_heading(words)}"
            at += 3
            continue
        if token.type == "paragraph_open":
            if not fresh:
                yield ".PP"
            yield _inline(tokens[at + 1])
            fresh = False
            at += 3
            continue
        if token.type in ("fence", "code_block"):
            yield from example(token.content.rstrip("\n").split("\n"))
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            end = _end(tokens, at)
            yield from _list(tokens[at + 1 : end], token.type == "ordered_list_open")
            at = end
        elif token.type == "table_open":
            end = _end(tokens, at)
            yield from _table(tokens[at + 1 : end])
            at = end
        elif token.type == "blockquote_open":
            end = _end(tokens, at)
            yield from (".RS", *_blocks(tokens[at + 1 : end]), ".RE")
            at = end
        fresh = False
        at += 1


def _end(tokens: Sequence[Token], at: int) -> int:
    """Where what opens at a token closes."""
    depth = 0
    for here in range(at, len(tokens)):
        depth += tokens[here].nesting
        if depth == 0:
            return here
    raise AssertionError("a block without end")


def _list(tokens: Sequence[Token], numbered: bool) -> Iterator[str]:
    at = number = 0
    while at < len(tokens):
        end = _end(tokens, at)
        number += 1
        inner = list(_blocks(tokens[at + 1 : end]))
        yield f".IP {number}. 4" if numbered else ".IP \\(bu 2"
        first, *rest = inner[1:] if inner[:1] == [".PP"] else inner
        yield first
        if rest:
            yield from (".RS 4" if numbered else ".RS 2", *rest, ".RE")
        at = end + 1


def _table(tokens: Sequence[Token]) -> Iterator[str]:
    """A row an item: its first cell is the tag, the others follow with their columns' names."""
    rows: list[list[str]] = []
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append(_inline(tokens[at + 1]))
    header, *body = rows
    plain = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    if len(header) > 2 and sum(widths) + 2 * len(widths) <= _WIDE:
        yield from _columns(rows, widths)
        return
    for row in body:
        yield ".TP"
        yield row[0] or "\\ "
        cells = [
            cell if name == header[-1] else f"{name.lower()} {cell}"
            for name, cell in list(zip(header, row, strict=True))[1:]
            if cell
        ]
        yield "; ".join([*cells[-1:], *cells[:-1]]) if cells else "\\ "


def _columns(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    """A narrow table as lines in columns; its cells keep their fonts."""
    lines = []
    for row in rows:
        cells = (cell + " " * (width - len(_plain(cell))) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    yield from (".PP", ".in +2n", ".EX", *lines, ".EE", ".in")


def _plain(words: str) -> str:
    """Words without fonts and escapes, as they come out."""
    shown = {"\\(ha": "^", "\\(ti": "~", "\\(ga": "`", "\\(aq": "'", "\\e": "\\", "\\-": "-", "\\&": ""}
    return re.sub(r"\\f[BIR]|\\\((?:ha|ti|ga|aq)|\\[e&-]", lambda found: shown.get(found[0], ""), words)


def _heading(words: str) -> str:
    plain = re.sub(r"\\f[BIR]", "", words)
    return f'"{plain}"' if " " in plain else plain


def _inline(token: Token) -> str:
    parts: list[str] = []
    named = ""  # the manual page of an open link, whose words it stands for
    for child in token.children or ():
        if child.type == "link_open":
            named = _named(str(child.attrs["href"]))
            parts.append(named)
        elif child.type == "link_close":
            named = ""
        elif named:
            continue
        elif child.type == "text":
            parts.append(text(child.content).replace("\\-", "-"))
        elif child.type == "code_inline":
            parts.append(bold(child.content))
        elif child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type in ("em_open", "strong_open"):
            parts.append("\\fI" if child.type == "em_open" else "\\fB")
        elif child.type in ("em_close", "strong_close"):
            parts.append("\\fR")
    joined = "".join(parts)
    return re.sub(r"(?m)^(?=[.'])", r"\\&", joined)


def _named(target: str) -> str:
    """What stands for a link: a manual page's name; nothing for one that goes elsewhere, whose words stay."""
    if target.startswith(("#", "../examples/")) or "://" in target:
        return ""
    name, section = LINKS[target.partition("#")[0]]
    return f"{bold(name)}({section})"
