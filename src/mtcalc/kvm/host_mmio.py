# SPDX-License-Identifier: GPL-2.0-only
"""The host-MMIO test, kvm_is_mmio_pfn(), in its versions.

Source: arch/x86/kvm/mmu/spte.c and arch/x86/kvm/mmu.c. 5.2 asks e820 about a pfn without struct page
(commit 0c55671f84ff); from 4.16 (unconfirmed) the host's memory-type tracking is asked about a
reserved one.
"""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.kvm.versions import MmioTest
from mtcalc.x86.memtype import MemType


class Backing(NamedTuple):
    """The host page behind a guest page, as far as the test looks."""

    struct_page: bool = True
    reserved: bool = False  # PageReserved
    zero_page: bool = False
    host_type: MemType = MemType.WB  # what the host's memory-type tracking calls it
    e820_ram: bool = True


RAM = Backing()
MMIO = Backing(struct_page=False, reserved=True, host_type=MemType.UC_MINUS, e820_ram=False)
"""A device BAR: host MMIO by every version of the test."""


def is_host_mmio(backing: Backing, test: MmioTest, host_pat: bool = True) -> bool:
    """Whether KVM takes the host page for MMIO; `host_pat`: the host's PAT is on."""
    if not backing.struct_page:
        return test is not MmioTest.E820 or not backing.e820_ram
    if backing.zero_page or not backing.reserved:
        return False
    if test is MmioTest.RESERVED or not host_pat:
        return True
    return backing.host_type in (MemType.UC, MemType.UC_MINUS, MemType.WC)
