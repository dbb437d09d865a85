# SPDX-License-Identifier: GPL-2.0-only
"""Slot flags and quirks: their bits, and how people write them.

Source: include/uapi/linux/kvm.h (KVM_MEM_), arch/x86/include/uapi/asm/kvm.h (KVM_X86_QUIRK_).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mtcalc.text.numbers import parse_number

if TYPE_CHECKING:
    from mtcalc.kvm.release import Version

QUIRKS = {"CD_NW_CLEARED": 1 << 1, "IGNORE_GUEST_PAT": 1 << 9}
"""The KVM_X86_QUIRK_ bits that decide a memory type. mtcalc.kvm.quirks says which release starts with which."""

QUIRK_NAMES = (
    "LINT0_REENABLED",
    "CD_NW_CLEARED",
    "LAPIC_MMIO_HOLE",
    "OUT_7E_INC_RIP",
    "MISC_ENABLE_NO_MWAIT",
    "FIX_HYPERCALL_INSN",
    "MWAIT_NEVER_UD_FAULTS",
    "SLOT_ZAP_ALL",
    "STUFF_FEATURE_MSRS",
    "IGNORE_GUEST_PAT",
    "VMCS12_ALLOW_FREEZE_IN_SMM",
    "NESTED_SVM_SHARED_PAT",
)
"""Every quirk that KVM has, bit 0 first; those that decide no memory type are taken too."""

ALL_QUIRK_BITS = {name: 1 << bit for bit, name in enumerate(QUIRK_NAMES)}

QUIRK_ALIASES = {"EPT_IGNORE_GUEST_PAT": "IGNORE_GUEST_PAT"}
"""First names, from versions of a patch: they mean the same bit."""

SLOT_FLAGS = {"LOG_DIRTY_PAGES": 1, "READONLY": 2, "GUEST_MEMFD": 4, "NON_COHERENT_DMA": 8}
"""The KVM_MEM_ bits (1 << 3 is proposed, not upstream)."""

ALL_SLOT_FLAGS = 0xF

_LOG, _READONLY, _MEMFD = (SLOT_FLAGS[name] for name in ("LOG_DIRTY_PAGES", "READONLY", "GUEST_MEMFD"))

TAKEN_FLAGS: tuple[tuple[Version, int, str], ...] = (
    ((0,), _LOG, "bit 0 alone means something; no flag is checked up to 3.6"),
    ((3, 7), _LOG | _READONLY, "read: 3.6.5 -> 3.7.2"),
    ((6, 8), _LOG | _READONLY | _MEMFD, "read: 6.6.9 -> 6.8.0; GUEST_MEMFD through the second ioctl alone"),
)
"""The slot flags that a release takes."""

NOT_OF_PROTECTED: tuple[tuple[Version, int, str], ...] = (
    ((0,), 0, "as of any VM"),
    ((6, 11), _READONLY, "read: 6.10.0 -> 6.11.11"),
)
"""Of those, the slot flags that it refuses for VMs with protected state: TDs, and guests with SEV-ES and SNP."""


def _key(text: str) -> str:
    return text.strip().upper().replace("-", "_")


def _parse(text: str, names: Mapping[str, int], prefix: str, legend: Mapping[str, int], noun: str, errno: str) -> int:
    """Bits by name (any case, - or _, the prefix optional) or by number. Raises ValueError.

    A number may have the bits of all names; the message for others shows those of `legend`.
    """
    word = _key(text).removeprefix(prefix)
    if word in names:
        return names[word]
    if word[:1].isdigit():
        bits = parse_number(text)
        mask = sum(names.values())
        if not bits & ~mask:
            return bits
        raise ValueError(f"{errno}{text} has bits outside {mask:#x} ({_legend(legend)})")
    from mtcalc.text.suggest import did_you_mean

    raise ValueError(f"unknown {noun} '{text}' ({did_you_mean(word, names)})")


def _legend(names: Mapping[str, int]) -> str:
    return ", ".join(f"{bit:#x} {name}" for name, bit in names.items())


def parse_slot_flag(text: str) -> int:
    """KVM_MEM_ flag bits from a name or a number: 'non-coherent-dma' -> 8. Raises ValueError."""
    if _key(text).removeprefix("KVM_MEM_") == "DMA":
        raise ValueError("KVM_MEM_DMA acts on the whole VM (say --mem-dma, or vm: {mem_dma: true})")
    return _parse(text, SLOT_FLAGS, "KVM_MEM_", SLOT_FLAGS, "slot flag", "EINVAL: ")


def parse_quirk(text: str) -> int:
    """KVM_X86_QUIRK_ bits from a name or a number: 'cd-nw-cleared' -> 2. Raises ValueError.

    Takes every quirk of KVM by name, and first names; a number may be a VMM's whole mask.
    """
    word = _key(text).removeprefix("KVM_X86_QUIRK_")
    return _parse(QUIRK_ALIASES.get(word, text), ALL_QUIRK_BITS, "KVM_X86_QUIRK_", QUIRKS, "quirk", "")


def flag_names(bits: int, names: Mapping[str, int]) -> tuple[str, ...]:
    """The names of set bits, lowest first; unknown bits as hex."""
    known = tuple(name for name, bit in names.items() if bits & bit)
    rest = bits & ~sum(names.values())
    return (*known, hex(rest)) if rest else known
