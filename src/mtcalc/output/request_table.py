# SPDX-License-Identifier: GPL-2.0-only
"""The matrix request x guest MTRR type -> PAT type -> effective type, for one rule set or several side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from re import sub

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.side_by_side import difference
from mtcalc.kvm.notes import Note
from mtcalc.kvm.release import Version, sort_key
from mtcalc.linux.functions import FUNCTIONS, Way, parse_request
from mtcalc.output.answers import entry_columns
from mtcalc.output.document import Block, Cell, Content, Document, Fields, Table, rules_title
from mtcalc.output.side_by_side import Sides, ept_cell, side_notes, type_cells
from mtcalc.output.table import fixed_words

_OF_A_ROW = ("request-changed", "ignore-pat", "starred")
"""Notes that the rows themselves say."""


def requests_document(sides: Sequence[Sequence[Answer]], release: Version) -> Document:
    """Rows that come out equal are one; a side is request_matrix()'s answers; `release`: the guest's."""
    names = Sides([side[0].kernel for side in sides])
    several = len(sides) > 1
    guest = sides[0][0].guest
    what = f"request to {guest} x guest MTRR type -> PAT type -> effective type"
    head = names.head(_differing(sides, names)) if several else [rules_title(names.kernel, names.first)]
    host = sides[0][0].facts.host_mtrr if names.npt and sides[0][0].facts else None
    fixed = fixed_words(sides) if host is None else f"host MTRR {host}, {fixed_words(sides)}"
    blocks: list[Block] = [*head, f"{what}; memory that is not RAM; {fixed}"]
    for label, mine in zip(names.labels, sides, strict=True):
        columns = ("REQUEST", "MTRR", "PAT", "ENTRY", entry_columns(names.npt)[1], "EFFECTIVE", "RULE")
        blocks.append(Table(columns, list(_rows(mine, sides[0])), label if several else ""))
    blocks.append(Fields(list(_callers(sides[0], release))))
    differs = any(difference(a, b).found for mine in sides[1:] for a, b in zip(sides[0], mine, strict=True))
    return Document(blocks, (*names.mark_note(differs), *_notes(sides, names)))


def _differing(sides: Sequence[Sequence[Answer]], names: Sides) -> str:
    """How much differs, in one sentence a rule set."""
    said = []
    for label, mine in zip(names.labels[1:], sides[1:], strict=True):
        found = [difference(a, b) for a, b in zip(sides[0], mine, strict=True)]
        types, masks = sum(bool(one.pats) for one in found), sum(one.byte for one in found)
        entries = "NPT entries" if names.npt else "EPT bytes"
        what = f"{types or 'none'} of {len(found)} effective types and {masks or 'none'} of {len(found)} {entries}"
        said.append(f"{what} differ between {names.first} and {label}")
    return "; ".join(said)


def _rows(mine: Sequence[Answer], first: Sequence[Answer]) -> Iterator[list[Content]]:
    merged: dict[tuple[object, ...], list[tuple[Answer, Answer]]] = {}
    for answer, base in zip(mine, first, strict=True):
        key = answer.request, answer.rule and answer.rule.id, answer.byte, answer.effective, difference(base, answer)
        merged.setdefault(key, []).append((answer, base))
    every = len({answer.facts and answer.facts.guest_mtrr for answer in mine})
    said = None
    for group in merged.values():
        answer, base = group[0]
        found = difference(base, answer)
        kinds = " ".join(str(one.facts.guest_mtrr) for one, _ in group if one.facts)
        mtrr = "any" if len(group) == every > 1 else kinds
        name = "" if answer.request == said else answer.request or ""
        said = answer.request
        pat = "-" if answer.pat is None else str(answer.pat)
        entry = "-" if answer.pat_index is None else str(answer.pat_index)
        types = type_cells(answer, found.pats) or [Cell("-")]
        rule = answer.rule.id if answer.rule else "-"
        yield [name, mtrr, pat, entry, ept_cell(answer, found.byte), *types, rule]


def _callers(answers: Sequence[Answer], release: Version) -> Iterator[tuple[str, Content]]:
    """For each type that was asked for, the functions that ask for it."""
    for name in dict.fromkeys(answer.request or "" for answer in answers):
        request = parse_request(name)
        rows = [row for row in FUNCTIONS if row.asks is request.asks and row.way is not Way.INSERT]
        callers = [row.name for row in rows if sort_key(row.since) <= sort_key(release)]
        if name == str(request.asks) and callers:
            yield name, f"asked for by {', '.join(callers)}"


def _notes(sides: Sequence[Sequence[Answer]], names: Sides) -> list[str]:
    """The notes of each side's answers, whichever of them has it, but for those that rows say."""

    def all_of(side: Sequence[Answer]) -> tuple[Note, ...]:
        said = {note: None for one in side for note in one.notes if note.code not in (*_OF_A_ROW, "npt-index")}
        # Which entry it is stands in the row, so what is left is the same of all.
        indices = (note for one in side for note in one.notes if note.code == "npt-index")
        plain = {note._replace(text=sub(r" \([^)]*\)", "", note.text)) for note in indices}
        return (*said, *sorted(plain, key=str))

    everyones = [side[0]._replace(notes=all_of(side)) for side in sides]
    return side_notes([everyones], names, [answer for side in sides for answer in side])
