# SPDX-License-Identifier: GPL-2.0-only
"""The MTRRs of one boot as a kernel's log lists them: to registers and pairs.

Source: arch/x86/kernel/cpu/mtrr/generic.c print_mtrr_state(), cleanup.c. The fixed ranges are merged in the log, both
ends are in it, and they go from 0 to 1M; the pairs are listed one by one, those that are off too.
"""

from __future__ import annotations

from mtcalc.importers.dump import Dump, DumpPair, DumpRegister, ImportRemark, Line, MapRow, Pairs, RangeMap, Setting
from mtcalc.importers.mtrr_map import check_map, tiled
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import ONE_MEGABYTE, PAGE

NAME = "dmesg"

LEAST_PAIRS = 8


class MtrrSet:
    """The MTRRs of one boot, as the log lists them."""

    def __init__(self, line: Line) -> None:
        self.place: Place = line.place()
        self.settings: dict[str, Setting] = {}
        self.fixed: list[MapRow] = []
        self.fixed_place: Place | None = None
        self.pairs: dict[int, DumpPair] = {}
        self.pairs_place: Place | None = None
        self.ended = False  # a line of something else stands behind the pairs
        self.cleaned: dict[int, DumpPair] | None = None  # what the clean-up set, which replaces the pairs
        self.cleaned_ended = False
        self.cleaned_place: Place | None = None
        self.originals: dict[int, DumpPair] = {}  # the pairs again, as the clean-up lists them
        self.originals_ended = False
        self.left_alone = False  # the clean-up says that it found nothing better
        self.mapped: list[MapRow] = []
        self.map_place: Place | None = None
        self.map_counts = (0, 0, 0, 0)  # entries, the fixed ones, what it is built from, pairs (0: not known)
        self.tom2 = 0
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
        registers = tiled(found.fixed, found.fixed_place)
    if found.cleaned is not None and not found.cleaned:
        raise InputError(
            "the clean-up's new ranges, and none is listed behind this (the whole log)", found.cleaned_place
        )
    if found.originals and found.pairs_place is not None:
        _same_originals(found)
    if found.originals and found.cleaned_place is None and not found.left_alone:
        what = "a clean-up begins here, and no list of new MTRRs follows: where it set any, these are the old ones"
        remarks.append(ImportRemark(what, next(iter(found.originals.values())).place, "mtrr"))
    place = found.pairs_place or found.cleaned_place or next((p.place for p in found.originals.values()), None)
    if place is not None:
        pairs = _pairs(found, place)
    ranges = None
    if found.map_place is not None and found.mapped:
        entries, fixed, built, total = found.map_counts
        listed = pairs.total if pairs is not None else None
        if listed is not None and built not in (listed, listed + 1):
            what = f"built from {built} pairs, and {listed} are listed at {found.place.file}:{found.place.line}"
            raise InputError(f"{what} (as many, or one more for TOM2)", found.map_place)
        tom2 = found.tom2 or (None if built > (listed or total or built) else 0)
        ranges = RangeMap(tuple(found.mapped), entries, fixed, found.map_place, tom2, total or None)
        check_map(ranges)
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
    return Dump(NAME, found.place, tuple(settings.values()), registers, pairs, ranges, remarks=tuple(remarks))


def _all_off(found: MtrrSet, settings: dict[str, Setting]) -> bool:
    """Whether the fixed ranges are off and hold UC, as at reset: then there is nothing to write."""
    off = "fixed_enabled" in settings and not settings["fixed_enabled"].value
    return off and all(kind is MemType.UC for _, _, kind, _ in found.fixed)


def _whole(found: MtrrSet) -> bool:
    """Whether the fixed ranges go from 0 to 1M."""
    return found.fixed[0][0] == 0 and found.fixed[-1][1] == ONE_MEGABYTE


def _same_originals(found: MtrrSet) -> None:
    """Raises InputError where the clean-up lists other pairs than stand above it."""
    for number, row in found.originals.items():
        pair = found.pairs.get(number)
        if pair is None and not found.ended:
            continue  # the list is cut, which is asked about
        mask = (pair.physmask or 0) & ~(PAGE - 1) if pair is not None else 0
        if pair is None or (pair.physbase, mask & -mask) != (row.physbase, row.size):
            there = found.pairs_place if pair is None else pair.place
            assert there is not None
            what = f"reg {number} is another pair than at {there.file}:{there.line}"
            raise InputError(
                f"{what} (one of the two is mistyped: base, size and type are the same in both)", row.place
            )
    for number, pair in found.pairs.items():
        if pair.valid and found.originals_ended and number not in found.originals:
            first = next(iter(found.originals.values())).place
            what = f"variable pair {number} is on here, and the clean-up's list at {first.file}:{first.line} lacks it"
            raise InputError(f"{what} (one of the two is mistyped)", pair.place)


def _pairs(found: MtrrSet, place: Place) -> Pairs:
    listed = found.pairs if found.pairs_place is not None else found.originals
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
    if found.pairs_place is None:  # the clean-up's list leaves out pairs that are off
        return Pairs(pairs, place, cut=not found.originals_ended)
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
