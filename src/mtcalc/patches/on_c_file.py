# SPDX-License-Identifier: GPL-2.0-only
"""_OPAQUE The rules before and after patches on a C file, told at the lines that they came from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from mtcalc.csource.kernel import kernel_of_c, with_test
from mtcalc.csource.mmio import ReadTest, mmio_test_of
from mtcalc.csource.parse import CText
from mtcalc.csource.predicates import FUNCTION
from mtcalc.csource.source import read_c
from mtcalc.csource.text import masked
from mtcalc.kvm.notes import Note
from mtcalc.patches.c_file import patch_c
from mtcalc.patches.lines import PatchedLine
from mtcalc.patches.meant import missing_before, undoing
from mtcalc.patches.reached import one_vcpu
from mtcalc.patches.records import Mail
from mtcalc.patches.result import CFile, NothingTouchedError, PatchedRules, kernel_after, source_line, with_known
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError, Place


def rules_on_c_file(mails: Sequence[Mail], file: str, base: CFile, day: date | None) -> PatchedRules:
    """The rules before and after patches on a C file; `day` is theirs. Raises as rules_from_patch() does."""
    before = kernel_of_c(base.text, base.file, base.file, base.around)
    try:
        patched = patch_c(mails, base)
    except NothingTouchedError:
        raise
    except InputError as error:
        raise _already_in(error, mails, base) from None
    patched_text = "\n".join(line.text for line in patched.lines)
    _check_comments(patched_text, patched.lines)
    try:
        read = read_c(patched_text, file)
        test = mmio_test_of(patched_text, file, before.release)
    except InputError as error:
        if error.place is None or not 0 < error.place.line <= len(patched.lines):
            raise
        origin = patched.lines[error.place.line - 1].place
        raise InputError(error.message, _column_in(origin, error.place)) from None
    rules = read.rules
    followed = read.followed if test is None or not before.mmio_said else read.followed | test.followed
    unknown = [change.name for change in patched.known if change.name not in followed]
    unknown = [name for name in unknown if name in read.called or "mmio" in name]
    placed = []
    for rule in rules.rules:
        line = source_line(rule, file)
        origin_place = patched.lines[line - 1].place if 0 < line <= len(patched.lines) else None
        placed.append(rule._replace(source=f"{origin_place.file}:{origin_place.line}") if origin_place else rule)
    decided = [(rule.when, rule.then) for rule in before.rules.rules]
    same = decided == [(rule.when, rule.then) for rule in placed] and _same_test(before, test)
    if same and _same_function(base.text, patched_text):
        raise NothingTouchedError(patched.mails, base.file, unknown)
    after = with_test(kernel_after(before, rules._replace(rules=tuple(placed)), file, patched.mails), test)
    after = with_known(after, unknown)
    if patched.numbered:
        at = ", ".join(f"{hunk.place.file}:{hunk.place.line}" for hunk in patched.numbered[:3])
        alone = Note("patch", f"placed by its line number alone, as it has no context: {at}")
        after = after._replace(notes=(*after.notes, alone))
    asked = one_vcpu(base.text, patched_text)
    return PatchedRules(before, after, patched.mails, patched.left_aside, None, day, asked)


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


def _column_in(origin: Place, seen: Place) -> Place:
    """A column of a patched line as the column in the line it came from (which may have a sign and blanks)."""
    shift = len(origin.source) - len(seen.source)
    return origin._replace(column=min(max(seen.column + shift, 1), len(origin.source) + 1))
