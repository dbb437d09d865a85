# SPDX-License-Identifier: GPL-2.0-only
"""A review patch by patch and in all, as a document fit to paste into a reply and as plain data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from mtcalc.analysis.brought import rows_brought
from mtcalc.analysis.diff import Diff
from mtcalc.analysis.diff_words import sentence, word_list
from mtcalc.analysis.questions import Remark
from mtcalc.output.diff import diff_blocks, diff_legend, diff_notes, diff_record
from mtcalc.output.document import STRONG, Block, Cell, Content, Document, Fields
from mtcalc.output.review import (
    around_blocks,
    change_blocks,
    change_text,
    question_blocks,
    remark_record,
    untouched_text,
)
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


_OF_A_STATE = ("byte", "cacheable", "uncacheable", "mmio", "combining", "uncached ram", "pat")
"""Questions about what a state gets, which may come and go from patch to patch."""

_MOST_AUTHORS = 3

_MOST_UNTOUCHED = 20
"""Commits that touch no rule and are named; a range can have thousands of them."""

_NUMBERED = re.compile(r"\[[^\[\]]{0,100}?(\d{1,5}/\d{1,5})\]\s*(\S.*)$")


def series_document(
    whole: Whole, parts: Sequence[Judged], all_of_it: Judged, earlier: Earlier | None = None
) -> Document:
    """Whose patches, on what base; each that changes something, where several do; the whole; what stands beside."""
    blocks: list[Block] = []
    notes: list[str] = []
    changing = [part for part in parts if part.changes]
    several = len(changing) > 1
    found = all_of_it.found
    if found is not None or len(parts) > 1 or parts[0].part.commit:
        blocks.append(Fields(_head(whole, parts, _rows_in_head(parts, all_of_it))))
    if found is None:
        blocks += [
            untouched_text(whole.asked, whole.asked_why, bool(whole.beside)),
            *question_blocks(None, all_of_it.remarks),
        ]
    else:
        if several:
            for judged in changing:
                blocks += _part_blocks(judged)
            blocks.append(Fields((), title="all patches together"))
        asked_of_one = {remark.text for part in changing if several for remark in part.remarks}
        left = [one for one in all_of_it.remarks if one.text not in asked_of_one]
        stands = _stands(parts, all_of_it)
        if stands:
            around = {one for part in changing if part.found for one in part.found.around}
            blocks.append(f"{change_text(found, all_of_it.remarks)}; that is {_listed(parts, stands)}.")
            blocks += around_blocks(found, [one for one in found.around if one not in around])
        else:
            blocks += change_blocks(found, all_of_it.remarks)
        names = [f"{_label(parts[at].part, short=True)[0]}:{number}" for at, number in stands]
        blocks += question_blocks(found, left, names)
        blocks += _passing(parts, all_of_it)
        legends = (line for part in changing if part.found for line in diff_legend(part.found))
        based = f"{found.after.rules.name} is a {found.after.proposal}"  # the head says on what they are put
        spoken = [note for note in diff_notes(found, legend=False) if note != based or not whole.base]
        notes = [*dict.fromkeys((*diff_legend(found), *legends)), *spoken]
    asked = {f"{name}()" for name in whole.asked}
    beside = [one for one in whole.beside if one.name not in asked]
    if beside:
        blocks.append(Fields(_beside_rows(beside), title="changed beside the rules, and not followed"))
    said = {one.hunk for one in whole.beside}
    aside = [name for name in _left_aside(whole) if name not in said]
    if aside:
        blocks.append(Fields([("", name) for name in aside], title="left aside (not vmx_get_mt_mask)"))
    if earlier is not None:
        on = f" (on top of {earlier.base})" if earlier.base and whole.base and earlier.base != whole.base else ""
        blocks.append(Fields((), title=f"against {earlier.file}{on}: what the new version does otherwise"))
        blocks += diff_blocks(earlier.found)
        notes = list(dict.fromkeys((*notes, *diff_legend(earlier.found))))
    return Document(blocks, notes)


def brought(parts: Sequence[Judged], all_of_it: Judged) -> tuple[tuple[int, ...], ...]:
    """For each part the rows of the whole that it brings, counted from 1."""
    if all_of_it.found is None:
        return tuple(() for _ in parts)
    stages = [(judged.found.before, judged.found.after) if judged.found else None for judged in parts]
    return rows_brought(all_of_it.found, stages)


def _stands(parts: Sequence[Judged], all_of_it: Judged) -> list[tuple[int, int]]:
    """Of each row of the whole the part that alone brings it, and its number there; nothing if one stands in none."""
    found = all_of_it.found
    if found is None or (found.mmio and found.mmio.changed) or sum(part.changes for part in parts) < 2:
        return []
    brings = brought(parts, all_of_it)
    stands = []
    for number, row in enumerate(found.rows, 1):
        bringing = [at for at, rows in enumerate(brings) if number in rows]
        there = parts[bringing[0]].found if len(bringing) == 1 else None
        same = [n for n, one in enumerate(there.rows, 1) if one[:3] == row[:3]] if there else []
        if not same:
            return []
        stands.append((bringing[0], same[0]))
    return stands


def _listed(parts: Sequence[Judged], stands: Sequence[tuple[int, int]]) -> str:
    """'row 1 of 1/3, rows 1 and 2 of 3/3'."""
    numbers: dict[int, list[int]] = {}
    for at, number in sorted(stands):
        numbers.setdefault(at, []).append(number)
    return ", ".join(f"{_rows_text(some)} of {_label(parts[at].part, short=True)[0]}" for at, some in numbers.items())


def _rows_in_head(parts: Sequence[Judged], all_of_it: Judged) -> list[str]:
    """For each part which rows it brings: of the whole, or its own where the whole's are not shown again."""
    stands = _stands(parts, all_of_it)
    texts = []
    for at, (judged, brings) in enumerate(zip(parts, brought(parts, all_of_it), strict=True)):
        rows = sorted(number for where, number in stands if where == at) if stands else brings
        plain = judged.found is None or not judged.found.changed or len(parts) == 1
        texts.append("" if plain else f": {_rows_text(rows)}" if rows else ": no row that stays")
    return texts


def _left_aside(whole: Whole) -> list[str]:
    """What is left aside of patches that touch a rule: of others their line says it."""
    if len(whole.parts) == 1:
        return list(whole.left_aside)
    touching = {name for part in whole.parts if part.touches for name in part.aside}
    others = {name for part in whole.parts if not part.touches for name in part.aside}
    return [name for name in whole.left_aside if name in touching or name not in others]


def _head(whole: Whole, parts: Sequence[Judged], rows_of: Sequence[str]) -> list[tuple[str, Content]]:
    """A line for each part, a cover letter's left out; from whom, of when and on what they are."""
    rows: list[tuple[str, Content]] = []
    untouched = others = 0
    for judged, which in zip(parts, rows_of, strict=True):
        part = judged.part
        label, subject = _label(part, len(parts) > 1)
        if judged.changes or (part.touches and len(parts) == 1):
            rows.append((label, Cell(subject + which, STRONG)))
            if part.why:
                rows.append(("", f"{part_text(judged).rstrip('.')}."))
        elif part.touches:
            rows.append((label, f"{subject}: changes nothing"))
        elif part.beside and not part.cover and len(parts) > 1:
            names = ", ".join(dict.fromkeys(one.name for one in part.beside))
            rows.append((label, f"{subject}: beside the rules, not followed: {names}"))
        elif not part.cover:
            untouched += 1
            if not part.commit or untouched <= _MOST_UNTOUCHED:
                rows.append((label, f"{subject}: touches no rule"))
            else:
                others += 1
    if others:
        rows.append(("besides", f"{others} more that {'touches' if others == 1 else 'touch'} no rule"))
    authors = list(dict.fromkeys(judged.part.author for judged in parts if judged.part.author))
    if not rows:
        authors = []
    more = f" and {len(authors) - _MOST_AUTHORS} more" if len(authors) > _MOST_AUTHORS else ""
    if authors:
        day = f", {whole.date.isoformat()}" if whole.date else ""
        rows.append(("from", f"{', '.join(authors[:_MOST_AUTHORS])}{more}{day}"))
    elif whole.date:
        rows.append(("date", whole.date.isoformat()))
    if whole.base or whole.base_note:
        rows.append(("base", whole.base_note.removeprefix("base ") or whole.base))
    return rows


def _rows_text(numbers: Sequence[int]) -> str:
    """'row 1', 'rows 1 and 3', 'rows 1 to 4'."""
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"rows {numbers[0]} to {numbers[-1]}"
    return f"rows {word_list(list(map(str, numbers)))}"


def _label(part: Part, short: bool) -> tuple[str, str]:
    """What a part is called, and its subject: '1/4' and what stands behind the tags, where there are several."""
    subject = part.subject or "(no subject)"
    numbered = _NUMBERED.match(subject) if short and not part.commit else None
    return (numbered[1], numbered[2]) if numbered else (part.commit[:12] or "patch", subject)


def part_name(part: Part) -> str:
    """What a part of several is called: '1/4', the first digits of a commit's id, 'patch'."""
    return _label(part, short=True)[0]


def _part_blocks(judged: Judged) -> list[Block]:
    """One patch of several, with its own rows and questions."""
    blocks: list[Block] = [Fields((), title=" ".join(_label(judged.part, short=True)))]
    if judged.found is None:
        return [*blocks, part_text(judged)]
    blocks += change_blocks(judged.found, judged.remarks)
    return [*blocks, *question_blocks(judged.found, judged.remarks)]


def _passing(parts: Sequence[Judged], all_of_it: Judged) -> list[Block]:
    """What is asked of one patch and not of the whole."""
    passing: list[tuple[str, Content]] = [
        (_label(part.part, short=True)[0], remark.text) for part, remark in in_between(parts, all_of_it)
    ]
    title = "true on the way alone: is the tree right between the patches?"
    return [Fields(passing, title=title)] if passing else []


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
            "text": untouched_text(whole.asked, whole.asked_why, bool(whole.beside)),
            "reachable": 0,
            "left_out": 0,
            "notes": [],
        }
    passing = in_between(parts, all_of_it) if found and len(parts) > 1 else []
    against = None
    if earlier is not None:
        against = {"file": earlier.file, "base": earlier.base or None, **diff_record(earlier.found, expand)}
    return {
        "patches": [
            _part_record(judged, brings, expand)
            for judged, brings in zip(parts, brought(parts, all_of_it), strict=True)
        ],
        "date": whole.date.isoformat() if whole.date else None,
        "base": whole.base or None,
        "base_note": whole.base_note or None,
        "left_aside": list(whole.left_aside),
        "questions": [remark_record(found, remark) for remark in all_of_it.remarks],
        **record,
        "beside": [_beside_record(one) for one in whole.beside],
        "in_between": [{"patch": part.part.subject, "kind": one.kind, "text": one.text} for part, one in passing],
        "against": against,
    }


def _part_record(judged: Judged, brings: Sequence[int], expand: bool) -> dict[str, Any]:
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
        "questions": [remark_record(found, remark) for remark in judged.remarks],
        "beside": [_beside_record(one) for one in part.beside],
        "brings": list(brings),
    }


def _beside_record(one: Beside) -> dict[str, Any]:
    return {"kind": one.kind, "name": one.name, "text": one.text, "place": f"{one.place.file}:{one.place.line}"}
