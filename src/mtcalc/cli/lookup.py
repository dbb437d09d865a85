# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc lookup: one what-if from flags alone."""

from __future__ import annotations

import click

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.answer import lookup as look_up
from mtcalc.cli.options import Output, Question, input_options, kernels, output_options, rules_option, unread_note
from mtcalc.output.answers import answers_result, lookup_document
from mtcalc.output.document import Document


@click.command()
@rules_option
@input_options
@output_options()
def lookup(refs: tuple[str, ...], question: Question, output: Output) -> None:
    """One what-if: which EPT byte, which effective type, which rule decided.

    \b
    mtcalc lookup --slot-flag non-coherent-dma --pat wc
    mtcalc lookup -r 6.12.80 --noncoherent-dma -o json
    """
    sides: list[list[Answer]] = []
    for kernel in kernels(refs):
        extra = unread_note(kernel, question)
        found = look_up(kernel, question.facts, question.pats, question.paging)
        sides.append([answer._replace(notes=(*answer.notes, *extra)) for answer in found])
    answers = [answer for side in sides for answer in side]

    def document() -> Document:
        if len(sides) == 1:
            return lookup_document(answers)
        from mtcalc.output.side_by_side import lookup_sides

        return lookup_sides(sides)

    output.write(answers_result(document, answers))
