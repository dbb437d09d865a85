# SPDX-License-Identifier: GPL-2.0-only
"""KVM's own checks of memory slots, and the search for the slot of an address.

What every release refuses is a refusal; what only some refuse (mtcalc.kvm.slot_history) is a note.

Source: __kvm_set_memory_region() and check_memory_region_flags() in virt/kvm/kvm_main.c.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mtcalc.kvm.flags import SLOT_FLAGS, flag_names
from mtcalc.kvm.notes import Note
from mtcalc.kvm.slot_history import SlotLimits
from mtcalc.kvm.versions import VmType
from mtcalc.kvm.vm import Slot, Vm

MAX_SLOTS = 32764
"""More than any release has."""

MAX_PAGES = (1 << 31) - 1
PAGE = 0x1000

APIC_PAGE = 0xFEE00000
"""Where KVM puts a slot of its own, one page, for CPUs that virtualize APIC accesses."""

USER_END_4_LEVEL = (1 << 47) - PAGE
"""The first address behind user space with 4-level paging (TASK_SIZE_MAX)."""


class SlotRefusal(NamedTuple):
    """Why KVM refuses a slot: its index among those given, the field, the errno name, the reason."""

    at: int
    field: str
    errno: str
    reason: str


def rest_of_page(gpa: int) -> int:
    """The bytes from `gpa` to the end of its page: what is asked for where one page is meant."""
    return PAGE - gpa % PAGE


def check_slot(slot: Slot) -> tuple[str, str, str] | None:
    """(field, errno, reason) of the first check of every release that one new slot fails, None where it passes."""
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
    return None


NO_SHARED_BIT = 64


def shared_bit(vm: Vm) -> int:
    """The address bit by which a TD tells shared memory from its own: 47, or 51 with wide guest addresses.

    NO_SHARED_BIT for other VMs. That a TD of more than 48 bits has bit 51 is from memory (?).
    """
    if vm.type is not VmType.TD:
        return NO_SHARED_BIT
    return 51 if vm.maxphyaddr > 48 else 47


def slot_notes(slot: Slot, limits: SlotLimits, vm: Vm) -> tuple[Note, ...]:
    """What one release refuses of a slot that others take: a sentence each.

    Of VMs with private memory, TDs and SNP guests, every release that runs them takes address space 0 alone (read:
    6.8.0 to 7.3.4), and no slot at a TD's shared bit (kvm_arch_prepare_memory_region(), from 6.14 on).
    The slot's flags aside: those are inputs of the rules as well (mtcalc.rules.kernel).
    """
    found = []
    if slot.address_space >= limits.spaces:
        found.append(f"no address space {slot.address_space}: the whole number is the slot id, 0 to {limits.ids - 1}")
    elif slot.id >= limits.ids:
        found.append(f"slot id {slot.id} (0 to {limits.ids - 1})")
    memfd = limits.memfd_private_only and slot.flags & SLOT_FLAGS["GUEST_MEMFD"]
    if slot.address_space and (vm.type is not VmType.NORMAL or memfd):
        found.append("address space 1 on a VM with private memory (0 alone)")
    if slot.hva is not None and limits.host_address and slot.hva + slot.size > limits.user_end:
        found.append(f"host address {slot.hva:#x} is outside user space (below {limits.user_end:#x})")
    if limits.most_pages and slot.size // PAGE > MAX_PAGES:
        found.append(f"{slot.size // PAGE} pages (at most 2^31-1)")
    if limits.host_maxphyaddr and slot.end - 1 >> vm.host_maxphyaddr:
        what = f"last page {slot.end - PAGE:#x} is above the host's maxphyaddr {vm.host_maxphyaddr}"
        found.append(f"{what} (end at or below {1 << vm.host_maxphyaddr:#x})")
    bit = shared_bit(vm)
    if slot.end - 1 >> bit & 1:
        found.append(f"last page {slot.end - PAGE:#x} has bit {bit}, which says that a TD's page is shared (clear)")
    notes = [Note("slot-refused", f"this kernel refuses the slot (EINVAL): {what}") for what in found]
    beyond = slot.hva is not None and USER_END_4_LEVEL < slot.hva + slot.size <= limits.user_end
    if beyond and limits.host_address:
        notes.append(
            Note("slot-address", f"host address {slot.hva:#x}: user space with 5-level paging alone, else EINVAL")
        )
    return tuple(notes)


def own_slot_notes(limits: SlotLimits, start: int, last: int) -> tuple[Note, ...]:
    """A note where [start, last] (bytes) of a user slot meets the page of KVM's own that can be known."""
    if limits.internal_slots and start < APIC_PAGE + PAGE and last >= APIC_PAGE:
        return (Note("slot-own", f"{APIC_PAGE:#x} is KVM's own where the CPU virtualizes APIC accesses: then EEXIST"),)
    return ()


def check_slots(slots: Sequence[Slot]) -> SlotRefusal | None:
    """The first refusal every release would answer when the slots are created in order, or None.

    Overlaps and ids are judged within one address space.
    """
    for index, slot in enumerate(slots):
        refusal = check_slot(slot)
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

    def between(self, start: int, end: int) -> list[Slot]:
        """The slots that hold some of [start, end) in bytes, ascending."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        return [slot for slot in self.slots[first : bisect_left(self._starts, end)] if slot.end > start]

    def find(self, gpa: int) -> Slot | None:
        """The slot that holds a guest address in bytes, or None: the access exits to be emulated."""
        at = bisect_right(self._starts, gpa) - 1
        if at >= 0 and gpa < self.slots[at].end:
            return self.slots[at]
        return None
