# SPDX-License-Identifier: GPL-2.0-only
"""A firmware's log of the MTRRs: edk2 and patina, coreboot, U-Boot's `mtrr list`, Slim Bootloader.

Source: edk2's UefiCpuPkg MtrrLib, MtrrDebugPrintAllMtrrs(), which leaves out pairs that are off;
coreboot's src/cpu/x86/mtrr, which prints the type as a number and no V bit; U-Boot's cmd/x86/mtrr.c; Slim
Bootloader's MtrrLib, PrintMtrr().
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dump import Dump, DumpPair, DumpRegister, ImportRemark, Line, Pairs, Setting
from mtcalc.importers.msrs import def_type_settings
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.memtype import MTRR_TYPES, MemType, parse_memtype
from mtcalc.x86.mtrr import FIXED_REGISTERS, MSR_VARIABLE, PAGE

NAME = "firmware"
FORM = "Variable MTRR[00]: Base=0x000000c0000000 Mask=0x00003fc0000800"

_VALUE = "(?:0x([0-9a-fA-F]{1,16})|([0-9a-fA-F]{16}))"
_DEFAULT = re.compile(rf"MTRR Default Type: {_VALUE}")
_FIXED = re.compile(rf"Fixed MTRR\[(\d\d)\] *: {_VALUE}")
_VARIABLE = re.compile(rf"Variable MTRR\[(\d\d)\] *: Base={_VALUE} Mask={_VALUE}")
_BEGINS = re.compile(r"(?:Fixed|Variable) MTRR\[|MTRR Default Type: |MTRR: \d+ base |MTRR: Fixed MSR ")

_COREBOOT_PAIR = re.compile(r"MTRR: (\d{1,2}) base 0x([0-9a-f]{8,16}) mask 0x([0-9a-f]{8,16}) type ([0-9])")
_COREBOOT_FIXED = re.compile(r"MTRR: Fixed MSR 0x([0-9a-f]{3}) 0x([0-9a-f]{16})")
_COREBOOT_DEFAULT = re.compile(r"MTRR: (WB|UC|WT|WP|WC) selected as default type\.")
_COREBOOT_COUNTS = re.compile(r"MTRR: default type WB/UC MTRR counts: (\d{1,3})/(\d{1,3})\.")
_COREBOOT_WIDTH = re.compile(r"(?:MTRR|CPU) physical address size: (\d\d) bits")

_UBOOT_HEADER = re.compile(r"Reg Valid Write-type +Base +\|\| +Mask +\|\| +Size +\|\|")
_UBOOT = re.compile(r"(\d{1,2}) +([YN]) +([\w-]+) +([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{16})")
_UBOOT_NEAR = re.compile(r".*\b[0-9a-f]{12,16}\b.*\b[0-9a-f]{12,16}\b.*")
_UBOOT_TYPES = {
    "uncacheable": MemType.UC,
    "combine": MemType.WC,
    "through": MemType.WT,
    "protect": MemType.WP,
    "back": MemType.WB,
}

_SLIM_SWITCH = re.compile(r"(Fixed )?MTRRs\.{4,}: (Enabled|Disabled)")
_SLIM_DEFAULT = re.compile(r"Default\.{4,}: ([\w -]+)")
_SLIM_RANGE = re.compile(r"\[0x([0-9a-f]{9,16})-0x([0-9a-f]{9,16})\] ([A-Z][a-z]+(?:[ -][A-Z][a-z]+)?)")
_SLIM_NEAR = re.compile(r".*0x.*[\]~ -].{0,3}(?:Write|Uncach).*")
_SLIM_REGISTER = re.compile(r"IA32_MTRR_PHYS(BASE|MASK)_(\d{1,2}) \(0x([0-9a-f]{3})\): 0x([0-9a-f]{16})")


class _Log:
    """One list of a firmware's."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.settings: dict[str, Setting] = {}
        self.fixed: dict[int, DumpRegister] = {}
        self.pairs: dict[int, DumpPair] = {}
        self.ranges: list[DumpPair] = []  # Slim Bootloader's, without the registers' numbers
        self.wide: int | None = None  # U-Boot's sizes: how much is too much
        self.valid_only = False  # pairs that are off are left out
        self.without_holes = False  # coreboot's, which takes the pairs one by one
        self.counts: dict[MemType, int] = {}  # coreboot's: how many pairs each default type takes
        self.counts_place: Place | None = None


class Firmware:
    """The reader."""

    def __init__(self) -> None:
        self._logs: list[_Log] = []
        self._table = False
        self._slim_on = False
        self._held: Line | None = None

    def feed(self, line: Line) -> bool:
        if self._held is not None:
            held, self._held = self._held, None
            if not self._take(held._replace(text=f"{held.text} {line.text}")):
                raise self._broken(held)
            return True
        if self._take(line):
            return True
        if (self._table and _UBOOT_NEAR.fullmatch(line.text)) or (self._slim_on and _SLIM_NEAR.fullmatch(line.text)):
            raise self._broken(line)
        self._table = self._table and bool(_UBOOT.fullmatch(line.text))
        if _BEGINS.match(line.text):
            self._held = line  # a mail may have wrapped it
            return True
        return False

    def _broken(self, line: Line) -> Exception:
        return line.error(f"a line of a firmware's log that is not whole (as in `{FORM}`)")

    def _take(self, line: Line) -> bool:
        text = line.text
        if found := _DEFAULT.fullmatch(text):
            log = self._log(line, lambda log: "default" in log.settings or bool(log.pairs or log.fixed))
            for setting in def_type_settings(_hex(found, 1), line.place(found[1] or found[2])):
                log.settings[setting.key] = setting
        elif found := _FIXED.fullmatch(text):
            if int(found[1]) >= len(FIXED_REGISTERS):
                raise line.error(f"Fixed MTRR[{found[1]}]: there are {len(FIXED_REGISTERS)} (00 to 10)", found[1])
            self._fixed(line, FIXED_REGISTERS[int(found[1])][0], _hex(found, 2))
        elif found := _VARIABLE.fullmatch(text):
            self._pair(line, int(found[1]), _hex(found, 2), _hex(found, 4))
            self._logs[-1].valid_only = True
        elif found := _COREBOOT_PAIR.fullmatch(text):
            kind = int(found[4])
            if kind not in MTRR_TYPES:
                raise line.error(f"type {kind} is no memory type (0 UC, 1 WC, 4 WT, 5 WP or 6 WB)", f"type {kind}")
            self._pair(line, int(found[1]), int(found[2], 16) | kind, int(found[3], 16) | 1 << 11)
            self._logs[-1].valid_only = self._logs[-1].without_holes = True
        elif found := _COREBOOT_FIXED.fullmatch(text):
            msr = int(found[1], 16)
            if msr not in {register for register, _, _ in FIXED_REGISTERS}:
                raise line.error(
                    f"0x{found[1]} is no fixed-range register (0x250, 0x258, 0x259, 0x268-0x26f)", found[1]
                )
            self._fixed(line, msr, int(found[2], 16))
        elif found := _COREBOOT_DEFAULT.fullmatch(text):
            log = self._log(line, lambda log: "default" in log.settings or bool(log.pairs))
            place = line.place(found[1])
            log.settings["default"] = Setting("default", parse_memtype(found[1]), place)
            log.settings["enabled"] = Setting("enabled", True, place)
        elif found := _COREBOOT_COUNTS.fullmatch(text):
            log = self._log(line, lambda log: bool(log.counts or log.pairs))
            log.counts = {MemType.WB: int(found[1]), MemType.UC: int(found[2])}
            log.counts_place = line.place("counts: ")
        elif found := _COREBOOT_WIDTH.fullmatch(text):
            log = self._log(line, lambda _: False)
            log.settings["maxphyaddr"] = Setting("maxphyaddr", int(found[1]), line.place(found[1]))
        elif _UBOOT_HEADER.fullmatch(text):
            self._table = True
            self._logs.append(_Log(line.place()))
        elif self._table and (found := _UBOOT.fullmatch(text)):
            self._of_table(line, found)
        else:
            return self._slim(line)
        return True

    def _log(self, line: Line, again: object) -> _Log:
        assert callable(again)
        if not self._logs or again(self._logs[-1]):
            self._logs.append(_Log(line.place()))
        return self._logs[-1]

    def _fixed(self, line: Line, msr: int, value: int) -> None:
        log = self._log(line, lambda log: msr in log.fixed)
        log.fixed[msr] = DumpRegister(msr, value, line.place())

    def _pair(self, line: Line, number: int, base: int, mask: int) -> None:
        log = self._log(line, lambda log: number in log.pairs)
        log.pairs[number] = DumpPair(number, base, mask, 0, line.place())

    def _of_table(self, line: Line, found: re.Match[str]) -> None:
        base, mask, size = (int(found[n], 16) for n in (4, 5, 6))
        if (base | mask) % PAGE:
            raise line.error("a base or a mask that is not page aligned (their last three digits are 0)", found[4])
        if found[2] == "N":
            self._pair(line, int(found[1]), base & ~0xFFF, mask & ~0xFFF)
            return
        kind = _UBOOT_TYPES.get(found[3].lower())
        if kind is None:
            raise line.error(f"'{found[3]}' is no write-type ({', '.join(_UBOOT_TYPES)})", found[3])
        address_mask = mask & ~0xFFF
        # Where U-Boot takes the CPU for a wider one, what lies above the mask counts too.
        width = address_mask.bit_length()
        above = size - ((1 << width) - address_mask) + (1 << width)
        log = self._logs[-1]
        log.wide = above - (1 << width) if log.wide is None else log.wide
        if not width or above not in [1 << wider for wider in range(width, 53)] or above - (1 << width) != log.wide:
            raise line.error(
                f"size {size:#x} does not fit mask {address_mask:#x} (one of the two is mistyped)", found[6]
            )
        self._pair(line, int(found[1]), base & ~0xFFF | kind, address_mask | 1 << 11)

    def _slim(self, line: Line) -> bool:
        """Slim Bootloader's lines."""
        text = line.text
        if found := _SLIM_SWITCH.fullmatch(text):
            key = "fixed_enabled" if found[1] else "enabled"
            log = self._log(line, lambda log: key in log.settings or bool(log.pairs))
            log.settings[key] = Setting(key, found[2] == "Enabled", line.place(found[2]))
        elif found := _SLIM_DEFAULT.fullmatch(text):
            log = self._log(line, lambda log: "default" in log.settings)
            log.settings["default"] = Setting("default", line.mtrr_type(found[1]), line.place(found[1]))
            self._slim_on = True
        elif found := _SLIM_RANGE.fullmatch(text):
            start, size = int(found[1], 16), int(found[2], 16) + 1 - int(found[1], 16)
            if start % PAGE:
                raise line.error(f"{start:#x} is not page aligned (its last three digits are 0)", found[1])
            log = self._log(line, lambda _: False)
            log.ranges.append(DumpPair(len(log.ranges), start | line.mtrr_type(found[3]), None, size, line.place()))
        elif found := _SLIM_REGISTER.fullmatch(text):
            number, mask = int(found[2]), found[1] == "MASK"
            if int(found[3], 16) != MSR_VARIABLE + 2 * number + mask:
                raise line.error(
                    f"register 0x{found[3]} is not that of pair {number} (one of the two is mistyped)", found[3]
                )
            log = self._log(line, lambda log: number in log.pairs and not mask)
            before = log.pairs.get(number)
            if mask and before is None:
                raise line.error(f"the mask of pair {number} without its base (the line above it)")
            base = before.physbase if before else int(found[4], 16)
            log.pairs[number] = DumpPair(number, base, int(found[4], 16) if mask else None, 0, line.place())
            log.valid_only = True
        else:
            return False
        return True

    def finish(self) -> Iterator[Dump]:
        if self._held is not None:
            raise self._broken(self._held)
        kept: list[Dump] = [_dump(log) for log in self._logs]
        yield from kept


def _hex(found: re.Match[str], group: int) -> int:
    """One of two groups, with 0x or without."""
    return int(found[group] or found[group + 1], 16)


def _behind(log: _Log, default: Setting | None, there: int) -> tuple[int, ...]:
    """The pairs that coreboot counts and does not list; raises InputError where it lists more than it counts."""
    kind = default.value if default is not None else None
    wanted = log.counts.get(kind) if isinstance(kind, MemType) else None
    if wanted is None:
        return ()
    if there > wanted:
        at = log.pairs[there - 1].place.line
        what = f"{wanted} pairs for a default type {kind}, and pair {there - 1} is on line {at}"
        raise InputError(f"{what} (one of the two is mistyped)", log.counts_place)
    return tuple(range(there, wanted))


def _dump(log: _Log) -> Dump:
    settings = dict(log.settings)
    remarks: list[ImportRemark] = []
    if log.fixed and "fixed_enabled" not in settings:
        place = next(iter(log.fixed.values())).place
        settings["fixed_enabled"] = Setting("fixed_enabled", True, place)
        remarks.append(ImportRemark("the log sets fixed ranges and does not say FE: taken as on", place))
    pairs = None
    if log.ranges and not log.pairs:
        remarks.append(
            ImportRemark("which pairs these ranges are in is not told: numbered as they stand", log.ranges[0].place)
        )
        return Dump(
            NAME,
            log.place,
            tuple(settings.values()),
            (),
            Pairs(tuple(log.ranges), log.ranges[0].place),
            remarks=tuple(remarks),
        )
    if log.pairs:
        half = next((pair for pair in log.pairs.values() if pair.physmask is None), None)
        if half is not None:
            raise InputError(f"the base of pair {half.number} without its mask (the line below it)", half.place)
        numbers = sorted(log.pairs)
        missing = tuple(n for n in range(numbers[-1]) if n not in log.pairs)
        if missing and not log.valid_only:
            raise InputError(f"pair {missing[0]} is not in the list (the whole list)", log.pairs[numbers[0]].place)
        # The line of the default type stands above the pairs: without it the log is cut, and a pair that is not there
        # may be on.
        cut = log.without_holes or "default" not in settings
        pairs = Pairs(
            tuple(log.pairs[n] for n in numbers),
            log.pairs[numbers[0]].place,
            total=None if log.valid_only else len(numbers),
            missing=(*(missing if cut else ()), *_behind(log, settings.get("default"), numbers[-1] + 1)),
        )
    return Dump(NAME, log.place, tuple(settings.values()), tuple(log.fixed.values()), pairs, remarks=tuple(remarks))
