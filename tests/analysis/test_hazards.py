# SPDX-License-Identifier: GPL-2.0-only
"""Hazards: each fires on its scenario and not on its neighbour's, and none on a sane guest.

tests/data/hazards has two scenarios a code; what the first prints stands in tests/data/golden/hazard-*.txt.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.hazard_case import MOST_BLOCKS, Piece, manual_pieces
from mtcalc.analysis.hazards import FINDERS, Case, find_hazards
from mtcalc.cli.options import kernels
from mtcalc.cli.read import evaluator_for, read_scenario
from mtcalc.kvm.hazards import HAZARDS, parse_hazard, parse_hazards
from mtcalc.kvm.note_codes import CODES, Level
from mtcalc.kvm.points import Page
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.kvm.vmm import PAT_SWITCH, parse_vmm
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in_names
from mtcalc.text.errors import Place
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import decode_registers, manual_lookup
from support import models
from support.program import DATA
from support.random_vms import BITS, PATS, WALKS, RandomVm, expected_page, random_vms
from support.readme import ROOT
from support.rule_models import MODELS
from support.rule_models import Case as Facts

HERE = DATA / "hazards"
GiB = 1 << 30


def case_of(path: Path, ref: str | None = None) -> Case:
    scenario = read_scenario(str(path))
    (kernel,) = kernels((ref,) if ref else (), scenario)
    pages: list[Page] = [*scenario.pages]
    return Case(evaluator_for(kernel, scenario), pages, scenario.vmm, scenario.mtrr_place is not None)


def codes_of(path: Path, ref: str | None = None) -> set[str]:
    return {hazard.code for hazard in find_hazards(case_of(path, ref))}


@pytest.mark.parametrize("code", HAZARDS)
def test_a_hazard_fires_and_its_neighbour_is_quiet(code: str) -> None:
    assert code in codes_of(HERE / f"{code}.yaml")
    assert code not in codes_of(HERE / f"{code}.not.yaml")
    assert (DATA / "golden" / f"hazard-{code}.txt").exists()


@pytest.mark.parametrize("code", HAZARDS)
def test_the_neighbour_is_near(code: str) -> None:
    """One line apart, two where a range has to move with its default."""
    fires, quiet = ((HERE / f"{code}{tail}.yaml").read_text().splitlines() for tail in ("", ".not"))
    changed = [line for line in difflib.ndiff(fires, quiet) if line.startswith("- ")]
    assert 1 <= len(changed) <= 2


def test_every_code_is_made_by_a_function_and_every_code_made_is_a_row() -> None:
    made = set()
    for path in (ROOT / "src" / "mtcalc" / "analysis").glob("hazards*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("MT0"):
                made.add(node.value.split()[0].strip(",:"))
    assert {code for code in made if len(code) == 5} == set(HAZARDS)


def test_rows_are_told_in_the_same_way() -> None:
    assert list(HAZARDS) == [f"MT{number:03}" for number in range(1, len(HAZARDS) + 1)]
    assert len({row.name for row in HAZARDS.values()}) == len(HAZARDS)
    for row in HAZARDS.values():
        assert row.name == row.name.lower().replace(" ", "-")
        assert len(row.title) <= 43  # a line of the list is 80 wide
        assert not row.when.endswith(".")
        assert row.harm.endswith(".")
        assert not row.remedy.endswith(".")
        assert row.source
        for text in row:
            assert text if isinstance(text, Level) else text.isascii()


@pytest.mark.parametrize("ref", [*built_in_names(), "6.1", "6.12.60", "6.18", "latest"])
def test_the_plain_example_is_clean(ref: str) -> None:
    """But where READONLY is not known (3.6), and where every guest's PAT counts."""
    known = {"v2.6.28": {"MT004"}, "v2.6.29": {"MT004"}, "v2.6.31": {"MT004"}}
    odd = {**known, "v6.11-rc1": {"MT011", "MT012"}}
    assert codes_of(ROOT / "examples" / "plain.yaml", ref) == odd.get(ref, set())


# Laws -----------------------------------------------------------------------------------------------------------------

_PATS = st.sampled_from((MemType.UC, MemType.UC_MINUS, MemType.WC, MemType.WP, MemType.WT, MemType.WB))
ORDINARY = (
    Slot(0, 640 << 10, "low", 0),
    Slot(1 << 20, GiB - (1 << 20), "ram", 1),
    Slot(4 * GiB, 4 * GiB, "high", 2),
    Slot(0xFFFC0000, 1 << 18, "rom", 3, flags=2),
)
FIRMWARE = {
    # As firmware leaves them, with fixed ranges of several types, and as VMMs preset them.
    "seabios": {0x2FF: 0xC06, 0x250: 0x0606060606060606, 0x258: 0x0606060606060606, 0x268: 0x0505050505050505},
    "hole": {
        0x2FF: 0xC06,
        0x250: 0x0606060606060606,
        0x258: 0x0606060606060606,
        0x200: 0xC0000000,
        0x201: 0x3FFFC0000800,
    },
    "cloud-hypervisor": {0x2FF: 0x806},
    "openvmm": {0x2FF: 0x800, 0x200: 6, 0x201: 0x3FFE00000800 | 0x3FF000000000, 0x202: 6, 0x203: 0x3FFE00000800},
    "reset": {},
}


@given(
    rules=st.sampled_from(built_in_names()),
    firmware=st.sampled_from((None, *FIRMWARE)),
    self_snoop=st.booleans(),
    cd=st.booleans(),
    cpuid=st.booleans(),
    gpa=st.sampled_from((0, 0x1000, 1 << 20, 5 * GiB)),
)
@settings(deadline=None)
def test_ordinary_ram_without_noncoherent_dma_gets_no_more_than_notes(
    rules: str, firmware: str | None, self_snoop: bool, cd: bool, cpuid: bool, gpa: int
) -> None:
    """Whatever the rules: no flag that they may refuse, quirks as they start, a page WB where it is named."""
    mtrrs = Vm().mtrrs if firmware is None else decode_registers(FIRMWARE[firmware], 46)
    vm = Vm(self_snoop=self_snoop, cr0_cd=cd, cpuid_mtrr=cpuid, mtrrs=mtrrs)
    kernel = resolve(rules)
    # 2.6.29 and 2.6.30 obey guest MTRRs without any DMA; up to 3.6 READONLY is not known.
    slots: tuple[Slot, ...] = ORDINARY if kernel.release >= (3, 7) else ORDINARY[:-1]
    if rules == "v2.6.29" and firmware is not None:
        slots = ORDINARY[1:2]
        assume(all(manual_lookup(mtrrs, at).memtype == MemType.WB for at in (slots[0].gpa, slots[0].end - 1)))
    evaluator = Evaluator(kernel, vm, slots)
    found = find_hazards(Case(evaluator, [Page(gpa, MemType.WB, Place("x", 1, 1))], None, firmware is not None))
    assert {hazard.level for hazard in found} <= {Level.NOTE}


@given(rules=st.sampled_from([name for name in built_in_names() if name != "v6.11-rc1"]), pat=_PATS)
@settings(deadline=None)
def test_whatever_a_guest_maps_its_ram_as_is_harmless_without_noncoherent_dma(rules: str, pat: MemType) -> None:
    """As the memory is WB all the same; 6.11-rc1 alone honoured the PAT of every guest."""
    evaluator = Evaluator(resolve(rules), Vm(), ORDINARY[:3])
    assert not find_hazards(Case(evaluator, [Page(1 << 20, pat, Place("x", 1, 1))]))


@pytest.mark.property
@given(random_vms(), st.data())
@settings(deadline=None)
def test_hazards_are_found_in_any_vm(case: RandomVm, data: st.DataObject) -> None:
    """None raises; each lies in its slot, is of the table, and stands once; the gravest come first."""
    gpa = data.draw(st.integers(0, (1 << BITS) - 1))
    evaluator = case.evaluator()
    found = find_hazards(Case(evaluator, [Page(gpa, data.draw(_PATS), Place("x", 1, 1))], parse_vmm("qemu-10.2"), True))
    assert len(set(found)) == len(found)
    order = [(list(Level)[::-1].index(hazard.level), hazard.code) for hazard in found]
    assert order == sorted(order)
    for hazard in found:
        assert hazard.level is HAZARDS[hazard.code].level
        if hazard.slot is not None:
            assert hazard.gpa is not None
            assert hazard.end is not None
            # A large page may reach over what a slot's range is cut at, never over the slot.
            assert hazard.slot.gpa <= hazard.gpa <= hazard.end < hazard.slot.end
    # The gravest claims, from the answers alone.
    for hazard in found:
        if hazard.code == "MT009" and hazard.gpa is not None:
            assert evaluator.page(hazard.gpa, MemType.WB).effective[0][1] in (MemType.WB, MemType.WT, MemType.WP)
        if (
            hazard.code == "MT011"
            and hazard.gpa is not None
            and hazard.slot is not None
            and not hazard.slot.address_space
        ):
            kinds = {kind for _, kind in evaluator.page(hazard.gpa).effective}
            assert kinds - {MemType.WB, MemType.WT, MemType.WP}
        if hazard.code in ("MT021", "MT022") and hazard.gpa is not None:
            assert manual_lookup(case.vm.mtrrs, hazard.gpa).memtype is None


def codes_by_the_model(case: RandomVm, gpa: int) -> set[str] | None:
    """What holds at one page of RAM or a device, from the second model's answers alone; None: not judged."""
    expected = expected_page(case, gpa)
    slot = next((s for s in case.slots if s.gpa <= gpa < s.end and not s.address_space), None)
    if expected is None or slot is None:
        return None
    byte, backing = expected.byte, slot.backing
    if byte is None:
        return {"MT024"}
    found = set()
    uncached = [kind in ("UC", "WC") for kind in expected.effective]
    cached_for_wb = not uncached[PATS.index("WB")]
    manual = models.manual_type(case.regs, gpa) if case.regs.cpuid_mtrr else None
    others = {models_byte(case, slot, code) for code in models.NAMES}
    follows = len(others) > 1
    if manual == "undefined":
        found.add("MT021" if follows else "MT022")
    elif follows and manual is not None and expected.guest_mtrr not in (manual, None):
        found.add("MT023")
    host_is_device = (not backing.struct_page and not backing.e820_ram) or (backing.reserved and not backing.zero_page)
    mmio = models_mmio(case, slot)
    if host_is_device:
        if cached_for_wb:
            plain = not backing.reserved or mmio or not backing.struct_page
            over_vga = slot.gpa < 0xC0000 and slot.end > 0xA0000
            small = slot.size <= 384 << 10 or slot.device or over_vga or str(backing.host_type) != "WB"
            found.add("MT009" if plain or small else "MT010")
        return found
    lost = not backing.struct_page  # RAM all the same, as it is no device
    if (mmio and not lost) or str(backing.host_type) != "WB":
        return found
    firmwares = slot.flags & 2 or (follows and gpa < 1 << 20 and case.regs.def_type & 0xC00 == 0xC00)
    if all(uncached) and not firmwares:
        found.add("MT011")
    elif any(uncached):
        found.add("MT012")
    if (case.vm.noncoherent_dma or case.vm.mem_dma or slot.flags & 8) and cached_for_wb and not slot.flags & 2:
        if byte & 0x40:
            found.add("MT015")
        elif any(uncached):
            found.add("MT014")
    return found


def models_mmio(case: RandomVm, slot: Slot) -> bool:
    """The second model's host-MMIO test."""
    backing = slot.backing
    early, middle = (*WALKS["4.1"],), (*WALKS["4.2"], "v4.4")
    version = "4.1" if case.rules in early else "4.15" if case.rules in middle else "5.2"
    kind = str(backing.host_type)
    page = (backing.struct_page, backing.reserved, backing.zero_page, backing.e820_ram, kind, case.vm.host_pat)
    return models.host_mmio(version, *page)


def models_byte(case: RandomVm, slot: Slot, encoding: int) -> int:
    """The second model's byte of a slot, for a guest MTRR type."""
    vm = case.vm
    facts = Facts(
        mmio=models_mmio(case, slot),
        flag=slot.flags & 8 != 0,
        n=vm.noncoherent_dma,
        mem_dma=vm.mem_dma,
        cd=vm.cr0_cd,
        cd_quirk=not vm.disabled_quirks & 2,
        igp=not vm.disabled_quirks & 0x200,
        self_snoop=vm.self_snoop,
        gmt=encoding,
    )
    return MODELS[case.rules](facts)


JUDGED = {"MT009", "MT010", "MT011", "MT012", "MT014", "MT015", "MT021", "MT022", "MT023", "MT024"}


@pytest.mark.property
@given(random_vms(), st.data())
@settings(deadline=None)
def test_each_page_has_the_hazards_that_a_second_model_says(case: RandomVm, data: st.DataObject) -> None:
    gpa = data.draw(st.sampled_from([s.gpa for s in case.slots] or [0])) + 4096 * data.draw(st.integers(0, 1 << 19))
    wanted = codes_by_the_model(case, gpa) if gpa < 1 << BITS else None
    assume(wanted is not None)
    looked_at = Case(case.evaluator(), (), None, True)
    found = find_hazards(looked_at)
    slot = next(slot for slot in case.slots if slot.gpa <= gpa < slot.end and not slot.address_space)
    pieces = looked_at.by_the_manual(slot)
    assume(not pieces or gpa < pieces[-1].end)  # of a mask with holes the first blocks are looked at
    assert looked_at.incomplete or not pieces or pieces[-1].end == min(slot.end, 1 << BITS)
    covering = {
        hazard.code
        for hazard in found
        if hazard.slot is not None
        and not hazard.slot.address_space
        and hazard.gpa is not None
        and hazard.end is not None
        and hazard.gpa <= gpa <= hazard.end
    }
    assert covering & JUDGED == wanted


@pytest.mark.property
@given(random_vms(), st.data())
@settings(deadline=None)
def test_the_manuals_pieces_are_the_manuals_types(case: RandomVm, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, (1 << 19) - 2)) << 12
    end = data.draw(st.integers((start >> 12) + 1, 1 << 19)) << 12
    pieces = manual_pieces(case.vm.mtrrs, start, end)
    assert pieces[0].start == start
    for before, after in itertools.pairwise(pieces):
        assert before.end == after.start
        assert before.memtype != after.memtype
    at = data.draw(st.integers(start, pieces[-1].end - 1))
    (piece,) = [piece for piece in pieces if piece.start <= at < piece.end]
    assert piece.memtype == manual_lookup(case.vm.mtrrs, at).memtype


def test_behind_the_last_block_looked_at_nothing_is_said() -> None:
    mtrrs = decode_registers({0x2FF: 0x806, 0x200: 0, 0x201: 0x3FFFFFFFD800 & ~0x555000 | 0x800}, 46)
    pieces = manual_pieces(mtrrs, 0, 1 << 40)
    assert pieces[0] == Piece(0, 0x1000, MemType.UC) or pieces[0].memtype == MemType.UC
    assert pieces[-1].end <= 1 << 40
    assert sum(piece.memtype == MemType.UC for piece in pieces) <= MOST_BLOCKS


# The tables beside --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "switch"),
    [
        ("qemu-10.2", False),
        ("qemu-10.2.1", False),
        ("qemu-11.0", True),
        ("QEMU emulator version 11.0.1 (Debian 1:11.0.1+ds-2)", True),
        ("qemu-system-x86_64 10.0", False),
        ("qemu-kvm-11.1.0-3.el10", True),
        ("qemu-system-x86_64", None),
        ("qemu-11", True),
        ("QEMU 11.0.50-rc2", True),
        ("qemu-v9.1", False),
        ("qemu", None),
        ("crosvm", False),
        ("crosvm-128.0", False),
        ("cloud-hypervisor-45.0", None),
    ],
)
def test_which_vmm_can_turn_the_quirk_off(text: str, switch: bool | None) -> None:
    assert parse_vmm(text).pat_switch is switch


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quemu-11.0", "unknown VMM 'quemu-11.0' (did you mean qemu?; with a version: qemu-11.0)"),
        ("bhyve", "unknown VMM 'bhyve' (one of qemu, crosvm, "),
        ("qemu-", "unknown VMM 'qemu-'"),
        ("qemu-11..0", "unknown VMM"),
        ("", "unknown VMM ''"),
    ],
)
def test_a_vmm_that_there_is_not(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_vmm(text)
    assert "qemu" in PAT_SWITCH


def test_codes_as_people_write_them() -> None:
    assert parse_hazard(" mt009 ") == "MT009"
    assert parse_hazard("Device-Cached") == "MT009"
    assert list(parse_hazards(["MT001, mt2".replace("mt2", "MT002"), "alias"])) == ["MT001", "MT002", "MT011"]


def test_notes_that_are_hazards_are_notes_there_are() -> None:
    from mtcalc.analysis.hazards_slots import OF_NOTES

    assert OF_NOTES.keys() <= CODES.keys()
    assert set(OF_NOTES.values()) <= HAZARDS.keys()
    assert len(FINDERS) == len(set(FINDERS))
