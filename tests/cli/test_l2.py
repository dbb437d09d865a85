# SPDX-License-Identifier: GPL-2.0-only
"""explain --l2 as users run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.program import quick


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--l2-pat linux", "--l2-pat without --l2"),
        ("--l2 --request wc", "--l2 and --request exclude each other"),
        ("--l2 --private", "--l2 and --private exclude each other"),
        ("--l2 --no-paging --l2-pat reset", "--no-paging and --l2-pat exclude each other"),
        ("--l2 --l2-pat 2", "#GP: entry 0 of IA32_PAT"),
        ("--l2 --l2-pat nonsense", "'nonsense' is no PAT (linux, reset, eight types"),
        ("--l2 golden/td.yaml --gpa 0", "--l2: nothing is known of guests inside a TD"),
        ("--l2 golden/vfio.yaml", "FILE without --gpa"),
        ("--l2 golden/vfio.yaml --gpa 0 --cd", "FILE says what the flags would"),
    ],
)
def test_what_makes_no_sense_is_refused(args: str, message: str) -> None:
    done = quick("explain", *args.split())
    assert (done.status, done.out) == (2, "")
    assert message in " ".join(done.err.split())


@pytest.mark.parametrize("pat", ["reset", "0x0007040600070406", "WB WT UC- UC WB WT UC- UC"])
def test_l2s_pat_is_read_as_pats_are_elsewhere(pat: str) -> None:
    found = quick("explain", "--l2", "--vendor", "amd", "--l2-pat", pat, "--pat", "wt", "-o", "json").json
    assert found["l2"] == {
        "pat_from": "l1",
        "register": "0x0407050600070106",
        "own_register": "0x0007040600070406",
        "pat": "WC",
        "pat_index": 1,
        "effective": "WC+",
        "quirks": {"NESTED_SVM_SHARED_PAT": True},
    }
    assert (found["answer"]["pat"], found["answer"]["effective"]) == ("WT", "WC+")
    assert "l2" not in quick("explain", "--vendor", "amd", "--pat", "wt", "-o", "json").json


def test_l1s_pat_and_quirk_are_the_scenarios(tmp_path: Path) -> None:
    """L1 is a guest with the reset value, L2 a Linux: its WC, entry 1, is L1's WT while the quirk is in force."""
    path = tmp_path / "vm.yaml"
    for quirks, wanted in (("[]", ("l1", "WT", "WT")), ("[NESTED_SVM_SHARED_PAT]", ("vmcb12", "WC", "WC+"))):
        path.write_text(
            f"rules: 7.3\nhost: {{vendor: amd}}\nvm: {{disabled_quirks: {quirks}}}\nguest: {{pat: reset}}\n"
            "memslots: [{gpa: 0, size: 1G}]\n"
        )
        call = ("explain", "--l2", str(path), "--gpa", "0x1000", "--l2-pat", "linux", "--pat", "wc", "-o", "json")
        found = quick(*call).json["l2"]
        assert (found["pat_from"], found["pat"], found["effective"]) == wanted


def test_without_paging_in_l1_there_is_no_l2(tmp_path: Path) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("guest: {cr0: {pg: false}}\nmemslots: [{gpa: 0, size: 1G}]\n")
    done = quick("explain", "--l2", str(path), "--gpa", "0")
    assert (done.status, done.out) == (2, "")
    assert "CR0.PG of the guest is 0" in " ".join(done.err.split())
