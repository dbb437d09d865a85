# SPDX-License-Identifier: GPL-2.0-only
"""Good scenarios: every default, every spelling, and what becomes of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import FrameType

import pytest

from mtcalc.kvm.host_mmio import MMIO, RAM, Backing
from mtcalc.kvm.vm import Vm, reset_free_mtrrs
from mtcalc.scenario.load import load_scenario
from mtcalc.scenario.record import Scenario
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import VariableRange, decode_registers
from mtcalc.x86.pat import LINUX_PAT, RESET_PAT
from support.notes import noted
from support.scenario_texts import WHOLE

LIVE = sorted((Path(__file__).parents[1] / "data" / "live").glob("*.yaml"))


def load(text: str) -> Scenario:
    """A scenario called vm.yaml."""
    return load_scenario(text, "vm.yaml")


def test_the_whole_of_it() -> None:
    scenario = load(WHOLE)
    assert (scenario.file, scenario.rules, scenario.vcnt, noted(scenario.notes)) == ("vm.yaml", "slot-flag", 8, ())
    assert scenario.rules_place is not None
    assert scenario.rules_place[1:3] == (2, 8)
    registers = {0x2FF: 0xC06, 0x250: 0x0606060606060606, 0x200: 0xC0000000, 0x201: 0x3FFFC0000800}
    registers |= {0x202: 0xE0000001, 0x203: 0x3FFFF0000800}
    assert scenario.vm == Vm(mtrrs=decode_registers(registers, 46))
    assert [(slot.id, slot.name, slot.gpa, slot.size, slot.flags) for slot in scenario.slots] == [
        (0, "ram", 0, 3 << 30, 0),
        (1, "vgpu-blob", 4 << 30, 256 << 20, 8),
        (2, "bar2", 0xE0000000, 16 << 20, 0),
        (3, "vga", 0xD0000000, 128 << 10, 0),
    ]
    assert [slot.backing for slot in scenario.slots] == [RAM, RAM, MMIO, Backing(reserved=True)]
    assert [place.line for place in scenario.slot_places] == [19, 20, 21, 22]
    assert [(page.gpa, page.pat, page.place.line) for page in scenario.pages] == [(0x100001000, MemType.WC, 24)]
    (expect,) = scenario.expects
    assert (expect.gpa, expect.pat, expect.effective, expect.ept) == (0x100001000, MemType.WC, MemType.WC, 0x30)
    assert expect[5:12] == (None,) * 7
    assert (expect.request, expect.size) == (None, 0x1000)


def test_everything_may_be_left_out() -> None:
    scenario = load("{}")
    assert scenario == Scenario("vm.yaml", None, None, Vm(), (), (), (), ())


@pytest.mark.parametrize("text", ["host: {}", "vm: {}", "guest: {}", "guest: {cr0: {}}", "memslots: []", "assume: {}"])
def test_empty_sections_are_the_defaults(text: str) -> None:
    assert load(text)[3:] == load("{}")[3:]


def test_slot_defaults() -> None:
    scenario = load("memslots: [{gpa: 0, size: 4K}, {gpa: 4K, size: 4K, backing: {}}]")
    assert [slot[:8] for slot in scenario.slots] == [
        (0, 0x1000, "slot0", 0, 0, RAM, None, 0),
        (0x1000, 0x1000, "slot1", 1, 0, RAM, None, 0),
    ]


def test_default_ids_skip_those_that_are_taken_anywhere() -> None:
    slots = load(
        "memslots: [{gpa: 0, size: 4K}, {id: 0, gpa: 4K, size: 4K}, {gpa: 8K, size: 4K}, {id: 2, gpa: 12K, size: 4K},"
        " {gpa: 0, size: 4K, address_space: 1}, {gpa: 8K, size: 4K, id: 0x10001}, {gpa: 16K, size: 4K}]"
    ).slots
    assert [(slot.address_space, slot.id) for slot in slots] == [(0, 1), (0, 0), (0, 3), (0, 2), (1, 0), (1, 1), (0, 4)]
    assert [slot.name for slot in slots] == ["slot1", "slot0", "slot3", "slot2", "smm-slot0", "smm-slot1", "slot4"]


def test_address_space_beside_an_id_that_says_the_same() -> None:
    (slot,) = load("memslots: [{id: 0x10003, address_space: 1, gpa: 0, size: 4K}]").slots
    assert (slot.address_space, slot.id) == (1, 3)


def test_backing_defaults() -> None:
    (slot,) = load("memslots: [{gpa: 0, size: 4K, backing: {struct_page: false, e820_ram: false}}]").slots
    assert slot.backing == Backing(struct_page=False, e820_ram=False)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *((form, 4096) for form in ("4096", "0x1000", "0X1000", "4K", "4k", '"0x1000"')),
        ("1G", 1 << 30),
        ("0x1_0000_0000", 1 << 32),
        ("2T", 2 << 40),
        ("0x10M", 16 << 20),
    ],
)
def test_numbers(written: str, value: int) -> None:
    """Decimal, 0x hex with optional underscores, sizes with K, M, G, T (powers of 1024)."""
    (slot,) = load(f"memslots: [{{gpa: {written}, size: 4K}}]").slots
    assert slot.gpa == value


@pytest.mark.parametrize("written", ["8", "0x8", "NON_COHERENT_DMA", "non-coherent-dma", "KVM_MEM_NON_COHERENT_DMA"])
def test_slot_flags(written: str) -> None:
    (slot,) = load(f"memslots: [{{gpa: 0, size: 4K, flags: [{written}, log_dirty_pages]}}]").slots
    assert slot.flags == 9


@pytest.mark.parametrize("written", ["0x200", "512", "ignore-guest-pat", "KVM_X86_QUIRK_IGNORE_GUEST_PAT"])
def test_quirks(written: str) -> None:
    assert load(f"vm: {{disabled_quirks: [{written}]}}").vm.disabled_quirks == 0x200
    assert load(f"vm: {{disabled_quirks: [{written}, cd_nw_cleared]}}").vm.disabled_quirks == 0x202


@pytest.mark.parametrize(
    ("written", "value"), [("true", True), ("false", False), ("0", False), ("1", True), ("3", True)]
)
def test_noncoherent_dma_is_a_truth_or_a_count(written: str, value: bool) -> None:
    assert load(f"vm: {{noncoherent_dma: {written}}}").vm.noncoherent_dma is value


@pytest.mark.parametrize(
    ("written", "pat"),
    [
        ("linux", LINUX_PAT),
        ("Linux", LINUX_PAT),
        ("reset", RESET_PAT),
        ("0x0407050600070106", LINUX_PAT),
        ("0x0007_0406_0007_0406", RESET_PAT),
        ("[WB, WC, UC-, UC, WB, WP, UC-, WT]", LINUX_PAT),
        ("[write-back, wt, uc_minus, uncacheable, WB, WT, UC-, UC]", RESET_PAT),
    ],
)
def test_pat(written: str, pat: object) -> None:
    assert load(f"guest: {{pat: {written}}}").vm.pat == pat


def test_scalars_of_host_vm_and_guest() -> None:
    vm = load(
        "host: {self_snoop: false, pat_enabled: false, maxphyaddr: 39}\n"
        "vm: {mem_dma: true}\n"
        "guest: {maxphyaddr: 40, cpuid_mtrr: false, cr0: {cd: true, pg: false}}\n"
    ).vm
    assert vm == Vm(
        mem_dma=True,
        self_snoop=False,
        host_pat=False,
        host_maxphyaddr=39,
        maxphyaddr=40,
        cpuid_mtrr=False,
        cr0_cd=True,
        paging=False,
        mtrrs=reset_free_mtrrs(40),
    )


@pytest.mark.parametrize(
    ("written", "def_type"),
    [
        ("{}", 0x806),
        ("{enabled: false}", 0x006),
        ("{default: UC}", 0x800),
        ("{fixed: {}}", 0xC06),
        ("{fixed: {}, fixed_enabled: false}", 0x806),
        ("{fixed_enabled: true}", 0xC06),
        ("{msrs: {}}", 0),
        ("{msrs: {0x2ff: 0x806}}", 0x806),
        ("{msrs: {IA32_MTRR_DEF_TYPE: 0x806}}", 0x806),
    ],
)
def test_mtrr_defaults(written: str, def_type: int) -> None:
    """Readable: enabled, default WB, fixed ranges on where given. Raw: a register not given is 0."""
    assert load(f"guest: {{mtrr: {written}}}").vm.mtrrs == decode_registers({0x2FF: def_type}, 46)


@pytest.mark.parametrize("name", ["0x250", "592", "IA32_MTRR_FIX64K_00000", "mtrr_fix64k_00000", "FIX64K_00000"])
def test_registers_by_number_and_name(name: str) -> None:
    expected = decode_registers({0x250: 0x06, 0x2FF: 0xC06}, 46)
    assert load(f"guest: {{mtrr: {{fixed: {{{name}: 0x06}}}}}}").vm.mtrrs == expected
    assert load(f"guest: {{mtrr: {{msrs: {{{name}: 0x06, 0x2ff: 0xc06}}}}}}").vm.mtrrs == expected


@pytest.mark.parametrize(
    ("maxphyaddr", "written", "base", "mask"),
    [
        (46, "{base: 0, size: 4K, type: WT}", 4, 0x3FFFFFFFF800),
        (36, "{base: 3G, size: 1G, type: UC}", 0xC0000000, 0xFC0000800),
        (36, "{base: 0, size: 64G, type: WB}", 6, 0x800),
        (36, "{physbase: 0x1005, physmask: 0}", 0x1005, 0),
        (36, "{physbase: 0x1005, physmask: 0xf0f000800}", 0x1005, 0xF0F000800),
    ],
)
def test_variable_ranges(maxphyaddr: int, written: str, base: int, mask: int) -> None:
    mtrrs = load(f"guest: {{maxphyaddr: {maxphyaddr}, mtrr: {{variable: [{written}]}}}}").vm.mtrrs
    assert mtrrs.maxphyaddr == maxphyaddr
    assert mtrrs.variable == (VariableRange(base, mask), *[VariableRange(0, 0)] * 7)


@pytest.mark.parametrize(
    ("written", "vcnt"),
    [("vcnt: 10", 10), ("vcnt: 0", 0), ("msrs: {0xfe: 0x50a}", 10), ("vcnt: 10, msrs: {0xfe: 0x50a, 0x212: 6}", 10)],
)
def test_vcnt(written: str, vcnt: int) -> None:
    scenario = load(f"guest: {{mtrr: {{{written}}}}}")
    assert scenario.vcnt == vcnt
    assert len(scenario.vm.mtrrs.variable) == vcnt
    for pairs in (8, 10):  # what KVM gives hangs on the release, and so whether these are too few
        few = f"{vcnt} variable pairs: KVM gives a guest {pairs}; the others are taken as off"
        assert noted(scenario.pair_notes(pairs)) == ((few,) if vcnt < pairs else ())


RANGES = ", ".join(f"{{base: {n}G, size: 1G, type: UC}}" for n in range(9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "guest: {mtrr: {msrs: {0x211: 0x800}}}",
            "IA32_MTRR_PHYSMASK8 is no register of 8 pairs (vcnt: 9 where there are as many)",
        ),
        (
            "guest: {mtrr: {msrs: {MTRRphysBase9: 6, 0x210: 6}}}",
            "IA32_MTRR_PHYSBASE9 is no register of 8 pairs (vcnt: 10 where there are as many)",
        ),
        (
            "guest: {mtrr: {msrs: {0x211: 0x800, 0x212: 6}}}",
            "IA32_MTRR_PHYSMASK8 is no register of 8 pairs (vcnt: 10 where there are as many)",
        ),
        (
            f"guest: {{mtrr: {{variable: [{RANGES}]}}}}",
            "9 variable ranges (KVM gives a guest 8, but 10 in 3.16; vcnt: 9 where there are as many)",
        ),
    ],
)
def test_ten_pairs_without_vcnt_are_those_of_3_16(text: str, message: str) -> None:
    """KVM gave a guest 10 pairs in 3.16 alone."""
    scenario = load(text)
    assert (scenario.vcnt, len(scenario.vm.mtrrs.variable)) == (10, 10)
    assert scenario.pair_notes(10) == ()
    with pytest.raises(InputError) as caught:
        scenario.pair_notes(8)
    assert caught.value.message == message
    assert caught.value.place


def test_a_guest_that_says_nothing_of_its_pairs_has_what_kvm_gives() -> None:
    for text in ("guest: {mtrr: {}}", "{}", "guest: {mtrr: {msrs: {0x200: 6}}}"):
        assert load(text).pair_notes(8) == load(text).pair_notes(10) == ()


MASK = "guest: {%smtrr: {msrs: {0x2ff: 0x806, 0x200: 0xc0000000, 0x201: %s}}}"


@pytest.mark.parametrize(
    ("width", "mask", "said"),
    [
        ("", "0xfc0000800", 36),
        ("", "0x7fc0000800", 39),
        ("", "0xfffffc0000800", 52),
        ("", "0x3fffc0000800", None),  # 46 bits, as assumed
        ("", "0xfc0000000", None),  # V is clear
        ("", "0xf0fc0000800", None),  # holes whatever the width
        ("", "0x7fc0000800, 0x202: 0, 0x203: 0xfc0000800", 39),
        ("maxphyaddr: 46, ", "0xfc0000800", None),
        ("maxphyaddr: 36, ", "0xfc0000800", None),
    ],
)
def test_a_mask_for_another_width_than_the_assumed_one(width: str, mask: str, said: int | None) -> None:
    notes = noted(load(MASK % (width, mask)).notes)
    if said is None:
        assert notes == ()
    else:
        shown = mask.split(",")[0]
        assert notes == (
            "guest.maxphyaddr is not given: 46 is assumed, and the top bit of IA32_MTRR_PHYSMASK0 = "
            f"{shown} says {said}",
        )


def test_what_only_some_kernels_refuse_of_a_pair_is_taken() -> None:
    """Reserved bits and address bits above the width: KVM looks at them from 3.18 on."""
    text = "guest: {maxphyaddr: 36, mtrr: {%s}}"
    pairs = [VariableRange(0x1F00000F06, 0xFFFFF00000FFF), *[VariableRange(0, 0)] * 7]
    for written in (
        "variable: [{physbase: 0x1f00000f06, physmask: 0xfffff00000fff}]",
        "msrs: {0x200: 0x1f00000f06, 0x201: 0xfffff00000fff}",
    ):
        assert load(text % written).vm.mtrrs.variable == tuple(pairs)


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("{}", 0),
        ("vm: {noncoherent_dma: true}", 1),
        ("{vm: {noncoherent_dma: true}, guest: {mtrr: {}}}", 0),
        ("guest: {mtrr: {msrs: {0x250: 0}}}", 1),
        ("guest: {mtrr: {msrs: {0x2ff: 0}}}", 0),
        ("guest: {mtrr: {fixed_enabled: true}}", 1),
        ("guest: {mtrr: {fixed: {0x250: 0}}}", 0),
        ("guest: {mtrr: {vcnt: 8}}", 0),
    ],
)
def test_notes_only_where_an_answer_may_hang_on_them(text: str, notes: int) -> None:
    assert len(noted(load(text).notes)) == notes


def test_pages_select_through_the_guests_pat() -> None:
    """A page selects entry 4*PAT + 2*PCD + PWT; in a large-page entry PAT is bit 12."""
    pages = load(
        "guest: {pat: [UC, WC, WT, WP, WB, UC-, WB, WC]}\n"
        "pages: [{gpa: 0}, {gpa: 1, pat: uc-}, {gpa: 2, pat_index: 3}, {gpa: 3, pte: 0x81}, {gpa: 4, pte: 0x99},\n"
        "  {gpa: 5, pte: 0x81, pte_level: 2}, {gpa: 6, pte: 0x1081, pte_level: 3}, {gpa: 7, pte: 0x11, pte_level: 1}]\n"
    ).pages
    assert [str(page.pat) for page in pages] == ["None", "UC-", "WP", "WB", "WC", "UC", "WB", "WT"]
    assert [page.gpa for page in pages] == list(range(8))


def test_without_paging_the_pat_type_is_wb() -> None:
    """CR0.PG=0: the PAT memory type is WB."""
    scenario = load("{guest: {cr0: {pg: false}}, pages: [{gpa: 0}], expect: [{gpa: 0, effective: WB}]}")
    assert scenario.pages[0].pat is MemType.WB
    assert scenario.expects[0].pat is MemType.WB


@pytest.mark.parametrize(
    ("written", "field", "value"),
    [
        ("pat: UC-, effective: uncached", "effective", MemType.UC),
        ("ept: 0x70", "ept", 0x70),
        ("ept: 48", "ept", 0x30),
        ("memtype: write-combining", "memtype", MemType.WC),
        ("ipat: 0", "ipat", False),
        ("ipat: 1", "ipat", True),
        ("ipat: true", "ipat", True),
        ("level: 4K", "level", 1),
        ("level: 2m", "level", 2),
        ("level: 1G", "level", 3),
        ("guest_mtrr: WP", "guest_mtrr", MemType.WP),
        ("rule: mmio", "rule", "mmio"),
    ],
)
def test_expectations(written: str, field: str, value: object) -> None:
    (expect,) = load(f"expect: [{{gpa: 0, {written}}}]").expects
    asked = {
        key: got
        for key, got in expect._asdict().items()
        if got is not None and key not in ("gpa", "pat", "place", "size")
    }
    assert asked == {field: value}
    assert type(asked[field]) is type(value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", True),
        ("no", False),
        ("true", True),
        ("FALSE", False),
        ("Yes", True),
        ("WC", MemType.WC),
        ("wb", MemType.WB),
    ],
)
def test_assumptions(written: str, value: object) -> None:
    assert load(f'assume: {{"is_x(vcpu, 1)": {written}}}').vm.assume == {"is_x(vcpu, 1)": value}


@pytest.mark.parametrize("ref", ["6.10", "6.1", "v6.7", "6.12.107+deb12-amd64", "./rules.yaml", "0x1"])
def test_rules_are_taken_as_written(ref: str) -> None:
    """REFs are taken as written (6.10 is not 6.1)."""
    assert load(f"rules: {ref}").rules == ref


def test_json_is_read_as_well() -> None:
    data = {
        "memslots": [{"gpa": 1 << 32, "size": "256M", "flags": ["NON_COHERENT_DMA", 2]}],
        "guest": {"mtrr": {"msrs": {"0x2ff": 2054}}},
        "expect": [{"gpa": "0x100000000", "ipat": 0}],
    }
    for indent in (None, 2, "\t"):
        scenario = load(json.dumps(data, indent=indent))
        assert scenario.slots[0][:5] == (1 << 32, 256 << 20, "slot0", 0, 10)
        assert scenario.vm.mtrrs == decode_registers({0x2FF: 0x806}, 46)
        assert scenario.expects[0].ipat is False


@pytest.mark.parametrize("path", LIVE, ids=lambda path: path.stem)
def test_recorded_vms_load(path: Path) -> None:
    scenario = load_scenario(path.read_text(), str(path))
    assert scenario.slots
    assert scenario.rules is not None
    assert scenario.vm.host_maxphyaddr == 40


def test_there_are_recorded_vms() -> None:
    assert len(LIVE) >= 17


def slots_text(count: int) -> str:
    """A scenario of `count` slots, a line each."""
    lines = (f"  - {{id: {n}, name: s{n}, gpa: {n << 12:#x}, size: 4K, flags: []}}\n" for n in range(count))
    return "memslots:\n" + "".join(lines)


def test_loading_grows_with_the_number_of_slots() -> None:
    """Four times the slots take about four times as many calls, not sixteen times."""

    def cost(count: int) -> int:
        calls = 0

        def seen(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        text = slots_text(count)
        sys.setprofile(seen)
        try:
            load(text)
        finally:
            sys.setprofile(None)
        return calls

    load(slots_text(10))
    few, many = cost(250), cost(1000)
    assert 3 * few < many < 5 * few


def test_one_slot_too_many() -> None:
    """KVM's limit is 32764 slots: ids 0 to 32763."""
    text = slots_text(3).replace("id: 2", "id: 32763")
    assert load(text).slots[2].id == 32763
    with pytest.raises(InputError, match="EINVAL: slot id 32764"):
        load(text.replace("id: 32763", "id: 32764"))
