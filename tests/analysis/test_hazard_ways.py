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
