# SPDX-License-Identifier: GPL-2.0-only
"""What patches come to: the kernels before and after them, or that they touch no rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from mtcalc.csource.predicates import FUNCTION
from mtcalc.kvm.notes import Note
from mtcalc.patches.known import taken_as_before
from mtcalc.patches.records import Mail
from mtcalc.rules.kernel import Kernel, with_read
from mtcalc.rules.rule import Rule, RuleSet
from mtcalc.text.errors import InputError


class NothingTouchedError(InputError):
    """Patches that leave the rules as they are; `mails` are they, `day` is theirs."""

    def __init__(self, mails: Sequence[Mail], base: str | None, asked: Sequence[str] = (), why: str = "") -> None:
        what = f"the patch touches no rule ({FUNCTION}() and what it calls stay as they are)"
        if asked:
            what = f"the patch touches no rule itself ({taken_as_before(asked, why)})"
        super().__init__(what, mails[0].place)
        self.mails = tuple(mails)
        self.base = base
        self.asked = tuple(asked)  # what the rules ask by name, and the patches change in a way not followed
        self.why = why  # why it is not, where that is known


class CFile(NamedTuple):
    """A C file to apply a patch to."""

    text: str
    file: str
    around: Kernel | None = None  # the kernel around it, where somebody named one
    test: tuple[str, str] | None = None  # text and name of the file with the host-MMIO test, where it is another


class PatchedRules(NamedTuple):
    """A patch's effect: the kernels before and after it."""

    before: Kernel
    after: Kernel
    mails: tuple[Mail, ...]  # those that touch the function
    left_aside: tuple[str, ...]  # hunks elsewhere, as 'path: section'
    choice_note: str | None  # which base was taken and why, where nobody named one
    date: date | None
    one_vcpu: tuple[str, ...] = ()  # where the new code takes one vCPU's state for all
    unknown: tuple[str, ...] = ()  # what rules ask by name, and the patches change in a way that is not followed
    test_followed: bool = False  # they touch the host-MMIO test, which `before` and `after` have


def with_known(after: Kernel, names: Sequence[str], why: str = "") -> Kernel:
    """The kernel after patches, with a note on what they change and it asks by name."""
    if not names:
        return after
    return after._replace(notes=(*after.notes, Note("taken-as-before", f"the patch: {taken_as_before(names, why)}")))


def kernel_after(before: Kernel, rules: RuleSet, file: str, mails: Sequence[Mail]) -> Kernel:
    """The kernel with the new rules: its base's, and it knows the slot flags and quirks that they read."""
    subject = mails[0].subject if mails else ""
    title = f"{before.rules.name} with {subject or file}"
    after = before._replace(
        ref=file,
        rules=rules._replace(name=_short_name(file), title=title),
        proposal=f"patch on top of {before.ref}",
        default=False,
    )
    return with_read(after)


def _short_name(file: str) -> str:
    """A file's name without its folder; that of a pipe is its number, which says nothing alone."""
    return file if file.startswith("/dev/") else re.split(r"[/\\]", file)[-1]


def source_line(rule: Rule, file: str) -> int:
    """The line that rules_from_c() found a rule in; 0 where it names none."""
    found = re.match(re.escape(file) + r":(\d{1,9})\b", rule.source)
    return int(found[1]) if found else 0
