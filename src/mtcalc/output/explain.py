# SPDX-License-Identifier: GPL-2.0-only
"""A derivation as a document."""

from __future__ import annotations

from collections.abc import Sequence

from mtcalc.analysis.explain import Explanation
from mtcalc.analysis.steps import Step
from mtcalc.output.document import FAINT, Block, Cell, Content, Document, Fields, rules_title, texts
from mtcalc.rules.kernel import kernel_label


def explain_document(found: Explanation) -> Document:
    """Every step with its result, its reasons and its source."""
    answer = found.answer
    where = () if answer.gpa is None else (hex(answer.gpa),)
    blocks: list[Block] = [rules_title(answer.kernel, kernel_label(answer.kernel), *where)]
    for number, step in enumerate(found.steps, start=1):
        rows: list[tuple[str, Content]] = [("", line) for line in step.lines]
        if step.source:
            rows.append(("", Cell(f"source: {step.source}", FAINT)))
        blocks.append(Fields(rows, title=f"{number}. {step.about}: {step.result}"))
    return Document(blocks, texts(answer.notes))


def step_records(steps: Sequence[Step]) -> list[dict[str, object]]:
    """The steps as plain data."""
    return [
        {"step": step.about, "result": step.result, "text": list(step.lines), "source": step.source} for step in steps
    ]
