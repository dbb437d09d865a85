# SPDX-License-Identifier: GPL-2.0-only
"""Quirks by number, name and release, against a second table; the states that a kernel starts with and reaches."""

from __future__ import annotations

import json

import pytest

from mtcalc.analysis.diff import diff
from mtcalc.kvm.flags import ALL_QUIRK_BITS, QUIRKS, parse_quirk
from mtcalc.kvm.quirks import QUIRK_SPANS, has_quirk, known_quirks, off_at_start
from mtcalc.refs.names import parse_release
from mtcalc.refs.resolve import resolve
from mtcalc.rules.condition import holds
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import from_the_start, unknown_inputs
from support.notes import noted
from support.program import quick

# bit, name, releases without, releases with
TABLE = [
    (0, "LINT0_REENABLED", "2.6.28 4.1", "4.2 6.12.0 7.3"),
    (1, "CD_NW_CLEARED", "3.19 4.1.52", "4.2 4.2.1 6.15 7.3"),
    (2, "LAPIC_MMIO_HOLE", "4.2 4.17", "4.19 7.3"),
    (3, "OUT_7E_INC_RIP", "5.0", "5.2 7.3"),
    (4, "MISC_ENABLE_NO_MWAIT", "5.2", "5.3 7.3"),
    (5, "FIX_HYPERCALL_INSN", "5.18", "5.19 7.3"),
    (6, "MWAIT_NEVER_UD_FAULTS", "5.19", "6.0 7.3"),
    (7, "SLOT_ZAP_ALL", "6.11", "6.12 6.12.117 6.13"),
    (8, "STUFF_FEATURE_MSRS", "6.11 6.12.0 6.12.77", "6.12.117 6.13 7.3"),
    (9, "IGNORE_GUEST_PAT", "6.11 6.12.77 6.13 6.14 6.15.11", "6.12.78 6.12.200 6.16 7.3"),
    (10, "VMCS12_ALLOW_FREEZE_IN_SMM", "6.12.0 6.13 6.19", "6.12.117 7.1 7.3"),
    (11, "NESTED_SVM_SHARED_PAT", "6.12.200 7.1", "7.2 7.3"),
]


def version(text: str) -> tuple[int, ...]:
    found = parse_release(text)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(("bit", "name", "without", "having"), TABLE)
def test_every_quirk_by_bit_name_and_release(bit: int, name: str, without: str, having: str) -> None:
    for word in (name, name.lower().replace("_", "-"), f"KVM_X86_QUIRK_{name}", str(1 << bit), hex(1 << bit)):
        assert parse_quirk(word) == 1 << bit
    assert not any(has_quirk(name, version(release)) for release in without.split())
    assert all(has_quirk(name, version(release)) for release in having.split())


def test_the_tables_hold_the_same_quirks() -> None:
    assert list(QUIRK_SPANS) == list(ALL_QUIRK_BITS) == [name for _, name, _, _ in TABLE]
    assert {name: ALL_QUIRK_BITS[name] for name in QUIRKS} == QUIRKS


def test_the_first_name_is_the_quirk() -> None:
    for word in ("EPT_IGNORE_GUEST_PAT", "ept-ignore-guest-pat", "KVM_X86_QUIRK_EPT_IGNORE_GUEST_PAT"):
        assert parse_quirk(word) == 0x200


@pytest.mark.parametrize(
    ("release", "off"),
    [
        ("4.1", 0),
        ("4.2", 0),
        ("6.12.77", 0),
        ("6.12.78", 2),
        ("6.12.200", 2),
        ("6.13", 0),
        ("6.15.11", 0),
        ("6.16", 2),
        ("7.3", 2),
    ],
)
def test_what_is_off_when_a_vm_starts(release: str, off: int) -> None:
    """On Intel CD_NW_CLEARED, from 6.16 and 6.12.78 on; then nothing turns it on."""
    kernel = resolve(release)
    assert off_at_start(kernel.release) == kernel.quirks_off == off
    assert from_the_start(kernel, Facts()).disabled_quirks == off
    on = Facts(disabled_quirks=0)
    assert any(holds(state.when, on) for state in kernel.unreachable) is bool(off)
    (answer, *_) = quick("lookup", "-r", release, "-o", "json").json
    assert answer["inputs"]["quirks"] == {name: not off & bit for name, bit in QUIRKS.items()}
    assert not any("cannot get here" in note for note in answer["notes"])


def test_eval_starts_a_vm_as_its_kernel_does() -> None:
    text = "vm: {disabled_quirks: [SLOT_ZAP_ALL]}\nmemslots: [{gpa: 0, size: 1G}]\n"
    for ref, in_force in (("6.15", True), ("6.16", False), ("6.12.78", False)):
        (answer,) = json.loads(quick("eval", "-", "-r", ref, "-o", "json", stdin=text).out)["results"]
        assert answer["inputs"]["quirks"]["CD_NW_CLEARED"] is in_force
        assert "no memory type hangs on quirk SLOT_ZAP_ALL" in answer["notes"]


def test_quirks_that_a_release_lacks_or_that_do_not_matter_are_noted() -> None:
    every = sum(ALL_QUIRK_BITS.values())
    assert noted(unknown_inputs(resolve("7.3"), Facts(disabled_quirks=every))) == (
        "no memory type hangs on quirk " + ", ".join(name for name in ALL_QUIRK_BITS if name not in QUIRKS),
    )
    notes = noted(unknown_inputs(resolve("6.1"), Facts(disabled_quirks=0x281)))
    assert notes == (
        "this kernel has no quirk SLOT_ZAP_ALL (first in 6.12): disabling it does nothing here",
        "this kernel has no quirk IGNORE_GUEST_PAT: disabling it does nothing here",
        "no memory type hangs on quirk LINT0_REENABLED",
    )
    assert known_quirks((4, 1)) == ()


def test_diff_leaves_out_what_neither_side_reaches() -> None:
    """CD_NW_CLEARED in force beside a disabled IGNORE_GUEST_PAT: 6.15 lacks the one, 6.16 turned off the other."""
    found = diff(resolve("6.10"), resolve("6.16"))
    assert {item.arg for item in found.inputs if item.name == "quirk"} == {"CD_NW_CLEARED", "IGNORE_GUEST_PAT"}
    for change in found.changes:
        values = dict(zip(map(str, found.inputs), change.values, strict=True))
        assert values["quirk IGNORE_GUEST_PAT"] or not values["quirk CD_NW_CLEARED"]
