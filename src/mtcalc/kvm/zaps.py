# SPDX-License-Identifier: GPL-2.0-only
"""What KVM zaps when an input of the rules changes, by release: an entry that stays keeps the byte it has.

Source: arch/x86/kvm/x86.c, mtrr.c. 'read: A -> B' names the last tree without the fact and the first with it.
"""

from __future__ import annotations

from enum import Enum

from mtcalc.kvm.history import Row


class Zap(Enum):
    """What a change zaps."""

    NOTHING = "nothing is zapped"
    NEW_RANGE = "the range after the write is zapped, the old one is not"
    ALL = "all is zapped"


DMA_ZAPS: tuple[Row[Zap], ...] = (
    Row((0,), Zap.NOTHING, "read: 2.6.29 to 6.6.9"),
    Row((6, 7), Zap.ALL, "362ff6dca541; read: 6.6.9 -> 6.8.0"),
)
"""The first device with non-coherent DMA, or the last one gone. From 6.16 on only where quirk IGNORE_GUEST_PAT is in
force: where it is not, no entry hangs on the count."""

CD_ZAPS: tuple[Row[Zap], ...] = (
    Row((0,), Zap.NOTHING, "kvm_mmu_reset_context() reloads roots, and keeps entries; read: 2.6.29 to 4.1.3"),
    Row((4, 2), Zap.ALL, "kvm_post_set_cr0(); read: 4.1.3 -> 4.2.8"),
    Row((6, 11, -1), Zap.NOTHING, "no rule asks for CR0.CD; read: 6.10.0 -> 6.11.11"),
)
"""Guest CR0.CD. From 4.2 on only with non-coherent DMA and quirk CD_NW_CLEARED off."""

MTRR_ZAPS: tuple[Row[Zap], ...] = (
    Row((0,), Zap.NOTHING, "kvm_mmu_reset_context() reloads roots, and keeps entries; read: 2.6.29 to 4.1.3"),
    Row((4, 2), Zap.NEW_RANGE, "update_mtrr(), of a variable pair; read: 4.1.3 -> 4.2.8"),
    Row((6, 11, -1), Zap.NOTHING, "MTRRs are not looked at; read: 6.10.0 -> 6.11.11"),
)
"""A guest's write of a variable MTRR, with non-coherent DMA (4.2 on)."""
