# SPDX-License-Identifier: GPL-2.0-only
"""A derivation as a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mtcalc.analysis.explain import Explanation
from mtcalc.analysis.steps import Step
from mtcalc.kvm.quirks import OF_L2
from mtcalc.output.document import FAINT, Block, Cell, Content, Document, Fields, rules_title, texts
from mtcalc.rules.kernel import kernel_label
from mtcalc.x86.memtype import Effective, MemType
from mtcalc.x86.pat import Pat

if TYPE_CHECKING:
    from mtcalc.analysis.l2 import L2Page


def explain_document(found: Explanation) -> Document:
    """Every step with its result, its reasons and its source."""
    answer = found.answer
    where = () if answer.gpa is None else (hex(answer.gpa),)
    where = where if found.l2 is None else (*where, "page of L2")
    blocks: list[Block] = [rules_title(answer.kernel, kernel_label(answer.kernel), *where)]
    for number, step in enumerate(found.steps, start=1):
        rows: list[tuple[str, Content]] = [("", line) for line in step.lines]
        if step.source:
            rows.append(("", Cell(f"source: {step.source}", FAINT)))
        blocks.append(Fields(rows, title=f"{number}. {step.about}: {step.result}"))
    said = {line for step in found.steps for line in step.lines}
    return Document(blocks, [text for text in texts(answer.notes) if text not in said])


def step_records(steps: Sequence[Step]) -> list[dict[str, object]]:
    """The steps as plain data."""
    return [
        {"step": step.about, "result": step.result, "text": list(step.lines), "source": step.source} for step in steps
    ]


def l2_record(found: Explanation, page: L2Page) -> dict[str, Any]:
    """What a page of L2 gets, as plain data; one value where one PAT type was asked for, else one a type."""
    pats = page.pats
    one = found.answer.pat is not None

    def each(pairs: Iterable[tuple[MemType, Any]]) -> Any:
        values = {str(asked): value for asked, value in pairs}
        return next(iter(values.values())) if one else values

    return {
        "pat_from": pats.of.value,
        "register": _register(pats.counts),
        "own_register": _register(pats.seen),
        "pat": each((kind.asked, _name(kind.memtype)) for kind in page.types),
        "pat_index": each((kind.asked, kind.pat_index) for kind in page.types),
        "effective": each((asked, _name(kind)) for asked, kind in page.effective),
        **({} if pats.shared is None else {"quirks": {OF_L2: pats.shared}}),
    }


def _register(pat: Pat | None) -> str | None:
    return None if pat is None else f"{pat.value:#018x}"


def _name(kind: Effective | None) -> str | None:
    return None if kind is None else str(kind)
