# SPDX-License-Identifier: GPL-2.0-only
"""One result to one stream in the format asked for."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

from mtcalc.output.document import Document
from mtcalc.text.errors import printable
from mtcalc.text.record import Record

PEOPLE = ("table", "plain")
PAGES = ("markdown", "html", "svg")


class Result(Record):
    """A command's result, each form made only when asked for; None: the command has no such form."""

    document: Callable[[], Document]
    data: Callable[[], Any] | None = None  # json
    lines: Callable[[], Iterable[Any]] | None = None  # jsonl: an object a line
    rows: Callable[[], Iterable[Sequence[str]]] | None = None  # csv and tsv, header first
    yaml: Callable[[], str] | None = None
    own: Mapping[str, Callable[[], Iterable[str]]] = {}  # lines without their ends, of formats of this command alone


def formats(*, lines: bool = True, rows: bool = True) -> tuple[str, ...]:
    """The formats of a command that has these forms."""
    return (*PEOPLE, "json", *(("jsonl",) if lines else ()), *(("csv", "tsv") if rows else ()), *PAGES)


def write_rows(out: TextIO, rows: Iterable[Sequence[str]], form: str) -> None:
    """Rows as csv or tsv, a line each: what is not printable, tabs and line ends too, is written as \\x..."""
    import csv

    writer = csv.writer(out, "excel-tab" if form == "tsv" else "excel", lineterminator="\n")
    for row in rows:
        writer.writerow([cell if cell.isprintable() else printable(cell) for cell in row])


def emit(result: Result, form: str, colour: bool) -> None:
    """Writes a result on standard output."""
    out = sys.stdout
    if form == "table":
        from mtcalc.output.screen import render

        render(result.document(), out, colour)
    elif form == "plain":
        from mtcalc.output.plain import render as plain

        out.writelines(f"{line}\n" for line in plain(result.document()))
    elif form in PAGES:
        from mtcalc.output import markup, svg

        made = {"markdown": markup.markdown, "html": markup.html, "svg": svg.svg}[form](result.document())
        out.writelines(f"{line}\n" for line in made)
    elif form == "json" and result.data is not None:
        import json

        out.write(json.dumps(result.data(), indent=2) + "\n")
    elif form == "jsonl" and result.lines is not None:
        import json

        out.writelines(f"{json.dumps(line)}\n" for line in result.lines())
    elif form in ("csv", "tsv") and result.rows is not None:
        write_rows(out, result.rows(), form)
    elif form in result.own:
        out.writelines(f"{line}\n" for line in result.own[form]())
    elif form == "yaml" and result.yaml is not None:
        out.write(result.yaml())
    else:
        raise AssertionError(f"no form {form}")
