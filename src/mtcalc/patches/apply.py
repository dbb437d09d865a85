# SPDX-License-Identifier: GPL-2.0-only
"""Patches to rules: the kernels before and after them, on a C file, on a rule set named or on the one that they fit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from mtcalc.csource.mmio import TEST
from mtcalc.csource.source import rules_from_c
from mtcalc.patches.anew import check_names
from mtcalc.patches.choose import choose_base, fit_base
from mtcalc.patches.fit import left_aside, moved, placed
from mtcalc.patches.hunks import holds_function, prepare
from mtcalc.patches.known import known_changes, not_followed
from mtcalc.patches.meant import meant
from mtcalc.patches.mmio_test import FollowedTest, UnfollowedTest, follow_test, test_alone, with_followed
from mtcalc.patches.on_c_file import rules_on_c_file
from mtcalc.patches.reached import one_vcpu
from mtcalc.patches.records import Mail
from mtcalc.patches.result import CFile, NothingTouchedError, PatchedRules, kernel_after
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError


def rules_from_patch(mails: Sequence[Mail], file: str, base: Kernel | CFile | None = None) -> PatchedRules:
    """The rules before and after the patches, on a base or on the built-in rule set they fit.

    Without a base: of the built-in rule sets that fit, the newest that was in mainline at the mail's date, or the
    newest at all where it bears none. Raises NothingTouchedError where no rule is touched; InputError: the patches
    do not fit or are applied already, are unreadable, or leave code that is no rule set.
    """
    return rules_and_order(mails, file, base)[0]


def rules_and_order(
    mails: Sequence[Mail], file: str, base: Kernel | CFile | None = None
) -> tuple[PatchedRules, Sequence[Mail]]:
    """As rules_from_patch(), and the patches in the order in which they were applied."""
    try:
        return rules_in_order(mails, file, base), mails
    except NothingTouchedError:
        raise
    except InputError as error:
        if len(mails) < 2 or not all(mail.commit for mail in mails):
            raise
        # Of `git log` it is not known for sure at which end it begins.
        try:
            return rules_in_order(mails[::-1], file, base), mails[::-1]
        except NothingTouchedError:
            raise
        except InputError:
            raise error from None


def rules_in_order(mails: Sequence[Mail], file: str, base: Kernel | CFile | None) -> PatchedRules:
    """As rules_from_patch(), the patches in this order and no other."""
    check_names(mails)
    mails, quoted = meant(mails)
    known = known_changes(mails)
    telling = [mail for mail in mails if _ours(mail)] or [change.mail for change in known] or mails
    day = next((mail.date for mail in telling if mail.date), None)
    if isinstance(base, CFile):
        return rules_on_c_file(mails, file, base, day)
    patches = prepare(mails, known=known)
    named = base is not None
    note = None
    try:
        if base is None:
            base, fitted, note = choose_base(patches, day)
        else:
            fitted = fit_base(patches, base)
    except NothingTouchedError as nothing:
        return test_alone(nothing, mails, file, follow_test(mails, file, day, base, named), day)
    if fitted.broken:
        raise fitted.broken
    try:
        rules = rules_from_c(fitted.written.text, file)
    except InputError as error:
        raise moved(error, fitted) from None
    rules = rules._replace(rules=tuple(placed(rule, base.rules, fitted, file) for rule in rules.rules))
    test = _test_or_why(mails, file, day, base, named)
    if isinstance(test, FollowedTest):
        base = test.base
        note = f"{note}; {test.note}" if note and test.note else note
    after = kernel_after(base, rules, file, fitted.mails)
    left = (*left_aside(patches, fitted.named), *quoted)
    asks, unknown = one_vcpu("", fitted.written.text), tuple(not_followed(patches, [fitted.written.text]))
    result = PatchedRules(base, after, fitted.mails, left, note, day, asks, unknown)
    return with_followed(result, mails, test)


def _test_or_why(
    mails: Sequence[Mail], file: str, day: date | None, base: Kernel, named: bool
) -> FollowedTest | UnfollowedTest | None:
    """follow_test(), for patches whose rules are read: a test that is not understood stands in no one's way."""
    try:
        return follow_test(mails, file, day, base, named)
    except InputError as error:
        return UnfollowedTest((TEST,), f"not read: {error.message}")


def _ours(mail: Mail) -> bool:
    return any(holds_function(item) for item in mail.files)
