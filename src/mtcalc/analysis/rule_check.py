# SPDX-License-Identifier: GPL-2.0-only
"""What is odd about a list of rules: rules that never match, inputs that none catches, rules without effect."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from mtcalc.analysis.diff import unreachable_set
from mtcalc.analysis.diff_words import when_text
from mtcalc.rules.cubes import Budget, cover
from mtcalc.rules.inputs import Input, Value
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.rule import RuleSet
from mtcalc.rules.truth import Space, condition_set, rule_space, values_at, verdicts, when_of
from mtcalc.x86.ept import odd_byte


class Oddity(Enum):
    """The kinds of finding."""

    NEVER = "never matches"
    UNCAUGHT = "not caught"
    REDUNDANT = "redundant"
    BYTE = "byte"


class Finding(NamedTuple):
    """One finding: the rule it is about first in `rules`, then others that take part; inputs that show it."""

    kind: Oddity
    rules: tuple[str, ...]
    message: str
    example: tuple[tuple[Input, Value], ...] = ()


def check_rules(rule_set: RuleSet, kernel: Kernel | None = None) -> tuple[Finding, ...]:
    """The findings over every combination of the inputs that the rules read, in the order of the rules.

    `kernel`: what it cannot reach does not count as a match. Raises ValueError where the combinations are too many.
    """
    space = rule_space(rule_set)
    beyond = unreachable_set(kernel, space) if kernel is not None else 0
    found = verdicts(rule_set, space)
    findings = []
    for at, rule in enumerate(rule_set.rules):
        own = condition_set(space, rule.when)
        if not own:
            what = f"rule '{rule.id}' never matches: its condition contradicts itself"
            findings.append(Finding(Oddity.NEVER, (rule.id,), what))
        elif not found.by_rule[at]:
            before = [r.id for r, here in zip(rule_set.rules, found.by_rule[:at], strict=False) if here & own]
            what = f"rule '{rule.id}' never matches: {_names(before)} {_verb(before, 'catch')} all of it before"
            example = _example(space, own)
            findings.append(Finding(Oddity.NEVER, (rule.id, *before), what, example))
        elif not found.by_rule[at] & ~beyond:
            what = f"rule '{rule.id}' matches only where this kernel cannot get"
            findings.append(Finding(Oddity.NEVER, (rule.id,), what, _example(space, found.by_rule[at])))
        else:
            without = rule_set._replace(rules=(*rule_set.rules[:at], *rule_set.rules[at + 1 :]))
            rest = verdicts(without, space)
            if rest.by_byte == found.by_byte:
                here = found.by_rule[at]
                later = [r.id for r, where in zip(without.rules[at:], rest.by_rule[at:], strict=True) if where & here]
                what = f"rule '{rule.id}' changes nothing: without it {_names(later)} {_verb(later, 'say')} the same"
                findings.append(Finding(Oddity.REDUNDANT, (rule.id, *later), what, _example(space, here)))
    for rule, here in zip(rule_set.rules, found.by_rule, strict=True):
        for byte, where in sorted(found.by_byte.items()):
            words = odd_byte(byte)
            if here & where and words is not None:
                what = f"rule '{rule.id}' returns {byte:#04x}: {words}"
                findings.append(Finding(Oddity.BYTE, (rule.id,), what, _example(space, here & where)))
    findings += [Finding(Oddity.NEVER, (), f"never reached: `{text}`") for text in rule_set.unreached]
    if found.uncaught:
        for gap in cover(found.uncaught, [(found.uncaught, found.uncaught)], space.sizes, Budget()):
            what = f"no rule catches: {when_text(when_of(space, gap.cube))} (end the list with a rule without `when`)"
            findings.append(Finding(Oddity.UNCAUGHT, (), what, _example(space, gap.covers)))
    return tuple(findings)


def _example(space: Space, where: int) -> tuple[tuple[Input, Value], ...]:
    first = (where & -where).bit_length() - 1
    return tuple(zip(space.inputs, values_at(space, first), strict=True))


def _names(ids: list[str]) -> str:
    quoted = [f"'{name}'" for name in ids]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}" if len(quoted) > 1 else quoted[0]


def _verb(ids: list[str], verb: str) -> str:
    if len(ids) > 1:
        return verb
    return f"{verb}es" if verb.endswith("ch") else f"{verb}s"
