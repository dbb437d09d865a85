# SPDX-License-Identifier: GPL-2.0-only
"""/proc/mtrr: the variable pairs that are on.

Source: arch/x86/kernel/cpu/mtrr/if.c, mtrr_seq_show(); up to 2.6.25 or so the type stood before the count. Pairs that
are off, the default type, the fixed ranges and the enable bits are not in it. The megabytes are rounded down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dump import Dump, DumpPair, ImportRemark, Line, Pairs
from mtcalc.text.errors import Place
from mtcalc.x86.memtype import MTRR_TYPES, parse_memtype
from mtcalc.x86.mtrr import PAGE

NAME = "proc-mtrr"
FORM = "reg00: base=0x0c0000000 ( 3072MB), size= 1024MB, count=1: uncachable"

_BEGINS = re.compile(r"reg\d+: base=")
_WORDS = ("base=0x", "MB), size=", "count=")
_LINE = re.compile(
    r"reg(\d{2,3}): base=0x([0-9a-f]{1,16}) \( *(\d{1,12})MB\), size= *(\d{1,12})(KB|kB|MB)"
    r"(?:, count=\d+: ([a-z-]+)|: ([a-z-]+), count=\d+)"
)


class ProcMtrr:
    """The reader."""

    def __init__(self) -> None:
        self._sets: list[list[DumpPair]] = []
        self._held: Line | None = None
        self._remarks: list[ImportRemark] = []

    def feed(self, line: Line) -> bool:
        if self._held is not None:
            held, self._held = self._held, None
            joined = held._replace(text=f"{held.text} {line.text}")
            if _LINE.fullmatch(joined.text):
                self._take(joined)
                return True
            raise self._broken(held)
        if _BEGINS.match(line.text):
            if _LINE.fullmatch(line.text):
                self._take(line)
            else:
                self._held = line  # a mail may have wrapped it
            return True
        if sum(word in line.text for word in _WORDS) > 1:
            raise self._broken(line)
        if line.text.startswith("mtrr: type mismatch for "):
            self._remarks.append(
                ImportRemark("a driver asked for another type than the MTRR has, and did not get it", line.place())
            )
            return True
        return False

    def _broken(self, line: Line) -> Exception:
        return line.error(f"a line of /proc/mtrr that is not whole (as in `{FORM}`)")

    def _take(self, line: Line) -> None:
        found = _LINE.fullmatch(line.text)
        assert found
        number, base = int(found[1]), int(found[2], 16)
        if base >> 20 != int(found[3]):
            raise line.error(
                f"base=0x{found[2]} is {base >> 20} MB, not {found[3]} (one of the two is mistyped)", found[2]
            )
        if base % PAGE:
            raise line.error(f"base=0x{found[2]} is not page aligned (its last three digits are 0)", found[2])
        size = int(found[4]) << (20 if found[5] == "MB" else 10)
        word = found[6] or found[7]
        try:
            memtype = parse_memtype(word, MTRR_TYPES)
        except ValueError as error:
            raise line.error(str(error), word) from None
        pair = DumpPair(number, base | memtype, None, size, line.place())
        if not self._sets or number <= self._sets[-1][-1].number:
            self._sets.append([])
        self._sets[-1].append(pair)

    def finish(self) -> Iterator[Dump]:
        if self._held is not None:
            raise self._broken(self._held)
        for index, pairs in enumerate(self._sets):
            place: Place = pairs[0].place
            remarks = self._remarks if index == 0 else ()
            yield Dump(NAME, place, pairs=Pairs(tuple(pairs), place), remarks=tuple(remarks))
