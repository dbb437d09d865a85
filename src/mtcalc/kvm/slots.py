# SPDX-License-Identifier: GPL-2.0-only
"""KVM's own checks of memory slots, and the search for the slot of an address.

Source: __kvm_set_memory_region() and check_memory_region_flags() in virt/kvm/kvm_main.c of 6.12; the
limit of 32764 slots since commit 4fc096a99e01.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mtcalc.kvm.flags import SLOT_FLAGS, flag_names
from mtcalc.kvm.vm import Slot

MAX_SLOTS = 32764
MAX_PAGES = (1 << 31) - 1
PAGE = 0x1000


class SlotRefusal(NamedTuple):
    """Why KVM refuses a slot: its index among those given, the field, the errno name, the reason."""

    at: int
    field: str
    errno: str
    reason: str


def check_slot(slot: Slot, host_maxphyaddr: int) -> tuple[str, str, str] | None:
    """(field, errno, reason) of the first check that one new slot fails, None where KVM takes it."""
    flags = slot.flags
    known = sum(SLOT_FLAGS.values())
    if flags & ~known:
        return "flags", "EINVAL", f"unknown flag bits {flags & ~known:#x} (at most {known:#x})"
    if flags & SLOT_FLAGS["GUEST_MEMFD"] and flags & (SLOT_FLAGS["READONLY"] | SLOT_FLAGS["LOG_DIRTY_PAGES"]):
        names = ", ".join(flag_names(flags, SLOT_FLAGS))
        return "flags", "EINVAL", f"{names} together (GUEST_MEMFD goes with neither READONLY nor LOG_DIRTY_PAGES)"
    if not 0 <= slot.id < MAX_SLOTS:
        return "id", "EINVAL", f"slot id {slot.id} (0 to {MAX_SLOTS - 1})"
    if slot.address_space not in (0, 1):
        return "address_space", "EINVAL", f"address space {slot.address_space} (0, or 1 for SMM)"
    if slot.gpa % PAGE:
        return "gpa", "EINVAL", f"guest address {slot.gpa:#x} is not page aligned (a multiple of 0x1000)"
    if slot.size % PAGE:
        return "size", "EINVAL", f"size {slot.size:#x} is not page aligned (a multiple of 0x1000)"
    if slot.hva is not None and slot.hva % PAGE:
        return "hva", "EINVAL", f"host address {slot.hva:#x} is not page aligned (a multiple of 0x1000)"
    if slot.hva is not None and slot.hva + slot.size > 1 << 64:
        return "hva", "EINVAL", "the host addresses wrap around (hva + size up to 2^64)"
    if not slot.size:
        return "size", "EINVAL", "size 0 deletes a slot, it can't create one (at least 0x1000)"
    if slot.end >= 1 << 64:  # KVM adds in 64 bits, so an end of 2^64 is 0
        return "size", "EINVAL", "the slot wraps around the end of the address space (gpa + size below 2^64)"
    if slot.size // PAGE > MAX_PAGES:
        return "size", "EINVAL", f"{slot.size // PAGE} pages (at most 2^31-1)"
    if slot.end - 1 >> host_maxphyaddr:
        what = f"last page {slot.end - PAGE:#x} is above the host's maxphyaddr {host_maxphyaddr}"
        return "size", "EINVAL", f"{what} (end at or below {1 << host_maxphyaddr:#x})"
    return None


def check_slots(slots: Sequence[Slot], host_maxphyaddr: int) -> SlotRefusal | None:
    """The first refusal KVM would answer when the slots are created in order, or None.

    Overlaps and ids are judged within one address space.
    """
    for index, slot in enumerate(slots):
        refusal = check_slot(slot, host_maxphyaddr)
        if refusal:
            return SlotRefusal(index, *refusal)
    seen: dict[tuple[int, int], int] = {}
    for index, slot in enumerate(slots):
        other = seen.setdefault((slot.address_space, slot.id), index)
        if other != index:
            # The second call would change the first slot: another size, so EINVAL.
            reason = f"slot id {slot.id} is taken by {slots[other].name} (an id of its own)"
            return SlotRefusal(index, "id", "EINVAL", reason)
    order = sorted(range(len(slots)), key=lambda i: (slots[i].address_space, slots[i].gpa))
    overlaps = []
    for before, after in itertools.pairwise(order):
        a, b = slots[before], slots[after]
        if a.address_space == b.address_space and b.gpa < a.end:
            overlaps.append((max(before, after), min(before, after)))
    if overlaps:
        index, other = min(overlaps)
        a = slots[other]
        reason = f"{slots[index].name} overlaps {a.name}, {a.gpa:#x} to {a.end - 1:#x} (slots may not overlap)"
        return SlotRefusal(index, "gpa", "EEXIST", reason)
    return None


class SlotMap:
    """Slots of one VM by guest address, for binary search."""

    def __init__(self, slots: Iterable[Slot], address_space: int = 0) -> None:
        self.slots = sorted((s for s in slots if s.address_space == address_space), key=lambda s: s.gpa)
        self._starts = [s.gpa for s in self.slots]

    def find(self, gpa: int) -> Slot | None:
        """The slot that holds a guest address in bytes, or None: the access exits to be emulated."""
        at = bisect_right(self._starts, gpa) - 1
        if at >= 0 and gpa < self.slots[at].end:
            return self.slots[at]
        return None
