# SPDX-License-Identifier: GPL-2.0-only
"""KVM's limit of slots, and files that are no scenario: answered or refused without filling memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from support.program import DATA, PROGRAM, environment

SLOTS = 32764


class Measured(NamedTuple):
    """How a call ended, and the most memory it had in MiB."""

    status: int
    out: str
    err: str
    peak: int


# A process of its own between: what a child is said to have used counts the one it was forked from.
MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as peak:
    peak.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10))
sys.exit(status)
"""


def measured(tmp_path: Path, *args: str, stdin: Path = Path(os.devnull)) -> Measured:
    """The real program, with what it used."""
    peak = tmp_path / "peak"
    with stdin.open("rb") as source:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(peak), *PROGRAM, *args],
            stdin=source,
            capture_output=True,
            text=True,
            env=environment(),
            cwd=DATA,
            check=False,
        )
    return Measured(done.returncode, done.stdout, done.stderr, int(peak.read_text()))


def test_as_many_slots_as_kvm_has(tmp_path: Path) -> None:
    """32,764 slots with 8 MTRRs load and print; each is a range of its own, the MTRRs' edges cut some."""
    scenario = tmp_path / "many.yaml"
    pairs = [
        f"      - {{base: {n << 31:#x}, size: 2G, type: {kind}}}" for n, kind in enumerate(("WC", "WT", "WP", "UC") * 2)
    ]
    slots = [f"  - {{name: s{n}, gpa: {n * 0x200000:#x}, size: 1M, flags: []}}" for n in range(SLOTS)]
    scenario.write_text(
        "\n".join(["rules: v6.7", "vm: {noncoherent_dma: true}", "guest:", "  mtrr:", "    variable:", *pairs])
        + "\n".join(["", "memslots:", *slots, ""])
    )
    done = measured(tmp_path, "eval", str(scenario), "-o", "csv")
    assert (done.status, done.err) == (0, "")
    rows = [line.split(",") for line in done.out.splitlines()][1:]
    assert [row[3] for row in rows] == [f"s{n}" for n in range(SLOTS)]
    kinds = ["WC", "WT", "WP", "UC"] * 2 + ["WB"] * 100
    assert [row[7] for row in rows] == [kinds[n * 0x200000 >> 31] for n in range(SLOTS)]
    assert {row[4] for row in rows} == {"4K"}
    assert done.peak < 500


def test_a_large_file_that_is_no_scenario(tmp_path: Path) -> None:
    """A 100 MB file that is no scenario is refused quickly and without filling memory."""
    big = tmp_path / "disk.img"
    with big.open("wb") as file:
        file.truncate(100 << 20)  # no blocks, all zeros
    done = measured(tmp_path, "eval", str(big))
    assert done[:3] == (2, "", f"mtcalc: {big}: too large (at most 16 MiB)\n")
    assert done.peak < 150
    piped = measured(tmp_path, "eval", "-", stdin=big)
    assert piped[:3] == (2, "", "mtcalc: -: too large (at most 16 MiB)\n")
    assert piped.peak < 150


def test_brackets_without_end(tmp_path: Path) -> None:
    """No depth crashes it, no list of wrong things fills memory."""
    deep = tmp_path / "deep.yaml"
    deep.write_text("[" * 100_000)
    done = measured(tmp_path, "eval", str(deep))
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"{deep}:1:")
    assert len(done.err.splitlines()) == 3
    wide = tmp_path / "wide.json"
    wide.write_text(json.dumps({"memslots": [{"gpa": "x"}] * 50_000}))
    done = measured(tmp_path, "eval", str(wide))
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"{wide}:1:")
    assert max(map(len, done.err.splitlines())) < 400
    assert done.peak < 500
