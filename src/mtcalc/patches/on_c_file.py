# SPDX-License-Identifier: GPL-2.0-only
"""The rules before and after patches on a C file, told at the lines that they came from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from mtcalc.csource.kernel import kernel_of_c, with_test
from mtcalc.csource.mmio import TEST, ReadTest, mmio_test_of
from mtcalc.csource.mmio_kernel import is_test_file
from mtcalc.csource.parse import CText
from mtcalc.csource.predicates import FUNCTION
from mtcalc.csource.source import read_c
from mtcalc.csource.text import masked
from mtcalc.kvm.notes import Note
from mtcalc.patches.c_file import patch_c
from mtcalc.patches.hunks import ROOTS, is_code
from mtcalc.patches.known import changed_lines
from mtcalc.patches.lines import PatchedLine, at_origin, in_origin, joined
from mtcalc.patches.meant import missing_before, undoing
from mtcalc.patches.mmio_on_c import follow_on_file
from mtcalc.patches.mmio_test import FollowedTest, UnfollowedTest, follow_test, test_alone, with_followed
from mtcalc.patches.reached import one_vcpu
from mtcalc.patches.records import Mail
from mtcalc.patches.result import CFile, NothingTouchedError, PatchedRules, kernel_after
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError


def rules_on_c_file(mails: Sequence[Mail], file: str, base: CFile, day: date | None) -> PatchedRules:
    """The rules before and after patches on a C file; `day` is theirs. Raises as rules_from_patch() does.

    The host-MMIO test is the file's own; else that of the file beside it, or of the release around, if that is known;
    else of a release that has these rules and that the patches fit.
    """
    if is_test_file(base.text):
        _check_rules_alone(mails, base)
        found = follow_on_file(mails, file, base, base.around)
        return test_alone(NothingTouchedError(mails, base.file), mails, file, found, day)
    before = kernel_of_c(base.text, base.file, base.file, base.around)
    try:
        result = _on_rules(mails, file, base, before, day)
    except NothingTouchedError as nothing:
        if before.mmio_said:
            raise
        return test_alone(nothing, mails, file, _test_beside(mails, file, base, before, day), day)
    return with_followed(result, mails, None if before.mmio_said else _test_or_why(mails, file, base, before, day))


def _check_rules_alone(mails: Sequence[Mail], base: CFile) -> None:
    """Raises InputError for patches that also change the rules, which are not in the file."""
    for mail in mails:
        for item in mail.files:
            for hunk in item.hunks if is_code(item.path) else ():
                place = next((line.place for name, line in changed_lines(hunk) if name in ROOTS), None)
                if place is not None:
                    what = f"the patch changes {FUNCTION}() too, which is not in {base.file}"
                    raise InputError(f"{what} (the file that holds it as --base)", place)


def _test_or_why(
    mails: Sequence[Mail], file: str, base: CFile, before: Kernel, day: date | None
) -> FollowedTest | UnfollowedTest | None:
    """_test_beside(), for patches whose rules are read: a test that is not understood stands in no one's way."""
    try:
        return _test_beside(mails, file, base, before, day)
    except InputError as error:
        return UnfollowedTest((TEST,), f"not read: {error.message}")


def _test_beside(
    mails: Sequence[Mail], file: str, base: CFile, before: Kernel, day: date | None
) -> FollowedTest | UnfollowedTest | None:
    """What the patches do to a host-MMIO test that is not in the file with the rules. Raises InputError."""
    if base.test is not None:
        return follow_on_file(mails, file, CFile(*base.test), before)
    found = follow_test(mails, file, day, before, named=base.around is not None)
    if not isinstance(found, FollowedTest):
        return found
    notes = (*before.notes, Note("around", f"{base.file}: {found.note}")) if found.note else before.notes
    taken = before._replace(mmio_test=found.base.mmio_test, mmio_said=True, notes=notes)
    return found._replace(base=taken, note="")


def _on_rules(mails: Sequence[Mail], file: str, base: CFile, before: Kernel, day: date | None) -> PatchedRules:
    try:
        patched = patch_c(mails, base)
    except NothingTouchedError:
        raise
    except InputError as error:
        raise _already_in(error, mails, base) from None
    patched_text = joined(patched.lines)
    _check_comments(patched_text, patched.lines)
    try:
        read = read_c(patched_text, file)
        test = mmio_test_of(patched_text, file, before.release)
    except InputError as error:
        raise in_origin(error, patched.lines) from None
    rules = read.rules
    followed = read.followed if test is None or not before.mmio_said else read.followed | test.followed
    unknown = [change.name for change in patched.known if change.name not in followed]
    unknown = [name for name in unknown if name in read.called or "mmio" in name]
    placed = at_origin(rules.rules, file, patched.lines)
    decided = [(rule.when, rule.then) for rule in before.rules.rules]
    same = decided == [(rule.when, rule.then) for rule in placed] and _same_test(before, test)
    if same and _same_function(base.text, patched_text):
        raise NothingTouchedError(patched.mails, base.file, unknown)
    after = with_test(kernel_after(before, rules._replace(rules=placed), file, patched.mails), test)
    if patched.numbered:
        at = ", ".join(f"{hunk.place.file}:{hunk.place.line}" for hunk in patched.numbered[:3])
        alone = Note("patch", f"placed by its line number alone, as it has no context: {at}")
        after = after._replace(notes=(*after.notes, alone))
    asked = one_vcpu(base.text, patched_text)
    return PatchedRules(before, after, patched.mails, patched.left_aside, None, day, asked, tuple(unknown))


def _already_in(error: InputError, mails: Sequence[Mail], base: CFile) -> InputError:
    """The error of patches that do not fit a C file; another where it holds them already."""
    try:
        patch_c(undoing(mails), base)
    except InputError:
        hint = missing_before(mails) if error.message.endswith(")") else ""
        return InputError(f"{error.message[:-1]}{hint})" if hint else error.message, error.place)
    return InputError(f"already applied: {base.file} is what this patch makes (the file before it)", error.place)


def _check_comments(text: str, lines: Sequence[PatchedLine]) -> None:
    """Refuses a C text with a comment that never ends, at the line where it begins."""
    try:
        masked(text)
    except ValueError as error:
        start: int = error.args[1]
        if text.startswith("/*", start):
            place = lines[text.count("\n", 0, start)].place
            raise InputError("after the patch, a comment that never ends (*/ behind it)", place) from None


def _same_test(before: Kernel, test: ReadTest | None) -> bool:
    """Whether a C text's host-MMIO test is the one before the patch, or there is none."""
    if test is None:
        return not before.mmio_said
    pairs = [[(rule.when, rule.then) for rule in rules.rules] for rules in (before.mmio_test, test.rules)]
    return before.mmio_said and pairs[0] == pairs[1]


def _same_function(before: str, after: str) -> bool:
    """Whether the function's definition, its comments too, reads the same in both texts, but for blanks."""
    return _function_text(before) == _function_text(after)


def _function_text(text: str) -> str:
    """The function's definition from its name on, without blanks. The text is one that was read before."""
    function = CText(text, "").function(FUNCTION)
    assert function is not None
    whole = text[function.offset : function.offset + len(function.text)]
    return "".join(whole[whole.index(FUNCTION) :].split())
