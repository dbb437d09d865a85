# SPDX-License-Identifier: GPL-2.0-only
"""The host-MMIO test in its versions: the whole truth table against a second model."""

from __future__ import annotations

import itertools

import pytest

from mtcalc.kvm.host_mmio import MMIO, RAM, Backing, is_host_mmio
from mtcalc.kvm.versions import MmioTest
from mtcalc.x86.memtype import PAT_TYPES, MemType
from support import models

RELEASES = {MmioTest.RESERVED: "4.15", MmioTest.HOST_TYPE: "5.1", MmioTest.E820: "5.2"}


@pytest.mark.parametrize("test", list(MmioTest))
def test_equals_the_model_on_every_host_page(test: MmioTest) -> None:
    """kvm_is_mmio_pfn(): struct page, PageReserved, zero page, e820, the host's type and PAT."""
    for bits in itertools.product((False, True), repeat=5):
        struct_page, reserved, zero_page, e820_ram, host_pat = bits
        for host_type in PAT_TYPES:
            backing = Backing(struct_page, reserved, zero_page, host_type, e820_ram)
            expected = models.host_mmio(
                RELEASES[test], struct_page, reserved, zero_page, e820_ram, str(host_type), host_pat
            )
            assert is_host_mmio(backing, test, host_pat) is expected, (backing, host_pat)


@pytest.mark.parametrize("test", list(MmioTest))
def test_ram_is_ram_and_a_device_bar_is_mmio_by_every_version(test: MmioTest) -> None:
    assert not is_host_mmio(RAM, test)
    assert is_host_mmio(MMIO, test)


def test_the_vga_window_counts_as_ram_since_the_host_type_is_asked() -> None:
    """The ISA window is never tracked and hard-wired WB, so VGA memory mapped from /dev/mem counts as RAM."""
    vga = Backing(struct_page=True, reserved=True, host_type=MemType.WB)
    assert [is_host_mmio(vga, test) for test in MmioTest] == [True, False, False]
    assert is_host_mmio(vga, MmioTest.E820, host_pat=False)


def test_a_pfn_without_struct_page_asks_e820_from_5_2_on() -> None:
    """Before 0c55671f84ff every pfn without struct page was MMIO."""
    hidden_ram = Backing(struct_page=False, e820_ram=True)
    assert [is_host_mmio(hidden_ram, test) for test in MmioTest] == [True, True, False]
