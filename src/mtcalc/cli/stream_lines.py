# SPDX-License-Identifier: GPL-2.0-only
"""`-` for a value: values from standard input, one a line, answered line by line in order."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import suppress

from mtcalc.text.errors import InputError, Place

LONGEST = 1 << 16
"""Bytes of a line, at most."""


def answer_lines(answer: Callable[[str, int], None], what: str, line_holds: str) -> int:
    """Has every line that says something answered, by its text and number; the exit status: 2 if one was bad.

    `answer` raises InputError for a bad line, and the rest goes on. A byte order mark in front of the first line,
    blank lines and lines that begin with # are passed over. `what` names the values, `line_holds` what is on a line.
    Raises InputError where nothing can be read.
    """
    status = 0
    for number, line in _lines(what, line_holds):
        try:
            answer(line, number)
        except InputError as error:
            status = 2
            sys.stdout.flush()
            complain(str(error))
            continue
        sys.stdout.flush()
    return status


def complain(message: str) -> None:
    """A line on standard error; where that is closed or full, the answers matter more."""
    with suppress(OSError, AttributeError):
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()


def _lines(what: str, line_holds: str) -> Iterator[tuple[int, str]]:
    if sys.stdin is None:
        raise InputError(f"-: standard input is closed ({what}, one a line)")
    number = 0
    while True:
        try:
            raw = sys.stdin.buffer.readline(LONGEST + 1)
        except OSError as error:
            raise InputError(f"-: {(error.strerror or str(error)).lower()} ({what}, one a line)") from None
        if not raw:
            return
        number += 1
        if number == 1:
            raw = raw.removeprefix(BOM_UTF8)
        if len(raw) > LONGEST:
            raise InputError(f"a line of more than 64 KiB ({line_holds})", Place("-", number, 1))
        line = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line
