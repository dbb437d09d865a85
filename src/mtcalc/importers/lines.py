# SPDX-License-Identifier: GPL-2.0-only
"""The lines of a dump that may matter, from files of any size in bounded memory.

The head of a file is looked at line by line. Behind it whole blocks are passed over that hold none of the words by
which a format begins; where one is found, the lines from there on are handed out until none has been of use for a
while.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO

from mtcalc.text.errors import InputError, Place
from mtcalc.text.packed import BLOCK, unpacked

HEAD = BLOCK
"""Bytes of which every line is handed out."""
LONGEST_LINE = 1 << 16
"""Bytes of a line; of a longer one the rest is passed over."""
WINDOW = 64
"""Lines handed out behind one that matters."""

# Most bytes of a log are small letters and digits. Without them a block is a tenth, in which the capitals and signs
# of the formats are found quickly; a false alarm costs time, no more.
_DROPPED = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ#=([_\n"))
_SIGNS = (
    b"MTRR",
    b"=(MB",
    b"PAT",
    b"FV#",
    b"S#=",
    b"SET_USER_MEM",
    b"RDMSR",
    b"__=",  # kvm_msr: msr_write; the flags in front of it are of small letters and of others
    b"CR==_=",  # CR0: actual=, shadow=, gh_mask=, above the PAT in a dump of a VMCS
    b"CR=CR=CR=",  # info registers
    b"RVWBMS",  # the head of U-Boot's table
)
_ANY_SIGN = re.compile(b"|".join(map(re.escape, _SIGNS)))

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
        signs = data.translate(None, _DROPPED)
        if self._until <= number and not any(sign in signs for sign in _SIGNS):
            self.passed_over = self.passed_over or number + 1
            return signs.count(b"\n")
        lines = data.split(b"\n")
        for at, (sign, line) in enumerate(zip(signs.split(b"\n"), lines, strict=True), start=number + 1):
            if at > self._until:
                if not _ANY_SIGN.search(sign):
                    self.passed_over = self.passed_over or (at if line else 0)
                    continue
                self._until = at + WINDOW
            self._at = at
            if line:
                yield at, line[:LONGEST_LINE]
        return len(lines) - 1

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
