# SPDX-License-Identifier: GPL-2.0-only
"""Answers on AMD hosts, and of TDs and SNP guests: every state against a second model."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.answer import NptEntry
from mtcalc.analysis.around import differences
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.explain import explain_lookup, explain_page
from mtcalc.analysis.lookup import lookup
from mtcalc.analysis.mtrr_map import MtrrView
from mtcalc.analysis.npt_diff import npt_diff
from mtcalc.analysis.table import matrix
from mtcalc.kvm.flags import QUIRKS
from mtcalc.kvm.host_mmio import MMIO, RAM, Backing
from mtcalc.kvm.versions import Vendor, VmType
from mtcalc.kvm.vm import Slot, Vm, reset_free_mtrrs
from mtcalc.refs.resolve import DEFAULT_REF, resolve
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, unknown_inputs, unread
from mtcalc.rules.platform import on_platform
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType
from mtcalc.x86.mtrr import VariableRange
from mtcalc.x86.pat import LINUX_4_1_PAT, LINUX_PAT, RESET_PAT
from support import models
from support.random_vms import RandomVm, random_vms

RELEASES = ("2.6.32", "4.1", "4.2", "4.14", "4.15", "5.15", "5.19", "6.0", "6.10", "6.12.77", "6.12.80", "6.16", "7.3")
CD_OFF = QUIRKS["CD_NW_CLEARED"]
GIB = 1 << 30


def amd(ref: str, vm_type: VmType = VmType.NORMAL) -> Kernel:
    return on_platform(resolve(ref), Vendor.AMD, vm_type)


def version(kernel: Kernel) -> tuple[int, ...]:
    return kernel.release


@pytest.mark.parametrize("ref", RELEASES)
@pytest.mark.parametrize("vm_type", [VmType.NORMAL, VmType.SNP])
def test_every_state_is_the_models(ref: str, vm_type: VmType) -> None:
    kernel = amd(ref, vm_type)
    for host, cd, off, paging in itertools.product(MTRR_TYPES, (False, True), (0, CD_OFF), (True, False)):
        facts = Facts(host_mtrr=host, cr0_cd=cd, disabled_quirks=off)
        answer = lookup(kernel, facts, PAT_TYPES, paging)
        assert answer.entry == NptEntry(0, MemType.WB)
        assert (answer.byte, answer.ipat, answer.memtype) == (None, None, MemType.WB)
        for pat, kind in answer.effective:
            wanted = models.npt_effective(
                version(kernel),
                str(pat),
                str(host),
                paging=paging,
                caches_off=cd and off > 0 and version(kernel) >= (4, 2),
                snp=vm_type is VmType.SNP,
            )
            assert str(kind) == wanted, (host, cd, off, pat)


@pytest.mark.parametrize("ref", ["4.14", "4.15"])
@pytest.mark.parametrize("table", [LINUX_PAT, LINUX_4_1_PAT, RESET_PAT])
def test_the_guests_pat_counts_by_its_index_up_to_4_14(ref: str, table: object) -> None:
    assert hasattr(table, "entries")
    names = tuple(map(str, table.entries))
    found = lookup(amd(ref), Facts(), PAT_TYPES, guest_pat=table)  # type: ignore[arg-type]
    for pat, kind in found.effective:
        wanted = models.npt_effective(version(amd(ref)), str(pat), "WB", guest=names)
        assert (None if kind is None else str(kind)) == wanted


def test_a_page_whose_index_is_known_goes_by_it() -> None:
    """Of two entries of one type the lower is taken only where nobody said which: entry 1 is WT there, 3 is UC."""
    twice = RESET_PAT._replace(entries=(MemType.WB, MemType.WC, MemType.UC_MINUS, MemType.WC, *RESET_PAT.entries[4:]))
    old = Evaluator(resolve("4.14"), vm_of(pat=twice), SLOTS)
    assert [str(old.page(0, MemType.WC, index=index).effective[0][1]) for index in (None, 1, 3)] == ["WT", "WT", "CD"]
    assert "here 3" in str([str(note) for note in old.page(0, MemType.WC, index=3).notes])
    new = Evaluator(resolve("4.15"), vm_of(pat=twice), SLOTS)
    assert {str(new.page(0, MemType.WC, index=index).effective[0][1]) for index in (None, 1, 3)} == {"WC+"}


def test_nothing_of_epts_inputs_counts() -> None:
    """Neither DMA nor guest MTRRs, slot flags, self-snoop or the quirk of the guest's PAT."""
    wanted = lookup(amd("6.1"), Facts()).effective
    for kind, dma, flags, snoop in itertools.product(MTRR_TYPES, (False, True), (0, 8), (False, True)):
        facts = Facts(guest_mtrr=kind, noncoherent_dma=dma, slot_flags=flags, self_snoop=snoop, disabled_quirks=1 << 9)
        assert lookup(amd("6.1"), facts).effective == wanted


def test_which_inputs_are_read() -> None:
    from mtcalc.rules.inputs import CR0_CD, GUEST_MTRR, NONCOHERENT_DMA
    from mtcalc.rules.inputs import MMIO as IS_MMIO

    given = (IS_MMIO, CR0_CD, GUEST_MTRR, NONCOHERENT_DMA)
    assert unread(amd("6.1"), given) == (GUEST_MTRR, NONCOHERENT_DMA)


def codes(notes: Iterable[object]) -> set[str]:
    return {note.code for note in notes}  # type: ignore[attr-defined]


@pytest.mark.parametrize("ref", ["slot-flag", "quirk-v1", "6.6+slot-flag"])
def test_rules_of_ept_never_answer(ref: str) -> None:
    """What a proposal says is said to be of no effect; its release is what counts."""
    kernel = amd(ref)
    assert kernel.rules.name == "npt-v4.15"
    assert "npt-rules" in codes(kernel.notes)
    assert kernel.proposal == ""
    assert "npt-rules" not in codes(amd("6.6").notes)


@pytest.mark.parametrize(("vendor", "kind"), [(Vendor.AMD, VmType.NORMAL), (Vendor.INTEL, VmType.TD)])
def test_the_default_is_the_latest_release(vendor: Vendor, kind: VmType) -> None:
    """The proposal that is the default elsewhere is one for EPT, and on top of a release that runs no TD."""
    kernel = on_platform(resolve(DEFAULT_REF)._replace(default=True), vendor, kind)
    assert kernel.ref == "latest"
    assert not kernel.notes
    assert on_platform(kernel, vendor, kind) is kernel


@pytest.mark.parametrize(("ref", "off"), [("6.15", 0), ("6.12.77", 0), ("6.12.78", 0x200), ("6.16", 0x200)])
def test_the_quirk_of_the_guests_pat_is_off_from_the_start(ref: str, off: int) -> None:
    """Read: 6.14 -> 6.16.1, and 6.12.78; the quirk of CR0.CD can be turned off all the same."""
    kernel = amd(ref)
    assert kernel.quirks_off == off
    found = lookup(kernel, Facts(cr0_cd=True, disabled_quirks=CD_OFF))
    assert {"npt-cd"} == codes(found.notes)
    assert str(dict(found.effective)[MemType.WB]) == "CD"


def test_a_quirk_that_is_not_there_yet_keeps_cr0_cd_from_nothing() -> None:
    found = lookup(amd("4.1"), Facts(cr0_cd=True, disabled_quirks=CD_OFF))
    assert str(dict(found.effective)[MemType.WB]) == "WB"
    assert "quirk-unknown" in codes(found.notes)


# Whole VMs


def vm_of(**changes: object) -> Vm:
    """A guest that calls [3G, 4G) uncached, on AMD."""
    pair = VariableRange(3 * GIB, (1 << 46) - GIB | 0x800)
    mtrrs = reset_free_mtrrs(46)._replace(variable=(pair, *reset_free_mtrrs(46).variable[1:]))
    return Vm(mtrrs=mtrrs, vendor=Vendor.AMD)._replace(**changes)  # type: ignore[arg-type]


SLOTS = (
    Slot(0, 4 * GIB, "ram", 0, backing=Backing(page_level=3), hva=0x7F0000000000),
    Slot(8 * GIB, GIB, "bar", 1, backing=MMIO),
    Slot(16 * GIB, GIB, "wc", 2, backing=MMIO._replace(host_mtrr=MemType.WC)),
)


@pytest.mark.parametrize("ref", RELEASES)
def test_guest_mtrrs_cut_no_range_and_limit_the_level_from_4_2_to_5_19(ref: str) -> None:
    evaluator = Evaluator(resolve(ref), vm_of(), SLOTS)
    found = list(evaluator.ranges())
    assert [(a.slot and a.slot.name, a.facts and str(a.facts.host_mtrr)) for a in found] == [
        ("ram", "WB"),
        ("bar", "UC"),
        ("wc", "WC"),
    ]
    assert {a.guest_mtrr for a in found} == {None}
    edge = VariableRange(3 * GIB, (1 << 46) - (1 << 21) | 0x800)
    split = vm_of(mtrrs=vm_of().mtrrs._replace(variable=(edge,)))
    level = Evaluator(resolve(ref), split, SLOTS).page(3 * GIB).level
    small = (4, 2) <= evaluator.kernel.release < (6, 0)
    largest = 2 if evaluator.kernel.release < (2, 6, 32) else 3
    assert level == (2 if small else largest)
    # The DMA count changes nothing, as it does under EPT from 6.0 to 6.10.
    assert Evaluator(resolve(ref), split._replace(noncoherent_dma=True), SLOTS).page(3 * GIB).level == level


@pytest.mark.parametrize("ref", RELEASES)
def test_pages_and_ranges_and_segments_agree(ref: str) -> None:
    evaluator = Evaluator(resolve(ref), vm_of(), SLOTS)
    for piece in evaluator.ranges():
        page = evaluator.page(piece.gpa or 0)
        assert (page.effective, page.entry, page.facts) == (piece.effective, piece.entry, piece.facts)
    starts = evaluator.segments()
    assert starts is not None
    for start, end in itertools.pairwise((*starts, 1 << 46)):
        first, last = evaluator.page(start), evaluator.page(end - 1)
        assert first._replace(gpa=None) == last._replace(gpa=None)


def test_what_a_vm_gives_cause_to_say() -> None:
    evaluator = Evaluator(resolve("6.1"), vm_of(), SLOTS)
    assert codes(evaluator.page(0).notes) == set()
    assert codes(evaluator.page(3 * GIB).notes) == {"npt-mtrr"}
    assert codes(evaluator.page(8 * GIB).notes) == {"host-mtrr", "bar"}
    assert codes(evaluator.page(16 * GIB).notes) == {"bar"}
    old = Evaluator(resolve("4.14"), vm_of(pat=RESET_PAT), SLOTS)
    assert codes(old.page(0, MemType.WC).notes) == {"npt-index", "no-pat-entry"}
    assert old.page(0, MemType.WC).effective == ((MemType.WC, None),)
    nowhere = evaluator.page(1 << 40)
    assert (codes(nowhere.notes), nowhere.entry) == ({"no-slot"}, None)
    assert not any("EPT" in str(note) for note in nowhere.notes)
    assert "NPT entry" in explain_page(evaluator, 1 << 40).steps[0].lines[0]
    intel = Evaluator(resolve("6.16"), vm_of(vendor=Vendor.INTEL), SLOTS)
    assert "host-mtrr-idle" in codes(intel.page(16 * GIB).notes)
    assert "host-mtrr-idle" not in codes(intel.page(8 * GIB).notes)
    assert codes(Evaluator(resolve("6.1"), vm_of(paging=False), SLOTS).page(0).notes) == {"no-paging"}


@pytest.mark.parametrize("ref", ["4.14", "5.15", "6.1"])
def test_mtrr_has_the_manuals_view_alone(ref: str) -> None:
    view = MtrrView(resolve(ref), vm_of())
    seen = view.at(3 * GIB)
    assert (seen.kvm, seen.manual) == (None, MemType.UC)
    assert codes(view.notes()) == {"npt-mtrr"}
    assert ("limit the mapping level" in str(view.notes()[0])) is (ref != "6.1")


# The derivation


def test_each_step_has_its_source_and_cells_read_once_say_so() -> None:
    steps = explain_lookup(amd("6.1"), Facts(), None).steps
    assert all(step.source for step in steps)
    assert [step.about for step in steps] == [
        "rule npt",
        "NPT entry",
        "guest PAT type",
        "host MTRR type",
        "guest and nested type",
        "with the host's MTRRs",
        "effective type",
    ]
    by_name = {step.about: step for step in steps}
    combined, mtrr = by_name["guest and nested type"], by_name["with the host's MTRRs"]
    assert combined.source.endswith(
        "UC-, WC also in another hypervisor's comments (SimpleSvm); UC, WB, WP, WT in the translation alone"
    )
    assert "WC+ also in another" in mtrr.source
    assert explain_lookup(amd("6.1"), Facts(), MemType.WB).steps[4].source.endswith("read in a translation alone")


def test_the_index_cr0_cd_and_snp_are_steps_of_their_own() -> None:
    facts = Facts(cr0_cd=True, disabled_quirks=CD_OFF)
    steps = {step.about: step for step in explain_lookup(amd("4.14", VmType.SNP), facts, MemType.WC).steps}
    assert "WC is entry 1 of the guest's, and WT there" in steps["guest PAT type"].lines
    assert steps["guest CR0.CD"].result == "CD (PAT WC)"
    assert "unconfirmed" in steps["guest CR0.CD"].source
    assert steps["SNP"].result == steps["effective type"].result == "CD (PAT WC)"
    quiet = {step.about: step for step in explain_lookup(amd("4.14"), Facts(cr0_cd=True), MemType.WC).steps}
    assert quiet["guest CR0.CD"].result == "no effect"
    assert "SNP" not in quiet


def test_a_page_is_derived_with_its_slot_and_level() -> None:
    found = explain_page(Evaluator(resolve("6.1"), vm_of(), SLOTS), 3 * GIB, MemType.UC_MINUS)
    steps = {step.about: step for step in found.steps}
    assert steps["guest MTRR type"].result == "not asked"
    assert steps["effective type"].result == "CD (PAT UC-)"
    assert steps["mapping level"].result == "1G"
    assert steps["host MTRR type"].lines == ("taken so, as firmware sets it for RAM",)
    given = explain_page(Evaluator(resolve("6.1"), vm_of(), SLOTS), 16 * GIB)
    assert {step.about: step for step in given.steps}["host MTRR type"].lines == ("as given",)


# Tables and differences


@pytest.mark.parametrize("ref", ["4.14", "6.1"])
def test_the_matrix_is_host_mtrr_by_guest_pat(ref: str) -> None:
    rows = matrix(amd(ref), Facts(), MTRR_TYPES, PAT_TYPES)
    assert [row.facts and row.facts.host_mtrr for row in rows] == list(MTRR_TYPES)
    for row, host in zip(rows, MTRR_TYPES, strict=True):
        for pat, kind in row.effective:
            assert str(kind) == models.npt_effective(version(amd(ref)), str(pat), str(host))


@pytest.mark.parametrize(("before", "after"), list(itertools.product(RELEASES, RELEASES)))
def test_two_releases_differ_at_4_15_alone(before: str, after: str) -> None:
    old, new = amd(before), amd(after)
    found = npt_diff(old, new)
    assert bool(found.rows) is ((version(old) < (4, 15)) is not (version(new) < (4, 15)))
    assert found.changed == (5 if found.rows else 0)
    for row in found.rows:
        for host, (kernel, types) in itertools.product(row.host_mtrrs, ((old, row.before), (new, row.after))):
            for pat, kind in types:
                assert str(kind) == models.npt_effective(version(kernel), str(pat), str(host))


def test_what_differs_around_two_releases() -> None:
    said = {each.what: (each.before, each.after) for each in differences(amd("4.1"), amd("4.2"))}
    assert said["guest MTRRs limit the mapping level"] == ("never", "always")
    assert said["guest CR0.CD reaches the hardware"] == ("never", "with quirk CD_NW_CLEARED disabled")
    assert "host MMIO test" not in said
    said = {each.what: (each.before, each.after) for each in differences(amd("5.19"), amd("6.0"))}
    assert said["guest MTRRs limit the mapping level"] == ("always", "never")
    (pat,) = [each for each in differences(amd("4.14"), amd("4.15")) if each.what == "PAT that counts under NPT"]
    assert pat.after == "the guest's own"


# TDs and SNP guests

PRIVATE = Slot(0, GIB, "private", 0, private=True, backing=RAM._replace(page_level=3), hva=0)
SHARED = Slot(GIB, GIB, "shared", 1, backing=RAM._replace(page_level=3), hva=GIB)


@pytest.mark.parametrize("ref", ["6.16", "latest", "slot-flag", "6.12.80", "v6.7"])
@pytest.mark.parametrize("dma", [False, True])
def test_a_tds_private_pages_are_wb_whatever_kvm_computes(ref: str, dma: bool) -> None:
    vm = Vm(type=VmType.TD, noncoherent_dma=dma, self_snoop=False)
    evaluator = Evaluator(resolve(ref), vm, (PRIVATE, SHARED, PRIVATE._replace(gpa=2 * GIB, id=2, backing=MMIO)))
    for gpa in (0, 2 * GIB):
        page = evaluator.page(gpa)
        assert (page.byte, page.rule and page.rule.id, page.level) == (0x70, "tdx-private", 1)
        assert {kind for _, kind in page.effective} == {MemType.WB}
    assert evaluator.page(GIB, private=True).byte == 0x70
    assert evaluator.page(0, private=False).byte == evaluator.page(GIB).byte
    assert ("no-td" in codes(evaluator.page(0).notes)) is (ref not in ("6.16", "latest"))


@pytest.mark.parametrize(("ref", "none"), [("5.10", True), ("6.10", True), ("6.11", False), ("latest", False)])
def test_snp_guests_are_run_from_6_11_on(ref: str, none: bool) -> None:
    """Source: KVM_X86_SNP_VM; read: 6.1.192 -> 6.12.117, 6.11 from memory."""
    kernel = on_platform(resolve(ref), Vendor.AMD, VmType.SNP)
    assert ("no-snp" in codes(kernel.notes)) is none


@pytest.mark.parametrize(("private", "mmio"), [(p, m) for p in (False, True) for m in (False, True)])
def test_no_host_mmio_is_private(private: bool, mmio: bool) -> None:
    kernel = on_platform(resolve("6.17"), Vendor.INTEL, VmType.TD)
    assert ("private-mmio" in codes(unknown_inputs(kernel, Facts(mmio=mmio, private=private)))) is (private and mmio)


@pytest.mark.parametrize(("ref", "byte"), [("6.16", 0x30), ("latest", 0x30), ("6.15", 0x70)])
def test_a_tds_shared_pages_follow_the_rules_with_the_quirk_off(ref: str, byte: int) -> None:
    """From 6.16 on the guest's PAT is honoured; without self-snoop too, which an ordinary VM cannot have."""
    for snoop in (False, True):
        evaluator = Evaluator(resolve(ref), Vm(type=VmType.TD, self_snoop=snoop), (PRIVATE, SHARED))
        shared = evaluator.page(GIB)
        assert shared.byte == byte
        assert "unreachable" not in codes(shared.notes)
        assert shared.facts
        if ref != "6.15":
            assert shared.facts.disabled_quirks & 0x202 == 0x202


def test_a_td_cannot_set_cr0_cd() -> None:
    page = Evaluator(resolve("6.16"), Vm(type=VmType.TD, cr0_cd=True), (SHARED,)).page(GIB)
    assert any("a TD cannot set CR0.CD" in str(note) for note in page.notes)


def test_an_snp_guest_snoops_everywhere() -> None:
    evaluator = Evaluator(resolve("6.12.80"), vm_of(type=VmType.SNP), (PRIVATE, SHARED, SLOTS[1]))
    for gpa, host in ((0, "WB"), (GIB, "WB"), (8 * GIB, "UC")):
        for pat, kind in evaluator.page(gpa).effective:
            assert str(kind) == models.npt_effective((6, 12, 80), str(pat), host, snp=True)
            assert str(kind) not in ("UC", "WC")
    assert evaluator.page(0).level == 1


@pytest.mark.parametrize(("vendor", "kind"), [(Vendor.AMD, VmType.TD), (Vendor.INTEL, VmType.SNP)])
def test_each_kind_of_vm_has_its_cpus(vendor: Vendor, kind: VmType) -> None:
    with pytest.raises(ValueError, match="CPUs alone"):
        on_platform(resolve("latest"), vendor, kind)
    with pytest.raises(ValueError, match="CPUs alone"):
        Evaluator(resolve("latest"), Vm(vendor=vendor, type=kind), (SHARED,))


# Laws, for any VM


@pytest.mark.property
@given(random_vms(), st.sampled_from(RELEASES), st.sampled_from([VmType.NORMAL, VmType.SNP]))
@settings(max_examples=60)
def test_any_vm_on_amd_is_the_models(case: RandomVm, ref: str, kind: VmType) -> None:
    """Page by page: the guest's PAT, the host's MTRR type, CR0.CD where it reaches the hardware; nothing else."""
    vm = case.vm._replace(vendor=Vendor.AMD, type=kind)
    evaluator = Evaluator(resolve(ref), vm, case.slots)
    off = vm.cr0_cd and vm.disabled_quirks & CD_OFF > 0 and evaluator.kernel.release >= (4, 2)
    for piece in evaluator.ranges():
        assert piece.facts
        host = "UC" if piece.facts.mmio else "WB"
        for pat, got in piece.effective:
            wanted = models.npt_effective(
                evaluator.kernel.release,
                str(pat),
                host,
                paging=vm.paging,
                caches_off=off,
                snp=kind is VmType.SNP,
                guest=tuple(map(str, vm.pat.entries)),
            )
            assert (None if got is None else str(got)) == wanted


@pytest.mark.property
@given(random_vms(), st.sampled_from(["6.10", "6.15", "6.16", "latest", "slot-flag"]), st.booleans())
@settings(max_examples=60)
def test_any_tds_shared_memory_is_that_of_a_vm_with_the_quirks_off(case: RandomVm, ref: str, private: bool) -> None:
    """And its private memory is WB with ignore-PAT, in 4K pages."""
    slots = [slot._replace(private=private) for slot in case.slots]
    td = Evaluator(resolve(ref), case.vm._replace(type=VmType.TD), slots)
    plain = case.vm._replace(disabled_quirks=case.vm.disabled_quirks | 0x202)
    for piece, usual in zip(td.ranges(), Evaluator(resolve(ref), plain, case.slots).ranges(), strict=True):
        if private:
            assert (piece.byte, piece.level) == (0x70, 1)
        else:
            assert (piece.byte, piece.level, piece.effective) == (usual.byte, usual.level, usual.effective)
