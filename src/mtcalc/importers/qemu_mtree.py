# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's `info mtree -f`: what it gives KVM as memory slots.

Source: QEMU's system/memory.c, mtree_info_flatview(); accel/kvm/kvm-all.c, kvm_align_section() and kvm_mem_flags().
Both ends of a row are in it. A row of kind ram, rom, romd or ramd (device memory of the host) is a slot, cut to whole
pages; i/o is none. KVM marks the rows that have a slot of exactly their size, so one that was cut has no mark. The
ids and the host addresses of the slots are not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mtcalc.importers.dump import Dump, ImportRemark, Line, SlotFact
from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.mtrr import ONE_MEGABYTE, PAGE

NAME = "mtree"
FORM = "0000000000100000-00000000bfffffff (prio 0, ram): pc.ram @0000000000100000 KVM"

_VIEW = re.compile(r"FlatView #\d+")
_SPACE = re.compile(r'AS "([^"]*)", root: .*')
_ROOT = re.compile(r"Root memory region: (.*)")
_NESTED = re.compile(r"(?:address-space|memory-region): .*")
_BEGINS = re.compile(r"[0-9a-f]{8,16}-[0-9a-f]{8,16} \(prio ")
_NEAR = re.compile(r"[0-9a-zA-Z]{8,17}.[0-9a-zA-Z]{8,17}.{1,2}(?:\(|prio)|.*\(prio -?\d+, [a-z/-]+\): ")
_ROW = re.compile(r"([0-9a-f]{8,16})-([0-9a-f]{8,16}) \(prio (-?\d+), (nv-)?(ram|rom|romd|ramd|i/o|RW|R-|-W)\): (.*)")
_TAIL = re.compile(
    r"(?P<name>.*?)(?: @(?P<offset>[0-9a-f]{16}))?(?: owner:\{[^}]*\})?(?: parent:\{[^}]*\})?(?P<mark> KVM| kvm)?"
)
_ALIAS = re.compile(r"alias .* [0-9a-f]{8,16}-[0-9a-f]{8,16}.*")
_GOES_ON = re.compile(
    r"(?:mmaps\[|BAR \d|\d mmaps\[).*|(?:.* )?(?:@[0-9a-f]{16}|owner:\{|parent:\{).*|(?:.*[\s}])?(?:KVM|kvm)"
)
_OWN_WORD = re.compile(
    r"(?:@[0-9a-f]{16}|(?:owner|parent):\{|(?:KVM|kvm)$|BAR\b|mmaps\[|\d mmaps\[|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.)"
)
"""What begins a word of a row, and is not the rest of one."""
_OFFSET_CUT = re.compile(r" @([0-9a-f]{0,15})$")
_MARK_CUT = re.compile(r".* (?:KVM|kvm|KV|kv|K|k)")
"""A line folded inside of a row, as mail and terminals do; most break at blanks, some inside of words."""
_OTHER = re.compile(r"(?:FlatView #|AS \"|Root memory region|No rendered FlatView|Dispatch|\(qemu\)).*")

MEMORY, SMRAM = "memory", "KVM-SMRAM"
_BAR = re.compile(r".*\bBAR ?\d.*")
"""A passed-through device's memory, where the kind does not tell: kind ramd is younger than the name."""
SPACES = {MEMORY: 0, SMRAM: 1}
"""The address spaces of QEMU that KVM has slots of."""
_ROOTS = {"system": MEMORY, "mem-container-smram": SMRAM}
"""By the region at the root of a view, where a list that is cut does not name its address spaces."""


class MtreeRow(NamedTuple):
    """A row of a flat view; `end` in bytes, behind the last one."""

    start: int
    end: int
    kind: str
    name: str
    marked: bool
    line: Line


class _View:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.rows: list[MtreeRow] = []


class QemuMtree:
    """The reader."""

    def __init__(self) -> None:
        self._views: list[_View] = []
        self._fresh = True  # the next row or name begins a view
        self._held: Line | None = None
        self._blank = False  # the last line of it ends with a blank, as some tools leave it that fold at one
        self._unmarked: Line | None = None  # the last row, of memory and without a mark, whose rest may be lost
        self._followed: set[int] = set()  # the lines of such rows, behind which something else stands
        self._not_flat: Line | None = None
        self._first: Place | None = None

    def feed(self, line: Line) -> bool:
        text = line.text
        if self._held is not None:
            joined = self._joined(self._held.text, text, self._blank)
            if joined is not None:
                self._blank = line.source.endswith(" ")
                self._held = self._held._replace(text=joined)
                return True
            self._take()
        if _BEGINS.match(text):
            self._held, self._blank = line, line.source.endswith(" ")
        elif _VIEW.fullmatch(text):
            self._fresh = True
        elif found := _SPACE.fullmatch(text):
            view = self._view()
            if view.rows:
                self._fresh = True
                view = self._view()
            view.names.append(found[1])
        elif _NESTED.fullmatch(text):
            self._not_flat = self._not_flat or line
        elif _NEAR.match(text):
            raise self._broken(line)
        elif found := _ROOT.fullmatch(text):
            view = self._view()
            if view.rows:
                self._fresh = True
                view = self._view()
            if found[1] in _ROOTS:
                view.names.append(_ROOTS[found[1]])
        elif self._unmarked is not None and _GOES_ON.fullmatch(text):
            what = "the rest of a row, and what stands before it can't be read as its beginning"
            raise line.error(f"{what} (one line a row, as in `{FORM}`)")
        else:
            if self._unmarked is not None:
                self._followed.add(self._unmarked.number)
            return False
        self._first = self._first or line.place()
        return True

    def _joined(self, row: str, text: str, blank: bool) -> str | None:
        """A row with the line behind it, None where that is not the row's rest."""
        if any(begin.match(text) for begin in (_BEGINS, _OTHER, _NESTED)):
            return None
        found = _ROW.fullmatch(row)
        if found is None or row.count("{") > row.count("}"):
            return self._glued(row, text, blank)
        cut = _OFFSET_CUT.search(row)
        if cut and re.fullmatch(rf"[0-9a-f]{{{16 - len(cut[1])}}}(?: .*)?", text):
            return f"{row}{text}"
        tail = _TAIL.fullmatch(found[6])
        if tail is None or tail["mark"]:
            return None
        if _MARK_CUT.fullmatch(row) and f"{row}{text}".endswith((" KVM", " kvm")) and len(text) < 3:
            return f"{row}{text}"
        return self._glued(row, text, blank) if _GOES_ON.fullmatch(text) else None

    @staticmethod
    def _glued(row: str, text: str, blank: bool) -> str:
        """A row and its rest, with a blank where they are words of their own, without where a word is cut."""
        close, apart = f"{row}{text}", f"{row} {text}"
        if _ROW.fullmatch(row) is None:
            return close if _ROW.fullmatch(close) and not _ROW.fullmatch(apart) else apart
        return apart if blank or row.endswith((")", "}", "):", " BAR")) or _OWN_WORD.match(text) else close

    def _view(self) -> _View:
        self._unmarked = None
        if self._fresh or not self._views:
            self._views.append(_View())
            self._fresh = False
        return self._views[-1]

    def _broken(self, line: Line) -> InputError:
        return line.error(f"a row of info mtree that can't be read (as in `{FORM}`)")

    def _take(self) -> None:
        line, self._held = self._held, None
        assert line is not None
        found = _ROW.fullmatch(line.text)
        tail = _TAIL.fullmatch(found[6]) if found else None
        if not found or not tail or len(found[1]) != len(found[2]):
            raise self._broken(line)
        if _ALIAS.fullmatch(found[6]):
            self._not_flat = self._not_flat or line
        start, last = int(found[1], 16), int(found[2], 16)
        if last < start:
            raise line.error(f"{start:#x}-{last:#x} ends before it begins (both ends are in a row)", found[2])
        rows = self._view().rows
        if rows and start < rows[-1].end:
            self._not_flat = self._not_flat or line
        rows.append(MtreeRow(start, last + 1, found[5], tail["name"].strip(), bool(tail["mark"]), line))
        self._unmarked = None if tail["mark"] or found[5] == "i/o" else line

    def finish(self) -> Iterator[Dump]:
        if self._held is not None:
            self._take()
        if self._first is None:
            return
        if self._not_flat is not None:
            what = "rows that nest or overlap: this is info mtree without -f, or the rows of two views"
            raise self._not_flat.error(f"{what} (info mtree -f has what KVM gets)")
        remarks: list[ImportRemark] = []
        slots: list[SlotFact] = []
        seen: dict[int, _View] = {}
        named = any(name == MEMORY for view in self._views for name in view.names)
        for view in self._views:
            spaces = {SPACES[name] for name in view.names if name in SPACES}
            if not view.names and not named and view.rows:
                spaces = {0}
                what = "rows without their view's name: taken as the guest's memory"
                remarks.append(ImportRemark(what, view.rows[0].line.place()))
            for space in sorted(spaces):
                if not view.rows:
                    continue
                other = seen.setdefault(space, view)
                if other is not view:
                    if [row[:5] for row in other.rows] == [row[:5] for row in view.rows]:
                        continue
                    what = f"another view of address space {space} than that at {other.rows[0].line.place()}"
                    raise view.rows[0].line.error(f"{what} (one machine, once)")
                marked = any(row.marked for other in self._views for row in other.rows)
                slots += _slots(view, space, self._followed, remarks, marked)
            if not view.names and named and view.rows and view is self._views[0]:
                what = "rows without their view's name: left out, as the guest's memory is listed below"
                remarks.append(ImportRemark(what, view.rows[0].line.place()))
        if seen and 0 not in seen:
            remarks.append(
                ImportRemark(f'no AS "{MEMORY}" in it: the slots of SMM alone, without the guest\'s own', self._first)
            )
        if not seen:
            raise InputError(f'no view of the guest\'s memory in it (AS "{MEMORY}" of info mtree -f)', self._first)
        yield Dump(NAME, self._first, slots=tuple(slots), remarks=tuple(remarks))


def _slots(
    view: _View, space: int, followed: set[int], remarks: list[ImportRemark], marked: bool
) -> Iterator[SlotFact]:
    """The slots of a view; `marked`: some row of the dump has the mark of KVM."""
    marks = any(row.marked for row in view.rows)
    told = {"old": False, "unmarked": False, "shadow": False}
    for row in view.rows:
        kind = row.kind
        if kind == "i/o":
            continue
        if kind in ("RW", "R-", "-W"):
            if not marks:
                what = f"kind {kind} does not tell RAM from devices, and no row has the mark of KVM"
                raise row.line.error(f"{what} (info mtree -f of a QEMU under KVM)", kind)
            if not row.marked:
                continue
        start, end = -(-row.start // PAGE) * PAGE, row.end // PAGE * PAGE
        whole = (start, end) == (row.start, row.end)
        place = row.line.place()
        if start >= end:
            remarks.append(ImportRemark(f"{row.name}: less than a page, no slot", place))
            continue
        if not row.marked and marks and whole and row.line.number in followed:
            what = "no mark of KVM, which may be in the line below it, that can't be read as the row's rest"
            raise row.line.error(f"{what} (one line a row, as in `{FORM}`)")
        if not row.marked and marks and whole:
            remarks.append(ImportRemark(f"{row.name}: no mark of KVM though it is whole pages, so no slot", place))
            continue
        if not row.marked and not marks and not told["unmarked"]:
            told["unmarked"] = True
            what = "no row is marked KVM (TCG, or an older QEMU)"
            if marked:
                names = ", ".join(f'AS "{name}"' for name in dict.fromkeys(view.names)) or "without a name"
                what = f"no row of this FlatView ({names}) is marked KVM, and rows of others are"
            remarks.append(ImportRemark(f"{what}: RAM and ROM taken as slots", place))
        if not whole:
            remarks.append(
                ImportRemark(f"{row.name}: cut to whole pages, {start:#x}-{end - 1:#x}, as QEMU does for KVM", place)
            )
        read_only = kind in ("rom", "romd", "R-")
        if read_only and row.start < ONE_MEGABYTE and row.name.replace(" ", "").startswith("pc.ram"):
            # The flag comes from the region behind the alias, and that is RAM.
            read_only = False
            if not told["shadow"]:
                told["shadow"] = True
                remarks.append(
                    ImportRemark("pc.ram below 1M printed as rom: its slots have flags 0 in KVM, so no READONLY", place)
                )
        device = kind == "ramd"
        if kind in ("RW", "R-", "-W", "ram") and _BAR.fullmatch(row.name):
            device = True
            remarks.append(
                ImportRemark(f"{row.name}: kind {kind}, and by its name a device's memory: taken as that", place)
            )
        elif kind in ("RW", "R-", "-W") and not told["old"]:
            told["old"] = True
            what = f"kind {kind} does not tell RAM from devices' memory: rows are RAM, but for BARs by their names"
            remarks.append(ImportRemark(what, place))
        yield SlotFact(
            space,
            start,
            end - start,
            place,
            flags=SLOT_FLAGS["READONLY"] if read_only else 0,
            name=row.name or None,
            mmio=True if device else None,
        )
