# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc map: a picture of the guest-physical address space."""

from __future__ import annotations

import click

from mtcalc.cli.options import (
    Assumptions,
    Output,
    assume_option,
    kernels,
    output_options,
    rules_option,
    vendor_option,
)
from mtcalc.cli.params import PAT_TYPE, SCENARIO_FILE
from mtcalc.cli.read import check_pats, read_scenario
from mtcalc.kvm.versions import Vendor
from mtcalc.output.emit import Result
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MemType

DEFAULT_PATS = (MemType.WB, MemType.WC, MemType.UC_MINUS)
"""What a Linux guest maps things as: its RAM, framebuffers, and what ioremap() asks for."""


@click.command("map")
@click.argument("file", type=SCENARIO_FILE)
@click.option("--pat", "pats", type=PAT_TYPE, multiple=True, help="A line for this PAT type.  [WB, WC and UC-]")
@rules_option
@assume_option
@vendor_option
@output_options()
def map_(
    file: str,
    pats: tuple[MemType, ...],
    refs: tuple[str, ...],
    assume: Assumptions,
    vendor: Vendor | None,
    output: Output,
) -> None:
    """A picture of the guest-physical address space: slots, guest MTRRs, entries, effective types.

    The guest's MTRRs are drawn by the manual and as KVM reads them. With -r twice, what the second kernel makes
    of the same VM stands below the first one's, and a line of ^ marks what differs.

    \b
    mtcalc map examples/vfio.yaml
    mtcalc map examples/vfio.yaml -r 6.6 -r 6.12 --pat wb
    mtcalc map examples/vfio.yaml -o svg > vfio.svg
    """
    from mtcalc.analysis.address_map import address_map
    from mtcalc.output.map import map_document, map_record, map_records, map_rows

    scenario = read_scenario(file, need_slots=False, assume=assume, vendor=vendor)
    check_pats(pats, scenario)
    asked = tuple(dict.fromkeys(pats)) or DEFAULT_PATS
    if not scenario.vm.paging:
        asked = (MemType.WB,)
    try:
        found = address_map(kernels(refs, scenario), scenario.vm, scenario.slots, scenario.notes)
    except ValueError as error:
        raise InputError(str(error), scenario.mtrr_place) from None
    output.write(
        Result(
            document=lambda: map_document(found, asked),
            data=lambda: map_record(found),
            lines=lambda: map_records(found),
            rows=lambda: map_rows(found),
        )
    )
