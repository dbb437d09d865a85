# SPDX-License-Identifier: GPL-2.0-only
"""decode pat -: values of IA32_PAT from standard input, one a line, in any form that VALUE has."""

from __future__ import annotations

from mtcalc.cli.stdin import answer_lines
from mtcalc.cli.stdout import writer
from mtcalc.output.decode import pat_document, pat_record, pat_rows
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.pat import Pat, parse_pat


def stream(form: str) -> int:
    """Answers standard input in plain, jsonl, csv or tsv; the exit status: 2 if a line was bad."""
    # Of several values, each row says whose it is.
    write = writer(form, pat_document, pat_record, ("value", "entry", "type"), _rows)

    def answer(line: str, number: int) -> None:
        if not line.strip():  # blanks that only Unicode knows are passed over too
            return
        try:
            pat = parse_pat(line)
        except ValueError as error:
            column = len(line) - len(line.lstrip()) + 1
            raise InputError(str(error), Place("-", number, column, line)) from None
        write(pat)

    return answer_lines(answer, "values of IA32_PAT", "a value, or eight types")


def _rows(pat: Pat) -> list[tuple[str, ...]]:
    return [(f"{pat.value:#018x}", *row) for row in list(pat_rows(pat))[1:]]
