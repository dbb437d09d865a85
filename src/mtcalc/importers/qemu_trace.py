# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's trace event kvm_set_user_memory: a log of calls, replayed.

Source: QEMU's accel/kvm/trace-events, several versions: with AddrSpace# from 8.2 on, before it in the upper 16 bits
of Slot#; guest_memfd since 9.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dump import Dump, ImportRemark, Line
from mtcalc.importers.replay import Call, Replay

NAME = "memslot-trace"
FORM = "kvm_set_user_memory Slot#0 flags=0x0 gpa=0x0 size=0xc0000000 ua=0x7f3b17a00000 ret=0"

_EVENT = "kvm_set_user_memory "
_WORDS = ("Slot#", "gpa=0x", "ua=0x")
_PROCESS = re.compile(r"\b(\d+)@\d+[.:]\d+:$")
_LINE = re.compile(
    r"(?:AddrSpace#(\d+) )?Slot#(\d+) flags=0x([0-9a-f]{1,8})"
    r" gpa=0x([0-9a-f]{1,16}) size=0x([0-9a-f]{1,16}) ua=0x([0-9a-f]{1,16})"
    r"(?: guest_memfd=(?:0x)?-?[0-9a-f]+)?(?: guest_memfd_offset=0x[0-9a-f]+)? ret=(-?\d+)"
)


class QemuTrace:
    """The reader."""

    def __init__(self) -> None:
        self._replay = Replay()
        self._remarks: list[ImportRemark] = []
        self._held: Line | None = None
        self._first: Line | None = None

    def feed(self, line: Line) -> bool:
        if self._held is not None:
            held, self._held = self._held, None
            if not self._take(held._replace(text=f"{held.text} {line.text}")):
                raise self._broken(held)
            return True
        if _EVENT not in line.text:
            if sum(word in line.text for word in _WORDS) > 1:
                raise self._broken(line)
            return False
        if not any(word in line.text for word in _WORDS):
            return False  # the event's name in a list of events, or in a person's text
        if not self._take(line):
            self._held = line  # a mail may have wrapped it
        return True

    def _broken(self, line: Line) -> Exception:
        return line.error(f"a line of QEMU's trace that is not whole (as in `{FORM}`)", _EVENT)

    def _take(self, line: Line) -> bool:
        """Takes the event of a line; False where it is not whole."""
        head, _, tail = line.text.partition(_EVENT)
        found = _LINE.fullmatch(tail)
        if not found:
            return False
        process = _PROCESS.search(head)
        self._first = self._first or line
        number, result = int(found[2]), int(found[7])
        space = int(found[1]) if found[1] else number >> 16
        if number >> 32 or (found[1] and number >> 16):
            raise line.error(f"Slot#{number} is no slot id (16 bits)", f"Slot#{number}")
        place = line.place(_EVENT)
        if result:
            self._remarks.append(
                ImportRemark(f"slot {number & 0xFFFF}: KVM answered {result}, so it was not made", place)
            )
            return True
        flags, gpa, size, hva = (int(found[n], 16) for n in (3, 4, 5, 6))
        vm = process[1] if process else ""
        self._replay.call(Call(vm, space, number & 0xFFFF, flags, gpa, size, hva, place))
        return True

    def finish(self) -> Iterator[Dump]:
        if self._held is not None:
            raise self._broken(self._held)
        if self._first is None:
            return
        yield self._replay.dump(NAME, self._first.place(_EVENT), self._remarks)
