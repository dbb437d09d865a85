# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's log: the MTRRs as it found them (or, where it cleaned them up, left them), and its PAT.

Source: arch/x86/kernel/cpu/mtrr/generic.c print_mtrr_state(), cleanup.c; arch/x86/mm/pat/memtype.c; Xen's
xen/arch/x86/cpu/mtrr/generic.c. Both ends of a range are in it. Variable pairs are listed when the MTRRs are off,
too. From 6.5 on the registers are there with mtrr=debug alone, and a map of what comes out of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dmesg_sets import NAME as NAME
from mtcalc.importers.dmesg_sets import MtrrSet, set_dump
from mtcalc.importers.dump import Dump, DumpPair, ImportRemark, Line, MapRow, Setting
from mtcalc.text.errors import Place
from mtcalc.text.numbers import SUFFIXES
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import PAGE
from mtcalc.x86.pat import parse_pat

FORM = "MTRR default type: uncachable"
CLEANED_FORM = "reg 0, base: 0GB, range: 2GB, type WB"
MAP_FORM = "MTRR map: 4 entries (3 fixed + 1 variable; max 19), built from 8 variable MTRRs"
PAIR_FORM = "1 base 00C0000000 mask FFC0000000 uncachable"

MOST_BETWEEN = 16
"""Lines of others inside a list: the kernel's CPUs log at the same time."""

_DEFAULT = re.compile(r"MTRR default type: ?(.*)")
_HEADER = re.compile(r"MTRR (fixed|variable) ranges (en|dis)abled:?")
_FIXED = re.compile(r"([0-9A-Fa-f]{5})-([0-9A-Fa-f]{5}) ([a-z-]+)")
_PAIR = re.compile(r"(\d{1,3}) base ([0-9A-Fa-f]{5,16}) mask ([0-9A-Fa-f]{5,16}) ([a-z-]+)")
_OFF = re.compile(r"(\d{1,3}) disabled")
_TOM2 = re.compile(r"TOM2: ([0-9a-fA-F]{1,16}) aka (\d+)M")
_CLEANED = re.compile(r"reg (\d{1,3}), base: (\d+)([KMGT]?)B, range: (\d+)([KMGT]?)B, type (UC|WP|WB|Other)")
_MAP = re.compile(
    r"MTRR map: (\d+) entries \((\d+) fixed \+ (\d+) variable; max (\d+)\), built from (\d+) variable MTRRs"
)
_MAPPED = re.compile(r"(\d{1,3}): ([0-9a-f]{16})-([0-9a-f]{16}) ([a-z-]+)")
_PAT = re.compile(r"(?:x86/)?PAT:? configuration \[0-7\]: *(.*)", re.IGNORECASE)
_OLD_PAT = re.compile(r"x86 PAT enabled: cpu \d+, old 0x[0-9a-f]+, new (0x[0-9a-f]+)")
_DISABLED = re.compile(
    r"(?:(?:x86/)?mtrr: )?Disabled|.*\bMTRRs disabled, skipping PAT\b.*|.*\bMTRRs? disabled by .*", re.IGNORECASE
)
_BEHIND_DISABLED = re.compile(r"(?:x86/)?PAT\b|x86 PAT|CPU MTRRs all blank")
"""What the kernel prints next where the MTRRs are off; the word alone may be of anything."""
_GUEST = re.compile(r"Hypervisor detected: |Booting paravirtualized kernel on (?!bare)|kvm-clock: |DMI: QEMU\b")
_VENDOR = re.compile(
    r"(?:smpboot: )?CPU0: .*\b(?P<cpu>AMD|Intel)\b"
    r"|(?:SVM: )?(?:kvm(?:_amd)?: )?Nested (?:Paging|Virtualization) (?:en|dis)abled"
    r"|vendor_id\s*: (?P<id>AuthenticAMD|GenuineIntel)\s*$"
)
"""What tells the CPU's vendor, which a guest sees as the host has it, unless it is told otherwise (-cpu).

Source: arch/x86/kernel/smpboot.c, arch/x86/kvm/svm/svm.c (kvm_intel has no such line), /proc/cpuinfo.
"""
_VENDORS = {"AMD": "amd", "Intel": "intel", "AuthenticAMD": "amd", "GenuineIntel": "intel"}
_KERNEL = re.compile(r"Linux version (\S+)")
_CONFLICT = re.compile(r"(?:x86/PAT: )?(\S.*):(\d+) conflicting memory types ([0-9a-f]+)-([0-9a-f]+) +(\S+?)<->(\S+)")
_NEAR = re.compile(
    r".{0,80}configuration .{0,2}0-7.{0,60}|.{0,80}PAT enabled: cpu \d+.*"
    r"|.{0,88}\b(?:fixed|variable) ranges (?:en|dis).{3,7}|.{0,80}M?TRR default type: [a-z-]+.?",
    re.IGNORECASE,
)
"""Lines of ours with something in them, or in front of them, that can't be read."""
_OTHER_TYPES = (MemType.WC, MemType.WT)
"""What the clean-up's lists have no word for."""
_LEFT_ALONE = "can not find optimal value"
_NEW, _ORIGINAL = "New variable MTRRs", "original variable MTRRs"


class Dmesg:
    """The reader."""

    def __init__(self) -> None:
        self._sets: list[MtrrSet] = []
        self._state = ""
        self._settings: list[Setting] = []
        self._kernels: dict[str, Place] = {}
        self._remarks: list[ImportRemark] = []
        self._held: Line | None = None
        self._first: Place | None = None
        self._bare_disabled: Line | None = None
        self._last: Line | None = None
        self._between = 0

    # Lines

    def feed(self, line: Line) -> bool:
        if self._held is not None:
            held, self._held = self._held, None
            joined = held._replace(text=f"{held.text} {line.text}")
            found = _PAT.fullmatch(joined.text)
            if not found or len(found[1].split()) != 8:
                raise self._short(held)
            self._pat(joined, found[1])
            return True
        cleaned = self._sets[-1] if self._sets and self._state == "cleaned" else None
        bare = self._bare_disabled
        if bare is not None and bare is self._last and _BEHIND_DISABLED.match(line.text):
            self._current(bare).disabled = bare.place()
            self._bare_disabled = None
        self._last = line
        listed = self._header(line) or self._row(line)
        if cleaned is not None and self._state != "cleaned":
            cleaned.cleaned_ended = True
        taken = listed or self._other(line)
        if taken:
            self._first = self._first or line.place()
        if listed:
            self._between = 0
        elif self._state:
            self._not_listed(line)
        return taken

    def _not_listed(self, line: Line) -> None:
        """A line of something else inside a list, or behind it."""
        self._between += 1
        if self._state == "variable":
            now = self._current(line)
            following = re.match(r"(\d{1,3}) \S", line.text)
            if following and int(following[1]) == max(now.pairs, default=-1) + 1:
                raise line.error(f"a row of the variable ranges that can't be read (as in `{PAIR_FORM}`)")
            now.ended = True
        elif self._state == "cleaned":
            self._current(line).cleaned_ended = True
        elif self._state == "original":
            self._current(line).originals_ended = True
        if self._between > MOST_BETWEEN:
            self._state = ""

    def _current(self, line: Line) -> MtrrSet:
        if not self._sets:
            self._sets.append(MtrrSet(line))
        return self._sets[-1]

    def _begin(self, line: Line, again: bool) -> MtrrSet:
        """The set that a header belongs to; another one where this one has that header already."""
        if not self._sets or again:
            self._sets.append(MtrrSet(line))
        return self._sets[-1]

    def _header(self, line: Line) -> bool:
        text = line.text
        if text.startswith("MTRR"):
            found = _DEFAULT.fullmatch(text)
            if found:
                now = self._sets[-1] if self._sets else None
                now = self._begin(line, now is not None and (bool(now.settings) or now.pairs_place is not None))
                now.put("default", line.mtrr_type(found[1]), line.place())
                self._state = "default"
                return True
            found = _HEADER.fullmatch(text)
            if found:
                if self._state == "variable":
                    self._current(line).ended = True
                self._header_of(line, found[1], found[2] == "en")
                return True
            found = _MAP.fullmatch(text)
            if found:
                self._map_header(line, *(int(found[group]) for group in range(1, 6)))
                return True
            if text.startswith("MTRR map: "):
                raise line.error(f"a map's head that can't be read (as in `{MAP_FORM}`)")
        if text in (_NEW, _ORIGINAL):
            now = self._current(line)
            if self._state == "variable":
                now.ended = True
            if self._state == "original":
                now.originals_ended = True
            if text == _NEW:
                now.cleaned, now.cleaned_ended, now.cleaned_place = {}, False, line.place()
                self._state = "cleaned"
            else:
                self._state = "original"
            return True
        return False

    def _header_of(self, line: Line, which: str, on: bool) -> None:
        now = self._sets[-1] if self._sets else None
        if which == "fixed":
            again = now is not None and (now.fixed_place is not None or now.pairs_place is not None)
            now = self._begin(line, again)
            now.fixed_place = line.place()
            now.put("fixed_enabled", on, line.place())
        else:
            now = self._begin(line, now is not None and now.pairs_place is not None)
            now.pairs_place = line.place()
            now.put("enabled", on, line.place())
        self._state = which

    def _row(self, line: Line) -> bool:
        text, state = line.text, self._state
        if found := _FIXED.fullmatch(text):
            if state != "fixed":
                # The header of a log that is cut at the top is not there.
                again = bool(self._sets) and self._sets[-1].fixed_place is not None
                self._begin(line, again).fixed_place = line.place()
                self._state = "fixed"
            start, last = int(found[1], 16), int(found[2], 16)
            self._current(line).fixed.append(MapRow(start, last + 1, line.mtrr_type(found[3]), line.place()))
            return True
        if found := _PAIR.fullmatch(text):
            if state != "variable":
                self._headless(line)
            base, mask = int(found[2], 16), int(found[3], 16)
            self._pair(line, int(found[1]), base | line.mtrr_type(found[4]), mask | 1 << 11, (base | mask) % PAGE)
            return True
        if found := _OFF.fullmatch(text):
            if state != "variable":
                self._headless(line)
            self._pair(line, int(found[1]), 0, 0, 0)
            return True
        if state in ("cleaned", "original") and ", range: " in text and not _CLEANED.fullmatch(text):
            raise line.error(
                "a range of the clean-up that can't be read (as in `reg 0, base: 0GB, range: 2GB, type WB`)"
            )
        if state in ("cleaned", "original") and (found := _CLEANED.fullmatch(text)):
            self._of_clean_up(line, found)
            return True
        if state == "map" and (found := _MAPPED.fullmatch(text)):
            start, last = int(found[2], 16), int(found[3], 16)
            if int(found[1]) != len(self._current(line).mapped):
                raise line.error(
                    f"row {found[1]} of the map where {len(self._current(line).mapped)} is next (the whole map)"
                )
            if start % PAGE or (last + 1) % PAGE or last < start:
                raise line.error(f"{start:#x}-{last:#x} is no range of pages (both ends are in it)", found[2])
            self._current(line).mapped.append(MapRow(start, last + 1, line.mtrr_type(found[4]), line.place()))
            return True
        return False

    def _map_header(self, line: Line, entries: int, fixed: int, variable: int, most: int, built: int) -> None:
        now = self._current(line)
        if now.map_place is not None and now.mapped:
            self._sets.append(MtrrSet(line))
            now = self._sets[-1]
        if fixed + variable != entries:
            raise line.error(
                f"{fixed} and {variable} are not {entries} (one of them is mistyped)", f"{entries} entries"
            )
        # Two rows a pair can come of it, besides the fixed ones; one more where there is a TOM2, which counts as built.
        pairs = (most - fixed - built) if 0 <= built - (most - fixed - built) <= 1 else 0
        now.map_place, now.map_counts, now.mapped = line.place(), (entries, fixed, built, pairs), []
        self._state = "map"

    def _of_clean_up(self, line: Line, found: re.Match[str]) -> None:
        """A row of the clean-up's: of the pairs as they were, or of those it sets."""
        now = self._current(line)
        base, size = (int(found[n]) << SUFFIXES.get(found[n + 1], 0) for n in (2, 4))
        number, place = int(found[1]), line.place()
        if found[6] == "Other":  # WC or WT: the row above has it
            above = now.pairs.get(number)
            if self._state == "cleaned" or above is None or MemType(above.physbase & 0xFF) not in _OTHER_TYPES:
                raise line.error(
                    "a type that the kernel calls Other, and no row above that tells it (mtrr=debug)", "type"
                )
            kind = MemType(above.physbase & 0xFF)
        else:
            kind = line.mtrr_type(found[6])
        pair = DumpPair(number, base | kind, None, size, place)
        if self._state == "original":
            if number <= max(now.originals, default=-1):
                raise line.error(f"reg {number} is not above the one before it (the list as the kernel printed it)")
            now.originals[number] = pair
            now.originals_ended = False
            return
        now.cleaned_ended = False
        assert now.cleaned is not None
        if number != len(now.cleaned):
            raise line.error(f"reg {number} where {len(now.cleaned)} is next (the whole list)")
        now.cleaned[number] = pair

    def _headless(self, line: Line) -> None:
        """Begins the variable ranges of a log that is cut at the top, whose headers are not there."""
        now = self._sets[-1] if self._sets else None
        now = self._begin(line, now is not None and now.pairs_place is not None)
        now.pairs_place = line.place()
        self._state = "variable"

    def _pair(self, line: Line, number: int, base: int, mask: int, odd: int) -> None:
        pairs = self._current(line).pairs
        if number in pairs:
            raise line.error(
                f"pair {number} is listed twice in one list (it also stands on line {pairs[number].place.line})"
            )
        if odd:
            raise line.error("a base or a mask that is not page aligned (their last three digits are 0)", "base")
        pairs[number] = DumpPair(number, base, mask, 0, line.place())
        self._current(line).ended = False

    def _other(self, line: Line) -> bool:
        text = line.text
        if text.endswith(_LEFT_ALONE) and self._sets:
            self._sets[-1].left_alone = True
        if found := _PAT.fullmatch(text):
            if len(found[1].split()) < 8:
                self._held = line
            else:
                self._pat(line, found[1])
        elif found := _OLD_PAT.fullmatch(text):
            self._pat(line, found[1])
        elif _DISABLED.fullmatch(text):
            if text == "Disabled" and not (self._state and not self._between):
                self._bare_disabled = line
            else:
                now = self._current(line)
                now.disabled = now.disabled or line.place()
        elif found := _TOM2.fullmatch(text):
            top = int(found[1], 16)
            if top >> 20 != int(found[2]):
                raise line.error(
                    f"TOM2: 0x{found[1]} is {top >> 20} M, not {found[2]} (one of the two is mistyped)", found[1]
                )
            if self._sets:
                self._sets[-1].tom2 = top
            self._vendor("amd", line)
            self._remarks.append(
                ImportRemark(
                    f"TOM2: an AMD CPU takes RAM from 4G up to {top:#x} as WB without an MTRR; no scenario says so",
                    line.place(),
                )
            )
        elif _GUEST.match(text):
            self._settings.append(Setting("whose", "guest", line.place()))
        elif found := _VENDOR.match(text):
            self._vendor(_VENDORS[found["cpu"] or found["id"] or "AMD"], line)
        elif found := _KERNEL.match(text):
            self._kernels.setdefault(found[1], line.place())
            self._remarks.append(ImportRemark(f"this is the log of Linux {found[1]}", line.place()))
            return False
        elif found := _CONFLICT.fullmatch(text):
            asked, has = found[5], found[6]
            self._remarks.append(
                ImportRemark(
                    f"0x{found[3]}-0x{found[4]}: a mapping that failed: {asked} asked for, {has} there", line.place()
                )
            )
        elif _NEAR.fullmatch(text):
            raise line.error("a line of a kernel's log that can't be read (as the kernel printed it, or without it)")
        else:
            return False
        return True

    def _vendor(self, vendor: str, line: Line) -> None:
        """Adds what a line tells: of each vendor once, since every CPU of a machine says it again."""
        if all((each.key, each.value) != ("vendor", vendor) for each in self._settings):
            self._settings.append(Setting("vendor", vendor, line.place()))

    def _guest_kernel(self) -> Iterator[Setting]:
        """The kernel of a guest's log that has one alone: not of a host's, nor of several boots."""
        if len(self._kernels) == 1 and any(each.key == "whose" for each in self._settings):
            ((release, place),) = self._kernels.items()
            yield Setting("guest_kernel", release, place)

    def _pat(self, line: Line, words: str) -> None:
        try:
            self._settings.append(Setting("pat", parse_pat(words), line.place(words[:6])))
        except ValueError as error:
            raise line.error(str(error), words[:6]) from None

    def _short(self, line: Line) -> Exception:
        return line.error("a PAT has eight entries, and fewer stand here (the whole line)")

    # What was read

    def finish(self) -> Iterator[Dump]:
        if self._held is not None:
            raise self._short(self._held)
        if self._bare_disabled is not None and (self._sets or self._settings):
            what = "'Disabled' that is not right behind the MTRRs: taken as something else's"
            self._remarks.append(ImportRemark(what, self._bare_disabled.place()))
        if self._state == "fixed" and self._sets:
            self._sets[-1].fixed_place = None if not self._sets[-1].fixed else self._sets[-1].fixed_place
        for found in self._sets:
            yield set_dump(found)
        if self._first is not None:
            told = (*self._settings, *self._guest_kernel())
            yield Dump(NAME, self._first, settings=told, remarks=tuple(self._remarks))
