# SPDX-License-Identifier: GPL-2.0-only
"""Kernels on AMD's NPT, and for TDs: what stands in the place of EPT's rules, or before them.

On AMD a REF's release is all that counts of it: KVM writes one and the same type into every NPT entry.
"""

from __future__ import annotations

from mtcalc.kvm.flags import NOT_OF_PROTECTED, QUIRKS
from mtcalc.kvm.history import NPT_PATS, row_at
from mtcalc.kvm.notes import Note
from mtcalc.kvm.quirks import known_quirks, off_at_start
from mtcalc.kvm.release import in_force, sort_key
from mtcalc.kvm.versions import GuestPat, Vendor, VmType
from mtcalc.rules.builtin import latest
from mtcalc.rules.condition import ALWAYS, Atom
from mtcalc.rules.inputs import CR0_CD, HOST_MTRR, MMIO, PRIVATE, QUIRK_CD_NW_CLEARED
from mtcalc.rules.kernel import Kernel, Unreachable, off_from_the_start, version_text
from mtcalc.rules.releases import release_at
from mtcalc.rules.rule import Outcome, Rule, RuleSet, ept
from mtcalc.x86.memtype import MemType

FIRST_WITH_TDS = (6, 16)
"""Read: 6.14.0 -> 6.16.1."""

FIRST_WITH_SNP = (6, 11)
"""Read: 6.1.192 -> 6.12.117, KVM_X86_SNP_VM; 6.11 from memory (?)."""

_NPT_RULE = Rule(
    "npt",
    ALWAYS,
    Outcome(0, npt=True),
    "entry 0 of the host's PAT, which Linux has as WB; guest MTRRs, DMA and slot flags do not count",
    "make_spte(); svm_get_mt_mask(), there up to 5.19, returned 0; read: 2.6.29 to 7.3.4",
)

NPT_RULES: dict[GuestPat, RuleSet] = {
    GuestPat.HARDWARES: RuleSet("npt-v2.6.28", "NPT up to 4.14: the page's PAT index counts", (_NPT_RULE,)),
    GuestPat.GUESTS: RuleSet("npt-v4.15", "NPT from 4.15 on: the guest's PAT counts", (_NPT_RULE,)),
}

TDX_PRIVATE = Rule(
    "tdx-private",
    Atom(PRIVATE),
    ept(MemType.WB, 1),
    "the TDX module maps a TD's private pages so, whatever KVM computes",
    "the TDX module; KVM computes a byte that is ignored; read: 6.16.1 to 7.3.4",
)

_OF_EPT = ("stable", "unconfirmed", "latest", "rule-file", "taken-as-before")
"""Notes of a kernel that speak of EPT's rules."""


def on_platform(kernel: Kernel, vendor: Vendor, vm_type: VmType = VmType.NORMAL) -> Kernel:
    """The kernel on a host's CPU, running a type of VM; one that was made for it already stays.

    Raises ValueError for a TD on AMD and an SNP guest on Intel.
    """
    check_platform(vendor, vm_type)
    if vendor is Vendor.AMD:
        return kernel if kernel.npt is not None else _on_npt(kernel, vm_type)
    if vm_type is VmType.TD and kernel.vm_type is not VmType.TD:
        return _for_td(kernel)
    return kernel


def check_platform(vendor: Vendor, vm_type: VmType) -> None:
    """Raises ValueError where the vendor's CPUs run no such VM."""
    if vm_type is VmType.TD and vendor is not Vendor.INTEL:
        raise ValueError("a TD runs on Intel's CPUs alone (snp, or host: {vendor: intel})")
    if vm_type is VmType.SNP and vendor is not Vendor.AMD:
        raise ValueError("an SNP guest runs on AMD's CPUs alone (td, or host: {vendor: amd})")


def _on_npt(kernel: Kernel, vm_type: VmType) -> Kernel:
    if kernel.default:  # a proposal for EPT
        kernel = latest()
    release = kernel.release
    pat = row_at(NPT_PATS, release).what
    quirks = known_quirks(release)
    off = off_at_start(release, Vendor.AMD)
    notes = [note for note in kernel.notes if note.code not in _OF_EPT]
    if kernel.rules.name != release_at(release).rules.name:
        text = f"{kernel.rules.name} has rules of EPT: under NPT its release alone counts, {version_text(release)}"
        notes.append(Note("npt-rules", text))
    if vm_type is VmType.SNP and sort_key(release) < FIRST_WITH_SNP:
        first = f"KVM runs SNP guests from {version_text(FIRST_WITH_SNP)} on (from memory)"
        notes.append(Note("no-snp", f"{first}: {version_text(release)} has none"))
    always = kernel.split_when if kernel.split_when == ALWAYS else None
    refused = in_force(NOT_OF_PROTECTED, release) if vm_type is VmType.SNP else 0
    return kernel._replace(
        slot_flags=kernel.slot_flags & ~refused,
        rules=NPT_RULES[pat],
        split_when=always,  # 6.0 to 6.10 look at guest MTRRs under EPT alone
        quirks=quirks,
        quirks_off=off,
        unreachable=tuple(off_from_the_start(name) for name in quirks if off & QUIRKS[name]),
        proposal="",
        notes=tuple(notes),
        mmio_said=False,
        npt=pat,
        vm_type=vm_type,
        also_read=(MMIO, HOST_MTRR, CR0_CD, QUIRK_CD_NW_CLEARED),
    )


def _for_td(kernel: Kernel) -> Kernel:
    if kernel.default:  # a proposal on top of a release without TDs
        kernel = latest()
    notes = kernel.notes
    if sort_key(kernel.release) < FIRST_WITH_TDS:
        text = f"KVM runs TDs from {version_text(FIRST_WITH_TDS)} on: {version_text(kernel.release)} has none"
        notes = (*notes, Note("no-td", text))
    off = sum(QUIRKS[name] for name in kernel.quirks)
    never = (
        Unreachable(Atom(CR0_CD), "a TD cannot set CR0.CD"),
        *(off_from_the_start(name) for name in kernel.quirks),
    )
    rules = kernel.rules._replace(rules=(TDX_PRIVATE, *kernel.rules.rules))
    return kernel._replace(
        rules=rules,
        slot_flags=kernel.slot_flags & ~in_force(NOT_OF_PROTECTED, kernel.release),
        quirks_off=off,
        unreachable=never,
        notes=notes,
        vm_type=VmType.TD,
    )
