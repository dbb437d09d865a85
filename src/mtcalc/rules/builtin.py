# SPDX-License-Identifier: GPL-2.0-only
"""The rule sets that come with the program: those of the releases, and the proposals."""

from __future__ import annotations

from mtcalc.kvm.release import newest
from mtcalc.rules.kernel import Kernel, kernel_at, with_read
from mtcalc.rules.proposals import PROPOSALS
from mtcalc.rules.releases import RELEASES, newest_with, release_at, titled


def built_in_names() -> tuple[str, ...]:
    """The names of all built-in rule sets, oldest release first, then the proposals."""
    releases = dict.fromkeys(row.rules.name for row in RELEASES)
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
    for row in RELEASES:
        if row.rules.name == name:
            return kernel_at(newest_with(row.rules), titled(row.rules), name)
    return None


def latest(ref: str = "latest") -> Kernel:
    """The newest release known."""
    return kernel_at(newest(), release_at(newest()).rules, ref)
