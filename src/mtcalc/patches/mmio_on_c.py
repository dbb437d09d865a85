# SPDX-License-Identifier: GPL-2.0-only
"""Patches on a C file with the host-MMIO test, which in no tree is the file with the rules."""

from __future__ import annotations

from collections.abc import Sequence

from mtcalc.csource.cut import cut
from mtcalc.csource.mmio import TEST, mmio_test_of
from mtcalc.csource.mmio_kernel import TESTS, kernel_around_test
from mtcalc.patches.c_file import patch_c
from mtcalc.patches.hunks import hunk_name
from mtcalc.patches.known import changed_lines
from mtcalc.patches.lines import at_origin, in_origin, joined
from mtcalc.patches.mmio_test import FollowedTest, test_after
from mtcalc.patches.reached import functions_in, reached_from, words_by_function
from mtcalc.patches.records import Mail
from mtcalc.patches.result import CFile, NothingTouchedError
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError


def follow_on_file(mails: Sequence[Mail], file: str, source: CFile, kernel: Kernel | None) -> FollowedTest | None:
    """What patches do to the host-MMIO test of a C file; None where they leave it alone.

    `kernel`: the one around it; else the newest release with that test. Raises InputError as rules_from_patch() does.
    """
    if kernel is None:
        kernel = kernel_around_test(source.text, source.file)
    was = mmio_test_of(source.text, source.file, kernel.release)
    if was is None:
        return None
    try:
        patched = patch_c(mails, source)
    except NothingTouchedError:
        return None
    text = joined(patched.lines)
    if _cuts(source.text) == _cuts(text):
        return None
    try:
        found = test_after(text, file, kernel.release)
    except InputError as error:
        raise in_origin(error, patched.lines) from None
    if found is None:
        raise InputError(f"after the patch there is no {TEST}() in {source.file}", patched.mails[0].place)
    test = found.rules._replace(rules=at_origin(found.rules.rules, file, patched.lines))
    kernel = kernel._replace(mmio_test=was.rules, mmio_said=True)
    hunks = {hunk_name(item, hunk) for mail in mails for item in mail.files for hunk in item.hunks}
    taken = frozenset(hunks.difference(patched.left_aside))
    return FollowedTest(kernel, test, _touching(patched.mails, source.text, text), "", taken)


def _cuts(text: str) -> list[object]:
    raw = text.encode("utf-8", "surrogateescape")
    return [cut(raw, name) for name in TESTS]


def _touching(mails: Sequence[Mail], *sides: str) -> tuple[Mail, ...]:
    """Those of the mails that change a function of the test; all, where that can't be told."""
    names: set[str] = set()
    for text in sides:
        defined = words_by_function(functions_in(text.split("\n")))
        names = names.union(*(reached_from(name, defined) for name in TESTS if name in defined))
    found = tuple(
        mail
        for mail in mails
        if any(name in names for item in mail.files for hunk in item.hunks for name, _ in changed_lines(hunk))
    )
    return found or tuple(mails)
