# SPDX-License-Identifier: GPL-2.0-only
"""Register values in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mtcalc.output.document import Content, Document, Table, memtype_cell
from mtcalc.text.numbers import format_size
from mtcalc.x86.memtype import memtype_name
from mtcalc.x86.mtrr import (
    FIXED_REGISTERS,
    MSR_CAP,
    MSR_DEF_TYPE,
    VariableRange,
    is_regular,
    register_name,
    width_of_mask,
)
from mtcalc.x86.pat import LINUX_4_1_PAT, LINUX_4_2_PAT, LINUX_PAT, RESET_PAT, Pat

PAT_NAMES = {
    RESET_PAT: "the value at reset",
    LINUX_PAT: "Linux from 4.14 on",
    LINUX_4_2_PAT: "Linux 4.2 to 4.13",
    LINUX_4_1_PAT: "Linux up to 4.1 (on old Intel CPUs: every release)",
}


def pat_document(pat: Pat) -> Document:
    """The eight entries, with the bits of a page that select each."""
    rows: list[list[Content]] = [
        [str(i), str(i >> 2), str(i >> 1 & 1), str(i & 1), memtype_cell(kind)] for i, kind in enumerate(pat.entries)
    ]
    known = PAT_NAMES.get(pat)
    title = f"IA32_PAT {pat.value:#018x}" + (f": {known}" if known else "")
    return Document([title, Table(("ENTRY", "PAT", "PCD", "PWT", "TYPE"), rows)])


def pat_record(pat: Pat) -> dict[str, Any]:
    """A PAT as plain data."""
    return {"value": f"{pat.value:#018x}", "entries": [str(kind) for kind in pat.entries], "name": PAT_NAMES.get(pat)}


def pat_rows(pat: Pat) -> Iterator[list[str]]:
    """Header and a row an entry."""
    yield ["entry", "type"]
    for i, kind in enumerate(pat.entries):
        yield [str(i), str(kind)]


def register_words(msr: int, value: int, values: dict[int, int], maxphyaddr: int) -> list[str]:
    """One MTRR register in words; a mask is read with its base where both are in `values`."""
    if msr == MSR_CAP:
        on = [name for bit, name in ((8, "fixed ranges"), (10, "WC"), (11, "SMRR")) if value >> bit & 1]
        return [f"{value & 0xFF} variable pairs; supports {', '.join(on) or 'nothing more'}"]
    if msr == MSR_DEF_TYPE:
        state = "enabled" if value >> 11 & 1 else "disabled"
        fixed = "enabled" if value >> 10 & 1 else "disabled"
        return [f"MTRRs {state} (E), fixed ranges {fixed} (FE), default type {memtype_name(value & 0xFF)}"]
    for register, start, size in FIXED_REGISTERS:
        if msr == register:
            return list(_fixed_words(value, start, size))
    if msr & 1:
        return list(_mask_words(value, values.get(msr - 1), maxphyaddr))
    return [f"base {value & ~0xFFF:#x}, type {memtype_name(value & 0xFF)}"]


def _fixed_words(value: int, start: int, size: int) -> Iterator[str]:
    first = 0
    types = [value >> 8 * k & 0xFF for k in range(8)]
    for k in range(1, 9):
        if k == 8 or types[k] != types[first]:
            yield f"{start + size * first:#x}-{start + size * k - 1:#x} {memtype_name(types[first])}"
            first = k


def _mask_words(value: int, base: int | None, maxphyaddr: int) -> Iterator[str]:
    yield _range_words(value, base, maxphyaddr)
    width = width_of_mask(value) if VariableRange(0, value).valid else None
    if width not in (None, maxphyaddr):
        yield f"read for {maxphyaddr} physical address bits; the mask's top bit says {width}: --maxphyaddr {width}"


def _range_words(value: int, base: int | None, maxphyaddr: int) -> str:
    pair = VariableRange(base or 0, value)
    if not pair.valid:
        return "not valid (V is clear): the pair is off"
    mask = pair.address_mask(maxphyaddr)
    if not is_regular(VariableRange(0, value), maxphyaddr):
        return f"valid; mask {mask:#x} has holes: no single range by the manual"
    size = format_size((1 << maxphyaddr) - mask)
    if base is None:
        return f"valid; a range of {size}, for {maxphyaddr} physical address bits"
    if pair.address >> maxphyaddr:
        return f"valid; size {size}, and the base has bits at or above {maxphyaddr}"
    if not is_regular(pair, maxphyaddr):
        return f"valid; size {size}, and the base has bits outside the mask"
    end = pair.address + (1 << maxphyaddr) - mask - 1
    return f"valid; {pair.address:#x}-{end:#x}, {size}, {memtype_name(pair.base & 0xFF)}"


def mtrr_document(values: dict[int, int], problems: dict[int, str], maxphyaddr: int) -> Document:
    """The registers in the order given, then what is wrong with them."""
    rows: list[list[Content]] = []
    for msr, value in values.items():
        words = register_words(msr, value, values, maxphyaddr)
        rows += [
            [f"{msr:#x}" if not i else "", register_name(msr) if not i else "", f"{value:#x}" if not i else "", word]
            for i, word in enumerate(words)
        ]
    return Document([Table(("MSR", "NAME", "VALUE", "MEANS"), rows)], list(problems.values()))


def mtrr_record(values: dict[int, int], problems: dict[int, str], maxphyaddr: int) -> list[dict[str, Any]]:
    """The registers as plain data."""
    return [
        {
            "msr": hex(msr),
            "name": register_name(msr),
            "value": hex(value),
            "text": register_words(msr, value, values, maxphyaddr),
            "error": problems.get(msr),
        }
        for msr, value in values.items()
    ]


def mtrr_rows(values: dict[int, int], problems: dict[int, str], maxphyaddr: int) -> Iterator[list[str]]:
    """Header and a row a register."""
    yield ["msr", "name", "value", "text", "error"]
    for record in mtrr_record(values, problems, maxphyaddr):
        text = "; ".join(record["text"])
        yield [record["msr"], record["name"], record["value"], text, record["error"] or ""]
