# SPDX-License-Identifier: GPL-2.0-only
"""A review patch by patch and in all, as a document and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mtcalc.analysis.diff import Diff
from mtcalc.analysis.diff_words import sentence
from mtcalc.analysis.review import Remark
from mtcalc.output.diff import diff_blocks, diff_lines, diff_notes, diff_record
from mtcalc.output.document import STRONG, Block, Cell, Content, Document, Fields
from mtcalc.output.review import questions_blocks, remark_record, untouched_text
from mtcalc.patches.series import Part, Whole


class Judged(NamedTuple):
    """A part, and what it changes where it touches a rule that can be read on both sides."""

    part: Part
    found: Diff | None = None
    remarks: tuple[Remark, ...] = ()


def series_document(whole: Whole, parts: Sequence[Judged], all_of_it: Judged) -> Document:
    """Each part that touches a rule in a line, then the whole as a review of it."""
    touching = [part for part in parts if part.part.touches]
    rows: list[tuple[str, Content]] = []
    for judged in touching:
        part = judged.part
        rows.append((part.commit[:12] or "patch", Cell(part.subject or "(no subject)", STRONG)))
        if part.author:
            rows.append(("from", part.author))
        if len(touching) > 1:
            rows.append(("", f"{part_text(judged)}."))
    others = len(parts) - len(touching)
    if others and touching:
        rows.append(("besides", f"{others} that {'touches' if others == 1 else 'touch'} no rule"))
    if whole.date:
        rows.append(("date", whole.date.isoformat()))
    rows.append(("base", whole.base_note.removeprefix("base ")))
    blocks: list[Block] = [Fields(rows)]
    if all_of_it.found is None:
        return Document([*blocks, untouched_text(())])
    blocks += diff_blocks(all_of_it.found)
    blocks += questions_blocks(all_of_it.found, all_of_it.remarks)
    return Document(blocks, diff_notes(all_of_it.found))


def part_text(judged: Judged) -> str:
    """One part in a sentence."""
    if judged.found is None:
        return f"not read: {judged.part.why}" if judged.part.why else "touches no rule"
    tests = judged.found.mmio
    if judged.found.changed or tests is None or not tests.changed:
        return sentence(judged.found)
    return f"{tests.changed_count} of {tests.total} host pages become or stop being MMIO"


def series_record(
    whole: Whole, parts: Sequence[Judged], all_of_it: Judged, nothing: Diff, expand: bool
) -> dict[str, Any]:
    """A review as plain data; `nothing` is a difference without any, for what touches no rule."""
    found = all_of_it.found
    record = diff_record(found or nothing, expand)
    if found is None:
        empty = dict.fromkeys(("before", "after", "before_ref", "after_ref"))
        record |= {**empty, "text": untouched_text(()), "reachable": 0, "left_out": 0, "notes": []}
    return {
        "patches": [_part_record(judged, expand) for judged in parts],
        "date": whole.date.isoformat() if whole.date else None,
        "base": whole.base,
        "base_note": whole.base_note,
        "left_aside": [],
        "questions": [remark_record(found, remark) for remark in all_of_it.remarks] if found else [],
        **record,
    }


def _part_record(judged: Judged, expand: bool) -> dict[str, Any]:
    part, found = judged.part, judged.found
    return {
        "subject": part.subject,
        "author": part.author,
        "message_id": part.message_id,
        "commit": part.commit or None,
        "touches": part.touches,
        "text": part_text(judged),
        "changed": found.changed_count if found else 0,
        "rows": list(diff_lines(found, expand)) if found else [],
        "mmio_rows": diff_record(found, expand)["mmio_rows"] if found else [],
        "questions": [remark_record(found, remark) for remark in judged.remarks] if found else [],
    }
