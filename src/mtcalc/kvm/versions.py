# SPDX-License-Identifier: GPL-2.0-only
"""Which versions there are of KVM's lookup of guest MTRRs, of its host-MMIO test, and of what MTRRs limit; and on
whose CPUs it runs which kinds of VMs.

Which release has which stands in mtcalc.kvm.history.
"""

from __future__ import annotations

from enum import Enum


class MtrrWalk(Enum):
    """Which version of the lookup, as rule files name it."""

    V4_1 = "v4.1"
    V4_2 = "v4.2"
    V4_4 = "v4.4"
    NONE = "none"


WALK_WORDS = {
    MtrrWalk.V4_1: "up to 4.1: masks as in the manual, conflicting overlaps UC, enables judged together",
    MtrrWalk.V4_2: "4.2 and 4.3: descending bases, E=0 always UC, fixed ranges misread, masks of the host's width",
    MtrrWalk.V4_4: "4.4 to 6.10: descending bases, E=0 is UC only if CPUID has MTRRs",
    MtrrWalk.NONE: "6.11 on: guest MTRRs are stored and never looked at",
}
"""The releases that have a version, and what sets it apart."""


class MtrrLimit(Enum):
    """When the consistency of the guest's MTRRs limits the mapping level under EPT."""

    NEVER = "never"
    ALWAYS = "on every fault"
    NONCOHERENT_DMA = "with non-coherent DMA"


class MmioTest(Enum):
    """Which version of the test, as rule files name it; mtcalc.rules.mmio has its rules."""

    HEAD = "head"
    PAGE = "page"
    RESERVED = "reserved"
    HOST_TYPE = "host_type"
    E820 = "e820"


class Vendor(Enum):
    """Whose CPU the host has: Intel's, so VMX with EPT, or AMD's, so SVM with NPT."""

    INTEL = "intel"
    AMD = "amd"


class VmType(Enum):
    """What kind of VM it is, as scenarios name it: TDX guests are Intel's, SNP guests AMD's."""

    NORMAL = "normal"
    TD = "td"
    SNP = "snp"


class GuestPat(Enum):
    """Which PAT counts for a page of a guest under NPT."""

    GUESTS = "the guest's own"
    HARDWARES = "the one that the hardware has at reset"
