# SPDX-License-Identifier: GPL-2.0-only
"""Which entries KVM drops when an input of the rules changes, by release: what stays keeps the byte it was made with.

By the name of an input's kind (mtcalc.rules.inputs) or of a guest's register; what is not here does not change while
a VM runs, or nobody has read what happens then. "read: A -> B" as in mtcalc.kvm.history.
"""

from __future__ import annotations

from enum import Enum

from mtcalc.kvm.history import Row, row_at
from mtcalc.kvm.release import Version


class Zap(Enum):
    """When the entries that a change of an input is about are dropped."""

    NEVER = "never"
    ALWAYS = "always"
    NONCOHERENT_DMA = "with non-coherent DMA"
    NONCOHERENT_DMA_WITHOUT_QUIRK = "with non-coherent DMA and quirk CD_NW_CLEARED disabled"
    IGNORE_GUEST_PAT = "with quirk IGNORE_GUEST_PAT in force"


ZAPS: dict[str, tuple[Row[Zap], ...]] = {
    "noncoherent_dma": (
        Row((0,), Zap.NEVER, "the count alone is kept; read: 2.6.31 to 6.6.9"),
        Row((6, 7), Zap.ALWAYS, "commit 362ff6dca541; read: 6.6.9 -> 6.8.0"),
        Row((6, 12, 78), Zap.IGNORE_GUEST_PAT, "with the quirk, Debian's changelog of 6.12.78; read: 6.12.117"),
        Row((6, 13), Zap.ALWAYS, "as before; read: 6.14.0"),
        Row((6, 16), Zap.IGNORE_GUEST_PAT, "kvm_noncoherent_dma_assignment_start_or_stop(); read: 6.14.0 -> 6.16.1"),
    ),
    "cr0_cd": (
        Row((0,), Zap.NEVER, "kvm_mmu_reset_context() loads roots anew and keeps entries; read: 2.6.29 to 4.1.3"),
        Row((4, 2), Zap.NONCOHERENT_DMA_WITHOUT_QUIRK, "kvm_post_set_cr0(); read: 4.1.3 -> 4.2.8"),
        Row((6, 11, -1), Zap.NEVER, "read: 6.10.0 -> 6.11.11"),
    ),
    "guest_mtrr": (
        Row((0,), Zap.NEVER, "kvm_mmu_reset_context() loads roots anew and keeps entries; read: 2.6.29 to 4.1.3"),
        # Of a pair the range after the write, so that entries of the range before it stay all the same.
        Row((4, 2), Zap.NONCOHERENT_DMA, "update_mtrr(); read: 4.1.3 -> 4.2.8"),
        Row((6, 11, -1), Zap.NEVER, "registers are stored alone; read: 6.10.0 -> 6.11.11"),
    ),
    "guest_pat": (Row((0,), Zap.NEVER, "at most the roots are loaded anew; read: 2.6.29 to 7.3.4"),),
    "quirk": (Row((0,), Zap.NEVER, "kvm_vm_ioctl_enable_cap() sets disabled_quirks alone; read: 4.2.8 to 7.3.4"),),
}

FLAG_ZAPS: dict[str, tuple[Row[Zap], ...]] = {
    # As good as dropped: a slot's flag can't change, the slot has to go and come back.
    "READONLY": (
        Row((0,), Zap.NEVER, "flags alone change; read: 3.7.2"),
        Row((3, 9), Zap.ALWAYS, "EINVAL on a live slot; read: 3.7.2 -> 3.9.6"),
    ),
    "GUEST_MEMFD": (Row((0,), Zap.ALWAYS, "EINVAL on a live slot; read: 6.6.9 -> 6.8.0"),),
}
"""The same of slot flags, as they change on a live slot."""

NEW_FLAG_ZAPS: tuple[Row[Zap], ...] = (
    Row((0,), Zap.NEVER, "flags alone change (KVM_MR_FLAGS_ONLY), where a patch does not refuse that: from memory (?)"),
)
"""Of a flag that no release has."""


def zapped_when(kind: str, arg: str, release: Version) -> Zap | None:
    """When a release drops entries as an input of a kind changes; None where it never changes, or nobody knows."""
    if (kind, arg) == ("slot_flag", "LOG_DIRTY_PAGES"):
        return None  # drops some entries
    rows = FLAG_ZAPS.get(arg, NEW_FLAG_ZAPS) if kind == "slot_flag" else ZAPS.get(kind)
    return None if rows is None else row_at(rows, release).what
