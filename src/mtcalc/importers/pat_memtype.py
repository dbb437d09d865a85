# SPDX-License-Identifier: GPL-2.0-only
"""/sys/kernel/debug/x86/pat_memtype_list: the types that a kernel chose for what is not its RAM.

Source: arch/x86/mm/pat/memtype.c, memtype_seq_show(). The end of a range is not in it (unconfirmed). Of a guest these
are pages; of a host they are its own addresses, which no scenario has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dump import Dump, Line, PageFact
from mtcalc.text.errors import Place
from mtcalc.x86.memtype import parse_memtype
from mtcalc.x86.mtrr import PAGE

NAME = "pat-memtype"
FORM = "PAT: [mem 0x00000000c0000000-0x00000000c0001000] write-combining"

_HEAD = re.compile(r"PAT memtype list:")
_LINE = re.compile(r"PAT: \[mem 0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})\] ([a-z-]+)")
_OLD = re.compile(r"([a-z][a-z-]+) @ 0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})")
_BEGINS = re.compile(r"PAT: \[mem ")


class PatMemtype:
    """The reader."""

    def __init__(self) -> None:
        self._pages: list[PageFact] = []
        self._first: Place | None = None

    def feed(self, line: Line) -> bool:
        text = line.text
        if found := _LINE.fullmatch(text):
            self._page(line, found[3], found[1], found[2])
        elif found := _OLD.fullmatch(text):
            self._page(line, found[1], found[2], found[3])
        elif _BEGINS.match(text):
            raise line.error(f"a line of pat_memtype_list that is not whole (as in `{FORM}`)")
        elif not _HEAD.fullmatch(text):
            return False
        self._first = self._first or line.place()
        return True

    def _page(self, line: Line, word: str, start: str, end: str) -> None:
        try:
            kind = parse_memtype(word)
        except ValueError as error:
            raise line.error(str(error), word) from None
        low, high = int(start, 16), int(end, 16)
        if low % PAGE or high % PAGE or low >= high:
            raise line.error(f"{low:#x}-{high:#x} is no range of pages (START-END, END behind the last byte)", start)
        self._pages.append(PageFact(low, high - low, kind, None, line.place()))

    def finish(self) -> Iterator[Dump]:
        if self._first is not None:
            yield Dump(NAME, self._first, pages=tuple(self._pages))
