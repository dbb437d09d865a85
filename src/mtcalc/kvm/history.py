# SPDX-License-Identifier: GPL-2.0-only
"""What KVM does around the rules, by release: rows of since when, what, and where that was read.

"read: A -> B" names the last tree without the fact and the first with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from mtcalc.kvm.release import Version, since
from mtcalc.kvm.versions import GuestPat, MmioTest, MtrrLimit, MtrrWalk
from mtcalc.text.record import Record

T = TypeVar("T")


class Row(Record, Generic[T]):
    """A behaviour: the release that brought it, what it is, and the source."""

    since: Version
    what: T
    source: str


class LevelLimits(Record):
    """What limits the mapping level besides the slot and the guest's MTRRs. Levels: 1 (4K) to 3 (1G)."""

    highest: int = 3  # the largest page KVM makes at all
    reserved_small: bool = False  # a page that is reserved, or has no struct page, is mapped in 4K
    device: int = 3  # the largest page in which VFIO maps a device's memory


def row_at(rows: Sequence[Row[T]], release: Version) -> Row[T]:
    """The row in force at a release; `rows` ascend, and the first is older than every release."""
    return since([(row.since, row) for row in rows], release)


WALKS: tuple[Row[MtrrWalk], ...] = (
    Row((0,), MtrrWalk.V4_1, "get_mtrr_type() in arch/x86/kvm/mmu.c; read: 2.6.29 to 4.1.3, one text"),
    Row((4, 2), MtrrWalk.V4_2, "arch/x86/kvm/mtrr.c; read: 4.1.3 -> 4.2.8"),
    Row((4, 4), MtrrWalk.V4_4, "arch/x86/kvm/mtrr.c; read: 4.3.3 -> 4.4.0"),
    Row((6, 11, -1), MtrrWalk.NONE, "377b2f359d1f; read: 6.10.0 -> 6.11.11"),
)

PAIRS: tuple[Row[int], ...] = (
    Row((0,), 8, "KVM_NR_VAR_MTRR; read: 2.6.29 to 3.14.1"),
    Row((3, 16), 10, "read: 3.14.1 -> 3.16.0; 3.15 was not read"),
    Row((3, 17), 8, "read: 3.16.0 -> 3.18.9; 3.17 was not read"),
)

MOST_PAIRS = max(row.what for row in PAIRS)


def pairs_words() -> str:
    """How many variable pairs KVM gives a guest: '8, but 10 in 3.16'."""
    usual = PAIRS[-1].what
    others = [f"but {row.what} in {'.'.join(map(str, row.since))}" for row in PAIRS if row.what != usual]
    return ", ".join([str(usual), *others])


MTRR_LIMITS: tuple[Row[MtrrLimit], ...] = (
    Row((0,), MtrrLimit.NEVER, "a large page takes the type of its first 4K page; read: 2.6.29 to 4.1.3"),
    Row((4, 2), MtrrLimit.ALWAYS, "every TDP page fault, whatever the DMA count; read: 4.1.3 -> 4.2.8"),
    Row(
        (6, 0),
        MtrrLimit.NONCOHERENT_DMA,
        "message-id 20220715230016.3762909-5-seanjc@google.com; read: 5.19.0 -> 6.0.1",
    ),
    Row((6, 11, -1), MtrrLimit.NEVER, "377b2f359d1f; read: 6.10.0 -> 6.11.11"),
)

LEVEL_LIMITS: tuple[Row[LevelLimits], ...] = (
    Row((0,), LevelLimits(2, True, 1), "hugetlbfs pages of 2M alone; read: 2.6.29, 2.6.31.3"),
    Row((2, 6, 32), LevelLimits(3, True, 1), "kvm_is_reserved_pfn() -> 4K; read: 2.6.31.3 -> 2.6.32.69"),
    Row((6, 0), LevelLimits(3, False, 1), "struct page no longer asked for; read: 5.19.0 -> 6.0.1"),
    Row((6, 12), LevelLimits(3, False, 3), "f9e54c3a2f5b, vfio/pci huge_fault; read: 6.11.11 -> 6.12.0"),
)

MMIO_TESTS: tuple[Row[MmioTest], ...] = (
    Row((0,), MmioTest.HEAD, "kvm_is_mmio_pfn(); read: 2.6.29 to 3.11"),
    Row((3, 13), MmioTest.PAGE, "kvm_is_mmio_pfn(); read: 3.11 -> 3.13.0; 3.12 was not read"),
    Row((3, 18), MmioTest.PAGE, "kvm_is_reserved_pfn(); read: 3.16.0 -> 3.18.9; 3.17 was not read"),
    Row((4, 2), MmioTest.RESERVED, "kvm_is_mmio_pfn(); read: 4.1.3 -> 4.2.8"),
    Row((4, 16), MmioTest.HOST_TYPE, "kvm_is_mmio_pfn(); read: 4.15.1 -> 4.16.13"),
    Row((5, 2), MmioTest.E820, "kvm_is_mmio_pfn(), 0c55671f84ff; read: 5.0.1 -> 5.2.1"),
    Row((6, 17), MmioTest.E820, "__kvm_is_mmio_pfn(); read: 6.16.1 -> 6.17.0"),
)

MMIO_TESTS_MAINLINE: dict[Version, str] = {
    (0,): "2009-02",
    (3, 13): "2013-11",
    (3, 18): "2014-11",
    (4, 2): "2015-06",
    (4, 16): "2018-02",
    (5, 2): "2019-05",
    (6, 17): "2025-07",
}
"""By the first release of a row of MMIO_TESTS, the month from which mainline had it (unconfirmed)."""

NPT_PATS: tuple[Row[GuestPat], ...] = (
    Row((0,), GuestPat.HARDWARES, "the hardware's PAT stays as KVM set it up, 0x0007040600070406; before 15038e147247"),
    Row((4, 15), GuestPat.GUESTS, "15038e147247, KVM: SVM: obey guest PAT"),
)
"""Under AMD's NPT alone: which PAT the guest's page tables select from."""

UNDEFINED_CHECKS: tuple[Row[bool], ...] = (
    Row((0,), False, "no consistency check; read: 2.6.29 to 4.1.3"),
    Row((4, 2), True, "from the fixed ranges on to the variable ones with a stray cursor; read: 4.1.3 -> 4.2.8"),
    Row((4, 7), False, "KVM: MTRR: fix kvm_mtrr_check_gfn_range_consistency page fault; read: 4.6.2 -> 4.7.4"),
)
"""Whether the consistency check of a block that begins with fixed ranges of one type is undefined."""
