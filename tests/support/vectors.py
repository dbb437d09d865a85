# SPDX-License-Identifier: GPL-2.0-only
"""Vectors recorded on real code, read once."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from mtcalc.x86.mtrr import Mtrrs, decode_registers
from support.models import Registers

DATA = Path(__file__).parent.parent / "data" / "vectors"


class MtrrVector:
    """One register state of mtrr.jsonl with its recorded answers."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.id: str = record["id"]
        self.registers = Registers(
            def_type=int(record["def_type"], 16),
            fixed={int(number, 16): int(value, 16) for number, value in record["fixed"].items()},
            variable=[(int(pair["base"], 16), int(pair["mask"], 16)) for pair in record["variable"]],
            maxphyaddr=record["maxphyaddr"],
            cpuid_mtrr=record["cpuid_mtrr"],
        )
        self.irregular: bool = record["irregular"]
        self.lookups = [(int(row["gpa"], 16), str(row["kvm"]), str(row["sdm"])) for row in record["lookups"]]
        self.blocks = [(int(row["gpa"], 16), str(row["level"]), bool(row["consistent"])) for row in record["hugepages"]]
        self.levels = [(int(row["gpa"], 16), str(row["level"])) for row in record["max_level"]]

    @property
    def mtrrs(self) -> Mtrrs:
        """The state as mtcalc decodes it."""
        return decode_registers(self.registers.msrs(), self.registers.maxphyaddr, len(self.registers.variable))


@cache
def mtrr_vectors() -> tuple[MtrrVector, ...]:
    """All 150 register states."""
    with gzip.open(DATA / "mtrr.jsonl.gz", "rt") as lines:
        return tuple(MtrrVector(json.loads(line)) for line in lines)


@cache
def json_vector(name: str) -> Any:
    """A whole JSON file."""
    return json.loads((DATA / name).read_text())


@cache
def json_lines(name: str) -> tuple[dict[str, Any], ...]:
    """A file of one JSON object a line."""
    return tuple(json.loads(line) for line in (DATA / name).read_text().splitlines())


def live_entries() -> tuple[dict[str, Any], ...]:
    """The leaf entries that KVM itself wrote: 6.1, 6.12, and 6.1 with the flag."""
    return json_lines("live.jsonl")


def sized_live_entries() -> tuple[dict[str, Any], ...]:
    """Those of 5.10 and 7.3, whose scenarios say host addresses and page sizes."""
    return json_lines("live2.jsonl")
