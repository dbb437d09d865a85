# SPDX-License-Identifier: GPL-2.0-only
"""What people asked in public, as scenarios of tests/data/reports, with the answers known to be right on Intel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.program import DATA, quick

REPORTS = DATA / "reports"
HOSTMEM = REPORTS / "01-edk2-13129-hostmem" / "scenario.yaml"
LOOKING_GLASS = REPORTS / "16-vfio-lg-mtree" / "scenario.yaml"
PATS = ("UC", "UC-", "WC", "WT", "WP", "WB")
BLOB = "0x800000000"


def results(*args: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = quick("eval", *args, "-o", "json").json["results"]
    return found


def variant(tmp_path: Path, **changes: str) -> str:
    """The hostmem scenario with its vm line changed, and what it expects behind it."""
    line = "vm: {noncoherent_dma: false}"
    text = HOSTMEM.read_text()
    assert text.count(line) == 1
    path = tmp_path / "scenario.yaml"
    path.write_text(text.replace(line, changes["vm"]) + changes.get("expect", ""))
    return str(path)


@pytest.mark.parametrize("ref", ["5.15", "6.1", "6.10", "6.11", "6.12.80", "6.17", "latest"])
def test_hostmem_under_uc_mtrrs_is_wb_all_the_same(ref: str) -> None:
    """OVMF's UC range over the 64-bit window makes nothing uncached without non-coherent DMA."""
    for answer in results(str(HOSTMEM), "--ranges", "-r", ref):
        assert answer["ept"]["mask"] == "0x70"
        assert set(answer["effective"].values()) == {"WB"}
    assert [(a["pat"], a["effective"]) for a in results(str(HOSTMEM), "-r", ref)] == [
        ("WB", "WB"),
        ("UC-", "WB"),
        ("WC", "WB"),
    ]


@pytest.mark.parametrize(
    ("ref", "vm"),
    [
        ("6.11", "vm: {noncoherent_dma: true}"),
        ("6.17", "vm: {noncoherent_dma: true}"),
        ("6.17", "vm: {disabled_quirks: [IGNORE_GUEST_PAT]}"),
        ("latest", "vm: {disabled_quirks: [KVM_X86_QUIRK_IGNORE_GUEST_PAT]}"),
    ],
)
def test_hostmem_where_the_guests_pat_is_honoured(tmp_path: Path, ref: str, vm: str) -> None:
    """Then the UC- that the guest's kernel writes over a UC MTRR counts, though KVM does not look at the MTRR."""
    path = variant(tmp_path, vm=vm)
    answers = results(path, "-r", ref)
    assert {a["ept"]["mask"] for a in answers} == {"0x30"}
    assert [(a["pat"], a["effective"]) for a in answers] == [("WB", "WB"), ("UC-", "UC"), ("WC", "WC")]
    step = next(
        step
        for step in quick("explain", path, "--gpa", BLOB, "--pat", "uc-", "-r", ref, "-o", "json").json["steps"]
        if step["step"] == "guest MTRR type"
    )
    assert step["result"] == "not asked"


def test_hostmem_as_expectations(tmp_path: Path) -> None:
    wanted = "".join(
        f"  - {{gpa: {BLOB}, pat: {pat}, effective: {kind}, ept: 0x30}}\n"
        for pat, kind in (("WB", "WB"), ("UC-", "UC"), ("WC", "WC"))
    )
    path = variant(tmp_path, vm="vm: {noncoherent_dma: true}", expect=f"expect:\n{wanted}")
    assert quick("check", path).status == 0
    path = variant(tmp_path, vm="vm: {noncoherent_dma: false}", expect=f"expect:\n{wanted}")
    assert quick("check", path).status == 1


def test_the_slots_of_a_vm_with_a_gpu_and_looking_glass() -> None:
    """BARs are UC with the guest's WC left, shared memory on kvmfr is RAM: WB, whatever the guest's PAT."""
    answers = {a["slot"]: a for a in results(str(LOOKING_GLASS))}
    assert len(answers) == 15
    bars = {name for name in answers if name.startswith(("gpu-bar", "audio-bar"))}
    assert len(bars) == 6
    for name, answer in answers.items():
        assert answer["ept"]["mask"] == ("0x00" if name in bars else "0x70")
        for pat in PATS:
            wanted = ("WC" if pat == "WC" else "UC") if name in bars else "WB"
            assert answer["effective"][pat] == wanted
    assert (answers["gpu-bar0-c"]["gpa"], answers["gpu-bar0-c"]["end"]) == ("0x80b91000", "0x83ffffff")
    assert answers["looking-glass"]["rule"]["id"] == "coherent"


@pytest.mark.parametrize("address", ["0xfed40080", "0xfed45000"])
def test_what_is_less_than_a_page_is_no_slot(address: str) -> None:
    (answer,) = results(str(LOOKING_GLASS), "--gpa", address)
    assert (answer["slot"], answer["ept"]) == (None, None)
    assert any("exits to be emulated" in note for note in answer["notes"])


def hazards(*args: str, status: int = 0) -> set[tuple[str, str | None]]:
    done = quick("check", *args, "-o", "json")
    assert (done.status, done.err) == (status, "")
    (one,) = json.loads(done.out)
    return {(hazard["code"], hazard["slot"]) for hazard in one["hazards"]}


def test_what_check_says_of_hostmem_under_uc_mtrrs(tmp_path: Path) -> None:
    """WB here, whatever firmware wrote; uncached with the quirk off, with non-coherent DMA, and on AMD."""
    here = hazards(str(HOSTMEM))
    assert ("MT019", "hostmem-blob") in here
    assert ("MT018", "hostmem-blob") not in here
    for vm in ("vm: {noncoherent_dma: true}", "vm: {disabled_quirks: [IGNORE_GUEST_PAT]}"):
        found = hazards(variant(tmp_path, vm=vm))
        assert {("MT018", "hostmem-blob"), ("MT011", "hostmem-blob")} <= found
        assert ("MT019", "hostmem-blob") not in found
    # A VMM that cannot turn the quirk off keeps WB: what the driver asked for beside WB it does not get.
    assert ("MT008", "hostmem-blob") in hazards(variant(tmp_path, vm="vm: {vmm: qemu-10.2}"))
    assert ("MT008", "hostmem-blob") not in hazards(variant(tmp_path, vm="vm: {vmm: qemu-11.0}"))
    assert ("MT008", "hostmem-blob") not in hazards(variant(tmp_path, vm="vm: {vmm: qemu-10.2, noncoherent_dma: true}"))


def test_a_vm_with_a_gpu_whose_dma_snoops_has_no_hazards() -> None:
    assert hazards(str(LOOKING_GLASS)) == set()


def test_a_guest_without_wc_in_its_pat(tmp_path: Path) -> None:
    """No MTRR in CPUID, PAT skipped: nobody can have the WC that the driver asks for."""
    text = """\
rules: "5.8"
vm: {noncoherent_dma: true}
guest: {cpuid_mtrr: false, pat: reset, mtrr: {enabled: true, default: WB}}
memslots:
  - {name: ram, gpa: 0, size: 1G}
  - {name: bar, gpa: 0xe0000000, size: 16M, backing: mmio}
pages:
  - {gpa: 0xe0000000, pat: WC}
"""
    path = tmp_path / "vm.yaml"
    path.write_text(text)
    assert ("MT033", "bar") in hazards(str(path))
    path.write_text(text.replace("pat: reset", "pat: linux"))
    assert ("MT033", "bar") not in hazards(str(path))
