# SPDX-License-Identifier: GPL-2.0-only
"""A review as a document fit to paste into a reply, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtcalc.analysis.diff import Change, Diff, by_pat
from mtcalc.analysis.diff_words import when_text
from mtcalc.analysis.review import Remark, state_of
from mtcalc.output.diff import byte_words, diff_blocks, diff_notes, diff_record
from mtcalc.output.diff_records import change_record
from mtcalc.output.document import STRONG, Block, Cell, Content, Document, Fields
from mtcalc.patches.records import Mail
from mtcalc.patches.result import PatchedRules
from mtcalc.x86.memtype import MemType


def review_document(patch: PatchedRules, found: Diff, remarks: tuple[Remark, ...]) -> Document:
    """Whose patch, on what base; the difference; the questions, each with a state that shows it."""
    blocks: list[Block] = [Fields(_head(patch)), *diff_blocks(found), *questions_blocks(found, remarks)]
    if patch.left_aside:
        blocks.append(Fields([("", name) for name in patch.left_aside], title="left aside (not vmx_get_mt_mask)"))
    return Document(blocks, diff_notes(found))


def questions_blocks(found: Diff, remarks: Sequence[Remark]) -> list[Block]:
    """The questions, each with a state that shows it."""
    blocks: list[Block] = [Cell("Questions", STRONG)] if remarks else []
    for number, remark in enumerate(remarks, 1):
        blocks.append(Fields(_shown(found, remark), title=f"{number}. {remark.text}"))
    return blocks


def untouched_text(asked: Sequence[str]) -> str:
    """What there is to say of patches that touch no rule; `asked`: what rules ask by name, and the patches change."""
    if not asked:
        return "touches no rule: vmx_get_mt_mask() and what it calls stay as they are"
    names = ", ".join(f"{name}()" for name in asked)
    what = "its meaning is" if len(asked) == 1 else "their meanings are"
    return f"touches no rule itself, but changes {names}, asked by name: {what} taken as before"


def untouched_record(mails: Sequence[Mail], base: str | None, text: str, nothing: Diff) -> dict[str, Any]:
    """Patches that touch no rule, with the keys of a review; `nothing` is a difference without any."""
    record = {
        **diff_record(nothing, expand=False),
        **dict.fromkeys(("before", "after", "before_ref", "after_ref")),
        "text": text,
        "reachable": 0,
        "left_out": 0,
        "notes": [],
    }
    day = next((mail.date for mail in mails if mail.date), None)
    return {
        "patches": [_patch_record(mail, False) for mail in mails],
        "date": day.isoformat() if day else None,
        "base": base,
        "base_note": None,
        "left_aside": [],
        "questions": [],
        **record,
    }


def _patch_record(mail: Mail, touches: bool) -> dict[str, Any]:
    return {"subject": mail.subject, "author": mail.author, "message_id": mail.message_id, "touches": touches}


def _head(patch: PatchedRules) -> list[tuple[str, Content]]:
    rows: list[tuple[str, Content]] = []
    for mail in patch.mails:
        rows.append(("patch", Cell(mail.subject or "(no subject)", STRONG)))
        if mail.author:
            rows.append(("from", mail.author))
    if patch.date:
        rows.append(("date", patch.date.isoformat()))
    rows.append(("base", patch.choice_note.removeprefix("base ") if patch.choice_note else patch.before.ref))
    return rows


def _shown(found: Diff, remark: Remark) -> list[tuple[str, Content]]:
    if remark.example is None:
        return [("rule", remark.rule)] if remark.rule else []
    change = remark.example
    return [
        (
            "in",
            "the one change:"
            if found.changed_count == 1
            else f"{remark.states} of {found.changed_count} changes, such as:",
        ),
        ("", when_text({item: (value,) for item, value in state_of(found, change).items()})),
        ("", _from_to(change, remark.pat)),
    ]


def _from_to(change: Change, pat: MemType | None) -> str:
    text = f"{byte_words(change.before)} becomes {byte_words(change.after)}"
    if pat is None:
        return text
    kinds = (by_pat(byte)[pat] for byte in (change.before, change.after))
    return f"{text}; PAT {pat}: {' becomes '.join('none' if kind is None else str(kind) for kind in kinds)}"


def review_record(patch: PatchedRules, found: Diff, remarks: tuple[Remark, ...], expand: bool) -> dict[str, Any]:
    """A review as plain data: diff's record, and the mails, base, remarks and hunks left aside."""
    return {
        "patches": [_patch_record(mail, True) for mail in patch.mails],
        "date": patch.date.isoformat() if patch.date else None,
        "base": patch.before.ref,
        "base_note": patch.choice_note,
        "left_aside": list(patch.left_aside),
        "questions": [remark_record(found, remark) for remark in remarks],
        **diff_record(found, expand),
    }


def remark_record(found: Diff, remark: Remark) -> dict[str, Any]:
    """One question as plain data."""
    return {
        "kind": remark.kind,
        "text": remark.text,
        "count": remark.states,
        "pat": None if remark.pat is None else str(remark.pat),
        "rule": remark.rule or None,
        "example": None if remark.example is None else change_record(found, remark.example),
    }
