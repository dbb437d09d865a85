# SPDX-License-Identifier: GPL-2.0-only
"""The questions of a review, as blocks of a document and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtcalc.analysis.diff import Change, Diff, by_pat
from mtcalc.analysis.diff_words import when_text
from mtcalc.analysis.review import Remark, state_of
from mtcalc.output.diff import byte_words
from mtcalc.output.diff_records import change_record
from mtcalc.output.document import STRONG, Block, Cell, Content, Fields
from mtcalc.x86.memtype import MemType


def questions_blocks(found: Diff, remarks: Sequence[Remark]) -> list[Block]:
    """The questions, each with a state that shows it."""
    blocks: list[Block] = [Cell("Questions", STRONG)] if remarks else []
    for number, remark in enumerate(remarks, 1):
        blocks.append(Fields(_shown(found, remark), title=f"{number}. {remark.text}"))
    return blocks


def question_lines(found: Diff, remarks: Sequence[Remark]) -> list[tuple[str, Content]]:
    """The questions in a line or two each, with how many changes they are about."""
    rows: list[tuple[str, Content]] = []
    for number, remark in enumerate(remarks, 1):
        count = f" ({remark.states} of {found.changed_count})" if remark.example and found.changed_count > 1 else ""
        rows.append((f"{number}.", f"{remark.text}{count}"))
    return rows


def untouched_text(asked: Sequence[str], why: str = "") -> str:
    """What there is to say of patches that touch no rule.

    `asked`: what rules ask by name, and the patches change; `why` that is not followed.
    """
    if not asked:
        return "touches no rule: vmx_get_mt_mask() and what it calls stay as they are"
    from mtcalc.patches.known import listed_names

    names = listed_names(asked)
    what = "its meaning is" if len(asked) == 1 else "their meanings are"
    text = f"touches no rule itself, but changes {names}, asked by name: {what} taken as before"
    return f"{text} ({why})" if why else text


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
