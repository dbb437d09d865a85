# SPDX-License-Identifier: GPL-2.0-only
"""The host-MMIO test in its versions: the whole truth table against a second model."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mtcalc.analysis.diff import diff
from mtcalc.kvm.history import MMIO_TESTS, row_at
from mtcalc.kvm.host_mmio import MMIO, RAM, Backing
from mtcalc.kvm.versions import MmioTest
from mtcalc.refs.resolve import resolve
from mtcalc.rulefile.write import write_rule_file
from mtcalc.rules.inputs import HostPage, value_of
from mtcalc.rules.mmio import MMIO_RULES, is_host_mmio
from mtcalc.rules.rule import decide
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import PAT_TYPES, MemType
from support import models

RELEASES = {
    MmioTest.HEAD: "3.11",
    MmioTest.PAGE: "4.1",
    MmioTest.RESERVED: "4.15",
    MmioTest.HOST_TYPE: "5.1",
    MmioTest.E820: "5.2",
}


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
            assert is_host_mmio(MMIO_RULES[test], backing, host_pat) is expected, (backing, host_pat)


@pytest.mark.parametrize("test", list(MmioTest))
def test_ram_is_ram_and_a_device_bar_is_mmio_by_every_version(test: MmioTest) -> None:
    assert not is_host_mmio(MMIO_RULES[test], RAM)
    assert is_host_mmio(MMIO_RULES[test], MMIO)


def test_the_vga_window_counts_as_ram_since_the_host_type_is_asked() -> None:
    """The ISA window is never tracked and hard-wired WB, so VGA memory mapped from /dev/mem counts as RAM."""
    vga = Backing(struct_page=True, reserved=True, host_type=MemType.WB)
    assert [is_host_mmio(MMIO_RULES[test], vga) for test in MmioTest] == [True, True, True, False, False]
    assert is_host_mmio(MMIO_RULES[MmioTest.E820], vga, host_pat=False)


def test_a_pfn_without_struct_page_asks_e820_from_5_2_on() -> None:
    """Before 0c55671f84ff every pfn without struct page was MMIO."""
    hidden_ram = Backing(struct_page=False, e820_ram=True)
    assert [is_host_mmio(MMIO_RULES[test], hidden_ram) for test in MmioTest] == [True, True, True, True, False]


@pytest.mark.parametrize("reserved", [False, True])
def test_the_zero_page_is_mmio_up_to_4_1(reserved: bool) -> None:
    """It is PageReserved, said or not, and exempt from 4.2 on; whatever the host's type and PAT are."""
    zero = Backing(reserved=reserved, zero_page=True)
    assert [is_host_mmio(MMIO_RULES[test], zero) for test in MmioTest] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("release", "test", "function"),
    [
        ((2, 6, 28), MmioTest.HEAD, "kvm_is_mmio_pfn()"),
        ((3, 12), MmioTest.HEAD, "kvm_is_mmio_pfn()"),
        ((3, 13), MmioTest.PAGE, "kvm_is_mmio_pfn()"),
        ((3, 16, 80), MmioTest.PAGE, "kvm_is_mmio_pfn()"),
        ((3, 18), MmioTest.PAGE, "kvm_is_reserved_pfn()"),
        ((4, 1, 52), MmioTest.PAGE, "kvm_is_reserved_pfn()"),
        ((4, 2), MmioTest.RESERVED, "kvm_is_mmio_pfn()"),
        ((4, 15), MmioTest.RESERVED, "kvm_is_mmio_pfn()"),
        ((4, 16), MmioTest.HOST_TYPE, "kvm_is_mmio_pfn()"),
        ((5, 1), MmioTest.HOST_TYPE, "kvm_is_mmio_pfn()"),
        ((5, 2), MmioTest.E820, "kvm_is_mmio_pfn()"),
        ((6, 16), MmioTest.E820, "kvm_is_mmio_pfn()"),
        ((6, 17), MmioTest.E820, "__kvm_is_mmio_pfn()"),
        ((7, 3), MmioTest.E820, "__kvm_is_mmio_pfn()"),
    ],
)
def test_which_release_has_which_test_under_which_name(release: tuple[int, ...], test: MmioTest, function: str) -> None:
    row = row_at(MMIO_TESTS, release)
    assert row.what is test
    assert row.source.startswith(f"{function}")


PAIRS = [(before, after) for before in MmioTest for after in MmioTest if before is not after]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_rows_of_a_diff_hold_exactly_where_the_test_changes(before: MmioTest, after: MmioTest) -> None:
    kernels = [resolve(RELEASES[test]) for test in (before, after)]
    found = diff(*kernels)
    rows = [] if found.mmio is None else found.mmio.rows
    for bits in itertools.product((False, True), repeat=5):
        for host_type in PAT_TYPES:
            struct_page, reserved, zero_page, host_pat, e820_ram = bits
            page = HostPage(struct_page, reserved, zero_page, host_type, host_pat, e820_ram)
            was, now = (bool(decide(kernel.mmio_test, page)[1]) for kernel in kernels)
            hit = {
                (bool(row.before.const), bool(row.after.const))
                for row in rows
                if all(value_of(item, page) in values for item, values in row.when.items())
            }
            assert hit == ({(was, now)} if was is not now else set()), page
    assert found.same is (not found.changed and not rows)


def test_a_kernel_that_says_no_test_is_not_compared() -> None:
    """A C file of vmx.c says nothing of kvm_is_mmio_pfn(), so what is around it was only assumed."""
    assert diff(resolve("4.4"), resolve("6.1")).mmio is not None
    assert diff(resolve("4.4"), resolve("6.1")._replace(mmio_said=False)).mmio is None
    assert diff(resolve("4.2"), resolve("4.1")).mmio is not None
    assert diff(resolve("5.2"), resolve("6.1")).mmio is None


def test_a_rule_file_may_have_a_test_of_its_own(tmp_path: Path) -> None:
    text = "name: mine\nbase: v6.16\nmmio_test:\n  - {when: host_type UC-, mmio: true}\n  - {mmio: false}\n"
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    kernel = resolve(str(path))
    assert is_host_mmio(kernel.mmio_test, RAM._replace(host_type=MemType.UC_MINUS))
    assert not is_host_mmio(kernel.mmio_test, MMIO._replace(host_type=MemType.UC))
    written = tmp_path / "written.yaml"
    written.write_text(write_rule_file(kernel))
    assert [rule[:3] for rule in resolve(str(written)).mmio_test.rules] == [rule[:3] for rule in kernel.mmio_test.rules]
    for wrong, message in (
        ("mmio_test: [{when: mmio, mmio: true}]", "unknown condition 'mmio'"),
        ("mmio_test: [{when: reserved, mmio: true}]", "does not say what every page is"),
        ("mmio_test: [{when: reserved}]", "without mmio"),
        ("mmio_test: e82", "e820"),
    ):
        path.write_text(f"name: mine\nbase: v6.16\n{wrong}\n")
        with pytest.raises(InputError, match=message):
            resolve(str(path))
