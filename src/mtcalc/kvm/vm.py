# SPDX-License-Identifier: GPL-2.0-only
"""The VM and its memory slots as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mtcalc.kvm.host_mmio import RAM, Backing
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import Mtrrs, VariableRange
from mtcalc.x86.pat import LINUX_PAT, Pat

QUIRKS = {"CD_NW_CLEARED": 1 << 1, "IGNORE_GUEST_PAT": 1 << 9}
"""The KVM_X86_QUIRK_ bits that decide a memory type. Both are in force unless disabled."""

SLOT_FLAGS = {"LOG_DIRTY_PAGES": 1, "READONLY": 2, "GUEST_MEMFD": 4, "NON_COHERENT_DMA": 8}
"""The KVM_MEM_ bits (1 << 3 is proposed, not upstream)."""

ALL_SLOT_FLAGS = 0xF


class Slot(NamedTuple):
    """A memory slot. Addresses and size in bytes."""

    gpa: int
    size: int
    name: str
    id: int = 0
    flags: int = 0
    backing: Backing = RAM
    hva: int | None = None  # None: not said; then it does not limit the mapping level
    address_space: int = 0  # 1 is SMM's

    @property
    def end(self) -> int:
        """The first address behind the slot."""
        return self.gpa + self.size


def reset_free_mtrrs(maxphyaddr: int) -> Mtrrs:
    """MTRRs of a guest nobody described: on, default WB, fixed ranges off, no variable range."""
    return Mtrrs(True, False, MemType.WB, (MemType.UC,) * 88, (VariableRange(0, 0),) * 8, maxphyaddr)


class Vm(NamedTuple):
    """What decides memory types besides the slot. maxphyaddr in bits."""

    noncoherent_dma: bool = False  # kvm_arch_has_noncoherent_dma(): the count is over 0
    mem_dma: bool = False  # some slot has KVM_MEM_DMA (2020 proposal)
    disabled_quirks: int = 0  # KVM_X86_QUIRK_ bits
    self_snoop: bool = True  # host CPU feature
    host_pat: bool = True
    host_maxphyaddr: int = 46
    maxphyaddr: int = 46  # the guest's
    cpuid_mtrr: bool = True
    cr0_cd: bool = False
    paging: bool = True  # guest CR0.PG
    pat: Pat = LINUX_PAT
    mtrrs: Mtrrs = reset_free_mtrrs(46)
    assume: Mapping[str, bool | MemType] = {}  # what only a C file or a patch asks for


def _key(text: str) -> str:
    return text.strip().upper().replace("-", "_")


def parse_flag(text: str, names: Mapping[str, int], prefix: str, mask: int) -> int:
    """Bits by name (any case, - or _, the prefix optional) or by number. Raises ValueError."""
    word = _key(text).removeprefix(prefix)
    if word in names:
        return names[word]
    if word[:1].isdigit():
        bits = int(word, 16) if word.startswith("0X") else int(word) if word.isdigit() else -1
        if bits >= 0 and not bits & ~mask:
            return bits
        raise ValueError(f"EINVAL: {text} has bits outside {mask:#x} ({_legend(names)})")
    from mtcalc.text.suggest import did_you_mean

    raise ValueError(f"unknown flag '{text}' ({did_you_mean(word, names)})")


def _legend(names: Mapping[str, int]) -> str:
    return ", ".join(f"{bit:#x} {name}" for name, bit in names.items())


def parse_slot_flag(text: str) -> int:
    """KVM_MEM_ flag bits from a name or a number: 'non-coherent-dma' -> 8. Raises ValueError."""
    if _key(text).removeprefix("KVM_MEM_") == "DMA":
        raise ValueError("KVM_MEM_DMA acts on the whole VM (say --mem-dma, or vm: {mem_dma: true})")
    return parse_flag(text, SLOT_FLAGS, "KVM_MEM_", ALL_SLOT_FLAGS)


def parse_quirk(text: str) -> int:
    """KVM_X86_QUIRK_ bits from a name or a number: 'cd-nw-cleared' -> 2. Raises ValueError."""
    return parse_flag(text, QUIRKS, "KVM_X86_QUIRK_", sum(QUIRKS.values()))


def flag_names(bits: int, names: Mapping[str, int]) -> tuple[str, ...]:
    """The names of set bits, lowest first; unknown bits as hex."""
    known = tuple(name for name, bit in names.items() if bits & bit)
    rest = bits & ~sum(names.values())
    return (*known, hex(rest)) if rest else known
