# SPDX-License-Identifier: GPL-2.0-only
"""Differences between rule sets as documents and plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mtcalc.analysis.diff import Change, Diff, Row, change_record, outcome_record, row_record
from mtcalc.analysis.diff_words import notes, sentence, when_text
from mtcalc.output.document import FAINT, STRONG, Block, Cell, Content, Document, Fields, Table, memtype_tone
from mtcalc.rules.condition import GUEST_MTRR, Input, Value, domain
from mtcalc.rules.kernel import kernel_notes
from mtcalc.rules.rule import Outcome
from mtcalc.x86.ept import mask_text, split_mask
from mtcalc.x86.memtype import PAT_TYPES, memtype_name


def diff_blocks(found: Diff) -> list[Block]:
    """The sentence, the rows in a table of effective types, what each row's inputs are, what is around."""
    blocks: list[Block] = [f"{sentence(found)}."]
    if found.rows:
        blocks.append(_table(found))
        blocks.append(Fields([(str(n), when_text(row.when)) for n, row in enumerate(found.rows, 1)], title="when"))
    if found.around:
        rows: list[tuple[str, Content]] = []
        for difference in found.around:
            rows += [(difference.what, f"before: {difference.before}"), ("", f"after: {difference.after}")]
        blocks.append(Fields(rows, title="around the rules"))
    return blocks


def diff_document(found: Diff) -> Document:
    """Two rule sets' difference."""
    title = Cell(f"{found.before.rules.name} -> {found.after.rules.name}", STRONG)
    return Document([title, *diff_blocks(found)], diff_notes(found))


def diff_notes(found: Diff) -> list[str]:
    """Notes of the comparison and of both kernels."""
    legend = ["a>b: the effective type changes from a to b"] if found.rows else []
    both = dict.fromkeys((*kernel_notes(found.before), *kernel_notes(found.after)))
    return [*legend, *notes(found), *both]


def _table(found: Diff) -> Table:
    """A row a difference: bytes before and after, and per PAT type the effective type, a change as a>b."""
    rows: list[list[Content]] = []
    for number, row in enumerate(found.rows, 1):
        before = outcome_record(row.before, row.when)["effective"]
        after = outcome_record(row.after, row.when)["effective"]
        mtrr = [str(kind) for kind in row.when.get(GUEST_MTRR, domain(GUEST_MTRR))]
        cells = [_cell(_types(before[str(pat)], mtrr), _types(after[str(pat)], mtrr)) for pat in PAT_TYPES]
        rows.append([str(number), str(row.states), outcome_cell(row.before), outcome_cell(row.after), *cells])
    return Table(("ROW", "INPUTS", "BEFORE", "AFTER", *map(str, PAT_TYPES)), rows)


def outcome_cell(outcome: Outcome) -> Cell:
    """An outcome, short: '0x70 WB,1', 'MTRR,0'."""
    encoding, ipat = split_mask(outcome.const)
    if outcome.memtype_of is not None:
        word = "MTRR" if outcome.memtype_of.name == "guest_mtrr" else outcome.memtype_of.arg
        return Cell(f"{word},{int(ipat)}")
    return Cell(f"{outcome.const:#04x} {memtype_name(encoding)},{int(ipat)}", memtype_tone(encoding))


def _types(value: Any, mtrr: Sequence[str] = ()) -> str:
    """One effective type, or those it can be; 'MTRR' where that is each of the row's guest MTRR types."""
    if value is None:
        return "-"
    if not isinstance(value, list):
        return str(value)
    return "MTRR" if value == list(mtrr) else "/".join(map(str, value))


def _cell(before: str, after: str) -> Cell:
    return Cell(before, FAINT) if before == after else Cell(f"{before}>{after}", STRONG)


def expanded_document(found: Diff) -> Document:
    """Every single change, a row each."""
    header = ("BEFORE", "AFTER", "INPUTS")
    rows: list[list[Content]] = [
        [_byte(change.before), _byte(change.after), _inputs(found, change)] for change in found.changes
    ]
    title = Cell(f"{found.before.rules.name} -> {found.after.rules.name}", STRONG)
    blocks: list[Block] = [title, f"{sentence(found)}."]
    if rows:
        blocks.append(Table(header, rows))
    return Document(blocks, diff_notes(found)[bool(found.rows) :])


def _byte(byte: int) -> Cell:
    return Cell(f"{byte:#04x}", memtype_tone(split_mask(byte)[0]))


def _inputs(found: Diff, change: Change) -> str:
    return when_text({item: (value,) for item, value in zip(found.inputs, change.values, strict=True)})


def diff_record(found: Diff, expand: bool) -> dict[str, Any]:
    """The whole difference as plain data."""
    return {
        "before": found.before.rules.name,
        "after": found.after.rules.name,
        "text": sentence(found),
        "changed": found.changed_count,
        "reachable": found.total,
        "left_out": found.left_out,
        "rows": list(diff_lines(found, expand)),
        "around": [difference._asdict() for difference in found.around],
        "notes": list(notes(found)),
    }


def diff_lines(found: Diff, expand: bool) -> Iterator[dict[str, Any]]:
    """A record a row, or a single combination of inputs."""
    if expand:
        return (change_record(found, change) for change in found.changes)
    return (row_record(found, row) for row in found.rows)


def diff_rows(found: Diff, expand: bool) -> Iterator[Sequence[str]]:
    """Header and a row a difference: the inputs in words, the bytes, the effective types."""
    pats = [str(pat) for pat in PAT_TYPES]
    yield ["when", "count", "before", "after", *(f"before {pat}" for pat in pats), *(f"after {pat}" for pat in pats)]
    for row in _single_rows(found) if expand else found.rows:
        before = outcome_record(row.before, row.when)
        after = outcome_record(row.after, row.when)
        sides = [_types(record["effective"][pat]) for record in (before, after) for pat in pats]
        yield [when_text(row.when), str(row.states), _mask(row.before), _mask(row.after), *sides]


def _single_rows(found: Diff) -> Iterator[Row]:
    for change in found.changes:
        when: dict[Input, tuple[Value, ...]] = {
            item: (value,) for item, value in zip(found.inputs, change.values, strict=True)
        }
        yield Row(when, Outcome(change.before), Outcome(change.after), 1)


def _mask(outcome: Outcome) -> str:
    return f"{outcome.const:#04x}" if outcome.memtype_of is None else str(outcome)


def byte_words(byte: int) -> str:
    """0x70 -> '0x70 (WB, ignore PAT)'."""
    return f"{byte:#04x} ({mask_text(byte)})"
