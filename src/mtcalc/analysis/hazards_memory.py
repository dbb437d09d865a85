# SPDX-License-Identifier: GPL-2.0-only
"""Hazards of memory types as such: device memory in caches, aliases, DMA that does not snoop, slow framebuffers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.hazard_case import (
    Case,
    Hazard,
    effective_of,
    follows_mtrrs,
    is_cacheable,
    is_ept,
    is_memory,
    is_ram,
    is_slow,
    is_uncached,
    named_page,
    of_answer,
    of_slot,
    other_byte,
    pat_ignored,
    plainly_device,
    types,
)
from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.kvm.versions import VmType
from mtcalc.kvm.vm import Slot
from mtcalc.rules.inputs import CR0_CD, NONCOHERENT_DMA, QUIRK_IGNORE_GUEST_PAT, with_value
from mtcalc.x86.ept import split_mask
from mtcalc.x86.memtype import MemType, memtype_name
from mtcalc.x86.mtrr import ONE_MEGABYTE


def _names(kinds: set[object]) -> str:
    return ", ".join(str(kind) for kind in sorted(kinds, key=str))


def _slow_names(kinds: set[object]) -> str:
    return _names(kinds).replace("CD", "CD (uncached)")


def _firm(answer: Answer) -> str:
    return ", ignore PAT" if pat_ignored(answer) else ""


def device_cached(case: Case) -> Iterator[Hazard]:
    """MT009 and MT010: memory of a device that caches may hold."""
    for answer in case.ranges:
        slot = answer.slot
        kind = effective_of(answer, MemType.WB)
        if slot is None or answer.facts is None or not is_cacheable(kind) or slot.backing.zero_page:
            continue
        if slot.private:
            continue  # guest_memfd has RAM alone: MT007 says that no such slot can be
        backing = slot.backing
        danger = "expect machine checks"
        if backing.is_device or (backing.reserved and answer.facts.mmio):
            text = f"a device's memory is mapped {kind}{_firm(answer)}: {danger}"
            yield of_answer("MT009", answer, text)
        elif backing.reserved and backing.struct_page and (is_ept(answer) or backing.host_mtrr is not None):
            what = f"tracked {backing.host_type} counts as RAM and"
            if not is_ept(answer):
                what = f"of host MTRR type {backing.host_mtrr}"
            text = f"a reserved host page {what} is mapped {kind}{_firm(answer)}"
            if plainly_device(slot):
                yield of_answer("MT009", answer, f"{text}; of a device, such as the VGA window: {danger}")
            else:
                yield of_answer("MT010", answer, f"{text}: right for NVDIMM; of a device, {danger}")


def aliases(case: Case) -> Iterator[Hazard]:
    """MT011 and MT012: host memory whose type for the guest is, or may be, another than the host's."""
    certain: dict[Slot, list[Answer]] = {}
    for answer in case.ranges:
        kinds = types(answer)
        slot = answer.slot
        if slot is None or not kinds or not is_memory(slot, case.evaluator) or case.is_assumed(answer):
            continue
        host = slot.backing.host_type
        other = {kind for kind in kinds if _part(kind, host)}
        if other == kinds:
            certain.setdefault(slot, []).append(answer)
            which = "whatever its PAT says" if len(kinds) == 1 else "as its PAT says"
            text = f"the guest gets {' or '.join(_names(kinds).split(', '))} {which}, the host maps it {host}: an alias"
            yield from _alias_of(case, answer, slot, text)
        elif other:
            ways = "WC or UC" if is_cacheable(host) else "WB"
            text = f"the guest's PAT decides, the host maps it {host}: what the guest maps {ways} is an alias"
            yield of_answer("MT012", answer, text)
    for answer in case.pages:
        slot = answer.slot
        if slot is None or not is_memory(slot, case.evaluator) or case.is_assumed(answer):
            continue
        if _covered(certain.get(slot, []), answer):
            continue
        host = slot.backing.host_type
        kinds = types(answer)
        if kinds and all(_part(kind, host) for kind in kinds):
            text = f"{named_page(answer)} is {_names(kinds)} for the guest, the host maps it {host}: an alias"
            yield of_answer("MT011", answer, text)


def _alias_of(case: Case, answer: Answer, slot: Slot, text: str) -> Iterator[Hazard]:
    """An alias that no PAT type avoids: a note where it is of what every firmware makes uncached.

    That is memory that the guest can't write, such as its flash, and the part of a range below 1M, where firmware
    has fixed ranges UC around what it copies its ROMs to.
    """
    if slot.flags & SLOT_FLAGS["READONLY"]:
        yield of_answer("MT012", answer, f"{text}, of memory that the guest can't write")
        return
    start, end = answer.gpa or 0, answer.end or 0
    mtrrs = case.vm.mtrrs
    if follows_mtrrs(answer) and mtrrs.enabled and mtrrs.fixed_enabled and start < ONE_MEGABYTE:
        low = min(end, ONE_MEGABYTE - 1)
        yield Hazard("MT012", f"{text}, below 1M, by the fixed ranges", slot, start, low)
        start = low + 1
    if start <= end:
        yield Hazard("MT011", text, slot, start, end)


def _covered(ranges: list[Answer], page: Answer) -> bool:
    """Whether a page is in one of a slot's ranges, which ascend."""
    before = bisect_right(ranges, page.gpa or 0, key=lambda known: known.gpa or 0)
    return before > 0 and (page.gpa or 0) <= (ranges[before - 1].end or 0)


def _part(kind: object, host: MemType) -> bool:
    """Whether the guest goes past caches that the host uses, or the other way round."""
    return is_uncached(kind) if is_cacheable(host) else is_cacheable(kind)


def slots_alias(case: Case) -> Iterator[Hazard]:
    """MT013: two slots with one host page, and another entry each.

    Of each byte the range that reaches furthest is kept, so that thousands of slots take one pass.
    """
    shared = []
    for answer in case.ranges:
        slot = answer.slot
        if slot is None or slot.private:
            continue  # private memory is guest_memfd's, not what the host has at hva
        if slot.hva is not None and answer.gpa is not None and answer.end is not None:
            start = slot.hva + answer.gpa - slot.gpa
            shared.append((start, start + answer.end - answer.gpa + 1, answer))
    shared.sort(key=lambda each: (each[0], -each[1]))
    reach: dict[tuple[object, ...], tuple[int, Answer]] = {}
    found: dict[tuple[Slot, Slot, str], list[Hazard]] = {}
    for start, end, answer in shared:
        slot = answer.slot
        key = (answer.byte, answer.effective, bool(slot is not None and slot.flags & SLOT_FLAGS["READONLY"]))
        for other, (stop, before) in reach.items():
            if other[:2] == key[:2] or stop <= start or before.slot is None or slot is None:
                continue
            if other[2] and key[2]:
                continue  # a ROM and its copy below 1M, which nobody writes through either
            words = f"{_entry(answer)} here, {_entry(before)} there"
            low = answer.gpa or 0
            last = low + min(end, stop) - start - 1
            pair = (before.slot, slot, words)
            known = found.get(pair)
            if known is not None and known[-1].end == low - 1:
                known[-1] = known[-1]._replace(end=last)
                continue
            text = f"shares host addresses from {start:#x} on with {before.slot.name}: {words}"
            found.setdefault(pair, []).append(Hazard("MT013", text, slot, low, last))
        if key not in reach or reach[key][0] < end:
            reach[key] = (end, answer)
    for hazards in found.values():
        yield from hazards


def _entry(answer: Answer) -> str:
    if answer.memtype is not None:
        return f"{memtype_name(answer.memtype)}{_firm(answer)}"
    return _names(types(answer))


def dma(case: Case) -> Iterator[Hazard]:
    """MT014 and MT015: DMA that does not snoop, and memory in caches."""
    for answer in case.ranges:
        slot = answer.slot
        if slot is None or not case.bypasses(slot) or not is_ram(slot, case.evaluator):
            continue
        kind = effective_of(answer, MemType.WB)
        if not is_cacheable(kind):
            continue
        who = (
            "the VM has non-coherent DMA"
            if case.vm.noncoherent_dma or case.vm.mem_dma
            else "the slot's DMA bypasses caches"
        )
        if pat_ignored(answer):
            text = f"{who}, and memory stays {kind}, ignore PAT: what the guest maps WC or UC is cached all the same"
            yield of_answer("MT015", answer, text)
        else:
            what = "what the guest maps WB" if case.vm.paging else "without paging all of this"
            yield of_answer("MT014", answer, f"{who}: {what} is cached, and a device may miss or lose it")


def uncached_ignored(case: Case) -> Iterator[Hazard]:
    """MT016 and MT017: what the guest's MTRRs or CR0.CD call uncached, and is not."""
    for slot in case.slots:
        rom = slot.flags & SLOT_FLAGS["READONLY"]
        if rom or not is_ram(slot, case.evaluator):
            continue
        shared = case.bypasses(slot)
        bar = case.is_bar(slot)  # of whose MTRRs MT018 and MT019 speak
        for answer in case.of(slot):
            kind = effective_of(answer, MemType.WB)
            if not is_cacheable(kind):
                continue
            if case.vm.cr0_cd:
                text = f"guest CR0.CD is set, and memory stays {kind}{_firm(answer)}"
                yield of_answer("MT016" if shared else "MT017", answer, text)
            if bar or follows_mtrrs(answer):
                continue
            for piece in case.pieces_of(answer):
                if slot.address_space and piece.end <= ONE_MEGABYTE:
                    continue  # SMRAM behind the VGA window, of which alone the fixed range speaks
                if is_uncached(piece.memtype):
                    text = f"the guest's MTRRs say {piece.memtype}, and memory stays {kind}{_firm(answer)}"
                    grave = shared and piece.end > ONE_MEGABYTE
                    yield Hazard("MT016" if grave else "MT017", text, slot, piece.start, piece.end - 1)


def bars(case: Case) -> Iterator[Hazard]:
    """MT018, MT019, MT020 and MT034: host RAM that the guest sees as a device's BAR."""
    for slot in case.slots:
        if not case.is_bar(slot):
            continue
        answers = case.of(slot)
        minus = {effective_of(answer, MemType.UC_MINUS) for answer in answers}
        slow = {kind for kind in minus if is_slow(kind)}
        doubtful = case.doubts_wb(slot) or _uncached_by_mtrrs(case, slot)
        if doubtful and slow:
            where = f"{_mtrrs_say(case, slot)} over a BAR in RAM"
            entry = {kind for answer in answers if is_uncached(kind := effective_of(answer, MemType.WB))}
            mapped = f"what the guest maps WB is {_slow_names(entry)}"
            linux = f"a Linux guest maps a request for WB UC-, which is {_slow_names(slow)} here"
            yield of_slot("MT018", slot, f"{where}: {mapped if entry else linux}")
            continue
        if doubtful and answers and all(map(pat_ignored, answers)):
            *ways, last = _ways_to_uncached(case, answers) or [""]
            if last:
                elsewhere = f"{', '.join(ways)}{', or ' if ways else ''}{last}"
                where = f"{_mtrrs_say(case, slot)} over a BAR in RAM"
                yield of_slot("MT019", slot, f"{where}: {_names(minus)} here, but uncached {elsewhere}")
        named = [page for page in case.pages if page.slot == slot and any(map(is_slow, types(page)))]
        for page in named:
            text = f"{named_page(page)} is {_names(types(page))} in RAM: very slow on some hosts, as a framebuffer"
            yield of_answer("MT020", page, text)
        if not named and slot.device and slow and not all(map(pat_ignored, answers)):
            text = "the guest's PAT decides over a BAR in RAM: mapped UC, it is slow on some hosts"
            yield of_slot("MT034", slot, text)


def _uncached_by_mtrrs(case: Case, slot: Slot) -> bool:
    """Whether a BAR is uncached by MTRRs that KVM follows, whatever a guest's kernel makes of them."""
    uncached = any(is_uncached(effective_of(answer, MemType.WB)) for answer in case.of(slot))
    return uncached and not case.calls_wb(slot)


_OTHER_STATES = (
    ("with non-coherent DMA", NONCOHERENT_DMA, True),
    ("with quirk IGNORE_GUEST_PAT off", QUIRK_IGNORE_GUEST_PAT, False),
    ("with CR0.CD clear", CR0_CD, False),
)


def _ways_to_uncached(case: Case, answers: list[Answer]) -> list[str]:
    """In which other states of the VM, that this kernel lets happen, entries that ignore the PAT would not."""
    ways = []
    for words, item, value in _OTHER_STATES:
        if item == QUIRK_IGNORE_GUEST_PAT and not case.can_turn_off(item):
            continue
        for answer in answers:
            facts = answer.facts
            byte = None if facts is None else other_byte(case, with_value(facts, item, value))
            if byte is not None and not split_mask(byte)[1]:
                ways.append(words)
                break
    return ways if case.vm.type is VmType.TD else [*ways, "on AMD"]


def _mtrrs_say(case: Case, slot: Slot) -> str:
    if case.calls_wb(slot):
        return case.request_for_wb(slot).where.seen.words  # a view that the guest forces
    if not case.vm.cpuid_mtrr:
        return "the guest's CPUID has no MTRRs"
    if not case.vm.mtrrs.enabled:
        return "the guest's MTRRs are off"
    kinds = {piece.memtype for piece in case.by_the_manual(slot)}
    if len(kinds) > 1:
        return f"the guest's MTRRs say {', '.join(sorted(str(kind or 'undefined') for kind in kinds))}"
    return f"the guest's MTRRs say {_names(set(kinds))}"


def named_pages(case: Case) -> Iterator[Hazard]:
    """MT032 and MT033: pages that somebody named and that are odd in themselves."""
    for page in case.pages:
        if page.pat is None or not page.paging:
            continue
        if page.starred(page.pat):
            text = (
                f"{named_page(page)}: EPT {memtype_name(page.memtype or 0)} with it was undefined in earlier editions"
            )
            yield of_answer("MT032", page, text)
        if page.pat not in case.vm.pat.entries:
            yield of_answer("MT033", page, f"{named_page(page)}: the guest's PAT has no entry {page.pat}")
