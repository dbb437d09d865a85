# SPDX-License-Identifier: GPL-2.0-only
"""decode epte -: entries from standard input, one a line, answered line by line in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from mtcalc.cli.stdin import answer_lines
from mtcalc.cli.stdout import writer
from mtcalc.kvm.spte import Spte
from mtcalc.output.spte import spte_document, spte_header, spte_record, spte_row
from mtcalc.text.errors import InputError, Place
from mtcalc.text.numbers import parse_entry

_KNOWN = 1 << 12
"""Entries remembered: a trace has the same ones over and over."""

Read = Callable[[int, int | None], Spte]


def stream(form: str, read: Read) -> int:
    """Answers standard input in plain, jsonl, csv or tsv; the exit status: 2 if a line was bad.

    `read` makes an SPTE of a value and a level, None where the line names none.
    """
    write = writer(form, lambda spte: spte_document([spte]), spte_record, spte_header(), lambda spte: [spte_row(spte)])

    known = lru_cache(maxsize=_KNOWN)(read)

    def answer(line: str, number: int) -> None:
        if line.strip():  # blanks that only Unicode knows are passed over too
            write(known(*_parse(line, number)))

    return answer_lines(answer, "entries", "an entry, then a level if you like")


def _parse(line: str, number: int) -> tuple[int, int | None]:
    """VALUE, VALUE LEVEL or VALUE level LEVEL. Raises InputError at the word that is wrong."""
    words = line.split()
    columns: list[int] = []
    at = 0
    for word in words:
        at = line.index(word, at)
        columns.append(at + 1)
        at += len(word)
    k = 0
    try:
        value = parse_entry(words[0])
        k = 1
        if len(words) > 2 and words[1].lower() == "level":
            k = 2
        if len(words) > k + 1:
            k += 1
            raise ValueError(f"'{words[k]}' is one word too many (an entry, then a level if you like)")
        if len(words) == 1:
            return value, None
        if words[k] not in ("1", "2", "3", "4", "5"):
            raise ValueError(f"'{words[k]}' is no level (1 to 5)")
        return value, int(words[k])
    except ValueError as error:
        raise InputError(str(error), Place("-", number, columns[k], line)) from None
