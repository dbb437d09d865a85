# SPDX-License-Identifier: GPL-2.0-only
"""Answers under AMD's NPT: from the guest's PAT, the nested type and the host's MTRR type to the effective type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mtcalc.analysis.answer import Answer, NptEntry
from mtcalc.kvm.flags import QUIRKS
from mtcalc.kvm.notes import Note
from mtcalc.kvm.versions import GuestPat, VmType
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, kernel_notes, unknown_inputs
from mtcalc.rules.rule import decide
from mtcalc.x86.memtype import Effective, MemType
from mtcalc.x86.npt import cache_disabled, combined_type, under_snp, with_host_mtrr
from mtcalc.x86.pat import LINUX_PAT, RESET_PAT, Pat

ENTRY = NptEntry(0, MemType.WB)
"""What KVM writes in every release, and what Linux as the host has in entry 0 of its PAT."""


class Chain(NamedTuple):
    """How a page comes to its type, each from the one before."""

    guest: MemType  # the type that its PAT entry really has
    pat_index: int | None  # that entry, where it counts and not the type; else None
    combined: Effective  # with the nested type
    under_mtrr: Effective  # with the host's MTRR type
    disabled: Effective  # with CR0.CD, where it reaches the hardware
    effective: Effective  # under SNP


def chain(
    kernel: Kernel, facts: Facts, pat: MemType, guest_pat: Pat, paging: bool = True, index: int | None = None
) -> Chain | None:
    """The way of a page of a PAT type. None where its index counts, and the guest's PAT has no entry of that type.

    `index`: the page's, 0 to 7, where it is known; None: the lowest that has the type.
    """
    if not paging or kernel.npt is GuestPat.GUESTS:
        index = None
        guest = pat if paging else MemType.WB  # without paging entry 0, which is WB too
    else:
        if index is None and pat not in guest_pat.entries:
            return None
        index = guest_pat.entries.index(pat) if index is None else index
        guest = RESET_PAT.entries[index]
    combined = combined_type(guest, ENTRY.memtype)
    mtrr = with_host_mtrr(combined, host_mtrr(facts))
    disabled = cache_disabled(mtrr) if caches_off(kernel, facts) else mtrr
    return Chain(guest, index, combined, mtrr, disabled, under_snp(disabled) if is_snp(kernel) else disabled)


def host_mtrr(facts: Facts) -> MemType:
    """The host's MTRR type of a page: as said, else WB, and UC of host MMIO."""
    if facts.host_mtrr is not None:
        return facts.host_mtrr
    return MemType.UC if facts.mmio else MemType.WB


def with_host(facts: Facts) -> Facts:
    """The facts, the host's MTRR type filled in."""
    return facts._replace(host_mtrr=host_mtrr(facts))


def is_snp(kernel: Kernel) -> bool:
    """Whether the VM is an SNP guest."""
    return kernel.vm_type is VmType.SNP


def caches_off(kernel: Kernel, facts: Facts) -> bool:
    """Whether guest CR0.CD reaches the hardware: svm_set_cr0() clears it while the quirk CD_NW_CLEARED is in force."""
    off = facts.disabled_quirks & QUIRKS["CD_NW_CLEARED"] and "CD_NW_CLEARED" in kernel.quirks
    return bool(facts.cr0_cd and off)


def npt_types(
    kernel: Kernel,
    facts: Facts,
    pats: Sequence[MemType],
    guest_pat: Pat,
    paging: bool = True,
    index: int | None = None,
) -> tuple[tuple[MemType, Effective | None], ...]:
    """Each PAT type with the effective type; `index` as in chain()."""
    found = ((pat, chain(kernel, facts, pat, guest_pat, paging, index)) for pat in pats)
    return tuple((pat, None if way is None else way.effective) for pat, way in found)


def npt_notes(
    kernel: Kernel,
    given: Facts,
    pats: Sequence[MemType],
    guest_pat: Pat,
    paging: bool = True,
    index: int | None = None,
) -> list[Note]:
    """What an answer has to say; `given`: the facts before the host's MTRR type was filled in."""
    notes = []
    if given.mmio and given.host_mtrr is None:
        what = "the host's MTRR type of device memory is taken as UC"
        notes.append(Note("host-mtrr", f"{what} (--host-mtrr, or backing: host_mtrr, says it)"))
    if not paging:
        notes.append(Note("no-paging", "guest CR0.PG is 0: the PAT memory type is WB"))
    elif kernel.npt is GuestPat.HARDWARES and pats:  # none: what was asked for is refused
        notes.append(_index_note(pats, guest_pat, index))
    if caches_off(kernel, given):
        text = "guest CR0.CD reaches the hardware (quirk CD_NW_CLEARED is off): CD of what would be cached"
        notes.append(Note("npt-cd", f"{text} (unconfirmed)"))
    return notes


def _index_note(pats: Sequence[MemType], guest_pat: Pat, index: int | None) -> Note:
    if index is not None:
        what = f"up to 4.14 NPT goes by a page's index in the guest's PAT, here {index}"
        return Note("npt-index", f"{what}, and what that entry has in {RESET_PAT.value:#018x}")
    entries = guest_pat.entries
    indices = [f"{pat} {entries.index(pat)}" for pat in pats if pat in entries]
    lacking = [str(pat) for pat in pats if pat not in entries]
    words = f"here {', '.join(indices)}" if indices else ""
    if lacking:
        words += f"{'; ' if words else ''}no entry has {', '.join(lacking)}"
    what = f"up to 4.14 NPT goes by a page's index in the guest's PAT, {guest_pat.value:#018x}"
    return Note("npt-index", f"{what} ({words}), and what that entry has in {RESET_PAT.value:#018x}")


def lookup_npt(
    kernel: Kernel, facts: Facts, pats: Sequence[MemType], paging: bool = True, guest_pat: Pat | None = None
) -> Answer:
    """The answer to a what-if; as analysis.lookup.lookup(), which asks this for a kernel on NPT."""
    table = guest_pat or LINUX_PAT
    rule, _ = decide(kernel.rules, facts)
    full = with_host(facts)
    notes = (*kernel_notes(kernel), *unknown_inputs(kernel, facts), *npt_notes(kernel, facts, pats, table, paging))
    types = npt_types(kernel, full, pats, table, paging)
    pat = pats[0] if len(pats) == 1 else None
    return Answer(kernel, None, None, None, None, full, rule, ENTRY, pat, types, notes, paging)
