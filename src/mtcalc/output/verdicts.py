# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts on expectations and hazards, file by file, as documents and plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, Union

from mtcalc.analysis.expectations import Verdict
from mtcalc.analysis.hazards import Hazard, HazardVerdict
from mtcalc.analysis.lookup import latest_summary
from mtcalc.kvm.hazards import HAZARDS
from mtcalc.kvm.note_codes import Level
from mtcalc.kvm.notes import Note
from mtcalc.kvm.vm import Slot
from mtcalc.output.document import (
    FAINT,
    STRONG,
    WARN,
    Block,
    Cell,
    Content,
    Document,
    Fields,
    Table,
    grouped_notes,
    rules_title,
    texts,
)
from mtcalc.rules.kernel import Kernel, kernel_notes
from mtcalc.text.errors import Place

SlotNotes = Sequence[tuple[Slot, Note]]
AnyVerdict: TypeAlias = Union[Verdict, HazardVerdict]


class Checked(NamedTuple):
    """One file: what was asked of it, and what was found."""

    file: str
    kernel: Kernel
    verdicts: Sequence[AnyVerdict]  # in the order of the file
    hazards: Sequence[Hazard]
    of_slots: SlotNotes = ()
    places: Mapping[Slot, Place] = {}  # where the slots stand

    @property
    def failed(self) -> int:
        """How many expectations do not hold."""
        return sum(bool(verdict.failures) for verdict in self.verdicts)

    @property
    def bad(self) -> bool:
        """Whether an expectation failed, or a hazard is an error."""
        return self.failed > 0 or any(hazard.level is Level.ERROR for hazard in self.hazards)

    def place(self, hazard: Hazard) -> Place | None:
        """Where the slot of a hazard stands."""
        return None if hazard.slot is None else self.places.get(hazard.slot)


def _summary(verdicts: Sequence[AnyVerdict]) -> str:
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


def _line(verdict: AnyVerdict) -> str:
    return str(verdict.expect.place)


def _gpa(verdict: AnyVerdict) -> int | None:
    return verdict.expect.gpa


def _pat(verdict: AnyVerdict) -> str | None:
    """The PAT type: the one that was named, or the guest's choice; None for none."""
    if isinstance(verdict, HazardVerdict):
        return None
    pat = verdict.expect.pat if verdict.expect.request is None else verdict.answer.pat
    return None if pat is None else str(pat)


def _what(verdict: AnyVerdict) -> str:
    if verdict.failures:
        return "; ".join(map(str, verdict.failures))
    if isinstance(verdict, HazardVerdict):
        name = f"{verdict.expect.code} {HAZARDS[verdict.expect.code].name}"
        return name if verdict.expect.wanted else f"no {name}"
    return f"rule {verdict.answer.rule.id}" if verdict.answer.rule else "no slot"


_OF_THE_VM = ("quirk-unknown", "quirk-idle", "unreachable")

TONES = {Level.ERROR: WARN, Level.WARNING: STRONG, Level.NOTE: FAINT}


def check_document(checked: Sequence[Checked]) -> Document:
    """Every file: its expectations, a row each, and the count; its hazards, a row a text."""
    blocks: list[Block] = []
    notes: list[str] = []
    several = len(checked) > 1
    for one in checked:
        title = rules_title(one.kernel)
        # A list without a line is a heading, with room above it.
        blocks.append(Fields((), title=f"{one.file}: {title.text}") if several else title)
        blocks += _blocks(one)
        said = {hazard.text for hazard in one.hazards}
        mine = [text for text in texts(_notes(one)) if text not in said]
        mine += _slot_lines(one)
        pairs = [(hex(v.expect.gpa), note) for v in one.verdicts if isinstance(v, Verdict) for note in v.notes]
        of_pages = any(hazard.code == "MT033" for hazard in one.hazards)
        mine += grouped_notes(pair for pair in pairs if not of_pages or pair[1].code != "no-pat-entry")
        notes += (f"{one.file}: {text}" if several else text for text in mine)
    if several:
        bad = sum(one.bad for one in checked)
        result = f"{bad} of {len(checked)} files failed" if bad else f"{len(checked)} files, none failed"
        blocks.append(Fields((), title=result))
    return Document(blocks, notes)


def _blocks(one: Checked) -> Iterator[Block]:
    rows: list[list[Content]] = [
        [
            Cell("FAILED", WARN) if verdict.failures else "ok",
            "-" if _gpa(verdict) is None else hex(_gpa(verdict) or 0),
            _pat(verdict) or "-",
            _line(verdict),
            _what(verdict),
        ]
        for verdict in one.verdicts
    ]
    if rows:
        yield Table(("RESULT", "GPA", "PAT", "WRITTEN AT", "BECAUSE"), rows)
    yield _summary(one.verdicts)
    if one.hazards:
        yield Table(("LEVEL", "CODE", "HAZARD"), list(_hazard_rows(one.hazards)))
    yield _hazard_summary(one.hazards)


_FEW_NOTES = 3
"""Texts of notes that are shown with their remedies; of more a code has one row, and --explain the remedies."""


def _hazard_rows(hazards: Sequence[Hazard]) -> Iterator[list[Content]]:
    """A row a code and text, behind the names of those whom it concerns; the remedy once a code."""
    groups: dict[tuple[str, str], list[Hazard]] = {}
    for hazard in hazards:
        groups.setdefault((hazard.code, hazard.text), []).append(hazard)
    last = dict(groups.keys())
    short = _short(hazards)
    joined: dict[str, list[str]] = {}
    for (code, text), found in groups.items():
        level, words = found[0].level, f"{_whose(found)}{text}"
        if short and level is Level.NOTE:
            joined.setdefault(code, []).append(words)
            continue
        remedy = f"; remedy: {HAZARDS[code].remedy}" if last[code] == text else ""
        yield [Cell(level.value, TONES[level]), code, f"{words}{remedy}"]
    for code, parts in joined.items():
        yield [Cell(Level.NOTE.value, TONES[Level.NOTE]), code, "; ".join(parts)]


def _short(hazards: Sequence[Hazard]) -> bool:
    """Whether there are more texts of notes than one glance takes in."""
    return len({(hazard.code, hazard.text) for hazard in hazards if hazard.level is Level.NOTE}) > _FEW_NOTES


def _whose(hazards: Sequence[Hazard], most: int = 3) -> str:
    """'ram, bar2 and 3 more: '; of a slot's part, its addresses as well."""
    names: dict[str, list[Hazard]] = {}
    for hazard in hazards:
        if hazard.gpa is not None:
            names.setdefault(hazard.slot.name if hazard.slot else "", []).append(hazard)
    words = [_where(name, found) for name, found in list(names.items())[:most]]
    if not words:
        return ""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(words)}{more}: "


def _where(name: str, hazards: Sequence[Hazard]) -> str:
    first = hazards[0]
    whole = first.slot is not None and len(hazards) == 1 and (first.gpa, first.end) == _span(first.slot)
    if whole:
        return name
    end = "" if first.end in (None, first.gpa) else f"-{first.end:#x}"
    more = f" and {len(hazards) - 1} more" if len(hazards) > 1 else ""
    return f"{name} {first.gpa or 0:#x}{end}{more}".strip()


def _span(slot: Slot) -> tuple[int, int]:
    return slot.gpa, slot.end - 1


def _hazard_summary(hazards: Sequence[Hazard]) -> str:
    if not hazards:
        return "no hazards"
    counts = [(level, sum(hazard.level is level for hazard in hazards)) for level in Level]
    words = [f"{count} {level.value}{'' if count == 1 else 's'}" for level, count in reversed(counts) if count]
    todo = ", and what to do" if _short(hazards) else ""
    code = next(hazard.code for hazard in hazards if not todo or hazard.level is Level.NOTE)
    grouped = len({(hazard.code, hazard.text) for hazard in hazards}) < len(hazards)
    words[-1] += " of slots and ranges" if grouped else ""
    return f"{', '.join(words)} (mtcalc check --explain {code} says more{todo})"


def _slot_lines(one: Checked, covered: bool = True) -> list[str]:
    """The notes of slots, each behind the names of those it is of; what all have in common behind none.

    `covered`: those that are hazards too are left out.
    """
    said = {hazard.text for hazard in one.hazards}
    return grouped_notes(
        ("" if note.code in _OF_THE_VM else slot.name, note)
        for slot, note in one.of_slots
        if not covered or note.text not in said
    )


def _notes(one: Checked) -> tuple[Note, ...]:
    answers = (verdict.answer for verdict in one.verdicts if isinstance(verdict, Verdict))
    return (*kernel_notes(one.kernel), *latest_summary(one.kernel, answers))


def verdict_record(verdict: AnyVerdict) -> dict[str, Any]:
    """One verdict as plain data."""
    gpa = _gpa(verdict)
    request = None if isinstance(verdict, HazardVerdict) else verdict.expect.request
    record: dict[str, Any] = {
        "gpa": None if gpa is None else hex(gpa),
        "pat": _pat(verdict),
        **({} if request is None else {"request": request}),
        "at": str(verdict.expect.place),
        "ok": not verdict.failures,
        "failures": [failure._asdict() for failure in verdict.failures],
        "notes": texts(verdict.answer.notes) if isinstance(verdict, Verdict) else [],
    }
    if isinstance(verdict, HazardVerdict):
        record["hazard" if verdict.expect.wanted else "no_hazard"] = verdict.expect.code
        record["slot"] = verdict.expect.slot
    return record


def hazard_record(hazard: Hazard) -> dict[str, Any]:
    """One hazard as plain data."""
    return {
        "code": hazard.code,
        "name": HAZARDS[hazard.code].name,
        "level": hazard.level.value,
        "slot": hazard.slot.name if hazard.slot else None,
        "gpa": None if hazard.gpa is None else hex(hazard.gpa),
        "end": None if hazard.end is None else hex(hazard.end),
        "text": hazard.text,
        "remedy": hazard.remedy,
        "source": hazard.source,
    }


def check_record(one: Checked) -> dict[str, Any]:
    """All that was found in one file as plain data."""
    return {
        "file": one.file,
        "rules": one.kernel.rules.name,
        "expectations": [verdict_record(verdict) for verdict in one.verdicts],
        "hazards": [hazard_record(hazard) for hazard in one.hazards],
        "failed": one.failed,
        "notes": [*texts(_notes(one)), *_slot_lines(one, covered=False)],
    }


def check_lines(checked: Sequence[Checked]) -> Iterator[dict[str, Any]]:
    """A line a verdict and a line a hazard."""
    for one in checked:
        yield from ({"file": one.file, **verdict_record(verdict)} for verdict in one.verdicts)
        yield from ({"file": one.file, **hazard_record(hazard)} for hazard in one.hazards)


HEADER = ("result", "gpa", "pat", "at", "key", "wanted", "got", "file", "code", "level", "slot", "end", "text")


def check_rows(checked: Sequence[Checked]) -> Iterator[list[str]]:
    """Header and rows; a failed key a row, one row for an expectation that holds, one a hazard."""
    yield list(HEADER)
    for one in checked:
        for verdict in one.verdicts:
            gpa = _gpa(verdict)
            where = ["" if gpa is None else hex(gpa), _pat(verdict) or "", _line(verdict)]
            code = verdict.expect.code if isinstance(verdict, HazardVerdict) else ""
            tail = [one.file, code, "", "", "", ""]
            if not verdict.failures:
                yield ["ok", *where, "", "", "", *tail]
            for failure in verdict.failures:
                yield ["failed", *where, failure.key, failure.wanted, failure.got, *tail]
        for hazard in one.hazards:
            record = {key: value or "" for key, value in hazard_record(hazard).items()}
            place = one.place(hazard)
            row = ["hazard", record["gpa"], "", "" if place is None else str(place), "", "", "", one.file]
            yield [*row, *(record[key] for key in ("code", "level", "slot", "end", "text"))]


# The table of codes ----------------------------------------------------------------------------------------------


def code_record(code: str) -> dict[str, Any]:
    """One row of the table of hazards as plain data."""
    return {"code": code, **HAZARDS[code]._asdict(), "level": HAZARDS[code].level.value}


def list_document() -> Document:
    """Every code, a line each."""
    rows: list[list[Content]] = [
        [code, Cell(row.level.value, TONES[row.level]), row.name, row.title] for code, row in HAZARDS.items()
    ]
    return Document([Table(("CODE", "LEVEL", "NAME", "WHAT"), rows)])


def explain_document(codes: Sequence[str]) -> Document:
    """All that is known of some codes."""
    blocks: list[Block] = []
    for code in codes:
        row = HAZARDS[code]
        words = (("when", row.when), ("then", row.harm), ("remedy", row.remedy), ("source", row.source))
        fields: list[tuple[str, Content]] = [("level", Cell(row.level.value, TONES[row.level])), *words]
        blocks.append(Fields(fields, title=f"{code} {row.name}: {row.title}"))
    return Document(blocks)


CODE_HEADER = ("code", "name", "level", "title", "when", "harm", "remedy", "source")


def code_rows(codes: Sequence[str]) -> Iterator[list[str]]:
    """Header and a row a code."""
    yield list(CODE_HEADER)
    for code in codes:
        record = code_record(code)
        yield [record[key] for key in CODE_HEADER]
