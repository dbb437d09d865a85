# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc check: a scenario's expectations, and the hazards in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import click

from mtcalc.cli.options import (
    Assumptions,
    Output,
    assume_option,
    one_kernel,
    output_options,
    rules_option,
    vendor_option,
)
from mtcalc.cli.params import SCENARIO_FILE, Word
from mtcalc.cli.stdin import complain
from mtcalc.kvm.hazards import HAZARDS, parse_hazards
from mtcalc.output.emit import Result, formats
from mtcalc.text.errors import InputError

if TYPE_CHECKING:
    from mtcalc.kvm.points import Expect, Page
    from mtcalc.kvm.versions import Vendor
    from mtcalc.output.verdicts import Checked


def _codes(text: str) -> tuple[str, ...]:
    return tuple(parse_hazards([text]))


CODES: Word[tuple[str, ...]] = Word("code", _codes, lambda: HAZARDS)
OWN_FORMATS = ("junit", "github")


def _flat(given: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(code for codes in given for code in codes))


@click.command()
@click.argument("files", metavar="FILE...", type=SCENARIO_FILE, nargs=-1)
@rules_option
@vendor_option()
@assume_option
@click.option("--select", type=CODES, multiple=True, metavar="CODE[,CODE]", help="These hazards alone.")
@click.option("--ignore", type=CODES, multiple=True, metavar="CODE[,CODE]", help="All hazards but these.")
@click.option("--explain", type=CODES, multiple=True, metavar="CODE[,CODE]", help="What a code means; without FILE.")
@click.option("--list", "list_", is_flag=True, help="All codes; without FILE.")
@output_options(*formats(), *OWN_FORMATS)
@click.pass_context
def check(
    ctx: click.Context,
    files: tuple[str, ...],
    refs: tuple[str, ...],
    vendor: Vendor | None,
    assume: Assumptions,
    select: tuple[tuple[str, ...], ...],
    ignore: tuple[tuple[str, ...], ...],
    explain: tuple[tuple[str, ...], ...],
    list_: bool,
    output: Output,
) -> None:
    """The expectations of scenarios, and the hazards in them: what hurts although the rules are followed.

    Exit status 1 if an expectation does not hold, or a hazard is an error; 2 if a file can't be read, which
    -o junit and -o github show as an error beside the results of the others. An expectation can be a hazard,
    {hazard: MT009, gpa: 0xb8000}, or that there is none, {no_hazard: MT011}.

    \b
    mtcalc example virtio-gpu | mtcalc check -
    mtcalc check vm.yaml --ignore MT012,MT014 -o github
    mtcalc check --explain MT009
    """
    if list_ or explain:
        if files or (list_ and explain):
            raise click.UsageError("--list and --explain stand alone (no FILE, and one of them)")
        _tell(output, tuple(HAZARDS) if list_ else _flat(explain), list_)
        return
    if not files:
        raise click.UsageError("missing argument 'FILE' (scenarios to check; --list has the hazards)")
    if files.count("-") > 1:
        raise click.UsageError("standard input is given twice (- stands for one file)")
    checked: list[Checked] = []
    broken: list[tuple[str, InputError]] = []
    for file in files:
        try:
            checked.append(_checked(file, refs, vendor, assume, _flat(select), _flat(ignore)))
        except InputError as error:
            if output.form not in OWN_FORMATS:
                raise
            broken.append((file, error))  # a CI shows it beside what the others have

    from mtcalc.output.verdicts import check_document, check_lines, check_record, check_rows

    output.write(
        Result(
            document=lambda: check_document(checked),
            data=lambda: [check_record(one) for one in checked],
            lines=lambda: check_lines(checked),
            rows=lambda: check_rows(checked),
            own=_own(checked, broken, output.form),
        )
    )
    for _, reason in broken:
        complain(reason)
    ctx.exit(2 if broken else 1 if any(one.bad for one in checked) else 0)


def _own(
    checked: list[Checked], broken: list[tuple[str, InputError]], form: str
) -> dict[str, Callable[[], Iterable[str]]]:
    """The form for a CI that was asked for."""
    if form not in OWN_FORMATS:
        return {}
    from mtcalc.output.annotations import github, junit

    return {form: lambda: {"junit": junit, "github": github}[form](checked, broken)}


def _checked(
    file: str,
    refs: tuple[str, ...],
    vendor: Vendor | None,
    assume: Assumptions,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
) -> Checked:
    """What is found in one file. Raises InputError."""
    from mtcalc.analysis.expectations import check_expectations
    from mtcalc.analysis.hazards import Case, check_hazards, chosen, find_hazards
    from mtcalc.cli.read import evaluator_for, read_scenario
    from mtcalc.kvm.notes import Note
    from mtcalc.output.verdicts import AnyVerdict, Checked
    from mtcalc.rules.inputs import UnknownInput

    scenario = read_scenario(file, assume=assume, vendor=vendor)
    kernel = one_kernel(refs, scenario)
    evaluator = evaluator_for(kernel, scenario)
    pages: list[Page | Expect] = [*scenario.pages, *scenario.expects]
    kernel = evaluator.kernel._replace(notes=(*evaluator.kernel.notes, *evaluator.vm_notes))
    try:
        case = Case(evaluator, pages, scenario.vmm, scenario.mtrr_place is not None)
        hazards = find_hazards(case)
        if case.incomplete:
            text = "an MTRR mask with holes: hazards are looked for in the first blocks that it matches"
            kernel = kernel._replace(notes=(*kernel.notes, Note("incomplete", text)))
    except UnknownInput:
        raise
    except ValueError as error:
        if scenario.expect_hazards:
            raise InputError(f"{error}: hazards cannot be looked for", scenario.mtrr_place) from None
        hazards = []
        kernel = kernel._replace(notes=(*kernel.notes, Note("incomplete", f"{error}: no hazards were looked for")))
    verdicts: list[AnyVerdict] = [
        *check_expectations(evaluator, scenario.expects),
        *check_hazards(hazards, scenario.expect_hazards),
    ]
    verdicts.sort(key=lambda verdict: (verdict.expect.place.line, verdict.expect.place.column))
    return Checked(
        file,
        kernel,
        verdicts,
        chosen(hazards, select, ignore),
        tuple(evaluator.slot_notes()),
        dict(zip(scenario.slots, scenario.slot_places, strict=True)),
    )


def _tell(output: Output, codes: tuple[str, ...], brief: bool) -> None:
    """What codes mean."""
    from mtcalc.output.verdicts import code_record, code_rows, explain_document, list_document

    if output.form in OWN_FORMATS:
        raise click.UsageError(f"-o {output.form} without FILE (it is for what was found)")
    output.write(
        Result(
            document=list_document if brief else lambda: explain_document(codes),
            data=lambda: [code_record(code) for code in codes],
            lines=lambda: map(code_record, codes),
            rows=lambda: code_rows(codes),
        )
    )
