# SPDX-License-Identifier: GPL-2.0-only
"""A difference as plain data: rows and single changes with the names of the interface."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mtcalc.analysis.diff import Change, Diff, DiffRow, by_pat, outcome_bytes
from mtcalc.rules.inputs import Input, Value
from mtcalc.rules.rule import Outcome
from mtcalc.x86.ept import split_mask
from mtcalc.x86.memtype import PAT_TYPES, MemType, memtype_name


def mmio_record(row: DiffRow) -> dict[str, Any]:
    """One row of the host-MMIO test as JSON has it; a host type is a list."""
    given: dict[str, Any] = {}
    for item, values in row.when.items():
        _put(given, item, [str(value) for value in values] if isinstance(values[0], MemType) else values[0])
    return {
        "inputs": given,
        "before": {"mmio": bool(row.before.const)},
        "after": {"mmio": bool(row.after.const)},
    }


@lru_cache(maxsize=256)
def byte_record(byte: int) -> dict[str, Any]:
    """An EPT byte as JSON has it: memtype, ipat, mask and the effective type for each PAT type."""
    encoding, ipat = split_mask(byte)
    types = by_pat(byte)
    return {
        "memtype": memtype_name(encoding),
        "ipat": int(ipat),
        "mask": f"{byte:#04x}",
        "effective": {str(pat): None if kind is None else str(kind) for pat, kind in types.items()},
    }


def change_record(found: Diff, change: Change) -> dict[str, Any]:
    """One changed state as JSON has it; an input that neither rule set reads is absent."""
    record: dict[str, Any] = {}
    for item, value in zip(found.inputs, change.values, strict=True):
        plain = str(value) if isinstance(value, MemType) else value
        if item.name == "slot_flag":
            flags = record.setdefault("slot_flags", [])
            if value:
                flags.append(item.arg)
        else:
            _put(record, item, plain)
    return {"inputs": record, "before": byte_record(change.before), "after": byte_record(change.after)}


def row_record(found: Diff, row: DiffRow) -> dict[str, Any]:
    """One row as JSON has it.

    In "when", memory types are lists; "slot_flags" are the flags that must be set, "slot_flags_clear" those
    that must be clear. An outcome that is the guest's type has no "mask", and its "effective" types are lists
    where they depend on that type.
    """
    record: dict[str, Any] = {}
    for item, values in row.when.items():
        if item.name == "slot_flag":
            flags = record.setdefault("slot_flags", [])
            clear = record.setdefault("slot_flags_clear", [])
            (flags if values[0] else clear).append(item.arg)
        elif isinstance(values[0], MemType):
            _put(record, item, [str(value) for value in values])
        else:
            _put(record, item, values[0])
    return {
        "when": record,
        "before": outcome_record(row.before, row.when),
        "after": outcome_record(row.after, row.when),
        "count": row.states,
    }


def outcome_record(outcome: Outcome, when: dict[Input, tuple[Value, ...]]) -> dict[str, Any]:
    """A row's outcome: a byte, or the memory type that it takes from an input."""
    if outcome.memtype_of is None:
        return byte_record(outcome.const)
    records = [byte_record(byte) for byte in outcome_bytes(outcome, when)]
    effective: dict[str, Any] = {}
    for pat in map(str, PAT_TYPES):
        types = list(dict.fromkeys(record["effective"][pat] for record in records))
        effective[pat] = types[0] if len(types) == 1 else types
    ipats = list(dict.fromkeys(record["ipat"] for record in records))
    return {
        "memtype": str(outcome.memtype_of),
        "ipat": ipats[0] if len(ipats) == 1 else ipats,
        "mask": None,
        "effective": effective,
    }


def _put(record: dict[str, Any], item: Input, value: Any) -> None:
    if item.arg:
        record.setdefault(item.kind.key, {})[item.arg] = value
    else:
        record[item.kind.key] = value
