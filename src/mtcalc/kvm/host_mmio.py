# SPDX-License-Identifier: GPL-2.0-only
"""The host-MMIO test, kvm_is_mmio_pfn(), in its versions.

Source: arch/x86/kvm/mmu/spte.c, arch/x86/kvm/mmu.c, before 4.2 virt/kvm/kvm_main.c. Which release has which,
and the function's name there: MMIO_TESTS in mtcalc.kvm.history. Up to 4.1 the zero page, which is reserved,
is MMIO; from 4.16 on the host's memory-type tracking is asked about a reserved page, from 5.2 on e820 about
a pfn without struct page.
"""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.kvm.versions import MmioTest
from mtcalc.x86.memtype import MemType


class Backing(NamedTuple):
    """The host page behind a guest page, as far as the test and the mapping level look."""

    struct_page: bool = True
    reserved: bool = False  # PageReserved
    zero_page: bool = False
    host_type: MemType = MemType.WB  # what the host's memory-type tracking calls it
    e820_ram: bool = True
    page_level: int | None = None  # the size in which the host maps it, 1 (4K) to 3 (1G); None: not said

    @property
    def is_device(self) -> bool:
        """Whether it is plainly a device's memory: no struct page, and no RAM."""
        return not self.struct_page and not self.e820_ram


RAM = Backing()
MMIO = Backing(struct_page=False, reserved=True, host_type=MemType.UC_MINUS, e820_ram=False)
"""A device BAR: host MMIO by every version of the test."""


def is_host_mmio(backing: Backing, test: MmioTest, host_pat: bool = True) -> bool:
    """Whether KVM takes the host page for MMIO; `host_pat`: the host's PAT is on."""
    if not backing.struct_page:
        return test is not MmioTest.E820 or not backing.e820_ram
    if backing.zero_page:
        return test in (MmioTest.HEAD, MmioTest.PAGE)
    if not backing.reserved:
        return False
    if test not in (MmioTest.HOST_TYPE, MmioTest.E820) or not host_pat:
        return True
    return backing.host_type in (MemType.UC, MemType.UC_MINUS, MemType.WC)
