# SPDX-License-Identifier: GPL-2.0-only
"""Hazards of the guest's MTRRs: overlaps, two readings, large pages, and entries that outlive a change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from mtcalc.analysis.answer import UNKNOWN, Answer
from mtcalc.analysis.hazard_case import (
    Case,
    Hazard,
    Piece,
    follows_mtrrs,
    is_cacheable,
    manual_pieces,
    of_answer,
    of_slot,
    other_byte,
    plainly_device,
)
from mtcalc.kvm.flags import QUIRKS
from mtcalc.kvm.history import row_at
from mtcalc.kvm.mapping_level import level_obstacle
from mtcalc.kvm.slots import APIC_PAGE, PAGE, SlotMap
from mtcalc.kvm.vm import Slot
from mtcalc.kvm.zaps import ZAPS, Zap
from mtcalc.x86.ept import LEVEL_NAMES, LEVEL_SHIFT
from mtcalc.x86.mtrr import ONE_MEGABYTE


def overlaps(case: Case) -> Iterator[Hazard]:
    """MT021 and MT022: overlaps that the manual leaves undefined, in slots and outside."""
    if not case.vm.cpuid_mtrr:
        return
    inside = []
    for answer in case.ranges:
        followed = follows_mtrrs(answer)
        for piece in case.pieces_of(answer):
            if piece.memtype is None:
                inside.append((piece.start, piece.end))
                entry = f"KVM reads {answer.guest_mtrr} for the entry" if followed else "no entry here hangs on it"
                text = f"the manual leaves overlapping MTRRs undefined; {entry}"
                yield Hazard("MT021" if followed else "MT022", text, answer.slot, piece.start, piece.end - 1)
    text = "the manual leaves overlapping MTRRs undefined, where no slot is"
    for piece in manual_pieces(case.vm.mtrrs, 0, 1 << case.vm.maxphyaddr):
        if piece.memtype is None:
            yield from (Hazard("MT022", text, None, low, high - 1) for low, high in _outside(piece, inside))


def _outside(piece: Piece, taken: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    at = piece.start
    for low, high in sorted(taken):
        if high > at and low < piece.end:
            if at < low:
                yield at, low
            at = high
    if at < piece.end:
        yield at, piece.end


def parted(case: Case) -> Iterator[Hazard]:
    """MT023 and MT024: KVM takes an entry from MTRRs that it reads otherwise than the manual, or not at all."""
    for answer in case.ranges:
        if answer.guest_mtrr == UNKNOWN:
            if answer.byte is None:
                yield of_answer("MT024", answer, "KVM takes the type from bytes of its own: it is not to be known")
            continue
        if not follows_mtrrs(answer) or answer.facts is None or answer.facts.guest_mtrr is None:
            continue
        if case.is_assumed(answer):
            continue
        for piece in case.pieces_of(answer):
            if piece.memtype not in (None, answer.facts.guest_mtrr):
                text = f"KVM reads {answer.facts.guest_mtrr} from the guest's MTRRs, the manual {piece.memtype}"
                yield Hazard("MT023", text, answer.slot, piece.start, piece.end - 1)


def registers(case: Case) -> Iterator[Hazard]:
    """MT025 and MT026: checks with a stray cursor, registers that no guest has."""
    for slot in case.slots:
        if case.evaluator.meets_stray(slot, slot.gpa):
            what = "this kernel checks the MTRRs of the block around it with a stray cursor"
            level = 3 if case.evaluator.meets_stray(slot, 1 << LEVEL_SHIFT[2]) else 2
            last = min(slot.end, 1 << LEVEL_SHIFT[level]) - 1
            yield Hazard("MT025", f"{what}: undefined, the host may oops", slot, slot.gpa, last)
    for note in case.evaluator.vm_notes:
        if note.code == "write-refused":
            yield Hazard("MT026", note.text)


def mixed_mappings(case: Case) -> Iterator[Hazard]:
    """MT027: a large page that KVM may map, whose pages alone would get different entries."""
    evaluator = case.evaluator
    said: set[tuple[Slot, int]] = set()
    for slot in case.slots:
        answers = sorted(case.of(slot), key=lambda answer: answer.gpa or 0)
        for before, after in pairwise(answers):
            edge = after.gpa or 0
            if before.byte == after.byte or case.is_assumed(before):
                continue
            for level in (3, 2):
                size = 1 << LEVEL_SHIFT[level]
                start = edge & -size
                if (
                    start != edge
                    and (slot, start) not in said
                    and level_obstacle(evaluator.split_mtrrs, slot, edge, level, evaluator.limits) is None
                ):
                    said.add((slot, start))
                    what = f"KVM may map {LEVEL_NAMES[level]} as one page"
                    kinds = f"{before.guest_mtrr} and {after.guest_mtrr} by the guest's MTRRs"
                    yield Hazard("MT027", f"{what}, whose pages are {kinds}", slot, start, start + size - 1)
                    break


def holes(case: Case) -> Iterator[Hazard]:
    """MT028: MTRRs that somebody described, and that call a device's memory cacheable."""
    if not case.mtrrs_given or not case.vm.cpuid_mtrr or not case.vm.mtrrs.enabled:
        return
    found = False
    for slot in case.slots:
        backing = slot.backing
        device = backing.is_device or (backing.reserved and not backing.zero_page and plainly_device(slot))
        if slot.gpa < ONE_MEGABYTE or not device or slot.address_space:
            continue
        for piece in case.by_the_manual(slot):
            if is_cacheable(piece.memtype):
                found = True
                text = f"the guest's MTRRs say {piece.memtype} over a device's BAR"
                yield Hazard("MT028", text, slot, piece.start, piece.end - 1)
    (apic,) = manual_pieces(case.vm.mtrrs, APIC_PAGE, APIC_PAGE + PAGE)
    if not found and is_cacheable(apic.memtype) and SlotMap(case.slots).find(APIC_PAGE) is None:
        text = f"the guest's MTRRs say {apic.memtype} over the PCI hole below 4G, where no slot is"
        yield Hazard("MT028", text, None, APIC_PAGE, APIC_PAGE + PAGE - 1)


def stale(case: Case) -> Iterator[Hazard]:
    """MT029: entries that hang on what may have changed since they were made."""
    release = case.kernel.release
    told: set[tuple[Slot, str]] = set()
    for answer in case.ranges:
        for what in _changes(case, answer):
            if answer.slot is not None and (answer.slot, what) not in told:
                told.add((answer.slot, what))
                yield of_slot("MT029", answer.slot, what)
    zap = row_at(ZAPS["guest_mtrr"], release).what
    ranged = case.vm.mtrrs.enabled and any(pair.valid for pair in case.vm.mtrrs.variable)
    follows = any(follows_mtrrs(answer) and not case.is_assumed(answer) for answer in case.ranges)
    if zap is Zap.NEVER or not case.vm.noncoherent_dma:
        if follows and (ranged or case.mtrrs_given):
            yield Hazard("MT029", "if the guest wrote its MTRRs late: a write zaps nothing, older entries are stale")
    elif ranged and follows:
        text = "if the guest moved a variable MTRR late: a write zaps the new range alone, older entries are stale"
        yield Hazard("MT029", text)


def _changes(case: Case, answer: Answer) -> Iterator[str]:
    facts, vm = answer.facts, case.vm
    if facts is None or answer.byte is None:
        return
    release = case.kernel.release
    kept = vm.noncoherent_dma and row_at(ZAPS["noncoherent_dma"], release).what is Zap.NEVER
    if kept and other_byte(case, facts._replace(noncoherent_dma=False)) not in (None, answer.byte):
        yield "if a device was attached after boot: the first one zaps nothing, entries made before are stale"
    honoured = vm.noncoherent_dma and facts.disabled_quirks & QUIRKS["CD_NW_CLEARED"]
    kept = not (honoured and row_at(ZAPS["cr0_cd"], release).what is not Zap.NEVER)
    if kept and other_byte(case, facts._replace(cr0_cd=not vm.cr0_cd)) not in (None, answer.byte):
        other = "clear" if vm.cr0_cd else "set, as at reset,"
        yield f"a change of CR0.CD zaps nothing here: entries made while it was {other} are stale"
