# SPDX-License-Identifier: GPL-2.0-only
"""Rule files: exact round trips, variations, and errors as the golden cases in tests/data/bad_rules have them."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.kvm.notes import Note
from mtcalc.kvm.release import newest
from mtcalc.kvm.versions import MmioTest, MtrrWalk
from mtcalc.refs.resolve import resolve
from mtcalc.rulefile import load as rulefile
from mtcalc.rulefile.load import load_rule_file, write_rule_file
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.condition import And, Atom, Condition, Not
from mtcalc.rules.inputs import CR0_CD, GUEST_MTRR, MMIO, NONCOHERENT_DMA
from mtcalc.rules.kernel import Kernel, Unreachable, asks_guest_mtrr, kernel_at
from mtcalc.rules.mmio import MMIO_RULES
from mtcalc.rules.proposals import SLOT_FLAG
from mtcalc.rules.releases import V6_7, V6_11, V6_16
from mtcalc.rules.rule import RuleSet, inputs_read
from mtcalc.text.errors import InputError
from support.notes import noted
from support.random_rules import PLAIN, conditions, rule_sets

BAD = Path(__file__).parent.parent / "data" / "bad_rules"

RELEASES = ((2, 6, 28), (3, 12), (4, 2, 3), (6, 7), (6, 11, -1), (6, 12, 78), newest())


def read(text: str) -> Kernel:
    return load_rule_file(text, "rules.yaml", resolve)


@pytest.mark.parametrize("name", built_in_names())
def test_every_built_in_set_reads_back_equal(name: str) -> None:
    """Round trip is exact for every built-in set: the rules and the whole behaviour around them."""
    kernel = built_in(name)
    assert kernel is not None
    assert read(write_rule_file(kernel)) == kernel._replace(ref="rules.yaml")


@settings(max_examples=30, deadline=None)
@given(rule_sets(), st.sampled_from(RELEASES))
def test_every_rule_set_reads_back_equal(rule_set: RuleSet, release: tuple[int, ...]) -> None:
    """What `rules show -o yaml` writes is read back as it was, whatever texts and bytes it holds."""
    kernel = kernel_at(release, rule_set, "rules.yaml")
    assume(asks_guest_mtrr(kernel) or GUEST_MTRR not in inputs_read(rule_set))  # such a file is refused
    back = load_rule_file(write_rule_file(kernel), "rules.yaml", resolve, strict=False)
    assert back == kernel


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(MtrrWalk),
    st.sampled_from(MmioTest),
    st.one_of(st.none(), conditions([item for item in PLAIN if item.name not in ("mmio", "slot_flag")])),
    st.integers(0, 15),
    st.sampled_from([(), ("CD_NW_CLEARED",), ("IGNORE_GUEST_PAT",), ("CD_NW_CLEARED", "IGNORE_GUEST_PAT")]),
    st.lists(st.builds(Unreachable, conditions(PLAIN), st.text("ab: #'\"\\", min_size=1)), max_size=2),
    st.tuples(st.text("xy-# "), st.lists(st.text("xy: "), max_size=2)),
)
def test_every_behaviour_reads_back_equal(
    walk: MtrrWalk,
    test: MmioTest,
    split: Condition | None,
    flags: int,
    quirks: tuple[str, ...],
    unreachable: list[Unreachable],
    said: tuple[str, list[str]],
) -> None:
    kernel = kernel_at((6, 7), V6_16._replace(name="x"), "rules.yaml")._replace(
        mtrr_walk=walk,
        mmio_test=MMIO_RULES[test],
        split_when=None if split is not None and not getattr(split, "of", True) else split,
        slot_flags=flags,
        quirks=quirks,
        unreachable=tuple(unreachable),
        proposal=said[0],
        notes=tuple(Note("rule-file", text) for text in said[1]),
    )
    assert read(write_rule_file(kernel)) == kernel


def test_the_example_of_the_module_is_one() -> None:
    doc = inspect.cleandoc(rulefile.__doc__ or "")  # 3.13 takes the indentation off itself
    first, second = (part for part in doc.split("\n\n") if part.startswith("name:"))
    whole = read(first)
    assert [rule.id for rule in whole.rules.rules] == ["mmio", "rest"]
    varied = read(second)
    assert [rule.id for rule in varied.rules.rules] == ["mmio", "slot-flag", "coherent", "cd", "guest-mtrr"]


def test_the_proposal_as_a_variation_of_v6_7() -> None:
    """The default rule set is v6.7's list with one rule inserted after the first."""
    rule = SLOT_FLAG.rules.rules[1]
    text = f"""\
base: v6.7
changes:
  - insert_after: mmio
    id: slot-flag
    when: slot_flag NON_COHERENT_DMA
    ept: {{memtype: WB, ipat: 0}}
    why: "{rule.why}"
    source: "{rule.source}"
"""
    kernel = load_rule_file(text, "dir/idea.yaml", resolve)
    assert kernel.rules.rules == SLOT_FLAG.rules.rules
    assert (kernel.ref, kernel.rules.name, kernel.rules.title) == ("dir/idea.yaml", "idea", "variation of v6.7")
    base = resolve("v6.7")
    # The behaviour of the base, and a slot flag that the rules name is accepted.
    assert kernel.slot_flags == base.slot_flags | SLOT_FLAGS["NON_COHERENT_DMA"]
    assert kernel._replace(ref=base.ref, rules=base.rules, slot_flags=base.slot_flags) == base


ONE = "ept: {memtype: WB, ipat: 1}"


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        (f"[{{insert_before: mmio, id: a, when: cr0_cd, {ONE}}}]", "a mmio coherent guest-pat"),
        (f"[{{insert_after: mmio, id: a, when: cr0_cd, {ONE}}}]", "mmio a coherent guest-pat"),
        (f"[{{replace: mmio, when: cr0_cd, {ONE}}}]", "mmio coherent guest-pat"),
        (f"[{{replace: mmio, id: b, when: cr0_cd, {ONE}}}]", "b coherent guest-pat"),
        ("[{remove: mmio}]", "coherent guest-pat"),
        (
            f"[{{insert_after: coherent, rules: [{{id: a, when: cr0_cd, {ONE}}}, {{id: b, when: mmio, {ONE}}}]}}]",
            "mmio coherent a b guest-pat",
        ),
        (f"[{{replace: mmio, rules: [{{id: a, {ONE}}}, {{id: mmio, {ONE}}}]}}]", "a mmio coherent guest-pat"),
        (
            f"[{{insert_after: mmio, id: a, when: cr0_cd, {ONE}}}, {{insert_after: a, id: b, {ONE}}}, {{remove: a}}]",
            "mmio b coherent guest-pat",
        ),
    ],
)
def test_changes_apply_in_order(changes: str, ids: str) -> None:
    kernel = read(f"base: v6.11\nchanges: {changes}\n")
    assert " ".join(rule.id for rule in kernel.rules.rules) == ids
    kept = [rule for rule in kernel.rules.rules if rule in V6_11.rules]
    assert kept == [rule for rule in V6_11.rules if rule in kernel.rules.rules]


def test_a_variation_of_a_file() -> None:
    """The base is any REF, and the caller finds it."""
    first = read(f"kernel: 5.15\nrules: [{{id: a, {ONE}}}]\n")
    text = (
        "base: first.yaml\nname: second\nchanges: [{insert_before: a, id: b, when: mmio, ept: {memtype: UC, ipat: 0}}]"
    )
    second = load_rule_file(text, "second.yaml", {"first.yaml": first}.__getitem__)
    assert [rule.id for rule in second.rules.rules] == ["b", "a"]
    assert second.release == (5, 15)


def test_the_behaviour_around() -> None:
    """That of its `kernel:` key, else of its base, else by what the rules ask for."""
    rest = f"rules: [{{id: a, {ONE}}}]\n"
    asks = "rules: [{id: a, ept: {memtype: guest_mtrr, ipat: 0}}]\n"
    assert read(rest).release == newest()
    assert read(asks).release == (6, 10)
    assert read(f"kernel: 6.10\n{rest}").release == (6, 10)
    assert read(f"kernel: 6.1\n{rest}").release == (6, 1)
    assert read(f"kernel: v4.2\n{rest}").mtrr_walk is MtrrWalk.V4_2
    assert read(f"kernel: 6.12\nmtrr_walk: v4.4\n{asks}").mtrr_walk is MtrrWalk.V4_4
    assert read("base: v6.7\nkernel: 5.15\nchanges: [{remove: cd}]").release == (5, 15)
    assert read(f"kernel: 6.7\nsplit_when: never\n{rest}").split_when is None
    assert noted(read(f"kernel: 6.10.3-vendor\n{rest}").notes) == ()
    quirk = read(f"kernel: 5.15\nrules: [{{id: q, when: quirk IGNORE_GUEST_PAT, {ONE}}}, {{id: a, {ONE}}}]\n")
    assert quirk.quirks == ("CD_NW_CLEARED", "IGNORE_GUEST_PAT")


def test_without_strict_a_list_that_does_not_end_is_taken() -> None:
    text = f"rules: [{{id: a, when: mmio, {ONE}}}]"
    with pytest.raises(InputError, match="no rule matches where mmio is no"):
        read(text)
    kernel = load_rule_file(text, "rules.yaml", resolve, strict=False)
    assert [rule.when for rule in kernel.rules.rules] == [Atom(MMIO)]
    # It is the inputs that count, not the look of the last rule.
    whole = read(f"rules: [{{id: a, when: mmio or cr0_cd, {ONE}}}, {{id: b, when: not mmio, {ONE}}}, {{id: c, {ONE}}}]")
    assert read(write_rule_file(whole._replace(rules=whole.rules._replace(rules=whole.rules.rules[:2]))))


def test_json_is_yaml() -> None:
    text = '{"kernel": "6.10", "rules": [{"id": "a", "when": "not mmio and cr0_cd", "ept": {"byte": "0x06"}}]}'
    rules = load_rule_file(text, "rules.yaml", resolve, strict=False).rules.rules
    assert (rules[0].when, rules[0].then.const) == (And((Not(Atom(MMIO)), Atom(CR0_CD))), 6)


@pytest.mark.parametrize("case", sorted(BAD.glob("*.txt")), ids=lambda path: path.stem)
def test_bad_rule_files(case: Path) -> None:
    """An error shows the place: FILE:LINE:COLUMN, what is wrong, what would be right, the line and a caret."""
    text, wanted = case.read_text().split("%%%%\n")
    with pytest.raises(InputError) as caught:
        read(text)
    assert f"{caught.value}\n" == wanted


def test_there_are_bad_rule_files() -> None:
    assert len(list(BAD.glob("*.txt"))) >= 60


def test_an_error_in_the_base_keeps_its_own_place() -> None:
    def broken(ref: str) -> Kernel:
        return load_rule_file("rules: []", ref, resolve)

    with pytest.raises(InputError) as caught:
        load_rule_file("base: other.yaml\nchanges: [{remove: a}]", "rules.yaml", broken)
    assert str(caught.value).startswith("other.yaml:1:8: no rules ")


def test_the_file_says_what_it_can_hold() -> None:
    """The written file begins with a comment that a person can work from."""
    text = write_rule_file(kernel_at((6, 10), V6_7, "x"))
    header = [line for line in text.splitlines() if line.startswith("#")]
    for word in ("mmio", "noncoherent_dma", "mem_dma", "cr0_cd", "self_snoop", "quirk", "slot_flag", "guest_mtrr"):
        assert any(word in line for line in header)
    assert all(len(line) <= 120 for line in header)
    assert "    when: not noncoherent_dma\n" in text
    assert Not(Atom(NONCOHERENT_DMA)) == V6_7.rules[1].when
