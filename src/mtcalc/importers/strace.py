# SPDX-License-Identifier: GPL-2.0-only
"""strace of KVM_SET_USER_MEMORY_REGION and ..._REGION2: calls, replayed.

Source: strace's src/kvm.c. memory_size is decimal, the addresses are hex with 0x (but 0); the upper 16 bits of slot
are the address space. Without -v strace may leave fields out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dump import Dump, ImportRemark, Line
from mtcalc.importers.replay import Call, Replay
from mtcalc.kvm.flags import SLOT_FLAGS

NAME = "strace"
FORM = (
    "ioctl(13, KVM_SET_USER_MEMORY_REGION, {slot=0, flags=0, guest_phys_addr=0, memory_size=4096, "
    "userspace_addr=0x7fb89be00000}) = 0"
)

_EVENT = "KVM_SET_USER_MEMORY_REGION"
_BEGINS = re.compile(
    r"(?:\[pid +(\d+)\] |(\d+) +)?(?:\d[\d:.]* )?.*?ioctl\((\d+)(?:<[^>]*>)?, KVM_SET_USER_MEMORY_REGION2?, ?(.*)"
)
_RESUMED = re.compile(r"(?:\[pid +(\d+)\] |(\d+) +)?(?:\d[\d:.]* )?.*?<\.\.\. ioctl resumed>(.*)")
_FIELDS = re.compile(r"\{(.*)\} *\) *= *(-?\d+|\?)(?: .*)?")
_FIELD = re.compile(r"(\w+)=([^,}]*(?: /\*.*?\*/)?)")
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}|\d{1,20}")
MOST_WRAPPED = 12
"""Lines of one call."""
_NEEDED = ("slot", "flags", "guest_phys_addr", "memory_size", "userspace_addr")
_HEX_FIELDS = ("guest_phys_addr", "userspace_addr")


class Strace:
    """The reader."""

    def __init__(self) -> None:
        self._replay = Replay()
        self._remarks: list[ImportRemark] = []
        self._call: Line | None = None
        self._wrapped = 0
        self._waiting: dict[str, Line] = {}  # calls that another thread's line cut, by thread
        self._first: Line | None = None

    def feed(self, line: Line) -> bool:
        text = line.text
        if self._call is not None:
            if "ioctl(" in text:
                raise self._endless(self._call)
            self._call = self._call._replace(text=f"{self._call.text} {text}")
            self._wrapped += 1
            self._end()
            return True
        if _EVENT in text and (found := _BEGINS.fullmatch(text)):
            self._first = self._first or line
            if text.endswith("<unfinished ...>"):
                self._waiting[found[1] or found[2] or ""] = line._replace(text=text.removesuffix("<unfinished ...>"))
                return True
            self._call, self._wrapped = line, 1
            self._end()
            return True
        if _EVENT in text and "ioctl(" in text and "{" in text:
            raise line.error(f"a call that can't be read (as in `{FORM}`)", _EVENT)
        if "guest_phys_addr=" in text and "memory_size=" in text:
            raise line.error(f"a call that can't be read (as in `{FORM}`)", "guest_phys_addr=")
        if self._waiting and (found := _RESUMED.fullmatch(text)):
            waiting = self._waiting.pop(found[1] or found[2] or "", None)
            if waiting is None:
                return False
            self._call, self._wrapped = waiting._replace(text=waiting.text + found[3]), 1
            self._end()
            return True
        return False

    def _endless(self, line: Line) -> Exception:
        return line.error(f"the call has no result (as in `{FORM}`)", _EVENT)

    def _end(self) -> None:
        """Takes the call where it is whole."""
        call = self._call
        assert call is not None
        found = _BEGINS.fullmatch(call.text)
        assert found
        fields = _FIELDS.fullmatch(found[4].strip())
        if fields is None:
            if re.fullmatch(r"0x[0-9a-f]+ *\) *= .*", found[4]):
                raise call.error(
                    "the fields of the slot are not there, an address alone (a newer strace, or -v)", _EVENT
                )
            if self._wrapped >= MOST_WRAPPED:
                raise self._endless(call)
            return
        self._call = None
        self._take(call, found[3], fields[1], fields[2])

    def _take(self, line: Line, fd: str, text: str, result: str) -> None:
        place = line.place(_EVENT)
        fields = dict(_FIELD.findall(text))
        missing = [name for name in _NEEDED if name not in fields]
        if missing or "..." in text:
            what = f"{missing[0]} is" if missing else "fields are"
            raise line.error(f"{what} left out of the call (strace -v writes all of them)", _EVENT)
        slot, gpa, size, hva = (
            self._number(line, name, fields[name])
            for name in ("slot", "guest_phys_addr", "memory_size", "userspace_addr")
        )
        flags = self._flags(line, fields["flags"])
        if slot >> 32:
            raise line.error(f"slot={slot} is no slot id (32 bits)", "slot=")
        if result != "0":
            what = "with no result" if result == "?" else f"answered {result}"
            self._remarks.append(ImportRemark(f"slot {slot & 0xFFFF}: the call was {what}, so it did nothing", place))
            return
        self._replay.call(Call(fd, slot >> 16, slot & 0xFFFF, flags, gpa, size, hva, place))

    def _number(self, line: Line, name: str, text: str) -> int:
        word = text.strip()
        if not _NUMBER.fullmatch(word) or (name in _HEX_FIELDS and not word.startswith("0x") and word != "0"):
            wanted = "0 or hex with 0x" if name in _HEX_FIELDS else "a number"
            raise line.error(f"{name}={word} can't be read ({wanted})", f"{name}=")
        value = int(word, 16 if word.startswith("0x") else 10)
        if value >> 64:
            raise line.error(f"{name}={word} does not fit 64 bits", f"{name}=")
        return value

    def _flags(self, line: Line, text: str) -> int:
        bits = 0
        for word in text.partition("/*")[0].split("|"):
            name = word.strip()
            if _NUMBER.fullmatch(name):
                bits |= int(name, 0) if name.startswith("0x") or name == "0" else int(name)
            elif name.removeprefix("KVM_MEM_") in SLOT_FLAGS and name.startswith("KVM_MEM_"):
                bits |= SLOT_FLAGS[name.removeprefix("KVM_MEM_")]
            else:
                known = ", ".join(f"KVM_MEM_{flag}" for flag in SLOT_FLAGS)
                raise line.error(f"flags={text.strip()}: '{name}' is no slot flag ({known})", "flags=")
        return bits

    def finish(self) -> Iterator[Dump]:
        if self._call is not None:
            raise self._endless(self._call)
        for waiting in self._waiting.values():
            self._remarks.append(ImportRemark("a call that did not come back: it is left out", waiting.place(_EVENT)))
        if self._first is None:
            return
        yield self._replay.dump(NAME, self._first.place(_EVENT), self._remarks)
