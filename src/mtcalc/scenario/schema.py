# SPDX-License-Identifier: GPL-2.0-only
"""The keys of a scenario, their forms and defaults: what checks a file, and what `mtcalc schema` prints.

Values are read by mtcalc.scenario.values; what concerns several keys at once is checked in
mtcalc.scenario.build. Keys that exclude each other are all optional here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema

from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.scenario import values
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType
from mtcalc.x86.pat import LINUX_PAT, Pat

_NUMBER_FORM = "^(0[xX][0-9A-Fa-f]+(_[0-9A-Fa-f]+)*|0|[1-9][0-9]*)( *[KMGTkmgt][iI]?[bB]|[KMGTkmgt])?$"
NUMBER_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _NUMBER_FORM}]
}
"""A number as mtcalc.text.numbers.parse_number() reads it; an editor sees 1G and 0x1000_0000 as text."""


def _types(types: tuple[MemType, ...]) -> dict[str, Any]:
    """Short names for an editor to offer; every other spelling is text."""
    return {"anyOf": [{"enum": [str(t) for t in types]}, {"type": "string"}]}


def _words(names: dict[str, int]) -> dict[str, Any]:
    return {"anyOf": [{"enum": list(names)}, {"type": "string"}, {"type": "integer", "minimum": 0}]}


_ReadAs = tuple[PlainValidator, WithJsonSchema]


def _between(low: int, high: int, what: str, unit: str = "") -> _ReadAs:
    integer = {"type": "integer", "minimum": low, "maximum": high}
    schema = {"anyOf": [integer, NUMBER_SCHEMA["anyOf"][1]]}
    return PlainValidator(values.number_between(low, high, what, unit)), WithJsonSchema(schema)


def _read_as(read: Callable[[object], object], schema: dict[str, Any]) -> _ReadAs:
    return PlainValidator(read), WithJsonSchema(schema)


# The validators see every value that a file holds, null too, and never the defaults: so a field that is
# None where it is not given takes no null from a file.
_BOOL = _read_as(values.boolean, {"type": "boolean"})
_NUMBER = _read_as(values.number, NUMBER_SCHEMA)
_PADDED_FORM = {"type": "string", "pattern": "^0[0-9A-Fa-f]{15}$"}  # as dumps print registers
_REGISTER = _read_as(values.register_value, {"anyOf": [*NUMBER_SCHEMA["anyOf"], _PADDED_FORM]})
_MTRR_TYPE = _read_as(values.mtrr_type, _types(MTRR_TYPES))
_PAT_TYPE = _read_as(values.pat_type, _types(PAT_TYPES))
_REGISTER_FORMS = {
    "anyOf": [
        {"enum": ["linux", "reset"]},
        {"type": "array", "items": _types(PAT_TYPES), "minItems": 8, "maxItems": 8},
        {"type": "integer", "minimum": 0},
        {"type": "string"},
    ]
}
_ANSWERS = {"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no", *map(str, MTRR_TYPES)]}, {"type": "string"}]}

Bool = Annotated[bool, *_BOOL]
Vendor = Annotated[str, *_read_as(values.vendor, {"enum": ["intel"]})]
BoolOrNone = Annotated[bool | None, *_BOOL]
Number = Annotated[int, *_NUMBER]
Register = Annotated[int, *_REGISTER]
RegisterOrNone = Annotated[int | None, *_REGISTER]
NumberOrNone = Annotated[int | None, *_NUMBER]
MaxPhyAddr = Annotated[int, *_between(32, 52, "maxphyaddr", " bits")]
MtrrType = Annotated[MemType, *_MTRR_TYPE]
MtrrTypeOrNone = Annotated[MemType | None, *_MTRR_TYPE]
PatType = Annotated[MemType, *_PAT_TYPE]
PatTypeOrNone = Annotated[MemType | None, *_PAT_TYPE]
PatRegister = Annotated[Pat, *_read_as(values.pat_register, _REGISTER_FORMS)]
SlotFlag = Annotated[int, *_read_as(values.slot_flag, _words(SLOT_FLAGS))]
Quirk = Annotated[int, *_read_as(values.quirk, _words(QUIRKS))]
DmaCount = Annotated[bool, *_read_as(values.dma_count, {"anyOf": [{"type": "boolean"}, *NUMBER_SCHEMA["anyOf"]]})]
Assumption = Annotated[bool | MemType, *_read_as(values.assumption, _ANSWERS)]
NameOrNone = Annotated[str | None, *_read_as(values.slot_name, {"type": "string", "minLength": 1})]
RefOrNone = Annotated[str | None, *_read_as(values.rules_ref, {"type": ["string", "number"]})]
RuleIdOrNone = Annotated[str | None, *_read_as(values.rule_id, {"type": "string"})]
EptByteOrNone = Annotated[int | None, *_read_as(values.ept_byte, NUMBER_SCHEMA)]
IgnorePatOrNone = Annotated[bool | None, *_read_as(values.ignore_pat, {"enum": [0, 1, True, False]})]
LevelOrNone = Annotated[int | None, *_read_as(values.page_level, {"enum": ["4K", "2M", "1G"]})]


READABLE_KEYS = ("enabled", "fixed_enabled", "default", "fixed", "variable")
"""What the readable form of the MTRRs is made of; msrs goes with none of them."""


class _Model(BaseModel):
    # Building is left to the outermost model: each inner validator of its own would cost start-up time.
    model_config = ConfigDict(extra="forbid", defer_build=True)


class HostKeys(_Model):
    """The host."""

    self_snoop: Bool = Field(True, description="the CPU has the self-snoop feature", examples=[True])
    pat_enabled: Bool = Field(True, description="the host kernel uses the PAT (no nopat)", examples=[True])
    maxphyaddr: MaxPhyAddr = Field(46, description="bits of a physical address", examples=[46, 39])
    vendor: Vendor = Field("intel", description="of the CPU; the rules are those of VMX with EPT", examples=["intel"])


class VmKeys(_Model):
    """What KVM knows of the VM besides its slots."""

    noncoherent_dma: DmaCount = Field(
        False, description="a device does DMA that bypasses the caches; also the count", examples=[False, True, 1]
    )
    disabled_quirks: list[Quirk] = Field(
        [],
        description="KVM_X86_QUIRK_ bits that the VMM turned off, by name or number",
        examples=[["IGNORE_GUEST_PAT"]],
    )
    mem_dma: Bool = Field(
        False, description="some slot has KVM_MEM_DMA, the flag of the rule set kvm-mem-dma", examples=[False]
    )


class Cr0Keys(_Model):
    """Bits of the guest's CR0."""

    cd: Bool = Field(False, description="CR0.CD, cache disable", examples=[False])
    pg: Bool = Field(True, description="CR0.PG, paging; off, the PAT memory type is WB", examples=[True])


class VariableKeys(_Model):
    """One variable MTRR pair: base, size and type, or the two registers."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["base", "size", "type"]}, {"required": ["physbase", "physmask"]}],
        }
    )

    base: NumberOrNone = Field(None, description="first address, a multiple of size", examples=["0xc0000000"])
    size: NumberOrNone = Field(None, description="bytes, a power of two, 4K or more", examples=["1G"])
    type: MtrrTypeOrNone = Field(None, description="memory type", examples=["UC"])
    physbase: RegisterOrNone = Field(None, description="IA32_MTRR_PHYSBASEn as it is", examples=["0xe0000001"])
    physmask: RegisterOrNone = Field(None, description="IA32_MTRR_PHYSMASKn as it is", examples=["0x3ffff0000800"])


class MtrrKeys(_Model):
    """The guest's MTRRs, readable (enabled to variable) or raw (msrs)."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {"required": ["msrs"], "anyOf": [{"required": [key]} for key in READABLE_KEYS]},
        }
    )

    enabled: Bool = Field(True, description="E, bit 11 of IA32_MTRR_DEF_TYPE", examples=[True])
    fixed_enabled: BoolOrNone = Field(
        None, description="FE, bit 10 of IA32_MTRR_DEF_TYPE; true where fixed is given", examples=[True]
    )
    default: MtrrType = Field(MemType.WB, description="the default memory type", examples=["WB"])
    fixed: dict[str, Register] = Field(
        {}, description="fixed-range registers, number or name: value", examples=[{"0x250": "0x0606060606060606"}]
    )
    variable: list[VariableKeys] = Field(
        [], description="variable ranges, pair 0 first", examples=[[{"base": "0xc0000000", "size": "1G", "type": "UC"}]]
    )
    msrs: dict[str, Register] = Field(
        {},
        description="raw registers, number or name: value; one not given is 0",
        examples=[{"0x2ff": "0xc06", "0x200": "0xc0000000", "0x201": "0x3fffc0000800"}],
    )
    vcnt: Annotated[int | None, *_between(0, values.MAX_PAIRS, "vcnt")] = Field(
        None, description="variable pairs; KVM gives a guest 8, the default, but 10 in 3.16", examples=[8, 10]
    )


class GuestKeys(_Model):
    """The guest's CPU."""

    maxphyaddr: MaxPhyAddr = Field(46, description="bits of a guest-physical address", examples=[46, 40])
    cpuid_mtrr: Bool = Field(True, description="the guest's CPUID has MTRRs", examples=[True])
    cr0: Cr0Keys = Field(default_factory=Cr0Keys.model_construct, description="bits of CR0", examples=[{"cd": True}])
    pat: PatRegister = Field(
        LINUX_PAT,
        description="IA32_PAT: linux, reset, eight types (entry 0 first), dmesg's line of them, or the register",
        examples=["linux", ["WB", "WC", "UC-", "UC", "WB", "WP", "UC-", "WT"], "0x0407050600070106"],
    )
    mtrr: MtrrKeys = Field(
        default_factory=MtrrKeys.model_construct,
        description="MTRRs; without it on, default WB, fixed ranges off",
        examples=[{"default": "WB"}],
    )


class BackingKeys(_Model):
    """The host page behind a slot, as far as the host-MMIO test and the mapping level look."""

    struct_page: Bool = Field(True, description="the page has a struct page", examples=[True])
    reserved: Bool = Field(False, description="it is PageReserved", examples=[True])
    zero_page: Bool = Field(False, description="it is the zero page", examples=[False])
    host_type: PatType = Field(
        MemType.WB, description="what the host's memory-type tracking calls it", examples=["WB", "UC-"]
    )
    e820_ram: Bool = Field(True, description="e820 calls it RAM", examples=[True])
    page_size: LevelOrNone = Field(
        None, description="the size in which the host maps it; it limits the mapping level", examples=["4K", "2M", "1G"]
    )


class _OrWord:
    """Takes `ram` and `mmio` for the mapping; the JSON Schema says so."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        mapping = [form for form in handler(core)["anyOf"] if form != {"type": "null"}]
        return {"anyOf": [{"enum": list(values.BACKING_WORDS)}, *mapping]}


def _backing(value: object) -> object:
    if isinstance(value, dict):
        return value
    backing = values.backing_word(value)._asdict()
    return BackingKeys.model_construct(page_size=backing.pop("page_level"), **backing)


class SlotKeys(_Model):
    """One memory slot."""

    gpa: Number = Field(description="guest-physical address, page aligned", examples=["0x100000000", "4G"])
    size: Number = Field(description="bytes, page aligned", examples=["256M"])
    name: NameOrNone = Field(None, description="a name of its own; slotN by default", examples=["vgpu-blob"])
    id: NumberOrNone = Field(
        None, description="slot id, address space in the upper 16 bits; the next free one by default", examples=[0]
    )
    flags: list[SlotFlag] = Field(
        [], description="KVM_MEM_ flags, by name or number", examples=[["NON_COHERENT_DMA"], ["READONLY"]]
    )
    backing: Annotated[BackingKeys | None, BeforeValidator(_backing), _OrWord()] = Field(
        None,
        description="what the host has there: ram (the default), mmio (a device), or the page in detail",
        examples=["ram", "mmio", {"struct_page": True, "reserved": True, "host_type": "WB"}],
    )
    hva: NumberOrNone = Field(
        None, description="host address; it limits the mapping level", examples=["0x7f0000000000"]
    )
    address_space: NumberOrNone = Field(None, description="0, or 1 for SMM", examples=[0])
    device: BoolOrNone = Field(
        None, description="the guest sees a device's BAR there; the default with backing mmio", examples=[True]
    )


class PageKeys(_Model):
    """A page of interest; pat, pat_index and pte exclude each other, without them all six types."""

    gpa: Number = Field(description="guest-physical address", examples=["0x100001000"])
    pat: PatTypeOrNone = Field(None, description="the page's PAT memory type", examples=["WC"])
    pat_index: Annotated[int | None, *_between(0, 7, "pat_index")] = Field(
        None, description="entry of the guest's PAT", examples=[1]
    )
    pte: RegisterOrNone = Field(None, description="the guest's leaf page-table entry", examples=["0x800000000000000f"])
    pte_level: Annotated[int | None, *_between(1, 3, "pte_level")] = Field(
        None, description="level of that entry: 1 (4K, the default), 2 (2M) or 3 (1G)", examples=[1]
    )


class ExpectKeys(PageKeys):
    """What `mtcalc check` expects of a page: at least one key besides the page's own."""

    effective: MtrrTypeOrNone = Field(None, description="effective memory type", examples=["WC"])
    ept: EptByteOrNone = Field(None, description="the EPT byte of memory type and ignore PAT", examples=["0x30"])
    memtype: MtrrTypeOrNone = Field(None, description="EPT memory type", examples=["WB"])
    ipat: IgnorePatOrNone = Field(None, description="ignore-PAT bit", examples=[0, 1])
    level: LevelOrNone = Field(None, description="the largest page KVM may map", examples=["4K", "2M", "1G"])
    guest_mtrr: MtrrTypeOrNone = Field(None, description="guest MTRR type, as KVM sees it", examples=["UC"])
    rule: RuleIdOrNone = Field(None, description="id of the rule that decides", examples=["mmio"])


class ScenarioKeys(_Model):
    """One VM: host, KVM's settings, guest CPU, memory slots, and what to ask of them."""

    model_config = ConfigDict(title="mtcalc scenario")

    rules: RefOrNone = Field(
        None,
        description="rule set, kernel release, or a file relative to this one",
        examples=["slot-flag", "6.12.107+deb12-amd64", "./rules.yaml"],
    )
    host: HostKeys = Field(
        default_factory=HostKeys.model_construct, description="the host", examples=[{"maxphyaddr": 46}]
    )
    vm: VmKeys = Field(
        default_factory=VmKeys.model_construct, description="KVM's settings", examples=[{"noncoherent_dma": True}]
    )
    guest: GuestKeys = Field(
        default_factory=GuestKeys.model_construct, description="the guest's CPU", examples=[{"pat": "linux"}]
    )
    memslots: list[SlotKeys] = Field(
        [], description="memory slots", examples=[[{"name": "ram", "gpa": 0, "size": "3G"}]]
    )
    pages: list[PageKeys] = Field(
        [], description="points of interest", examples=[[{"gpa": "0x100001000", "pat": "WC"}]]
    )
    expect: list[ExpectKeys] = Field(
        [],
        description="what `mtcalc check` checks",
        examples=[[{"gpa": "0x100001000", "pat": "WC", "effective": "WC", "ept": "0x30"}]],
    )
    assume: dict[str, Assumption] = Field(
        {},
        description="conditions that only a C file or a patch knows: source text: yes, no or a memory type",
        examples=[{"kvm_check_has_quirk(vcpu->kvm, 1)": "yes"}],
    )


SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): ScenarioKeys,
    ("host",): HostKeys,
    ("vm",): VmKeys,
    ("guest",): GuestKeys,
    ("guest", "cr0"): Cr0Keys,
    ("guest", "mtrr"): MtrrKeys,
    ("guest", "mtrr", "variable"): VariableKeys,
    ("memslots",): SlotKeys,
    ("memslots", "backing"): BackingKeys,
    ("pages",): PageKeys,
    ("expect",): ExpectKeys,
}
"""The model of every mapping, by its path without list positions."""
