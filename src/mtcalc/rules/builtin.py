# SPDX-License-Identifier: GPL-2.0-only
"""The rule sets that come with the program: those of the releases, and the proposals."""

from __future__ import annotations

from mtcalc.rules.kernel import NEWEST, Kernel, Version, kernel_at, since, with_read
from mtcalc.rules.proposals import PROPOSALS
from mtcalc.rules.releases import RELEASE_RULES
from mtcalc.rules.rule import RuleSet


def built_in_names() -> tuple[str, ...]:
    """The names of all built-in rule sets, oldest release first, then the proposals."""
    releases = dict.fromkeys(rules.name for _, rules, _ in RELEASE_RULES)
    return (*releases, *(proposal.rules.name for proposal in PROPOSALS))


def built_in(name: str) -> Kernel | None:
    """A built-in rule set by name, with the behaviour of the newest release that has it; None if unknown."""
    for proposal in PROPOSALS:
        if proposal.rules.name == name:
            kernel = kernel_at(
                proposal.release,
                proposal.rules,
                name,
                proposal=proposal.what,
                extra_slot_flags=proposal.slot_flags,
            )
            return with_read(kernel)
    for _, rules, newest in RELEASE_RULES:
        if rules.name == name:
            return kernel_at(newest, rules, name)
    return None


def release_rules(release: Version) -> RuleSet:
    """The rules of a release, 2.6.28 to NEWEST."""
    return since([(key, rules) for key, rules, _ in RELEASE_RULES], release)


def latest(ref: str = "latest") -> Kernel:
    """The newest release known."""
    return kernel_at(NEWEST, release_rules(NEWEST), ref)
