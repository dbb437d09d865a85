# SPDX-License-Identifier: GPL-2.0-only
"""This machine as a host: from a /proc and a /sys that are made up, and from the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtcalc.importers.convert import Imported, convert
from mtcalc.importers.host import read_host
from mtcalc.importers.told import Given
from mtcalc.kvm.versions import Vendor
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
def test_a_host_with_npt(tmp_path: Path, vendor: str) -> None:
    found = imported(machine(tmp_path, vendor=vendor, bits=43))
    assert found.scenario.vm.vendor is Vendor.AMD
    assert "maxphyaddr: 43" in found.text
    assert not any("EPT" in remark or "kvm_intel" in remark for remark in found.remarks)
    assert any("kvm_amd is not loaded" in remark for remark in found.remarks)


def test_what_matters_besides_on_amd(tmp_path: Path) -> None:
    root = machine(tmp_path, vendor="AuthenticAMD")
    put(root, "sys/module/kvm_amd/parameters/npt", "0\n")
    put(root, "proc/mtrr", "reg00: ...\n")
    remarks = imported(root).remarks
    assert any("NPT is off" in remark for remark in remarks)
    assert any("counts under NPT" in remark for remark in remarks)
    put(root, "sys/module/kvm_amd/parameters/npt", "Y\n")
    assert not any("NPT is off" in remark or "not loaded" in remark for remark in imported(root).remarks)


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
