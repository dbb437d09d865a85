# SPDX-License-Identifier: GPL-2.0-only
"""Differences between releases under AMD's NPT as a document and plain data, with the names that diff has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mtcalc.analysis.npt import ENTRY
from mtcalc.analysis.npt_diff import NptDiff, NptRow, Types, npt_sentence
from mtcalc.output.document import STRONG, Block, Cell, Content, Document, Fields, Table, memtype_cell, texts
from mtcalc.rules.kernel import kernel_label, platform_words
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType, npt_type_words


def npt_diff_document(found: NptDiff) -> Document:
    """The sentence, a row a group of host MTRR types, and what is around."""
    labels = f"{kernel_label(found.before)} -> {kernel_label(found.after)}, {platform_words(found.after)}"
    blocks: list[Block] = [Cell(labels, STRONG), f"{npt_sentence(found)}."]
    if found.rows:
        rows: list[list[Content]] = [
            [" ".join(map(str, row.host_mtrrs)), *(_cell(row, pat) for pat in PAT_TYPES)] for row in found.rows
        ]
        blocks.append(Table(("HOST", *map(str, PAT_TYPES)), rows))
    if found.around:
        around: list[tuple[str, Content]] = []
        for difference in found.around:
            around += [(difference.what, f"before: {difference.before}"), ("", f"after: {difference.after}")]
        blocks.append(Fields(around, title="around the rules"))
    legend = ["a>b: the effective type changes from a to b"] if found.rows else []
    legend += npt_type_words(kind for row in found.rows for _, kind in (*row.before, *row.after))
    return Document(blocks, [*legend, *texts(found.notes)])


def _cell(row: NptRow, pat: MemType) -> Cell:
    old, new = dict(row.before)[pat], dict(row.after)[pat]
    cell = memtype_cell(new)
    return cell if old == new else cell._replace(text=f"{memtype_cell(old).text}>{cell.text}")


def npt_diff_record(found: NptDiff, expand: bool) -> dict[str, Any]:
    """The difference as JSON has it."""
    return {
        "before": found.before.rules.name,
        "after": found.after.rules.name,
        "before_ref": found.before.ref,
        "after_ref": found.after.ref,
        "text": npt_sentence(found),
        "changed": found.changed,
        "reachable": len(MTRR_TYPES),
        "left_out": 0,
        "rows": list(npt_diff_lines(found, expand)),
        "mmio_rows": [],
        "around": [difference._asdict() for difference in found.around],
        "notes": texts(found.notes),
    }


def npt_diff_lines(found: NptDiff, expand: bool) -> Iterator[dict[str, Any]]:
    """A row a line, with `expand` a host MTRR type a line."""
    for row in found.rows:
        sides = {"before": _side(row.before), "after": _side(row.after)}
        if expand:
            yield from ({"inputs": {"host_mtrr": str(kind)}, **sides} for kind in row.host_mtrrs)
        else:
            when = {"host_mtrr": [str(kind) for kind in row.host_mtrrs]}
            yield {"when": when, **sides, "count": len(row.host_mtrrs)}


def _side(types: Types) -> dict[str, Any]:
    kind = str(ENTRY.memtype)
    return {
        "memtype": kind,
        "ipat": 0,
        "mask": None,
        "npt": {"index": ENTRY.pat_index, "memtype": kind},
        "effective": {str(pat): None if found is None else str(found) for pat, found in types},
    }


def npt_diff_rows(found: NptDiff, expand: bool) -> Iterator[list[str]]:
    """Header and rows for csv and tsv."""
    sides = [f"{side} {pat}" for side in ("before", "after") for pat in PAT_TYPES]
    yield ["when", "count", "before", "after", *sides]
    for row in found.rows:
        groups = [(kind,) for kind in row.host_mtrrs] if expand else [row.host_mtrrs]
        for kinds in groups:
            when = f"host_mtrr {'|'.join(map(str, kinds))}"
            types = [str(kind) for side in (row.before, row.after) for _, kind in side]
            entry = f"{ENTRY.pat_index}:{ENTRY.memtype}"
            yield [when, str(len(kinds)), entry, entry, *types]
