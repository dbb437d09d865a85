# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts on expectations as documents and plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mtcalc.analysis.answer import latest_summary
from mtcalc.analysis.expectations import Verdict
from mtcalc.kvm.notes import Note
from mtcalc.kvm.vm import Slot
from mtcalc.output.document import WARN, Block, Cell, Content, Document, Table, grouped_notes, rules_title, texts
from mtcalc.rules.kernel import Kernel, kernel_notes


def _summary(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "no expectations in this scenario (an expect: list has them)"
    failed = sum(bool(verdict.failures) for verdict in verdicts)
    if not failed:
        if len(verdicts) == 1:
            return "the one expectation holds"
        return f"{len(verdicts)} of {len(verdicts)} expectations hold"
    if len(verdicts) == 1:
        return "the one expectation failed"
    return f"{failed} of {len(verdicts)} expectations failed"


def _line(verdict: Verdict) -> str:
    return str(verdict.expect.place)


def _pat(verdict: Verdict) -> str:
    """The PAT type: the one that was named, or the guest's choice; '' for none."""
    pat = verdict.expect.pat if verdict.expect.request is None else verdict.answer.pat
    return "" if pat is None else str(pat)


def _what(verdict: Verdict) -> str:
    if verdict.failures:
        return "; ".join(map(str, verdict.failures))
    return f"rule {verdict.answer.rule.id}" if verdict.answer.rule else "no slot"


_OF_THE_VM = ("quirk-unknown", "quirk-idle", "unreachable")

SlotNotes = Sequence[tuple[Slot, Note]]


def check_document(kernel: Kernel, verdicts: Sequence[Verdict], of_slots: SlotNotes = ()) -> Document:
    """The expectations, a row each, and the count."""
    blocks: list[Block] = [rules_title(kernel)]
    rows: list[list[Content]] = [
        [
            Cell("FAILED", WARN) if verdict.failures else "ok",
            hex(verdict.expect.gpa),
            _pat(verdict) or "-",
            _line(verdict),
            _what(verdict),
        ]
        for verdict in verdicts
    ]
    if rows:
        blocks.append(Table(("RESULT", "GPA", "PAT", "WRITTEN AT", "BECAUSE"), rows))
    blocks.append(_summary(verdicts))
    pairs = [(hex(verdict.expect.gpa), note) for verdict in verdicts for note in verdict.notes]
    notes = [*texts(_notes(kernel, verdicts)), *_slot_lines(of_slots), *grouped_notes(pairs)]
    return Document(blocks, notes)


def _slot_lines(of_slots: SlotNotes) -> list[str]:
    """The notes of slots, each behind the names of those it is of; what all have in common behind none."""
    return grouped_notes(("" if note.code in _OF_THE_VM else slot.name, note) for slot, note in of_slots)


def _notes(kernel: Kernel, verdicts: Sequence[Verdict]) -> tuple[Note, ...]:
    return (*kernel_notes(kernel), *latest_summary(kernel, (verdict.answer for verdict in verdicts)))


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """One verdict as plain data."""
    return {
        "gpa": hex(verdict.expect.gpa),
        "pat": _pat(verdict) or None,
        **({} if verdict.expect.request is None else {"request": verdict.expect.request}),
        "at": str(verdict.expect.place),
        "ok": not verdict.failures,
        "failures": [failure._asdict() for failure in verdict.failures],
        "notes": texts(verdict.answer.notes),
    }


def check_record(kernel: Kernel, verdicts: Sequence[Verdict], of_slots: SlotNotes = ()) -> dict[str, Any]:
    """All verdicts as plain data."""
    return {
        "rules": kernel.rules.name,
        "expectations": [verdict_record(verdict) for verdict in verdicts],
        "failed": sum(bool(verdict.failures) for verdict in verdicts),
        "notes": [*texts(_notes(kernel, verdicts)), *_slot_lines(of_slots)],
    }


def check_rows(verdicts: Sequence[Verdict]) -> Iterator[list[str]]:
    """Header and rows; a failed key a row, one row for an expectation that holds."""
    yield ["result", "gpa", "pat", "at", "key", "wanted", "got"]
    for verdict in verdicts:
        where = [hex(verdict.expect.gpa), _pat(verdict), str(verdict.expect.place)]
        if not verdict.failures:
            yield ["ok", *where, "", "", ""]
        for failure in verdict.failures:
            yield ["failed", *where, failure.key, failure.wanted, failure.got]
