# SPDX-License-Identifier: GPL-2.0-only
"""Slot flags and quirks: their bits, and how people write them.

Source: include/uapi/linux/kvm.h (KVM_MEM_), arch/x86/include/uapi/asm/kvm.h (KVM_X86_QUIRK_).
"""

from __future__ import annotations

from collections.abc import Mapping

from mtcalc.text.numbers import parse_number

QUIRKS = {"CD_NW_CLEARED": 1 << 1, "IGNORE_GUEST_PAT": 1 << 9}
"""The KVM_X86_QUIRK_ bits that decide a memory type. Both are in force unless disabled."""

ALL_QUIRKS = 0x3FF
"""Every quirk that KVM has, those of no concern here too: a VMM's whole mask may be given as a number."""

SLOT_FLAGS = {"LOG_DIRTY_PAGES": 1, "READONLY": 2, "GUEST_MEMFD": 4, "NON_COHERENT_DMA": 8}
"""The KVM_MEM_ bits (1 << 3 is proposed, not upstream)."""

ALL_SLOT_FLAGS = 0xF


def _key(text: str) -> str:
    return text.strip().upper().replace("-", "_")


def _parse(text: str, names: Mapping[str, int], prefix: str, mask: int, noun: str, errno: str) -> int:
    """Bits by name (any case, - or _, the prefix optional) or by number. Raises ValueError."""
    word = _key(text).removeprefix(prefix)
    if word in names:
        return names[word]
    if word[:1].isdigit():
        bits = parse_number(text)
        if not bits & ~mask:
            return bits
        raise ValueError(f"{errno}{text} has bits outside {mask:#x} ({_legend(names)})")
    from mtcalc.text.suggest import did_you_mean

    raise ValueError(f"unknown {noun} '{text}' ({did_you_mean(word, names)})")


def _legend(names: Mapping[str, int]) -> str:
    return ", ".join(f"{bit:#x} {name}" for name, bit in names.items())


def parse_slot_flag(text: str) -> int:
    """KVM_MEM_ flag bits from a name or a number: 'non-coherent-dma' -> 8. Raises ValueError."""
    if _key(text).removeprefix("KVM_MEM_") == "DMA":
        raise ValueError("KVM_MEM_DMA acts on the whole VM (say --mem-dma, or vm: {mem_dma: true})")
    return _parse(text, SLOT_FLAGS, "KVM_MEM_", ALL_SLOT_FLAGS, "slot flag", "EINVAL: ")


def parse_quirk(text: str) -> int:
    """KVM_X86_QUIRK_ bits from a name or a number: 'cd-nw-cleared' -> 2. Raises ValueError."""
    return _parse(text, QUIRKS, "KVM_X86_QUIRK_", ALL_QUIRKS, "quirk", "")


def flag_names(bits: int, names: Mapping[str, int]) -> tuple[str, ...]:
    """The names of set bits, lowest first; unknown bits as hex."""
    known = tuple(name for name, bit in names.items() if bits & bit)
    rest = bits & ~sum(names.values())
    return (*known, hex(rest)) if rest else known
