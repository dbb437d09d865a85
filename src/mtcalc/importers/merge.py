# SPDX-License-Identifier: GPL-2.0-only
"""Dumps of one machine, and what the user adds, to one description of it.

What two dumps tell differently is an error that names both places. What none tells is assumed where that is harmless,
and said; where it decides answers, it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mtcalc.importers import pat_memtype
from mtcalc.importers.dump import Content, Dump, ImportRemark, PageFact, Setting, SlotFact
from mtcalc.importers.host_types import with_host_types
from mtcalc.importers.merge_mtrrs import check_mtrrs, merge_mtrrs, number_of
from mtcalc.importers.merge_slots import merge_slots
from mtcalc.importers.told import (
    ONE_MACHINE,
    SETTINGS,
    Given,
    Told,
    ToldMtrrs,
    at_place,
    in_place_of,
    shown,
    told_in,
    unsaid,
)
from mtcalc.kvm.guest_mtrr import KVM_PAIRS
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.pat import decode_pat

_VFIO_BAR = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] BAR \d")
"""As hw/vfio/pci.c and region.c name them: the device's address on the host first."""
DEFAULT_WIDTH, WIDEST = 46, 52


class Machine(NamedTuple):
    """One machine, as far as dumps and user tell; None where neither does."""

    rules: Told | None
    guest_kernel: Told | None
    vendor: Told | None
    self_snoop: Told | None
    host_maxphyaddr: Told | None
    noncoherent_dma: Told
    ignore_guest_pat_off: Told | None
    maxphyaddr: Told
    cpuid_mtrr: Told | None
    cd: Told | None
    pg: Told | None
    pat: Told | None
    mtrrs: ToldMtrrs | None
    slots: tuple[tuple[SlotFact, str | None], ...]  # each with its name
    pages: tuple[PageFact, ...]
    remarks: tuple[ImportRemark, ...]


def merge(dumps: Sequence[Dump], given: Given) -> Machine:
    """One machine. Raises InputError: a conflict, at the second place; what has to be given."""
    settings = _settings(dumps)
    remarks: list[ImportRemark] = [remark for dump in dumps for remark in dump.remarks]
    whose = settings.get("whose")
    host = bool(given.host)
    if host and whose is not None:
        raise InputError("--whose host, and this says that it is a guest's (leave --whose out)", whose.place)
    pat = _pat(settings, given, host, remarks)
    mtrrs = None
    if not host:
        mtrrs, width, width_place = merge_mtrrs(dumps, settings, given, remarks)
    else:
        width, width_place = 0, None
        if any(dump.pairs or dump.registers for dump in dumps):
            remarks.append(unsaid("the host's MTRRs are left out: they have no effect on a guest under EPT", "mtrr"))
    seen = [told for told in (pat and pat.place, mtrrs and mtrrs.place) if told is not None]
    of_a_host = mtrrs is not None and mtrrs.vcnt is not None and mtrrs.vcnt > KVM_PAIRS  # a remark says so
    if seen and whose is None and given.host is None and "guest_pat" not in settings and not of_a_host:
        what = "registers are taken as the guest's (--whose host where they are a host's)"
        remarks.append(ImportRemark(what, min(seen, key=lambda place: place.line), "mtrr"))
    slots = with_host_types(dumps, given, merge_slots(dumps, settings, given, remarks), remarks)
    pages = _pages(dumps, given, whose is not None, remarks)
    maxphyaddr = _maxphyaddr(settings, given, width, width_place, slots, pages, mtrrs, remarks)
    if mtrrs is not None:
        check_mtrrs(mtrrs, number_of(maxphyaddr), maxphyaddr)
    dma = _user(given.noncoherent_dma) or told_in(settings, "noncoherent_dma")
    if dma is None:
        dma = Told(False, None, True)
        remarks.append(unsaid("non-coherent DMA: no dump tells; taken as none (--noncoherent-dma)", "dma"))
        bar = next((fact for fact, _ in slots if fact.name and _VFIO_BAR.match(fact.name)), None)
        if bar is not None:
            what = "a VFIO BAR: --noncoherent-dma unless the host's IOMMU enforces snooping for the device's group"
            remarks.append(ImportRemark(what, bar.place, "dma"))
    if not slots and any(dump.tells for dump in dumps):
        what = "no dump has memory slots: add QEMU's `info mtree -f`; `mtcalc mtrr` works without"
        remarks.append(unsaid(what, "slots"))
    rules = _user(given.rules) or told_in(settings, "rules")
    if rules is None:
        remarks.append(unsaid("the kernel: no dump tells; the default rule set counts (--rules RELEASE)", "kernel"))
    vendor = _user(given.vendor) or told_in(settings, "vendor")
    if vendor is None:
        remarks.append(unsaid("host.vendor: no dump tells; taken as intel (--vendor)", "kernel"))
    return Machine(
        rules=rules,
        guest_kernel=_guest_kernel(settings, remarks),
        vendor=vendor,
        self_snoop=_user(given.self_snoop) or told_in(settings, "self_snoop"),
        host_maxphyaddr=_host_width(settings, given, number_of(maxphyaddr), slots, remarks),
        noncoherent_dma=dma,
        ignore_guest_pat_off=told_in(settings, "honor_guest_pat"),
        maxphyaddr=maxphyaddr,
        cpuid_mtrr=_user(given.cpuid_mtrr) or told_in(settings, "cpuid_mtrr"),
        cd=told_in(settings, "cd"),
        pg=told_in(settings, "pg"),
        pat=pat,
        mtrrs=mtrrs,
        slots=slots,
        pages=pages,
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _guest_kernel(settings: Mapping[str, Setting], remarks: list[ImportRemark]) -> Told | None:
    """The guest's kernel, None where none is told, or one whose choices are not known."""
    from mtcalc.scenario.values import guest_kernel

    told = told_in(settings, "guest_kernel")
    if told is None:
        return None
    try:
        guest_kernel(str(told.value))
    except ValueError as error:
        remarks.append(ImportRemark(f"no guest.kernel: {error}", told.place, "pat"))
        return None
    return told


def _pages(dumps: Sequence[Dump], given: Given, a_guest: bool, remarks: list[ImportRemark]) -> tuple[PageFact, ...]:
    """The guest's pages in all dumps; those of a host's list are none."""
    listed = [page for dump in dumps if dump.format == pat_memtype.NAME for page in dump.pages]
    if listed and given.host:
        return tuple(page for dump in dumps if dump.format != pat_memtype.NAME for page in dump.pages)
    if listed and given.host is None and not a_guest:
        remarks.append(
            ImportRemark("taken as pages of the guest (--whose host where this is a host's)", listed[0].place)
        )
    return tuple(page for dump in dumps for page in dump.pages)


def _user(value: Content | None) -> Told | None:
    return None if value is None else Told(value, None)


def _settings(dumps: Sequence[Dump]) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for dump in dumps:
        for setting in dump.settings:
            other = found.setdefault(setting.key, setting)
            if other.value != setting.value:
                what = f"{SETTINGS[setting.key]} is {shown(setting.value)} here, {shown(other.value)}"
                raise InputError(f"{what} at {at_place(other.place)} ({ONE_MACHINE})", setting.place)
    return found


def _pat(settings: Mapping[str, Setting], given: Given, host: bool, remarks: list[ImportRemark]) -> Told | None:

    if 0x277 in given.registers:
        value = decode_pat(given.registers[0x277])
        other = settings.get("guest_pat") or (None if host else settings.get("pat"))
        if other is not None and other.value != value:
            remarks.append(in_place_of(0x277, other.place))
        return Told(value, None)
    if "guest_pat" in settings:
        other = settings.get("pat")
        if other is not None and not host and other.value != settings["guest_pat"].value:
            what = f"the PAT is {shown(other.value)} here and the guest's {shown(settings['guest_pat'].value)}"
            raise InputError(
                f"{what} at {at_place(settings['guest_pat'].place)} (--whose host where this is the host's)",
                other.place,
            )
        return told_in(settings, "guest_pat")
    found = settings.get("pat")
    if found is None or host:
        remarks.append(unsaid("the guest's PAT: no dump tells; taken as Linux's (--msr 0x277=VALUE)", "pat"))
        return None
    return Told(found.value, found.place)


def _maxphyaddr(
    settings: Mapping[str, Setting],
    given: Given,
    width: int,
    width_place: Place | None,
    slots: Sequence[tuple[SlotFact, str | None]],
    pages: Sequence[PageFact],
    mtrrs: ToldMtrrs | None,
    remarks: list[ImportRemark],
) -> Told:
    """The guest's maxphyaddr in bits: given, told, or what the masks of the MTRRs say."""
    told = settings.get("maxphyaddr")
    least = max(width, 32) if width else 0
    if given.maxphyaddr is not None or told is not None:
        value = given.maxphyaddr if given.maxphyaddr is not None else int(str(told.value)) if told else 0
        if not 32 <= value <= 52:
            raise InputError(f"maxphyaddr {value} (32 to 52 bits)", told.place if told else None)
        if least > value and width_place:
            where = "--maxphyaddr" if given.maxphyaddr is not None else at_place(told.place) if told else ""
            raise InputError(f"this mask has {width} bits, and maxphyaddr is {value} ({where})", width_place)
        if width and value > width and width_place:
            remarks.append(
                ImportRemark(f"the masks have {width} bits, and maxphyaddr is {value}: kept as registers", width_place)
            )
        return Told(value, None if given.maxphyaddr is not None else told.place if told else None)
    if width:
        _reach(slots, pages, least, width_place)
        return Told(least, width_place)
    ends = [(fact.gpa + fact.size, fact.place) for fact, _ in slots]
    ends += [(page.gpa + page.size, page.place) for page in pages]
    if mtrrs is not None:
        ends += [((pair.physbase & ~0xFF) + pair.size, pair.place) for pair in mtrrs.pairs]
    end, place = max(ends, default=(0, None), key=lambda item: item[0])
    if end > 1 << DEFAULT_WIDTH:
        raise InputError(
            f"this ends above {DEFAULT_WIDTH} bits, and no dump tells maxphyaddr (--maxphyaddr BITS)", place
        )
    remarks.append(unsaid(f"maxphyaddr: no dump tells; taken as {DEFAULT_WIDTH} (--maxphyaddr)", "width"))
    return Told(DEFAULT_WIDTH, None, True)


def _host_width(
    settings: Mapping[str, Setting],
    given: Given,
    guests: int,
    slots: Sequence[tuple[SlotFact, str | None]],
    remarks: list[ImportRemark],
) -> Told | None:
    """The host's maxphyaddr in bits: given, told, or at least what its slots need, since KVM took them.

    None leaves it to the scenario's default.
    """
    known = _user(given.host_maxphyaddr) or told_in(settings, "host_maxphyaddr")
    needed = max(((fact.gpa + fact.size - 1).bit_length() for fact, _ in slots), default=0)
    if known is not None or needed <= DEFAULT_WIDTH:
        return known
    value = max(guests, min(needed, WIDEST))
    what = f"the host's maxphyaddr: no dump tells; slots need {needed}, taken as {value} (--host-maxphyaddr)"
    remarks.append(unsaid(what, "width"))
    return Told(value, None, True)


def _reach(
    slots: Sequence[tuple[SlotFact, str | None]], pages: Sequence[PageFact], width: int, place: Place | None
) -> None:
    """Raises InputError where something lies beyond the width that the masks tell."""
    facts: Iterator[SlotFact | PageFact] = iter([*(fact for fact, _ in slots), *pages])
    for fact in facts:
        if fact.gpa + fact.size > 1 << width:
            told = f"maxphyaddr {width}, which the MTRRs at {at_place(place)} tell" if place else f"maxphyaddr {width}"
            raise InputError(f"this is beyond {told} (another machine? else --maxphyaddr BITS)", fact.place)
