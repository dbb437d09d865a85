# SPDX-License-Identifier: GPL-2.0-only
"""One changed state of a difference: which to show, and which rule decides it."""

from __future__ import annotations

from mtcalc.analysis.diff import Change, Diff
from mtcalc.rules.inputs import Facts, value_of, with_value
from mtcalc.rules.rule import Rule, decide

_PLAIN = Facts()


def plainest(found: Diff) -> Change | None:
    """The change with the fewest inputs that are not as a plain VM has them; None where no byte changes."""
    return min(found.changes, key=lambda change: _unusual(found, change), default=None)


def _unusual(found: Diff, change: Change) -> int:
    return sum(
        value is not False if item.kind.text else value != value_of(item, _PLAIN)
        for item, value in zip(found.inputs, change.values, strict=True)
    )


def deciding_rule(found: Diff, change: Change) -> Rule:
    """The rule that returns the byte of a change afterwards."""
    facts = _PLAIN
    for item, value in zip(found.inputs, change.values, strict=True):
        facts = with_value(facts, item, value)
    return decide(found.after.rules, facts)[0]
