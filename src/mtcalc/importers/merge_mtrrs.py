# SPDX-License-Identifier: GPL-2.0-only
"""The guest's MTRRs from several dumps and from what the user gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtcalc.importers.dump import Dump, DumpPair, DumpRegister, ImportRemark, Pairs, RangeMap, Setting
from mtcalc.importers.mtrr_map import of_map, same_as_map
from mtcalc.importers.told import (
    MOST_PAIRS,
    ONE_MACHINE,
    Given,
    Told,
    ToldMtrrs,
    at_place,
    in_place_of,
    told_in,
    unsaid,
)
from mtcalc.kvm.guest_mtrr import KVM_PAIRS
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import FIXED_REGISTERS, MSR_VARIABLE, PAGE, check_register, register_name


def merge_mtrrs(
    dumps: Sequence[Dump], settings: Mapping[str, Setting], given: Given, remarks: list[ImportRemark]
) -> tuple[ToldMtrrs | None, int, Place | None]:
    """The MTRRs where anything tells of them, with the width that their masks tell, 0 for none, and where."""
    map_alone = not any(dump.pairs for dump in dumps) and any(dump.map for dump in dumps)
    if map_alone:
        dumps, settings = _resolved(dumps, settings, remarks)
    fixed = _fixed(dumps, given, remarks)
    cut = settings.get("cut_fixed")
    if cut is not None and not fixed:
        if not given.incomplete:
            what = "fixed ranges whose beginning is not there: whether they are on, and some of them, is not known"
            raise InputError(f"{what} (--incomplete: they are off; or the whole log)", cut.place)
        remarks.append(ImportRemark("fixed ranges whose beginning is not there: left out", cut.place, "mtrr"))
    pairs, count, place = _pairs(dumps, given, remarks)
    given_type = given.registers.get(0x2FF)
    about = ("enabled", "fixed_enabled", "default")
    nothing = not fixed and not pairs and not any(key in settings for key in about) and given_type is None
    if nothing and given.default is None:
        remarks.append(unsaid("the guest's MTRRs: no dump tells; taken as on, default WB, fixed ranges off", "mtrr"))
        return None, 0, None
    place = place or next((settings[key].place for key in about if key in settings), None)
    if place is None and fixed:
        place = fixed[0][1].place
    for key, bit in (("enabled", 11), ("fixed_enabled", 10)):
        if given_type is not None and key in settings and settings[key].value != bool(given_type >> bit & 1):
            remarks.append(in_place_of(0x2FF, settings[key].place))
    enabled = _bit(settings, "enabled", given_type, 11)
    fixed_enabled = _bit(settings, "fixed_enabled", given_type, 10)
    if enabled is None:
        enabled = Told(True, None, True)
        remarks.append(unsaid("MTRRs: no dump tells whether they are on; taken as on", "mtrr"))
    default = _default(settings, given, given_type, enabled, pairs, place, remarks)
    if fixed_enabled is None:
        fixed_enabled = Told(bool(fixed), None, True)
        if fixed:
            what = "fixed ranges: no dump tells whether they are on; taken as on, as some are given"
            remarks.append(unsaid(what, "mtrr"))
            _all_fixed(fixed, fixed_enabled, remarks)
        elif enabled.value:
            what = "fixed ranges: no dump tells; taken as off, so the rest decides below 1M"
            remarks.append(unsaid(f"{what} (--msr 0x250=VALUE, ...)", "mtrr"))
    elif fixed_enabled.value and enabled.value:
        _all_fixed(fixed, fixed_enabled, remarks)
    if enabled.value and not pairs and all(dump.pairs is None for dump in dumps):
        what = "variable pairs: no dump tells; taken as off (--msr 0x200=VALUE, ...)"
        remarks.append(unsaid(what, "mtrr"))
    vcnt_told = settings.get("vcnt")
    if vcnt_told is not None:
        if isinstance(vcnt_told.value, int) and len(pairs) > vcnt_told.value:
            what = f"IA32_MTRRCAP says {vcnt_told.value} variable pairs"
            raise InputError(f"{what}, and pair {pairs[-1].number} is at {at_place(pairs[-1].place)}", vcnt_told.place)
        count = vcnt_told.value if isinstance(vcnt_told.value, int) else count
    if pairs and pairs[-1].number >= MOST_PAIRS:
        raise InputError(f"pair {pairs[-1].number} (at most {MOST_PAIRS} pairs)", pairs[-1].place)
    vcnt = max(count or 0, len(pairs))
    if vcnt > KVM_PAIRS:
        what = f"{vcnt} variable pairs: KVM gives a guest {KVM_PAIRS}"
        if map_alone and (count or 0) <= KVM_PAIRS:
            what = f"{what}, and the map takes as many (the list of registers, mtrr=debug, has fewer)"
            remarks.append(unsaid(f"{what}; the manual's view alone", "mtrr"))
        elif "whose" in settings or given.host is not None:
            remarks.append(unsaid(f"{what}; the manual's view alone", "mtrr"))
        else:
            what = f"{what}, so these are a host's; the manual's view alone, so eval under a kernel "
            what += "that reads the guest's MTRRs refuses it (--whose host leaves them out)"
            remarks.append(unsaid(what, "mtrr"))
    told = vcnt if vcnt > KVM_PAIRS or (count is not None and vcnt < KVM_PAIRS) else None
    top = max(((pair.physmask or 0).bit_length() for pair in pairs if pair.valid), default=0)
    where = next((pair.place for pair in pairs if pair.valid and (pair.physmask or 0).bit_length() == top), None)
    mtrrs = ToldMtrrs(enabled, fixed_enabled, default, fixed, pairs, told, place)
    if not map_alone:
        for ranges in (dump.map for dump in dumps if dump.map is not None):
            _same_map(ranges, mtrrs, settings, given, top)
    return mtrrs, top if top > 12 else 0, where


def _resolved(
    dumps: Sequence[Dump], settings: Mapping[str, Setting], remarks: list[ImportRemark]
) -> tuple[Sequence[Dump], Mapping[str, Setting]]:
    """The dumps with registers in place of the maps, where no dump has the registers themselves."""
    made: list[Dump] = []
    more = dict(settings)
    for dump in dumps:
        if dump.map is None:
            made.append(dump)
            continue
        registers, pairs = of_map(dump.map)
        place = dump.map.place
        made.append(dump._replace(registers=registers or dump.registers, pairs=pairs._replace(total=dump.map.total)))
        more.setdefault("enabled", Setting("enabled", True, place))
        more.setdefault("fixed_enabled", Setting("fixed_enabled", bool(registers), place))
        what = "made from the map, what the kernel resolved: the registers themselves may be other ones"
        remarks.append(ImportRemark(what, place))
    return made, more


def _same_map(ranges: RangeMap, mtrrs: ToldMtrrs, settings: Mapping[str, Setting], given: Given, width: int) -> None:
    """Raises InputError where a map is not what the registers come to, all of which dumps tell."""
    if not mtrrs.enabled.value or any(msr != 0x277 for msr in given.registers) or given.incomplete:
        return
    default = mtrrs.default.value
    assert isinstance(default, MemType)
    fixed = [DumpRegister(msr, number_of(told), told.place or ranges.place) for msr, told in mtrrs.fixed]
    place = mtrrs.default.place or mtrrs.place or ranges.place
    same_as_map(ranges, fixed if mtrrs.fixed_enabled.value else (), mtrrs.pairs, default, place, width or 52)


def _bit(settings: Mapping[str, Setting], key: str, given_type: int | None, bit: int) -> Told | None:
    if given_type is not None:
        return Told(bool(given_type >> bit & 1), None)
    return told_in(settings, key)


def _default(
    settings: Mapping[str, Setting],
    given: Given,
    given_type: int | None,
    enabled: Told,
    pairs: Sequence[DumpPair],
    place: Place | None,
    remarks: list[ImportRemark],
) -> Told:
    """The default type. Raises InputError where it is to be given."""
    said = given.default if given.default is not None else None if given_type is None else MemType(given_type & 0xFF)
    told = told_in(settings, "default")
    if said is not None:
        if told is not None and told.value != said:
            raise InputError(
                f"the default type is {told.value} here, {said} on the command line (leave it out)", told.place
            )
        return Told(said, None)
    if told is not None:
        return told
    if not enabled.value:
        return Told(MemType.UC, None, True)  # with E=0 it decides nothing
    if given.assume:
        back = any(pair.valid and pair.physbase & 0xFF == MemType.WB for pair in pairs)
        kind = MemType.UC if back else MemType.WB
        why = "a WB range is listed" if back else "no WB range is listed"
        remarks.append(unsaid(f"the default MTRR type is not in the dump: taken as {kind}, as {why}", "mtrr"))
        return Told(kind, None, True)
    raise InputError(
        "the default type of the MTRRs is not in the dump (--default-type UC or WB, or a dump that has it)", place
    )


def _fixed(dumps: Sequence[Dump], given: Given, remarks: list[ImportRemark]) -> tuple[tuple[int, Told], ...]:
    found: dict[int, Told] = {}
    for dump in dumps:
        for register in dump.registers:
            other = found.setdefault(register.msr, Told(register.value, register.place))
            if other.value != register.value:
                assert other.place is not None
                what = f"{register_name(register.msr)} is {register.value:#x} here, {other.value:#x}"
                raise InputError(f"{what} at {at_place(other.place)} ({ONE_MACHINE})", register.place)
    for msr, value in given.registers.items():
        if any(msr == register for register, _, _ in FIXED_REGISTERS):
            if msr in found and found[msr].value != value:
                remarks.append(in_place_of(msr, found[msr].place))
            found[msr] = Told(value, None)
    return tuple((msr, found[msr]) for msr, _, _ in FIXED_REGISTERS if msr in found)


def _all_fixed(fixed: tuple[tuple[int, Told], ...], enabled: Told, remarks: list[ImportRemark]) -> None:
    """Fixed ranges that are on have all of their registers, or none. Raises InputError."""
    there = {msr for msr, _ in fixed}
    missing = [msr for msr, _, _ in FIXED_REGISTERS if msr not in there]
    if not fixed:
        what = "fixed ranges are on and no dump has them: UC below 1M, as at reset (--msr 0x250=VALUE, ...)"
        remarks.append(ImportRemark(what, enabled.place, "mtrr"))
    elif missing:
        name = register_name(missing[0])
        what = f"{name} ({missing[0]:#x}) is not in the dump, and the fixed ranges are on"
        raise InputError(f"{what} (--msr {missing[0]:#x}=VALUE)", enabled.place or fixed[0][1].place)


def _pairs(
    dumps: Sequence[Dump], given: Given, remarks: list[ImportRemark]
) -> tuple[tuple[DumpPair, ...], int | None, Place | None]:
    """The pairs by number without a gap, how many the CPU has where that is told, and where they stand."""
    lists = [dump.pairs for dump in dumps if dump.pairs is not None]
    for other in lists[1:]:
        _same_pairs(lists[0], other)
    by_number: dict[int, DumpPair] = {}
    count: int | None = None
    # Masks say more than sizes.
    for found in sorted(lists, key=lambda pairs: any(pair.physmask is not None for pair in pairs.pairs)):
        by_number.update((pair.number, pair) for pair in found.pairs)
        count = found.total if count is None else count
    _whole(lists, by_number, given)
    place = lists[0].place if lists else None
    user: dict[int, dict[int, int]] = {}
    for msr, value in given.registers.items():
        if MSR_VARIABLE <= msr < MSR_VARIABLE + 0x40:
            user.setdefault(msr - MSR_VARIABLE >> 1, {})[msr & 1] = value
    nowhere = place or Place("--msr", 1, 1)
    for number, values in user.items():
        before = by_number.get(number)
        if before is not None:
            _replaced(number, values, before, remarks)
        base = values.get(0, before.physbase if before else 0)
        mask = values.get(1, before.physmask if before else 0)
        if mask is None:
            raise InputError(f"--msr: pair {number} without its mask (--msr {MSR_VARIABLE + 2 * number + 1:#x}=VALUE)")
        by_number[number] = DumpPair(number, base, mask, 0, nowhere)
    last = max(by_number, default=-1)
    if last >= MOST_PAIRS:
        raise InputError(f"pair {last} (at most {MOST_PAIRS} pairs)", by_number[last].place)
    off = DumpPair(0, 0, 0, 0, nowhere)
    while last >= 0 and (last not in by_number or by_number[last][1:3] == (0, 0)):
        last -= 1
    return tuple(by_number.get(n, off._replace(number=n)) for n in range(last + 1)), count, place


def _replaced(number: int, values: Mapping[int, int], before: DumpPair, remarks: list[ImportRemark]) -> None:
    """Says which registers of a pair that a dump tells the user gives another value."""
    told = (before.physbase, before.physmask)
    for which, value in sorted(values.items()):
        if told[which] != value:
            remarks.append(in_place_of(MSR_VARIABLE + 2 * number + which, before.place))


def _whole(lists: Sequence[Pairs], by_number: Mapping[int, DumpPair], given: Given) -> None:
    """Raises InputError where pairs are not known because the log is cut."""
    if given.incomplete:
        return
    user = {msr - MSR_VARIABLE >> 1 for msr in given.registers if MSR_VARIABLE <= msr < MSR_VARIABLE + 0x40}
    right = "--incomplete: those that are not listed are off; or the whole log"
    for found in lists:
        missing = [number for number in found.missing if number not in by_number and number not in user]
        if missing:
            words = ", ".join(map(str, missing))
            what = (
                f"variable pairs that the list lacks: {words}"
                if len(missing) > 1
                else f"variable pair {words} is not in the list"
            )
            raise InputError(f"{what} ({right})", found.pairs[0].place if found.pairs else found.place)
        if found.cut and len(found.pairs) < KVM_PAIRS and not any(o is not found and not o.cut for o in lists):
            what = f"the list of variable pairs is cut behind {len(found.pairs)} of them"
            raise InputError(f"{what} ({right})", found.pairs[-1].place if found.pairs else found.place)


def _same_pairs(a: Pairs, b: Pairs) -> None:
    """Raises InputError where two lists have another pair under one number."""
    one, two = ({pair.number: pair for pair in pairs.pairs if pair.valid} for pairs in (a, b))
    for number in sorted({*one, *two}):
        x, y = one.get(number), two.get(number)
        if x is not None and y is not None and _same(x, y):
            continue
        place = b.place if y is None else y.place
        there = a.place if x is None else x.place
        if x is None or y is None:
            here, other = ("off", "on") if y is None else ("on", "off")
            what = f"variable pair {number} is {here} here and {other} at {at_place(there)}"
        else:
            what = f"variable pair {number} is another one here than at {at_place(there)}"
        raise InputError(f"{what} ({ONE_MACHINE})", place)


def _same(x: DumpPair, y: DumpPair) -> bool:
    if x.physbase != y.physbase:
        return False
    if x.physmask is not None and y.physmask is not None:
        return x.physmask == y.physmask
    if x.physmask is None and y.physmask is None:
        return x.size == y.size
    mask, size = (x.physmask, y.size) if x.physmask is not None else (y.physmask, x.size)
    assert mask is not None
    address_mask = mask & ~(PAGE - 1)
    return (1 << address_mask.bit_length()) - address_mask == size


def check_mtrrs(mtrrs: ToldMtrrs, width: int, told: Told) -> None:
    """Raises InputError for what no register of that width can hold."""
    wide = f"; maxphyaddr {width} is from {at_place(told.place)}" if told.place else ""
    for msr, value in mtrrs.fixed:
        _register(msr, number_of(value), width, value.place, "")
    for pair in mtrrs.pairs:
        kind = pair.physbase & 0xFF
        if pair.physmask is None:
            size, base = pair.size, pair.physbase & ~0xFF
            if size < PAGE or size & (size - 1) or base % size:
                what = (
                    f"base {base:#x}, size {size:#x}: no MTRR covers that (a power of two, the base a multiple of it)"
                )
                raise InputError(what, pair.place)
            if base + size > 1 << width:
                raise InputError(f"the range ends above maxphyaddr {width} (--maxphyaddr BITS)", pair.place)
            _register(MSR_VARIABLE + 2 * pair.number, base | kind, width, pair.place, wide)
        else:
            _register(MSR_VARIABLE + 2 * pair.number, pair.physbase, width, pair.place, wide)
            _register(MSR_VARIABLE + 2 * pair.number + 1, pair.physmask, width, pair.place, wide)


def number_of(told: Told) -> int:
    assert isinstance(told.value, int)
    return told.value


def _register(msr: int, value: int, width: int, place: Place | None, more: str) -> None:
    try:
        check_register(msr, value, width)
    except ValueError as error:
        text = str(error)
        raise InputError(f"{text[:-1]}{more})" if more and text.endswith(")") else text, place) from None
