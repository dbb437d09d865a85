# SPDX-License-Identifier: GPL-2.0-only
"""What KVM refuses of a new memory slot, by release: rows 'since release, what, source'.

Source: __kvm_set_memory_region() (from 6.14 kvm_set_memory_region()) and check_memory_region_flags() in
virt/kvm/kvm_main.c, kvm_arch_prepare_memory_region() in arch/x86/kvm/x86.c. 'read: A -> B' names the last tree
without the fact and the first with it.
"""

from typing import Any, NamedTuple

from mtcalc.kvm.release import Version, in_force


class SlotLimits(NamedTuple):
    """The checks of one release that not every release has."""

    ids: int  # user slot ids are 0 to ids - 1
    spaces: int  # address spaces in the id's upper 16 bits; 1: they are part of the id
    flags_checked: bool
    invalid_mark: int  # the flag bits that are KVM's own mark of an invalid slot
    memfd_private_only: bool  # GUEST_MEMFD only on VMs with private memory, which have no SMM address space
    host_address: bool  # userspace_addr has to lie in user space
    user_end: int  # the first address behind the largest user space
    most_pages: bool  # at most 2^31-1 pages
    host_maxphyaddr: bool  # the last page has to lie below the host's maxphyaddr
    internal_slots: bool  # overlaps with KVM's own slots are refused


_IDS: tuple[tuple[Version, int, str], ...] = (
    ((0,), 32, "KVM_MEMORY_SLOTS"),
    ((3, 9), 125, "read: 3.7.2 -> 3.9.6"),
    ((3, 19), 509, "read: 3.18.9 -> 3.19.8"),
    ((5, 12), 32764, "commit 4fc096a99e01; read: 5.11.0 -> 5.12.9"),
)
_SPACES: tuple[tuple[Version, int, str], ...] = (
    ((0,), 1, "the whole 32 bits are the id"),
    ((4, 2), 2, "read: 4.1.3 -> 4.2.8"),
)
_FLAGS_CHECKED: tuple[tuple[Version, bool, str], ...] = (
    ((0,), False, "read: 2.6.29 to 3.6.5"),
    ((3, 7), True, "read: 3.6.5 -> 3.7.2"),
)
_INVALID_MARK: tuple[tuple[Version, int, str], ...] = (
    ((0,), 0, "read: 2.6.29 to 2.6.32.69"),
    ((2, 6, 35), 1 << 1, "KVM_MEMSLOT_INVALID; read: 2.6.32.69 -> 2.6.35"),
    ((3, 7), 0, "outside the flags of user space; read: 3.6.5 -> 3.7.2"),
)
_MEMFD_PRIVATE_ONLY: tuple[tuple[Version, bool, str], ...] = (
    ((0,), False, "no GUEST_MEMFD"),
    ((6, 8), True, "read: 6.6.9 -> 6.8.0"),
    ((6, 18), False, "read: 6.17.0 -> 6.18.2"),
)
_HOST_ADDRESS: tuple[tuple[Version, bool, str], ...] = (
    ((0,), False, "read: 2.6.29 to 2.6.35"),
    ((3, 0), True, "access_ok(); read: 2.6.35 -> 3.0.86"),
)
_USER_END: tuple[tuple[Version, int, str], ...] = (
    ((0,), (1 << 47) - 0x1000, "TASK_SIZE_MAX with 4-level paging"),
    ((4, 14), (1 << 56) - 0x1000, "with 5-level paging, where the CPU has it: from memory (?)"),
)
_MOST_PAGES: tuple[tuple[Version, bool, str], ...] = (
    ((0,), False, "read: 2.6.29 to 2.6.32.69"),
    ((2, 6, 35), True, "read: 2.6.32.69 -> 2.6.35"),
)
_HOST_MAXPHYADDR: tuple[tuple[Version, bool, str], ...] = (
    ((0,), False, "read: 2.6.29 to 5.17-rc5"),
    ((5, 18), True, "kvm_mmu_max_gfn(); read: 5.17-rc5 -> 5.18.8"),
)
_INTERNAL_SLOTS: tuple[tuple[Version, bool, str], ...] = (
    ((0,), False, "overlaps are looked for among user slots alone"),
    ((4, 16), True, "read: 4.15.1 -> 4.16.13"),
)


TABLES: dict[str, tuple[tuple[Version, Any, str], ...]] = {
    "ids": _IDS,
    "spaces": _SPACES,
    "flags_checked": _FLAGS_CHECKED,
    "invalid_mark": _INVALID_MARK,
    "memfd_private_only": _MEMFD_PRIVATE_ONLY,
    "host_address": _HOST_ADDRESS,
    "user_end": _USER_END,
    "most_pages": _MOST_PAGES,
    "host_maxphyaddr": _HOST_MAXPHYADDR,
    "internal_slots": _INTERNAL_SLOTS,
}
"""By the field of SlotLimits."""


def slot_limits(release: Version) -> SlotLimits:
    """The checks of a release."""
    return SlotLimits(**{field: in_force(rows, release) for field, rows in TABLES.items()})
