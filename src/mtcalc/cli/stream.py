# SPDX-License-Identifier: GPL-2.0-only
"""--gpa -: addresses from standard input, one a line, answered line by line in order.

The answer is constant over a segment of the address space but for the address itself, so what stands behind the
address is made once a segment, and lines are put together in bulk: what has arrived is read, answered and written
at once, however much or little it is.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from codecs import BOM_UTF8
from collections.abc import Callable
from contextlib import suppress
from itertools import repeat
from operator import getitem

from mtcalc.cli.stream_lines import complain
from mtcalc.output.lines import Source
from mtcalc.text.errors import InputError, Place
from mtcalc.text.numbers import parse_address, parse_number
from mtcalc.x86.memtype import MemType, parse_memtype
from mtcalc.x86.pat import Pat, check_without_paging

CHUNK = 1 << 16
"""Bytes read at a time, at most: enough that the loop around them costs nothing, and what is made of them stays in
the processor's cache."""

_PLAIN_DIGITS = b"0123456789abcdefx\n"


class _Tails(dict[int, bytes]):
    """Tails by segment, made when first asked for."""

    def __init__(self, source: Source, pat: MemType | None) -> None:
        super().__init__()
        self._source = source
        self._pat = pat

    def __missing__(self, segment: int) -> bytes:
        starts = self._source.starts
        gpa = starts[segment - 1] if starts is not None else segment
        tail = encode(self._source.tail(gpa, self._pat))
        if starts is not None:
            self[segment] = tail
        return tail


class Stream:
    """Answers addresses in order; remembers whether a line was bad."""

    def __init__(
        self,
        source: Source,
        pat: Pat | None,
        default: MemType | None = None,
        out: Callable[[bytes], object] | None = None,
        paging: bool = True,
    ) -> None:
        """`pat`: the guest's PAT, for indices; None where a line holds an address alone.

        `default`: the PAT type of lines that name none, None: all six. `out` takes the answers, standard output
        by default. `paging`: the guest's CR0.PG, without which a line may name WB alone.
        """
        self.source = source
        self.pat = pat
        self.paging = paging
        self.bad = False
        self._out = out or write
        self._default = default
        self._head = encode(source.head)
        self._line = 0
        self._tails: dict[bytes, _Tails] = {b"": _Tails(source, default)}  # by the word behind the address
        self._by_type: dict[MemType | None, _Tails] = {default: self._tails[b""]}

    def run(self, header: Callable[[bool], str]) -> None:
        """Reads standard input to its end. `header` is asked once, with whether the first answer is for one PAT type.

        What it makes is the shape of all lines, and nothing else in an answer hangs on another line. Blank lines and
        lines that begin with # are passed over; they and bad lines decide nothing.
        """
        rest = b""
        first = begun = True
        while True:
            data = read()
            if not data:
                break
            rest += data
            if begun and (len(rest) >= len(BOM_UTF8) or b"\n" in rest):
                rest, begun = rest.removeprefix(BOM_UTF8), False
            whole = rest.rfind(b"\n") + 1
            if not whole:
                if len(rest) > CHUNK:
                    place = Place("-", self._line + 1, 1)
                    raise InputError("a line of more than 64 KiB (an address, then a PAT type if you like)", place)
                continue
            lines, rest = rest[:whole], rest[whole:]
            first = first and not self._begun(lines, header)
            self._answer(lines)
        if first and not self._begun(rest, header):
            self._out(encode(header(self._default is not None)))
        if rest:
            self._answer(rest + b"\n")

    def _begun(self, lines: bytes, header: Callable[[bool], str]) -> bool:
        """Writes the header if one of the lines has an answer."""
        for line in lines.split(b"\n"):
            if _is_passed_over(line):
                continue
            with suppress(InputError):
                self._with_care(line)
                self._out(encode(header(self._default is not None or len(line.split()) > 1)))
                return True
        return False

    def _answer(self, lines: bytes) -> None:
        count = lines.count(b"\n")
        done = self._bulk(lines, count)
        if done is None:
            kept = [line for line in lines.split(b"\n") if not _is_passed_over(line)]
            if len(kept) < count:
                done = self._bulk(b"\n".join((*kept, b"")), len(kept)) if kept else b""
        if done is None:
            self._one_by_one(lines)
        else:
            self._out(done)
            self._line += count

    def _bulk(self, lines: bytes, count: int) -> bytes | None:
        """All lines at once where each is an address as hex() writes it, or each has a PAT word too; else None."""
        starts = self.source.starts
        if starts is None:
            return None
        kinds: list[bytes] = []
        if lines.translate(None, _PLAIN_DIGITS):
            words = lines.split()
            # Every line begins with an address, every second word is one, and there are two words a line on
            # average: so there are two on each.
            begun = lines.count(b"\n0x") + lines.startswith(b"0x")
            if len(words) != 2 * count or begun != count:
                return None
            addresses, kinds = words[::2], words[1::2]
            try:
                for kind in set(kinds):
                    self._tails_of(kind)
            except ValueError:
                return None
            flat = b"\n".join(addresses) + b"\n"
            if flat.translate(None, _PLAIN_DIGITS):
                return None
        else:
            flat = lines
            addresses = lines.split(b"\n")
            addresses.pop()
        # One x a line, 0x in front of each, no leading zero.
        if flat.count(b"x") != count or flat.count(b"\n0x") + flat.startswith(b"0x") != count:
            return None
        zeros = flat.count(b"x0")
        if zeros and zeros != flat.count(b"x0\n"):
            return None
        try:
            values = list(map(int, addresses, repeat(16)))
        except ValueError:
            return None
        if max(values) >= self.source.limit:
            return None
        segments = map(bisect_right, repeat(starts), values)
        parts = [self._head] * (3 * count)
        parts[1::3] = map(bytes.ljust, addresses, repeat(self.source.width)) if self.source.width else addresses
        if kinds:
            parts[2::3] = map(getitem, map(self._tails.__getitem__, kinds), segments)
        else:
            parts[2::3] = map(self._tails[b""].__getitem__, segments)
        return b"".join(parts)

    def _tails_of(self, word: bytes) -> _Tails:
        found = self._tails.get(word)
        if found is None:
            kind = self._pat_type(word.decode("utf-8", "backslashreplace"))
            if kind not in self._by_type:
                self._by_type[kind] = _Tails(self.source, kind)
            found = self._tails[word] = self._by_type[kind]
        return found

    def _pat_type(self, word: str) -> MemType:
        if self.pat is None:
            raise ValueError(f"'{word}' behind the address (one address a line)")
        kind = self._named(self.pat, word)
        if not self.paging:
            check_without_paging(kind, f"'{word}'", "cr0.pg is false")
        return kind

    @staticmethod
    def _named(pat: Pat, word: str) -> MemType:
        if not (word.isascii() and word.isdigit()):
            return parse_memtype(word)
        index = parse_number(word)
        if index > 7:
            raise ValueError(f"PAT index {word} (0 to 7)")
        return pat.entries[index]

    def _one_by_one(self, lines: bytes) -> None:
        out: list[bytes] = []
        for line in lines.split(b"\n")[:-1]:
            self._line += 1
            if _is_passed_over(line):
                continue
            try:
                out.append(self._one(line))
            except InputError as error:
                self.bad = True
                # What was answered before stands before the message.
                if out:
                    self._out(b"".join(out))
                    out.clear()
                complain(str(error))
        self._out(b"".join(out))

    def _one(self, line: bytes) -> bytes:
        words = line.split()
        try:
            gpa = parse_address(words[0].decode())
            tails = self._tails[words[1] if len(words) > 1 else b""]
        except (ValueError, LookupError):
            gpa, tails = self._with_care(line)
        if len(words) > 2 or gpa >= self.source.limit:
            gpa, tails = self._with_care(line)
        starts = self.source.starts
        tail = tails[gpa if starts is None else bisect_right(starts, gpa)]
        return self._head + hex(gpa).ljust(self.source.width).encode() + tail

    def _with_care(self, raw: bytes) -> tuple[int, _Tails]:
        """The address and the tails of a line. Raises InputError at the word that is wrong."""
        line = raw.decode("utf-8", "backslashreplace").rstrip("\r")
        words = line.split()
        column = len(line) - len(line.lstrip()) + 1
        try:
            if not words:  # blanks that only Unicode knows
                raise ValueError("no address here (an address, then a PAT type if you like)")
            gpa = parse_address(words[0])
            if gpa >= self.source.limit:
                bits = self.source.limit.bit_length() - 1
                most = self.source.limit - 1
                raise ValueError(f"{gpa:#x} is beyond the guest's maxphyaddr {bits} (at most {most:#x})")
            tails = self._tails[b""]
            if len(words) > 1:
                column = line.index(words[1], column - 1 + len(words[0])) + 1
                tails = self._tails_of(words[1].encode())
            if len(words) > 2:
                column = line.index(words[2], column - 1 + len(words[1])) + 1
                raise ValueError(f"'{words[2]}' is one word too many (an address and a PAT type)")
        except ValueError as error:
            raise InputError(str(error), Place("-", self._line, column, line)) from None
        return gpa, tails


def _is_passed_over(line: bytes) -> bool:
    """Whether a line is blank or a comment."""
    begin = line.lstrip()
    return not begin or begin.startswith(b"#")


def read() -> bytes:
    """What has arrived on standard input, b'' at its end. Raises InputError."""
    if sys.stdin is None:  # closed by the caller, and its number may be another file's by now
        raise InputError("-: standard input is closed (addresses, one a line)")
    try:
        return os.read(0, CHUNK)
    except OSError as error:
        raise InputError(f"-: {(error.strerror or str(error)).lower()} (addresses, one a line)") from None


def encode(text: str) -> bytes:
    """Text as standard output would write it."""
    return text.encode(sys.stdout.encoding or "ascii", "backslashreplace")


def write(data: bytes) -> None:
    """Writes all of `data` on standard output, at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
