# SPDX-License-Identifier: GPL-2.0-only
"""What dumps tell of the machine besides its MTRRs and slots: the vendor, the guest's kernel; and what none tells."""

from __future__ import annotations

from typing import Any

import pytest

from mtcalc.kvm.versions import Vendor
from mtcalc.scenario.load import load_scenario
from support.program import DATA, quick

LOG = (
    "[    0.000000] Linux version 6.8.0-45-generic (buildd@lcy02) (x86_64-linux-gnu-gcc-13)\n"
    "[    0.000000] Hypervisor detected: KVM\n"
    "[    0.000523] MTRR default type: write-back\n"
    "[    0.000524] MTRR fixed ranges disabled:\n"
    "[    0.000527] MTRR variable ranges enabled:\n"
    "[    0.000528]   0 base 00C0000000 mask FFC0000000 uncachable\n"
    + "".join(f"[    0.000529]   {n} disabled\n" for n in range(1, 8))
)
AMD = [
    "[    0.100000] smpboot: CPU0: AMD EPYC 7543 32-Core Processor (family: 0x19, model: 0x1, stepping: 0x1)",
    "[    0.100000] CPU0: Quad-Core AMD Opteron(tm) Processor 2356 stepping 03",
    "[    0.100000] SVM: kvm: Nested Paging enabled",
    "[    0.100000] kvm: Nested Paging enabled",
    "[    0.100000] kvm_amd: Nested Virtualization enabled",
    "[    0.100000] TOM2: 0000000440000000 aka 17408M",
    "vendor_id\t: AuthenticAMD",
]
INTEL = [
    "[    0.100000] smpboot: CPU0: Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz (family: 0x6, model: 0x6a, stepping: 0x6)",
    "[    0.100000] CPU0: Intel Xeon E312xx (Sandy Bridge) stepping 01",
    "vendor_id\t: GenuineIntel",
]
NEITHER = [
    "[    0.100000] smpboot: CPU0: QEMU Virtual CPU version 2.5+ (family: 0x6, model: 0x6, stepping: 0x3)",
    "[    0.100000] kvm: SVM not supported by CPU 0, not amd or hygon",
    "[    0.100000] AMD-Vi: Interrupt remapping enabled",
    "[    0.100000] Intel MultiProcessor Specification v1.4",
    "vendor_id\t: HygonGenuine",
]
MTREE = (DATA / "importers/samples/mtree-looking-glass.txt").read_text()


def made(text: str, *args: str) -> tuple[Any, str]:
    """The scenario, and what was said."""
    done = quick("import", "-", *args, stdin=text)
    assert done.status == 0, done
    return load_scenario(done.out, "made"), done.err


@pytest.mark.parametrize(
    ("line", "vendor"), [*((line, Vendor.AMD) for line in AMD), *((line, Vendor.INTEL) for line in INTEL)]
)
def test_the_vendor_is_read_where_a_dump_tells(line: str, vendor: Vendor) -> None:
    scenario, said = made(f"{LOG}{line}\n{line}\n")
    assert scenario.vm.vendor is vendor
    assert "host.vendor" not in said


@pytest.mark.parametrize("line", NEITHER)
def test_where_none_tells_it_is_said(line: str) -> None:
    scenario, said = made(f"{LOG}{line}\n")
    assert scenario.vm.vendor is Vendor.INTEL
    assert "host.vendor: no dump tells; taken as intel (--vendor)" in said
    assert "host.vendor" not in made(LOG, "--vendor", "amd")[1]


def test_two_vendors_are_two_machines() -> None:
    done = quick("import", "-", stdin=f"{LOG}{AMD[0]}\n{INTEL[0]}\n")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("-:15:")
    assert "the host's vendor is intel here, amd at -:14" in done.err
    assert made(f"{LOG}{AMD[0]}\n{INTEL[0]}\n".replace(INTEL[0], ""), "--vendor", "intel")[0].vm.vendor is Vendor.INTEL


def test_cpuinfo_alone_tells_the_vendor() -> None:
    assert made(f"processor\t: 0\n{AMD[-1]}\n")[0].vm.vendor is Vendor.AMD


def test_the_kernel_of_a_guest() -> None:
    """Of a guest's log, where it is one boot's: a host's kernel is no guest's."""
    scenario, said = made(LOG)
    assert scenario.vm.guest_release == (6, 8)
    assert "this is the log of Linux 6.8.0-45-generic" in said
    assert made(LOG.replace("Hypervisor detected: KVM", "x"))[0].vm.guest_release is None
    assert made(LOG + "[    0.000000] Linux version 6.9.0 (x)\n")[0].vm.guest_release is None
    scenario, said = made(LOG.replace("6.8.0-45", "99.8.0"))
    assert scenario.vm.guest_release is None
    assert "no guest.kernel: Linux 99.8 is newer than the newest known release" in said


def test_what_has_no_slots_says_what_to_add() -> None:
    assert "no dump has memory slots: add QEMU's `info mtree -f`; `mtcalc mtrr` works" in made(LOG)[1]
    assert "no dump has memory slots" not in made(MTREE, "--default-type", "WB")[1]


ROW = "  00000000{0}000-00000000{0}fff (prio 0, ram): {1}{2}\n"
VIEW = 'FlatView #{0}\n AS "{1}", root: {2}\n Root memory region: {2}\n'


def test_the_view_without_a_mark_is_named() -> None:
    smram = VIEW.format(1, "KVM-SMRAM", "mem-container-smram") + ROW.format("00a0", "ram", "")
    own = VIEW.format(0, "memory", "system")
    _, said = made(own + ROW.format("0000", "ram", " KVM") + "\n" + smram, "--default-type", "WB")
    assert 'no row of this FlatView (AS "KVM-SMRAM") is marked KVM, and rows of others are' in " ".join(said.split())
    _, said = made(own + ROW.format("0000", "ram", ""), "--default-type", "WB")
    assert "no row is marked KVM (TCG, or an older QEMU)" in said


@pytest.mark.parametrize("name", ["0000:3b:00.0 BAR 0 mmaps[0]", "0000:01:00.1 BAR 2"])
def test_the_bars_of_vfio_are_said(name: str) -> None:
    text = VIEW.format(0, "memory", "system") + ROW.format("e000", name, " KVM").replace("ram)", "ramd)")
    said = " ".join(made(text, "--default-type", "WB")[1].split())
    assert "a VFIO BAR: --noncoherent-dma unless the host's IOMMU enforces snooping" in said
    assert "VFIO" not in made(text, "--default-type", "WB", "--noncoherent-dma")[1]


@pytest.mark.parametrize("blanks", ["\u00a0", "\u00a0 ", " \u00a0", "&nbsp;"])
def test_blanks_that_do_not_break(blanks: str) -> None:
    line = "reg00: base=0x0c0000000 ( 3072MB), size= 1024MB, count=1: uncachable\n"
    plain = made(line, "--default-type", "WB")[0]
    for place in ("), ", "MB, ", ": base", "1: "):
        changed = line.replace(place, place.replace(" ", blanks))
        assert made(changed, "--default-type", "WB")[0].vm == plain.vm, place
