# SPDX-License-Identifier: GPL-2.0-only
"""Memory type range registers: their layout, and the manual's lookup.

Source: SDM vol. 3, "Memory Type Range Registers (MTRRs)" and "MTRR Precedences". Registers: MTRRcap
0xfe, def_type 0x2ff (type 7:0, FE bit 10, E bit 11), fixed 0x250, 0x258, 0x259, 0x268-0x26f, variable
pair n: base 0x200+2n, mask 0x201+2n.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from mtcalc.text.numbers import parse_number
from mtcalc.x86.memtype import MTRR_TYPES, MemType

MSR_CAP = 0xFE
MSR_DEF_TYPE = 0x2FF
MSR_VARIABLE = 0x200
PAGE = 0x1000
ONE_MEGABYTE = 1 << 20

DEF_TYPE_RESERVED = (1 << 64) - 1 & ~0xCFF  # all but E, FE and the type
BASE_RESERVED = 0xF00  # bits 11:8
MASK_RESERVED = 0x7FF  # bits 10:0

# (register, first address, bytes a range): eight ranges a register, byte k the k-th.
FIXED_REGISTERS = (
    (0x250, 0x00000, 0x10000),
    (0x258, 0x80000, 0x4000),
    (0x259, 0xA0000, 0x4000),
    *((0x268 + i, 0xC0000 + 0x8000 * i, 0x1000) for i in range(8)),
)
FIXED_RANGES = tuple((start + size * k, start + size * (k + 1)) for _, start, size in FIXED_REGISTERS for k in range(8))
"""The 88 fixed ranges, [start, end) in bytes, ascending from 0 to 1M."""


class VariableRange(NamedTuple):
    """One variable pair as its two registers hold it."""

    base: int
    mask: int

    @property
    def valid(self) -> bool:
        """V, bit 11 of the mask."""
        return bool(self.mask & 1 << 11)

    @property
    def memtype(self) -> MemType:
        """Bits 7:0 of the base."""
        return MemType(self.base & 0xFF)

    @property
    def address(self) -> int:
        """Base address in bytes, page granular."""
        return self.base & ~0xFFF

    def address_mask(self, maxphyaddr: int) -> int:
        """The mask's address bits."""
        return self.mask & ((1 << maxphyaddr) - PAGE)

    def beyond(self, maxphyaddr: int) -> bool:
        """Whether the mask asks for an address bit that no address has: then the pair matches none."""
        return bool((self.base & self.mask) >> maxphyaddr)


class Mtrrs(NamedTuple):
    """The MTRRs of one CPU, decoded."""

    enabled: bool  # E
    fixed_enabled: bool  # FE
    default: MemType
    fixed: tuple[MemType, ...]  # 88, by FIXED_RANGES
    variable: tuple[VariableRange, ...]
    maxphyaddr: int  # bits
    def_type_reserved: int = 0  # the reserved bits of IA32_MTRR_DEF_TYPE, which mean nothing


class MtrrLookup(NamedTuple):
    """The answer of a lookup and where it came from.

    `memtype` None: undefined by the manual; for KVM's of 4.2 and 4.3 ("garbage") not to be known. "misread": a
    fixed range's type, but not that of the one which holds the address. `pairs` are the variable pairs that had
    a say, in the order in which they were looked at.
    """

    memtype: MemType | None
    via: Literal["disabled", "fixed", "variable", "default", "misread", "garbage"]
    pairs: tuple[int, ...] = ()


def register_name(msr: int) -> str:
    """The manual's name of an MTRR register, or 'MSR 0x...'."""
    if msr == MSR_CAP:
        return "IA32_MTRRCAP"
    if msr == MSR_DEF_TYPE:
        return "IA32_MTRR_DEF_TYPE"
    for register, start, size in FIXED_REGISTERS:
        if msr == register:
            return f"IA32_MTRR_FIX{size >> 10}K_{start:05X}"
    if MSR_VARIABLE <= msr < MSR_VARIABLE + 0x40:
        return f"IA32_MTRR_PHYS{'MASK' if msr & 1 else 'BASE'}{(msr - MSR_VARIABLE) // 2}"
    return f"MSR {msr:#x}"


def register_numbers(vcnt: int = 8) -> tuple[int, ...]:
    """Every register that holds MTRR state, for `vcnt` variable pairs."""
    variable = range(MSR_VARIABLE, MSR_VARIABLE + 2 * vcnt)
    return (*variable, *(r for r, _, _ in FIXED_REGISTERS), MSR_DEF_TYPE)


def _folded(name: str) -> str:
    """A register's name without what spellings differ in: case, underscores, MSR_, IA32_ and MTRR in front."""
    word = name.upper().replace("_MSR(", "").replace(")", "").replace("_", "")
    for prefix in ("MSR", "IA32", "MTRR"):
        word = word.removeprefix(prefix)
    return word


def parse_register(text: str, vcnt: int = 32) -> int:
    """An MTRR register by number or by name, as the manual, the kernel and dumps write it.

    0x2ff and, as no register's hex digits are another's decimal ones, 2ff; IA32_MTRR_DEF_TYPE, MTRRdefType,
    MSR_MTRRfix64K_00000. Raises ValueError for anything else.
    """
    word = text.strip()
    numbers = (*register_numbers(vcnt), MSR_CAP)
    names = {_folded(register_name(number)): number for number in numbers}
    found = names.get(_folded(word))
    if found is not None:
        return found
    for spelled in (word, f"0x{word}"):
        try:
            msr = parse_number(spelled)
        except ValueError:
            continue
        if msr in numbers:
            return msr
    raise ValueError(
        f"'{text}' is no MTRR register (0x200 and up, 0x250, 0x258, 0x259, 0x268-0x26f, 0x2ff, 0xfe or a name)"
    )


_TYPES = "0 UC, 1 WC, 4 WT, 5 WP or 6 WB"
_SINCE_2_6_31 = "KVM from 2.6.31 on answers #GP, and what older ones make of it is not modelled"
"""read: 2.6.29 -> 2.6.31.3, arch/x86/kvm/x86.c, mtrr_valid() is new."""


def check_register(msr: int, value: int, maxphyaddr: int, kept: bool = False) -> None:
    """Raises ValueError with the reason why an MTRR can't hold `value`: writing it is answered with #GP.

    A reserved memory type, which an older KVM than 2.6.31 takes, is refused as well: it has no meaning to go on with.
    `kept`: the bits of a variable pair and of IA32_MTRR_DEF_TYPE that the manual reserves, those of a pair above the
    physical address width (in bits) too, are taken, as not every KVM refuses them: mtcalc.kvm.mtrr_writes. MTRRcap,
    read-only, is taken as it is.
    """
    name = register_name(msr)
    if value >> 64:
        raise ValueError(f"{name} is a 64-bit register (at most 0xffffffffffffffff)")

    def refuse(what: str, right: str) -> None:
        raise ValueError(f"#GP: {name} = {value:#x}: {what} ({right})")

    if msr == MSR_DEF_TYPE:
        if value & DEF_TYPE_RESERVED and not kept:
            refuse(f"reserved bits {value & DEF_TYPE_RESERVED:#x}", "only E bit 11, FE bit 10 and the type 7:0")
        types = [value & 0xFF]
    elif any(msr == register for register, _, _ in FIXED_REGISTERS):
        types = [value >> 8 * k & 0xFF for k in range(8)]
    elif msr == MSR_CAP:
        types = []
    else:
        is_mask = msr & 1
        types = [] if is_mask else [value & 0xFF]
        reserved = value & (MASK_RESERVED if is_mask else BASE_RESERVED)
        if reserved and not kept:
            refuse(f"reserved bits {reserved:#x}", f"bits {'10:0 of a mask' if is_mask else '11:8 of a base'} are 0")
        if value >> maxphyaddr and not kept:
            refuse(f"address bits at or above maxphyaddr {maxphyaddr}", f"at most bit {maxphyaddr - 1}")
    for kind in types:
        if kind not in MTRR_TYPES:
            raise ValueError(f"{name} = {value:#x}: memory type {kind} is reserved ({_TYPES}; {_SINCE_2_6_31})")


def decode_registers(values: Mapping[int, int], maxphyaddr: int, vcnt: int = 8, kept: bool = False) -> Mtrrs:
    """The MTRRs of raw register values; one that is not given is 0, as at reset.

    Raises ValueError where a value would be answered with #GP or a register is unknown; `kept` as check_register()
    has it.
    """
    known = register_numbers(vcnt)
    for msr, value in values.items():
        if msr not in known:
            raise ValueError(f"{register_name(msr)} ({msr:#x}) is no register of {vcnt} variable pairs")
        check_register(msr, value, maxphyaddr, kept)
    def_type = values.get(MSR_DEF_TYPE, 0)
    return Mtrrs(
        enabled=bool(def_type & 1 << 11),
        fixed_enabled=bool(def_type & 1 << 10),
        default=MemType(def_type & 0xFF),
        fixed=tuple(MemType(values.get(r, 0) >> 8 * k & 0xFF) for r, _, _ in FIXED_REGISTERS for k in range(8)),
        variable=tuple(
            VariableRange(values.get(MSR_VARIABLE + 2 * n, 0), values.get(MSR_VARIABLE + 2 * n + 1, 0))
            for n in range(vcnt)
        ),
        maxphyaddr=maxphyaddr,
        def_type_reserved=def_type & DEF_TYPE_RESERVED,
    )


def fixed_index(address: int) -> int:
    """Which of the 88 fixed ranges holds an address under 1M."""
    if address < 0x80000:
        return address >> 16
    if address < 0xC0000:
        return 8 + (address - 0x80000 >> 14)
    return 24 + (address - 0xC0000 >> 12)


def manual_lookup(mtrrs: Mtrrs, address: int) -> MtrrLookup:
    """The type of a physical address in bytes, as SDM "MTRR Precedences" has it.

    E=0: UC. Else the fixed range, under 1M with FE=1. Else all variable pairs with V=1 and
    (address & mask) == (base & mask): none: default; all equal: that; any UC: UC; WT and WB: WT;
    anything else is undefined (None).
    """
    if not mtrrs.enabled:
        return MtrrLookup(MemType.UC, "disabled")
    if mtrrs.fixed_enabled and address < ONE_MEGABYTE:
        return MtrrLookup(mtrrs.fixed[fixed_index(address)], "fixed")
    pairs = matching_pairs(mtrrs, address)
    if not pairs:
        return MtrrLookup(mtrrs.default, "default")
    types = {mtrrs.variable[n].memtype for n in pairs}
    memtype: MemType | None = None
    if len(types) == 1:
        (memtype,) = types
    elif MemType.UC in types:
        memtype = MemType.UC
    elif types == {MemType.WT, MemType.WB}:
        memtype = MemType.WT
    return MtrrLookup(memtype, "variable", pairs)


def matching_pairs(mtrrs: Mtrrs, address: int) -> tuple[int, ...]:
    """The variable pairs with V=1 whose mask matches an address in bytes, ascending."""
    found = []
    for n, pair in enumerate(mtrrs.variable):
        mask = pair.address_mask(mtrrs.maxphyaddr)
        if pair.valid and address & mask == pair.base & mask and not pair.beyond(mtrrs.maxphyaddr):
            found.append(n)
    return tuple(found)


WIDTHS = range(32, 53)
"""Physical address widths, in bits."""


def width_of_mask(mask: int) -> int | None:
    """The physical address width, in bits, for which PHYSMASK is a mask without holes; None: for none.

    A mask is all ones from some bit up to the width: its top bit says which, unless that bit is a hole's.
    """
    width = mask.bit_length()
    hole = ~mask & ((1 << width) - PAGE)
    return width if width in WIDTHS and not hole & (hole + PAGE) else None


def is_regular(pair: VariableRange, maxphyaddr: int) -> bool:
    """Whether a pair is what the manual asks for: a mask without holes, a base inside the mask."""
    mask = pair.address_mask(maxphyaddr)
    hole = ~mask & ((1 << maxphyaddr) - 1)
    return not hole & (hole + 1) and not pair.address & ~mask


def matching_blocks(pair: VariableRange, maxphyaddr: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Every run of addresses in [start, end) that the pair's mask matches, ascending.

    A mask with holes has very many: up to 2^40; take what you need.
    """
    if pair.beyond(maxphyaddr):
        return
    full = 1 << maxphyaddr
    mask = pair.address_mask(maxphyaddr)
    block = mask & -mask or full
    want = pair.base & mask
    at: int | None = start
    while at is not None:
        at = _next_match(at, want, mask, full)
        if at is None or at >= end:
            return
        stop = min(at - at % block + block, end)
        yield at, stop
        at = stop if stop < min(end, full) else None


def _next_match(at: int, want: int, mask: int, full: int) -> int | None:
    """The lowest address >= at with address & mask == want, below `full`."""
    if at >= full:
        return None
    wrong = (at & mask) ^ want
    if not wrong:
        return at
    bit = 1 << wrong.bit_length() - 1
    if not want & bit:
        # The address is above every match with these high bits: carry into the next bit that is
        # free and clear.
        free = ~mask & ~at & (full - 1) & ~(2 * bit - 1)
        if not free:
            return None
        bit = free & -free
        return (at & ~(2 * bit - 1)) | bit | (want & (bit - 1))
    return (at & ~(2 * bit - 1)) | (want & (2 * bit - 1))
