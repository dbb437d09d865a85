# SPDX-License-Identifier: GPL-2.0-only
"""Changes and rows as JSON has them."""

from __future__ import annotations

from functools import cache

import pytest

from mtcalc.analysis.diff import by_pat, diff
from mtcalc.analysis.diff_words import sentence
from mtcalc.output.diff_records import change_record, row_record
from mtcalc.rules.builtin import built_in
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition
from mtcalc.rules.inputs import Input
from mtcalc.rules.kernel import Kernel, kernel_at
from mtcalc.rules.releases import V6_11
from mtcalc.rules.rule import Outcome, Rule, RuleSet, guest_mtrr
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES


@cache
def kernel(name: str) -> Kernel:
    found = built_in(name)
    assert found is not None
    return found


def single(name: str, when: Condition, then: Outcome, rest: Outcome) -> RuleSet:
    return RuleSet(name, "", (Rule("one", when, then, ""), Rule("rest", And(()), rest, "")))


def test_the_record_of_a_single_change() -> None:
    """An input that neither reads is absent; quirks and slot_flags speak of those read."""
    found = diff(kernel("v6.7"), kernel("slot-flag"))
    first = change_record(found, next(found.changes))
    assert first == {
        "inputs": {
            "is_mmio": False,
            "slot_flags": ["NON_COHERENT_DMA"],
            "noncoherent_dma": False,
            "cr0_cd": False,
            "quirks": {"CD_NW_CLEARED": False},
            "guest_mtrr": "UC",
        },
        "before": {
            "memtype": "WB",
            "ipat": 1,
            "mask": "0x70",
            "effective": dict.fromkeys(("UC", "UC-", "WC", "WT", "WP", "WB"), "WB"),
        },
        "after": {
            "memtype": "WB",
            "ipat": 0,
            "mask": "0x30",
            "effective": {"UC": "UC", "UC-": "UC", "WC": "WC", "WT": "WT", "WP": "WP", "WB": "WB"},
        },
    }
    whole = diff(kernel("kvm-mem-dma"), kernel("quirk-v1"))
    inputs = change_record(whole, next(whole.changes))["inputs"]
    assert list(inputs) == ["is_mmio", "noncoherent_dma", "cr0_cd", "quirks", "self_snoop", "guest_mtrr", "mem_dma"]
    assert {"CD_NW_CLEARED", "IGNORE_GUEST_PAT"} <= set(inputs["quirks"])
    other = single("a", Atom(Input("assume", "f(x)")), Outcome(0x10), guest_mtrr(0))
    record = change_record(
        found := diff(kernel_at((6, 10), other, "a"), kernel_at((6, 10), V6_11, "b")), list(found.changes)[-1]
    )
    assert record["inputs"]["assume"] == {"f(x)": True}
    assert record["before"] == {
        "memtype": "reserved 2",
        "ipat": 0,
        "mask": "0x10",
        "effective": dict.fromkeys(map(str, PAT_TYPES)),
    }


def test_the_record_of_a_row() -> None:
    """Inputs that do not matter are left out of its "when"."""
    found = diff(kernel("v6.7"), kernel("slot-flag"))
    plain, symbolic, _ = (row_record(found, row) for row in found.rows)
    assert plain["when"] == {
        "is_mmio": False,
        "slot_flags": ["NON_COHERENT_DMA"],
        "slot_flags_clear": [],
        "noncoherent_dma": False,
    }
    assert (plain["before"]["mask"], plain["after"]["mask"], plain["count"]) == ("0x70", "0x30", 20)
    assert symbolic["when"]["guest_mtrr"] == ["UC", "WC", "WT", "WP"]
    assert (symbolic["before"]["memtype"], symbolic["before"]["mask"], symbolic["before"]["ipat"]) == (
        "guest_mtrr",
        None,
        0,
    )
    # By the manual's table: EPT type UC, WC, WT, WP, and the page's PAT type.
    assert symbolic["before"]["effective"] == {
        "UC": "UC",
        "UC-": ["UC", "WC"],
        "WC": "WC",
        "WT": ["UC", "WT"],
        "WP": ["UC", "WP"],
        "WB": ["UC", "WC", "WT", "WP"],
    }


def test_effective_types_of_odd_bytes() -> None:
    """A byte with a reserved type has none; one with stray bits has its type's: 0x06 is UC."""
    for byte in range(256):
        odd = byte >> 3 & 7 not in MTRR_TYPES
        assert all((kind is None) is odd for kind in by_pat(byte).values())
    assert by_pat(0x06) == by_pat(0x00)


@pytest.mark.parametrize(("after", "words"), [(0x30, "the one reachable input changes"), (0, "does not change")])
def test_one_input_is_no_plural(after: int, words: str) -> None:
    def always(byte: int) -> Kernel:
        return kernel_at((6, 10), RuleSet("x", "", (Rule("x", ALWAYS, Outcome(byte), ""),)), "x")

    assert words in sentence(diff(always(0), always(after)))
