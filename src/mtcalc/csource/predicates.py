# SPDX-License-Identifier: GPL-2.0-only
"""How vmx_get_mt_mask() has spelt its inputs and constants over the years, as tables.

Source: arch/x86/kvm/vmx.c, vmx/vmx.c and mtrr.c, 2.6.31 to 6.16. Patterns match the whole of an expression
written in the kernel's style: one blank around binary operators and after commas, none inside parentheses.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mtcalc.csource.words import known_words
from mtcalc.kvm.flags import ALL_QUIRK_BITS, ALL_SLOT_FLAGS, QUIRK_ALIASES, QUIRKS, SLOT_FLAGS
from mtcalc.rules.condition import And, Atom, Condition, Not, Or
from mtcalc.rules.inputs import (
    CR0_CD,
    E820_RAM,
    HOST_PAT,
    HOST_TYPE,
    MEM_DMA,
    MMIO,
    NONCOHERENT_DMA,
    QUIRK_IGNORE_GUEST_PAT,
    RESERVED,
    SELF_SNOOP,
    STRUCT_PAGE,
    ZERO_PAGE,
    Input,
)
from mtcalc.x86.ept import IPAT_BIT, MEMTYPE_SHIFT
from mtcalc.x86.memtype import MemType

FUNCTION = "vmx_get_mt_mask"

UNCACHED = (MemType.UC, MemType.UC_MINUS, MemType.WC)
"""The host's types that pat_pfn_immune_to_uc_mtrr() says yes to. read: 4.15.1 -> 4.16.13, one text since."""

MMIO_PARAMETER = "is_mmio"
MMIO_PLACE = 2
"""Where is_mmio stands among the parameters; there `mmio` says the same."""

_CR0_NUMBERS = (("PE", 0), ("MP", 1), ("EM", 2), ("TS", 3), ("ET", 4), ("NE", 5), ("WP", 16), ("AM", 18), ("NW", 29))
CR0_CONSTANTS = {f"X86_CR0_{name}": 1 << bit for name, bit in (*_CR0_NUMBERS, ("CD", 30), ("PG", 31))}
"""Source: Intel SDM Vol. 3A, "Control Registers"; arch/x86/include/uapi/asm/processor-flags.h."""

CONSTANTS = {
    "MTRR_TYPE_UNCACHABLE": MemType.UC,
    "MTRR_TYPE_WRCOMB": MemType.WC,
    "MTRR_TYPE_WRTHROUGH": MemType.WT,
    "MTRR_TYPE_WRPROT": MemType.WP,
    "MTRR_TYPE_WRBACK": MemType.WB,
    "X86_MEMTYPE_UC": MemType.UC,
    "X86_MEMTYPE_WC": MemType.WC,
    "X86_MEMTYPE_WT": MemType.WT,
    "X86_MEMTYPE_WP": MemType.WP,
    "X86_MEMTYPE_WB": MemType.WB,
    "VMX_EPT_MT_EPTE_SHIFT": MEMTYPE_SHIFT,
    "true": 1,
    "false": 0,
    "NULL": 0,
    **{f"{name}_BIT": bit.bit_length() - 1 for name, bit in CR0_CONSTANTS.items()},
}
LONG_CONSTANTS = {"VMX_EPT_IPAT_BIT": IPAT_BIT, "VMX_EPT_IGMT_BIT": IPAT_BIT}
"""Those of type unsigned long long; IGMT was the first name of IPAT."""

MASK_CONSTANTS = {
    **CR0_CONSTANTS,
    **{f"KVM_MEM_{name}": bit for name, bit in SLOT_FLAGS.items()},
    # What the flag was to be called when it was first suggested, in December 2023.
    "KVM_MEM_HONOR_GUEST_PAT": SLOT_FLAGS["NON_COHERENT_DMA"],
}
"""Bits of type unsigned long."""

_QUIRK_BITS = {**ALL_QUIRK_BITS, **{first: ALL_QUIRK_BITS[name] for first, name in QUIRK_ALIASES.items()}}
QUIRK_CONSTANTS = {f"KVM_{family}QUIRK_{name}": bit for family in ("X86_", "") for name, bit in _QUIRK_BITS.items()}
"""Bits of type int."""

CONSTANT_FAMILIES = ("MTRR_TYPE_", "X86_MEMTYPE_", "VMX_EPT_")
"""A name so called that no table holds is a slip of the pen or news: refused, never an input."""


class ConditionText(NamedTuple):
    """One way to write a condition. `boolean`: the expression is 0 or 1, not a bit of a register."""

    pattern: str
    condition: Condition
    boolean: bool


IOMMU_DOMAIN = Input("assume", "vcpu->kvm->arch.iommu_domain")
IOMMU_COHERENT = Input("assume", "vcpu->kvm->arch.iommu_flags & KVM_IOMMU_CACHE_COHERENCY")
"""2.6.31 to 3.12: a domain that is not coherent is non-coherent DMA; either half alone is an assumption."""

ATOMIC_READ = r"(?:raw_|arch_)?atomic_read"

SPELLINGS = (
    ConditionText(r"(?:__)?kvm_is_mmio_pfn\((?:[\w>.-]*[>.])?pfn\)", Atom(MMIO), True),
    ConditionText(r"kvm_arch_has_noncoherent_dma\(kvm\)", Atom(NONCOHERENT_DMA), True),
    ConditionText(rf"{ATOMIC_READ}\(&kvm->arch\.noncoherent_dma_count\)", Atom(NONCOHERENT_DMA), False),
    ConditionText(rf"{ATOMIC_READ}\(&kvm->arch\.noncoherent_dma_count\) > 0", Atom(NONCOHERENT_DMA), True),
    ConditionText(r"kvm->arch\.noncoherent_dma_count", Atom(NONCOHERENT_DMA), False),
    ConditionText(r"kvm->arch\.noncoherent_dma_count > 0", Atom(NONCOHERENT_DMA), True),
    ConditionText(r"kvm->arch\.iommu_noncoherent", Atom(NONCOHERENT_DMA), True),
    ConditionText(r"kvm->arch\.iommu_domain", Atom(IOMMU_DOMAIN), False),
    ConditionText(r"kvm->arch\.iommu_flags & KVM_IOMMU_CACHE_COHERENCY", Atom(IOMMU_COHERENT), False),
    # 6.16's helper: no non-coherent DMA, and the quirk in force.
    ConditionText(
        r"vmx_ignore_guest_pat\(kvm\)",
        And((Not(Atom(NONCOHERENT_DMA)), Atom(QUIRK_IGNORE_GUEST_PAT))),
        True,
    ),
    # The RFC of 2020 counted slots with KVM_MEM_DMA as non-coherent DMA; this is how rules tell them apart in C.
    ConditionText(r"kvm_has_mem_dma\(kvm\)", Atom(MEM_DMA), True),
    ConditionText(
        r"(?:static_cpu_has|static_cpu_has_safe|boot_cpu_has|cpu_feature_enabled|this_cpu_has)"
        r"\(X86_FEATURE_SELFSNOOP\)",
        Atom(SELF_SNOOP),
        True,
    ),
    ConditionText(r"cpu_has\(&boot_cpu_data, X86_FEATURE_SELFSNOOP\)", Atom(SELF_SNOOP), True),
)

_PAGE = r"pfn_to_page\(pfn\)"
_HEAD = rf"(?:{_PAGE}|compound_(?:trans_)?head\({_PAGE}\))"
_FOLIO = rf"(?:pfn_folio\(pfn\)|page_folio\({_PAGE}\))"
_TO_ADDRESS = "(?:pfn_to_hpa|PFN_PHYS)"
_ADDRESS = rf"(?:{_TO_ADDRESS}\(pfn\)|pfn << PAGE_SHIFT)"
_END = rf"(?:{_TO_ADDRESS}\(pfn \+ 1\)|(?:{_TO_ADDRESS}\(pfn\)|\(pfn << PAGE_SHIFT\)) \+ PAGE_SIZE)"
_BEHIND = rf"(?:{_END}(?: - 1)?|pfn \+ 1 << PAGE_SHIFT|\(pfn \+ 1 << PAGE_SHIFT\) - 1)"

HOST_PAGE_SPELLINGS = (
    ConditionText(r"pfn_valid\(pfn\)", Atom(STRUCT_PAGE), True),
    # The zero page is in the kernel's image, and reserved as all of that is.
    ConditionText(
        rf"PageReserved\({_HEAD}\)|folio_test_reserved\({_FOLIO}\)", Or((Atom(RESERVED), Atom(ZERO_PAGE))), True
    ),
    ConditionText(rf"is_zero_pfn\(pfn\)|is_zero_page\({_PAGE}\)", Atom(ZERO_PAGE), True),
    ConditionText(r"pat_enabled\(\)", Atom(HOST_PAT), True),
    # Source: arch/x86/mm/pat/memtype.c, before 5.7 arch/x86/mm/pat.c.
    ConditionText(r"pat_pfn_immune_to_uc_mtrr\(pfn\)", Or(tuple(Atom(HOST_TYPE, kind) for kind in UNCACHED)), True),
    # Some RAM in the page, as the firmware says: the kernel's own table, e820__mapped_any(), can say less (mem=).
    ConditionText(rf"e820__mapped_raw_any\({_ADDRESS}, {_BEHIND}, E820_(?:TYPE_)?RAM\)", Atom(E820_RAM), True),
)
"""The same of what the host-MMIO test asks of a host page. Source: arch/x86/kvm/mmu/spte.c, virt/kvm/kvm_main.c."""

GUEST_MTRR_SPELLINGS = (
    r"kvm_mtrr_get_guest_memory_type\((?:vcpu|kvm), gfn\)",
    r"kvm_get_guest_memory_type\((?:vcpu|kvm), gfn\)",
    r"get_mtrr_type\(&vcpu->arch\.mtrr_state, gfn << PAGE_SHIFT, \(gfn << PAGE_SHIFT\) \+ PAGE_SIZE\)",
    r"mtrr_get_guest_memory_type\((?:vcpu|kvm), gfn\)",
)
"""Expressions whose value is the guest's MTRR type of the page, a walk over the VM's registers included."""


ONE_VCPU = re.compile(
    r"(?:kvm_)?mtrr_get_guest_memory_type\((?:\w+->)*kvm, \w+\)|kvm_get_guest_memory_type\((?:\w+->)*kvm, \w+\)"
    r"|kvm_get_vcpu(?:_by_id)?\((?:\w+->)*kvm, 0\)|(?:\w+->)*kvm->vcpus\[0\]"
)
"""Expressions that take one vCPU's state for that of the whole VM."""


class Register(NamedTuple):
    """An unsigned number some of whose bits are inputs.

    `shown`: how texts call it. `all_bits`: those it can have at all, as far as a comparison of the whole goes; 0: not
    known.
    """

    pattern: str
    shown: str
    width: int
    conditions: tuple[tuple[int, Condition], ...]
    all_bits: int = 0


_CR0_BITS = ((MASK_CONSTANTS["X86_CR0_CD"], Atom(CR0_CD)),)
_FLAG_BITS = tuple((bit, Atom(Input("slot_flag", name))) for name, bit in SLOT_FLAGS.items())

# This page's memory slot; another slot's flags, and another structure's, are not its flags.
_SLOTS = r"kvm_memslots\(kvm\)|kvm_vcpu_memslots\(vcpu\)"
_SLOT = (
    r"(?:(?:mem)?slot|mem|(?:kvm_vcpu_)?gfn_to_memslot\((?:vcpu|kvm), gfn\)"
    rf"|(?:__gfn_to_memslot|search_memslots)\((?:{_SLOTS}), gfn\))"
)

SLOT = re.compile(_SLOT)
"""This page's memory slot, as an expression of known words."""

SLOT_FLAGS_SHOWN = "slot->flags"

CR0 = Register(r"kvm_read_cr0\(vcpu\)|vcpu->arch\.cr0", "kvm_read_cr0(vcpu)", 64, _CR0_BITS)
DISABLED_QUIRKS = Register(
    r"kvm->arch\.disabled_quirks",
    "vcpu->kvm->arch.disabled_quirks",
    64,
    tuple((bit, Not(Atom(Input("quirk", name)))) for name, bit in QUIRKS.items()),
)
REGISTERS = (
    CR0,
    DISABLED_QUIRKS,
    Register(rf"{_SLOT}->flags", SLOT_FLAGS_SHOWN, 32, _FLAG_BITS, ALL_SLOT_FLAGS),
)


class MaskCall(NamedTuple):
    """A function of an owner (as words.py has it) and a mask.

    `answer`: what it says of register & mask, None for the bits themselves.
    """

    owner: str
    register: Register
    answer: bool | None


BIT_TESTS = re.compile(r"(?:_|__|arch_|constant_|variable_|raw_)?test_bit(?:_acquire)?")
"""Whether a bit, by its number, is set in what is pointed to. Source: include/linux/bitops.h."""

COUNT = "atomic_read(&vcpu->kvm->arch.noncoherent_dma_count)"
"""How texts call the number of non-coherent DMA's users, 0 or greater."""

WRITES_TO = {"mtrr_type_lookup": 2}
"""Functions that set what one of their arguments points to, by its place, and nothing else of their caller's.

Source: arch/x86/kernel/cpu/mtrr/generic.c; the third argument is `uniform`. Read: 4.2.8 to 7.3.4.
"""

MASK_CALLS = {
    "kvm_read_cr0_bits": MaskCall("vcpu", CR0, None),
    "kvm_is_cr0_bit_set": MaskCall("vcpu", CR0, True),
    # In force is what is not disabled: of several, all of them.
    "kvm_check_has_quirk": MaskCall("kvm", DISABLED_QUIRKS, False),
}

_CONDITIONS = [(re.compile(s.pattern), s) for s in SPELLINGS]
_HOST_PAGE = [(re.compile(s.pattern), s) for s in HOST_PAGE_SPELLINGS]
_GUEST_MTRR = [re.compile(pattern) for pattern in GUEST_MTRR_SPELLINGS]
_REGISTERS = [(re.compile(register.pattern), register) for register in REGISTERS]


def spelling_of(text: str) -> ConditionText | None:
    """The row of SPELLINGS that an expression is written as, or None."""
    return _row_of(text, _CONDITIONS)


def host_page_spelling(text: str) -> ConditionText | None:
    """The row of HOST_PAGE_SPELLINGS that an expression is written as, or None."""
    return _row_of(text, _HOST_PAGE)


def _row_of(text: str, rows: list[tuple[re.Pattern[str], ConditionText]]) -> ConditionText | None:
    words = known_words(text)
    return next((row for pattern, row in rows if pattern.fullmatch(words)), None)


def register_of(text: str) -> Register | None:
    """The register that an expression reads, or None."""
    words = known_words(text)
    for pattern, register in _REGISTERS:
        if pattern.fullmatch(words):
            return register
    return None


def is_guest_mtrr(text: str) -> bool:
    """Whether an expression is the guest's MTRR type of the page."""
    words = known_words(text)
    return any(pattern.fullmatch(words) for pattern in _GUEST_MTRR)


TRANSPARENT = {
    # likely(x) is __builtin_expect(!!(x), 1). Source: include/linux/compiler.h.
    "likely": True,
    "unlikely": True,
    "READ_ONCE": False,
    "ACCESS_ONCE": False,
    "data_race": False,
    "rcu_dereference": False,
    "rcu_access_pointer": False,
    # Source: include/asm-generic/bug.h, include/linux/once_lite.h, include/linux/kvm_host.h.
    "WARN_ON": True,
    "WARN_ON_ONCE": True,
    "WARN": True,
    "WARN_ONCE": True,
    "KVM_BUG_ON": True,
    "KVM_BUG": True,
}
"""MacroTable worth their first argument, and whether they make 0 or 1 of it (then of type long)."""

EXPECTING = ("__builtin_expect", "__builtin_expect_with_probability")
"""What is worth its first argument as a long. Source: the GCC manual, "Other Built-in Functions"."""

CONFIG_MACROS = {"IS_ENABLED", "IS_BUILTIN", "IS_MODULE", "IS_REACHABLE"}
"""0 or 1, of type int: what the kernel was configured with. Source: include/linux/kconfig.h."""

CONFIGURED = frozenset(("CONFIG_X86", "CONFIG_X86_64", "CONFIG_64BIT", "CONFIG_KVM", "CONFIG_KVM_INTEL"))
"""What every kernel that runs this function on x86-64 is configured with, built in or as a module."""

NO_CALLS = frozenset(("typeof", "__typeof__", "__typeof", "__alignof__", "__alignof", "_Alignof", "__auto_type"))
"""Words that look like a call where the grammar does not know them, and take a type."""


class KnownHelper(NamedTuple):
    """A function whose name has a meaning; how its own definition is told, where it can't be followed.

    `reads`: the state that it speaks of. `asked`: what stands behind the name where rules ask it, '' where none does.
    `allowed`: calls, with their arguments, that have to do with it, where no expression says what it returns; None:
    what it returns tells. `truth`: it returns 0 or 1.
    """

    reads: str
    asked: str = ""
    allowed: re.Pattern[str] | None = None
    truth: bool = True


_ABOUT_MTRRS = re.compile(r"mtrr|gfn_to_gpa")
_WALK = KnownHelper("mtrr", "(vcpu, gfn) == MTRR_TYPE_WRBACK", _ABOUT_MTRRS, truth=False)
_MMIO_TEST = KnownHelper("pfn_valid")

KNOWN_HELPERS = {
    "kvm_arch_has_noncoherent_dma": KnownHelper("noncoherent_dma", "(vcpu->kvm)"),
    "kvm_check_has_quirk": KnownHelper("disabled_quirks", "(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED)"),
    "vmx_ignore_guest_pat": KnownHelper("IGNORE_GUEST_PAT"),
    "kvm_read_cr0": KnownHelper("cr0", "(vcpu) & X86_CR0_CD", truth=False),
    "kvm_read_cr0_bits": KnownHelper("cr0", "(vcpu, X86_CR0_CD)", truth=False),
    "kvm_is_cr0_bit_set": KnownHelper("cr0", "(vcpu, X86_CR0_CD)"),
    "kvm_has_mem_dma": KnownHelper("mem_dma", "(vcpu->kvm)"),
    "kvm_is_mmio_pfn": _MMIO_TEST,
    "__kvm_is_mmio_pfn": _MMIO_TEST,
    "kvm_mtrr_get_guest_memory_type": _WALK,
    "kvm_get_guest_memory_type": _WALK,
    "mtrr_get_guest_memory_type": _WALK,
    "get_mtrr_type": _WALK._replace(asked=""),
}
"""One row a function: what it reads, how rules ask it, and what it may call."""

PASSED_OVER = re.compile(
    r"(?:WARN|WARN_ON|WARN_ONCE|WARN_ON_ONCE|KVM_BUG_ON|BUG_ON|BUILD_BUG_ON|BUILD_BUG_ON_MSG|static_assert"
    r"|might_sleep|cond_resched|lockdep_assert_\w+|trace_\w+|pr_(?:debug|info|warn|err)(?:_once|_ratelimited)?"
    r"|vcpu_unimpl|kvm_pr_unimpl|barrier|smp_[rw]?mb)"
)
"""Calls that, as a statement, say nothing about the returned byte."""

BIT_MACROS = ("BIT", "BIT_ULL", "_BITUL", "_BITULL")
BIT_NUMBERS = ("ilog2", "const_ilog2", "__ffs", "__ffs64")
"""Of one bit its number. Source: include/linux/log2.h, arch/x86/include/asm/bitops.h."""
RANGE_MACROS = ("GENMASK", "GENMASK_ULL")
"""The bits from the second argument up to the first. Source: include/linux/bits.h."""

ATTRIBUTES = frozenset(
    (
        *("inline", "__inline", "__inline__", "__always_inline", "noinline", "noinstr", "notrace", "asmlinkage"),
        *("__init", "__maybe_unused", "__must_check", "__pure", "__no_profile", "__visible"),
    )
)
"""Words before a function's name that change nothing here, and that the parser would stumble on."""

WRITTEN = {
    "mmio": "is_mmio",
    "self_snoop": "static_cpu_has(X86_FEATURE_SELFSNOOP)",
    "mem_dma": "kvm_has_mem_dma({kvm})",
    "slot_flag": "slot->flags & KVM_MEM_{arg}",
    "quirk": "kvm_check_has_quirk({kvm}, KVM_X86_QUIRK_{arg})",
}
"""How an input is written: {kvm} is the VM, {arg} its argument. What changed with the years is in writer.Spelling."""
