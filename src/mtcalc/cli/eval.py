# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc eval: every memory slot of a scenario, or single addresses of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mtcalc.analysis.answer import Answer
from mtcalc.cli.options import (
    Assumptions,
    Output,
    assume_option,
    kernels,
    one_kernel,
    output_options,
    sides_option,
    vendor_option,
)
from mtcalc.cli.params import GPA, GUEST, PAT_TYPE, REQUEST, SCENARIO_FILE
from mtcalc.cli.question import Asked, asked_of
from mtcalc.cli.read import check_pats, evaluator_for, read_scenario, with_guest
from mtcalc.kvm.versions import Vendor
from mtcalc.output.answers import answers_result, pages_document, ranges_document
from mtcalc.output.document import Document
from mtcalc.x86.memtype import MemType

if TYPE_CHECKING:
    from mtcalc.analysis.evaluate import Evaluator
    from mtcalc.kvm.points import Page
    from mtcalc.linux.functions import Request
    from mtcalc.refs.guest import GuestKernel


def _pages(evaluator: Evaluator, pages: Sequence[Page]) -> list[Answer]:
    """The answers for a scenario's pages; what a Linux guest's kernel chooses is looked at only where one is there."""
    if evaluator.vm.guest_release is None and all(page.request is None for page in pages):
        return [evaluator.page(page.gpa, page.pat, page.private, page.pat_index) for page in pages]
    from mtcalc.analysis.guest_pages import point_answers

    return list(point_answers(evaluator, pages))


def _page(evaluator: Evaluator, gpa: int, pat: MemType | None) -> Answer:
    """The answer for an address; with what the guest's kernel, where one is named, would make of a PAT type."""
    if evaluator.vm.guest_release is None:
        return evaluator.page(gpa, pat)
    from mtcalc.analysis.guest_pages import page_answer

    return page_answer(evaluator, gpa, pat)


def _requests(evaluator: Evaluator, gpas: Sequence[int], requests: Sequence[Request]) -> list[Answer]:
    """The answers for each of the addresses and each of the requests, for one page alone."""
    from mtcalc.analysis.guest_pages import page_answer

    return [page_answer(evaluator, gpa, request=request) for gpa in gpas for request in requests]


def stream_eval(
    file: str,
    gpas: tuple[int | None, ...],
    pats: tuple[MemType, ...],
    asked: Asked | None,
    refs: tuple[str, ...],
    assume: Assumptions,
    output: Output,
    vendor: Vendor | None = None,
) -> int:
    """eval FILE --gpa -: answers line by line; the exit status, 2 if a line was bad.

    `asked`: the guest's kernel, and the request of lines that name nothing.
    """
    from mtcalc.cli.addresses import check_stream
    from mtcalc.cli.stdout import streamed
    from mtcalc.cli.stream import Stream
    from mtcalc.output.lines import Wanted, page_lines

    if len(refs) > 1:
        raise click.UsageError("--gpa - and -r twice (a stream is answered by one rule set)")
    if len(pats) > 1:
        raise click.UsageError("--gpa - and --pat twice (--pat is the type of lines that name none)")
    if asked is not None and len(asked.requests) > 1:
        raise click.UsageError("--gpa - and --request twice (--request is that of lines that name none)")
    check_stream(file, gpas, refs, "a line holds an address, then a PAT type or a request if you like")
    output = streamed(output, "--gpa -")
    scenario = read_scenario(file, assume=assume, vendor=vendor)
    check_pats(pats, scenario)
    if asked is not None:
        scenario = with_guest(scenario, asked)
    evaluator = evaluator_for(one_kernel(refs, scenario), scenario)
    lines = page_lines(evaluator, output.form)
    request = asked.requests[0] if asked is not None and asked.requests else None
    default = Wanted(pats[0] if pats else None, request=request)
    # In jsonl an answer to a request has keys of its own; elsewhere the header says once and for all what there is.
    may_ask = True if output.form == "jsonl" or asked is not None else None
    stream = Stream(lines.source, scenario.vm.pat, default, scenario.vm.paging, may_ask)
    stream.run(lines.header)
    sys.stdout.writelines(lines.notes())
    return 2 if stream.bad else 0


@click.command("eval")
@click.argument("file", type=SCENARIO_FILE)
@click.option(
    "--gpa", "gpas", type=GPA, multiple=True, metavar="A", help="A guest address instead of ranges; -: from stdin."
)
@click.option(
    "--pat",
    "pats",
    type=PAT_TYPE,
    multiple=True,
    help="PAT type of the page at --gpa, with - of lines that name none.  [all six]",
)
@click.option(
    "--request",
    "requests",
    type=REQUEST,
    multiple=True,
    help="What a Linux guest's driver asks for at --gpa, by type or function, instead of --pat.",
)
@click.option("--guest", type=GUEST, help="With --request, or -: that guest's kernel release.  [the scenario's]")
@click.option("--ranges", is_flag=True, help="Ranges, though the scenario lists pages.")
@sides_option
@vendor_option()
@assume_option
@output_options()
@click.pass_context
def eval_(
    ctx: click.Context,
    file: str,
    gpas: tuple[int | None, ...],
    pats: tuple[MemType, ...],
    requests: tuple[Request, ...],
    guest: GuestKernel | None,
    ranges: bool,
    refs: tuple[str, ...],
    vendor: Vendor | None,
    assume: Assumptions,
    output: Output,
) -> None:
    """Every memory slot of a scenario (YAML or JSON; - is standard input), cut wherever the answer changes.

    On an AMD host (host: {vendor: amd}, or --vendor amd) the answers are those of NPT. A line of --gpa - is an
    address, then a PAT type, an index of the guest's PAT, or a function that a driver calls (ioremap_wc).

    \b
    mtcalc example virtio-gpu | mtcalc eval -
    mtcalc eval vm.yaml --gpa 0x100001000 --pat wc -r 6.12.80
    """
    if pats and not gpas:
        raise click.UsageError("--pat without --gpa (a range's answer carries all six types)")
    if requests and not gpas:
        raise click.UsageError("--request without --gpa (what is asked for at which address?)")
    if None in gpas and guest is not None and not requests:
        asked: Asked | None = Asked((), guest)  # whose choice the requests are that lines name
    else:
        asked = asked_of(requests, guest, "--pat" if pats else "")
    if ranges and gpas:
        raise click.UsageError("--ranges and --gpa exclude each other")
    if None in gpas:
        ctx.exit(stream_eval(file, gpas, pats, asked, refs, assume, output, vendor))
    scenario = read_scenario(file, assume=assume, vendor=vendor)
    check_pats(pats, scenario)
    if asked is not None:
        scenario = with_guest(scenario, asked)
    by_page = bool(gpas or (scenario.pages and not ranges))
    evaluators = [evaluator_for(kernel, scenario) for kernel in kernels(refs, scenario)]
    sides: list[list[Answer]] = []
    for evaluator in evaluators:
        if asked is not None:
            at = [gpa for gpa in gpas if gpa is not None]
            sides.append(_requests(evaluator, at, asked.requests or (asked.one,)))
        elif gpas:
            at = [gpa for gpa in gpas if gpa is not None]
            sides.append([_page(evaluator, gpa, pat) for gpa in at for pat in pats or (None,)])
        elif by_page:
            sides.append(_pages(evaluator, scenario.pages))
        else:
            sides.append(list(evaluator.ranges()))
    answers = [answer for side in sides for answer in side]

    def document() -> Document:
        if len(sides) == 1:
            return pages_document(answers) if by_page else ranges_document(answers)
        from mtcalc.analysis.side_by_side import page_pieces, range_pieces
        from mtcalc.output.side_by_side import pages_sides, ranges_sides

        if by_page:
            return pages_sides(list(page_pieces(sides)))
        return ranges_sides(list(range_pieces(evaluators, sides)))

    six = any(answer.pat is None and answer.request is None for answer in answers)
    output.write(answers_result(document, answers, six=six, wrapped=True))
