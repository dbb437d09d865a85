# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc mtrr: the guest's MTRRs decoded, and the type of addresses as KVM and as the manual see it."""

from __future__ import annotations

import sys
from typing import Any

import click

from mtcalc.analysis.mtrr_map import MtrrView
from mtcalc.cli.options import STREAMED, Output, one_kernel, output_options, rules_option, vendor_option
from mtcalc.cli.params import GPA, SCENARIO_FILE
from mtcalc.cli.read import read_scenario
from mtcalc.kvm.versions import Vendor
from mtcalc.output.emit import Result

# A list can be answered too, once all addresses are there.
FROM_INPUT = (*STREAMED, "json")


@click.command()
@click.argument("file", type=SCENARIO_FILE)
@click.option(
    "--gpa",
    "gpas",
    type=GPA,
    multiple=True,
    metavar="A",
    help="A guest address instead of the map; - reads them from standard input, one a line.",
)
@rules_option
@vendor_option()
@output_options()
@click.pass_context
def mtrr(
    ctx: click.Context,
    file: str,
    gpas: tuple[int | None, ...],
    refs: tuple[str, ...],
    vendor: Vendor | None,
    output: Output,
) -> None:
    """The guest's MTRRs decoded; the address space as KVM and as the manual see it, and where the two part.

    \b
    mtcalc example vfio | mtcalc mtrr -
    mtcalc mtrr vm.yaml --gpa 3G -r 6.1 -o json
    """
    from mtcalc.output import mtrr as show

    if None in gpas:
        from mtcalc.cli.addresses import check_stream
        from mtcalc.cli.stdout import streamed

        check_stream(file, gpas, refs, "write all addresses on standard input")
        output = streamed(output, "--gpa -", FROM_INPUT)
    scenario = read_scenario(file, need_slots=False, vendor=vendor, need_mtrrs=True)
    kernel = one_kernel(refs, scenario)
    view = MtrrView(kernel, scenario.vm, scenario.slots, scenario.notes)
    if None in gpas and output.form != "json":
        ctx.exit(_stream(view, output.form))
    if None in gpas:
        records, status = _read_all(view)
        output.write(Result(document=lambda: show.seen_document(view, []), data=lambda: records))
        ctx.exit(status)
    if gpas:
        answers = [(gpa, view.at(gpa)) for gpa in gpas if gpa is not None]
        output.write(
            Result(
                document=lambda: show.seen_document(view, answers),
                data=lambda: [show.seen_record(view, *answer) for answer in answers],
                lines=lambda: (show.seen_record(view, *answer) for answer in answers),
                rows=lambda: show.seen_rows(view, answers),
            )
        )
        return
    found = view.resolve()
    output.write(
        Result(
            document=lambda: show.mtrr_document(view, found),
            data=lambda: show.map_record(view, found),
            lines=lambda: (show.segment_record(view, s) for s in found.segments),
            rows=lambda: show.segment_rows(view, found.segments),
        )
    )


def _stream(view: MtrrView, form: str) -> int:
    """Answers standard input line by line; the exit status: 2 if a line was bad."""
    from mtcalc.cli.stream import Stream
    from mtcalc.output.mtrr import seen_source, stream_header, stream_notes

    stream = Stream(seen_source(view, form), None)
    stream.run(lambda *_: stream_header(form))
    sys.stdout.writelines(stream_notes(view, form))
    return 2 if stream.bad else 0


def _read_all(view: MtrrView) -> tuple[list[dict[str, Any]], int]:
    """The answers to all of standard input as JSON has them, and the exit status: 2 if a line was bad."""
    from mtcalc.analysis.mtrr_map import address_answers, address_segments
    from mtcalc.cli.addresses import LINE_HOLDS, WHAT, no_word, read_line
    from mtcalc.cli.stdin import answer_lines
    from mtcalc.output.mtrr import seen_record

    segments = address_segments(view)
    at = segments.find if segments else address_answers(view)
    records: list[dict[str, Any]] = []

    def answer(line: str, number: int) -> None:
        gpa, _ = read_line(line, number, view.end, no_word)
        records.append(seen_record(view, gpa, at(gpa)))

    return records, answer_lines(answer, WHAT, LINE_HOLDS)
