# SPDX-License-Identifier: GPL-2.0-only
"""decode pat -: values of IA32_PAT from standard input, one a line, in any form that VALUE has."""

from __future__ import annotations

import sys
from collections.abc import Callable

from mtcalc.cli.stream_lines import answer_lines
from mtcalc.output.decode import pat_document, pat_record, pat_rows
from mtcalc.output.plain import render
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.pat import Pat, parse_pat


def stream(form: str) -> int:
    """Answers standard input in plain, jsonl, csv or tsv; the exit status: 2 if a line was bad."""
    write = _writer(form)

    def answer(line: str, number: int) -> None:
        try:
            pat = parse_pat(line)
        except ValueError as error:
            column = len(line) - len(line.lstrip()) + 1
            raise InputError(str(error), Place("-", number, column, line)) from None
        write(pat)

    return answer_lines(answer, "values of IA32_PAT", "a value, or eight types")


def _writer(form: str) -> Callable[[Pat], None]:
    out = sys.stdout
    if form == "jsonl":
        import json

        return lambda pat: print(json.dumps(pat_record(pat)))
    if form in ("csv", "tsv"):
        import csv

        rows = csv.writer(out, "excel-tab" if form == "tsv" else "excel", lineterminator="\n")
        rows.writerow(("value", "entry", "type"))  # of several values, each row says whose it is
        return lambda pat: rows.writerows((f"{pat.value:#018x}", *row) for row in list(pat_rows(pat))[1:])
    first = True

    def plain(pat: Pat) -> None:
        nonlocal first
        if not first:
            out.write("\n")
        first = False
        out.writelines(f"{text}\n" for text in render(pat_document(pat)))

    return plain
