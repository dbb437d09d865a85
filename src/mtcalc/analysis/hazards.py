# SPDX-License-Identifier: GPL-2.0-only
"""The hazards of a scenario: what hurts although the rules are followed. mtcalc.kvm.hazards has a row a code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from mtcalc.analysis import hazards_memory as memory
from mtcalc.analysis import hazards_mtrr as mtrr
from mtcalc.analysis import hazards_slots as slots
from mtcalc.analysis.expectations import Failure
from mtcalc.analysis.hazard_case import Case as Case
from mtcalc.analysis.hazard_case import Hazard as Hazard
from mtcalc.kvm.hazards import HAZARDS
from mtcalc.kvm.note_codes import Level
from mtcalc.kvm.points import ExpectHazard

FINDERS: tuple[Callable[[Case], Iterator[Hazard]], ...] = (
    slots.as_noted,
    slots.vmm,
    slots.entries,
    memory.device_cached,
    memory.aliases,
    memory.slots_alias,
    memory.dma,
    memory.uncached_ignored,
    memory.bars,
    memory.named_pages,
    mtrr.overlaps,
    mtrr.parted,
    mtrr.registers,
    mtrr.mixed_mappings,
    mtrr.holes,
    mtrr.stale,
)
"""A function a hazard, or a few that share their conditions."""

_GRAVE = (Level.ERROR, Level.WARNING, Level.NOTE)


def find_hazards(case: Case) -> list[Hazard]:
    """Every hazard, the gravest first, then by code, each kind in the order of the slots.

    Raises ValueError where an MTRR mask full of holes cuts a slot into too many pieces.
    """
    found = [hazard for finder in FINDERS for hazard in finder(case)]
    return sorted(_joined(found), key=lambda hazard: (_GRAVE.index(hazard.level), hazard.code))


def _joined(hazards: Iterable[Hazard]) -> Iterator[Hazard]:
    """Each once; what is said of one range and of the next as if of one."""
    last: Hazard | None = None
    for hazard in dict.fromkeys(hazards):
        if last is not None and last.end is not None and hazard.gpa == last.end + 1:
            joined = last._replace(end=hazard.end)
            if joined == hazard._replace(gpa=last.gpa):
                last = joined
                continue
        if last is not None:
            yield last
        last = hazard
    if last is not None:
        yield last


def chosen(hazards: Iterable[Hazard], select: Collection[str], ignore: Collection[str]) -> list[Hazard]:
    """Those with a code of `select` (empty: every code) and with none of `ignore`."""
    return [each for each in hazards if (not select or each.code in select) and each.code not in ignore]


class HazardVerdict(NamedTuple):
    """An expectation of a hazard, those that it meets, and what failed: empty where it holds."""

    expect: ExpectHazard
    met: tuple[Hazard, ...]
    failures: tuple[Failure, ...]


def check_hazards(hazards: Sequence[Hazard], expects: Iterable[ExpectHazard]) -> Iterator[HazardVerdict]:
    """One verdict an expectation, in order."""
    for expect in expects:
        met = tuple(hazard for hazard in hazards if _meets(hazard, expect))
        if bool(met) == expect.wanted:
            yield HazardVerdict(expect, met, ())
            continue
        where = "" if expect.gpa is None else f" at {expect.gpa:#x}"
        where += "" if expect.slot is None else f" in {expect.slot}"
        name = f"{expect.code} {HAZARDS[expect.code].name}{where}"
        wanted, got = (name, "none") if expect.wanted else (f"no {name}", met[0].text)
        yield HazardVerdict(expect, met, (Failure("hazard" if expect.wanted else "no_hazard", wanted, got),))


def _meets(hazard: Hazard, expect: ExpectHazard) -> bool:
    if hazard.code != expect.code:
        return False
    if expect.slot is not None and (hazard.slot is None or hazard.slot.name != expect.slot):
        return False
    if expect.gpa is None:
        return True
    return hazard.gpa is not None and hazard.end is not None and hazard.gpa <= expect.gpa <= hazard.end
