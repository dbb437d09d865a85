# SPDX-License-Identifier: GPL-2.0-only
"""KVM's dump of a VMCS: the guest's PAT and CR0, and the host's PAT.

Source: arch/x86/kvm/vmx/vmx.c, dump_vmcs(). The guest's state comes first. The PAT has a line of its own, in older
releases the EFER stands before it. What the guest reads of CR0 are the shadow's bits where gh_mask has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mtcalc.importers.dump import Dump, ImportRemark, Line, Setting
from mtcalc.text.errors import Place
from mtcalc.x86.pat import Pat, decode_pat

NAME = "vmcs"
FORM = "EFER = 0x0000000000000d01  PAT = 0x0407050600070106"

MARK = re.compile(
    r"\*\*\* (?:Guest|Host|Control) State \*\*\*|Interruptibility = [0-9a-f]{8} .*|EFER ?= *0x[0-9a-f]{16}.*"
)
"""Lines of no other dump."""

_STATE = re.compile(r"\*\*\* (Guest|Host|Control) State \*\*\*")
_PAT = re.compile(r"(?:EFER ?= *0x[0-9a-f]{16} +)?PAT ?= ?0x([0-9a-f]{16})")
_CR0 = re.compile(r"CR0: actual=0x([0-9a-f]{16}), shadow=0x([0-9a-f]{16}), gh_mask=([0-9a-f]{16})")


class _Found(NamedTuple):
    guest: bool
    pat: Pat
    place: Place


class Vmcs:
    """The reader."""

    def __init__(self) -> None:
        self._first: Place | None = None
        self._state = "Guest"
        self._pats: list[_Found] = []
        self._bits: list[Setting] = []

    def feed(self, line: Line) -> bool:
        text = line.text
        if found := _STATE.fullmatch(text):
            self._state = found[1]
        if MARK.fullmatch(text):
            self._first = self._first or line.place()
        if found := _PAT.fullmatch(text):
            place = line.place(found[1])
            try:
                self._pats.append(_Found(self._state == "Guest", decode_pat(int(found[1], 16)), place))
            except ValueError as error:
                if self._first is not None:
                    raise line.error(str(error), found[1]) from None
                return False
            return True
        if found := _CR0.fullmatch(text):
            self._state = "Guest"  # the host's has no shadow
            actual, shadow, mask = (int(found[group], 16) for group in (1, 2, 3))
            cr0 = actual & ~mask | shadow & mask
            self._first = self._first or line.place()
            self._bits += [Setting(key, bool(cr0 >> bit & 1), line.place()) for key, bit in (("cd", 30), ("pg", 31))]
            return True
        if text.startswith("CR0: actual="):
            raise line.error("KVM's line of CR0 that is not whole (CR0: actual=..., shadow=..., gh_mask=...)")
        return bool(MARK.fullmatch(text))

    def finish(self) -> Iterator[Dump]:
        if self._first is None:
            return  # a PAT alone is a register, mtcalc.importers.msrs
        settings = [Setting("guest_pat", pat, place) for guest, pat, place in self._pats if guest]
        what = "this PAT is the host's: it decides nothing for a guest under EPT"
        remarks = tuple(ImportRemark(what, place) for guest, _, place in self._pats if not guest)
        yield Dump(NAME, self._first, (*settings, *self._bits), remarks=remarks)
