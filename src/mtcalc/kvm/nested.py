# SPDX-License-Identifier: GPL-2.0-only
"""Guests of a guest, by release: whose PAT counts for a page of L2, where L1 is the guest and L2 the guest's own.

L0 builds the tables that the CPU walks for L2 (EPT02, NPT02) from L1's (EPT12, NPT12), through the make_spte() that
it has for L1, in every release read: the type in an entry is L0's, by the L1 page and the state of L1's VM.
"""

from __future__ import annotations

from enum import Enum

from mtcalc.kvm.flags import ALL_QUIRK_BITS
from mtcalc.kvm.history import NPT_PATS, Row, row_at
from mtcalc.kvm.quirks import OF_L2, has_quirk
from mtcalc.kvm.release import Version
from mtcalc.kvm.versions import GuestPat, Vendor


class L2Pat(Enum):
    """Whose PAT a page of L2 selects its type from, as JSON calls it."""

    VMCS12 = "vmcs12"
    VMCB12 = "vmcb12"
    L1 = "l1"
    HARDWARE = "hardware"


class PatRule(Enum):
    """How that is decided."""

    ENTRY_CONTROL = "the one that vmcs12 loads (VM-entry control 'load IA32_PAT'), else L1's"
    HARDWARES = "the one that the hardware has at reset: a page's index counts"
    L1S = "L1's, whatever vmcb12 has in g_pat"
    QUIRK = "L1's while the quirk NESTED_SVM_SHARED_PAT is in force, as it is by default; else vmcb12's g_pat"


L2_PATS_EPT: tuple[Row[PatRule], ...] = (
    Row((0,), PatRule.ENTRY_CONTROL, "prepare_vmcs02(), arch/x86/kvm/vmx.c, from 5.0 on vmx/nested.c"),
)
L2_PATS_NPT: tuple[Row[PatRule], ...] = (
    Row((0,), PatRule.HARDWARES, NPT_PATS[0].source),
    Row((4, 15), PatRule.L1S, "15038e147247; nested_vmcb02_compute_g_pat() copies vmcb01's"),
    Row((7, 2), PatRule.QUIRK, "l2_has_separate_pat(), arch/x86/kvm/svm; read: 7.1.5 -> 7.2.13"),
)

NESTED_TABLES: dict[Vendor, tuple[Version, str]] = {
    Vendor.INTEL: ((3, 12), "nested EPT"),
    Vendor.AMD: ((2, 6, 37), "nested NPT"),
}
"""The first release that gives L1 nested paging for its own guests, and what that is called: from memory."""


def pat_rule(release: Version, npt: GuestPat | None) -> Row[PatRule]:
    """How it is decided in a release, under VMX with EPT (`npt` None) or under SVM with NPT."""
    return row_at(L2_PATS_EPT if npt is None else L2_PATS_NPT, release)


def shares_pat(release: Version, disabled_quirks: int) -> bool | None:
    """On AMD: whether that quirk is in force. None for a release without it. `disabled_quirks`: KVM_X86_QUIRK_ bits."""
    return not disabled_quirks & ALL_QUIRK_BITS[OF_L2] if has_quirk(OF_L2, release) else None
