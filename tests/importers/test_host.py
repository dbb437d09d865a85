# SPDX-License-Identifier: GPL-2.0-only
"""This machine as a host: from a /proc and a /sys that are made up, and from the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtcalc.importers.convert import Imported, convert
from mtcalc.importers.host import read_host
from mtcalc.importers.told import Given
from mtcalc.text.errors import InputError
from support.program import quick

CPUINFO = """processor\t: 0
vendor_id\t: {vendor}
flags\t\t: fpu vme {flags}
address sizes\t: {bits} bits physical, 48 bits virtual

processor\t: 1
vendor_id\t: Other
"""


def machine(root: Path, vendor: str = "GenuineIntel", flags: str = "ss pat mtrr", bits: int = 39) -> Path:
    """A root with what a host of KVM has in /proc."""
    (root / "proc/sys/kernel").mkdir(parents=True)
    (root / "proc/sys/kernel/osrelease").write_text("6.8.0-45-generic\n")
    (root / "proc/cpuinfo").write_text(CPUINFO.format(vendor=vendor, flags=flags, bits=bits))
    (root / "proc/iomem").write_text("00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n")
    return root


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def imported(root: Path) -> Imported:
    return convert([read_host(str(root))], Given())


def test_a_host_of_kvm(tmp_path: Path) -> None:
    found = imported(machine(tmp_path))
    vm = found.scenario.vm
    assert found.scenario.rules == "6.8.0-45-generic"
    assert (vm.self_snoop, vm.host_maxphyaddr) == (True, 39)
    assert "vendor: intel" in found.text
    assert any("root alone sees" in remark for remark in found.remarks)
    assert any("kvm_intel is not loaded" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("sys/module/kvm_intel/parameters/ept", "N\n", "EPT is off"),
        ("sys/class/iommu/dmar0/intel-iommu/ecap", "f0105a\n", "1 of 1 IOMMUs can't snoop"),
        ("sys/class/iommu/dmar0/intel-iommu/ecap", "f010df\n", "every IOMMU can snoop"),
        ("sys/class/iommu/dmar0/intel-iommu/ecap", "?\n", "no number in it"),
        ("proc/mtrr", "reg00: ...\n", "no effect on a guest"),
    ],
)
def test_what_matters_besides(tmp_path: Path, path: str, text: str, said: str) -> None:
    assert not any(said in remark for remark in imported(machine(tmp_path / "without")).remarks)
    root = machine(tmp_path / "with")
    put(root, path, text)
    assert any(said in remark for remark in imported(root).remarks)


def test_a_cpu_without_self_snoop_in_a_guest(tmp_path: Path) -> None:
    found = imported(machine(tmp_path, flags="hypervisor"))
    assert not found.scenario.vm.self_snoop
    assert any("a guest itself" in remark for remark in found.remarks)


def test_root_sees_where_ram_is(tmp_path: Path) -> None:
    put(machine(tmp_path), "proc/iomem", "00001000-0009ffff : System RAM\n")
    assert not any("root alone" in remark for remark in imported(tmp_path).remarks)


def test_a_cpu_of_another_vendor(tmp_path: Path) -> None:
    found = imported(machine(tmp_path, vendor="CentaurHauls"))
    assert "vendor:" not in found.text
    assert any("neither Intel nor AMD" in remark for remark in found.remarks)
    (tmp_path / "proc/cpuinfo").unlink()
    assert any("the CPU is not told" in remark for remark in imported(tmp_path).remarks)


@pytest.mark.parametrize("vendor", ["AuthenticAMD", "HygonGenuine"])
def test_a_host_without_ept_keeps_the_rest(tmp_path: Path, vendor: str) -> None:
    found = imported(machine(tmp_path, vendor=vendor, bits=43))
    assert "vendor:" not in found.text
    assert "maxphyaddr: 43" in found.text
    assert any(f"vendor {vendor}: left out" in remark for remark in found.remarks)


def test_no_proc(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Linux, with /proc"):
        read_host(str(tmp_path))


def test_this_machine() -> None:
    """Whatever it is, an answer that loads or a clean error."""
    done = quick("import", "--host")
    assert done.status in (0, 2)
    if done.status == 0:
        assert "rules: " in done.out
        assert quick("mtrr", "-", "-r", "6.1", stdin=done.out).status == 0
    else:
        assert done.out == ""
        assert done.err.count("\n") <= 3
