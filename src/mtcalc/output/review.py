# SPDX-License-Identifier: GPL-2.0-only
"""What a review shows of a change and asks about it, as blocks of a document fit for one screen, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtcalc.analysis.around import Around
from mtcalc.analysis.diff import Change, Diff, DiffRow, by_pat, outcome_bytes
from mtcalc.analysis.diff_words import sentence, when_text
from mtcalc.analysis.questions import Remark
from mtcalc.analysis.review_states import is_plain, state_of
from mtcalc.output.diff import diff_tables, host_page_blocks
from mtcalc.output.diff_records import change_record
from mtcalc.output.document import Block, Content, Fields, Table
from mtcalc.rules.inputs import Input, Value
from mtcalc.rules.rule import inputs_read

When = dict[Input, tuple[Value, ...]]


def change_blocks(found: Diff, remarks: Sequence[Remark]) -> list[Block]:
    """As `diff` has it, but nothing twice: what a question says or all rows have in common is said once."""
    blocks: list[Block] = [f"{change_text(found, remarks)}."]
    if found.rows:
        blocks += [*diff_tables(found), _when(found.rows)]
    return [*blocks, *host_page_blocks(found), *around_blocks(found, found.around)]


def change_text(found: Diff, remarks: Sequence[Remark]) -> str:
    """The difference in a sentence, without what a question says."""
    codes = {remark.code for remark in remarks}
    return sentence(found, stops="input-stops" not in codes, starts="input-starts" not in codes)


def around_blocks(found: Diff, around: Sequence[Around]) -> list[Block]:
    """What differs around the rules, a line each; nothing where nothing does. `around`: those of `found` to be said."""
    return (
        [Fields([(one.what, _around_text(found, one)) for one in around], title="around the rules")] if around else []
    )


def _when(rows: Sequence[DiffRow]) -> Fields:
    """Each row's inputs; what several rows have in common stands above them."""
    if len(rows) == 1:
        return Fields((), title=f"when {when_text(rows[0].when)}")
    common = {item: some for item, some in rows[0].when.items() if all(row.when.get(item) == some for row in rows)}
    alone = [{item: some for item, some in row.when.items() if item not in common} for row in rows]
    return Fields(
        [(str(number), when_text(when)) for number, when in enumerate(alone, 1)],
        title=f"when {when_text(common)}, and" if common else "when",
    )


def _around_text(found: Diff, one: Around) -> str:
    if one.after.startswith(f"{one.before}, "):
        more = one.after.removeprefix(f"{one.before}, ")
        read = {item.arg for item in inputs_read(found.after.rules) if item.name == "slot_flag"}
        # That answers are made as if a flag that is read were accepted is no word on who has KVM accept it.
        taken = " (taken so, as the rules read it)" if one.what == "slot flags accepted" and more in read else ""
        return f"{more} too{taken}"
    # The file's name stands in the head, and may be longer than a line.
    after = one.after.removesuffix(f"() of {found.after.ref}")
    return f"{one.before} -> {one.after if after == one.after else f'{after}() as patched'}"


_MEANT = ": is that meant?"
"""What most questions end with: said once, above all of them."""


def question_blocks(found: Diff | None, remarks: Sequence[Remark], names: Sequence[str] = ()) -> list[Block]:
    """The questions, each with how many changes it is about, and one of them: its row and what shows it there.

    `names`: what the rows are called, where not by their numbers.
    """
    if not remarks:
        return []
    if found is None or not any(remark.example for remark in remarks):
        return [Fields([("-", _said(remark)) for remark in remarks], title=f"QUESTIONS{_MEANT}")]
    columns = [f"OF {found.changed_count}", "ROW", "PAT", f"QUESTIONS{_MEANT}"]
    rows: list[list[Content]] = []
    for remark in remarks:
        if remark.example is None:
            rows.append(["-", "-", "", _said(remark)])
            continue
        number, rest = _row_of(found, remark.example)
        such = f" (as with {when_text(rest)})" if rest else ""
        name = names[number - 1] if names else str(number)
        rows.append([str(remark.states), name, _from_to(remark.example, remark), f"{_said(remark)}{such}"])
    if not any(row[2] for row in rows):
        columns.pop(2)
        rows = [[*row[:2], row[3]] for row in rows]
    return [Table(tuple(columns), rows)]


def _said(remark: Remark) -> str:
    """A question's text, and the line that shows it."""
    text = remark.text.removesuffix(_MEANT)
    return text if remark.place is None else f"{text} ({remark.place.file}:{remark.place.line})"


def untouched_text(asked: Sequence[str], why: str = "", beside: bool = False) -> str:
    """What there is to say of patches that touch no rule.

    `asked`: what rules ask by name, and the patches change; `why` that is not followed; `beside`: they change more.
    """
    if not asked and beside:
        return "touches no rule itself, and what it changes beside the rules is not followed"
    if not asked:
        return "touches no rule: vmx_get_mt_mask() and what it calls stay as they are"
    from mtcalc.patches.known import listed_names

    names = listed_names(asked)
    what = "its meaning is" if len(asked) == 1 else "their meanings are"
    text = f"touches no rule itself, but changes {names}, asked by name: {what} taken as before"
    return f"{text} ({why})" if why else text


def _row_of(found: Diff, change: Change) -> tuple[int, When]:
    """The first row that a change is in, by its number, and what is of interest of it beyond that row's inputs."""
    state = state_of(found, change)
    alone: When = {item: (value,) for item, value in state.items()}
    for number, row in enumerate(found.rows, 1):
        sides = ((row.before, change.before), (row.after, change.after))
        inside = all(state[item] in some for item, some in row.when.items())
        if inside and all(outcome_bytes(outcome, alone) == (byte,) for outcome, byte in sides):
            rest: When = {
                item: (value,)
                for item, value in state.items()
                if len(row.when.get(item, ())) > 1 or (item not in row.when and not is_plain(item, value))
            }
            return number, rest
    raise AssertionError("a change that is in no row")


def _from_to(change: Change, remark: Remark) -> str:
    if remark.pat is None:
        return ""
    before, after = (by_pat(byte)[remark.pat] for byte in (change.before, change.after))
    return f"{remark.pat}: {'-' if before is None else before}>{'-' if after is None else after}"


def remark_record(found: Diff | None, remark: Remark) -> dict[str, Any]:
    """One question as plain data."""
    example = change_record(found, remark.example) if found is not None and remark.example else None
    return {
        "kind": remark.kind,
        "text": remark.text,
        "count": remark.states,
        "pat": None if remark.pat is None else str(remark.pat),
        "rule": remark.rule or None,
        "example": example,
        "code": remark.code,
        "place": None if remark.place is None else f"{remark.place.file}:{remark.place.line}",
    }
