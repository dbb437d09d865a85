# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc check as a program: what its output says besides the expectations."""

from __future__ import annotations

import json
from pathlib import Path

from support.program import quick

SLOTS = """\
host: {maxphyaddr: 36}
vm: {disabled_quirks: [SLOT_ZAP_ALL]}
memslots:
  - {id: 0, name: low, gpa: 0, size: 4K}
  - {id: 32, name: many, gpa: 8K, size: 4K, flags: [NON_COHERENT_DMA]}
  - {id: 33, name: high, gpa: 0x1000000000, size: 4K}
"""


def notes(folder: Path, release: str) -> list[str]:
    """The notes of the JSON, which are those of the text; neither changes the status."""
    (folder / "vm.yaml").write_text(SLOTS)
    done = quick("check", "vm.yaml", "-r", release, "-o", "json", cwd=folder)
    assert (done.status, done.err) == (0, "")
    found: list[str] = json.loads(done.out)["notes"]
    text = " ".join(quick("check", "vm.yaml", "-r", release, cwd=folder).out.split())
    assert all(note in text for note in found)
    return found


def test_what_a_kernel_refuses_of_slots_is_said_slot_by_slot(tmp_path: Path) -> None:
    refuses = "this kernel refuses the slot (EINVAL):"
    above = "last page 0x1000000000 is above the host's maxphyaddr 36 (end at or below 0x1000000000)"
    assert notes(tmp_path, "3.8") == [
        "this kernel has no quirk SLOT_ZAP_ALL (first in 6.12): disabling it does nothing here",
        "many: this kernel refuses slot flag NON_COHERENT_DMA (EINVAL)",
        f"many: {refuses} slot id 32 (0 to 31)",
        f"high: {refuses} slot id 33 (0 to 31)",
    ]
    assert notes(tmp_path, "5.18")[1:] == [
        "many: this kernel refuses slot flag NON_COHERENT_DMA (EINVAL)",
        f"high: {refuses} {above}",
    ]


def test_they_are_those_of_eval(tmp_path: Path) -> None:
    for release in ("3.6", "3.8", "5.18", "6.12"):
        found = notes(tmp_path, release)
        evaluated = " ".join(quick("eval", "vm.yaml", "-r", release, cwd=tmp_path).out.split())
        assert found
        assert all(note in evaluated for note in found)
