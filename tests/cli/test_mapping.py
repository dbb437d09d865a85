# SPDX-License-Identifier: GPL-2.0-only
"""Mapping level and guest MTRR type by release, as every command that shows them says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.program import DATA, quick
from support.vectors import sized_live_entries

SEABIOS = "mapping/seabios-no-dma.yaml"


@pytest.mark.parametrize("ref", ["4.2", "4.4", "4.19", "5.4", "5.10.262", "5.15", "5.19"])
def test_mtrrs_limit_the_level_without_noncoherent_dma_up_to_5_19(ref: str) -> None:
    done = quick("check", SEABIOS, "-r", ref)
    assert (done.status, done.err) == (0, "")
    assert "3 of 3 expectations hold" in done.out


@pytest.mark.parametrize("ref", ["3.10", "4.1", "6.0", "6.1", "6.10", "6.11", "7.3", "slot-flag"])
def test_before_4_2_and_from_6_0_on_they_do_not(ref: str) -> None:
    """From 6.0 to 6.10 with non-coherent DMA alone, and never before and after."""
    done = quick("check", SEABIOS, "-r", ref, "-o", "json")
    assert done.status == 1
    levels = [answer["level"] for answer in quick("eval", SEABIOS, "-r", ref, "-o", "json").json["results"]]
    assert set(levels) == {"1G"}


@pytest.mark.parametrize(
    ("ref", "level"), [("5.15", "4K"), ("6.8", "4K"), ("6.11", "4K"), ("6.12", "1G"), ("6.14", "1G")]
)
def test_the_level_of_a_gpus_bar(ref: str, level: str) -> None:
    """VFIO maps BARs huge from 6.12 on (f9e54c3a2f5b), and KVM from 6.0 on follows."""
    found = quick("eval", "mapping/gpu-bar.yaml", "-r", ref, "-o", "json").json["results"]
    assert [answer["level"] for answer in found] == ["1G", level]
    assert any("BAR taken as" in note for note in found[1]["notes"]) is (ref != "5.15")


@pytest.mark.parametrize("run", sorted({entry["run"] for entry in sized_live_entries()}))
def test_eval_mtrr_explain_and_check_agree(run: str) -> None:
    """On type and level of every page that KVM mapped in a recorded run."""
    path = f"live/{run}.yaml"
    entries = {entry["gpa"]: entry for entry in sized_live_entries() if entry["run"] == run}
    lines = "".join(f"{gpa}\n" for gpa in entries)
    answers = [
        json.loads(line) for line in quick("eval", path, "--gpa", "-", "-o", "jsonl", stdin=lines).out.splitlines()
    ]
    seen = quick("mtrr", path, "--gpa", "-", "-o", "json", stdin=lines).json
    expects: list[dict[str, Any]] = []
    for answer, row, entry in zip(answers, seen, entries.values(), strict=True):
        assert int(answer["ept"]["mask"], 16) == int(entry["mask"], 16)
        assert answer["level"] == row["level"] == {1: "4K", 2: "2M", 3: "1G"}[entry["level"]]
        assert answer["inputs"]["guest_mtrr"] == row["kvm"]
        mtrr = {} if row["kvm"] is None else {"guest_mtrr": row["kvm"]}
        expects.append({"gpa": answer["gpa"], "level": row["level"], "ept": entry["mask"], **mtrr})
    scenario = (DATA / path).read_text() + f"expect: {json.dumps(expects)}\n"
    # Some of these VMs were given the host's /dev/mem on purpose: device memory in caches.
    done = quick("check", "-", "--ignore", "device-cached", stdin=scenario)
    assert (done.status, done.err) == (0, ""), done.out
    gpa = answers[0]["gpa"]
    step = quick("explain", path, "--gpa", gpa, "-o", "json").json["steps"][-1]
    assert (step["step"], step["result"]) == ("mapping level", answers[0]["level"])


def test_an_unknown_type_is_shown_as_unknown_everywhere() -> None:
    """Never as a type: eval, mtrr, explain, check and the streams."""
    path, at = "mapping/garbage.yaml", ("-r", "4.3", "--gpa")
    (answer,) = quick("eval", path, *at, "0x1000", "-o", "json").json["results"]
    assert (answer["inputs"]["guest_mtrr"], answer["ept"], answer["effective"]) == ("unknown", None, None)
    assert quick("mtrr", path, *at, "0x1000", "-o", "json").json[0]["kvm"] == "unknown"
    for form, text in (("plain", "4K  ?    ?    ?"), ("csv", "4K,no,,unknown,guest-mtrr,,,,"), ("jsonl", '"unknown"')):
        assert text in quick("eval", path, *at, "-", "-o", form, stdin="0x1000\n").out
        assert "unknown" in quick("mtrr", path, *at, "-", "-o", form, stdin="0x1000\n").out
    assert "EPT byte: unknown" in quick("explain", path, *at, "0x1000").out
    wanted = (DATA / path).read_text() + "expect: [{gpa: 0x1000, guest_mtrr: WB, ept: 0x30}]\n"
    done = quick("check", "-", "-r", "4.3", stdin=wanted)
    assert done.status == 1
    said = " ".join(done.out.split())
    assert "ept: wanted 0x30 (WB), got unknown; guest_mtrr: wanted WB, got unknown" in said
    assert quick("check", "-", "-r", "4.4", stdin=wanted).status == 0


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("0x0407050600070106", "Linux from 4.14 on"),
        ("0x0407010600070106", "Linux 4.2 to 4.13"),
        ("0x0007010600070106", "Linux up to 4.1 (on old Intel CPUs: every release)"),
        ("0x0007040600070406", "the value at reset"),
        ("0x0606060606060606", None),
    ],
)
def test_decode_pat_names_what_linux_writes(value: str, name: str | None) -> None:
    assert quick("decode", "pat", value, "-o", "json").json["name"] == name


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ("backing: {page_size: 3M}", "'3M' is no page size (one of 4K, 2M, 1G)"),
        ("backing: {page_size: 8K}", "'8K' is no page size (one of 4K, 2M, 1G)"),
        ("backing: {page_size: null}", "no value here"),
        ("device: 1", "'1' here (true or false, without quotes)"),
        ("device: null", "no value here (true or false, without quotes)"),
    ],
)
def test_bad_values_of_the_level_keys(keys: str, where: str) -> None:
    done = quick("eval", "-", stdin=f"memslots: [{{gpa: 0, size: 1G, {keys}}}]\n")
    assert (done.status, done.out) == (2, "")
    assert where in done.err
