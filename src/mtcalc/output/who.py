# SPDX-License-Identifier: GPL-2.0-only
"""Who honours the guest's PAT, as a document and plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mtcalc.analysis.who import Honours, WhoRow
from mtcalc.output.document import STRONG, Cell, Content, Document, Table, texts

_LEGEND = (
    "HONOURED: for RAM, with guest CR0.CD clear",
    "with non-coherent DMA up to 6.10 the guest's MTRR type counts besides, as the EPT type",
)


def who_document(rows: Sequence[WhoRow]) -> Document:
    """A row a vendor, kernel, VMM and slot flag."""
    table: list[list[Content]] = [
        [row.vendor.value, row.name, row.vmm or "any", _flag(row), _answer(row)] for row in rows
    ]
    flags = dict.fromkeys(row.slot_flag for row in rows if row.slot_flag)
    legend = [*_LEGEND, *(f"FLAG: the slot has KVM_MEM_{name}" for name in flags)]
    legend += ["(?): rests on memory alone"] if any("(?)" in row.vmm for row in rows) else []
    notes = dict.fromkeys(note for row in rows for note in row.notes)
    columns = ("VENDOR", "KERNEL", "VMM", "FLAG", "HONOURED")
    return Document([Cell("who honours the guest's PAT", STRONG), Table(columns, table)], [*legend, *texts(notes)])


def _flag(row: WhoRow) -> str:
    return "any" if row.slot_flag is None else "yes" if row.slot_flag else "no"


def _answer(row: WhoRow) -> str:
    if row.answer is not Honours.ONLY:
        return str(row.answer.value)
    needs = ", or ".join(row.needs)
    return f"{row.answer.value} {needs}"


def who_record(row: WhoRow) -> dict[str, Any]:
    """One row as JSON has it."""
    return {
        "vendor": row.vendor.value,
        "kernel": row.name,
        "rules": list(row.rules),
        "vmm": row.vmm or None,
        "slot_flag": row.slot_flag,
        "honours_pat": row.answer.value,
        "needs": list(row.needs),
        "source": row.source,
        "notes": texts(row.notes),
    }


def who_lines(rows: Sequence[WhoRow]) -> Iterator[list[str]]:
    """Header and rows for csv and tsv."""
    yield ["vendor", "kernel", "rules", "vmm", "slot_flag", "honours_pat", "needs", "source"]
    for row in rows:
        flag = "any" if row.slot_flag is None else row.slot_flag or "none"
        answer, needs = row.answer.value, ", or ".join(row.needs)
        yield [row.vendor.value, row.name, " ".join(row.rules), row.vmm or "any", flag, answer, needs, row.source]
