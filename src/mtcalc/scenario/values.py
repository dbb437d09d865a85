# SPDX-License-Identifier: GPL-2.0-only
"""The single values of a scenario: plain data (text, true or false, a list) -> what it means.

Each function takes what YAML or JSON gave, numbers still being text, and raises ValueError with `what is
wrong (what would be right)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mtcalc.kvm.flags import parse_quirk, parse_slot_flag
from mtcalc.kvm.host_mmio import MMIO, RAM, Backing
from mtcalc.kvm.versions import Vendor, VmType
from mtcalc.text.numbers import parse_number, parse_written_register
from mtcalc.text.suggest import did_you_mean
from mtcalc.x86.ept import LEVEL_NAMES, LEVEL_SHIFT, split_mask
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, Effective, MemType, NptType, parse_memtype
from mtcalc.x86.pat import Pat, make_pat, parse_pat

if TYPE_CHECKING:
    from mtcalc.kvm.vmm import Vmm
    from mtcalc.refs.guest import GuestKernel

LONGEST_WORD = 80
LONGEST_NAME = 200
LONGEST_LINE = 400  # of a log
LONGEST_REF = 4096
MAX_PAIRS = 32
MAX_COUNT = (1 << 31) - 1
BACKING_WORDS: dict[str, Backing] = {"ram": RAM, "mmio": MMIO}


class Decimal(str):
    """Digits that can only be decimal: a number of a JSON document."""


class ItemError(ValueError):
    """What is wrong with one item of a list; `index` says which."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index


def shown(value: object) -> str:
    """A value of the wrong kind, as a message names it."""
    if value is None:
        return "no value"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value if len(value) <= LONGEST_WORD else value[:LONGEST_WORD] + '...'}'"
    return "a list" if isinstance(value, list) else "a mapping"


def wrong_kind(value: object, wanted: str) -> ValueError:
    """The error for a value of another kind."""
    return ValueError(f"{shown(value)} here ({wanted})")


def word(value: object, wanted: str, longest: int = LONGEST_WORD) -> str:
    """A scalar's text."""
    if not isinstance(value, str):
        raise wrong_kind(value, wanted)
    if not value.strip():
        raise ValueError(f"an empty text ({wanted})")
    if len(value) > longest:
        raise ValueError(f"{shown(value)} is too long ({wanted})")
    return value


def boolean(value: object) -> bool:
    """true or false, and nothing else."""
    if not isinstance(value, bool):
        raise wrong_kind(value, "true or false, without quotes")
    return value


def number(value: object) -> int:
    """An integer of 0 or more in 64 bits."""
    return parse_number(word(value, "a number"))


def register_value(value: object) -> int:
    """What a register holds: a number, or the 16 hex digits of a dump; not digits that may be hex or decimal."""
    return _register_reader(value)(word(value, "a number"))


def _register_reader(value: object) -> Callable[[str], int]:
    return parse_number if isinstance(value, Decimal) else parse_written_register


def number_between(low: int, high: int, what: str, unit: str = "") -> Callable[[object], int]:
    """A reader of numbers from `low` to `high`; `what` names the quantity."""

    def read(value: object) -> int:
        found = number(value)
        if not low <= found <= high:
            raise ValueError(f"{what} {found} is out of range ({low} to {high}{unit})")
        return found

    return read


VENDORS = tuple(each.value for each in Vendor)
VM_TYPES = tuple(each.value for each in VmType)


def vendor(value: object) -> Vendor:
    """The host CPU's vendor. Raises ValueError."""
    name = word(value, f"a vendor, {' or '.join(VENDORS)}").lower()
    if name not in VENDORS:
        raise ValueError(f"unknown vendor {shown(value)} ({' or '.join(VENDORS)})")
    return Vendor(name)


def vm_type(value: object) -> VmType:
    """A type of VM. Raises ValueError."""
    name = word(value, f"one of {', '.join(VM_TYPES)}").lower()
    if name not in VM_TYPES:
        raise ValueError(f"unknown type of VM {shown(value)} ({did_you_mean(name, VM_TYPES)})")
    return VmType(name)


def effective_type(value: object) -> Effective:
    """A memory type that an access can come to: CD and WC+, under NPT, too."""
    text = word(value, f"one of {_names(MTRR_TYPES)}, under NPT CD and WC+ too")
    npt = {str(kind): kind for kind in NptType}.get(text.strip().upper())
    if npt is not None:
        return npt
    try:
        return parse_memtype(text, MTRR_TYPES)
    except ValueError as error:
        raise ValueError(f"{str(error).removesuffix(')')}, under NPT CD and WC+)") from None


def guest_kernel(value: object) -> GuestKernel:
    """The kernel of a Linux guest."""
    text = word(value, "a kernel release, linux-6.8", LONGEST_NAME)
    from mtcalc.refs.guest import parse_guest

    return parse_guest(text)


def request(value: object) -> str:
    """What a driver asks for, by memory type or by function: the request's name."""
    text = word(value, "a memory type, or a function that asks for one")
    from mtcalc.linux.functions import parse_request

    return parse_request(text).name


def mtrr_type(value: object) -> MemType:
    """A memory type that an MTRR or an EPT entry can hold."""
    return parse_memtype(word(value, f"one of {_names(MTRR_TYPES)}"), MTRR_TYPES)


def pat_type(value: object) -> MemType:
    """A memory type that a PAT entry can hold."""
    return parse_memtype(word(value, f"one of {_names(PAT_TYPES)}"))


def slot_flag(value: object) -> int:
    """KVM_MEM_ bits from a name or a number."""
    return parse_slot_flag(word(value, "a slot flag, by name or number"))


def quirk(value: object) -> int:
    """KVM_X86_QUIRK_ bits from a name or a number."""
    return parse_quirk(word(value, "a quirk, by name or number"))


def dma_count(value: object) -> bool:
    """Whether the VM has non-coherent DMA, from true or false or from the count."""
    if isinstance(value, bool):
        return value
    wanted = "true, false or a count"
    text = word(value, wanted)
    if not text[:1].isdigit():
        raise wrong_kind(value, wanted)
    found = parse_number(text)
    if found > MAX_COUNT:
        raise ValueError(f"count {found} is out of range (0 to {MAX_COUNT})")
    return found > 0


def pat_register(value: object) -> Pat:
    """A PAT: `linux`, `reset`, a list of eight types, or the register."""
    if isinstance(value, list):
        entries = []
        for index, item in enumerate(value):
            try:
                entries.append(pat_type(item))
            except ValueError as error:
                raise ItemError(str(error), index) from None
        return make_pat(entries)
    text = word(value, "linux, reset, eight types or the register", LONGEST_LINE)
    return parse_pat(text, _register_reader(value))


def assumption(value: object) -> bool | MemType:
    """yes or no (true or false) for a condition, a memory type where one is asked for."""
    if isinstance(value, bool):
        return value
    wanted = f"yes, no, or one of {_names(MTRR_TYPES)}"
    text = word(value, wanted)
    if text.lower() in ("yes", "no"):
        return text.lower() == "yes"
    try:
        return parse_memtype(text, MTRR_TYPES)
    except ValueError:
        raise ValueError(f"'{text}' is no answer ({wanted})") from None


def ept_byte(value: object) -> int:
    """The EPT byte: memory type 5:3, ignore PAT bit 6, nothing else."""
    byte = number(value)
    encoding, _ = split_mask(byte)
    right = "memory type in bits 5:3, ignore PAT bit 6: 0x30 is WB"
    if byte & ~0x78:
        raise ValueError(f"EPT byte {byte:#x} has other bits set ({right})")
    if encoding not in MTRR_TYPES:
        raise ValueError(f"EPT byte {byte:#x} holds reserved memory type {encoding} ({right})")
    return byte


def ignore_pat(value: object) -> bool:
    """0, 1, true or false."""
    if isinstance(value, bool):
        return value
    text = word(value, "0 or 1")
    if text not in ("0", "1"):
        raise ValueError(f"'{text}' is no ignore-PAT bit (0 or 1)")
    return text == "1"


def page_level(value: object) -> int:
    """The level of a page size, 4K, 2M or 1G."""
    names = ", ".join(LEVEL_NAMES.values())
    size = parse_number(word(value, f"one of {names}"))
    for level, shift in LEVEL_SHIFT.items():
        if size == 1 << shift:
            return level
    raise ValueError(f"{shown(value)} is no page size (one of {names})")


def slot_name(value: object) -> str:
    """A slot's name: printable, on one line."""
    text = word(value, "a name; in quotes where it reads as something else", LONGEST_NAME)
    if not text.isprintable():
        raise ValueError(f"{shown(text)} is not printable (a name on one line)")
    return text


def rules_ref(value: object) -> str:
    """A REF as written."""
    text = word(value, "a rule set, a kernel release or a file", LONGEST_REF)
    if not text.isprintable():
        raise ValueError(f"{shown(text)} is not printable (a rule set, a kernel release or a file)")
    return text


def rule_id(value: object) -> str:
    """A rule's id, as `mtcalc rules show` prints it."""
    return word(value, "the id of a rule")


def hazard_code(value: object) -> str:
    """The code of a hazard, by code or by name."""
    from mtcalc.kvm.hazards import parse_hazard  # which few files name

    return parse_hazard(word(value, "a hazard, as mtcalc check --list has them"))


def vmm(value: object) -> Vmm:
    """A VMM, with its version or without."""
    from mtcalc.kvm.vmm import parse_vmm

    return parse_vmm(word(value, "a VMM, qemu-11.0"))


def backing_word(value: object) -> Backing:
    """`ram` or `mmio`."""
    text = word(value, "ram, mmio, or a mapping").lower()
    if text not in BACKING_WORDS:
        raise ValueError(f"'{text}' is no backing ({did_you_mean(text, (*BACKING_WORDS, 'a mapping'))})")
    return BACKING_WORDS[text]


def _names(types: Sequence[MemType]) -> str:
    return ", ".join(map(str, types))
