# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc lookup: one what-if from flags alone."""

from __future__ import annotations

import click

from mtcalc.analysis.answer import Answer, each_pat
from mtcalc.analysis.lookup import lookup as look_up
from mtcalc.cli.options import Output, output_options, sides_option
from mtcalc.cli.question import Question, asked_kernels, input_options, unread_note
from mtcalc.output.answers import answers_result, lookup_document
from mtcalc.output.document import Document
from mtcalc.rules.kernel import Kernel


@click.command()
@sides_option
@input_options
@output_options()
def lookup(refs: tuple[str, ...], question: Question, output: Output) -> None:
    """One what-if: which EPT byte, which effective type, which rule decided.

    \b
    mtcalc lookup --slot-flag non-coherent-dma --pat wc
    mtcalc lookup -r 6.12.80 --noncoherent-dma -o json
    mtcalc lookup -r 6.17 --mtrr uc --request wb --guest 6.8
    """
    sides = [_answer(kernel, question) for kernel in asked_kernels(refs, question)]

    def document() -> Document:
        if len(sides) == 1:
            return lookup_document(sides[0])
        from mtcalc.output.side_by_side import lookup_sides

        return lookup_sides(sides)

    output.write(answers_result(document, [answer for side in sides for answer in each_pat(side)]))


def _answer(kernel: Kernel, question: Question) -> Answer:
    asked = question.asked
    if asked is not None:
        from mtcalc.analysis.requests import lookup_request

        found = lookup_request(kernel, question.facts, asked.one, asked.guest, asked.notes)
    else:
        found = look_up(kernel, question.facts, question.pats, question.paging)
    return found._replace(notes=(*found.notes, *unread_note(kernel, question)))
