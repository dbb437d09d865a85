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
from typing import TYPE_CHECKING

from mtcalc.cli.addresses import LINE_HOLDS, WHAT, no_word, read_line
from mtcalc.cli.stdin import Complaints, blocks, is_passed_over, text_of
from mtcalc.cli.stdout import encode, write
from mtcalc.output.lines import LineSource, Wanted
from mtcalc.text.errors import InputError
from mtcalc.text.numbers import parse_address, parse_number
from mtcalc.x86.memtype import parse_memtype
from mtcalc.x86.pat import Pat, check_without_paging

if TYPE_CHECKING:
    from mtcalc.linux.functions import Request

_PLAIN_DIGITS = b"0123456789abcdefx\n"


class _Tails(dict[int, bytes]):
    """Tails by segment, made when first asked for."""

    def __init__(self, source: LineSource, wanted: Wanted) -> None:
        super().__init__()
        self.wanted = wanted
        self.source = source

    def __missing__(self, segment: int) -> bytes:
        starts = self.source.starts
        gpa = starts[segment - 1] if starts is not None else segment
        tail = encode(self.source.tail(gpa, self.wanted))
        if starts is not None:
            self[segment] = tail
        return tail


def _named(pat: Pat, word: str) -> Wanted:
    """What a word says: an index of the guest's PAT, a type, or a function that asks for one. Raises ValueError."""
    if word.isascii() and word.isdigit():
        index = parse_number(word)
        if index > 7:
            raise ValueError(f"PAT index {word} (0 to 7)")
        return Wanted(pat.entries[index], index)
    try:
        return Wanted(parse_memtype(word))
    except ValueError as error:
        return Wanted(request=_request(word, error))


def _request(word: str, no_type: ValueError) -> Request:
    """The function that a word names. Raises `no_type` for a word that is like none of them."""
    from mtcalc.linux.functions import FUNCTIONS, parse_request
    from mtcalc.text.suggest import nearest

    try:
        return parse_request(word)
    except ValueError:
        near = nearest(word.lower(), [row.name for row in FUNCTIONS], 1)
        if near:
            raise ValueError(f"'{word}' is no PAT type and no request (did you mean {near[0]}?)") from None
        raise no_type from None


class Stream:
    """Answers addresses in order; remembers whether a line was bad."""

    def __init__(
        self,
        source: LineSource,
        pat: Pat | None,
        default: Wanted | None = None,
        paging: bool = True,
        requests: bool | None = None,
    ) -> None:
        """`pat`: the guest's PAT, for indices; None where a line holds an address alone.

        `default`: what is wanted of lines that name nothing, None: all six PAT types. `paging`: the guest's CR0.PG,
        without which a line may name WB alone. `requests`: whether a line may name one; None: if the first does.
        """
        self.source = source
        self.pat = pat
        self.paging = paging
        self.bad = False
        self._complaints = Complaints()
        self._default = default or Wanted()
        self._requests = requests
        self._head = encode(source.head)
        self._line = 0
        self._tails: dict[bytes, _Tails] = {b"": _Tails(source, self._default)}  # by the word behind the address
        # By what it means: under NPT a PAT index itself can count.
        self._by_wanted: dict[Wanted, _Tails] = {self._default: self._tails[b""]}
        self._cut = False
        if self._default.request is not None:
            self._cut_for_requests()

    def run(self, header: Callable[[bool, bool], str]) -> None:
        """Reads standard input to its end. `header` is asked once: for one PAT type? with columns for requests?

        What it makes of the first answer is the shape of all lines, and nothing else in an answer hangs on another
        line. Blank lines and lines that begin with # are passed over; they and bad lines decide nothing.
        """
        first = True
        for number, lines in blocks(WHAT, LINE_HOLDS):
            self._line = number - 1
            first = first and not self._begun(lines, header)
            self._answer(lines)
        if first:
            write(encode(header(self._default.one, bool(self._requests))))
        self._complaints.close()

    def _begun(self, lines: bytes, header: Callable[[bool, bool], str]) -> bool:
        """Writes the header if one of the lines has an answer."""
        for line in lines.split(b"\n"):
            if is_passed_over(line):
                continue
            with suppress(InputError):
                wanted = self._with_care(line)[1].wanted
                if self._requests is None:
                    self._requests = wanted.request is not None
                write(encode(header(wanted.one, self._requests)))
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
            starts = self.source.starts  # a request may have cut them anew
            if starts is None:
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
            wanted = self._wanted(word.decode("utf-8", "backslashreplace"))
            if wanted.request is not None:
                self._cut_for_requests()
            if wanted not in self._by_wanted:
                self._by_wanted[wanted] = _Tails(self.source, wanted)
            found = self._by_wanted[wanted]
            if self._requests is not None or wanted.request is None:  # till then a request may yet be refused
                self._tails[word] = found
        return found

    def _cut_for_requests(self) -> None:
        """Goes on with the segments over which answers to requests are the same."""
        if self._cut or self.source.for_requests is None:
            return
        self._cut = True
        self.source = self.source._replace(starts=self.source.for_requests())
        for tails in self._by_wanted.values():
            tails.source = self.source
            tails.clear()

    def _wanted(self, word: str) -> Wanted:
        """What the word behind an address means. Raises ValueError."""
        if self.pat is None:
            no_word(word)
        wanted = _named(self.pat, word)
        if not self.paging and wanted.pat is not None:
            check_without_paging(wanted.pat, f"'{word}'", "cr0.pg is false")
        if not self.paging and wanted.request is not None:
            raise ValueError(f"'{word}' is a request, but cr0.pg is false (then the PAT memory type is WB)")
        if self._requests is False and wanted.request is not None:
            how = "--guest, --request, or a request on the first line makes them"
            raise ValueError(f"'{word}' is a request, and the header above has no columns for one ({how})")
        return wanted

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
