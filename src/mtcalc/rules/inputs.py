# SPDX-License-Identifier: GPL-2.0-only
"""What a rule can ask for: one row an input, and the facts that hold a value for each.

Parser, rule files, diff, words, tables, records and schemas derive from KINDS. What is declared by hand for a new
row: the field of Facts (and of kvm.vm.Vm), the flag in cli.options, the key in scenario.schema, and how C spells it
in csource.predicates; tests hold these complete.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeAlias, TypeVar, Union

from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS, parse_quirk, parse_slot_flag
from mtcalc.text.record import Record
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType

Value: TypeAlias = Union[bool, MemType]
AnyFacts = TypeVar("AnyFacts", "Facts", "HostPage")


class Scope(Enum):
    """What an input is a property of: whose state decides for how much memory."""

    PAGE = "page"
    HOST_PAGE = "host page"
    SLOT = "slot"
    VM = "VM"
    VCPU = "vCPU"
    HOST = "host"
    UNKNOWN = "source text"


class Kind(Record):
    """One row: a kind of input. In `words`, `yes` and `no`, {} is the argument where it takes one."""

    name: str  # as rule files and conditions write it
    scope: Scope
    words: str  # how a sentence calls it
    yes: str  # how a sentence says where it is so; "" where it has several values
    no: str
    key: str  # in JSON's "inputs"
    field: str  # of Facts; of Vm too, where it is no page's and no slot's
    option: str  # of lookup, without the dashes
    domain: tuple[Value, ...] = (False, True)
    bits: Mapping[str, int] = {}  # the arguments it takes, and their bits in the field
    disabled: bool = False  # the field has the bits of those that are not so
    parse: Callable[[str], int] | None = None  # bits from a name or a number, as people write them
    text: bool = False  # its argument is a source text, in quotes
    aliases: tuple[str, ...] = ()  # what else people and JSON call it
    rare: bool = False  # csv has its column only where some answer has it

    @property
    def typed(self) -> bool:
        """Whether its values are memory types."""
        return self.domain != (False, True)


_BOTH: tuple[Value, ...] = (False, True)


def _host_page(name: str, words: str, yes: str = "", no: str = "", domain: tuple[Value, ...] = _BOTH) -> Kind:
    return Kind(name, Scope.HOST_PAGE, words, yes, no, name, name, "", domain=domain)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "mmio",
            Scope.PAGE,
            "host MMIO",
            "that are host MMIO",
            "that are not host MMIO",
            "is_mmio",
            "mmio",
            "mmio",
        ),
        Kind(
            "slot_flag",
            Scope.SLOT,
            "slot flag {}",
            "with {}",
            "without {}",
            "slot_flags",
            "slot_flags",
            "slot-flag",
            bits=SLOT_FLAGS,
            parse=parse_slot_flag,
        ),
        Kind(
            "noncoherent_dma",
            Scope.VM,
            "non-coherent DMA",
            "with non-coherent DMA",
            "without non-coherent DMA",
            "noncoherent_dma",
            "noncoherent_dma",
            "noncoherent-dma",
        ),
        Kind(
            "cr0_cd",
            Scope.VCPU,
            "guest CR0.CD",
            "with guest CR0.CD set",
            "with guest CR0.CD clear",
            "cr0_cd",
            "cr0_cd",
            "cd",
        ),
        Kind(
            "quirk",
            Scope.VM,
            "quirk {}",
            "with quirk {} in force",
            "with quirk {} disabled",
            "quirks",
            "disabled_quirks",
            "disable-quirk",
            bits=QUIRKS,
            disabled=True,
            parse=parse_quirk,
        ),
        Kind(
            "self_snoop",
            Scope.HOST,
            "host self-snoop",
            "on a CPU with self-snoop",
            "on a CPU without self-snoop",
            "self_snoop",
            "self_snoop",
            "self-snoop",
        ),
        Kind(
            "guest_mtrr",
            Scope.VCPU,
            "guest MTRR type",
            "",
            "",
            "guest_mtrr",
            "guest_mtrr",
            "mtrr",
            domain=MTRR_TYPES,
        ),
        Kind(
            "mem_dma",
            Scope.VM,
            "KVM_MEM_DMA in some slot",
            "while some slot has KVM_MEM_DMA",
            "while no slot has KVM_MEM_DMA",
            "mem_dma",
            "mem_dma",
            "mem-dma",
            rare=True,
        ),
        Kind(
            "assume",
            Scope.UNKNOWN,
            "`{}`",
            "where `{}` holds",
            "where `{}` does not hold",
            "assume",
            "assume",
            "assume",
            text=True,
            rare=True,
        ),
        Kind(
            "assume_type",
            Scope.UNKNOWN,
            "`{}`",
            "",
            "",
            "assume",
            "assume",
            "assume",
            domain=MTRR_TYPES,
            text=True,
            rare=True,
        ),
    )
}
"""By name, in the order in which diff, tables and records have them."""

HOST_PAGE_KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _host_page("struct_page", "struct page", "with a struct page", "without struct page"),
        _host_page("reserved", "PageReserved", "that are reserved", "that are not reserved"),
        _host_page("zero_page", "zero page", "that are the zero page", "that are not the zero page"),
        _host_page("host_type", "the host's memory type", domain=PAT_TYPES),
        _host_page("host_pat", "the host's PAT", "on a host whose PAT is on", "on a host whose PAT is off"),
        _host_page("e820_ram", "e820 RAM", "that e820 calls RAM", "that e820 does not call RAM"),
    )
}
"""What the host-MMIO test can ask for, in the same way; no flag sets these, a slot's backing does."""

PRIVATE_KIND = Kind(
    "private",
    Scope.PAGE,
    "private memory",
    "that are private",
    "that are not private",
    "private",
    "private",
    "private",
)
"""What a TD's page is; no rule file asks for it, as KVM's function does not."""

HOST_MTRR_KIND = Kind(
    "host_mtrr", Scope.HOST, "host MTRR type", "", "", "host_mtrr", "host_mtrr", "host-mtrr", domain=MTRR_TYPES
)
"""What decides under NPT besides the guest's PAT; no rule asks for it either."""

_BY_NAME = {**KINDS, **HOST_PAGE_KINDS, **{kind.name: kind for kind in (PRIVATE_KIND, HOST_MTRR_KIND)}}
ORDER = {name: at for at, name in enumerate(_BY_NAME)}


class Input(Record):
    """Something a rule set can read: a kind, and which one where there are several."""

    name: str
    arg: str = ""

    @property
    def kind(self) -> Kind:
        """Its row."""
        return _BY_NAME[self.name]

    def __str__(self) -> str:
        if self.kind.text:
            escaped = self.arg.replace("\\", "\\\\").replace('"', '\\"')
            return f'{self.name} "{escaped}"'
        return f"{self.name} {self.arg}" if self.arg else self.name


MMIO = Input("mmio")
NONCOHERENT_DMA = Input("noncoherent_dma")
MEM_DMA = Input("mem_dma")
CR0_CD = Input("cr0_cd")
SELF_SNOOP = Input("self_snoop")
GUEST_MTRR = Input("guest_mtrr")
QUIRK_CD_NW_CLEARED = Input("quirk", "CD_NW_CLEARED")
QUIRK_IGNORE_GUEST_PAT = Input("quirk", "IGNORE_GUEST_PAT")
FLAG_NON_COHERENT_DMA = Input("slot_flag", "NON_COHERENT_DMA")
PRIVATE = Input("private")
HOST_MTRR = Input("host_mtrr")

STRUCT_PAGE = Input("struct_page")
RESERVED = Input("reserved")
ZERO_PAGE = Input("zero_page")
HOST_TYPE = Input("host_type")
HOST_PAT = Input("host_pat")
E820_RAM = Input("e820_ram")


class Facts(Record):
    """Everything a rule can know about one page."""

    mmio: bool = False
    slot_flags: int = 0
    noncoherent_dma: bool = False
    mem_dma: bool = False
    cr0_cd: bool = False
    disabled_quirks: int = 0
    self_snoop: bool = True
    guest_mtrr: MemType | None = MemType.WB  # None: a kernel that never asks
    private: bool = False  # of a TD or an SNP guest: its own, not shared with the host
    host_mtrr: MemType | None = None  # the host's MTRR type, under NPT; None: by what the page is
    assume: Mapping[str, Value] = {}


class HostPage(Record):
    """Everything the host-MMIO test can know about one host page."""

    struct_page: bool = True
    reserved: bool = False  # PageReserved
    zero_page: bool = False
    host_type: MemType = MemType.WB  # what the host's memory-type tracking calls it
    host_pat: bool = True  # pat_enabled()
    e820_ram: bool = True
    assume: Mapping[str, Value] = {}


def named_inputs() -> tuple[Input, ...]:
    """Every input that has a name of its own: all but assumptions."""
    return tuple(Input(kind.name, arg) for kind in KINDS.values() if not kind.text for arg in kind.bits or ("",))


def rank(item: Input) -> tuple[int, int]:
    """Where an input stands in the order of rows, bits by their number."""
    return ORDER[item.name], item.kind.bits.get(item.arg, 0)


def input_words(item: Input) -> str:
    """An input as a sentence calls it: 'quirk CD_NW_CLEARED', 'guest CR0.CD', '`a source text`'."""
    return item.kind.words.replace("{}", item.arg)


def said(item: Input, value: Value) -> str:
    """Where an input has a value, as a sentence says it: 'without non-coherent DMA'."""
    return (item.kind.yes if value else item.kind.no).replace("{}", item.arg)


def domain(item: Input) -> tuple[Value, ...]:
    """The values an input can take."""
    return item.kind.domain


class UnknownInput(ValueError):
    """An assumed condition or type that nobody gave a value for."""

    def __init__(self, item: Input) -> None:
        example = "UC|WC|WT|WP|WB" if item.kind.typed else "yes|no"
        super().__init__(
            f"these rules ask for `{item.arg}` (say --assume '{item.arg}={example}'; in a scenario, assume:)"
        )
        self.item = item


def value_of(item: Input, facts: Facts | HostPage) -> Value:
    """The value of an input. Raises UnknownInput for an assumption that is not given or of another kind."""
    kind = _BY_NAME[item.name]
    if kind.text:
        return _assumed(item, facts.assume)
    held = getattr(facts, kind.field)
    if kind.bits:
        return bool(held & kind.bits[item.arg]) is not kind.disabled
    if held is None:
        what = "these rules ask for the guest's MTRR type, and the kernel around them never does"
        raise ValueError(f"{what} (6.10 and older do; mtcalc lookup takes --mtrr)")
    value: Value = held
    return value


def with_value(facts: AnyFacts, item: Input, value: Value) -> AnyFacts:
    """The facts with one input set."""
    kind = _BY_NAME[item.name]
    changed: Any = value
    if kind.text:
        changed = {**facts.assume, item.arg: value}
    elif kind.bits:
        bit, held = kind.bits[item.arg], getattr(facts, kind.field)
        changed = held | bit if value is not kind.disabled else held & ~bit
    return facts._replace(**{kind.field: changed})


def is_given(item: Input, facts: Facts) -> bool:
    """Whether facts say an input that many can be set of: a slot flag set, a quirk disabled, an assumption made."""
    kind = item.kind
    if kind.text:
        folded = folded_text(item.arg)
        return any(folded_text(text) == folded for text in facts.assume)
    return bool(kind.bits and getattr(facts, kind.field) & kind.bits[item.arg])


def _assumed(item: Input, assume: Mapping[str, Value]) -> Value:
    value = assume.get(item.arg)
    if value is None:
        folded = folded_text(item.arg)
        value = next((each for text, each in assume.items() if folded_text(text) == folded), None)
    if value is None or isinstance(value, MemType) is not item.kind.typed:
        raise UnknownInput(item)
    return value


def folded_text(text: str) -> str:
    """A source text without the blanks that C does without: `f(a, b) == 1` and `f( a,b )==1` are one."""
    folded = ""
    for word in text.split():
        last = folded[-1:]
        apart = (last.isalnum() or last == "_") and (word[0].isalnum() or word[0] == "_")
        # One mark twice can be another operator: `a & &b`.
        folded += f" {word}" if apart or (last == word[0] and last not in "()[]") else word
    return folded


def same_input(item: Input) -> Input:
    """An input as others are compared with it: an assumption by its folded text."""
    return item._replace(arg=folded_text(item.arg)) if item.kind.text else item
