# SPDX-License-Identifier: GPL-2.0-only
"""Expectations against answers: each key alone, what failed in value and name."""

from __future__ import annotations

from typing import Any

import pytest

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.expectations import Failure, check_expectations
from mtcalc.kvm.points import Expect
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.refs.resolve import resolve
from mtcalc.text.errors import Place
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import decode_registers

PLACE = Place("vm.yaml", 9, 5)
SLOTS = (Slot(0, 1 << 30, "ram"), Slot(1 << 30, 1 << 21, "blob", 1, flags=8))


def failures(gpa: int, pat: MemType | None = MemType.WC, rules: str = "slot-flag", **wanted: Any) -> list[Failure]:
    """What fails of one expectation."""
    evaluator = Evaluator(resolve(rules), Vm(), SLOTS)
    (verdict,) = check_expectations(evaluator, [Expect(gpa, pat, PLACE, **wanted)])
    assert verdict.answer == evaluator.page(gpa, pat)
    return list(verdict.failures)


RAM: dict[str, Any] = {
    "effective": MemType.WB,
    "ept": 0x70,
    "memtype": MemType.WB,
    "ipat": True,
    "level": 3,
    "guest_mtrr": MemType.WB,
    "rule": "coherent",
}
BLOB: dict[str, Any] = {
    "effective": MemType.WC,
    "ept": 0x30,
    "memtype": MemType.WB,
    "ipat": False,
    "level": 2,
    "guest_mtrr": MemType.WB,
    "rule": "slot-flag",
}


def test_what_hangs_on_bytes_of_kvms_own_is_unknown() -> None:
    """4.3 below 1M, with a pair 6: an entry there is, so 'none' would be wrong."""
    registers = {0x2FF: 0xC06, 0x20C: 0xC0000000, 0x20D: 0x3FFFC0000800}
    evaluator = Evaluator(resolve("4.3"), Vm(noncoherent_dma=True, mtrrs=decode_registers(registers, 46)), SLOTS)
    wanted: dict[str, Any] = {
        "effective": MemType.WC,
        "ept": 0x08,
        "memtype": MemType.UC,
        "ipat": False,
        "guest_mtrr": MemType.WC,
    }
    (verdict,) = check_expectations(evaluator, [Expect(0x1000, MemType.WC, PLACE, **wanted)])
    assert [(failure.key, failure.got) for failure in verdict.failures] == [
        (key, "unknown") for key in ("effective", "ept", "memtype", "ipat", "guest_mtrr")
    ]


def test_what_holds_has_no_failures() -> None:
    assert failures(0x1000, **RAM) == []
    assert failures(1 << 30, **BLOB) == []
    for key, value in RAM.items():
        assert failures(0x1000, **{key: value}) == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("effective", MemType.WC, "effective: wanted WC, got WB"),
        ("ept", 0x30, "ept: wanted 0x30 (WB), got 0x70 (WB, ignore PAT)"),
        ("memtype", MemType.UC, "memtype: wanted UC, got WB"),
        ("ipat", False, "ipat: wanted 0, got 1"),
        ("level", 1, "level: wanted 4K, got 1G"),
        ("guest_mtrr", MemType.WP, "guest_mtrr: wanted WP, got WB"),
        ("rule", "guest-mtrr", "rule: wanted guest-mtrr, got coherent"),
    ],
)
def test_one_wrong_key_is_the_one_failure(key: str, value: Any, message: str) -> None:
    (failure,) = failures(0x1000, **{**RAM, key: value})
    assert str(failure) == message


def test_an_address_in_no_slot_fails_every_key() -> None:
    found = failures(1 << 40, **RAM)
    assert [str(failure) for failure in found] == [
        "effective: wanted WB, got none",
        "ept: wanted 0x70 (WB, ignore PAT), got no EPT entry",
        "memtype: wanted WB, got none",
        "ipat: wanted 1, got none",
        "level: wanted 1G, got none",
        "guest_mtrr: wanted WB, got none",
        "rule: wanted coherent, got none",
    ]


def test_a_kernel_that_asks_no_mtrr_has_none() -> None:
    (failure,) = failures(0, rules="v6.16", guest_mtrr=MemType.WB)
    assert str(failure) == "guest_mtrr: wanted WB, got none"


def test_verdicts_come_in_order() -> None:
    evaluator = Evaluator(resolve("v6.7"), Vm(), SLOTS)
    expects = [Expect(gpa, None, PLACE, ept=byte) for gpa, byte in ((0, 0x70), (0x1000, 0x30), (1 << 30, 0x70))]
    verdicts = list(check_expectations(evaluator, expects))
    assert [verdict.expect for verdict in verdicts] == expects
    assert [bool(verdict.failures) for verdict in verdicts] == [False, True, False]
