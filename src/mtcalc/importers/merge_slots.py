# SPDX-License-Identifier: GPL-2.0-only
"""Memory slots from several dumps: each with what the others lack, under names of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtcalc.importers.dump import Dump, ImportRemark, Setting, SlotFact
from mtcalc.importers.told import ONE_MACHINE, Given, at_place
from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.kvm.slots import check_slots
from mtcalc.kvm.vm import Slot
from mtcalc.text.errors import InputError
from mtcalc.x86.mtrr import ONE_MEGABYTE


def merge_slots(
    dumps: Sequence[Dump], settings: Mapping[str, Setting], given: Given, remarks: list[ImportRemark]
) -> tuple[tuple[SlotFact, str | None], ...]:
    lists = [(dump, dump.slots) for dump in dumps if dump.slots]
    cut = settings.get("cut_slots")
    if cut is not None:
        if not given.incomplete:
            what = "this deletes a slot that no line made: the log begins too late, so others may be missing"
            raise InputError(f"{what} (--incomplete: those that it lacks are gone; or the whole log)", cut.place)
        remarks.append(ImportRemark("the log begins too late: slots that it lacks are taken as gone", cut.place))
    if not lists:
        return ()
    facts = list(lists[0][1])
    for _, other in lists[1:]:
        facts = _joined(facts, list(other))
    names = _names(facts)
    slots = [
        Slot(
            f.gpa,
            f.size,
            name or f"slot {f.id}",
            index if f.id is None else f.id,
            f.flags or 0,
            hva=f.hva,
            address_space=f.address_space,
        )
        for index, (f, name) in enumerate(zip(facts, names, strict=True))
    ]
    refusal = check_slots(slots)
    if refusal:
        raise InputError(f"{refusal.errno}: {refusal.reason}", facts[refusal.at].place)
    return tuple(zip(facts, names, strict=True))


def _joined(a: list[SlotFact], b: list[SlotFact]) -> list[SlotFact]:
    """Two lists of the same slots, each with what the other lacks. Raises InputError where they differ."""
    by_place = {(fact.address_space, fact.gpa): fact for fact in b}
    spaces = {fact.address_space for fact in a} & {fact.address_space for fact in b}
    joined = []
    for fact in a:
        other = by_place.pop((fact.address_space, fact.gpa), None)
        if other is None and fact.address_space in spaces:
            other_place = b[0].place
            what = f"the slot at {fact.gpa:#x} is not among those at {at_place(other_place)}"
            raise InputError(f"{what} ({ONE_MACHINE})", fact.place)
        if other is None:
            joined.append(fact)
            continue
        for key in ("size", "id", "hva"):
            x, y = getattr(fact, key), getattr(other, key)
            if None not in (x, y) and x != y:
                what = f"{key} {y:#x} of the slot at {fact.gpa:#x} is {x:#x} at {at_place(fact.place)}"
                raise InputError(f"{what} ({ONE_MACHINE})", other.place)
        _same_flags(fact, other)
        # The flags of calls are KVM's own; those of a list of memory are derived.
        calls = fact if fact.id is not None else other
        merged = {
            key: getattr(fact, key) if getattr(fact, key) is not None else getattr(other, key)
            for key in ("id", "hva", "name", "mmio")
        }
        joined.append(fact._replace(**merged, flags=calls.flags))
    rest = [fact for fact in by_place.values() if fact.address_space in spaces]
    if rest:
        what = f"the slot at {rest[0].gpa:#x} is not among those at {at_place(a[0].place)}"
        raise InputError(f"{what} ({ONE_MACHINE})", rest[0].place)
    return [*joined, *by_place.values()]


def _same_flags(a: SlotFact, b: SlotFact) -> None:
    """Raises InputError where two dumps have other flags of one slot; a list of memory tells READONLY alone."""
    both_calls = a.id is not None and b.id is not None
    mask = ~0 if both_calls else SLOT_FLAGS["READONLY"]
    if a.flags is None or b.flags is None or not (a.flags ^ b.flags) & mask:
        return
    # Rows of shadowed RAM are printed as rom, which is the alias's; what their slots have is for the calls to say.
    shadow = a.gpa < ONE_MEGABYTE and "pc.ram" in (a.name, b.name)
    if shadow and not both_calls:
        return
    what = f"flags {b.flags:#x} of the slot at {b.gpa:#x} are {a.flags:#x} at {at_place(a.place)}"
    raise InputError(f"{what} ({ONE_MACHINE})", b.place)


def _names(facts: Sequence[SlotFact]) -> list[str | None]:
    """The slots' names; one that repeats gets -1, -2 behind it."""
    taken = {fact.name for fact in facts}
    used: dict[str, int] = {}
    names: list[str | None] = []
    for fact in facts:
        name = fact.name
        if name is not None:
            number = used.get(name, 0)
            used[name] = number + 1
            if number:
                while f"{fact.name}-{number}" in taken:
                    number += 1
                name = f"{fact.name}-{number}"
                used[str(fact.name)] = number + 1
                taken.add(name)
        names.append(name)
    return names
