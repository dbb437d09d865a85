# SPDX-License-Identifier: GPL-2.0-only
"""Answers as documents: lookup's glance, eval's ranges and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mtcalc.analysis.answer import UNKNOWN, Answer, notes_of_each
from mtcalc.output.document import (
    STRONG,
    Block,
    Cell,
    Content,
    Document,
    Fields,
    Table,
    grouped_notes,
    memtype_cell,
    memtype_tone,
    rules_title,
    texts,
)
from mtcalc.output.emit import Result
from mtcalc.rules.kernel import kernel_label
from mtcalc.x86.ept import LEVEL_NAMES, mask_text
from mtcalc.x86.memtype import PAT_TYPES, MemType


def _ept(answer: Answer) -> Content:
    if answer.byte is None:
        return "-" if answer.slot is None else "?"
    return Cell(f"{answer.byte:#04x}", memtype_tone(answer.memtype))


def answers_result(
    document: Callable[[], Document], answers: Sequence[Answer], *, six: bool = False, wrapped: bool = False
) -> Result:
    """The result of a command that answers; records are made, and their module loaded, only when asked for.

    `six`: csv has a column a PAT type; `wrapped`: JSON is an object with the list under "results".
    """

    def records() -> list[dict[str, Any]]:
        from mtcalc.output.records import answer_record

        return [answer_record(answer) for answer in answers]

    def rows() -> Iterable[list[str]]:
        from mtcalc.output.records import answer_rows

        return answer_rows(answers, six)

    return Result(document, lambda: {"results": records()} if wrapped else records(), records, rows)


def lookup_document(first: Answer) -> Document:
    """The answer to a what-if: the byte, what the guest gets, the rule."""
    assert first.rule is not None
    assert first.byte is not None
    words = mask_text(first.byte) + ("" if first.ipat else ", guest PAT honoured")
    fields: list[tuple[str, Content]] = [
        ("EPT", Cell(f"{first.byte:#04x}  {words}", memtype_tone(first.memtype))),
        ("rule", f"{first.rule.id}: {first.rule.text}"),
        ("", first.rule.why),
    ]
    pairs = [(pat, kind, first.starred(pat)) for pat, kind in first.effective]
    blocks: list[Block]
    if first.request is not None:
        fields.insert(1, ("request", request_words(first)))
        if not pairs:
            fields.insert(2, ("guest gets", "no mapping"))
            return Document([rules_title(kernel_label(first.kernel)), Fields(fields)], texts(first.notes))
    if len(pairs) == 1:
        (pat, kind, starred) = pairs[0]
        got = memtype_cell(kind, starred)
        at = 1 if first.request is None else 2
        fields.insert(at, ("guest gets", got._replace(text=f"{got.text}  (PAT {pat})")))
        blocks = [Fields(fields)]
    else:
        header = ("PAT", *(str(pat) for pat, _, _ in pairs))
        row: list[Content] = ["guest gets", *(memtype_cell(kind, starred) for _, kind, starred in pairs)]
        blocks = [Fields(fields), Table(header, [row])]
    return Document(
        [rules_title(kernel_label(first.kernel)), *blocks],
        texts(notes_of_each(first)),
    )


def request_words(answer: Answer) -> str:
    """'WB of linux-6.8 -> PAT UC-, entry 2'."""
    got = "refused" if answer.pat_index is None else f"PAT {answer.pat}, entry {answer.pat_index}"
    return f"{answer.request} of {answer.guest} -> {got}"


def _effective(answer: Answer) -> list[Content]:
    if not answer.effective:
        return ["-"] * len(PAT_TYPES)
    return [effective_cell(answer, pat, kind) for pat, kind in answer.effective]


def effective_cell(answer: Answer, pat: MemType, kind: MemType | None) -> Cell:
    """One effective type: '-' where the entry is a misconfiguration, '?' where nobody knows the byte."""
    cell = memtype_cell(kind, answer.starred(pat))
    return cell._replace(text="?") if answer.byte is None else cell


def _lead(answer: Answer) -> list[Content]:
    """Mapping level, guest MTRR type and EPT byte; '-' where there is none."""
    mtrr = None if answer.facts is None else answer.facts.guest_mtrr
    none = "?" if answer.guest_mtrr == UNKNOWN else "-"
    return [
        "-" if answer.level is None else LEVEL_NAMES[answer.level],
        none if mtrr is None else memtype_cell(mtrr),
        _ept(answer),
    ]


def ranges_document(answers: Sequence[Answer]) -> Document:
    """Slots as ranges, a row each, a column a PAT type."""
    header = ("GPA", "END", "LVL", "MTRR", "EPT", *map(str, PAT_TYPES), "RULE", "SLOT")
    rows = [
        [hex(a.gpa or 0), hex(a.end or 0), *_lead(a), *_effective(a), a.rule.id if a.rule else "-", _slot(a)]
        for a in answers
    ]
    return Document([_title(answers), Table(header, rows)], grouped(answers))


def pages_document(answers: Sequence[Answer]) -> Document:
    """Single addresses, a row a PAT type asked for; all six in columns where none was named."""
    blocks: list[Block] = [_title(answers)]
    asked = [a for a in answers if a.request is not None]
    one = [a for a in answers if a.pat is not None and a.request is None]
    six = [a for a in answers if a.pat is None and a.request is None]
    if asked:
        rows = [
            [hex(a.gpa or 0), *_lead(a), a.request or "", *_one(a), a.rule.id if a.rule else "-", _slot(a)]
            for a in asked
        ]
        blocks.append(Table(("GPA", "LVL", "MTRR", "EPT", "REQUEST", "PAT", "EFFECTIVE", "RULE", "SLOT"), rows))
    if one:
        rows = [[hex(a.gpa or 0), *_lead(a), *_one(a), a.rule.id if a.rule else "-", _slot(a)] for a in one]
        blocks.append(Table(("GPA", "LVL", "MTRR", "EPT", "PAT", "EFFECTIVE", "RULE", "SLOT"), rows))
    if six:
        rows = [[hex(a.gpa or 0), *_lead(a), *_effective(a), a.rule.id if a.rule else "-", _slot(a)] for a in six]
        blocks.append(Table(("GPA", "LVL", "MTRR", "EPT", *map(str, PAT_TYPES), "RULE", "SLOT"), rows))
    return Document(blocks, grouped(answers))


def _one(answer: Answer) -> list[Content]:
    if not answer.effective:
        return ["-" if answer.pat is None else str(answer.pat), "-"]
    ((pat, kind),) = answer.effective
    return [str(pat), effective_cell(answer, pat, kind)]


def _slot(answer: Answer) -> str:
    return answer.slot.name if answer.slot else "-"


def _title(answers: Sequence[Answer]) -> Cell:
    return rules_title(kernel_label(answers[0].kernel)) if answers else Cell("no answers", STRONG)


def grouped(answers: Sequence[Answer]) -> list[str]:
    """The notes of answers, each once, with the slots it speaks of."""
    everyones = set(answers[0].notes).intersection(*(answer.notes for answer in answers)) if answers else set()
    pairs = []
    for answer in answers:
        owner = answer.slot.name if answer.slot else "" if answer.gpa is None else hex(answer.gpa)
        pairs += [("" if note in everyones else owner, note) for note in answer.notes]
    return grouped_notes(pairs)
