# SPDX-License-Identifier: GPL-2.0-only
"""Every built-in rule set over all its inputs, against recorded answers and a second model."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.condition import ALWAYS
from mtcalc.rules.inputs import Facts
from mtcalc.rules.proposals import PROPOSALS, SLOT_FLAG
from mtcalc.rules.releases import COMMITS, RELEASES, V4_3, V4_4, V6_7, source_text
from mtcalc.rules.rule import RuleSet, decide, inputs_read
from mtcalc.rules.trace import trace
from mtcalc.x86.effective import effective_type
from mtcalc.x86.ept import split_mask
from mtcalc.x86.memtype import PAT_TYPES, MemType, parse_memtype
from support.rule_models import MODELS, Case
from support.vectors import json_vector

ENCODINGS = (0, 1, 4, 5, 6)
SWITCHES = list(itertools.product((False, True), repeat=8))
ALL_CASES = [Case._make((*switches, gmt)) for switches in SWITCHES for gmt in ENCODINGS]


def facts_of(case: Case) -> Facts:
    disabled = 0 if case.cd_quirk else QUIRKS["CD_NW_CLEARED"]
    disabled |= 0 if case.igp else QUIRKS["IGNORE_GUEST_PAT"]
    return Facts(
        mmio=case.mmio,
        slot_flags=SLOT_FLAGS["NON_COHERENT_DMA"] if case.flag else 0,
        noncoherent_dma=case.n,
        mem_dma=case.mem_dma,
        cr0_cd=case.cd,
        disabled_quirks=disabled,
        self_snoop=case.self_snoop,
        guest_mtrr=MemType(case.gmt),
    )


ALL_FACTS = [(case, facts_of(case)) for case in ALL_CASES]


def rules_of(name: str) -> RuleSet:
    kernel = built_in(name)
    assert kernel is not None
    return kernel.rules


def test_every_built_in_set_has_a_second_model() -> None:
    """Those of the releases, oldest first, the default, the other proposals."""
    assert built_in_names() == tuple(MODELS)
    assert built_in("v6.12") is None


@pytest.mark.parametrize("name", MODELS)
def test_equals_the_model_over_all_inputs(name: str) -> None:
    """vmx_get_mt_mask() through time; first match wins."""
    rules, model = rules_of(name), MODELS[name]
    assert len(ALL_FACTS) == 1280
    for case, facts in ALL_FACTS:
        rule, byte = decide(rules, facts)
        assert byte == model(case), case
        assert rule in rules.rules


def test_v4_4_equals_vmx_get_mt_mask_of_6_1_on_all_80_rows() -> None:
    """Made by running the function of 6.1.192 over every input."""
    rows = json_vector("mt_mask_6.1.json")["rows"]
    assert len(rows) == 80
    rules = rules_of("v4.4")
    for row in rows:
        facts = Facts(
            mmio=row["is_mmio"],
            noncoherent_dma=row["noncoherent_dma"],
            cr0_cd=row["cr0_cd"],
            disabled_quirks=0 if row["quirk_cd_nw_cleared"] else QUIRKS["CD_NW_CLEARED"],
            guest_mtrr=parse_memtype(row["guest_mtrr"]),
        )
        assert decide(rules, facts)[1] == int(row["hex"], 16), row


READS = {
    "v2.6.28": "",
    "v2.6.29": "mmio, guest_mtrr",
    "v2.6.31": "mmio, noncoherent_dma, guest_mtrr",
    "v3.13": "mmio, noncoherent_dma, guest_mtrr",
    "v4.2": "mmio, noncoherent_dma, cr0_cd, quirk CD_NW_CLEARED, guest_mtrr",
    "v4.3": "mmio, noncoherent_dma, cr0_cd, quirk CD_NW_CLEARED, guest_mtrr",
    "v4.4": "mmio, noncoherent_dma, cr0_cd, quirk CD_NW_CLEARED, guest_mtrr",
    "v6.7": "mmio, noncoherent_dma, cr0_cd, quirk CD_NW_CLEARED, guest_mtrr",
    "v6.11-rc1": "mmio, self_snoop, noncoherent_dma",
    "v6.11": "mmio, noncoherent_dma",
    "v6.16": "mmio, noncoherent_dma, quirk IGNORE_GUEST_PAT",
    "slot-flag": "mmio, slot_flag NON_COHERENT_DMA, noncoherent_dma, cr0_cd, quirk CD_NW_CLEARED, guest_mtrr",
    "kvm-mem-dma": "mmio, noncoherent_dma, mem_dma, cr0_cd, quirk CD_NW_CLEARED, guest_mtrr",
    "slot-honor-mtrr": "mmio, slot_flag NON_COHERENT_DMA, guest_mtrr, noncoherent_dma, cr0_cd, quirk CD_NW_CLEARED",
    "quirk-v1": "mmio, noncoherent_dma, quirk IGNORE_GUEST_PAT, self_snoop",
}


@pytest.mark.parametrize("name", MODELS)
def test_reads_these_inputs_and_each_of_them_matters(name: str) -> None:
    """From 6.11 on Q is not read; an input that is read changes the model's byte somewhere."""
    assert ", ".join(map(str, inputs_read(rules_of(name)))) == READS[name]
    model = MODELS[name]
    fields = {
        "flag": "slot_flag NON_COHERENT_DMA",
        "n": "noncoherent_dma",
        "cd": "cr0_cd",
        "cd_quirk": "quirk CD_NW_CLEARED",
        "igp": "quirk IGNORE_GUEST_PAT",
        "gmt": "guest_mtrr",
    }
    read = set()
    for field in Case._fields:
        for case in ALL_CASES:
            changes: dict[str, Any] = {field: 1 if field == "gmt" else not getattr(case, field)}
            if model(case) != model(case._replace(**changes)):
                read.add(fields.get(field, field))
    assert read == {str(item) for item in inputs_read(rules_of(name))}


@pytest.mark.parametrize("name", MODELS)
def test_every_list_is_well_made(name: str) -> None:
    """Rules have ids of their own, a reason and a source; the last one catches everything."""
    rules = rules_of(name)
    assert len({rule.id for rule in rules.rules}) == len(rules.rules)
    assert [rule.when == ALWAYS for rule in rules.rules] == [False] * (len(rules.rules) - 1) + [True]
    for rule in rules.rules:
        assert rule.why
        assert rule.source
        text = source_text(rule.source)
        if rule.source in COMMITS:
            assert text.startswith(f'commit {rule.source} ("')
        else:
            assert text == rule.source
            assert " " in text, "a source that is no known commit is a sentence"
    assert set(rules.sources) <= set(COMMITS) or name in ("slot-flag", "kvm-mem-dma", "slot-honor-mtrr", "quirk-v1")
    used = {trace(rules, facts).rule.id for _, facts in ALL_FACTS}
    assert used == {rule.id for rule in rules.rules}, "a rule that never matches"


def test_slot_flag_is_v6_7_with_one_rule_inserted() -> None:
    """Built as its patch is made: v6.7's list with one rule inserted after the first."""
    rules = SLOT_FLAG.rules.rules
    assert (rules[0], *rules[2:]) == V6_7.rules
    assert rules[1].id == "slot-flag"
    assert str(rules[1].then) == "WB"


def test_v4_3_and_v4_4_have_one_list() -> None:
    """v4.4 differs only in GMT."""
    assert V4_3.rules == V4_4.rules


def test_mainline_dates_follow_the_releases() -> None:
    """From v2.6.28's 2008-11 on, v6.16's 2025-06 among them; proposals never were in mainline."""
    listed = dict.fromkeys(row.rules for row in RELEASES)
    dates = [rules.mainline for rules in listed]
    assert dates == sorted(dates)
    assert dates[0] == "2008-11"
    assert all(re.fullmatch(r"\d{4}-\d{2}", date) for date in dates)
    assert rules_of("v6.16").mainline == "2025-06"
    for proposal in PROPOSALS:
        assert rules_of(proposal.rules.name).mainline == ""


def effective_of(name: str, pat: MemType, case: Case) -> MemType:
    encoding, ipat = split_mask(decide(rules_of(name), facts_of(case))[1])
    return effective_type(MemType(encoding), ipat, pat)


PLAIN = Case(False, False, False, False, False, True, True, True, 6)


def test_claim_host_mmio_stays_uc_with_the_flag_set() -> None:
    """The seed: effective WC for PAT=WC, UC for every other PAT type."""
    for case in ALL_CASES:
        if case.mmio and case.flag:
            assert decide(rules_of("slot-flag"), facts_of(case))[1] == 0
    got = {str(pat): str(effective_of("slot-flag", pat, PLAIN._replace(mmio=True, flag=True))) for pat in PAT_TYPES}
    assert got == {"UC": "UC", "UC-": "UC", "WC": "WC", "WT": "UC", "WP": "UC", "WB": "UC"}


def test_claim_a_flagged_slot_is_wb_and_the_guests_pat_decides() -> None:
    """The seed: 0x30 whatever N, CD, Q and the guest MTRR are; UC- acts as UC."""
    flagged = [case for case in ALL_CASES if case.flag and not case.mmio]
    assert {decide(rules_of("slot-flag"), facts_of(case))[1] for case in flagged} == {0x30}
    got = {str(pat): str(effective_of("slot-flag", pat, PLAIN._replace(flag=True))) for pat in PAT_TYPES}
    assert got == {"UC": "UC", "UC-": "UC", "WC": "WC", "WT": "WT", "WP": "WP", "WB": "WB"}


def test_claim_the_arguable_case_of_mtrr_wc_and_pat_uc_minus() -> None:
    """The seed: WC when MTRRs are honoured (N, no flag), UC with the flag."""
    case = PLAIN._replace(n=True, gmt=1)
    assert effective_of("slot-flag", MemType.UC_MINUS, case) is MemType.WC
    assert effective_of("slot-flag", MemType.UC_MINUS, case._replace(flag=True)) is MemType.UC


def test_not_in_the_seed_flagged_memory_becomes_cacheable_under_cr0_cd() -> None:
    """With N true, CD set and Q off, memory was UC,1; with the flag it becomes cacheable."""
    case = PLAIN._replace(n=True, cd=True, cd_quirk=False)
    assert decide(rules_of("v6.7"), facts_of(case))[1] == 0x40
    assert effective_of("slot-flag", MemType.WB, case) is MemType.UC
    assert effective_of("slot-flag", MemType.WB, case._replace(flag=True)) is MemType.WB
