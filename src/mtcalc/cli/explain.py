# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc explain: the derivation of one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mtcalc.analysis.explain import Explanation, explain_lookup, explain_page
from mtcalc.cli.options import Output, one_kernel, output_options, rules_option
from mtcalc.cli.params import ADDRESS, PAT_REGISTER, SCENARIO_FILE
from mtcalc.cli.question import Question, asked_kernels, input_options, unread_note
from mtcalc.cli.read import check_pats, evaluator_for, read_scenario, with_guest
from mtcalc.output.emit import Result, formats
from mtcalc.output.explain import step_records
from mtcalc.x86.memtype import PAT_TYPES, MemType

if TYPE_CHECKING:
    from mtcalc.x86.pat import Pat


@click.command()
@click.argument("file", type=SCENARIO_FILE, required=False)
@click.option("--gpa", "gpas", type=ADDRESS, multiple=True, metavar="A", help="The guest address, with FILE.")
@click.option(
    "--l2", is_flag=True, help="Of a page of L2, the guest's own guest: inputs and A are of the L1 page, --pat is L2's."
)
@click.option("--l2-pat", "l2_pat", type=PAT_REGISTER, help="With --l2: the PAT in vmcs12 or vmcb12.  [L1's]")
@rules_option
@input_options
@output_options(*formats(lines=False, rows=False))
def explain(
    file: str | None,
    gpas: tuple[int, ...],
    l2: bool,
    l2_pat: Pat | None,
    refs: tuple[str, ...],
    question: Question,
    output: Output,
) -> None:
    """The derivation of one answer, step by step, each step with its source.

    \b
    mtcalc explain --noncoherent-dma --mtrr wc --pat uc-
    mtcalc explain -r 6.17 --noncoherent-dma --mtrr uc --request memremap
    mtcalc example vfio | mtcalc explain - --gpa 0xc8000000
    mtcalc explain --l2 --vendor amd --l2-pat reset --pat wt
    """
    pat = _one_pat(question)
    _check_l2(l2, l2_pat, question)
    if len(gpas) > 1:
        raise click.UsageError("--gpa is given twice (one answer is explained)")
    gpa = gpas[0] if gpas else None
    if file is None:
        if gpa is not None:
            raise click.UsageError("--gpa without FILE (an address of which scenario?)")
        one_kernel(refs)  # of which there may be one
        (kernel,) = asked_kernels(refs, question)
        if question.asked is not None:
            from mtcalc.analysis.explain_requests import explain_request

            asked = question.asked
            found = explain_request(kernel, question.facts, asked.one, asked.guest, asked.notes)
        elif l2:
            from mtcalc.analysis.explain_l2 import explain_l2

            found = explain_l2(kernel, question.facts, pat, question.paging, l2_pat)
        else:
            found = explain_lookup(kernel, question.facts, pat, question.paging)
        notes = (*found.answer.notes, *unread_note(kernel, question))
        found = found._replace(answer=found.answer._replace(notes=notes))
    else:
        found = _of_scenario(file, gpa, refs, question, pat, l2, l2_pat)

    from mtcalc.output.explain import explain_document, l2_record
    from mtcalc.output.records import answer_record

    output.write(
        Result(
            document=lambda: explain_document(found),
            data=lambda: {
                "answer": answer_record(found.answer),
                **({} if found.l2 is None else {"l2": l2_record(found, found.l2)}),
                "steps": step_records(found.steps),
            },
        )
    )


def _check_l2(l2: bool, l2_pat: Pat | None, question: Question) -> None:
    """Raises UsageError for what does not go with --l2, or not without it."""
    if l2_pat is not None and not l2:
        raise click.UsageError("--l2-pat without --l2 (it is the PAT of the guest's own guest)")
    if not l2:
        return
    if question.asked is not None:
        raise click.UsageError("--l2 and --request exclude each other (L2's MTRRs are not known: --pat is its choice)")
    if question.facts.private:
        raise click.UsageError("--l2 and --private exclude each other (nothing is known of guests inside a TD or SNP)")
    if l2_pat is not None and not question.paging:
        raise click.UsageError("--no-paging and --l2-pat exclude each other (without paging the PAT type is WB)")


def _one_pat(question: Question) -> MemType | None:
    if question.pats == PAT_TYPES:
        return None
    if len(question.pats) > 1:
        raise click.UsageError("--pat is given twice (one answer is explained: one PAT type, or all six)")
    return question.pats[0]


def _of_scenario(
    file: str,
    gpa: int | None,
    refs: tuple[str, ...],
    question: Question,
    pat: MemType | None,
    l2: bool,
    l2_pat: Pat | None,
) -> Explanation:
    if gpa is None:
        raise click.UsageError("FILE without --gpa (which address of it?)")
    if question.said or not question.paging:
        raise click.UsageError(
            "FILE says what the flags would "
            "(with FILE: --gpa, --pat, --request, --guest, --l2, --l2-pat, -r, --vendor, --assume alone)"
        )
    assume = tuple(question.facts.assume.items())
    scenario = read_scenario(file, assume=assume, vendor=question.vendor)
    check_pats((pat,), scenario)
    kernel = one_kernel(refs, scenario)
    if l2:
        from mtcalc.analysis.explain_l2 import explain_l2_page, l2_setting

        try:
            kernel, vm, pats = l2_setting(kernel, scenario.vm, l2_pat)
        except ValueError as error:
            raise click.UsageError(f"--l2: {error} ({file})") from None
        evaluator = evaluator_for(kernel, scenario._replace(vm=vm))
        return explain_l2_page(evaluator, gpa, pats, pat, l2_pat is not None)
    if question.asked is None:
        return explain_page(evaluator_for(kernel, scenario), gpa, pat)
    from mtcalc.analysis.explain_requests import explain_request_page

    request = question.asked.one
    scenario = with_guest(scenario, question.asked)
    listed = next((page for page in scenario.pages if (page.gpa, page.request) == (gpa, request.name)), None)
    more = () if listed is None else (listed.size, listed.private)
    return explain_request_page(evaluator_for(kernel, scenario), gpa, request, *more)
