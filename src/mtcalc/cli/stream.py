# SPDX-License-Identifier: GPL-2.0-only
"""--gpa -: addresses from standard input, one a line, answered line by line in order.

The answer is constant over a segment of the address space but for the address itself, so what stands behind the
address is made once a segment, and lines are put together in bulk: what has arrived is read, answered and written
at once, however much or little it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from itertools import repeat
from operator import getitem

from mtcalc.cli.addresses import LINE_HOLDS, WHAT, no_word, read_line
from mtcalc.cli.stdin import Complaints, blocks, is_passed_over, text_of
from mtcalc.cli.stdout import encode, write
from mtcalc.output.lines import LineSource
from mtcalc.text.errors import InputError
from mtcalc.text.numbers import parse_address, parse_number
from mtcalc.x86.memtype import MemType, parse_memtype
from mtcalc.x86.pat import Pat, check_without_paging

_PLAIN_DIGITS = b"0123456789abcdefx\n"


class _Tails(dict[int, bytes]):
    """Tails by segment, made when first asked for."""

    def __init__(self, source: LineSource, pat: MemType | None, index: int | None = None) -> None:
        super().__init__()
        self._source = source
        self._pat = pat
        self._index = index

    def __missing__(self, segment: int) -> bytes:
        starts = self._source.starts
        gpa = starts[segment - 1] if starts is not None else segment
        tail = encode(self._source.tail(gpa, self._pat, self._index))
        if starts is not None:
            self[segment] = tail
        return tail


class Stream:
    """Answers addresses in order; remembers whether a line was bad."""

    def __init__(
        self,
        source: LineSource,
        pat: Pat | None,
        default: MemType | None = None,
        paging: bool = True,
    ) -> None:
        """`pat`: the guest's PAT, for indices; None where a line holds an address alone.

        `default`: the PAT type of lines that name none, None: all six. `paging`: the guest's CR0.PG, without
        which a line may name WB alone.
        """
        self.source = source
        self.pat = pat
        self.paging = paging
        self.bad = False
        self._complaints = Complaints()
        self._default = default
        self._head = encode(source.head)
        self._line = 0
        self._tails: dict[bytes, _Tails] = {b"": _Tails(source, default)}  # by the word behind the address
        # By type, and by the PAT index of lines that name one: under NPT the index itself can count.
        self._by_type: dict[tuple[MemType | None, int | None], _Tails] = {(default, None): self._tails[b""]}

    def run(self, header: Callable[[bool], str]) -> None:
        """Reads standard input to its end. `header` is asked once, with whether the first answer is for one PAT type.

        What it makes is the shape of all lines, and nothing else in an answer hangs on another line. Blank lines and
        lines that begin with # are passed over; they and bad lines decide nothing.
        """
        first = True
        for number, lines in blocks(WHAT, LINE_HOLDS):
            self._line = number - 1
            first = first and not self._begun(lines, header)
            self._answer(lines)
        if first:
            write(encode(header(self._default is not None)))
        self._complaints.close()

    def _begun(self, lines: bytes, header: Callable[[bool], str]) -> bool:
        """Writes the header if one of the lines has an answer."""
        for line in lines.split(b"\n"):
            if is_passed_over(line):
                continue
            with suppress(InputError):
                self._with_care(line)
                write(encode(header(self._default is not None or len(line.split()) > 1)))
                return True
        return False

    def _answer(self, lines: bytes) -> None:
        count = lines.count(b"\n")
        done = self._bulk(lines, count)
        if done is None:
            kept = [line for line in lines.split(b"\n") if not is_passed_over(line)]
            if len(kept) < count:
                done = self._bulk(b"\n".join((*kept, b"")), len(kept)) if kept else b""
        if done is None:
            self._one_by_one(lines)
        else:
            write(done)

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
            index = int(word) if word.isdigit() else None
            if (kind, index) not in self._by_type:
                self._by_type[kind, index] = _Tails(self.source, kind, index)
            found = self._tails[word] = self._by_type[kind, index]
        return found

    def _pat_type(self, word: str) -> MemType:
        if self.pat is None:
            no_word(word)
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
            if is_passed_over(line):
                continue
            try:
                out.append(self._one(line))
            except InputError as error:
                self.bad = True
                # What was answered before stands before the message.
                if out:
                    write(b"".join(out))
                    out.clear()
                self._complaints.add(error)
        write(b"".join(out))

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
        gpa, tails = read_line(text_of(raw), self._line, self.source.limit, lambda word: self._tails_of(word.encode()))
        return gpa, self._tails[b""] if tails is None else tails
