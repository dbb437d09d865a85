# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's `info tlb` and `info registers`: the guest's page tables, and its CR0.

Source: QEMU's target/i386/monitor.c, print_pte(): XGPDACTUW; C is PCD, T is PWT; P is bit 7, so the PAT bit in 4K
pages and PS in large ones, whose PAT bit is not printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dump import Dump, ImportRemark, Line, PageFact, Setting
from mtcalc.text.errors import Place
from mtcalc.x86.mtrr import PAGE

TLB = "info-tlb"
TLB_FORM = "00000000fe000000: 00000000fe000000 X--DACT-W"
REGISTERS = "info-registers"
REGISTERS_FORM = "CR0=80050033 CR2=0000000000000000 CR3=0000000001c0a000 CR4=000006f0"

_ROW = re.compile(r"[0-9a-f]{16}: ([0-9a-f]{16}) ([X-][G-])([P-])([D-][A-])([C-])([T-])([U-][W-])")
_NEAR = re.compile(
    r"\S{16}: ?\S{16} [XGPDACTUW-]{7,9}|[0-9a-f]{16}.{1,2}[0-9a-f]{16}.[XGPDACTUW-]{8,9}.?|[0-9a-f]{16}: .{26}"
)

_CR0 = re.compile(r"CR0=([0-9a-f]{8,16}) CR2=[0-9a-f]+ CR3=.*")
MOST_RUNS = 4096
"""Runs of pages of one kind; a guest that maps more is asked about in another way."""


class InfoTlb:
    """The reader of info tlb; neighbours with the same bits are one."""

    def __init__(self) -> None:
        self._runs: list[PageFact] = []
        self._first: Place | None = None
        self._unknown = 0

    def feed(self, line: Line) -> bool:
        found = _ROW.fullmatch(line.text)
        if not found:
            if _NEAR.fullmatch(line.text):
                raise line.error(f"a row of info tlb that can't be read (as in `{TLB_FORM}`)")
            return False
        self._first = self._first or line.place()
        if found[3] == "P":
            self._unknown += 1
            return True
        gpa, index = int(found[1], 16), 2 * (found[5] == "C") + (found[6] == "T")
        last = self._runs[-1] if self._runs else None
        if last is not None and last.gpa + last.size == gpa and last.pat_index == index:
            self._runs[-1] = last._replace(size=last.size + PAGE)
        elif len(self._runs) == MOST_RUNS:
            raise line.error(f"more than {MOST_RUNS} runs of pages (cut out the addresses that matter)")
        else:
            self._runs.append(PageFact(gpa & ~(PAGE - 1), PAGE, None, index, line.place()))
        return True

    def finish(self) -> Iterator[Dump]:
        if self._first is None:
            return
        remarks = []
        if self._unknown:
            what = (
                f"{self._unknown} rows with P: large pages, whose PAT bit is not printed, or 4K pages with it: left out"
            )
            remarks.append(ImportRemark(what, self._first))
        yield Dump(TLB, self._first, pages=tuple(self._runs), remarks=tuple(remarks))


class InfoRegisters:
    """The reader of info registers."""

    def __init__(self) -> None:
        self._seen: dict[int, Line] = {}

    def feed(self, line: Line) -> bool:
        found = _CR0.fullmatch(line.text)
        if found:
            self._seen.setdefault(int(found[1], 16), line)
        return bool(found)

    def finish(self) -> Iterator[Dump]:
        for value, line in self._seen.items():
            place = line.place("CR0=")
            bits = (Setting("cd", bool(value & 1 << 30), place), Setting("pg", bool(value & 1 << 31), place))
            yield Dump(REGISTERS, place, bits)
