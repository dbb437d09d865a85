# SPDX-License-Identifier: GPL-2.0-only
"""The codes of notes: what notes of each speak of, and when there is one. CODES lists them all."""

from enum import Enum
from typing import NamedTuple


class Level(Enum):
    """How much a note matters."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class About(Enum):
    """What a note speaks of: who has it in common."""

    KERNEL = "the rules, and the kernel around them"
    VM = "the VM as it was described"
    INPUT = "an input that was given"
    SLOT = "a slot"
    PAGE = "a page, or a range of them"
    ENTRY = "the entry, and what the guest gets of it"
    COMPARISON = "a comparison of two kernels"
    DECODING = "an entry that was decoded"


class Code(NamedTuple):
    """One row: what notes of a code speak of, when there is one, and where that stands."""

    about: About
    when: str
    source: str = ""
    level: Level = Level.NOTE


_KERNEL, _VM, _INPUT, _SLOT, _PAGE = About.KERNEL, About.VM, About.INPUT, About.SLOT, About.PAGE
_ENTRY, _COMPARISON, _DECODING = About.ENTRY, About.COMPARISON, About.DECODING
_SDM_MTRR = 'SDM vol. 3, "MTRR Precedences"'

CODES: dict[str, Code] = {
    "proposal": Code(_KERNEL, "the rules never were in mainline"),
    "latest": Code(_KERNEL, "nobody chose the rules, so what the latest release answers is said too"),
    "candidate": Code(_KERNEL, "a release candidate was named"),
    "stable": Code(_KERNEL, "a release was named whose stable series has other rules later"),
    "build": Code(_KERNEL, "a release with a suffix was named, which vendors and local builds have"),
    "host": Code(_KERNEL, "this machine's kernel was asked for"),
    "unconfirmed": Code(_KERNEL, "what is answered rests on memory, not on a tree that was read"),
    "rule-file": Code(_KERNEL, "the rule file says so"),
    "base": Code(_KERNEL, "a patch's base was chosen, not named"),
    "commit": Code(_KERNEL, "a revision of a git tree was named: which commit that is"),
    "around": Code(_KERNEL, "what is around the rules of a git tree or a file is not told there, so it was chosen"),
    "test-unread": Code(_KERNEL, "a C text's host-MMIO test is not understood, so its release's stands for it"),
    "taken-as-before": Code(_KERNEL, "a patch changes a function that rules ask by name"),
    "patch": Code(_KERNEL, "how a patch was read"),
    "slot-there": Code(_KERNEL, "a C text asks whether the page has a slot, which an entry's page has", "make_spte()"),
    "unread": Code(_KERNEL, "an input was given that the rules do not read"),
    "dump": Code(_VM, "another tool's dump was given for a scenario, and what it does not tell was assumed"),
    "no-mtrr": Code(_VM, "MTRRs were not described, and they matter"),
    "no-def-type": Code(_VM, "registers were given, IA32_MTRR_DEF_TYPE was not"),
    "no-fixed": Code(_VM, "fixed ranges are on, and none was described"),
    "width": Code(_VM, "maxphyaddr was not given, and a mask says another than the one assumed"),
    "pairs": Code(_VM, "there are more variable pairs than KVM gives a guest", "KVM_NR_VAR_MTRR"),
    "mask-width": Code(_VM, "4.2 and 4.3 read masks with the host's width", "read: 4.3.3 -> 4.4.0"),
    "write-refused": Code(_VM, "KVM answers the write of such a register with #GP", "mtcalc.kvm.mtrr_writes"),
    "mtrr-unasked": Code(_VM, "this KVM never looks at the guest's MTRRs", "0a7b73559b39"),
    "quirk-unknown": Code(_INPUT, "a quirk is disabled that this kernel does not have", "mtcalc.kvm.quirks"),
    "quirk-idle": Code(_INPUT, "a quirk is disabled that decides no memory type"),
    "flag-refused": Code(_INPUT, "a slot flag is set that this kernel refuses", "check_memory_region_flags()"),
    "flag-unchecked": Code(_INPUT, "a slot flag is set that this kernel does not know", "read: 3.6.5 -> 3.7.2"),
    "flag-own": Code(_INPUT, "a slot flag is set whose bit this kernel keeps for itself", "read: 3.6.5 -> 3.7.2"),
    "flags-together": Code(_INPUT, "slot flags are set that no kernel takes together", "check_memory_region_flags()"),
    "memfd": Code(_INPUT, "GUEST_MEMFD is set, which this kernel takes on some VMs alone", "read: 6.17.0 -> 6.18.2"),
    "unreachable": Code(_INPUT, "the kernel does not let the state happen"),
    "slot-refused": Code(_SLOT, "this kernel refuses the slot", "mtcalc.kvm.slot_history"),
    "slot-address": Code(_SLOT, "a host address is user space with 5-level paging alone", "access_ok()"),
    "slot-own": Code(_SLOT, "a slot meets the page of KVM's own that can be known", "read: 4.15.1 -> 4.16.13"),
    "slot-smm": Code(_SLOT, "a slot is in address space 1"),
    "slot-beyond": Code(_SLOT, "a slot goes beyond the guest's maxphyaddr"),
    "no-slot": Code(_PAGE, "no slot holds the address", "KVM_SET_USER_MEMORY_REGION"),
    "smm": Code(_PAGE, "address space 1 has a slot at the address, too or alone"),
    "misread": Code(_PAGE, "4.2 and 4.3 misread the fixed ranges", "read: 4.3.3 -> 4.4.0"),
    "garbage": Code(_PAGE, "4.2 and 4.3 take the type from bytes of their own", "read: 4.3.3 -> 4.4.0"),
    "stray": Code(_PAGE, "4.2 to 4.6 check MTRRs with a stray cursor", "read: 4.6.2 -> 4.7.4"),
    "bar": Code(_PAGE, "how large a BAR is mapped was assumed", "f9e54c3a2f5b, vfio/pci huge_fault"),
    "reserved-as-ram": Code(_PAGE, "a reserved host page counts as RAM, and may be a device", "kvm_is_mmio_pfn()"),
    "mtrr-parted": Code(_PAGE, "KVM reads the guest's MTRRs otherwise than the manual", _SDM_MTRR),
    "mtrr-ignored": Code(_PAGE, "the guest's MTRRs say uncached, and the rule does not look at them"),
    "no-pat-entry": Code(_PAGE, "the guest's PAT has no entry of the page's type"),
    "guest-kernel": Code(_VM, "how the kernel of a Linux guest was named, or that nobody named one"),
    "request-changed": Code(_PAGE, "the guest's kernel gives a request another type", "pat_x_mtrr_type()"),
    "request-entry": Code(_PAGE, "the PAT entry that the guest's kernel uses holds another type", "init_cache_modes()"),
    "request-refused": Code(_PAGE, "the guest's kernel refuses a request, or has no such function"),
    "request-ram": Code(_PAGE, "a request is for a slot that is taken as the guest's RAM"),
    "request-not-ram": Code(_PAGE, "a request without an address: whether it is for RAM was not said"),
    "request-conflict": Code(_PAGE, "requests for one range do not go together", "memtype_check_conflict()"),
    "not-chosen": Code(_PAGE, "the guest's kernel would not choose the page's PAT type", "pat_x_mtrr_type()"),
    "odd-byte": Code(_ENTRY, "the byte has bits besides memory type and ignore-PAT"),
    "misconfiguration": Code(_ENTRY, "the byte's memory type is reserved", 'SDM vol. 3, "EPT Misconfigurations"'),
    "vmm-unread": Code(_VM, "a VMM is known by name alone", "mtcalc.kvm.vmm"),
    "npt-rules": Code(_KERNEL, "rules of EPT were named for a host with NPT, where their release alone counts"),
    "private-mmio": Code(_INPUT, "a page is private memory and host MMIO", "virt/kvm/guest_memfd.c; from memory (?)"),
    "no-snp": Code(
        _KERNEL, "an SNP guest was described, and this release runs none", "read: 6.1.192 -> 6.12.117; 6.11: memory (?)"
    ),
    "no-td": Code(_KERNEL, "a TD was described, and this release runs none", "read: 6.14.0 -> 6.16.1"),
    "npt-index": Code(_PAGE, "NPT before 4.15, where not the page's PAT type counts but its index", "15038e147247"),
    "npt-mtrr": Code(_PAGE, "the guest's MTRRs say uncached, and under NPT they make no type", "svm_get_mt_mask()"),
    "host-mtrr": Code(_PAGE, "the host's MTRR type of device memory was assumed", 'APM vol. 2, "Memory-Type Ranges"'),
    "host-mtrr-idle": Code(_PAGE, "a host MTRR type was given, and EPT does not ask for it"),
    "npt-cd": Code(_ENTRY, "guest CR0.CD reaches the hardware under SVM, which is unconfirmed", "svm_set_cr0()"),
    "l2-pat": Code(_PAGE, "an L2 page is explained: what was assumed of the PATs, or what L2 does not get"),
    "l2-cd": Code(_ENTRY, "an L2 page is explained, and the CR0.CD that counts there is from memory"),
    "l2-nested": Code(_KERNEL, "an L2 page is explained, and this release gives L1 no nested paging for it"),
    "starred": Code(_ENTRY, "earlier editions of the manual left the cell undefined"),
    "ignore-pat": Code(_ENTRY, "the PAT type that was asked for has no say"),
    "no-paging": Code(_ENTRY, "CR0.PG is 0, so the PAT type is WB"),
    "left-out": Code(_COMPARISON, "states were left out, as neither kernel gets there"),
    "walks-differ": Code(_COMPARISON, "the rules agree, and the guest MTRR type itself is found another way"),
    "overlap": Code(_COMPARISON, "rows of a difference overlap"),
    "not-fewest": Code(_COMPARISON, "the search for the fewest rows was cut short"),
    "incomplete": Code(_VM, "a mask with holes makes more pieces than can be named"),
    "shortened": Code(_VM, "a list is longer than people read"),
    "audit-private": Code(_ENTRY, "recorded entries are those of a TD's private pages", "TDX: the module's own EPT"),
    "audit-no-slot": Code(_DECODING, "a trace has leaves where the scenario has no slot", "x86_set_memory_region()"),
    "audit-undecided": Code(_DECODING, "nothing in a trace tells EPT from NPT or shadow paging"),
    "spte": Code(_DECODING, "how an SPTE was read", "mtcalc.kvm.spte_eras"),
}
"""Every code there is."""
