# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc map: a picture of the guest-physical address space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mtcalc.cli.options import (
    Assumptions,
    Output,
    assume_option,
    kernels,
    output_options,
    sides_option,
    vendor_option,
)
from mtcalc.cli.params import GUEST, PAT_TYPE, REQUEST, SCENARIO_FILE
from mtcalc.cli.question import asked_of
from mtcalc.cli.read import check_pats, read_scenario, with_guest
from mtcalc.kvm.versions import Vendor
from mtcalc.output.emit import Result
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MemType

if TYPE_CHECKING:
    from mtcalc.linux.functions import Request
    from mtcalc.refs.guest import GuestKernel

DEFAULT_PATS = (MemType.WB, MemType.WC, MemType.UC_MINUS)
"""What a Linux guest maps things as: its RAM, framebuffers, and what ioremap() asks for."""


@click.command("map")
@click.argument("file", type=SCENARIO_FILE)
@click.option("--pat", "pats", type=PAT_TYPE, multiple=True, help="A line for this PAT type.  [WB, WC and UC-]")
@click.option(
    "--request", "requests", type=REQUEST, multiple=True, help="A line for what a Linux guest's driver asks for."
)
@click.option(
    "--guest", "guest", type=GUEST, help="With --request: that guest's kernel release.  [the file's, or the newest]"
)
@sides_option
@assume_option
@vendor_option()
@output_options()
def map_(
    file: str,
    pats: tuple[MemType, ...],
    requests: tuple[Request, ...],
    guest: GuestKernel | None,
    refs: tuple[str, ...],
    assume: Assumptions,
    vendor: Vendor | None,
    output: Output,
) -> None:
    """A picture of the guest-physical address space: slots, guest MTRRs, entries, effective types.

    The guest's MTRRs are drawn by the manual and as KVM reads them. With -r twice, what the second kernel makes
    of the same VM stands below the first one's, and a line of ^ marks what differs. A request's line has the
    effective type and, in brackets, the PAT type that the guest's kernel chooses.

    \b
    mtcalc example vfio | mtcalc map -
    mtcalc map vm.yaml -r 6.6 -r 6.12 --pat wb
    mtcalc map vm.yaml --request memremap --guest 6.8
    mtcalc map vm.yaml -o svg > vm.svg
    """
    from mtcalc.analysis.address_map import address_map
    from mtcalc.output.map import map_document, map_record, map_records, map_rows

    scenario = read_scenario(file, need_slots=False, assume=assume, vendor=vendor)
    check_pats(pats, scenario)
    of_guest = asked_of(requests, guest)
    if of_guest is not None and not of_guest.requests:
        raise click.UsageError("--request without a type (what is asked for: WB, ioremap_wc)")
    if of_guest is not None:
        scenario = with_guest(scenario, of_guest)
    asked = tuple(dict.fromkeys(pats)) or (DEFAULT_PATS if of_guest is None else ())
    if not scenario.vm.paging:
        asked = (MemType.WB,)
    try:
        named = () if of_guest is None else of_guest.requests
        found = address_map(kernels(refs, scenario), scenario.vm, scenario.slots, scenario.notes, named)
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
