# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's log: the MTRRs as it found them (or, where it cleaned them up, left them), and its PAT.

Source: arch/x86/kernel/cpu/mtrr/generic.c print_mtrr_state(), cleanup.c; arch/x86/mm/pat/memtype.c; Xen's
xen/arch/x86/cpu/mtrr/generic.c. Both ends of a range are in it. Variable pairs are listed when the MTRRs are off,
too. From 6.5 on the registers are there with mtrr=debug alone, and a map of what comes out of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dump import Dump, Line, Pair, Pairs, Register, Remark, Setting
from mtcalc.text.errors import InputError, Place
from mtcalc.text.numbers import SUFFIXES
from mtcalc.x86.memtype import MTRR_TYPES, MemType, parse_memtype
from mtcalc.x86.mtrr import FIXED_RANGES, FIXED_REGISTERS, ONE_MEGABYTE, PAGE
from mtcalc.x86.pat import parse_pat

NAME = "dmesg"
FORM = "MTRR default type: uncachable"
CLEANED_FORM = "reg 0, base: 0GB, range: 2GB, type WB"
PAIR_FORM = "1 base 00C0000000 mask FFC0000000 uncachable"

LEAST_PAIRS = 8
MOST_BETWEEN = 16
"""Lines of others inside a list: the kernel's CPUs log at the same time."""

_DEFAULT = re.compile(r"MTRR default type: ?(.*)")
_HEADER = re.compile(r"MTRR (fixed|variable) ranges (en|dis)abled:?")
_FIXED = re.compile(r"([0-9A-Fa-f]{5})-([0-9A-Fa-f]{5}) ([a-z-]+)")
_PAIR = re.compile(r"(\d{1,3}) base ([0-9A-Fa-f]{5,16}) mask ([0-9A-Fa-f]{5,16}) ([a-z-]+)")
_OFF = re.compile(r"(\d{1,3}) disabled")
_TOM2 = re.compile(r"TOM2: ([0-9a-fA-F]{1,16}) aka (\d+)M")
_CLEANED = re.compile(r"reg (\d{1,3}), base: (\d+)([KMGT]?)B, range: (\d+)([KMGT]?)B, type ([A-Z]{2})")
_MAP = re.compile(r"MTRR map: (\d+) entries \(.*built from (\d+) variable MTRRs")
_MAPPED = re.compile(r"(\d{1,3}): ([0-9a-f]{16})-([0-9a-f]{16}) ([a-z-]+)")
_PAT = re.compile(r"(?:x86/)?PAT:? configuration \[0-7\]: *(.*)", re.IGNORECASE)
_OLD_PAT = re.compile(r"x86 PAT enabled: cpu \d+, old 0x[0-9a-f]+, new (0x[0-9a-f]+)")
_DISABLED = re.compile(
    r"(?:(?:x86/)?mtrr: )?Disabled|.*\bMTRRs disabled, skipping PAT\b.*|.*\bMTRRs? disabled by .*", re.IGNORECASE
)
_GUEST = re.compile(r"Hypervisor detected: |Booting paravirtualized kernel on (?!bare)|kvm-clock: |DMI: QEMU\b")
_KERNEL = re.compile(r"Linux version (\S+)")
_CONFLICT = re.compile(r"(?:x86/PAT: )?(\S.*):(\d+) conflicting memory types ([0-9a-f]+)-([0-9a-f]+) +(\S+?)<->(\S+)")
_NEAR = re.compile(
    r".{0,80}configuration .{0,2}0-7.{0,60}|.{0,80}PAT enabled: cpu \d+.*"
    r"|.{0,88}\b(?:fixed|variable) ranges (?:en|dis).{3,7}|.{0,80}M?TRR default type: [a-z-]+.?",
    re.IGNORECASE,
)
"""Lines of ours with something in them, or in front of them, that can't be read."""
_NEW, _ORIGINAL = "New variable MTRRs", "original variable MTRRs"


class _Set:
    """The MTRRs of one boot, as the log lists them."""

    def __init__(self, line: Line) -> None:
        self.place: Place = line.place()
        self.settings: dict[str, Setting] = {}
        self.fixed: list[tuple[int, int, MemType, Place]] = []
        self.fixed_place: Place | None = None
        self.pairs: dict[int, Pair] = {}
        self.pairs_place: Place | None = None
        self.ended = False  # a line of something else stands behind the pairs
        self.cleaned: dict[int, Pair] | None = None
        self.mapped: list[tuple[int, int, MemType, Place]] = []
        self.map_place: Place | None = None
        self.map_rows = 0
        self.disabled: Place | None = None

    def put(self, key: str, value: bool | MemType, place: Place) -> None:
        self.settings[key] = Setting(key, value, place)


class Dmesg:
    """The reader."""

    def __init__(self) -> None:
        self._sets: list[_Set] = []
        self._state = ""
        self._settings: list[Setting] = []
        self._remarks: list[Remark] = []
        self._held: Line | None = None
        self._first: Place | None = None
        self._bare_disabled: Line | None = None
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
        listed = self._header(line) or self._row(line)
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
        if self._between > MOST_BETWEEN:
            self._state = ""

    def _current(self, line: Line) -> _Set:
        if not self._sets:
            self._sets.append(_Set(line))
        return self._sets[-1]

    def _begin(self, line: Line, again: bool) -> _Set:
        """The set that a header belongs to; another one where this one has that header already."""
        if not self._sets or again:
            self._sets.append(_Set(line))
        return self._sets[-1]

    def _header(self, line: Line) -> bool:
        text = line.text
        if text.startswith("MTRR"):
            found = _DEFAULT.fullmatch(text)
            if found:
                now = self._sets[-1] if self._sets else None
                now = self._begin(line, now is not None and (bool(now.settings) or now.pairs_place is not None))
                now.put("default", self._type(line, found[1]), line.place())
                self._state = "default"
                return True
            found = _HEADER.fullmatch(text)
            if found:
                if self._state == "variable":
                    self._current(line).ended = True
                self._header_of(line, found[1], found[2] == "en")
                return True
            found = _MAP.match(text)
            if found:
                now = self._current(line)
                now.map_place = line.place()
                now.map_rows = int(found[1])
                now.mapped = []
                self._state = "map"
                return True
        if text in (_NEW, _ORIGINAL):
            now = self._current(line)
            if self._state == "variable":
                now.ended = True
            if text == _NEW:
                now.cleaned = {}
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
            self._current(line).fixed.append((start, last + 1, self._type(line, found[3]), line.place()))
            return True
        if found := _PAIR.fullmatch(text):
            if state != "variable":
                # The headers of a log that is cut at the top are not there.
                now = self._sets[-1] if self._sets else None
                now = self._begin(line, now is not None and now.pairs_place is not None)
                now.pairs_place = line.place()
                self._state = "variable"
            base, mask = int(found[2], 16), int(found[3], 16)
            self._pair(line, int(found[1]), base | self._type(line, found[4]), mask | 1 << 11, (base | mask) % PAGE)
            return True
        if state == "variable" and (found := _OFF.fullmatch(text)):
            self._pair(line, int(found[1]), 0, 0, 0)
            return True
        if state == "cleaned" and ", range: " in text and not _CLEANED.fullmatch(text):
            raise line.error(
                "a range of the clean-up that can't be read (as in `reg 0, base: 0GB, range: 2GB, type WB`)"
            )
        if state in ("cleaned", "original") and (found := _CLEANED.fullmatch(text)):
            if state == "cleaned":
                base, size = (int(found[n]) << SUFFIXES.get(found[n + 1], 0) for n in (2, 4))
                pair = Pair(int(found[1]), base | self._type(line, found[6]), None, size, line.place())
                cleaned = self._current(line).cleaned
                assert cleaned is not None
                if pair.number != len(cleaned):
                    raise line.error(f"reg {found[1]} where {len(cleaned)} is next (the whole list)")
                cleaned[pair.number] = pair
            return True
        if state == "map" and (found := _MAPPED.fullmatch(text)):
            start, last = int(found[2], 16), int(found[3], 16)
            if int(found[1]) != len(self._current(line).mapped):
                raise line.error(
                    f"row {found[1]} of the map where {len(self._current(line).mapped)} is next (the whole map)"
                )
            if start % PAGE or (last + 1) % PAGE or last < start:
                raise line.error(f"{start:#x}-{last:#x} is no range of pages (both ends are in it)", found[2])
            self._current(line).mapped.append((start, last + 1, self._type(line, found[4]), line.place()))
            return True
        return False

    def _pair(self, line: Line, number: int, base: int, mask: int, odd: int) -> None:
        pairs = self._current(line).pairs
        if number in pairs:
            raise line.error(
                f"pair {number} is listed twice in one list (it also stands on line {pairs[number].place.line})"
            )
        if odd:
            raise line.error("a base or a mask that is not page aligned (their last three digits are 0)", "base")
        pairs[number] = Pair(number, base, mask, 0, line.place())
        self._current(line).ended = False

    def _other(self, line: Line) -> bool:
        text = line.text
        if found := _PAT.fullmatch(text):
            if len(found[1].split()) < 8:
                self._held = line
            else:
                self._pat(line, found[1])
        elif found := _OLD_PAT.fullmatch(text):
            self._pat(line, found[1])
        elif _DISABLED.fullmatch(text):
            if text == "Disabled":
                self._bare_disabled = line
            else:
                self._current(line).disabled = line.place()
        elif found := _TOM2.fullmatch(text):
            top = int(found[1], 16)
            if top >> 20 != int(found[2]):
                raise line.error(
                    f"TOM2: 0x{found[1]} is {top >> 20} M, not {found[2]} (one of the two is mistyped)", found[1]
                )
            self._remarks.append(
                Remark(
                    f"TOM2: an AMD CPU takes RAM from 4G up to {top:#x} as WB without an MTRR; no scenario says so",
                    line.place(),
                )
            )
        elif _GUEST.match(text):
            self._settings.append(Setting("whose", "guest", line.place()))
        elif found := _KERNEL.match(text):
            self._remarks.append(Remark(f"this is the log of Linux {found[1]}", line.place()))
            return False
        elif found := _CONFLICT.fullmatch(text):
            asked, has = found[5], found[6]
            self._remarks.append(
                Remark(
                    f"0x{found[3]}-0x{found[4]}: a mapping that failed: {asked} asked for, {has} there", line.place()
                )
            )
        elif _NEAR.fullmatch(text):
            raise line.error("a line of a kernel's log that can't be read (as the kernel printed it, or without it)")
        else:
            return False
        return True

    def _pat(self, line: Line, words: str) -> None:
        try:
            self._settings.append(Setting("pat", parse_pat(words), line.place(words[:6])))
        except ValueError as error:
            raise line.error(str(error), words[:6]) from None

    def _short(self, line: Line) -> Exception:
        return line.error("a PAT has eight entries, and fewer stand here (the whole line)")

    def _type(self, line: Line, word: str) -> MemType:
        try:
            return parse_memtype(word, MTRR_TYPES)
        except ValueError as error:
            raise line.error(str(error), word) from None

    # What was read

    def finish(self) -> Iterator[Dump]:
        if self._held is not None:
            raise self._short(self._held)
        if self._bare_disabled is not None and (self._settings or self._sets):
            self._current(self._bare_disabled).disabled = self._bare_disabled.place()
        if self._state == "fixed" and self._sets:
            self._sets[-1].fixed_place = None if not self._sets[-1].fixed else self._sets[-1].fixed_place
        for found in self._sets:
            yield self._dump(found)
        if self._first is not None:
            told = tuple(self._settings)
            yield Dump(NAME, self._first, settings=told, remarks=tuple(self._remarks))

    def _dump(self, found: _Set) -> Dump:
        settings = dict(found.settings)
        remarks = []
        pairs = None
        registers: tuple[Register, ...] = ()
        if found.disabled is not None:
            settings["enabled"] = Setting("enabled", False, found.disabled)
        if found.fixed_place is not None and "fixed_enabled" not in settings and not _whole(found):
            settings["cut_fixed"] = Setting("cut_fixed", True, found.fixed_place)
        elif found.fixed_place is not None and not _all_off(found, settings):
            registers = _tiled(found.fixed, found.fixed_place)
        if found.pairs_place is not None:
            pairs = _pairs(found)
        elif found.mapped:
            if len(found.mapped) != found.map_rows:
                what = f"a map of {found.map_rows} entries, of which {len(found.mapped)} are there"
                raise InputError(f"{what} (the whole map)", found.map_place)
            settings.setdefault("enabled", Setting("enabled", True, found.map_place or found.place))
            registers, pairs = _of_map(found)
            settings.setdefault("fixed_enabled", Setting("fixed_enabled", bool(registers), found.place))
            remarks.append(
                Remark(
                    "made from the map, what the kernel resolved: the registers themselves may be other ones",
                    found.map_place or found.place,
                )
            )
        elif found.map_place is not None:
            remarks.append(
                Remark("a count of ranges and no register (boot with mtrr=debug for those)", found.map_place)
            )
        if found.disabled is not None and found.pairs_place is None:
            remarks.append(
                Remark(
                    "MTRRs off; whether the guest's CPUID has any is not told (--no-cpuid-mtrr if not)", found.disabled
                )
            )
        return Dump(NAME, found.place, tuple(settings.values()), registers, pairs, remarks=tuple(remarks))


def _all_off(found: _Set, settings: dict[str, Setting]) -> bool:
    """Whether the fixed ranges are off and hold UC, as at reset: then there is nothing to write."""
    off = "fixed_enabled" in settings and not settings["fixed_enabled"].value
    return off and all(kind is MemType.UC for _, _, kind, _ in found.fixed)


def _whole(found: _Set) -> bool:
    """Whether the fixed ranges go from 0 to 1M."""
    return found.fixed[0][0] == 0 and found.fixed[-1][1] == ONE_MEGABYTE


def _tiled(ranges: list[tuple[int, int, MemType, Place]], place: Place) -> tuple[Register, ...]:

    at = 0
    kinds: list[tuple[MemType, Place]] = []
    for start, end, kind, where in sorted(ranges, key=lambda item: item[0]):
        if start != at or end <= start or end > ONE_MEGABYTE:
            raise InputError(
                f"the fixed ranges do not go on at {at:#x} (0 to 0xfffff, each one behind the last)", where
            )
        held = [span for span in FIXED_RANGES if start <= span[0] and span[1] <= end]
        if not held or held[0][0] != start or held[-1][1] != end:
            raise InputError(
                f"{start:#x}-{end - 1:#x} cuts a fixed range in two (steps of 64K, 16K from 0x80000, 4K from 0xc0000)",
                where,
            )
        kinds += [(kind, where)] * len(held)
        at = end
    if at != ONE_MEGABYTE:
        what = (
            f"the fixed ranges end at {at:#x}, and the log is cut there" if ranges else "no fixed range is listed below"
        )
        raise InputError(f"{what} (the whole log: they go up to 0xfffff)", kinds[-1][1] if kinds else place)
    registers = []
    for number, (msr, _, _) in enumerate(FIXED_REGISTERS):
        eight = kinds[8 * number : 8 * number + 8]
        registers.append(Register(msr, sum(kind << 8 * k for k, (kind, _) in enumerate(eight)), eight[0][1]))
    return tuple(registers)


def _pairs(found: _Set) -> Pairs:
    assert found.pairs_place is not None
    listed = found.pairs
    count = max(listed) + 1 if listed else 0
    missing = tuple(number for number in range(count) if number not in listed)
    if found.cleaned:
        # What the clean-up left: it sets every pair, so the others are off.
        known = range(max(count, max(found.cleaned) + 1))
        off = Pair(0, 0, 0, 0, found.pairs_place)
        pairs = tuple(found.cleaned.get(number, off._replace(number=number)) for number in known)
        widths = tuple(pair for pair in listed.values() if pair.valid)
        return Pairs(_widened(pairs, widths), found.place, total=len(known) if found.ended else None)
    pairs = tuple(listed[number] for number in sorted(listed))
    # No CPU with MTRRs and a log like this has fewer: a line went missing.
    ended = found.ended and count >= LEAST_PAIRS
    return Pairs(pairs, found.pairs_place, count if ended and not missing else None, missing, not ended)


def _widened(pairs: tuple[Pair, ...], listed: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """The pairs of a clean-up with masks as wide as those before it."""
    top = max(((pair.physmask or 0).bit_length() for pair in listed), default=0)
    if not top:
        return pairs
    return tuple(
        pair
        if pair.physmask is not None
        else pair._replace(physmask=(1 << top) - pair.size | 1 << 11, size=0)
        if pair.size and not pair.size & (pair.size - 1)
        else pair
        for pair in pairs
    )


MOST_PAIRS = 32


def _of_map(found: _Set) -> tuple[tuple[Register, ...], Pairs]:
    """Registers that come out as the map: what is under 1M in fixed ranges, the rest in pairs without an overlap."""

    place = found.map_place or found.place
    low = [(s, min(e, ONE_MEGABYTE), kind, where) for s, e, kind, where in found.mapped if s < ONE_MEGABYTE]
    registers = _tiled(low, place) if low and sum(e - s for s, e, _, _ in low) == ONE_MEGABYTE else ()
    pairs: list[Pair] = []
    for start, end, kind, where in found.mapped:
        at = max(start, ONE_MEGABYTE) if registers else start
        while at < end:
            size = min(at & -at or 1 << 63, 1 << (end - at).bit_length() - 1)
            pairs.append(Pair(len(pairs), at | kind, None, size, where))
            at += size
    if len(pairs) > MOST_PAIRS:
        raise InputError(
            f"a map that takes {len(pairs)} pairs (at most {MOST_PAIRS}: the list of registers above it)", place
        )
    return registers, Pairs(tuple(pairs), place)
