# SPDX-License-Identifier: GPL-2.0-only
"""KVM's dump of a VMCS: the guest's PAT, and the host's.

Source: arch/x86/kvm/vmx/vmx.c, dump_vmcs(). The guest's state comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dump import Dump, Line, Remark, Setting
from mtcalc.text.errors import Place
from mtcalc.x86.pat import decode_pat

NAME = "vmcs"
FORM = "EFER = 0x0000000000000d01  PAT = 0x0407050600070106"

_STATE = re.compile(r"\*\*\* (Guest|Host|Control) State \*\*\*")
_PAT = re.compile(r"(?:.*\s)?PAT ?= ?0x([0-9a-f]{16})\b.*")
_EFER = re.compile(r"EFER ?= ?0x.*")


class Vmcs:
    """The reader."""

    def __init__(self) -> None:
        self._first: Place | None = None
        self._state = "Guest"
        self._settings: list[Setting] = []
        self._remarks: list[Remark] = []

    def feed(self, line: Line) -> bool:
        if found := _STATE.fullmatch(line.text):
            self._state = found[1]
            self._first = self._first or line.place()
            return True
        if _EFER.fullmatch(line.text) and (found := _PAT.fullmatch(line.text)):
            self._first = self._first or line.place()
            place = line.place(found[1])
            try:
                pat = decode_pat(int(found[1], 16))
            except ValueError as error:
                raise line.error(str(error), found[1]) from None
            if self._state == "Guest":
                self._settings.append(Setting("guest_pat", pat, place))
            else:
                self._remarks.append(Remark("this PAT is the host's: it decides nothing for a guest under EPT", place))
            return True
        return False

    def finish(self) -> Iterator[Dump]:
        if self._first is not None:
            yield Dump(NAME, self._first, tuple(self._settings), remarks=tuple(self._remarks))
