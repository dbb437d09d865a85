# SPDX-License-Identifier: GPL-2.0-only
"""A review patch by patch and in all, as a document fit to paste into a reply and as plain data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from mtcalc.analysis.diff import Diff
from mtcalc.analysis.diff_words import sentence
from mtcalc.analysis.review import Remark
from mtcalc.output.diff import diff_blocks, diff_legend, diff_notes, diff_record
from mtcalc.output.document import STRONG, Block, Cell, Content, Document, Fields
from mtcalc.output.review import question_lines, questions_blocks, remark_record, untouched_text
from mtcalc.patches.beside import Beside
from mtcalc.patches.series import Part, Whole


class Judged(NamedTuple):
    """A part, and what it changes where it touches a rule that can be read on both sides."""

    part: Part
    found: Diff | None = None
    remarks: tuple[Remark, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether it changes anything, or can't be read alone."""
        return bool(self.part.why) or (self.found is not None and not self.found.same)


class Earlier(NamedTuple):
    """An earlier version of the patches, and what the new one does otherwise."""

    file: str
    found: Diff
    base: str  # what it was put on top of


_OF_A_STATE = ("byte", "cacheable", "uncacheable", "mmio", "combining", "pat")
"""Questions about what a state gets, which may come and go from patch to patch."""

_MOST_AUTHORS = 3

_NUMBERED = re.compile(r"\[[^\[\]]{0,100}?(\d{1,5}/\d{1,5})\]\s*(\S.*)$")


def series_document(
    whole: Whole, parts: Sequence[Judged], all_of_it: Judged, earlier: Earlier | None = None
) -> Document:
    """Whose patches, on what base; each that changes something, where several do; the whole; what stands beside."""
    blocks: list[Block] = []
    notes: list[str] = []
    changing = [part for part in parts if part.changes]
    found = all_of_it.found
    if found is not None or len(parts) > 1 or parts[0].part.commit:
        blocks.append(Fields(_head(whole, parts, several=len(changing) > 1)))
    if found is None:
        blocks.append(untouched_text(whole.asked, whole.asked_why))
    else:
        if len(changing) > 1:
            for judged in changing:
                blocks += _part_blocks(judged)
            blocks.append(Fields((), title="all patches together"))
        blocks += diff_blocks(found)
        blocks += _questions(parts, all_of_it, several=len(changing) > 1)
        legends = (line for part in changing if part.found for line in diff_legend(part.found))
        notes = [*dict.fromkeys((*diff_legend(found), *legends)), *diff_notes(found, legend=False)]
    asked = {f"{name}()" for name in whole.asked}
    beside = [one for one in whole.beside if one.name not in asked]
    if beside:
        blocks.append(Fields(_beside_rows(beside), title="changed beside the rules, and not followed"))
    said = {one.hunk for one in whole.beside}
    aside = [name for name in whole.left_aside if name not in said]
    if aside:
        blocks.append(Fields([("", name) for name in aside], title="left aside (not vmx_get_mt_mask)"))
    if earlier is not None:
        on = f" (on top of {earlier.base})" if earlier.base and whole.base and earlier.base != whole.base else ""
        blocks.append(Fields((), title=f"against {earlier.file}{on}: what the new version does otherwise"))
        blocks += diff_blocks(earlier.found)
        notes = list(dict.fromkeys((*notes, *diff_legend(earlier.found))))
    return Document(blocks, notes)


def _head(whole: Whole, parts: Sequence[Judged], several: bool) -> list[tuple[str, Content]]:
    """A line or two for each part, a cover letter's left out; from whom, of when and on what they are."""
    rows: list[tuple[str, Content]] = []
    others = 0
    for judged in parts:
        part = judged.part
        label, subject = _label(part, len(parts) > 1)
        if judged.changes or (part.touches and len(parts) == 1):
            rows.append((label, Cell(subject, STRONG)))
            if several or part.why:
                rows.append(("", f"{part_text(judged).rstrip('.')}."))
        elif part.touches:
            rows.append((label, f"{subject}: changes nothing"))
        elif part.commit:
            others += 1
        elif not part.cover:
            rows.append((label, f"{subject}: touches no rule"))
    if others and rows:
        rows.append(("besides", f"{others} that {'touches' if others == 1 else 'touch'} no rule"))
    authors = list(dict.fromkeys(judged.part.author for judged in parts if judged.part.author))
    if authors and rows:
        more = f" and {len(authors) - _MOST_AUTHORS} more" if len(authors) > _MOST_AUTHORS else ""
        rows.append(("from", f"{', '.join(authors[:_MOST_AUTHORS])}{more}"))
    if whole.date:
        rows.append(("date", whole.date.isoformat()))
    if whole.base or whole.base_note:
        rows.append(("base", whole.base_note.removeprefix("base ") or whole.base))
    return rows


def _label(part: Part, short: bool) -> tuple[str, str]:
    """What a part is called, and its subject: '1/4' and what stands behind the tags, where there are several."""
    subject = part.subject or "(no subject)"
    numbered = _NUMBERED.match(subject) if short and not part.commit else None
    return (numbered[1], numbered[2]) if numbered else (part.commit[:12] or "patch", subject)


def _part_blocks(judged: Judged) -> list[Block]:
    """One patch of several, with its own rows and questions."""
    blocks: list[Block] = [Fields((), title=" ".join(_label(judged.part, short=True)))]
    if judged.found is None:
        return [*blocks, part_text(judged)]
    blocks += diff_blocks(judged.found)
    if judged.remarks:
        blocks.append(Fields(question_lines(judged.found, judged.remarks), title="its questions"))
    return blocks


def _questions(parts: Sequence[Judged], all_of_it: Judged, several: bool) -> list[Block]:
    """The questions of the whole: of several patches those that were not asked of one, and those asked of one alone."""
    assert all_of_it.found is not None
    if len(parts) == 1 or parts[0].part.commit:
        return questions_blocks(all_of_it.found, all_of_it.remarks)
    asked = {remark.text for part in parts for remark in part.remarks} if several else set()
    rows = question_lines(all_of_it.found, [remark for remark in all_of_it.remarks if remark.text not in asked])
    blocks: list[Block] = [Fields(rows, title="Questions")] if rows else []
    passing: list[tuple[str, Content]] = [
        (_label(part.part, short=True)[0], remark.text) for part, remark in in_between(parts, all_of_it)
    ]
    if passing:
        blocks.append(Fields(passing, title="true on the way alone: is the tree right between the patches?"))
    return blocks


def in_between(parts: Sequence[Judged], all_of_it: Judged) -> list[tuple[Judged, Remark]]:
    """What a patch gives cause to ask and the whole does not: a state of the tree that a bisection may meet."""
    final = {(remark.kind, remark.text) for remark in all_of_it.remarks}
    changing = [part for part in parts if part.changes]
    return [
        (part, remark)
        for part in changing[:-1]  # behind the last one the tree is that of the whole
        for remark in part.remarks
        if remark.kind in _OF_A_STATE and (remark.kind, remark.text) not in final
    ]


def _beside_rows(found: Sequence[Beside]) -> list[tuple[str, Content]]:
    """What the changed functions and macros decide, and which these are."""
    names: dict[str, list[str]] = {}
    for one in found:
        names.setdefault(one.text, []).append(one.name)
    return [("", f"{text}: {', '.join(dict.fromkeys(listed))}") for text, listed in names.items()]


def part_text(judged: Judged) -> str:
    """One part in a sentence."""
    if judged.found is None:
        return f"not read: {judged.part.why}" if judged.part.why else "touches no rule"
    tests = judged.found.mmio
    if judged.found.changed or tests is None or not tests.changed:
        return sentence(judged.found)
    return f"{tests.changed_count} of {tests.total} host pages become or stop being MMIO"


def series_record(
    whole: Whole,
    parts: Sequence[Judged],
    all_of_it: Judged,
    nothing: Diff,
    expand: bool,
    earlier: Earlier | None = None,
) -> dict[str, Any]:
    """A review as plain data; `nothing` is a difference without any, for what touches no rule."""
    found = all_of_it.found
    record = diff_record(found or nothing, expand)
    if found is None:
        empty = dict.fromkeys(("before", "after", "before_ref", "after_ref"))
        record |= {
            **empty,
            "text": untouched_text(whole.asked, whole.asked_why),
            "reachable": 0,
            "left_out": 0,
            "notes": [],
        }
    passing = in_between(parts, all_of_it) if found and len(parts) > 1 else []
    against = None
    if earlier is not None:
        against = {"file": earlier.file, "base": earlier.base or None, **diff_record(earlier.found, expand)}
    return {
        "patches": [_part_record(judged, expand) for judged in parts],
        "date": whole.date.isoformat() if whole.date else None,
        "base": whole.base or None,
        "base_note": whole.base_note or None,
        "left_aside": list(whole.left_aside),
        "questions": [remark_record(found, remark) for remark in all_of_it.remarks] if found else [],
        **record,
        "beside": [_beside_record(one) for one in whole.beside],
        "in_between": [{"patch": part.part.subject, "kind": one.kind, "text": one.text} for part, one in passing],
        "against": against,
    }


def _part_record(judged: Judged, expand: bool) -> dict[str, Any]:
    part, found = judged.part, judged.found
    rows = diff_record(found, expand) if found else {"rows": [], "mmio_rows": []}
    return {
        "subject": part.subject,
        "author": part.author,
        "message_id": part.message_id,
        "commit": part.commit or None,
        "touches": part.touches,
        "text": part_text(judged),
        "changed": found.changed_count if found else 0,
        "rows": rows["rows"],
        "mmio_rows": rows["mmio_rows"],
        "questions": [remark_record(found, remark) for remark in judged.remarks] if found else [],
        "beside": [_beside_record(one) for one in part.beside],
    }


def _beside_record(one: Beside) -> dict[str, Any]:
    return {"kind": one.kind, "name": one.name, "text": one.text, "place": f"{one.place.file}:{one.place.line}"}
