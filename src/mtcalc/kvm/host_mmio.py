# SPDX-License-Identifier: GPL-2.0-only
"""The host page behind a guest page; mtcalc.rules.mmio has KVM's test of it."""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.x86.memtype import MemType


class Backing(NamedTuple):
    """The host page behind a guest page, as far as the test and the mapping level look."""

    struct_page: bool = True
    reserved: bool = False  # PageReserved
    zero_page: bool = False
    host_type: MemType = MemType.WB  # what the host's memory-type tracking calls it
    e820_ram: bool = True
    page_level: int | None = None  # the size in which the host maps it, 1 (4K) to 3 (1G); None: not said
    host_mtrr: MemType | None = None  # the host's MTRR type of it, which counts under NPT; None: not said

    @property
    def is_device(self) -> bool:
        """Whether it is plainly a device's memory: no struct page, and no RAM."""
        return not self.struct_page and not self.e820_ram


RAM = Backing()
MMIO = Backing(struct_page=False, reserved=True, host_type=MemType.UC_MINUS, e820_ram=False)
"""A device BAR: host MMIO by every version of the test."""
