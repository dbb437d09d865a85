# SPDX-License-Identifier: GPL-2.0-only
"""Answers as documents: lookup's glance, eval's ranges and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mtcalc.analysis.answer import UNKNOWN, Answer, NptEntry, notes_of_each
from mtcalc.kvm.versions import GuestPat
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
from mtcalc.x86.ept import LEVEL_NAMES, mask_text
from mtcalc.x86.memtype import PAT_TYPES, Effective, MemType, NptType, npt_type_words


def entry_text(answer: Answer) -> str:
    """The entry as a column has it: the EPT byte, '0:WB' of an NPT entry, '?' where nobody knows it."""
    if answer.entry is None:
        return "-" if answer.slot is None else "?"
    if isinstance(answer.entry, NptEntry):
        return f"{answer.entry.pat_index}:{answer.entry.memtype}"
    return f"{answer.entry.byte:#04x}"


def entry_columns(npt: bool) -> tuple[str, str]:
    """What the columns of the MTRR type that counts, and of the entry, are called."""
    return ("HOST", "NPT") if npt else ("MTRR", "EPT")


def _entry(answer: Answer) -> Content:
    text = entry_text(answer)
    return text if answer.entry is None else Cell(text, memtype_tone(answer.memtype))


_HONOURED = {
    GuestPat.GUESTS: "guest PAT honoured",
    GuestPat.HARDWARES: "the guest's PAT index counts",
    None: "",
}


def npt_legend(answers: Iterable[Answer]) -> list[str]:
    """What the entry of an answer in a column means, and what its types are; nothing under EPT."""
    answers = list(answers)
    entries = dict.fromkeys((entry_text(answer), answer.entry) for answer in answers)
    legend = [
        f"{text}: entry {entry.pat_index} of the host's PAT, which is {entry.memtype}"
        for text, entry in entries
        if isinstance(entry, NptEntry)
    ]
    return [*legend, *npt_type_words(kind for answer in answers for _, kind in answer.effective)]


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
    """The answer to a what-if: the entry, what the guest gets, the rule."""
    assert first.rule is not None
    fields: list[tuple[str, Content]] = [
        *_entry_fields(first),
        ("rule", f"{first.rule.id}: {first.rule.text}"),
        ("", first.rule.why),
    ]
    pairs = [(pat, kind, first.starred(pat)) for pat, kind in first.effective]
    if first.request is not None:
        fields.insert(-2, ("request", request_words(first)))
        if not pairs:
            fields.insert(-2, ("guest gets", "no mapping"))
            return Document([rules_title(first.kernel), Fields(fields)], texts(first.notes))
    if len(pairs) == 1:
        (pat, kind, starred) = pairs[0]
        got = memtype_cell(kind, starred)
        meaning = f", {kind.meaning}" if isinstance(kind, NptType) else ""
        fields.insert(-2, ("guest gets", got._replace(text=f"{got.text}  (PAT {pat}){meaning}")))
        return Document([rules_title(first.kernel), Fields(fields)], texts(notes_of_each(first)))
    header = ("PAT", *(str(pat) for pat, _, _ in pairs))
    row: list[Content] = ["guest gets", *(memtype_cell(kind, starred) for _, kind, starred in pairs)]
    return Document(
        [rules_title(first.kernel), Fields(fields), Table(header, [row])],
        [*npt_type_words(kind for _, kind, _ in pairs), *texts(notes_of_each(first))],
    )


def request_words(answer: Answer) -> str:
    """'WB of linux-6.8 -> PAT UC-, entry 2'."""
    got = "refused" if answer.pat_index is None else f"PAT {answer.pat}, entry {answer.pat_index}"
    return f"{answer.request} of {answer.guest} -> {got}"


def _entry_fields(first: Answer) -> list[tuple[str, Content]]:
    """The entry in words; under NPT the host's MTRR type as well, which counts there."""
    tone = memtype_tone(first.memtype)
    if isinstance(first.entry, NptEntry):
        host = first.facts and first.facts.host_mtrr
        index, kind = first.entry
        return [
            ("NPT", Cell(f"{kind}  entry {index} of the host's PAT, {_HONOURED[first.kernel.npt]}", tone)),
            ("host MTRR", memtype_cell(host)),
        ]
    assert first.byte is not None
    words = mask_text(first.byte) + ("" if first.ipat else ", guest PAT honoured")
    return [("EPT", Cell(f"{first.byte:#04x}  {words}", tone))]


def _effective(answer: Answer) -> list[Content]:
    if not answer.effective:
        return ["-"] * len(PAT_TYPES)
    return [effective_cell(answer, pat, kind) for pat, kind in answer.effective]


def effective_cell(answer: Answer, pat: MemType, kind: Effective | None) -> Cell:
    """One effective type: '-' where the entry is a misconfiguration, '?' where nobody knows the byte."""
    cell = memtype_cell(kind, answer.starred(pat))
    return cell._replace(text="?") if answer.entry is None else cell


def mtrr_that_counts(answer: Answer) -> MemType | None:
    """The guest's MTRR type of a page, under NPT the host's; None where there is none."""
    if answer.facts is None:
        return None
    return answer.facts.guest_mtrr if answer.kernel.npt is None else answer.facts.host_mtrr


def _lead(answer: Answer) -> list[Content]:
    """Mapping level, MTRR type that counts, and entry; '-' where there is none."""
    mtrr = mtrr_that_counts(answer)
    none = "?" if answer.guest_mtrr == UNKNOWN else "-"
    return [
        "-" if answer.level is None else LEVEL_NAMES[answer.level],
        none if mtrr is None else memtype_cell(mtrr),
        _entry(answer),
    ]


_SIX = f"columns {PAT_TYPES[0]} to {PAT_TYPES[-1]}: the effective type of a page of that PAT type"


def ranges_document(answers: Sequence[Answer]) -> Document:
    """Slots as ranges in the order of addresses, a row each, a column a PAT type."""
    header = ("GPA", "END", "LVL", *entry_columns(_npt(answers)), *map(str, PAT_TYPES), "RULE", "SLOT")
    rows = [
        [hex(a.gpa or 0), hex(a.end or 0), *_lead(a), *_effective(a), a.rule.id if a.rule else "-", _slot(a)]
        for a in sorted(answers, key=lambda a: (a.slot.address_space if a.slot else 0, a.gpa or 0))
    ]
    return Document([_title(answers), Table(header, rows, _SIX, owners=2)], grouped(answers))


def _npt(answers: Sequence[Answer]) -> bool:
    return bool(answers) and answers[0].kernel.npt is not None


def pages_document(answers: Sequence[Answer]) -> Document:
    """Single addresses, a row a PAT type asked for; all six in columns where none was named."""
    blocks: list[Block] = [_title(answers)]
    names = entry_columns(_npt(answers))
    asked = [a for a in answers if a.request is not None]
    one = [a for a in answers if a.pat is not None and a.request is None]
    six = [a for a in answers if a.pat is None and a.request is None]
    if asked:
        rows = [
            [hex(a.gpa or 0), *_lead(a), a.request or "", *_one(a), a.rule.id if a.rule else "-", _slot(a)]
            for a in asked
        ]
        blocks.append(Table(("GPA", "LVL", *names, "REQUEST", "PAT", "EFFECTIVE", "RULE", "SLOT"), rows, owners=2))
    if one:
        rows = [[hex(a.gpa or 0), *_lead(a), *_one(a), a.rule.id if a.rule else "-", _slot(a)] for a in one]
        blocks.append(Table(("GPA", "LVL", *names, "PAT", "EFFECTIVE", "RULE", "SLOT"), rows, owners=2))
    if six:
        rows = [[hex(a.gpa or 0), *_lead(a), *_effective(a), a.rule.id if a.rule else "-", _slot(a)] for a in six]
        blocks.append(Table(("GPA", "LVL", *names, *map(str, PAT_TYPES), "RULE", "SLOT"), rows, _SIX, owners=2))
    return Document(blocks, grouped(answers))


def _one(answer: Answer) -> list[Content]:
    if not answer.effective:
        return ["-" if answer.pat is None else str(answer.pat), "-"]
    ((pat, kind),) = answer.effective
    return [str(pat), effective_cell(answer, pat, kind)]


def _slot(answer: Answer) -> str:
    return answer.slot.name if answer.slot else "-"


def _title(answers: Sequence[Answer]) -> Cell:
    if not answers:
        return Cell("no answers", STRONG)
    return rules_title(answers[0].kernel)


def grouped(answers: Sequence[Answer]) -> list[str]:
    """The notes of answers, each once, with the slots it speaks of."""
    everyones = set(answers[0].notes).intersection(*(answer.notes for answer in answers)) if answers else set()
    pairs = []
    for answer in answers:
        owner = answer.slot.name if answer.slot else "" if answer.gpa is None else hex(answer.gpa)
        pairs += [("" if note in everyones else owner, note) for note in answer.notes]
    return [*npt_legend(answers), *grouped_notes(pairs)]
