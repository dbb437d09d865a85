# SPDX-License-Identifier: GPL-2.0-only
"""Calls that set memory slots, replayed: what is there when the log ends.

Source: virt/kvm/kvm_main.c, KVM_SET_USER_MEMORY_REGION; QEMU's kvm_set_user_memory_region(), which changes READONLY
by a delete of which its trace says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mtcalc.importers.dump import Dump, ImportRemark, Setting, SlotFact
from mtcalc.text.errors import InputError, Place


class Call(NamedTuple):
    """One call that went well; `vm` is what tells the VMs of a log apart. Bytes."""

    vm: str
    address_space: int
    id: int
    flags: int
    gpa: int
    size: int
    hva: int
    place: Place


class Replay:
    """The slots of one log."""

    def __init__(self) -> None:
        self._live: dict[tuple[str, int, int], Call] = {}
        self._cut: Place | None = None
        self.first: Place | None = None
        self._begun: dict[tuple[str, int], Call] = {}  # the first call of each address space

    def call(self, call: Call) -> None:
        """One more call. Raises InputError where it can't follow what was there."""
        self.first = self.first or call.place
        key = (call.vm, call.address_space, call.id)
        self._begun.setdefault(key[:2], call)
        before = self._live.pop(key, None)
        if not call.size:
            if before is None:
                self._cut = self._cut or call.place
            return
        if before is not None and before.hva != call.hva:
            what = f"slot {call.id} gets another host address than at {before.place}, and was not deleted"
            raise InputError(f"{what} (another VM, or lines are missing)", call.place)
        for other in self._live.values():
            if (
                (other.vm, other.address_space) == key[:2]
                and other.gpa < call.gpa + call.size
                and call.gpa < other.gpa + other.size
            ):
                what = f"slot {call.id} overlaps slot {other.id}, made at {other.place} and still there"
                raise InputError(f"{what} (another VM, or lines are missing)", call.place)
        self._live[key] = call

    def dump(self, name: str, place: Place, remarks: Iterable[ImportRemark]) -> Dump:
        """What the log tells, in the format `name`, from `place` on. Raises InputError for two VMs."""
        slots, cut = self._slots()
        settings = (Setting("cut_slots", True, cut),) if cut else ()
        return Dump(name, place, settings, slots=slots, remarks=(*self._late(), *remarks))

    def _late(self) -> Iterator[ImportRemark]:
        """Logs that begin with another slot than 0: QEMU and its kin take the lowest id that is free."""
        for call in self._begun.values():
            if call.id and call.size:
                lower = f"slots 0 to {call.id - 1}" if call.id > 1 else "slot 0"
                what = f"the first slot made here is {call.id}: {lower}, made before the log begins, would be missing"
                yield ImportRemark(what, call.place)

    def _slots(self) -> tuple[tuple[SlotFact, ...], Place | None]:
        """The slots, and where the log shows that it lacks its beginning. Raises InputError for two VMs."""
        calls = sorted(self._live.values(), key=lambda call: (call.address_space, call.gpa))
        for call in calls:
            if call.vm != calls[0].vm:
                raise InputError(f"slots of another VM than at {calls[0].place} (one VM a log)", call.place)
        facts = tuple(
            SlotFact(call.address_space, call.gpa, call.size, call.place, call.id, call.flags, call.hva)
            for call in calls
        )
        return facts, self._cut
