# SPDX-License-Identifier: GPL-2.0-only
"""A scenario's expectations against the answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mtcalc.analysis.answer import UNKNOWN, Answer
from mtcalc.analysis.evaluate import Evaluator, page_type_notes
from mtcalc.kvm.notes import Note
from mtcalc.kvm.points import Expect
from mtcalc.x86.ept import LEVEL_NAMES, mask_text
from mtcalc.x86.memtype import NptType, memtype_name


class Failure(NamedTuple):
    """One key of an expectation that does not hold, value and name together."""

    key: str
    wanted: str
    got: str

    def __str__(self) -> str:
        meaning = {str(kind): f" ({kind.meaning})" for kind in NptType} if self.key == "effective" else {}
        return f"{self.key}: wanted {self.wanted}, got {self.got}{meaning.get(self.got, '')}"


class Verdict(NamedTuple):
    """An expectation, the answer it was held against, and what failed: empty where it holds."""

    expect: Expect
    answer: Answer
    failures: tuple[Failure, ...]
    notes: tuple[Note, ...] = ()  # of the page asked about


def check_expectations(evaluator: Evaluator, expects: Sequence[Expect]) -> Iterator[Verdict]:
    """One verdict an expectation, in order."""
    for expect in expects:
        if expect.request is not None:
            from mtcalc.analysis.guest_pages import request_answer

            answer = request_answer(evaluator, expect)
            notes = tuple(note for note in answer.notes if note.code.startswith("request-"))
        else:
            answer = evaluator.page(expect.gpa, expect.pat, expect.private, expect.pat_index)
            notes = () if expect.pat is None else tuple(page_type_notes(evaluator.vm, expect.pat))
            if evaluator.vm.guest_release is not None:
                from mtcalc.analysis.guest_pages import with_type_note

                answer = with_type_note(evaluator, answer)
                notes = (*notes, *(note for note in answer.notes if note.code == "not-chosen"))
        yield Verdict(expect, answer, tuple(_failures(expect, answer)), notes)


def _byte(value: int | None, known: bool = False) -> str:
    if value is None:
        return "no EPT entry" if known else "unknown"
    return f"{value:#04x} ({mask_text(value)})"


def _failures(expect: Expect, answer: Answer) -> Iterator[Failure]:
    # An entry there is, and nobody knows which: it hangs on bytes of KVM's own.
    nothing = UNKNOWN if answer.slot is not None and answer.entry is None else "none"
    if expect.effective is not None:
        # Without a PAT type paging is off, and all six columns are the same.
        got = answer.effective[0][1] if answer.effective else None
        if got != expect.effective:
            yield Failure("effective", str(expect.effective), nothing if got is None else str(got))
    if expect.ept is not None and expect.ept != answer.byte:
        yield Failure(
            "ept", _byte(expect.ept), _byte(answer.byte, known=answer.slot is None or answer.entry is not None)
        )
    if expect.memtype is not None and expect.memtype != answer.memtype:
        got_name = nothing if answer.memtype is None else memtype_name(answer.memtype)
        yield Failure("memtype", str(expect.memtype), got_name)
    if expect.ipat is not None and expect.ipat is not answer.ipat:
        yield Failure("ipat", str(int(expect.ipat)), nothing if answer.ipat is None else str(int(answer.ipat)))
    if expect.level is not None and expect.level != answer.level:
        yield Failure("level", LEVEL_NAMES[expect.level], "none" if answer.level is None else LEVEL_NAMES[answer.level])
    if expect.guest_mtrr is not None:
        mtrr = answer.facts.guest_mtrr if answer.facts else None
        if mtrr != expect.guest_mtrr:
            yield Failure("guest_mtrr", str(expect.guest_mtrr), answer.guest_mtrr or "none")
    if expect.rule is not None and expect.rule != (answer.rule.id if answer.rule else None):
        yield Failure("rule", expect.rule, answer.rule.id if answer.rule else "none")
