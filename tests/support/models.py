# SPDX-License-Identifier: GPL-2.0-only
"""Second models of what mtcalc computes: guest MTRRs, effective types, EPT entries, host MMIO.

Written from the manual's and KVM's rules in plain words, sharing no code with mtcalc: types are names or
encodings, registers are numbers, every page is looked at by itself.
"""

from __future__ import annotations

from typing import NamedTuple

NAMES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB"}


class Registers(NamedTuple):
    """Raw MTRR state."""

    def_type: int
    fixed: dict[int, int]
    variable: list[tuple[int, int]]  # (base, mask)
    maxphyaddr: int
    cpuid_mtrr: bool = True

    def msrs(self) -> dict[int, int]:
        """Every register by its number."""
        values = {0x2FF: self.def_type, **self.fixed}
        for n, (base, mask) in enumerate(self.variable):
            values[0x200 + 2 * n] = base
            values[0x201 + 2 * n] = mask
        return values


def default_type(regs: Registers) -> str:
    """Bits 7:0 of def_type."""
    return NAMES[regs.def_type & 0xFF]


def enabled(regs: Registers) -> bool:
    """E."""
    return regs.def_type & 0x800 != 0


def fixed_enabled(regs: Registers) -> bool:
    """FE."""
    return regs.def_type & 0x400 != 0


def fixed_ranges(regs: Registers) -> list[tuple[int, int, str]]:
    """All fixed ranges, [start, end) and type, ascending."""
    layout = [(0x250, 0, 64), (0x258, 0x80000, 16), (0x259, 0xA0000, 16)]
    layout += [(0x268 + n, 0xC0000 + n * 32 * 1024, 4) for n in range(8)]
    ranges = []
    for register, start, kib in layout:
        for byte in regs.fixed.get(register, 0).to_bytes(8, "little"):
            ranges.append((start, start + kib * 1024, NAMES[byte]))
            start += kib * 1024
    return ranges


def fixed_type(regs: Registers, address: int) -> str:
    """The fixed range's type of an address under 1M."""
    (kind,) = [kind for start, end, kind in fixed_ranges(regs) if start <= address < end]
    return kind


def matches(base: int, mask: int, maxphyaddr: int, address: int) -> bool:
    """The manual's test of one variable pair, bit by bit."""
    if not mask >> 11 & 1:
        return False
    watched = [bit for bit in range(12, maxphyaddr) if mask >> bit & 1]
    return all(address >> bit & 1 == base >> bit & 1 for bit in watched)


def matching_types(regs: Registers, address: int) -> list[str]:
    """Types of the variable pairs that match by the manual's test."""
    return [NAMES[base & 0xFF] for base, mask in regs.variable if matches(base, mask, regs.maxphyaddr, address)]


def manual_type(regs: Registers, address: int) -> str:
    """SDM "MTRR Precedences": a type or 'undefined'."""
    if not enabled(regs):
        return "UC"
    if fixed_enabled(regs) and address < 1 << 20:
        return fixed_type(regs, address)
    types = matching_types(regs, address)
    if not types:
        return default_type(regs)
    if types.count(types[0]) == len(types):
        return types[0]
    if "UC" in types:
        return "UC"
    if all(kind in ("WT", "WB") for kind in types):
        return "WT"
    return "undefined"


def kvm_ranges(regs: Registers, width: int = 0) -> list[tuple[int, int, str]]:
    """KVM's variable ranges, [start, end) and type, in descending order of the raw base register.

    `width`: how many bits KVM takes a mask to have; 0: the guest's.
    """
    ranges = []
    for base, mask in sorted(regs.variable, reverse=True):
        if mask & 0x800:
            start = base >> 12 << 12
            last = start
            for bit in range(width or regs.maxphyaddr):
                if bit < 12 or not mask >> bit & 1:
                    last |= 1 << bit
            ranges.append((start, last + 1, NAMES[base & 0xFF]))
    return ranges


SEGMENTS_4_2 = ((0x0, 0x80000, 16, 0), (0x80000, 0xC0000, 14, 8), (0xC0000, 0x100000, 12, 24))
"""start, end, shift and first index of the fixed ranges, as the code of 4.2 has them."""


def fixed_index_4_2(address: int) -> int | None:
    """The index into its 88 bytes that the code of 4.2 and 4.3 computes; None: it finds no segment."""
    for start, end, shift, first in SEGMENTS_4_2:
        if start >= address and address < end:  # the fault: it should be start <= address
            wrapped = (address - start) % (1 << 64) >> shift
            index = (first + wrapped) % (1 << 32)
            return index - (1 << 32) if index >> 31 else index
    return None


def fixed_type_4_2(regs: Registers, address: int) -> str | None:
    """What 4.2 and 4.3 read below 1M: a type, 'unknown' where it can't be known, None where they pass over."""
    index = fixed_index_4_2(address)
    if index is None:
        return None
    if index >= 0:
        return [NAMES[byte] for number in FIXED_NUMBERS for byte in regs.fixed.get(number, 0).to_bytes(8, "little")][
            index
        ]
    assert index >= -64  # 32 bytes a pair: these are pairs 6 and 7
    untouched = all(pair == (0, 0) for pair in regs.variable[6:8])
    return "UC" if untouched else "unknown"


FIXED_NUMBERS = (0x250, 0x258, 0x259, 0x268, 0x269, 0x26A, 0x26B, 0x26C, 0x26D, 0x26E, 0x26F)


def kvm_type(regs: Registers, gpa: int, version: str, host_width: int = 0) -> str:
    """The guest MTRR type of one page as KVM sees it: version '4.1', '4.2' or '4.4'; 'unknown': garbage.

    `host_width`: the host's maxphyaddr, which 4.2 takes masks to have; 0: the guest's.
    """
    if version == "4.1":
        return _kvm_type_up_to_4_1(regs, gpa)
    if not enabled(regs):
        if version == "4.2":
            return "UC"
        return "UC" if regs.cpuid_mtrr else "WB"
    if fixed_enabled(regs) and gpa < 1 << 20:
        fixed = fixed_type_4_2(regs, gpa // 4096 * 4096) if version == "4.2" else fixed_type(regs, gpa)
        if fixed is not None:
            return fixed
    width = host_width if version == "4.2" else 0
    types = [kind for start, end, kind in kvm_ranges(regs, width) if start <= gpa < end]
    if not types:
        return default_type(regs)
    current = types.pop(0)
    for kind in types:
        if kind == current:
            continue
        if kind == "UC":
            return "UC"
        if sorted((current, kind)) != ["WB", "WT"]:
            return "WB"
        current = "WT"
    return current


def _kvm_type_up_to_4_1(regs: Registers, gpa: int) -> str:
    if not enabled(regs) and not fixed_enabled(regs):
        return "WB"
    if gpa < 1 << 20:
        return fixed_type(regs, gpa)
    if not enabled(regs):
        return default_type(regs)
    types = matching_types(regs, gpa)
    if not types:
        return default_type(regs)
    if len(set(types)) > 1:
        return "WT" if set(types) <= {"WB", "WT"} else "UC"
    return types[0]


def block_is_consistent(regs: Registers, start: int, size: int, width: int = 0) -> bool:
    """KVM's consistency check of one naturally aligned block, 4.2 to 6.10; `width` as in kvm_ranges()."""
    end = start + size
    if not enabled(regs):
        return True
    met = []
    look_at_variable = True
    if fixed_enabled(regs) and start < 1 << 20:
        met = [kind for low, high, kind in fixed_ranges(regs) if high > start and low < end]
        look_at_variable = end > 1 << 20
    gap = False
    if look_at_variable:
        highest = start
        for low, high, kind in kvm_ranges(regs, width):
            if high > start and low < end:
                met.append(kind)
                if low > highest:
                    gap = True
                highest = max(highest, high)
        if highest < end:
            gap = True
    if any(kind != met[0] for kind in met):
        return False
    return not gap or not met or met[0] == default_type(regs)


def mtrr_level(regs: Registers, gpa: int, width: int = 0) -> str:
    """The first level, from 1G down, whose block around the page is consistent; `width` as in kvm_ranges()."""
    for name, size in (("1G", 1 << 30), ("2M", 1 << 21)):
        if block_is_consistent(regs, gpa // size * size, size, width):
            return name
    return "4K"


def effective(ept: str, pat: str) -> str:
    """The effective type with IPAT=0, as predicates over the two types."""
    if pat == "WC":
        return "WC"
    if pat == "UC":
        return "UC"
    if pat == "UC-":
        # UC- lets write-combining through where the EPT type has something of it, WP included.
        return "WC" if ept in ("WC", "WP") else "UC"
    if pat == "WB" or ept == pat:
        return ept
    if ept == "WB":
        return pat
    if ept in ("UC", "WC"):
        return "UC"
    return pat  # WT and WP between themselves: the guest's choice


def starred(ept: str, pat: str) -> bool:
    """The cells that earlier editions of the manual left undefined."""
    unlike = ept != pat and {ept, pat} == {"WT", "WP"}
    return unlike or (ept == "WC" and pat in ("WT", "WP")) or (ept, pat) == ("WP", "UC-")


class EptReading(NamedTuple):
    """What the manual says of one EPT entry."""

    leaf: bool
    present: bool
    memtype: int | None
    ipat: bool | None
    misconfigured: bool
    address: int


def read_ept(value: int, level: int, maxphyaddr: int, execute_only: bool = False) -> EptReading:
    """An EPT entry by its binary digits; `execute_only`: the CPU has that feature."""
    digits = f"{value:064b}"[::-1]
    readable, writable, executable = (digit == "1" for digit in digits[:3])
    present = "1" in digits[:3]
    leaf = level == 1 or (level in (2, 3) and digits[7] == "1")
    first = {1: 12, 2: 21, 3: 30}[level] if leaf else 12
    bad = writable and not readable
    bad |= executable and not readable and not writable and not execute_only
    bad |= leaf and digits[3:6] in ("010", "110", "111")  # 2, 3 and 7, least significant digit first
    bad |= not leaf and "1" in digits[3:8]
    bad |= "1" in digits[12:first]
    bad |= "1" in digits[maxphyaddr:52]
    return EptReading(
        leaf=leaf,
        present=present,
        memtype=int(digits[5] + digits[4] + digits[3], 2) if leaf else None,
        ipat=digits[6] == "1" if leaf else None,
        misconfigured=present and bad,
        address=int(digits[first:52][::-1], 2) << first,
    )


def host_mmio(
    release: str, struct_page: bool, reserved: bool, zero_page: bool, e820_ram: bool, host_type: str, host_pat: bool
) -> bool:
    """Whether KVM calls a host page MMIO: release '3.11', '4.1', '4.15', '5.1' or '5.2'."""
    if struct_page and zero_page:
        return release in ("3.11", "4.1")
    if struct_page and not reserved:
        return False
    if struct_page and release in ("5.1", "5.2") and host_pat:
        return host_type.startswith(("UC", "WC"))
    if struct_page:
        return True
    return release != "5.2" or not e820_ram


def npt_combined(guest: str, nested: str) -> str:
    """AMD: the types of guest and host PAT, as sentences; the weaker wins but where the guest asks for WC."""
    if guest == "WC":
        return "WC" if nested.startswith(("UC", "WC")) else "WC+"  # snooped where the host side may cache
    if guest == "UC-":
        return nested if nested in ("UC-", "WC") else "UC"  # lets through what is not cached
    if guest == "UC" or nested.startswith("UC"):
        return "UC"
    if nested == "WC":
        return "WC" if guest == "WB" else "UC"
    if "WB" in (guest, nested):
        return nested if guest == "WB" else guest
    return guest if guest == nested else "UC"


def npt_with_host_mtrr(combined: str, host: str) -> str:
    """AMD: what that comes to under the host's MTRR type; uncached access to what an MTRR lets be cached is CD."""
    if combined.startswith("WC"):
        return "WC" if combined == "WC" or host in ("UC", "WC") else "WC+"
    if host == "UC":
        return "UC"
    if combined == "WB" or combined == host:
        return host
    if (combined, host) == ("UC-", "WC"):
        return "WC"
    return combined if host == "WB" and not combined.startswith("UC") else "CD"


RESET_TYPES = ("WB", "WT", "UC-", "UC", "WB", "WT", "UC-", "UC")
LINUX_TYPES = ("WB", "WC", "UC-", "UC", "WB", "WP", "UC-", "WT")


def npt_effective(
    release: tuple[int, ...],
    pat: str,
    host: str,
    *,
    paging: bool = True,
    caches_off: bool = False,
    snp: bool = False,
    guest: tuple[str, ...] = LINUX_TYPES,
) -> str | None:
    """AMD, the whole way of a page under KVM; `caches_off`: CR0.CD is in the hardware. None: no such page."""
    kind = pat
    if not paging:
        kind = "WB"
    elif release < (4, 15):
        if pat not in guest:
            return None
        kind = RESET_TYPES[guest.index(pat)]
    found = npt_with_host_mtrr(npt_combined(kind, "WB"), host)
    if caches_off and found.startswith("W") and not found.startswith("WC"):
        found = "CD"
    if snp:
        found = {"UC": "CD", "WC": "WC+"}.get(found, found)
    return found
