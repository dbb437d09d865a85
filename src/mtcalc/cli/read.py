# SPDX-License-Identifier: GPL-2.0-only
"""From a file name to the VM it describes, ready to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.versions import Vendor
from mtcalc.kvm.vm import Vm
from mtcalc.rules.inputs import Value
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.memtype import MemType

if TYPE_CHECKING:
    from mtcalc.cli.question import Asked
    from mtcalc.scenario.record import Scenario


def read_scenario(
    path: str,
    need_slots: bool = True,
    assume: Sequence[tuple[str, Value]] = (),
    vendor: Vendor | None = None,
    need_mtrrs: bool = False,
) -> Scenario:
    """The scenario in a file, '-' for standard input, or what another tool's dump in it tells.

    What `need_mtrrs` asks for no scenario lacks, as it has a default; a dump does.

    `assume` and `vendor` go over its own. Raises InputError; UsageError for a vendor whose CPUs run no such VM.
    """
    from mtcalc.scenario.load import load_scenario
    from mtcalc.text.source import decode_source, read_bytes

    data = read_bytes(path)
    try:
        scenario = load_scenario(decode_source(data, path), path)
    except InputError as error:
        from mtcalc.importers.direct import dump_scenario

        scenario = dump_scenario(data, path, error, need_slots, need_mtrrs)
    if need_slots and not scenario.slots:
        raise InputError("no memslots (memslots: a list with one slot at least)", Place(path, 1, 1))
    vm = scenario.vm._replace(assume={**scenario.vm.assume, **dict(assume)})
    if vendor is not None:
        vm = vm._replace(vendor=vendor)
        _check_vendor(vm)
    return scenario._replace(vm=vm)


def _check_vendor(vm: Vm) -> None:
    from mtcalc.rules.platform import check_platform

    try:
        check_platform(vm.vendor, vm.type)
    except ValueError as error:
        from click import UsageError

        raise UsageError(f"--vendor: {error}") from None


def check_pats(pats: Iterable[MemType | None], scenario: Scenario) -> None:
    """Raises UsageError for a --pat that no page of the scenario can have: CR0.PG is 0 there, so the type is WB."""
    for kind in pats:
        if kind is not None and not scenario.vm.paging:
            from click import UsageError

            from mtcalc.x86.pat import check_without_paging

            try:
                check_without_paging(kind, "--pat", f"cr0.pg is false in {scenario.file}")
            except ValueError as error:
                raise UsageError(str(error)) from None


def with_guest(scenario: Scenario, asked: Asked) -> Scenario:
    """The scenario with the guest kernel of --guest in place of its own, and the PAT which that one programs.

    Raises UsageError where CR0.PG is 0 there, so that no page table selects a type.
    """
    if not scenario.vm.paging:
        from click import UsageError

        what = "--request" if asked.requests else "--guest"
        raise UsageError(f"{what}, but cr0.pg is false in {scenario.file} (then the PAT memory type is WB)")
    if asked.named is None:
        return scenario
    from mtcalc.linux.pat import GuestLinux, guest_pat

    vm = scenario.vm
    guest = GuestLinux(asked.named.release, vm.cpuid_mtrr, vm.mtrrs.enabled, vm.nopat, kind=vm.type)
    pat = vm.pat if scenario.pat_said else guest_pat(guest).register
    vm = vm._replace(guest_release=asked.named.release, pat=pat)
    notes = [note for note in scenario.notes if note.code != "guest-kernel"]
    return scenario._replace(vm=vm, notes=(*notes, *asked.named.notes))


def evaluator_for(kernel: Kernel, scenario: Scenario) -> Evaluator:
    """The scenario's VM under a kernel. Raises InputError."""
    try:
        return Evaluator(kernel, scenario.vm, scenario.slots, scenario.notes)
    except ValueError as error:
        raise InputError(str(error), scenario.mtrr_place) from None
