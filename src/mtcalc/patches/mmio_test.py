# SPDX-License-Identifier: GPL-2.0-only
"""Patches to the host-MMIO test, kvm_is_mmio_pfn() and its names: which host pages become or stop being MMIO.

As patches to the rules are, they are followed on the test as mtcalc writes it, of the release that is named or of
one that they fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from mtcalc.csource.mmio import INNER, RESERVED_TEST, TEST, ReadTest, mmio_test_of
from mtcalc.csource.mmio_writer import mmio_texts
from mtcalc.kvm.history import MMIO_TESTS, MMIO_TESTS_MAINLINE, row_at
from mtcalc.kvm.release import before, sort_key
from mtcalc.patches.choose import fit_one_of
from mtcalc.patches.fit import Fitted, Misfit, moved, placed
from mtcalc.patches.hunks import HOST_MMIO, Prepared, hunk_name, prepare
from mtcalc.patches.known import changed_lines
from mtcalc.patches.pieces import comments_only
from mtcalc.patches.records import Mail
from mtcalc.patches.result import NothingTouchedError, PatchedRules, kernel_after, with_known
from mtcalc.rules.kernel import Kernel, Version, kernel_at, version_text
from mtcalc.rules.releases import RELEASES, release_at
from mtcalc.rules.rule import RuleSet
from mtcalc.rules.truth import same_bytes
from mtcalc.text.errors import InputError

_RENAMED = next(row.since for row in MMIO_TESTS if row.source.startswith(RESERVED_TEST))


class FollowedTest(NamedTuple):
    """Patches to the host-MMIO test that are followed."""

    base: Kernel  # with the test before
    test: RuleSet  # after them
    mails: tuple[Mail, ...]  # those that touch it
    note: str  # which base was taken and why, where nobody named one
    taken: frozenset[str]  # hunks of them, as hunk_name() has it


class UnfollowedTest(NamedTuple):
    """Patches that change functions of the host-MMIO test and fit none, and why."""

    names: tuple[str, ...]
    why: str


def follow_test(
    mails: Sequence[Mail], file: str, day: date | None, base: Kernel | None, named: bool
) -> FollowedTest | UnfollowedTest | None:
    """What patches do to the host-MMIO test; None where they leave it alone.

    `base`: the kernel that the rules are on, whose own test it is if it was `named`; else a release with these rules.
    Without one, any release. Raises InputError for a test that can't be read after them.
    """
    try:
        patches = prepare(mails, subject=HOST_MMIO)
    except InputError as error:
        return UnfollowedTest((TEST,), f"not read: {error.message}")
    names = _changed(patches)
    guessed = () if names else _perhaps_changed(patches)
    if not (names or guessed) or (names and base is None and _is_the_later_function(names, day)):
        return None
    fits: dict[Version, tuple[Kernel, Fitted]] = {}
    furthest: Misfit | None = None
    for kernel in [base] if base is not None and named else _releases(base):
        try:
            result = fit_one_of(patches, mmio_texts(kernel.mmio_test, kernel.release))
        except ValueError as error:
            return UnfollowedTest(names, f"that of {kernel.ref} is not written as C: {error}") if names else None
        if isinstance(result, Fitted):
            fits[kernel.release] = kernel, result
        elif isinstance(result, Misfit) and (furthest is None or result.rank > furthest.rank):
            furthest = result
    if not fits and guessed:
        return None  # some other function's
    if not fits:
        if furthest is None and not (named and set(names) - {RESERVED_TEST}):
            return None
        whose = f"of {base.ref}" if base is not None and named else "of any release"
        reason = furthest.reason if furthest else f"there is no {names[0]}()"
        fitting = _fitting(patches) if named else ""
        return UnfollowedTest(names, f"the patch does not fit the host-MMIO test {whose}: {reason}{fitting}")
    kernel, fitted, note = _choose(fits, base, day)
    try:
        read = test_after(fitted.written.text, file, kernel.release)
    except InputError as error:
        raise moved(error, fitted) from None
    if read is None:
        return UnfollowedTest(names, f"there is no {TEST}() afterwards")
    rules = tuple(placed(rule, kernel.mmio_test, fitted, file) for rule in read.rules.rules)
    test = read.rules._replace(rules=rules)
    cuts = ((hunk_name(cut.item, cut.hunk), fitted.named[id(cut.hunk)]) for cut in patches.cuts)
    taken = frozenset(name for name, left in cuts if left != [name])
    return FollowedTest(kernel, test, fitted.mails, "" if named else note, taken)


def test_after(text: str, file: str, release: Version) -> ReadTest | None:
    """The test in a text after patches, of a release before them; with RESERVED_TEST it gets a later one's name.

    None where there is none. Raises InputError.
    """
    return mmio_test_of(text, file, release) or mmio_test_of(text, file, _RENAMED)


def with_followed(
    result: PatchedRules, mails: Sequence[Mail], test: FollowedTest | UnfollowedTest | None
) -> PatchedRules:
    """What patches do to the rules, with what they do to the host-MMIO test, and what they change and is not followed.

    `mails`: all of them.
    """
    names, why = result.unknown, ""
    if isinstance(test, FollowedTest):
        names = tuple(name for name in names if name not in HOST_MMIO.asked)
        before, after = test.base, result.after._replace(mmio_test=test.test, mmio_said=True)
        touching = tuple(mail for mail in mails if mail in result.mails or mail in test.mails)
        left = tuple(name for name in result.left_aside if name not in test.taken)
        result = result._replace(before=before, after=after, mails=touching, left_aside=left, test_followed=True)
    elif test is not None:
        names, why = tuple(dict.fromkeys((*names, *test.names))), test.why
    return result._replace(after=with_known(result.after, names, why), unknown=names)


def test_alone(
    nothing: NothingTouchedError,
    mails: Sequence[Mail],
    file: str,
    test: FollowedTest | UnfollowedTest | None,
    day: date | None,
) -> PatchedRules:
    """Patches that touch no rule, and the host-MMIO test. Raises `nothing` where they do not, or it is not followed."""
    if test is None:
        raise nothing
    if isinstance(test, UnfollowedTest):
        asked = dict.fromkeys((*nothing.asked, *test.names))
        raise NothingTouchedError(nothing.mails, nothing.base, tuple(asked), test.why)
    after = kernel_after(test.base, test.base.rules, file, test.mails)
    hunks = ((item, hunk) for mail in mails for item in mail.files for hunk in item.hunks or (None,))
    left = tuple(dict.fromkeys(hunk_name(item, hunk) for item, hunk in hunks))
    result = PatchedRules(test.base, after, test.mails, left, test.note or None, day, unknown=nothing.asked)
    return with_followed(result, mails, test)


def _changed(patches: Prepared) -> tuple[str, ...]:
    """The functions of the test whose lines patches change."""
    found: dict[str, None] = {}
    for cut in patches.cuts:
        if not comments_only(cut.hunk):
            found |= dict.fromkeys(name for name, _ in changed_lines(cut.hunk) if name in HOST_MMIO.asked)
    return tuple(name for name in (TEST, INNER, RESERVED_TEST) if name in found)


def _perhaps_changed(patches: Prepared) -> tuple[str, ...]:
    """The test, where a hunk that names no function (diff without -p) has what it asks for, and changes a line."""
    for cut in patches.cuts:
        unnamed = not cut.hunk.section and any(not name for name, _ in changed_lines(cut.hunk))
        if cut.hinted and unnamed and not comments_only(cut.hunk):
            return (TEST,)
    return ()


def _is_the_later_function(names: Iterable[str], day: date | None) -> bool:
    """Whether patches are to RESERVED_TEST alone, and not of a time when it was the test: it stayed, for other uses."""
    return set(names) == {RESERVED_TEST} and (day is None or f"{day:%Y-%m}" > MMIO_TESTS_MAINLINE[4, 2])


def _releases(base: Kernel | None) -> Iterator[Kernel]:
    """A kernel of each span of releases that has rules and a test of its own; with the rules of `base`, if given.

    The oldest first.
    """
    firsts = {row.since for row in RELEASES} | {row.since for row in MMIO_TESTS[1:]}
    some = False
    for first in sorted(firsts, key=sort_key):
        rules = release_at(first).rules
        stable = first[-1] == -1 or (len(first) > 2 and first[0] > 2)
        if not stable and (base is None or same_bytes(rules, base.rules)):
            some = True
            yield kernel_at(first, rules if base is None else base.rules, version_text(first))
    if base is not None and not some:
        yield base  # a proposal's


def _fitting(patches: Prepared) -> str:
    """The releases whose test patches fit, to be said behind the one that they do not fit."""
    fits = dict.fromkeys(
        row_at(MMIO_TESTS, kernel.release).since
        for kernel in _releases(None)
        if isinstance(fit_one_of(patches, mmio_texts(kernel.mmio_test, kernel.release)), Fitted)
    )
    return f"; fitting: {', '.join(map(_span, fits))}" if fits else ""


def _choose(
    fits: Mapping[Version, tuple[Kernel, Fitted]], base: Kernel | None, day: date | None
) -> tuple[Kernel, Fitted, str]:
    """The newest that was in mainline at a day, else the oldest; without a day the newest."""
    there = [pair for pair in fits.values() if day is None or _month(pair[0]) <= f"{day:%Y-%m}"]
    kernel, fitted = there[-1] if there else next(iter(fits.values()))
    since = list(dict.fromkeys(row_at(MMIO_TESTS, first).since for first in fits))
    own = row_at(MMIO_TESTS, kernel.release).since
    if base is not None:
        if row_at(MMIO_TESTS, base.release).since == own:
            kernel = base
        return kernel._replace(ref=base.ref), fitted, f"its host-MMIO test is {_span(own)}, which the patch fits"
    if len(since) == 1:
        return kernel, fitted, f"base {kernel.ref}: of all host-MMIO tests the patch fits {_span(own)} alone"
    spans = ", ".join(f"since {version_text(one)}" if one != (0,) else "the first" for one in since)
    of_those = f"of the host-MMIO tests that the patch fits ({spans})"
    if day is None:
        return kernel, fitted, f"base {kernel.ref}: the newest {of_those}; it bears no date"
    if not there:
        return kernel, fitted, f"base {kernel.ref}: the oldest {of_those}"
    return kernel, fitted, f"base {kernel.ref}: the newest in mainline on {day.day} {day:%B %Y} {of_those}"


def _month(kernel: Kernel) -> str:
    """From when mainline had both the rules and the test."""
    return max(kernel.rules.mainline, MMIO_TESTS_MAINLINE[row_at(MMIO_TESTS, kernel.release).since])


def _span(first: Version) -> str:
    """The releases of a row of MMIO_TESTS in words."""
    rows = [row.since for row in MMIO_TESTS]
    at = rows.index(first)
    if at + 1 == len(rows):
        return f"that of {version_text(first)} on"
    last = version_text(before(rows[at + 1]))
    return f"that of {version_text(first)} to {last}" if first != (0,) else f"that up to {last}"
