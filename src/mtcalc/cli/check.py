# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc check: a scenario's expectations."""

from __future__ import annotations

import click

from mtcalc.analysis.expectations import check_expectations
from mtcalc.cli.options import (
    Assumptions,
    Output,
    assume_option,
    one_kernel,
    output_options,
    rules_option,
    vendor_option,
)
from mtcalc.cli.params import SCENARIO_FILE
from mtcalc.cli.read import evaluator_for, read_scenario
from mtcalc.kvm.versions import Vendor
from mtcalc.output.emit import Result


@click.command()
@click.argument("file", type=SCENARIO_FILE)
@rules_option
@vendor_option
@assume_option
@output_options()
@click.pass_context
def check(
    ctx: click.Context, file: str, refs: tuple[str, ...], vendor: Vendor | None, assume: Assumptions, output: Output
) -> None:
    """The expectations of a scenario: exit status 1 if one does not hold.

    \b
    mtcalc check examples/virtio-gpu.yaml
    """
    scenario = read_scenario(file, assume=assume, vendor=vendor)
    kernel = one_kernel(refs, scenario)
    evaluator = evaluator_for(kernel, scenario)
    of_slots = tuple(evaluator.slot_notes())
    verdicts = list(check_expectations(evaluator, scenario.expects))
    kernel = evaluator.kernel._replace(notes=(*evaluator.kernel.notes, *evaluator.vm_notes))

    from mtcalc.output.verdicts import check_document, check_record, check_rows, verdict_record

    output.write(
        Result(
            document=lambda: check_document(kernel, verdicts, of_slots),
            data=lambda: check_record(kernel, verdicts, of_slots),
            lines=lambda: map(verdict_record, verdicts),
            rows=lambda: check_rows(verdicts),
        )
    )
    ctx.exit(1 if any(verdict.failures for verdict in verdicts) else 0)
