# SPDX-License-Identifier: GPL-2.0-only
"""The matrix guest MTRR type x PAT type, and the rows of a search, for one rule set or several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtcalc.analysis.answer import Answer, notes_of_each
from mtcalc.analysis.diff_words import when_text
from mtcalc.analysis.side_by_side import difference
from mtcalc.analysis.table import Search, SearchRow, Where, rows
from mtcalc.kvm.versions import VmType
from mtcalc.output.answers import entry_columns, mtrr_that_counts
from mtcalc.output.document import Block, Content, Document, Table, rules_title
from mtcalc.output.side_by_side import Sides, ept_cell, side_notes, type_cells
from mtcalc.rules.inputs import GUEST_MTRR, HOST_MTRR, Input, Value, input_words, value_of
from mtcalc.rules.kernel import kernel_notes
from mtcalc.rules.rule import inputs_read
from mtcalc.x86.memtype import MemType


def matrix_document(sides: Sequence[Sequence[Answer]], pats: Sequence[MemType]) -> Document:
    """A row a guest MTRR type, under NPT a host MTRR type, a column a PAT type; rows that come out equal are one.

    A side is matrix()'s answers.
    """
    names = Sides([side[0].kernel for side in sides])
    several = len(sides) > 1
    blocks: list[Block] = [rules_title(names.kernel, names.first)]
    if several:
        blocks = names.head(_matrix_words(sides, names))
    across = "host MTRR type down, guest PAT type across" if names.npt else "guest MTRR type down, PAT type across"
    blocks.append(f"{across}; {fixed_words(sides)}")
    columns = (*entry_columns(names.npt), *map(str, pats), "RULE")
    for label, mine in zip(names.labels, sides, strict=True):
        blocks.append(Table(columns, _matrix_rows(mine, sides[0]), label if several else ""))
    differs = any(difference(a, b).found for mine in sides[1:] for a, b in zip(sides[0], mine, strict=True))
    return Document(blocks, (*names.mark_note(differs), *_notes(sides, names)))


def _matrix_rows(lines: Sequence[Answer], first: Sequence[Answer]) -> list[list[Content]]:
    merged: dict[tuple[object, ...], list[tuple[Answer, Answer]]] = {}
    for answer, base in zip(lines, first, strict=True):
        key = answer.rule and answer.rule.id, answer.entry, answer.effective, difference(base, answer)
        merged.setdefault(key, []).append((answer, base))
    table: list[list[Content]] = []
    for group in merged.values():
        answer, base = group[0]
        found = difference(base, answer)
        kinds = [str(mtrr_that_counts(a)) for a, _ in group]
        every = len(kinds) > 1 and len(group) == len(lines)
        mtrr = "any" if every else " ".join(kinds)
        rule = answer.rule.id if answer.rule else "-"
        table.append([mtrr, ept_cell(answer, found.byte), *type_cells(answer, found.pats), rule])
    return table


def _matrix_words(lines: Sequence[Sequence[Answer]], names: Sides) -> str:
    """How much differs, in one sentence a rule set."""
    said = []
    cells = sum(len(answer.effective) for answer in lines[0])
    entries = "NPT entries" if names.npt else "EPT bytes"
    for label, mine in zip(names.labels[1:], lines[1:], strict=True):
        found = [difference(a, b) for a, b in zip(lines[0], mine, strict=True)]
        types, masks = sum(len(one.pats) for one in found), sum(one.byte for one in found)
        what = f"{types or 'none'} of {cells} effective types and {masks or 'none'} of {len(found)} {entries}"
        said.append(f"{what} differ between {names.first} and {label}")
    return "; ".join(said)


def fixed_words(sides: Sequence[Sequence[Answer]]) -> str:
    """The fixed inputs that some rule set reads: 'host MMIO no, non-coherent DMA yes'."""
    said = {}
    for side in sides:
        facts = side[0].facts
        for item in inputs_read(side[0].kernel.rules):
            if item != GUEST_MTRR and facts is not None:
                value = value_of(item, facts)
                words = str(value) if isinstance(value, MemType) else "yes" if value else "no"
                said[item] = f"{input_words(item)} {words}"
    if sides[0][0].kernel.npt is not None:
        return _npt_inputs(sides[0][0])
    return ", ".join(said.values()) or "no other input is read"


def _npt_inputs(answer: Answer) -> str:
    """What else decides under NPT, where it is so."""
    said = []
    if answer.facts is not None and answer.facts.cr0_cd:
        said.append("guest CR0.CD yes")
    if answer.kernel.vm_type is VmType.SNP:
        said.append("an SNP guest")
    return ", ".join(said) or "guest CR0.CD no"


def _combinations(result: Search) -> str:
    return "combination" if result.found[0].total == 1 else "combinations"


def search_document(result: Search, wheres: Sequence[Where]) -> Document:
    """Who gets it: the combinations that fit, in as few rows as say it; a dot where a PAT type does not fit."""
    names = Sides([found.kernel for found in result.found])
    what = ", ".join(where.text.strip() for where in wheres)
    counts = [f"{len(found.answers) or 'none'} of {found.total}" for found in result.found]
    several = len(result.found) > 1
    if several:
        each = ", ".join(f"{count} under {label}" for count, label in zip(counts, names.labels, strict=True))
        blocks = names.head(f"combinations of inputs with {what}: {each}{_apart(result)}")
    else:
        blocks = [rules_title(names.kernel, names.first), f"{counts[0]} {_combinations(result)} of inputs: {what}"]
    differs = False
    for label, found in zip(names.labels, result.found, strict=True):
        table = rows(result, found)
        mtrr = GUEST_MTRR if found.kernel.npt is None else HOST_MTRR
        read = (*inputs_read(found.kernel.rules), *found.kernel.also_read)
        fixed = mtrr not in result.space.inputs and mtrr in read
        if table:
            columns = (*entry_columns(names.npt), *map(str, result.pats), "RULE", "WHEN")
            common = _common(table, mtrr)
            said = [label] if several else []
            said += [f"WHEN, in every row: {when_text(common)}"] if common else []
            cells = [_search_row(row, mtrr, fixed, common) for row in table]
            blocks.append(Table(columns, cells, "; ".join(said)))
        differs = differs or any(row.byte_differs for row in table)
    legend = [f"! another EPT byte under {names.first}"] if differs else []
    if names.npt and any("".join(where.text.split()).lower() == "effective=uc" for where in wheres):
        legend.append("CD, uncached as well, is another type: --where effective=CD")
    # A side without an answer still has the notes that its every answer would have.
    shown = [answer for found in result.found for answer in found.answers]
    sides = [found.answers or [found.states[0]._replace(notes=kernel_notes(found.kernel))] for found in result.found]
    return Document(blocks, (*legend, *_notes(sides, names, shown), *_left_out(result, names)))


def _notes(sides: Sequence[Sequence[Answer]], names: Sides, shown: Sequence[Answer] | None = None) -> list[str]:
    """The notes of each side's answers, whichever of them has it; `shown` as side_notes() has it, None: all."""
    everyones = [
        side[0]._replace(notes=tuple(dict.fromkeys(note for answer in side for note in notes_of_each(answer))))
        for side in sides
    ]
    return side_notes([everyones], names, [answer for side in sides for answer in side] if shown is None else shown)


def _apart(result: Search) -> str:
    """How many combinations fit under some of the rule sets and not under others."""
    apart = 0
    for which in zip(*(found.fits for found in result.found), strict=True):
        apart += sum(any(fit) and not all(fit) for fit in zip(*which, strict=True))
    return f"; {apart} not under {'both' if len(result.found) == 2 else 'all'}" if apart else "; the same ones"


def _common(table: Sequence[SearchRow], counts: Input) -> dict[Input, tuple[Value, ...]]:
    """What several rows have in common, all of them; but for the input that has a column."""
    first, *rest = (row.when for row in table)
    alike = {item: some for item, some in first.items() if all(when.get(item) == some for when in rest)}
    return {item: some for item, some in alike.items() if rest and item != counts}


def _search_row(row: SearchRow, counts: Input, fixed: bool, common: Mapping[Input, tuple[Value, ...]]) -> list[Content]:
    answer = row.answer
    if fixed and answer.facts is not None:
        mtrr = str(mtrr_that_counts(answer))
    else:
        mtrr = " ".join(map(str, row.when.get(counts, ()))) or "any"
    cells: list[Content] = []
    for cell, fit in zip(type_cells(answer), row.fits, strict=True):
        cells.append(cell if fit else ".")
    rule = answer.rule.id if answer.rule else "-"
    when = {item: values for item, values in row.when.items() if item != counts and item not in common}
    words = when_text(when) if when or not common else "-"
    return [mtrr, ept_cell(answer, row.byte_differs), *cells, rule, words]


def _left_out(result: Search, names: Sides) -> list[str]:
    notes = []
    for found, label in zip(result.found, names.labels, strict=True):
        count = found.left_out.bit_count() * len(result.pats)
        if count:
            why = "; ".join(state.why for state in found.kernel.unreachable)
            whose = f"{label}: " if len(result.found) > 1 else ""
            notes.append(f"{whose}{count} combinations left out: the kernel cannot get there ({why})")
    return notes
