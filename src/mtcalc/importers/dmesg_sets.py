# SPDX-License-Identifier: GPL-2.0-only
"""The MTRRs of one boot as a kernel's log lists them: to registers and pairs.

Source: arch/x86/kernel/cpu/mtrr/generic.c print_mtrr_state(), cleanup.c. The fixed ranges are merged in the log, both
ends are in it, and they go from 0 to 1M; the pairs are listed one by one, those that are off too.
"""

from __future__ import annotations

from mtcalc.importers.dump import Dump, DumpPair, DumpRegister, ImportRemark, Line, Pairs, Setting
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import FIXED_RANGES, FIXED_REGISTERS, ONE_MEGABYTE

NAME = "dmesg"

LEAST_PAIRS = 8
MOST_PAIRS = 32


class MtrrSet:
    """The MTRRs of one boot, as the log lists them."""

    def __init__(self, line: Line) -> None:
        self.place: Place = line.place()
        self.settings: dict[str, Setting] = {}
        self.fixed: list[tuple[int, int, MemType, Place]] = []
        self.fixed_place: Place | None = None
        self.pairs: dict[int, DumpPair] = {}
        self.pairs_place: Place | None = None
        self.ended = False  # a line of something else stands behind the pairs
        self.cleaned: dict[int, DumpPair] | None = None  # what the clean-up set, which replaces the pairs
        self.cleaned_ended = False
        self.cleaned_place: Place | None = None
        self.mapped: list[tuple[int, int, MemType, Place]] = []
        self.map_place: Place | None = None
        self.map_rows = 0
        self.disabled: Place | None = None

    def put(self, key: str, value: bool | MemType, place: Place) -> None:
        self.settings[key] = Setting(key, value, place)


def set_dump(found: MtrrSet) -> Dump:
    """What one boot's list tells. Raises InputError for one that has holes or is cut."""
    settings = dict(found.settings)
    remarks = []
    pairs = None
    registers: tuple[DumpRegister, ...] = ()
    if found.disabled is not None:
        settings["enabled"] = Setting("enabled", False, found.disabled)
    if found.fixed_place is not None and "fixed_enabled" not in settings and not _whole(found):
        settings["cut_fixed"] = Setting("cut_fixed", True, found.fixed_place)
    elif found.fixed_place is not None and not _all_off(found, settings):
        registers = _tiled(found.fixed, found.fixed_place)
    if found.cleaned is not None and not found.cleaned:
        raise InputError(
            "the clean-up's new ranges, and none is listed behind this (the whole log)", found.cleaned_place
        )
    place = found.pairs_place or found.cleaned_place
    if place is not None:
        pairs = _pairs(found, place)
    elif found.mapped:
        if len(found.mapped) != found.map_rows:
            what = f"a map of {found.map_rows} entries, of which {len(found.mapped)} are there"
            raise InputError(f"{what} (the whole map)", found.map_place)
        settings.setdefault("enabled", Setting("enabled", True, found.map_place or found.place))
        registers, pairs = _of_map(found)
        settings.setdefault("fixed_enabled", Setting("fixed_enabled", bool(registers), found.place))
        remarks.append(
            ImportRemark(
                "made from the map, what the kernel resolved: the registers themselves may be other ones",
                found.map_place or found.place,
            )
        )
    elif found.map_place is not None:
        remarks.append(
            ImportRemark("a count of ranges and no register (boot with mtrr=debug for those)", found.map_place)
        )
    if found.disabled is not None and found.pairs_place is None:
        remarks.append(
            ImportRemark(
                "MTRRs off; whether the guest's CPUID has any is not told (--no-cpuid-mtrr if not)", found.disabled
            )
        )
    return Dump(NAME, found.place, tuple(settings.values()), registers, pairs, remarks=tuple(remarks))


def _all_off(found: MtrrSet, settings: dict[str, Setting]) -> bool:
    """Whether the fixed ranges are off and hold UC, as at reset: then there is nothing to write."""
    off = "fixed_enabled" in settings and not settings["fixed_enabled"].value
    return off and all(kind is MemType.UC for _, _, kind, _ in found.fixed)


def _whole(found: MtrrSet) -> bool:
    """Whether the fixed ranges go from 0 to 1M."""
    return found.fixed[0][0] == 0 and found.fixed[-1][1] == ONE_MEGABYTE


def _tiled(ranges: list[tuple[int, int, MemType, Place]], place: Place) -> tuple[DumpRegister, ...]:

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
        registers.append(DumpRegister(msr, sum(kind << 8 * k for k, (kind, _) in enumerate(eight)), eight[0][1]))
    return tuple(registers)


def _pairs(found: MtrrSet, place: Place) -> Pairs:
    listed = found.pairs
    count = max(listed) + 1 if listed else 0
    missing = tuple(number for number in range(count) if number not in listed)
    if found.cleaned:
        # What the clean-up left: it sets every pair, so the others are off.
        known = range(max(count, max(found.cleaned) + 1))
        off = DumpPair(0, 0, 0, 0, place)
        widths = tuple(pair for pair in listed.values() if pair.valid)
        if not found.cleaned_ended:
            return Pairs(_widened(tuple(found.cleaned.values()), widths), found.place, cut=True)
        pairs = tuple(found.cleaned.get(number, off._replace(number=number)) for number in known)
        return Pairs(_widened(pairs, widths), found.place, total=len(known) if found.ended else None)
    pairs = tuple(listed[number] for number in sorted(listed))
    # No CPU with MTRRs and a log like this has fewer: a line went missing.
    ended = found.ended and count >= LEAST_PAIRS
    return Pairs(pairs, place, count if ended and not missing else None, missing, not ended)


def _widened(pairs: tuple[DumpPair, ...], listed: tuple[DumpPair, ...]) -> tuple[DumpPair, ...]:
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


def _of_map(found: MtrrSet) -> tuple[tuple[DumpRegister, ...], Pairs]:
    """Registers that come out as the map: what is under 1M in fixed ranges, the rest in pairs without an overlap."""

    place = found.map_place or found.place
    low = [(s, min(e, ONE_MEGABYTE), kind, where) for s, e, kind, where in found.mapped if s < ONE_MEGABYTE]
    registers = _tiled(low, place) if low and sum(e - s for s, e, _, _ in low) == ONE_MEGABYTE else ()
    pairs: list[DumpPair] = []
    for start, end, kind, where in found.mapped:
        at = max(start, ONE_MEGABYTE) if registers else start
        while at < end:
            size = min(at & -at or 1 << 63, 1 << (end - at).bit_length() - 1)
            pairs.append(DumpPair(len(pairs), at | kind, None, size, where))
            at += size
    if len(pairs) > MOST_PAIRS:
        raise InputError(
            f"a map that takes {len(pairs)} pairs (at most {MOST_PAIRS}: the list of registers above it)", place
        )
    return registers, Pairs(tuple(pairs), place)
