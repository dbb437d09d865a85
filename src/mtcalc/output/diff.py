# SPDX-License-Identifier: GPL-2.0-only
"""Differences between rule sets as documents and plain data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mtcalc.analysis.answer import starred
from mtcalc.analysis.diff import Change, Diff, DiffRow, by_pat, outcome_bytes
from mtcalc.analysis.diff_words import notes, sentence, when_text
from mtcalc.kvm.notes import Note
from mtcalc.output.diff_records import change_record, mmio_record, outcome_record, row_record
from mtcalc.output.document import (
    FAINT,
    STRONG,
    Block,
    Cell,
    Content,
    Document,
    Fields,
    Table,
    memtype_tone,
    text_of,
    texts,
)
from mtcalc.output.plain import WIDTH
from mtcalc.rules.inputs import GUEST_MTRR, Facts, Input, Value, domain, input_words, with_value
from mtcalc.rules.kernel import kernel_label, kernel_notes
from mtcalc.rules.rule import Outcome
from mtcalc.x86.ept import IPAT_BIT, MEMTYPE_SHIFT, odd_byte, split_mask
from mtcalc.x86.memtype import PAT_TYPES, MemType, memtype_name


def diff_blocks(found: Diff) -> list[Block]:
    """The sentence, the rows in a table of effective types, what each row's inputs are, what is around."""
    blocks: list[Block] = [f"{sentence(found)}."]
    if found.rows:
        blocks += diff_tables(found)
        blocks.append(Fields([(str(n), when_text(row.when)) for n, row in enumerate(found.rows, 1)], title="when"))
    blocks += host_page_blocks(found)
    if found.around:
        rows: list[tuple[str, Content]] = []
        for difference in found.around:
            rows += [(difference.what, f"before: {difference.before}"), ("", f"after: {difference.after}")]
        blocks.append(Fields(rows, title="around the rules"))
    return blocks


def host_page_blocks(found: Diff) -> list[Block]:
    """Which host pages become or stop being MMIO; nothing where none does."""
    if found.mmio is None or not found.mmio.changed:
        return []
    rows: list[tuple[str, Content]] = [(f"{row.before} -> {row.after}", when_text(row.when)) for row in found.mmio.rows]
    return [Fields(rows, title="host pages that change")]


def diff_document(found: Diff) -> Document:
    """Two rule sets' difference."""
    title = Cell(f"{kernel_label(found.before)} -> {kernel_label(found.after)}", STRONG)
    return Document([title, *diff_blocks(found)], diff_notes(found))


def diff_notes(found: Diff, legend: bool = True) -> list[str]:
    """Notes of the comparison and of both kernels, behind the legend if that is asked for."""
    return [*(diff_legend(found) if legend else ()), *texts(_spoken(found))]


def diff_legend(found: Diff) -> list[str]:
    """What the table's words stand for."""
    legend = ["a>b: the effective type changes from a to b"] if found.rows else []
    legend += ["*: for some inputs or all, undefined in previous editions of the manual"] if _any_starred(found) else []
    return legend + [f"{word}: {input_words(item)}" for item, word in _type_words(found).items() if item != GUEST_MTRR]


def _spoken(found: Diff) -> list[Note]:
    """Notes of the comparison and of both kernels."""
    overlap = sum(row.states for row in found.rows) - found.changed_count
    counted = "1 input is" if overlap == 1 else f"{overlap} inputs are"
    said = [Note("overlap", f"rows overlap: {counted} counted twice or more")] if overlap else []
    if not found.fewest:
        said.append(Note("not-fewest", "the rows say every change, but need not be the fewest that do"))
    changed = [
        byte for table in (found.bytes_before, found.bytes_after) for byte in table if table[byte] & found.changed
    ]
    odd = ((byte, odd_byte(byte)) for byte in sorted(set(changed)))
    said += [Note("odd-byte", f"{byte:#04x}: {words}") for byte, words in odd if words]
    both = dict.fromkeys((*kernel_notes(found.before), *kernel_notes(found.after)))
    return [*said, *notes(found), *both]


def _type_words(found: Diff) -> dict[Input, str]:
    """What the table calls the memory types that rows take from inputs: a source text may be long."""
    taken = (outcome.memtype_of for row in found.rows for outcome in (row.before, row.after))
    items = [item for item in dict.fromkeys(taken) if item not in (None, GUEST_MTRR)]
    words = {item: "TYPE" if len(items) == 1 else f"TYPE{at}" for at, item in enumerate(items, 1) if item}
    return {GUEST_MTRR: "MTRR", **words}


def diff_tables(found: Diff) -> list[Block]:
    """A row a difference: bytes before and after, and per PAT type the effective type, a change as a>b.

    In one table, or where that were too wide in several, each with some of the columns.
    """
    words = _type_words(found)
    rows: list[list[Content]] = []
    for number, row in enumerate(found.rows, 1):
        cells = [_pat_cell(row, pat, words) for pat in PAT_TYPES]
        rows.append(
            [str(number), str(row.states), outcome_cell(row.before, words), outcome_cell(row.after, words), *cells]
        )
    header = ("ROW", "INPUTS", "BEFORE", "AFTER", *map(str, PAT_TYPES))
    widths = [max(map(len, map(text_of, column))) for column in zip(header, *rows, strict=True)]
    tables: list[Block] = []
    at = 1
    while at < len(header):
        end = at + 1
        while end < len(header) and widths[0] + sum(width + 1 for width in widths[at : end + 1]) <= WIDTH:
            end += 1
        shown = [0, *range(at, end)]
        tables.append(Table(tuple(header[n] for n in shown), [[row[n] for n in shown] for row in rows]))
        at = end
    return tables


def outcome_cell(outcome: Outcome, words: Mapping[Input, str]) -> Cell:
    """An outcome, short: '0x70 WB,1', 'MTRR,0'; `words` for the inputs that memory types are taken from."""
    encoding, ipat = split_mask(outcome.const)
    if outcome.memtype_of is not None:
        shift = "" if outcome.shift == MEMTYPE_SHIFT else f"<<{outcome.shift}"
        other = outcome.const & ~IPAT_BIT
        return Cell(f"{words[outcome.memtype_of]}{shift}{f'|{other:#x}' if other else ''},{int(ipat)}")
    return Cell(f"{outcome.const:#04x} {memtype_name(encoding)},{int(ipat)}", memtype_tone(encoding))


def _pat_cell(row: DiffRow, pat: MemType, words: Mapping[Input, str]) -> Cell:
    """A row's effective type with a PAT type; changed if it is with any of the memory types that the row admits."""
    items = {outcome.memtype_of for outcome in (row.before, row.after)} - {None}
    same = True
    for values in itertools.product(*(row.when.get(item, domain(item)) for item in items if item)):
        facts = Facts()
        for item, value in zip(items, values, strict=True):
            facts = with_value(facts, item, value) if item else facts
        same = same and by_pat(row.before.byte(facts))[pat] == by_pat(row.after.byte(facts))[pat]
    outcomes = row.before, row.after
    stars = ["*" if _starred(outcome, row, pat) else "" for outcome in outcomes]
    if same:  # one cell for both sides, starred where either is
        stars = [max(stars)] * 2
    before, after = (_side(outcome, row, pat, words, star) for outcome, star in zip(outcomes, stars, strict=True))
    return Cell(before, FAINT) if same else Cell(f"{before}>{after}", STRONG)


def _side(outcome: Outcome, row: DiffRow, pat: MemType, words: Mapping[Input, str], star: str) -> str:
    value = outcome_record(outcome, row.when)["effective"][str(pat)]
    item = outcome.memtype_of
    if item is not None and value == [str(kind) for kind in row.when.get(item, domain(item))]:
        return words[item]
    return _types(value) + star


def _types(value: Any) -> str:
    """One effective type, or those it can be."""
    return "/".join("-" if kind is None else str(kind) for kind in (value if isinstance(value, list) else [value]))


def _starred(outcome: Outcome, row: DiffRow, pat: MemType) -> bool:
    """Whether some byte that the outcome can be in the row leads to a starred cell of the manual's table."""
    return any(starred(byte, pat) for byte in outcome_bytes(outcome, row.when))


def _any_starred(found: Diff) -> bool:
    sides = ((side, row) for row in found.rows for side in (row.before, row.after))
    return any(_starred(side, row, pat) for side, row in sides for pat in PAT_TYPES)


def expanded_document(found: Diff) -> Document:
    """Every single change, a row each."""
    header = ("BEFORE", "AFTER", "INPUTS")
    rows: list[list[Content]] = [
        [_byte(change.before), _byte(change.after), _inputs(found, change)] for change in found.changes
    ]
    title = Cell(f"{kernel_label(found.before)} -> {kernel_label(found.after)}", STRONG)
    blocks: list[Block] = [title, f"{sentence(found)}."]
    if rows:
        blocks.append(Table(header, rows))
    return Document(blocks, texts(_spoken(found)))


def _byte(byte: int) -> Cell:
    return Cell(f"{byte:#04x}", memtype_tone(split_mask(byte)[0]))


def _inputs(found: Diff, change: Change) -> str:
    return when_text({item: (value,) for item, value in zip(found.inputs, change.values, strict=True)})


def diff_record(found: Diff, expand: bool) -> dict[str, Any]:
    """The whole difference as plain data."""
    return {
        "before": found.before.rules.name,
        "after": found.after.rules.name,
        "before_ref": found.before.ref,
        "after_ref": found.after.ref,
        "text": sentence(found),
        "changed": found.changed_count,
        "reachable": found.total,
        "left_out": found.left_out,
        "rows": list(diff_lines(found, expand)),
        "mmio_rows": [] if found.mmio is None else [mmio_record(row) for row in found.mmio.rows],
        "around": [difference._asdict() for difference in found.around],
        "notes": texts(_spoken(found)),
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


def _single_rows(found: Diff) -> Iterator[DiffRow]:
    for change in found.changes:
        when: dict[Input, tuple[Value, ...]] = {
            item: (value,) for item, value in zip(found.inputs, change.values, strict=True)
        }
        yield DiffRow(when, Outcome(change.before), Outcome(change.after), 1)


def _mask(outcome: Outcome) -> str:
    return f"{outcome.const:#04x}" if outcome.memtype_of is None else str(outcome)
