# SPDX-License-Identifier: GPL-2.0-only
"""The question of one decision: its inputs as flags give them, and what a Linux guest's driver asks for."""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import click

from mtcalc.cli.options import Command, assume_option, assumptions, kernels, unread_inputs
from mtcalc.cli.params import (
    EVERY_REQUEST,
    GUEST,
    MTRR_TYPE,
    PAT_TYPE,
    QUIRK,
    REQUEST,
    SLOT_FLAG,
    VENDOR,
)
from mtcalc.kvm.notes import Note
from mtcalc.kvm.versions import Vendor, VmType
from mtcalc.rules.inputs import GUEST_MTRR, HOST_MTRR, KINDS, Facts, Input, with_value
from mtcalc.rules.kernel import Kernel
from mtcalc.text.record import Record
from mtcalc.x86.memtype import PAT_TYPES, MemType

if TYPE_CHECKING:
    from mtcalc.linux.functions import Request
    from mtcalc.linux.pat import GuestLinux
    from mtcalc.refs.guest import GuestKernel


class Asked(Record):
    """What --request asks of a Linux guest's kernel: what of, and the kernel of --guest."""

    requests: "tuple[Request, ...]"  # none: every type, which table alone has
    named: "GuestKernel | None"
    kind: VmType = VmType.NORMAL

    @property
    def guest(self) -> "GuestLinux":
        """The guest, the newest known where none is named: with MTRRs on, and a PAT of its own."""
        from mtcalc.kvm.release import newest
        from mtcalc.linux.pat import GuestLinux

        return GuestLinux(newest() if self.named is None else self.named.release, kind=self.kind)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What there is to say of the guest's kernel."""
        from mtcalc.refs.guest import newest_note

        return (newest_note(),) if self.named is None else self.named.notes

    @property
    def one(self) -> "Request":
        """The one request. Raises UsageError for none or several."""
        if not self.requests:
            raise click.UsageError("--request without a type (what is asked for: WB, ioremap_wc; table has them all)")
        if len(self.requests) > 1:
            raise click.UsageError("--request is given twice (one request here; table takes several)")
        return self.requests[0]


class Question(Record):
    """The inputs of one decision, as flags gave them."""

    facts: Facts
    given: tuple[Input, ...]  # those that the user named
    pats: tuple[MemType, ...]
    paging: bool
    said: bool  # whether any input but PAT, paging, request, assumptions and vendor was given
    vendor: Vendor | None = None  # of the host's CPU; None: not said
    asked: Asked | None = None  # in place of PAT types


_INPUT_OPTIONS: dict[str, Callable[[Command], Command]] = {
    "mmio": click.option("--mmio/--no-mmio", default=None, help="The page is host MMIO.  [no]"),
    "slot_flag": click.option(
        "--slot-flag", "slot_flag", type=SLOT_FLAG, multiple=True, help="Slot flag, KVM_MEM_NAME."
    ),
    "noncoherent_dma": click.option(
        "--noncoherent-dma/--no-noncoherent-dma", default=None, help="The VM has non-coherent DMA.  [no]"
    ),
    "cr0_cd": click.option("--cd/--no-cd", "cr0_cd", default=None, help="Guest CR0.CD.  [no]"),
    "quirk": click.option(
        "--disable-quirk", "quirk", type=QUIRK, multiple=True, help="KVM_X86_QUIRK_NAME not in force."
    ),
    "self_snoop": click.option("--self-snoop/--no-self-snoop", default=None, help="Host CPU has self-snoop.  [yes]"),
    "guest_mtrr": click.option("--mtrr", "guest_mtrr", type=MTRR_TYPE, help="Guest MTRR type of the page.  [WB]"),
    "pats": click.option("--pat", "pats", type=PAT_TYPE, multiple=True, help="Guest PAT type of the page.  [all six]"),
    "no_paging": click.option("--no-paging", is_flag=True, help="Guest CR0.PG=0: the PAT type is WB."),
    "requests": click.option(
        "--request",
        "requests",
        type=REQUEST,
        multiple=True,
        is_flag=False,
        flag_value=EVERY_REQUEST,
        help="What a Linux guest's driver asks for, by type or function (ioremap_wc), instead of --pat.",
    ),
    "guest": click.option(
        "--guest", "guest", type=GUEST, help="With --request: that guest's kernel release.  [the newest known]"
    ),
    "mem_dma": click.option(
        "--mem-dma/--no-mem-dma", default=None, help="Some slot has KVM_MEM_DMA (kvm-mem-dma).  [no]"
    ),
    "vendor": click.option("--vendor", type=VENDOR, help="The host's CPU: intel (EPT), amd (NPT).  [intel]"),
    "host_mtrr": click.option(
        "--host-mtrr", type=MTRR_TYPE, help="Host MTRR type of the page, on amd.  [WB, with --mmio UC]"
    ),
    "private": click.option("--private", is_flag=True, help="Private memory of a TD, on amd of an SNP guest."),
    "assume": assume_option,
}
"""The inputs of rules.inputs by name, and what else a what-if says; in the order of --help."""


def input_options(function: Command) -> Command:
    """The inputs of one decision, handed to the command as `question: Question`."""
    from functools import wraps

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        values = {name: kwargs.pop(name) for name in _INPUT_OPTIONS}
        return function(*args, question=_question(values), **kwargs)

    decorated: Command = call
    for option in reversed(_INPUT_OPTIONS.values()):
        decorated = option(decorated)
    return decorated


def _question(values: Mapping[str, Any]) -> Question:
    pats: tuple[MemType, ...] = values["pats"]
    if values["no_paging"] and pats:
        raise click.UsageError("--no-paging and --pat exclude each other (without paging the PAT type is WB)")
    asked = asked_of(
        values["requests"], values["guest"], "--pat" if pats else "--no-paging" if values["no_paging"] else ""
    )
    facts = Facts(assume=dict(values["assume"]))
    named: list[Input] = []
    said = False
    for kind in KINDS.values():
        if kind.text:
            continue
        value = values[kind.name]
        said = said or value not in (None, ())
        if kind.bits:
            bits = reduce(or_, value, 0)
            field: dict[str, Any] = {kind.field: bits}
            facts = facts._replace(**field)
            if kind.disabled:
                named += (Input(kind.name, name) for name, bit in kind.bits.items() if bits & bit)
        elif value is not None:
            facts = with_value(facts, Input(kind.name), value)
            named.append(Input(kind.name))
    if values["host_mtrr"] is not None and values["vendor"] is not Vendor.AMD:
        raise click.UsageError("--host-mtrr without --vendor amd (host MTRRs have no effect under EPT)")
    facts = facts._replace(host_mtrr=values["host_mtrr"], private=values["private"])
    named += [HOST_MTRR] if values["host_mtrr"] is not None else []
    said = said or values["host_mtrr"] is not None or values["private"]
    if values["no_paging"]:
        pats = (MemType.WB,)
    given = (*named, *assumptions(facts.assume))
    if asked is not None and facts.private:
        asked = asked._replace(kind=_private_kind(values["vendor"]))
    found = tuple(dict.fromkeys(pats)) or PAT_TYPES
    return Question(facts, given, found, not values["no_paging"], said, values["vendor"], asked)


def asked_of(requests: "tuple[Request | None, ...]", guest: "GuestKernel | None", instead: str = "") -> Asked | None:
    """What --request and --guest ask; None without them. Raises UsageError; `instead`: what excludes them."""
    if not requests:
        if guest is not None:
            raise click.UsageError("--guest without --request (whose request does that kernel decide?)")
        return None
    if instead:
        raise click.UsageError(
            f"--request and {instead} exclude each other (a request's PAT type is the guest's choice)"
        )
    return Asked(tuple(dict.fromkeys(request for request in requests if request is not None)), guest)


def asked_kernels(refs: tuple[str, ...], question: Question) -> tuple[Kernel, ...]:
    """The kernels of -r, on the host and for the VM that the flags speak of. Raises as kernels() does."""
    found = kernels(refs)
    if question.vendor is not Vendor.AMD and not question.facts.private:
        return found
    from mtcalc.rules.platform import on_platform

    vendor = question.vendor or Vendor.INTEL
    private = _private_kind(question.vendor)
    return tuple(on_platform(kernel, vendor, private if question.facts.private else VmType.NORMAL) for kernel in found)


def _private_kind(vendor: Vendor | None) -> VmType:
    """The kind of VM that has private memory on a host."""
    return VmType.SNP if vendor is Vendor.AMD else VmType.TD


def unread_note(kernel: Kernel, question: Question) -> tuple[Note, ...]:
    """A note on inputs that the user named and the rules do not read."""
    # The guest's kernel looks at its MTRRs, whatever KVM does.
    given = [item for item in question.given if question.asked is None or item != GUEST_MTRR]
    return unread_inputs(kernel, tuple(given))
