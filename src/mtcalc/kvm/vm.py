# SPDX-License-Identifier: GPL-2.0-only
"""The VM and its memory slots as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mtcalc.kvm.host_mmio import RAM, Backing
from mtcalc.kvm.release import Version
from mtcalc.kvm.versions import Vendor, VmType
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import Mtrrs, VariableRange
from mtcalc.x86.pat import LINUX_PAT, Pat


class Slot(NamedTuple):
    """A memory slot. Addresses and size in bytes."""

    gpa: int
    size: int
    name: str
    id: int = 0
    flags: int = 0
    backing: Backing = RAM
    hva: int | None = None  # None: not said; then it does not limit the mapping level
    address_space: int = 0  # 1 is SMM's
    device: bool = False  # the guest sees a device's BAR there, not RAM
    private: bool = False  # of a TD or an SNP guest: its own, not shared with the host

    @property
    def end(self) -> int:
        """The first address behind the slot."""
        return self.gpa + self.size


def reset_free_mtrrs(maxphyaddr: int) -> Mtrrs:
    """MTRRs of a guest nobody described: on, default WB, fixed ranges off, no variable range."""
    return Mtrrs(True, False, MemType.WB, (MemType.UC,) * 88, (VariableRange(0, 0),) * 8, maxphyaddr)


class Vm(NamedTuple):
    """What decides memory types besides the slot. maxphyaddr in bits."""

    noncoherent_dma: bool = False  # kvm_arch_has_noncoherent_dma(): the count is over 0
    mem_dma: bool = False  # some slot has KVM_MEM_DMA (2020 proposal)
    disabled_quirks: int = 0  # KVM_X86_QUIRK_ bits
    self_snoop: bool = True  # host CPU feature
    host_pat: bool = True
    host_maxphyaddr: int = 46
    maxphyaddr: int = 46  # the guest's
    cpuid_mtrr: bool = True
    cr0_cd: bool = False
    paging: bool = True  # guest CR0.PG
    pat: Pat = LINUX_PAT
    mtrrs: Mtrrs = reset_free_mtrrs(46)
    guest_release: Version | None = None  # the kernel of a Linux guest; None: not said
    nopat: bool = False  # which was booted with nopat
    assume: Mapping[str, bool | MemType] = {}  # what only a C file or a patch asks for
    vendor: Vendor = Vendor.INTEL  # of the host's CPU
    type: VmType = VmType.NORMAL
