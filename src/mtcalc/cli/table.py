# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc table: the whole matrix for fixed inputs, or who gets a certain answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from mtcalc.analysis.answer import Answer, each_pat
from mtcalc.analysis.table import Search, Where, matrix, search
from mtcalc.cli.options import Output, kernels, output_options, sides_option
from mtcalc.cli.params import Word, one_of
from mtcalc.cli.question import Question, asked_kernels, input_options, unread_note
from mtcalc.cli.where import parse_where, where_keys
from mtcalc.kvm.versions import Vendor
from mtcalc.output.answers import answers_result
from mtcalc.output.document import Document
from mtcalc.output.emit import Result
from mtcalc.rules.inputs import GUEST_MTRR
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES


def _where_words() -> Iterable[str]:
    types = {"effective": MTRR_TYPES, "memtype": MTRR_TYPES, "mtrr": MTRR_TYPES, "pat": PAT_TYPES}
    for key in where_keys():
        if key in types:
            yield from (f"{key}={kind}" for kind in types[key])
        elif key in ("ept", "rule", "rules", "slot_flag"):
            yield f"{key}="
        else:
            yield from (f"{key}=yes", f"{key}=no")


# Read by parse_where() once the rule sets are known, which bring keys and values of their own.
_WHERE: Word[str] = Word("key=value", str, _where_words)


WHO = ("honours-pat",)
_WHO: Word[str] = Word("question", one_of(WHO), lambda: WHO)


@click.command()
@click.option(
    "--where",
    "conditions",
    type=_WHERE,
    multiple=True,
    metavar="KEY=VALUE",
    help="Only what fits, over every input that no flag fixes; all have to hold.",
)
@click.option("--who", type=_WHO, metavar="honours-pat", help="Which hosts and VMMs honour the guest's PAT.")
@sides_option
@input_options
@output_options()
def table(
    conditions: tuple[str, ...], who: str | None, refs: tuple[str, ...], question: Question, output: Output
) -> None:
    """The whole matrix for fixed inputs: guest MTRR type x PAT type -> effective type.

    With --vendor amd it is the host's MTRR type.
    With --request instead: what a Linux guest's driver asks for x guest MTRR type -> PAT type -> effective type; of
    all types, or of those and the functions that are named.

    With --where the other way round: which inputs get this? Keys are those of an answer (effective, ept, memtype,
    ipat, rule, pat) and of its inputs (mtrr, mmio, noncoherent_dma, cd, self_snoop, quirks and slot flags by name; on
    amd host_mtrr).

    \b
    mtcalc table --noncoherent-dma
    mtcalc table --where effective=UC --where mmio=no
    mtcalc table -r v6.7 -r slot-flag --slot-flag 8 --noncoherent-dma
    mtcalc table --request -r 6.1 -r 6.17 --noncoherent-dma
    mtcalc table --who honours-pat -r 6.12.80
    """
    asked = question.asked
    if who is not None:
        _who(conditions, refs, question, output)
        return
    chosen = asked_kernels(refs, question)
    npt = question.vendor is Vendor.AMD
    mtrrs = (question.facts.guest_mtrr or MTRR_TYPES[0],) if GUEST_MTRR in question.given else MTRR_TYPES
    if asked is not None:
        from mtcalc.analysis.requests import request_matrix

        if conditions:
            raise click.UsageError(
                "--where and --request exclude each other (--where goes by PAT types, such as pat=UC-; "
                "table --request alone says which type a request becomes)"
            )
        sides: list[Sequence[Answer]] = [
            _noted(
                request_matrix(kernel, question.facts, asked.requests, mtrrs, asked.guest, asked.notes),
                kernel,
                question,
            )
            for kernel in chosen
        ]
    elif conditions:
        wheres = _wheres(conditions, chosen)
        found = _search(chosen, question, wheres)
        sides = [each.answers for each in found.found]
    else:
        if npt:
            mtrrs = MTRR_TYPES if question.facts.host_mtrr is None else (question.facts.host_mtrr,)
        sides = [
            _noted(matrix(kernel, question.facts, mtrrs, question.pats, question.paging), kernel, question)
            for kernel in chosen
        ]
    answers = [answer for side in sides for each in side for answer in each_pat(each)]

    def document() -> Document:
        if asked is not None:
            from mtcalc.output.request_table import requests_document

            return requests_document(sides, asked.guest.release)
        from mtcalc.output.table import matrix_document, search_document

        return search_document(found, wheres) if conditions else matrix_document(sides, question.pats)

    output.write(answers_result(document, answers))


def _who(conditions: Sequence[str], refs: tuple[str, ...], question: Question, output: Output) -> None:
    """table --who honours-pat: of -r, else of every release; of both vendors, unless --vendor says which."""
    other = question.said or question.given or question.asked is not None or not question.paging
    if conditions or other or question.pats != PAT_TYPES:
        raise click.UsageError("--who with other inputs (-r and --vendor alone: it says on which others it hangs)")
    from mtcalc.analysis.who import who_rows
    from mtcalc.output.who import who_document, who_lines, who_record

    rows = who_rows(kernels(refs) if refs else (), question.vendor)
    records = [who_record(row) for row in rows]
    output.write(Result(lambda: who_document(rows), lambda: records, lambda: records, lambda: who_lines(rows)))


def _wheres(conditions: Sequence[str], chosen: Sequence[Kernel]) -> list[Where]:
    try:
        return [parse_where(text, chosen) for text in conditions]
    except ValueError as error:
        raise InputError(f"--where: {error}") from None


def _search(chosen: Sequence[Kernel], question: Question, wheres: Sequence[Where]) -> Search:
    result = search(chosen, question.facts, question.given, question.pats, wheres, question.paging)
    return result._replace(
        found=tuple(each._replace(answers=_noted(each.answers, each.kernel, question)) for each in result.found)
    )


def _noted(answers: Sequence[Answer], kernel: Kernel, question: Question) -> tuple[Answer, ...]:
    extra = unread_note(kernel, question)
    return tuple(answer._replace(notes=(*answer.notes, *extra)) for answer in answers)
