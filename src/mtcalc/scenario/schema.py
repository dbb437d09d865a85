# SPDX-License-Identifier: GPL-2.0-only
"""The keys of a scenario, their forms and defaults: what a file is read by, and what `mtcalc schema` prints.

Values are read by mtcalc.scenario.values; what concerns several keys at once is checked in
mtcalc.scenario.build. Keys that exclude each other are all optional here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.kvm.host_mmio import Backing
from mtcalc.kvm.versions import Vendor, VmType
from mtcalc.scenario import values
from mtcalc.scenario.keys import ByName, Items, Keys, Single, WordOr, key, sections
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, Effective, MemType, NptType
from mtcalc.x86.pat import LINUX_PAT, Pat

if TYPE_CHECKING:
    from mtcalc.kvm.vmm import Vmm
    from mtcalc.refs.guest import GuestKernel

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


def _between(low: int, high: int, what: str, unit: str = "") -> Single:
    integer = {"type": "integer", "minimum": low, "maximum": high}
    schema = {"anyOf": [integer, NUMBER_SCHEMA["anyOf"][1]]}
    return Single(values.number_between(low, high, what, unit), schema)


_PADDED_FORM = {"type": "string", "pattern": "^0[0-9A-Fa-f]{15}$"}  # as dumps print registers
_REGISTER_FORMS = {
    "anyOf": [
        {"enum": ["linux", "reset"]},
        {"type": "array", "items": _types(PAT_TYPES), "minItems": 8, "maxItems": 8},
        {"type": "integer", "minimum": 0},
        {"type": "string"},
    ]
}
_ANSWERS = {"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no", *map(str, MTRR_TYPES)]}, {"type": "string"}]}

BOOL = Single(values.boolean, {"type": "boolean"})
VENDOR = Single(values.vendor, {"enum": list(values.VENDORS)})
VM_TYPE = Single(values.vm_type, {"enum": list(values.VM_TYPES)})
GUEST_KERNEL = Single(values.guest_kernel, {"type": ["string", "number"]})
REQUEST = Single(values.request, _types(PAT_TYPES))
NUMBER = Single(values.number, NUMBER_SCHEMA)
REGISTER = Single(values.register_value, {"anyOf": [*NUMBER_SCHEMA["anyOf"], _PADDED_FORM]})
MAXPHYADDR = _between(32, 52, "maxphyaddr", " bits")
EFFECTIVE = Single(
    values.effective_type, {"anyOf": [{"enum": list(map(str, (*MTRR_TYPES, *NptType)))}, {"type": "string"}]}
)
MTRR_TYPE = Single(values.mtrr_type, _types(MTRR_TYPES))
PAT_TYPE = Single(values.pat_type, _types(PAT_TYPES))
PAT_REGISTER = Single(values.pat_register, _REGISTER_FORMS)
SLOT_FLAG = Single(values.slot_flag, _words(SLOT_FLAGS))
QUIRK = Single(values.quirk, _words(QUIRKS))
DMA_COUNT = Single(values.dma_count, {"anyOf": [{"type": "boolean"}, *NUMBER_SCHEMA["anyOf"]]})
ANSWER = Single(values.assumption, _ANSWERS)
NAME = Single(values.slot_name, {"type": "string", "minLength": 1})
REF = Single(values.rules_ref, {"type": ["string", "number"]})
RULE_ID = Single(values.rule_id, {"type": "string"})
EPT_BYTE = Single(values.ept_byte, NUMBER_SCHEMA)
IGNORE_PAT = Single(values.ignore_pat, {"enum": [0, 1, True, False]})
LEVEL = Single(values.page_level, {"enum": ["4K", "2M", "1G"]})
HAZARD = Single(values.hazard_code, {"type": "string", "pattern": "^ *([Mm][Tt][0-9]{3}|[A-Za-z-]+) *$"})
VMM = Single(values.vmm, {"type": "string"})
BACKING_WORD = Single(values.backing_word, {"enum": list(values.BACKING_WORDS)})


READABLE_KEYS = ("enabled", "fixed_enabled", "default", "fixed", "variable")
"""What the readable form of the MTRRs is made of; msrs goes with none of them."""


class HostKeys(Keys):
    """The host."""

    self_snoop: bool = key(BOOL, True, description="the CPU has the self-snoop feature", examples=[True])
    pat_enabled: bool = key(BOOL, True, description="the host kernel uses the PAT (no nopat)", examples=[True])
    maxphyaddr: int = key(MAXPHYADDR, 46, description="bits of a physical address", examples=[46, 39])
    vendor: Vendor = key(
        VENDOR, Vendor.INTEL, description="of the CPU: intel (VMX with EPT) or amd (SVM with NPT)", examples=["intel"]
    )


class VmKeys(Keys):
    """What KVM knows of the VM besides its slots."""

    noncoherent_dma: bool = key(
        DMA_COUNT,
        False,
        description="a device does DMA that bypasses the caches; also the count",
        examples=[False, True, 1],
    )
    disabled_quirks: Sequence[int] = key(
        Items(QUIRK),
        [],
        description="KVM_X86_QUIRK_ bits that the VMM turned off, by name or number",
        examples=[["IGNORE_GUEST_PAT"]],
    )
    mem_dma: bool = key(
        BOOL, False, description="some slot has KVM_MEM_DMA, the flag of the rule set kvm-mem-dma", examples=[False]
    )
    type: VmType = key(
        VM_TYPE, VmType.NORMAL, description="normal, td (TDX, Intel) or snp (AMD)", examples=["normal", "td"]
    )
    vmm: Vmm | None = key(
        VMM,
        None,
        description="the VMM and its version, for hazards that hang on its switches",
        examples=["crosvm", "qemu-11.0"],
    )


class Cr0Keys(Keys):
    """Bits of the guest's CR0."""

    cd: bool = key(BOOL, False, description="CR0.CD, cache disable", examples=[False])
    pg: bool = key(BOOL, True, description="CR0.PG, paging; off, the PAT memory type is WB", examples=[True])


class VariableKeys(Keys):
    """One variable MTRR pair: base, size and type, or the two registers."""

    more_schema = {"oneOf": [{"required": ["base", "size", "type"]}, {"required": ["physbase", "physmask"]}]}

    base: int | None = key(NUMBER, None, description="first address, a multiple of size", examples=["0xc0000000"])
    size: int | None = key(NUMBER, None, description="bytes, a power of two, 4K or more", examples=["1G"])
    type: MemType | None = key(MTRR_TYPE, None, description="memory type", examples=["UC"])
    physbase: int | None = key(REGISTER, None, description="IA32_MTRR_PHYSBASEn as it is", examples=["0xe0000001"])
    physmask: int | None = key(REGISTER, None, description="IA32_MTRR_PHYSMASKn as it is", examples=["0x3ffff0000800"])


class MtrrKeys(Keys):
    """The guest's MTRRs, readable (enabled to variable) or raw (msrs)."""

    more_schema = {"not": {"required": ["msrs"], "anyOf": [{"required": [name]} for name in READABLE_KEYS]}}

    enabled: bool = key(BOOL, True, description="E, bit 11 of IA32_MTRR_DEF_TYPE", examples=[True])
    fixed_enabled: bool | None = key(
        BOOL, None, description="FE, bit 10 of IA32_MTRR_DEF_TYPE; true where fixed is given", examples=[True]
    )
    default: MemType = key(MTRR_TYPE, MemType.WB, description="the default memory type", examples=["WB"])
    fixed: Mapping[str, int] = key(
        ByName(REGISTER),
        {},
        description="fixed-range registers, number or name: value",
        examples=[{"0x250": "0x0606060606060606"}],
    )
    variable: Sequence[VariableKeys] = key(
        Items(VariableKeys),
        [],
        description="variable ranges, pair 0 first",
        examples=[[{"base": "0xc0000000", "size": "1G", "type": "UC"}]],
    )
    msrs: Mapping[str, int] = key(
        ByName(REGISTER),
        {},
        description="raw registers, number or name: value; one not given is 0",
        examples=[{"0x2ff": "0xc06", "0x200": "0xc0000000", "0x201": "0x3fffc0000800"}],
    )
    vcnt: int | None = key(
        _between(0, values.MAX_PAIRS, "vcnt"),
        None,
        description="variable pairs; KVM gives a guest 8, the default, but 10 in 3.16",
        examples=[8, 10],
    )


class GuestKeys(Keys):
    """The guest's CPU."""

    maxphyaddr: int = key(MAXPHYADDR, 46, description="bits of a guest-physical address", examples=[46, 40])
    cpuid_mtrr: bool = key(BOOL, True, description="the guest's CPUID has MTRRs", examples=[True])
    kernel: GuestKernel | None = key(
        GUEST_KERNEL,
        None,
        description="release of a Linux guest; it decides what pages with request get, and programs the PAT",
        examples=["linux-6.8", "5.15.0-91-generic"],
    )
    nopat: bool = key(BOOL, False, description="that kernel was booted with nopat", examples=[False])
    cr0: Cr0Keys = key(Cr0Keys, Cr0Keys(), description="bits of CR0", examples=[{"cd": True}])
    pat: Pat = key(
        PAT_REGISTER,
        LINUX_PAT,
        description="IA32_PAT: linux, reset, eight types (entry 0 first), dmesg's line of them, or the register",
        examples=["linux", ["WB", "WC", "UC-", "UC", "WB", "WP", "UC-", "WT"], "0x0407050600070106"],
    )
    mtrr: MtrrKeys = key(
        MtrrKeys,
        MtrrKeys(),
        description="MTRRs; without it on, default WB, fixed ranges off",
        examples=[{"default": "WB"}],
    )


class BackingKeys(Keys):
    """The host page behind a slot, as far as the host-MMIO test and the mapping level look."""

    struct_page: bool = key(BOOL, True, description="the page has a struct page", examples=[True])
    reserved: bool = key(BOOL, False, description="it is PageReserved", examples=[True])
    zero_page: bool = key(BOOL, False, description="it is the zero page", examples=[False])
    host_type: MemType = key(
        PAT_TYPE, MemType.WB, description="what the host's memory-type tracking calls it", examples=["WB", "UC-"]
    )
    e820_ram: bool = key(BOOL, True, description="e820 calls it RAM", examples=[True])
    page_size: int | None = key(
        LEVEL,
        None,
        description="the size in which the host maps it; it limits the mapping level",
        examples=["4K", "2M", "1G"],
    )
    host_mtrr: MemType | None = key(
        MTRR_TYPE,
        None,
        description="the host's MTRR type, which counts on amd; WB by default, UC of host MMIO",
        examples=["UC"],
    )


def _backing(keys: BackingKeys) -> Backing:
    given = {name: getattr(keys, name) for name in BackingKeys.fields}
    return Backing(page_level=given.pop("page_size"), **given)


class SlotKeys(Keys):
    """One memory slot."""

    needs = "a memory slot has gpa and size"

    gpa: int = key(NUMBER, description="guest-physical address, page aligned", examples=["0x100000000", "4G"])
    size: int = key(NUMBER, description="bytes, page aligned", examples=["256M"])
    name: str | None = key(NAME, None, description="a name of its own; slotN by default", examples=["vgpu-blob"])
    id: int | None = key(
        NUMBER,
        None,
        description="slot id, address space in the upper 16 bits; the next free one by default",
        examples=[0],
    )
    flags: Sequence[int] = key(
        Items(SLOT_FLAG),
        [],
        description="KVM_MEM_ flags, by name or number",
        examples=[["NON_COHERENT_DMA"], ["READONLY"]],
    )
    backing: Backing | None = key(
        WordOr(BACKING_WORD, BackingKeys, _backing),
        None,
        description="what the host has there: ram (the default), mmio (a device), or the page in detail",
        examples=["ram", "mmio", {"struct_page": True, "reserved": True, "host_type": "WB"}],
    )
    hva: int | None = key(
        NUMBER, None, description="host address; it limits the mapping level", examples=["0x7f0000000000"]
    )
    address_space: int | None = key(NUMBER, None, description="0, or 1 for SMM", examples=[0])
    device: bool | None = key(
        BOOL, None, description="the guest sees a device's BAR there; the default with backing mmio", examples=[True]
    )
    private: bool = key(BOOL, False, description="private memory of a TD or an SNP guest", examples=[False])


class PageKeys(Keys):
    """A page of interest; pat, pat_index, pte and request exclude each other, without them all six types."""

    needs = "a page has a gpa"

    gpa: int = key(NUMBER, description="guest-physical address", examples=["0x100001000"])
    pat: MemType | None = key(PAT_TYPE, None, description="the page's PAT memory type", examples=["WC"])
    pat_index: int | None = key(_between(0, 7, "pat_index"), None, description="entry of the guest's PAT", examples=[1])
    pte: int | None = key(
        REGISTER, None, description="the guest's leaf page-table entry", examples=["0x800000000000000f"]
    )
    pte_level: int | None = key(
        _between(1, 3, "pte_level"),
        None,
        description="level of that entry: 1 (4K, the default), 2 (2M) or 3 (1G)",
        examples=[1],
    )
    request: str | None = key(
        REQUEST,
        None,
        description="what a driver of the Linux guest asks for: a type, or a function such as ioremap_wc or memremap",
        examples=["WB", "ioremap_wc"],
    )
    size: int | None = key(NUMBER, None, description="bytes that are asked for; one page by default", examples=["16M"])
    private: bool | None = key(BOOL, None, description="private memory; by default as its slot is", examples=[False])


class ExpectKeys(PageKeys):
    """What `mtcalc check` expects of a page, at least one key besides the page's own; or one hazard."""

    more_schema = {"anyOf": [{"required": [name]} for name in ("gpa", "hazard", "no_hazard")]}

    gpa: int | None = key(  # type: ignore[assignment]
        NUMBER, None, description="guest-physical address; needed but for a hazard", examples=["0x100001000"]
    )
    effective: Effective | None = key(EFFECTIVE, None, description="effective memory type", examples=["WC"])
    ept: int | None = key(EPT_BYTE, None, description="the EPT byte of memory type and ignore PAT", examples=["0x30"])
    memtype: MemType | None = key(MTRR_TYPE, None, description="EPT memory type", examples=["WB"])
    ipat: bool | None = key(IGNORE_PAT, None, description="ignore-PAT bit", examples=[0, 1])
    level: int | None = key(LEVEL, None, description="the largest page KVM may map", examples=["4K", "2M", "1G"])
    guest_mtrr: MemType | None = key(MTRR_TYPE, None, description="guest MTRR type, as KVM sees it", examples=["UC"])
    rule: str | None = key(RULE_ID, None, description="id of the rule that decides", examples=["mmio"])
    hazard: str | None = key(
        HAZARD, None, description="a hazard that must be found: anywhere, at gpa, in slot", examples=["MT009"]
    )
    no_hazard: str | None = key(HAZARD, None, description="a hazard that must not be found there", examples=["MT011"])
    slot: str | None = key(NAME, None, description="the name of the slot that a hazard is about", examples=["vga"])


class ScenarioKeys(Keys):
    """One VM: host, KVM's settings, guest CPU, memory slots, and what to ask of them."""

    more_schema = {"title": "mtcalc scenario"}

    rules: str | None = key(
        REF,
        None,
        description="rule set, kernel release, or a file relative to this one",
        examples=["slot-flag", "6.12.107+deb12-amd64", "./rules.yaml"],
    )
    host: HostKeys = key(HostKeys, HostKeys(), description="the host", examples=[{"maxphyaddr": 46}])
    vm: VmKeys = key(VmKeys, VmKeys(), description="KVM's settings", examples=[{"noncoherent_dma": True}])
    guest: GuestKeys = key(GuestKeys, GuestKeys(), description="the guest's CPU", examples=[{"pat": "linux"}])
    memslots: Sequence[SlotKeys] = key(
        Items(SlotKeys), [], description="memory slots", examples=[[{"name": "ram", "gpa": 0, "size": "3G"}]]
    )
    pages: Sequence[PageKeys] = key(
        Items(PageKeys), [], description="points of interest", examples=[[{"gpa": "0x100001000", "pat": "WC"}]]
    )
    expect: Sequence[ExpectKeys] = key(
        Items(ExpectKeys),
        [],
        description="what `mtcalc check` checks",
        examples=[[{"gpa": "0x100001000", "pat": "WC", "effective": "WC", "ept": "0x30"}]],
    )
    assume: Mapping[str, bool | MemType] = key(
        ByName(ANSWER),
        {},
        description="conditions that only a C file or a patch knows: source text: yes, no or a memory type",
        examples=[{"kvm_check_has_quirk(vcpu->kvm, 1)": "yes"}],
    )


SECTIONS = dict(sections(ScenarioKeys))
"""Every mapping, by its path without list positions."""
