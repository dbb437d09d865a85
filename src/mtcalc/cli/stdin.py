# SPDX-License-Identifier: GPL-2.0-only
"""`-` for a value: values from standard input, one a line, answered in order, as they arrive."""

from __future__ import annotations

import os
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import suppress

from mtcalc.text.errors import InputError, Place

CHUNK = 1 << 16
"""Bytes read at a time, at most: enough that the loop around them costs nothing, and what is made of them stays in
the processor's cache. A line has no more either."""


def blocks(what: str, line_holds: str) -> Iterator[tuple[int, bytes]]:
    """Standard input as it arrives: whole lines, each with its end, and the number of the first of them.

    A byte order mark in front is dropped, an end put behind the last line. `what` names the values, `line_holds`
    what is on a line. Raises InputError where nothing can be read, and for a line of more than CHUNK bytes.
    """
    rest = b""
    number = 1
    begun = False
    while True:
        data = _read(what)
        if not data:
            break
        rest += data
        if not begun and (len(rest) >= len(BOM_UTF8) or b"\n" in rest):
            rest, begun = rest.removeprefix(BOM_UTF8), True
        end = rest.find(b"\n")
        if (len(rest) if end < 0 else end) > CHUNK:
            raise InputError(f"a line of more than 64 KiB ({line_holds})", Place("-", number, 1))
        whole = rest.rfind(b"\n") + 1
        if whole:
            lines, rest = rest[:whole], rest[whole:]
            yield number, lines
            number += lines.count(b"\n")
    if rest:
        yield number, rest + b"\n"


def _read(what: str) -> bytes:
    """What has arrived, b'' at the end. Raises InputError."""
    if sys.stdin is None:  # closed by the caller, and its number may be another file's by now
        raise InputError(f"-: standard input is closed ({what}, one a line)")
    try:
        return os.read(0, CHUNK)
    except OSError as error:
        raise InputError(f"-: {(error.strerror or str(error)).lower()} ({what}, one a line)") from None


def is_passed_over(line: bytes) -> bool:
    """Whether a line is blank or a comment."""
    begin = line.lstrip()
    return not begin or begin.startswith(b"#")


def text_of(line: bytes) -> str:
    """A line as it is read and as a message shows it: what is no UTF-8 as \\x.., without its end."""
    return line.decode("utf-8", "backslashreplace").rstrip("\r\n")


def answer_lines(answer: Callable[[str, int], None], what: str, line_holds: str) -> int:
    """Has every line that says something answered, by its text and number; the exit status: 2 if one was bad.

    `answer` writes to sys.stdout; it raises InputError for a bad line, and the rest goes on. Blank lines and lines
    that begin with # are passed over. Raises as blocks() does.
    """
    complaints = Complaints()
    for first, lines in blocks(what, line_holds):
        for number, raw in enumerate(lines.split(b"\n")[:-1], first):
            if is_passed_over(raw):
                continue
            try:
                answer(text_of(raw), number)
            except InputError as error:
                sys.stdout.flush()  # what was answered before stands before the message
                complaints.add(error)
        sys.stdout.flush()
    complaints.close()
    return 2 if complaints.count else 0


MOST_COMPLAINTS = 20
"""Bad lines of a stream that are named; the others are counted."""


class Complaints:
    """The bad lines of a stream: the first ones as they come, the number of the others at the end."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, error: InputError) -> None:
        """Another one."""
        self.count += 1
        if self.count <= MOST_COMPLAINTS:
            complain(error)

    def close(self) -> None:
        """The end of the stream."""
        more = self.count - MOST_COMPLAINTS
        if more > 0:
            complain(
                InputError(
                    f"-: and {more} more bad line{'s' if more > 1 else ''} (the first {MOST_COMPLAINTS} are above)"
                )
            )


def complain(error: InputError) -> None:
    """A bad line on standard error; where that is closed or full, the answers matter more."""
    with suppress(OSError, AttributeError):
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
