# SPDX-License-Identifier: GPL-2.0-only
"""A decision with its trace: which rules were passed over, and why."""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.rules.condition import holds, reasons
from mtcalc.rules.inputs import Facts, Input, Value
from mtcalc.rules.rule import Rule, RuleSet, decide


class RuleStep(NamedTuple):
    """One rule looked at: whether it matched, and the inputs that decided that."""

    rule: Rule
    matched: bool
    because: tuple[tuple[Input, Value], ...]


class Decision(NamedTuple):
    """The EPT byte, the rule that gave it, and the rules passed over before."""

    byte: int
    rule: Rule
    trace: tuple[RuleStep, ...]


def trace(rule_set: RuleSet, facts: Facts) -> Decision:
    """As decide(), with every rule that was looked at and why it was passed over."""
    rule, byte = decide(rule_set, facts)
    steps = []
    for seen in rule_set.rules:
        matched = holds(seen.when, facts)
        steps.append(RuleStep(seen, matched, reasons(seen.when, facts)))
        if matched:
            break
    return Decision(byte, rule, tuple(steps))
