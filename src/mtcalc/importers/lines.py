# SPDX-License-Identifier: GPL-2.0-only
"""The lines of a dump that may matter, from files of any size in bounded memory.

The head of a file is looked at line by line. Behind it lines are passed over that are of no form by which a format
begins (mtcalc.importers.signs); around one that is, the lines are handed out until none has been of use for a while.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO

from mtcalc.importers.signs import Signs
from mtcalc.text.errors import InputError, Place
from mtcalc.text.packed import BLOCK, unpacked

HEAD = BLOCK
"""Bytes of which every line is handed out."""
LONGEST_LINE = 1 << 16
"""Bytes of a line; of a longer one the rest is passed over."""
WINDOW = 64
"""Lines handed out before one that matters, and behind it."""

Progress = Callable[[int, int], None]
"""Told the bytes read so far and the file's size, 0 where that is not known."""


def file_lines(path: str, whole: bool = False, progress: Progress | None = None) -> DumpLines:
    """The lines of a file, '-' for standard input. Raises InputError where it can't be opened."""
    try:
        if path == "-":
            if sys.stdin is None:
                raise InputError("-: standard input is closed (a file, or a pipe into the program)")
            return DumpLines(sys.stdin.buffer, path, whole, progress)
        return DumpLines(open(path, "rb"), path, whole, progress)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (a path, or - for standard input)") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"{path}: {reason.lower()} (a readable file)") from None


class DumpLines:
    """The numbered lines of one file; useful() says that the last one handed out was of a format."""

    def __init__(self, stream: BinaryIO, file: str, whole: bool = False, progress: Progress | None = None) -> None:
        self.file = file
        self._stream = stream
        self._whole = whole
        self._progress = progress
        self._until = 0  # the number of the last line to hand out whatever is in it
        self._at = 0
        self._signs = Signs()
        self._before: tuple[bytes, int] | None = None  # a block that was passed over, and how many lines before it
        self.bytes = 0
        self.passed_over = 0  # the first line that was not handed out, 0 for none

    def useful(self) -> None:
        """The line was of use: those behind it may be."""
        self._until = max(self._until, self._at + WINDOW)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        rest = b""
        over = False  # inside of a line that is too long
        for block in unpacked(self._blocks(), self.file):
            if b"\0" in block:
                raise self._binary(block, number, rest)
            data = rest + block
            if over:
                data = data[data.find(b"\n") :] if b"\n" in data else b""
                over = not data
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            if self._whole or self.bytes <= HEAD:
                self._until = max(self._until, number + data.count(b"\n"))
            if end:
                number += yield from self._of_block(data[:end], number)
            if len(rest) > LONGEST_LINE:
                yield from self._of_block(rest, number)
                rest, over = b"", True
        if rest:
            self._until = max(self._until, number + 1)
            yield from self._of_block(rest, number)

    def _of_block(self, data: bytes, number: int) -> Generator[tuple[int, bytes], None, int]:
        """The lines of a block to hand out; returns how many end in it."""
        count, signs = self._signs.of_block(data)
        if not signs and self._until <= number:
            self.passed_over = self.passed_over or number + 1
            self._before = data, number
            return count
        if signs and signs[0] < WINDOW and self._before is not None and self._at < number:
            before, start = self._before
            rows = before.split(b"\n")
            yield from self._handed(rows, start, max(self._at - start, len(rows) - 1 - WINDOW + signs[0], 0))
        lines = data.split(b"\n")
        at, signs = 0, signs[::-1]
        while at < len(lines):
            if number + at >= self._until:
                while signs and signs[-1] < at:
                    signs.pop()
                first = max(signs[-1] - WINDOW, at) if signs else len(lines)
                if first > at and any(lines[at:first]):
                    self.passed_over = self.passed_over or number + at + 1
                if not signs:
                    break
                at = first
                self._until = number + signs[-1] + 1 + WINDOW
            yield from self._handed(lines[at : at + 1], number + at, 0)
            at += 1
        self._before = data, number
        return count

    def _handed(self, lines: list[bytes], number: int, start: int) -> Iterator[tuple[int, bytes]]:
        """Lines from the one at `start` on, behind `number` others of the file."""
        for at, line in enumerate(lines[start:], start=number + start + 1):
            self._at = at
            if line:
                yield at, line[:LONGEST_LINE]

    def _blocks(self) -> Iterator[bytes]:
        """The file in blocks, a first one of six bytes at least where there are as many."""
        try:
            status = os.fstat(self._stream.fileno())
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        except (OSError, ValueError):
            size = 0
        first = True
        try:
            with self._stream:
                while block := self._stream.read(BLOCK):
                    if first and block.startswith((b"\xff\xfe", b"\xfe\xff")):
                        raise InputError("UTF-16 or UTF-32 text (save it as UTF-8)", Place(self.file, 1, 1))
                    yield block.removeprefix(b"\xef\xbb\xbf") if first else block
                    first = False
                    self.bytes += len(block)
                    if self._progress is not None:
                        self._progress(self.bytes, size)
        except IsADirectoryError:
            raise InputError(f"{self.file}: is a directory (a file)") from None
        except OSError as error:
            raise InputError(f"{self.file}: {(error.strerror or str(error)).lower()} (a readable file)") from None

    def _binary(self, block: bytes, number: int, rest: bytes) -> InputError:
        before = block[: block.index(b"\0")]
        column = len(before) - (before.rfind(b"\n") + 1) + (len(rest) if b"\n" not in before else 0) + 1
        return InputError(
            "NUL byte (text; is this a binary file?)", Place(self.file, number + before.count(b"\n") + 1, column)
        )
