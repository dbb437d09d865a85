# SPDX-License-Identifier: GPL-2.0-only
"""What is known of a machine, and who told it: a dump, at a place; the user; nobody, and it is assumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mtcalc.importers.dump import Content, DumpPair, ImportRemark, Setting
from mtcalc.text.errors import Place
from mtcalc.x86.memtype import MemType
from mtcalc.x86.pat import Pat

SETTINGS = {
    "enabled": "the MTRRs' enable bit",
    "fixed_enabled": "the fixed ranges' enable bit",
    "default": "the default type",
    "vcnt": "the number of variable pairs",
    "pat": "the PAT",
    "guest_pat": "the guest's PAT",
    "cd": "CR0.CD",
    "pg": "CR0.PG",
    "cpuid_mtrr": "MTRR in the guest's CPUID",
    "maxphyaddr": "the guest's maxphyaddr",
    "honor_guest_pat": "honor-guest-pat",
    "whose": "whose dump this is",
    "whose_vm": "whose VM this is",
    "cut_slots": "a log cut at the top",
    "cut_fixed": "fixed ranges cut at the top",
    "noncoherent_dma": "non-coherent DMA",
    "self_snoop": "self-snoop",
    "host_maxphyaddr": "the host's maxphyaddr",
    "vendor": "the host's vendor",
    "rules": "the kernel",
    "guest_kernel": "the guest's kernel",
}
"""Every key of a Setting, in words."""

MOST_PAIRS = 32

ONE_MACHINE = "dumps of one machine, from one time"


class Given(NamedTuple):
    """What the user says of the machine besides the dumps; None: nothing.

    `hpa` has slots with their addresses in the host's memory, bytes. `host` says that the dumps of registers are the
    host's; `incomplete` that what a cut log lacks is off or gone; `assume` that the default type is assumed, not asked
    for.
    """

    rules: str | None = None
    default: MemType | None = None
    maxphyaddr: int | None = None
    host_maxphyaddr: int | None = None
    noncoherent_dma: bool | None = None
    self_snoop: bool | None = None
    vendor: str | None = None
    cpuid_mtrr: bool | None = None
    registers: Mapping[int, int] = {}
    hpa: tuple[tuple[str, int], ...] = ()
    host: bool | None = None
    incomplete: bool = False
    assume: bool = False


class Told(NamedTuple):
    """A value, and the place that tells it: None where the user gave it, or where it is assumed."""

    value: Content
    place: Place | None
    assumed: bool = False


class ToldMtrrs(NamedTuple):
    """The guest's MTRRs; `fixed` by register, `pairs` by number without a gap, raw where no size tells them."""

    enabled: Told
    fixed_enabled: Told
    default: Told
    fixed: tuple[tuple[int, Told], ...]
    pairs: tuple[DumpPair, ...]
    vcnt: int | None
    place: Place | None


def unsaid(text: str, about: str) -> ImportRemark:
    """A remark on what no dump tells."""
    return ImportRemark(text, None, about)


def in_place_of(msr: int, place: Place | None) -> ImportRemark:
    """A remark on a register that the user gives and a dump tells otherwise."""
    return ImportRemark(
        f"--msr {msr:#x} is taken in place of what this tells", place, "pat" if msr == 0x277 else "mtrr"
    )


def told_in(settings: Mapping[str, Setting], key: str) -> Told | None:
    """The value under a key, None where no dump tells."""
    found = settings.get(key)
    return None if found is None else Told(found.value, found.place)


def at_place(place: Place) -> str:
    """A place in words, as errors name a second one: FILE:LINE."""
    return f"{place.file}:{place.line}"


def shown(value: Content) -> str:
    """A value in words."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value.value:#x}" if isinstance(value, Pat) else str(value)
