# SPDX-License-Identifier: GPL-2.0-only
"""A page of L2, the guest's own guest: every state against a second model, both vendors."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.explain import Explanation, explain_lookup, explain_page
from mtcalc.analysis.explain_l2 import explain_l2, explain_l2_page, l2_setting
from mtcalc.analysis.steps import Step
from mtcalc.kvm.flags import ALL_QUIRK_BITS
from mtcalc.kvm.nested import L2_PATS_EPT, L2_PATS_NPT, L2Pat
from mtcalc.kvm.versions import Vendor, VmType
from mtcalc.kvm.vm import Slot, Vm, reset_free_mtrrs
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in_names
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.platform import on_platform
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType
from mtcalc.x86.mtrr import VariableRange
from mtcalc.x86.pat import LINUX_4_1_PAT, LINUX_PAT, RESET_PAT, Pat, decode_pat
from support import models
from support.notes import noted
from support.random_vms import END, PAGE, RandomVm, random_vms

SHARED = 1 << 11
GIB = 1 << 30
RAM = Slot(0, 4 * GIB, "ram")
MIXED = decode_pat(0x0001_0405_0607_0100)  # UC WC UC- WB WP WT WC UC
PATS = (None, LINUX_PAT, RESET_PAT, LINUX_4_1_PAT, MIXED)
AMD = ("2.6.38", "4.14", "4.15", "5.15", "6.12.80", "7.1", "7.2", "7.3")
INTEL = ("3.13", "4.1", "4.2", "4.4", "6.1", "6.7", "6.12.80", "7.3", "slot-flag", "quirk-v1")


def amd(ref: str) -> Kernel:
    return on_platform(resolve(ref), Vendor.AMD)


def step_of(found: Explanation, about: str) -> Step:
    (step,) = [step for step in found.steps if step.about == about]
    return step


def names(pat: Pat) -> tuple[str, ...]:
    return tuple(map(str, pat.entries))


def second_model(release: tuple[int, ...], pat: str, l1: Pat, own: Pat | None, disabled: int) -> tuple[str, str | None]:
    """Under SVM, in plain words: whose PAT counts, and the type that a page gets which L2 has as `pat`."""
    held: tuple[str, ...]
    if release < (4, 15):
        whose, held = "hardware", models.RESET_TYPES
    elif release >= (7, 2) and disabled & SHARED:
        return "vmcb12", pat if own is None or pat in names(own) else None
    else:
        whose, held = "l1", names(l1)
    if own is None and whose == "l1":
        return whose, pat
    mine = names(l1 if own is None else own)
    return whose, held[mine.index(pat)] if pat in mine else None


@pytest.mark.parametrize("ref", AMD)
def test_every_state_on_amd_is_the_models(ref: str) -> None:
    """Over both PATs, the quirk, host MTRR types and CR0.CD: the type is the model's, and so is whose PAT counts."""
    kernel = amd(ref)
    slot = RAM
    for own, l1, disabled, host in itertools.product(PATS, PATS[1:], (0, SHARED, SHARED | 2), MTRR_TYPES):
        assert l1 is not None
        vm = Vm(vendor=Vendor.AMD, pat=l1, disabled_quirks=disabled, cr0_cd=disabled > SHARED)
        setting = l2_setting(kernel, vm, own)
        page = slot._replace(backing=slot.backing._replace(host_mtrr=host))
        found = explain_l2_page(
            Evaluator(setting.kernel, setting.vm, (page,)), GIB, setting.pats, None, own is not None
        )
        assert found.l2 is not None
        assert found.answer.effective == found.l2.effective
        for kind, (asked, effective) in zip(found.l2.types, found.l2.effective, strict=True):
            assert kind.asked is asked
            whose, counts = second_model(kernel.release, str(asked), l1, own, disabled)
            assert found.l2.pats.of.value == whose
            assert (None if kind.memtype is None else str(kind.memtype)) == counts
            wanted = None
            if counts is not None:
                off = vm.cr0_cd and kernel.release >= (4, 2)
                wanted = models.npt_effective((4, 15), counts, str(host), caches_off=off)
            assert (None if effective is None else str(effective)) == wanted


@pytest.mark.parametrize("ref", INTEL)
def test_on_intel_the_byte_is_that_of_l1s_page_and_the_pat_l2s(ref: str) -> None:
    kernel = resolve(ref)
    states = itertools.product((False, True), (False, True), (False, True), (0, 2, 0x200), MTRR_TYPES, PATS[:3])
    for mmio, dma, cd, disabled, mtrr, own in states:
        facts = Facts(mmio=mmio, noncoherent_dma=dma, cr0_cd=cd, disabled_quirks=disabled, guest_mtrr=mtrr)
        found = explain_l2(kernel, facts, own=own)
        ours = explain_lookup(kernel, facts)
        assert found.l2 is not None
        assert found.answer.byte == ours.answer.byte
        assert found.l2.pats.of is (L2Pat.L1 if own is None else L2Pat.VMCS12)
        for asked, effective in found.l2.effective:
            byte = ours.answer.byte
            assert byte is not None
            if own is not None and asked not in own.entries:
                assert effective is None  # no such page
                continue
            ept = models.NAMES[byte >> 3 & 7]
            wanted = ept if byte & 0x40 else models.effective(ept, str(asked))
            assert str(effective) == wanted, (facts, asked)


@given(st.sampled_from(built_in_names()), st.sampled_from(MTRR_TYPES), st.sampled_from((None, *PAT_TYPES)))
def test_law_l1s_steps_stay_and_l2s_stand_before_the_effective_type(
    name: str, mtrr: MemType, pat: MemType | None
) -> None:
    facts = Facts(noncoherent_dma=True, guest_mtrr=mtrr)
    found, ours = explain_l2(resolve(name), facts, pat), explain_lookup(resolve(name), facts, pat)
    assert [step for step in found.steps if step in ours.steps] == list(ours.steps)
    assert [step.about for step in found.steps if step not in ours.steps] == [
        "L2's page",
        "L1's EPT12",
        "L2's PAT type",
    ]
    assert [step.about for step in found.steps[-3:]] == ["L1's EPT12", "L2's PAT type", "effective type"]
    assert "does not count" in step_of(found, "L1's EPT12").result
    assert all(step.source for step in found.steps if step.about != "inputs")


@settings(max_examples=40)
@given(random_vms(), st.integers(0, END // PAGE - 1), st.sampled_from(("5.15", "6.8", "7.3")))
def test_law_a_page_of_l2_has_the_byte_of_l1s_page_at_no_lower_level(case: RandomVm, page: int, ref: str) -> None:
    evaluator = case.evaluator()
    vm = evaluator.vm
    if not vm.paging or vm.type is not VmType.NORMAL:
        return
    setting = l2_setting(resolve(ref), vm)
    nested = Evaluator(setting.kernel, setting.vm, case.slots)
    own = Evaluator(resolve(ref), vm, case.slots)
    for gpa in (page * PAGE, *(slot.gpa for slot in case.slots)):
        found, ours = explain_l2_page(nested, gpa, setting.pats), explain_page(own, gpa)
        assert (found.answer.byte, found.answer.slot) == (ours.answer.byte, ours.answer.slot)
        assert found.answer.effective == ours.answer.effective
        assert (found.answer.level or 0) >= (ours.answer.level or 0)


@pytest.mark.parametrize(("ref", "l1_level"), [("5.15", "4K"), ("6.8", "4K"), ("7.3", "1G")])
@pytest.mark.parametrize("vendor", list(Vendor))
def test_l1s_mtrrs_limit_no_level_in_the_tables_for_l2(ref: str, l1_level: str, vendor: Vendor) -> None:
    """A range of 4K inside a large page splits L1's mapping of it up to 6.10, and L2's in no release."""
    mtrrs = reset_free_mtrrs(46)
    pair = VariableRange(0, ((1 << 46) - PAGE) | 0x800)
    mtrrs = mtrrs._replace(variable=(pair, *mtrrs.variable[1:]))
    vm = Vm(noncoherent_dma=True, mtrrs=mtrrs, vendor=vendor)
    ours = explain_page(Evaluator(resolve(ref), vm, (RAM,)), 0x1000)
    split = l1_level == "4K" and (vendor is Vendor.INTEL or ref == "5.15")
    assert ours.answer.level == (1 if split else 3)
    setting = l2_setting(resolve(ref), vm)
    found = explain_l2_page(Evaluator(setting.kernel, setting.vm, (RAM,)), 0x1000, setting.pats)
    assert found.answer.level == 3
    step = step_of(found, "mapping level")
    assert (found.steps[-1], step.result) == (step, "at most 1G")
    assert "L1's MTRRs do not limit it" in " ".join(step.lines)


def test_the_index_decides_where_l2s_own_pat_is_another() -> None:
    """L2 with the reset value under an L1 that is Linux: its WT, entry 1, is WC there; 7.2 can tell them apart."""
    for ref, disabled, wanted in (
        ("7.1", 0, "WC+"),
        ("7.3", 0, "WC+"),
        ("7.3", SHARED, "WT"),
        ("7.1", SHARED, "WC+"),  # which has no such quirk
        ("4.14", 0, "WT"),  # what the hardware has in entry 1
    ):
        found = explain_l2(amd(ref), Facts(disabled_quirks=disabled), MemType.WT, own=RESET_PAT)
        assert found.l2 is not None
        assert [str(kind) for _, kind in found.l2.effective] == [wanted], (ref, disabled)
        said = " ".join(noted(found.answer.notes))
        assert ("does not get the types of its own PAT: WT is WC" in said) is (wanted == "WC+")
        assert ("has no quirk NESTED_SVM_SHARED_PAT" in said) is (ref == "7.1" and disabled > 0)
        assert "hangs on" not in said
        assert "decides of" not in said
        assert found.l2.pats.shared is ((not disabled) if ref == "7.3" else None)


def test_the_quirk_is_named_where_l2_is_not_asked_about() -> None:
    said = " ".join(noted(explain_lookup(amd("7.3"), Facts(disabled_quirks=SHARED)).answer.notes))
    assert "quirk NESTED_SVM_SHARED_PAT decides of the guest's own guests alone (explain --l2)" in said
    said = " ".join(noted(explain_lookup(resolve("7.3"), Facts(disabled_quirks=SHARED)).answer.notes))
    assert "no memory type hangs on quirk NESTED_SVM_SHARED_PAT" in said
    assert ALL_QUIRK_BITS["NESTED_SVM_SHARED_PAT"] == SHARED


@pytest.mark.parametrize(
    ("ref", "vendor", "said"),
    [
        ("3.11", Vendor.INTEL, "3.11 gives L1 no nested EPT (first in 3.12, unconfirmed)"),
        ("3.12", Vendor.INTEL, ""),
        ("2.6.35", Vendor.AMD, "2.6.35 gives L1 no nested NPT (first in 2.6.37, unconfirmed)"),
        ("2.6.38", Vendor.AMD, ""),
    ],
)
def test_a_release_without_nested_paging_is_said_to_be(ref: str, vendor: Vendor, said: str) -> None:
    notes = noted(explain_l2(on_platform(resolve(ref), vendor), Facts()).answer.notes)
    assert [note.split(":")[0] for note in notes if "gives L1" in note] == ([said] if said else [])


def test_without_paging_l2s_type_is_wb() -> None:
    for kernel in (resolve("7.3"), amd("7.3"), amd("4.14")):
        found = explain_l2(kernel, Facts(noncoherent_dma=True), MemType.WB, paging=False)
        assert found.l2 is not None
        assert found.l2.effective == ((MemType.WB, MemType.WB),)
        assert step_of(found, "L2's PAT type").lines == ("L2's CR0.PG=0: the PAT memory type is WB",)


@pytest.mark.parametrize("kind", [VmType.TD, VmType.SNP])
def test_what_is_not_known_is_refused(kind: VmType) -> None:
    vendor = Vendor.INTEL if kind is VmType.TD else Vendor.AMD
    with pytest.raises(ValueError, match="nothing is known of guests inside"):
        l2_setting(resolve("7.3"), Vm(type=kind, vendor=vendor))
    with pytest.raises(ValueError, match=re.escape("CR0.PG of the guest is 0")):
        l2_setting(resolve("7.3"), Vm(paging=False))


def test_rows_ascend_and_have_sources() -> None:
    for rows in (L2_PATS_EPT, L2_PATS_NPT):
        assert rows[0].since == (0,)
        assert [row.since for row in rows] == sorted(row.since for row in rows)
        assert all(row.source for row in rows)
