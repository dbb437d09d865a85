# SPDX-License-Identifier: GPL-2.0-only
"""A history of the rules as a document and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from mtcalc.output.document import STRONG, Block, Cell, Content, Document, Fields


class LogLine(NamedTuple):
    """What one commit did to one function. `date` is the author's day, YYYY-MM-DD."""

    commit: str
    subject: str
    date: str
    function: str
    first: bool
    changed: int
    text: str
    missing: bool = False  # it is not known whether it did anything


def log_document(title: str, lines: Sequence[LogLine], looked_at: int) -> Document:
    """The commits, newest first, and what each did; those of which nothing is known are counted."""
    known = [line for line in lines if not line.missing]
    commits = len({line.commit for line in known})
    touching = f"{'1 commit touches' if looked_at == 1 else f'{looked_at} commits touch'} the files"
    if looked_at:
        touching += f": {commits} {'changes' if commits == 1 else 'change'} the rules or the host-MMIO test"
        untold = len({line.commit for line in lines if line.missing})
        touching += f", of {untold} it can't be told" if untold else ""
    blocks: list[Block] = [Cell(title, STRONG), f"{touching}."]
    rows: list[tuple[str, Content]] = []
    for commit, group in groupby(known, key=lambda line: line.commit):
        same = list(group)
        rows.append((commit[:12], Cell(f"{same[0].date} {same[0].subject or '(no subject)'}".strip(), STRONG)))
        rows += (("", line.text) for line in same)
    if rows:
        blocks.append(Fields(rows))
    return Document(blocks, list(_notes(lines)))


def _notes(lines: Sequence[LogLine]) -> Iterator[str]:
    by_text: dict[str, list[str]] = {}
    for line in lines:
        if line.missing and line.commit not in by_text.get(line.text, ()):
            by_text.setdefault(line.text, []).append(line.commit)
    for text, commits in by_text.items():
        more = f" and {len(commits) - 1} more" if len(commits) > 1 else ""
        yield f"{commits[0][:12]}{more}: {text}"
    if lines:
        yield "merges are left out"


def log_record(line: LogLine) -> dict[str, Any]:
    """One line as plain data."""
    return {key: value for key, value in line._asdict().items() if key != "missing"}


def log_rows(lines: Sequence[LogLine]) -> Iterator[Sequence[str]]:
    """Header and a row a line."""
    keys = [key for key in LogLine._fields if key != "missing"]
    yield keys
    for line in lines:
        record = log_record(line)
        yield [str(record[key]).lower() if key == "first" else str(record[key]) for key in keys]
