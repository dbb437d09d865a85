# SPDX-License-Identifier: GPL-2.0-only
"""The further ways into a hazard, besides those of tests/data/hazards: where it fires, and where it just does not."""

from __future__ import annotations

import pytest

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.hazards import Case, Hazard, find_hazards
from mtcalc.kvm.points import Expect, Page
from mtcalc.refs.resolve import resolve
from mtcalc.scenario.load import load_scenario

RAM = "{name: ram, gpa: 0, size: 1G}"
BAR = "{name: bar, gpa: 0xe0000000, size: 16M, backing: mmio}"
BLOB = "{name: blob, gpa: 0x800000000, size: 256M, device: true}"
N = "vm: {noncoherent_dma: true}\n"
ROM = "{name: rom, gpa: 0xfffc0000, size: 256K, flags: [READONLY]}"
LOW = "fixed: {0x250: 0x0606060606060606, 0x258: 0x0606060606060606}"
UC = "variable: [{base: 1M, size: 1M, type: UC}, {base: 2G, size: 2G, type: WB}]"
TD = "vm: {noncoherent_dma: true, type: td}\n"
OFF = "vm: {disabled_quirks: [IGNORE_GUEST_PAT]}\n"
AMD = "host: {vendor: amd}\n"
SNP = AMD + "vm: {type: snp}\n"
ONLY_TD = "vm: {type: td}\n"
CD = "guest: {cr0: {cd: true}}\n"
NO_SELF_SNOOP = "host: {self_snoop: false}\n"
WINDOW = "mtrr: {variable: [{base: 32G, size: 32G, type: UC}]}"
SMRAM = "{name: smram, gpa: 0xa0000, size: 64K, address_space: 1}"
TOP = "{name: top, gpa: 0x7ffffffff000, size: 8K}"
WIDE = "host: {{maxphyaddr: 52}}\nguest: {{maxphyaddr: {guest}}}\nvm: {{type: {kind}}}\n"
LOST = "{name: lost, gpa: 4G, size: 1G, backing: {struct_page: false, e820_ram: true}}"
ONE_TYPE = (
    "guest: {mtrr: {fixed: {0x250: 0x0606060606060606, 0x258: 0x0606060606060606, 0x259: 0x0606060606060606, "
    + ", ".join(f"{number:#x}: 0x0606060606060606" for number in range(0x268, 0x270))
    + "}}}\n"
)


def hazards(ref: str, slots: str, more: str = "") -> list[Hazard]:
    scenario = load_scenario(f"{more}memslots: [{slots}]\n", "vm.yaml")
    evaluator = Evaluator(resolve(ref), scenario.vm, scenario.slots, scenario.notes)
    pages: list[Page | Expect] = [*scenario.pages, *scenario.expects]
    return find_hazards(Case(evaluator, pages, scenario.vmm, scenario.mtrr_place is not None))


def mtrr(text: str) -> str:
    return f"guest: {{mtrr: {{{text}}}}}\n"


def at(code: str, found: list[Hazard]) -> list[tuple[str | None, int | None]]:
    return [(each.slot and each.slot.name, each.gpa) for each in found if each.code == code]


WAYS = [
    # With protected state no slot is READONLY, with private memory none is SMM's.
    ("MT002", "6.16", ROM, ONLY_TD, [("rom", 0xFFFC0000)]),
    ("MT002", "6.11", ROM, SNP, [("rom", 0xFFFC0000)]),
    ("MT002", "6.10", ROM, SNP, []),
    ("MT002", "6.16", ROM, AMD, []),
    ("MT002", "6.16", ROM, "", []),
    ("MT001", "6.16", SMRAM, ONLY_TD, [("smram", 0xA0000)]),
    ("MT001", "6.12", SMRAM, SNP, [("smram", 0xA0000)]),
    ("MT001", "6.16", SMRAM, "", []),
    ("MT001", "6.16", SMRAM, AMD, []),
    # A TD's shared bit is no part of a slot's addresses: 47, or 51 where its addresses are wide.
    ("MT001", "latest", TOP, WIDE.format(guest=48, kind="td"), [("top", (1 << 47) - 4096)]),
    ("MT001", "latest", TOP.replace("8K", "4K"), WIDE.format(guest=48, kind="td"), []),
    ("MT001", "latest", TOP, WIDE.format(guest=52, kind="td"), []),
    ("MT001", "latest", TOP, WIDE.format(guest=48, kind="normal"), []),
    # A VM of a kind that the release does not run, and private memory where a device is.
    ("MT007", "6.15", RAM, ONLY_TD, [(None, None)]),
    ("MT007", "6.16", RAM, ONLY_TD, []),
    ("MT007", "6.10", RAM, SNP, [(None, None)]),
    ("MT007", "6.11", RAM, SNP, []),
    ("MT007", "latest", f"{BAR[:-1]}, private: true}}", ONLY_TD, [("bar", 0xE0000000)]),
    ("MT009", "latest", f"{BAR[:-1]}, private: true}}", ONLY_TD, []),
    ("MT007", "latest", BAR, ONLY_TD, []),
    # Under NPT the host's MTRR of a reserved page counts, and where nobody said it nothing is claimed.
    ("MT009", "latest", "{name: vga, gpa: 0xa0000, size: 128K, backing: {reserved: true}}", AMD, []),
    (
        "MT009",
        "latest",
        "{name: vga, gpa: 0xa0000, size: 128K, backing: {reserved: true, host_mtrr: WB}}",
        AMD,
        [("vga", 0xA0000)],
    ),
    ("MT009", "latest", "{name: vga, gpa: 0xa0000, size: 128K, backing: {reserved: true, host_mtrr: UC}}", AMD, []),
    # RAM behind mem= has no struct page: up to 5.1 its entry is UC, which under NPT no entry is.
    ("MT011", "5.1", LOST, "", [("lost", 1 << 32)]),
    ("MT011", "5.2", LOST, "", []),
    ("MT011", "5.1", LOST, AMD, []),
    # 4.1 reads fixed ranges that are off, of which nobody spoke; later kernels do not.
    ("MT012", "4.1", RAM, N, [("ram", 1 << 20)]),
    ("MT012", "4.4", RAM, N, [("ram", 0)]),
    ("MT012", "6.10", RAM, N, [("ram", 0)]),
    # Without paging all of it is WB; NPT's entries are WB as well.
    ("MT014", "6.12", RAM, f"{N}guest: {{cr0: {{pg: false}}}}\n", [("ram", 0)]),
    ("MT014", "6.12", RAM, "guest: {cr0: {pg: false}}\n", []),
    ("MT014", "6.12", RAM, AMD + N, [("ram", 0)]),
    ("MT014", "6.12", RAM, AMD, []),
    # CR0.CD that rules of MTRRs pass over, and in a BAR; a slot's own DMA.
    ("MT016", "4.1", RAM, N + CD, [("ram", 1 << 20)]),
    ("MT017", "v2.6.29", RAM, f"{CD[:-2]}, mtrr: {{{LOW}}}}}\n", [("ram", 0), ("ram", 1 << 20)]),
    ("MT016", "6.10", RAM, "vm: {noncoherent_dma: true, disabled_quirks: [2]}\n" + CD, []),
    ("MT017", "6.12", BLOB, CD, [("blob", 0x800000000)]),
    ("MT016", "6.12", BLOB, N + CD, [("blob", 0x800000000)]),
    ("MT016", "slot-flag", f"{BLOB[:-1]}, flags: [8]}}, {RAM}", CD, [("blob", 0x800000000)]),
    ("MT017", "slot-flag", f"{BLOB[:-1]}, flags: [8]}}, {RAM}", CD, [("ram", 0)]),
    # What the guest's own kernel makes of a request for WB.
    ("MT018", "latest", BLOB, OFF + "guest: {kernel: linux-6.1.10, mtrr: {enabled: false}}\n", []),
    ("MT018", "latest", BLOB, OFF + "guest: {kernel: linux-6.1.6, mtrr: {enabled: false}}\n", [("blob", 0x800000000)]),
    ("MT018", "latest", BLOB, f"{OFF}guest: {{kernel: linux-6.1.10, {WINDOW}}}\n", [("blob", 0x800000000)]),
    ("MT018", "latest", BLOB, OFF + "guest: {kernel: linux-5.4, cpuid_mtrr: false}\n", []),
    ("MT018", "latest", BLOB, OFF + "guest: {kernel: linux-6.2, cpuid_mtrr: false}\n", [("blob", 0x800000000)]),
    ("MT018", "latest", BLOB, f"{ONLY_TD}guest: {{kernel: linux-6.11, {WINDOW}}}\n", [("blob", 0x800000000)]),
    ("MT018", "latest", BLOB, f"{ONLY_TD}guest: {{kernel: linux-6.12, {WINDOW}}}\n", []),
    ("MT018", "latest", BLOB, f"{SNP}guest: {{kernel: linux-6.11, {WINDOW}}}\n", [("blob", 0x800000000)]),
    ("MT018", "latest", BLOB, f"{SNP}guest: {{kernel: linux-6.12, {WINDOW}}}\n", []),
    ("MT018", "6.10", BLOB, N + "guest: {kernel: linux-6.1.10, mtrr: {enabled: false}}\n", [("blob", 0x800000000)]),
    # The 32-bit hole, which such a guest calls UC itself from 6.18 on.
    ("MT018", "latest", f"{RAM}, {{name: b, gpa: 3G, size: 1M, device: true}}", ONLY_TD, [("b", 3 << 30)]),
    ("MT019", "latest", f"{BLOB[:-1]}, private: true}}", f"{ONLY_TD}guest: {{kernel: linux-6.11, {WINDOW}}}\n", []),
    # An entry that CR0.CD makes UC leaves the PAT no say: an alias, and no driver's doing.
    ("MT034", "6.10", BLOB, "vm: {noncoherent_dma: true, disabled_quirks: [2]}\n" + CD, []),
    ("MT011", "6.10", BLOB, "vm: {noncoherent_dma: true, disabled_quirks: [2]}\n" + CD, [("blob", 0x800000000)]),
    ("MT034", "6.10", BLOB, "vm: {noncoherent_dma: true, disabled_quirks: [2]}\n", [("blob", 0x800000000)]),
    # The block of 2M at 0 is always checked, that of 1G where nothing else is against it.
    ("MT025", "4.6", f"{RAM[:-1]}, backing: {{page_size: 4K}}}}", ONE_TYPE, [("ram", 0)]),
    ("MT025", "4.6", "{name: high, gpa: 2M, size: 1G}", ONE_TYPE, []),
    ("MT025", "4.6", RAM, AMD + ONE_TYPE, [("ram", 0)]),
    # NVDIMM is no BAR.
    (
        "MT028",
        "latest",
        f"{RAM}, {{name: pmem, gpa: 4G, size: 1G, backing: {{reserved: true}}}}",
        mtrr("variable: [{base: 3G, size: 1G, type: UC}]"),
        [],
    ),
    (
        "MT028",
        "latest",
        f"{RAM}, {{name: vga, gpa: 4G, size: 128K, backing: {{reserved: true}}}}",
        mtrr("variable: [{base: 3G, size: 1G, type: UC}]"),
        [("vga", 1 << 32)],
    ),
    # Host MMIO was cached by the first rules, and by 4.2 where the guest's MTRRs say so.
    ("MT009", "v2.6.28", BAR, "", [("bar", 0xE0000000)]),
    ("MT009", "v4.2", BAR, "", [("bar", 0xE0000000)]),
    ("MT009", "v4.2", BAR, mtrr("variable: [{base: 3G, size: 1G, type: UC}]"), []),
    ("MT009", "v4.3", BAR, "", []),
    # The host's VGA window: over the guest's, in a BAR, or small; NVDIMM is none of it; up to 4.15 reserved is MMIO.
    ("MT009", "6.1", "{name: vga, gpa: 0xa0000, size: 128K, backing: {reserved: true}}", "", [("vga", 0xA0000)]),
    ("MT009", "6.1", "{name: big, gpa: 0xa0000, size: 1G, backing: {reserved: true}}", "", [("big", 0xA0000)]),
    ("MT009", "6.1", "{name: rom, gpa: 4G, size: 384K, backing: {reserved: true}}", "", [("rom", 1 << 32)]),
    ("MT009", "6.1", "{name: pmem, gpa: 4G, size: 388K, backing: {reserved: true}}", "", []),
    ("MT010", "6.1", "{name: pmem, gpa: 4G, size: 388K, backing: {reserved: true}}", "", [("pmem", 1 << 32)]),
    ("MT009", "6.1", "{name: bar, gpa: 4G, size: 1G, device: true, backing: {reserved: true}}", "", [("bar", 1 << 32)]),
    ("MT009", "4.15", "{name: vga, gpa: 0xa0000, size: 128K, backing: {reserved: true}}", "", []),
    ("MT009", "6.1", "{name: zero, gpa: 4K, size: 4K, backing: {reserved: true, zero_page: true}}", "", []),
    ("MT010", "6.1", "{name: zero, gpa: 4K, size: 4K, backing: {reserved: true, zero_page: true}}", "", []),
    # An alias for every PAT type: MTRRs obeyed, CR0.CD obeyed; the other way round, where the host maps it WC.
    ("MT011", "v6.7", RAM, N + mtrr("variable: [{base: 512M, size: 512M, type: UC}]"), [("ram", 1 << 29)]),
    ("MT011", "v6.7", RAM, N + mtrr("variable: [{base: 512M, size: 512M, type: WT}]"), []),
    (
        "MT011",
        "v4.4",
        RAM,
        "vm: {noncoherent_dma: true, disabled_quirks: [2]}\nguest: {cr0: {cd: true}}\n",
        [("ram", 0)],
    ),
    # What every firmware makes uncached is a note: its flash, and below 1M; what goes on above it is none of that.
    ("MT011", "v6.7", ROM, N + mtrr("default: UC"), []),
    ("MT012", "v6.7", ROM, N + mtrr("default: UC"), [("rom", 0xFFFC0000)]),
    ("MT011", "v6.7", RAM, N + mtrr(f"default: UC, {LOW}"), [("ram", 1 << 20)]),
    ("MT012", "v6.7", RAM, N + mtrr(f"default: UC, {LOW}"), [("ram", 0), ("ram", 0xA0000)]),
    ("MT011", "v6.7", RAM, N + mtrr("default: UC"), [("ram", 0)]),
    ("MT011", "v6.7", RAM, N + mtrr(f"enabled: false, {LOW}"), [("ram", 0)]),
    # A page that somebody names is looked at by itself, wherever else in its slot an alias is certain.
    (
        "MT011",
        "v6.7",
        RAM,
        f"{N}guest: {{mtrr: {{{LOW}, variable: [{{base: 512M, size: 512M, type: UC}}]}}}}\n"
        "pages: [{gpa: 1M, pat: UC}, {gpa: 513M, pat: UC}]\n",
        [("ram", 1 << 29), ("ram", 1 << 20)],
    ),
    ("MT011", "latest", "{name: wc, gpa: 0, size: 1M, backing: {host_type: WC}}", "", [("wc", 0)]),
    ("MT012", "latest", "{name: wc, gpa: 0, size: 1M, backing: {host_type: WC}}", OFF, [("wc", 0)]),
    ("MT011", "latest", RAM, f"{OFF}pages: [{{gpa: 4K, pat: WP}}, {{gpa: 8K}}]\n", []),
    ("MT011", "latest", RAM, f"{OFF}expect: [{{gpa: 4K, pat: WC, effective: WC}}]\n", [("ram", 0x1000)]),
    ("MT011", "latest", BAR, f"{N}pages: [{{gpa: 0xe0000000, pat: WC}}]\n", []),
    # One host page in two slots: only where the entries differ.
    ("MT013", "latest", f"{RAM[:-1]}, hva: 1G}}, {{name: b, gpa: 4G, size: 2M, hva: 1G, flags: [READONLY]}}", "", []),
    (
        "MT013",
        "v6.7",
        f"{RAM[:-1]}, hva: 1G}}, {{name: b, gpa: 4G, size: 2M, hva: 1G}}",
        N + mtrr("variable: [{base: 4G, size: 2M, type: WC}]"),
        [("b", 1 << 32)],
    ),
    # What is called uncached and is not: below 1M a note whatever the DMA, CR0.CD as well.
    ("MT016", "latest", RAM, N + mtrr("fixed: {0x259: 0}"), []),
    ("MT017", "latest", "{name: low, gpa: 0xa0000, size: 128K}", N + mtrr("fixed: {0x259: 0}"), [("low", 0xA0000)]),
    ("MT016", "latest", RAM, f"{N}guest: {{cr0: {{cd: true}}}}\n", [("ram", 0)]),
    ("MT017", "latest", RAM, "guest: {cr0: {cd: true}}\n", [("ram", 0)]),
    ("MT017", "latest", RAM, mtrr("enabled: false"), [("ram", 0)]),
    ("MT017", "latest", RAM, "guest: {cpuid_mtrr: false, mtrr: {enabled: false}}\n", []),
    ("MT017", "latest", ROM, mtrr("default: UC"), []),
    # SMRAM lies behind the VGA window, of which the fixed range speaks; what SMM has above 1M is as it says.
    ("MT017", "latest", "{name: smram, address_space: 1, gpa: 0xa0000, size: 128K}", mtrr(LOW), []),
    ("MT017", "latest", "{name: tseg, address_space: 1, gpa: 1M, size: 2M}", mtrr(UC), [("tseg", 1 << 20)]),
    # No device of the host's reads private memory, nor does the guest write what is READONLY.
    ("MT015", "latest", f"{{name: td, gpa: 4G, size: 1G, private: true}}, {RAM}", TD, []),
    ("MT014", "latest", f"{{name: td, gpa: 4G, size: 1G, private: true}}, {RAM}", TD, [("ram", 0)]),
    ("MT016", "latest", "{name: td, gpa: 1M, size: 2M, private: true}", TD + mtrr(UC), []),
    ("MT017", "latest", "{name: td, gpa: 1M, size: 2M, private: true}", TD + mtrr(UC), [("td", 1 << 20)]),
    ("MT014", "latest", ROM, N, []),
    ("MT012", "latest", ROM, N, [("rom", 0xFFFC0000)]),
    # A request for WB becomes UC-: mixed types, MTRRs off or missing; not a WT one.
    ("MT018", "latest", BLOB, OFF, []),
    ("MT018", "latest", BLOB, OFF + mtrr("enabled: false"), [("blob", 0x800000000)]),
    ("MT018", "latest", BLOB, OFF + "guest: {cpuid_mtrr: false}\n", [("blob", 0x800000000)]),
    (
        "MT018",
        "latest",
        BLOB,
        OFF + mtrr("variable: [{base: 0x808000000, size: 128M, type: WC}]"),
        [("blob", 0x800000000)],
    ),
    ("MT018", "v6.7", BLOB, N + mtrr("variable: [{base: 32G, size: 32G, type: UC}]"), [("blob", 0x800000000)]),
    ("MT019", "6.1", BLOB, mtrr("variable: [{base: 32G, size: 32G, type: UC}]"), [("blob", 0x800000000)]),
    (
        "MT019",
        "6.1",
        "{name: flash, gpa: 4G, size: 4M, flags: [READONLY]}",
        mtrr("variable: [{base: 4G, size: 4M, type: UC}]"),
        [],
    ),
    # Overlaps in no slot, and partly in one.
    (
        "MT022",
        "latest",
        RAM,
        mtrr("variable: [{base: 512M, size: 512M, type: WT}, {base: 512M, size: 512M, type: WC}]"),
        [("ram", 1 << 29)],
    ),
    (
        "MT022",
        "latest",
        RAM,
        mtrr("variable: [{base: 0, size: 4G, type: WT}, {base: 0, size: 2G, type: WC}]"),
        [("ram", 0), (None, 1 << 30)],
    ),
    ("MT022", "latest", RAM, mtrr("variable: [{base: 0, size: 4G, type: WT}, {base: 0, size: 2G, type: UC}]"), []),
    # A quirk disabled that the VMM has no switch for; a slot that wants its guest's PAT heard.
    ("MT008", "latest", RAM, "vm: {vmm: crosvm, disabled_quirks: [IGNORE_GUEST_PAT]}\n", [(None, None)]),
    ("MT008", "latest", f"{RAM}, {BLOB}", "vm: {vmm: crosvm}\n", [("blob", 0x800000000)]),
    ("MT008", "latest", f"{RAM}, {BLOB}", "vm: {vmm: crosvm, noncoherent_dma: true}\n", []),
    ("MT008", "6.1", f"{RAM}, {BLOB}", "vm: {vmm: crosvm}\n", []),
    ("MT008", "latest", f"{RAM}, {BLOB}", "vm: {vmm: cloud-hypervisor}\n", []),
    ("MT008", "latest", RAM, "vm: {vmm: crosvm}\npages: [{gpa: 4K, pat: WB}]\n", []),
    # Without self-snoop none can, whatever its switches; where the scenario has it disabled, MT007 says so.
    ("MT008", "latest", f"{RAM}, {BLOB}", "vm: {vmm: qemu-11.0}\n", []),
    ("MT008", "latest", f"{RAM}, {BLOB}", f"{NO_SELF_SNOOP}vm: {{vmm: qemu-11.0}}\n", [("blob", 0x800000000)]),
    ("MT008", "6.12.60", f"{RAM}, {BLOB}", f"{NO_SELF_SNOOP}vm: {{vmm: qemu-11.0}}\n", []),
    ("MT008", "quirk-v1", f"{RAM}, {BLOB}", f"{NO_SELF_SNOOP}vm: {{vmm: qemu-11.0}}\n", []),
    ("MT008", "latest", f"{RAM}, {BLOB}", NO_SELF_SNOOP, []),
    (
        "MT008",
        "latest",
        f"{RAM}, {BLOB}",
        f"{NO_SELF_SNOOP}vm: {{vmm: qemu-11.0, disabled_quirks: [IGNORE_GUEST_PAT]}}\n",
        [],
    ),
    # Some hosts, some VMs.
    ("MT003", "latest", "{name: a, gpa: 0, size: 4K, hva: 0x7fffffffe000}", "", []),
    ("MT003", "latest", "{name: a, gpa: 0, size: 8K, hva: 0x7fffffffe000}", "", [("a", 0)]),
    ("MT003", "6.8", "{name: a, gpa: 0, size: 4K, flags: [GUEST_MEMFD]}", "", [("a", 0)]),
    ("MT003", "6.18", "{name: a, gpa: 0, size: 4K, flags: [GUEST_MEMFD]}", "", []),
    # A hole that is WB, whether a slot shows it or not; nobody's MTRRs are nobody's hole.
    ("MT028", "latest", RAM, mtrr("default: WB"), [(None, 0xFEE00000)]),
    ("MT028", "latest", RAM, "", []),
    ("MT028", "latest", RAM, mtrr("default: UC, variable: [{base: 0, size: 1G, type: WB}]"), []),
    ("MT028", "latest", "{name: all, gpa: 3G, size: 1G}", mtrr("default: WB"), []),
    # What zaps nothing: the first device, CR0.CD, a moved range.
    ("MT029", "6.1", BAR, N, []),
    ("MT029", "v4.1", RAM, "", []),
    ("MT029", "v4.1", RAM, N, [("ram", 0)]),
    ("MT029", "v4.1", RAM, N + mtrr("default: UC"), [("ram", 0), (None, None)]),
    ("MT029", "6.8", RAM, N + mtrr("default: UC"), [("ram", 0)]),
    ("MT029", "v4.1", RAM, mtrr("default: UC"), []),
    ("MT029", "6.8", RAM, N + mtrr("variable: [{base: 2G, size: 1G, type: UC}]"), [(None, None)]),
    ("MT029", "6.12", RAM, N + mtrr("variable: [{base: 2G, size: 1G, type: UC}]"), []),
    ("MT029", "6.8", RAM, "vm: {noncoherent_dma: true, disabled_quirks: [2]}\nguest: {cr0: {cd: true}}\n", []),
    # A host page of 4K has one type, whatever the MTRRs.
    (
        "MT027",
        "4.1",
        "{name: ram, gpa: 2M, size: 1G, backing: {page_size: 4K}}",
        N + mtrr("variable: [{base: 512M, size: 1M, type: UC}]"),
        [],
    ),
    ("MT027", "4.2", "{name: ram, gpa: 2M, size: 1G}", N + mtrr("variable: [{base: 512M, size: 1M, type: UC}]"), []),
]


@pytest.mark.parametrize(
    ("code", "ref", "slots", "more", "where"),
    WAYS,
    ids=[f"{number}-{way[0]}-{way[1]}" for number, way in enumerate(WAYS)],
)
def test_a_way_into_a_hazard(
    code: str, ref: str, slots: str, more: str, where: list[tuple[str | None, int | None]]
) -> None:
    ref = {"v4.1": "4.1"}.get(ref, ref)
    assert at(code, hazards(ref, slots, more)) == where


def test_what_the_dma_bypasses_is_said_of_the_slot_or_of_the_vm() -> None:
    flagged = f"{RAM}, {{name: blob, gpa: 4G, size: 2M, flags: [NON_COHERENT_DMA]}}"
    assert at("MT014", hazards("slot-flag", flagged)) == [("blob", 1 << 32)]
    assert at("MT015", hazards("v6.7", flagged)) == [("blob", 1 << 32)]
    assert at("MT014", hazards("slot-flag", flagged, N)) == [("ram", 0), ("blob", 1 << 32)]
    assert at("MT015", hazards("kvm-mem-dma", RAM, "vm: {mem_dma: true}\nguest: {cr0: {cd: true}}\n")) == [("ram", 0)]


def test_a_rom_and_its_copy_below_1m_are_no_alias() -> None:
    copy = "{name: copy, gpa: 0xe0000, size: 128K, hva: 0x7f0000020000, flags: [READONLY]}"
    rom = "{name: rom, gpa: 0xfffc0000, size: 256K, hva: 0x7f0000000000, flags: [READONLY]}"
    more = N + mtrr("variable: [{base: 2G, size: 2G, type: UC}]")
    assert at("MT013", hazards("v6.7", f"{copy}, {rom}", more)) == []
    writable = copy.replace("READONLY", "")
    assert at("MT013", hazards("v6.7", f"{writable}, {rom}", more)) == [("copy", 0xE0000)]


def test_neighbours_of_one_text_are_one_range() -> None:
    """Cut by the fixed ranges, said once."""
    fixed = "fixed: {0x250: 0x0606060606060606, 0x258: 0x0606060606060606}"
    found = [each for each in hazards("v6.7", RAM, N + mtrr(fixed)) if "fixed ranges" in each.text]
    assert [(each.code, each.gpa, each.end) for each in found] == [("MT012", 0xA0000, 0xFFFFF)]


def spans(code: str, found: list[Hazard]) -> list[tuple[str | None, int | None, int | None]]:
    return [(each.slot and each.slot.name, each.gpa, each.end) for each in found if each.code == code]


def test_slots_alias_where_they_share_and_nowhere_else() -> None:
    ram = "{name: ram, gpa: 0, size: 2M, hva: 0x7f0000000000}"
    more = "{name: more, gpa: 2M, size: 2M, hva: 0x7f0000200000}"
    blob = "{name: blob, gpa: 4G, size: 1G, hva: 0x7f0000100000, flags: [8]}"
    assert spans("MT013", hazards("slot-flag", f"{ram}, {blob}")) == [("blob", 1 << 32, (1 << 32) + 0xFFFFF)]
    # Another slot behind the first shares too; what starts later is the one that is named.
    assert spans("MT013", hazards("slot-flag", f"{ram}, {more}, {blob}")) == [
        ("blob", 1 << 32, (1 << 32) + 0xFFFFF),
        ("more", 2 << 20, (4 << 20) - 1),
    ]


def test_slots_alias_in_every_range_where_entries_differ() -> None:
    """Cut by the MTRRs into WB, UC and WB over a slot that is WB."""
    ram = "{name: ram, gpa: 0, size: 1G, hva: 0x7f0000000000}"
    copy = "{name: copy, gpa: 4G, size: 1G, hva: 0x7f0000000000}"
    holes = "variable: [{base: 4G, size: 2M, type: UC}, {base: 0x110000000, size: 2M, type: UC}]"
    assert spans("MT013", hazards("v6.7", f"{ram}, {copy}", N + mtrr(holes))) == [
        ("copy", 1 << 32, (1 << 32) + (2 << 20) - 1),
        ("copy", 0x110000000, 0x1101FFFFF),
    ]


def test_private_memory_is_not_what_the_host_has_at_hva() -> None:
    shared = "{name: shared, gpa: 4G, size: 2M, hva: 0x7f0000000000}"
    private = "{name: td, gpa: 0, size: 2M, hva: 0x7f0000000000, private: true}"
    assert spans("MT013", hazards("latest", f"{private}, {shared}", ONLY_TD)) == []


def test_a_stray_cursor_meets_the_blocks_that_begin_at_0() -> None:
    large = "{name: ram, gpa: 0, size: 8G}"
    small = "{name: ram, gpa: 0, size: 8G, backing: {page_size: 4K}}"
    behind = "{name: ram, gpa: 1M, size: 8G}"
    assert spans("MT025", hazards("4.6", large, ONE_TYPE)) == [("ram", 0, (1 << 30) - 1)]
    assert spans("MT025", hazards("4.6", small, ONE_TYPE)) == [("ram", 0, (2 << 20) - 1)]
    assert spans("MT025", hazards("4.6", behind, ONE_TYPE)) == [("ram", 1 << 20, (2 << 20) - 1)]


@pytest.mark.parametrize(
    ("ref", "more", "elsewhere"),
    [
        ("v2.6.28", "", "on AMD"),
        ("6.1", "", "with non-coherent DMA, or on AMD"),
        ("6.12.60", "", "with non-coherent DMA, or on AMD"),
        ("6.12.80", "", "with non-coherent DMA, with quirk IGNORE_GUEST_PAT off, or on AMD"),
        ("6.12.80", NO_SELF_SNOOP, "with non-coherent DMA, or on AMD"),
        ("6.1", N, "with CR0.CD clear, or on AMD"),
    ],
)
def test_what_hides_an_uncached_bar_is_what_this_kernel_has(ref: str, more: str, elsewhere: str) -> None:
    cd = "cr0: {cd: true}, " if more == N else ""
    (found,) = [each for each in hazards(ref, BLOB, f"{more}guest: {{{cd}{WINDOW}}}\n") if each.code == "MT019"]
    assert found.text.endswith(f"but uncached {elsewhere}")


def test_what_zaps_no_entry_made_by_other_mtrrs() -> None:
    """With N a write of a pair zaps its new range from 4.2 on, without N and before nothing."""
    flagged = "{name: f, gpa: 4G, size: 1G, flags: [8]}"
    pair = mtrr("variable: [{base: 4G, size: 1G, type: WC}]")
    for ref, slots, more, kept in (
        ("slot-honor-mtrr", flagged, pair, "a write zaps nothing"),
        ("slot-honor-mtrr", flagged, N + pair, "a write zaps the new range alone"),
        ("6.8", flagged.replace("8", ""), N + pair, "a write zaps the new range alone"),
        ("4.1", flagged.replace("8", ""), N + pair, "a write zaps nothing"),
    ):
        (found,) = [each for each in hazards(ref, slots, more) if each.code == "MT029" and each.slot is None]
        assert kept in found.text


def test_a_view_that_a_guest_forces_is_told_as_such() -> None:
    (found,) = [
        each
        for each in hazards("latest", f"{RAM}, {{name: b, gpa: 3G, size: 1M, device: true}}", ONLY_TD)
        if each.code == "MT018"
    ]
    assert found.text.startswith("the guest forces its view of the MTRRs: WB, UC from the end of low RAM to 4G over a")
