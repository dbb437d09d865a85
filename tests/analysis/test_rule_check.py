# SPDX-License-Identifier: GPL-2.0-only
"""`rules check` against brute force: rules that never match, gaps, and rules without effect."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from mtcalc.analysis.rule_check import Finding, Oddity, check_rules
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, holds
from mtcalc.rules.condition_parse import parse_condition
from mtcalc.rules.inputs import MMIO, Input
from mtcalc.rules.rule import Outcome, Rule, RuleSet, decide, ept, inputs_read, insert_after
from mtcalc.x86.memtype import MemType
from support.random_rules import ASSUMED, PLAIN, TYPED, rule_sets, states

POOL = (*PLAIN[:3], ASSUMED[0], TYPED[1])


def rules(*lines: tuple[str, str, MemType]) -> RuleSet:
    return RuleSet("x", "", tuple(Rule(name, parse_condition(when), ept(kind, 0), "") for name, when, kind in lines))


UC, WC, WB = MemType.UC, MemType.WC, MemType.WB

CASES = {
    "fine": (rules(("a", "mmio", UC), ("z", "always", WB)), []),
    "contradiction": (
        rules(("a", "mmio and not mmio", UC), ("z", "always", WB)),
        ["rule 'a' never matches: its condition contradicts itself"],
    ),
    "one type is not another": (
        rules(("a", "guest_mtrr WC and guest_mtrr WB", UC), ("z", "always", WB)),
        ["rule 'a' never matches: its condition contradicts itself"],
    ),
    "shadowed": (
        rules(("a", "mmio", UC), ("b", "mmio and cr0_cd", WC), ("z", "always", WB)),
        ["rule 'b' never matches: 'a' catches all of it before"],
    ),
    "shadowed by one of two": (
        rules(("a", "mmio", UC), ("b", "not mmio and cr0_cd", WC), ("c", "mmio and cr0_cd", WB), ("z", "always", WB)),
        ["rule 'c' never matches: 'a' catches all of it before"],
    ),
    "shadowed by two": (
        rules(("a", "mmio", UC), ("b", "not mmio and cr0_cd", WC), ("c", "cr0_cd", WB), ("z", "always", WB)),
        ["rule 'c' never matches: 'a' and 'b' catch all of it before"],
    ),
    "behind the end": (
        rules(("a", "mmio", UC), ("b", "always", WB), ("z", "always", WC)),
        ["rule 'z' never matches: 'a' and 'b' catch all of it before"],
    ),
    "redundant": (
        rules(("a", "mmio", WB), ("z", "always", WB)),
        ["rule 'a' changes nothing: without it 'z' says the same"],
    ),
    "redundant by two": (
        rules(
            ("b", "cr0_cd", UC),
            ("c", "mem_dma", UC),
            ("d", "not mem_dma and (cr0_cd or mmio)", UC),
            ("z", "always", WB),
        ),
        ["rule 'b' changes nothing: without it 'c' and 'd' say the same"],
    ),
    "gap": (
        rules(("a", "mmio", UC), ("b", "cr0_cd", WB)),
        ["no rule catches: not mmio and not cr0_cd (end the list with a rule without `when`)"],
    ),
    "two gaps": (
        rules(
            ("a", "mmio and cr0_cd or not mmio and not cr0_cd", UC),
        ),
        [
            "no rule catches: not mmio and cr0_cd (end the list with a rule without `when`)",
            "no rule catches: mmio and not cr0_cd (end the list with a rule without `when`)",
        ],
    ),
    "a gap of types": (
        rules(
            ("a", "guest_mtrr WB or guest_mtrr UC", UC),
        ),
        ["no rule catches: guest_mtrr WC|WT|WP (end the list with a rule without `when`)"],
    ),
    "a gap of all": (
        rules(
            ("a", "never", UC),
        ),
        [
            "rule 'a' never matches: its condition contradicts itself",
            "no rule catches: always (end the list with a rule without `when`)",
        ],
    ),
    "complete without a last rule": (rules(("a", "mmio", UC), ("b", "not mmio", WB)), []),
}


@pytest.mark.parametrize("case", CASES)
def test_findings(case: str) -> None:
    rule_set, messages = CASES[case]
    assert sorted(finding.message for finding in check_rules(rule_set)) == sorted(messages)


@pytest.mark.parametrize("name", built_in_names())
def test_built_in_sets_have_no_findings(name: str) -> None:
    kernel = built_in(name)
    assert kernel is not None
    assert check_rules(kernel.rules) == ()
    (*_, last) = kernel.rules.rules
    if len(kernel.rules.rules) > 1:
        open_end = check_rules(kernel.rules._replace(rules=kernel.rules.rules[:-1]))
        assert {finding.kind for finding in open_end} == {Oddity.UNCAUGHT}
    doubled = check_rules(kernel.rules._replace(rules=(*kernel.rules.rules, last._replace(id="again"))))
    assert [(finding.kind, finding.rules[0]) for finding in doubled] == [(Oddity.REDUNDANT, last.id)] * (
        doubled[0].kind is Oddity.REDUNDANT
    ) + [(Oddity.NEVER, "again")]


def byte(rule_set: RuleSet, facts: object) -> int | None:
    try:
        return decide(rule_set, facts)[1]  # type: ignore[arg-type]
    except ValueError:
        return None


@settings(max_examples=40, deadline=None)
@given(rule_sets(POOL, ends=False))
def test_findings_against_brute_force(rule_set: RuleSet) -> None:
    """Rules that can never match, inputs that no rule catches, rules that say what a later one says anyway."""
    everything = [facts for _, facts in states(inputs_read(rule_set))]
    findings = check_rules(rule_set)
    by_kind = {kind: [f for f in findings if f.kind is kind] for kind in Oddity}
    for at, rule in enumerate(rule_set.rules):
        earlier = rule_set.rules[:at]
        never = not any(
            holds(rule.when, facts) and not any(holds(r.when, facts) for r in earlier) for facts in everything
        )
        assert never == any(f.rules[0] == rule.id for f in by_kind[Oddity.NEVER])
        without = rule_set._replace(rules=(*earlier, *rule_set.rules[at + 1 :]))
        same = all(byte(without, facts) == byte(rule_set, facts) for facts in everything)
        assert (same and not never) == any(f.rules[0] == rule.id for f in by_kind[Oddity.REDUNDANT])
    gaps = any(byte(rule_set, facts) is None for facts in everything)
    assert gaps == bool(by_kind[Oddity.UNCAUGHT])
    check_examples(rule_set, findings)


def check_examples(rule_set: RuleSet, findings: tuple[Finding, ...]) -> None:
    whens: dict[str, Condition] = {rule.id: rule.when for rule in rule_set.rules}
    for finding in findings:
        if not finding.example:
            continue
        facts = next(f for values, f in states(inputs_read(rule_set)) if values == tuple(v for _, v in finding.example))
        if finding.kind is Oddity.UNCAUGHT:
            assert not any(holds(rule.when, facts) for rule in rule_set.rules)
        else:
            assert holds(whens[finding.rules[0]], facts)


def test_too_many_inputs_are_an_error() -> None:
    wide = And(tuple(Atom(Input("assume", f"f({n})")) for n in range(21)))
    with pytest.raises(ValueError, match="at most 1048576"):
        check_rules(RuleSet("x", "", (Rule("a", wide, ept(UC, 0), ""), Rule("z", ALWAYS, ept(WB, 0), ""))))


def test_a_byte_that_is_no_memory_type_is_found() -> None:
    rules = RuleSet("x", "", (Rule("slip", Atom(MMIO), Outcome(0x06), ""), Rule("rest", And(()), Outcome(0x30), "")))
    (finding,) = check_rules(rules)
    assert (finding.kind, finding.rules) == (Oddity.BYTE, ("slip",))
    assert finding.message == "rule 'slip' returns 0x06: UC, stray bits 0x06"


def test_a_rule_that_matches_only_where_the_kernel_cannot_get() -> None:
    latest = built_in("v6.16")
    assert latest is not None
    never = Rule("never", parse_condition("not self_snoop and not quirk IGNORE_GUEST_PAT"), ept(MemType.UC, 1), "")
    rules = latest.rules._replace(rules=insert_after(latest.rules.rules, "mmio", never))
    (finding,) = check_rules(rules, latest)
    assert (finding.kind, finding.rules) == (Oddity.NEVER, ("never",))
    assert finding.message == "rule 'never' matches only where this kernel cannot get"
    assert check_rules(rules) == ()
