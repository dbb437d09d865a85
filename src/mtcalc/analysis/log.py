# SPDX-License-Identifier: GPL-2.0-only
"""What a commit changed in a function that is read as rules: how many inputs, and that in a line."""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.analysis.diff import diff
from mtcalc.analysis.diff_words import sentence
from mtcalc.kvm.flags import QUIRKS
from mtcalc.rules.builtin import built_in, built_in_names, latest
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.mmio import MMIO_RULES
from mtcalc.rules.rule import RuleSet
from mtcalc.rules.truth import same_bytes


class LogState(NamedTuple):
    """A function before or after a commit: whether it is there, and its rules, or why they can't be told."""

    there: bool
    name: str = ""  # what it is called there
    kernel: Kernel | None = None
    why: str = ""


class LogChange(NamedTuple):
    """What a commit did to a function. `changed` counts inputs as diff() does."""

    first: bool  # the function is there for the first time
    changed: int
    text: str


def test_kernel(test: RuleSet) -> Kernel:
    """The host-MMIO test as a kernel whose rules it is, for comparing; no state is out of its reach."""
    return latest("")._replace(rules=test, quirks=tuple(QUIRKS), unreachable=(), mmio_said=False)


def change(before: LogState, after: LogState, same_text: bool = False) -> LogChange | None:
    """What became of a function; None where only what stands around it changed, and no byte did.

    What can't be read as rules is said, and counts as no change.
    """
    if not after.there:
        return LogChange(False, 0, f"{before.name}() is gone")
    name = f"{after.name}()"
    if not before.there:
        return LogChange(True, 0, f"{name} appears{_as(after)}" if after.kernel else f"{name} appears: {after.why}")
    if before.kernel is None or after.kernel is None:
        if same_text:
            return None
        if after.kernel is None:
            return LogChange(False, 0, f"the text of {name} changes: {after.why}")
        return LogChange(False, 0, f"{name} is read from here on{_as(after)}; before: {before.why}")
    try:
        found = diff(before.kernel, after.kernel)
    except ValueError as error:
        return LogChange(False, 0, f"the text of {name} changes; the rules can't be compared: {error}")
    if found.changed:
        return LogChange(False, found.changed_count, f"{sentence(found)}{_as(after, '; now')}")
    if before.name != after.name:
        return LogChange(False, 0, f"{before.name}() becomes {name}, and no byte changes")
    return None if same_text else LogChange(False, 0, f"the text of {name} changes, and no byte does")


def _as(state: LogState, word: str = ",") -> str:
    """The built-in rule sets that return the same bytes."""
    if state.kernel is None:
        return ""
    rules = state.kernel.rules
    known = [built_in(name) for name in built_in_names()]
    tests = [test.title.partition(":")[0] for test in MMIO_RULES.values() if same_bytes(test, rules)]
    names = [kernel.rules.name for kernel in known if kernel is not None and same_bytes(kernel.rules, rules)]
    if tests:
        return f"{word} the test of {' and '.join(tests)}"
    return f"{word} as {', '.join(names)}" if names else ""
