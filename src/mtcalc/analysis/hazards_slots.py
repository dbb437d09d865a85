# SPDX-License-Identifier: GPL-2.0-only
"""Hazards of slots, quirks and entries as this kernel takes them: what it refuses, ignores or cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.hazard_case import (
    Case,
    Hazard,
    effective_of,
    named_page,
    of_answer,
    of_slot,
    other_byte,
    pat_ignored,
)
from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.rules.inputs import QUIRK_IGNORE_GUEST_PAT, with_value
from mtcalc.x86.ept import split_mask
from mtcalc.x86.memtype import MTRR_TYPES, MemType

OF_NOTES = {
    "slot-refused": "MT001",
    "flag-refused": "MT002",
    "slot-address": "MT003",
    "slot-own": "MT003",
    "memfd": "MT003",
    "flag-own": "MT004",
    "flag-unchecked": "MT004",
    "slot-beyond": "MT005",
    "quirk-unknown": "MT006",
    "unreachable": "MT007",
    "private-mmio": "MT007",
    "no-td": "MT007",
    "no-snp": "MT007",
}
"""What notes of slots, and of a kernel that runs no such VM, say, as hazards: the text is the note's."""

OF_THE_VM = ("MT006", "MT007")


def as_noted(case: Case) -> Iterator[Hazard]:
    """MT001 to MT007: what is said of a slot wherever it is shown."""
    told: set[str] = set()
    for note in case.kernel.notes:
        if note.code in OF_NOTES:
            yield Hazard(OF_NOTES[note.code], note.text)
    for slot, note in case.evaluator.slot_notes():
        code = OF_NOTES.get(note.code)
        if code is None or (code == "MT006" and not _decides(note.text)):
            continue
        if code not in OF_THE_VM or note.code == "private-mmio":
            yield of_slot(code, slot, note.text)
        elif note.text not in told:
            told.add(note.text)
            yield Hazard(code, note.text)


def _decides(text: str) -> bool:
    """Whether a note on an unknown quirk is about one that memory types hang on."""
    return any(name in text for name in QUIRKS)


def vmm(case: Case) -> Iterator[Hazard]:
    """MT008: the quirk that this VMM cannot turn off."""
    name = "IGNORE_GUEST_PAT"
    there = name in case.kernel.quirks and not case.kernel.quirks_off & QUIRKS[name]
    if case.vmm is None or not there:
        return
    cannot = f"{case.vmm} cannot turn quirk {name} off"
    if case.vm.disabled_quirks & QUIRKS[name]:
        if case.vmm.pat_switch is False:
            yield Hazard("MT008", f"{cannot}, which the scenario has disabled")
        return
    if not case.can_turn_off(QUIRK_IGNORE_GUEST_PAT):
        cannot = f"{case.vmm} cannot turn quirk {name} off, nor any VMM on this host, without self-snoop"
    elif case.vmm.pat_switch is not False:
        return
    for page in case.pages:
        if page.pat is not None and _quirk_decides(case, page) and effective_of(page, page.pat) != _asked(page.pat):
            got = effective_of(page, page.pat)
            yield of_answer("MT008", page, f"{named_page(page)} is {got}, as {cannot}")
    flag = SLOT_FLAGS["NON_COHERENT_DMA"]
    named = {page.slot for page in case.pages}
    for answer in case.ranges:
        slot = answer.slot
        if (
            slot is not None
            and slot not in named
            and (slot.device or slot.flags & flag)
            and _quirk_decides(case, answer)
        ):
            yield of_answer("MT008", answer, f"the guest's PAT has no say here, as {cannot}")


def _asked(pat: MemType) -> MemType:
    return MemType.UC if pat == MemType.UC_MINUS else pat


def _quirk_decides(case: Case, answer: Answer) -> bool:
    """Whether the entry ignores the guest's PAT, and would not with the quirk off."""
    if answer.facts is None or answer.facts.mmio or not pat_ignored(answer):
        return False
    off = with_value(answer.facts, QUIRK_IGNORE_GUEST_PAT, False)
    byte = other_byte(case, off)
    return byte is not None and not split_mask(byte)[1]


def entries(case: Case) -> Iterator[Hazard]:
    """MT030 and MT031: entries that the rules make, and that no kernel should."""
    for answer in case.ranges:
        if answer.memtype is None:
            continue
        if answer.memtype not in MTRR_TYPES:
            text = f"memory type {answer.memtype} is reserved: the entry is an EPT misconfiguration"
            yield of_answer("MT030", answer, text)
        odd = (answer.byte or 0) & ~0x78
        if odd:
            yield of_answer(
                "MT031", answer, f"the byte {answer.byte:#04x} has bits outside memory type and ignore-PAT: {odd:#x}"
            )
