# SPDX-License-Identifier: GPL-2.0-only
"""Which versions there are of KVM's lookup of guest MTRRs, of its host-MMIO test, and of what MTRRs limit.

Which release has which stands in mtcalc.kvm.history.
"""

from __future__ import annotations

from enum import Enum


class MtrrWalk(Enum):
    """Which version of the lookup, and what sets it apart."""

    V4_1 = "up to 4.1: masks as in the manual, conflicting overlaps UC, enables judged together"
    V4_2 = "4.2 and 4.3: descending bases, E=0 always UC, fixed ranges misread, masks of the host's width"
    V4_4 = "4.4 to 6.10: descending bases, E=0 is UC only if CPUID has MTRRs"
    NONE = "6.11 on: guest MTRRs are stored and never looked at"


class MtrrLimit(Enum):
    """When the consistency of the guest's MTRRs limits the mapping level under EPT."""

    NEVER = "never"
    ALWAYS = "on every fault"
    NONCOHERENT_DMA = "with non-coherent DMA"


class MmioTest(Enum):
    """Which version of the test: the releases that have it, and what it says."""

    HEAD = "up to 3.12: no struct page, or a page (its compound head) that is reserved, the zero page too"
    PAGE = "3.13 to 4.1: no struct page, or a reserved page, the zero page too"
    RESERVED = "4.2 to 4.15: no struct page, or a reserved page that is not the zero page"
    HOST_TYPE = "4.16 to 5.1: no struct page, or a reserved page that the host maps UC, UC- or WC"
    E820 = "5.2 on: no struct page and no e820 RAM, or a reserved page that the host maps UC, UC- or WC"
