# SPDX-License-Identifier: GPL-2.0-only
"""Answers as single lines for streams: what stands before and behind the address."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mtcalc.analysis.answer import UNKNOWN, Answer
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.output.answers import effective_cell, entry_columns, entry_text, grouped, mtrr_that_counts
from mtcalc.output.document import Document
from mtcalc.output.emit import write_rows
from mtcalc.output.plain import escape
from mtcalc.output.plain import render as plain
from mtcalc.output.records import (
    OF_REQUESTS,
    answer_header,
    answer_record,
    answer_row,
    effective_column,
    platform_columns,
    rare_columns,
)
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import PAT_TYPES, MemType

if TYPE_CHECKING:
    from mtcalc.linux.functions import Request

ADDRESS_WIDTH = 16  # 0x and 52 bits, and a blank
_REQUEST_WIDTH = 10  # ioremap_wc; the few that are longer push what stands behind them


class Wanted(NamedTuple):
    """What a line asks of its address besides all six PAT types: one of them, or what a guest's driver asks for."""

    pat: MemType | None = None
    pat_index: int | None = None  # of the guest's PAT entry, where the line names that
    request: Request | None = None

    @property
    def one(self) -> bool:
        """Whether the answer is for one PAT type."""
        return self.pat is not None or self.request is not None


class LineSource(NamedTuple):
    """How a line is answered: head, address padded to `width`, then the tail of the address's segment."""

    head: str
    width: int
    starts: Sequence[int] | None  # of the segments, ascending from 0; None: each address is its own
    tail: Callable[[int, Wanted], str]  # of a gpa in bytes; with line end
    limit: int  # addresses are below this
    for_requests: Callable[[], Sequence[int] | None] | None = None  # the segments, cut where answers to those change


class PageLines(NamedTuple):
    """eval's answers as lines: their source, the header, and the notes of what was answered.

    The header has a column a PAT type, or one for the type asked for and one for the effective type. Every row of
    csv and tsv has just its columns: under the first an answer for one type stands in that type's column, the
    others empty; under the second an answer for all six has no type and lists them, 'UC=UC UC-=UC ...'. In plain
    it takes a line a type. Answers to requests have columns more, which are there if the header was told so.
    """

    source: LineSource
    header: Callable[[bool, bool], str]  # told whether the first line is for one PAT type, and of columns for requests
    notes: Callable[[], Sequence[str]]


def page_lines(evaluator: Evaluator, form: str) -> PageLines:
    """Lines of Evaluator.page() as jsonl, tsv, csv or plain; with what a Linux guest, where one is named, chooses."""
    name = evaluator.kernel.rules.name
    guest = evaluator.vm.guest_release is not None
    starts = _choices(evaluator) if guest else evaluator.segments()
    limit = 1 << evaluator.vm.maxphyaddr
    rule_width = max(4, *(len(escape(rule.id)) for rule in evaluator.kernel.rules.rules))
    npt = evaluator.kernel.npt is not None
    rare = (*rare_columns([evaluator.base_facts]), *platform_columns(evaluator.kernel))
    six = asked = False
    seen: list[Answer] = []

    def header(one: bool, columns: bool) -> str:
        nonlocal six, asked, rare
        six, asked = not one, columns
        if form == "jsonl":
            return ""
        if form == "plain":
            return _plain_header(six, asked, rule_width, npt)
        rare = (*rare, *(OF_REQUESTS if asked else ()))
        return _row(answer_header(six, rare), form)

    def tail(gpa: int, wanted: Wanted) -> str:
        answer = _answer(evaluator, gpa, wanted)
        if form == "jsonl":
            return json.dumps(answer_record(answer))[len(head) + len(hex(gpa)) :] + "\n"
        if form == "plain":
            if len(seen) < MOST_NOTED:
                seen.append(answer if answer.slot else answer._replace(gpa=None))
            return "".join(f"{line}\n" for line in _plain_tail(answer, six, asked, rule_width))
        row = answer_row(answer, six, rare)
        if answer.pat is None and not six:
            row[effective_column()] = _all_six(answer)
        return _row(row[1:], form)[len(hex(gpa)) :]

    head = ""
    if form == "jsonl":
        head = json.dumps({"rules": name, "ref": evaluator.kernel.ref, "gpa": ""})[:-2]
    elif form != "plain":
        head = _row([name, ""], form)[:-1]
    source = LineSource(head, ADDRESS_WIDTH if form == "plain" else 0, starts, tail, limit, lambda: _choices(evaluator))
    return PageLines(source, header, lambda: _notes(seen) if form == "plain" else [])


def _choices(evaluator: Evaluator) -> Sequence[int] | None:
    from mtcalc.analysis.guest_pages import choice_segments

    return choice_segments(evaluator)


def _answer(evaluator: Evaluator, gpa: int, wanted: Wanted) -> Answer:
    if wanted.request is None and evaluator.vm.guest_release is None:
        return evaluator.page(gpa, wanted.pat, index=wanted.pat_index)
    from mtcalc.analysis.guest_pages import page_answer

    return page_answer(evaluator, gpa, wanted.pat, wanted.pat_index, wanted.request)


MOST_NOTED = 1000
"""Segments whose notes a stream in plain remembers for its end."""


def _row(row: Sequence[str], form: str) -> str:
    out = io.StringIO()
    write_rows(out, [row], form)
    return out.getvalue()


def _all_six(answer: Answer) -> str:
    return " ".join(f"{pat}={effective_cell(answer, pat, kind).text.rstrip('*')}" for pat, kind in answer.effective)


def _plain_header(six: bool, asked: bool, rule_width: int, npt: bool) -> str:
    mtrr, entry = entry_columns(npt)
    request = "REQUEST".ljust(_REQUEST_WIDTH + 1) if asked else ""
    one = f"PAT {'GETS' if asked else 'EFFECTIVE'}"
    pats = " ".join(str(pat).ljust(3) for pat in PAT_TYPES) if six else one
    return f"{'GPA'.ljust(ADDRESS_WIDTH)}LVL {mtrr} {entry}  {request}{pats} {'RULE'.ljust(rule_width)} SLOT\n"


def _plain_tail(answer: Answer, six: bool, asked: bool, rule_width: int) -> list[str]:
    """What stands behind the address, and where one column is not enough for all six types the lines below.

    `asked`: there is a column for requests.
    """
    facts = answer.facts
    if facts is None or answer.rule is None or answer.slot is None or answer.level is None:
        lead, rest = "-   -    -", f"{'-'.ljust(rule_width)} -"
    else:
        kind = mtrr_that_counts(answer)
        mtrr = "?" if answer.guest_mtrr == UNKNOWN else "-" if kind is None else str(kind)
        lead = f"{LEVEL_NAMES[answer.level]:3} {mtrr:4} {entry_text(answer)}"
        rest = f"{escape(answer.rule.id).ljust(rule_width)} {escape(answer.slot.name)}"
    types = {pat: effective_cell(answer, pat, kind).text for pat, kind in answer.effective}
    request = f"{answer.request or '-':{_REQUEST_WIDTH}} " if asked else ""
    if six:
        return [f"{lead:13} {request}{' '.join(types.get(pat, '-').ljust(3) for pat in PAT_TYPES)} {rest}"]
    pairs = [("-" if answer.pat is None else str(answer.pat), "-")] if not types else list(types.items())
    width = len("GETS" if asked else "EFFECTIVE")
    first, *others = (f"{pat!s:3} {kind:{width}}" for pat, kind in pairs)
    below = ADDRESS_WIDTH + 13 + len(request)
    return [f"{lead:13} {request}{first} {rest}", *(f"{'':{below}} {other}".rstrip() for other in others)]


def _notes(answers: Sequence[Answer]) -> list[str]:
    return [f"{line}\n" for line in plain(Document([], grouped(answers)))]
