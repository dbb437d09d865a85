# SPDX-License-Identifier: GPL-2.0-only
"""Patches applied: to a C file, or to a built-in rule set that fits them; the rules before and after."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from mtcalc.rules.c_kernel import kernel_of_c
from mtcalc.rules.c_predicates import FUNCTION
from mtcalc.rules.c_source import rules_from_c
from mtcalc.rules.c_writer import all_texts, texts_of_its_time
from mtcalc.rules.kernel import Kernel, with_read
from mtcalc.rules.names import built_in, built_in_names
from mtcalc.rules.patch import FilePatch, Mail
from mtcalc.rules.patch_fit import Fitted, Misfit, Untouched, fit, hunk_name, is_function_file, nothing_touched
from mtcalc.rules.patch_lines import PatchedLine, apply_hunk, mentions
from mtcalc.rules.rule import Rule, RuleSet
from mtcalc.text.errors import InputError, Place


class CFile(NamedTuple):
    """A C file to apply a patch to."""

    text: str
    file: str
    release: str | None = None  # the kernel around it, where somebody named one


class PatchedRules(NamedTuple):
    """A patch's effect: the kernels before and after it."""

    before: Kernel
    after: Kernel
    mails: tuple[Mail, ...]  # those that touch the function
    left_aside: tuple[str, ...]  # hunks elsewhere, as 'path: section'
    choice_note: str | None  # which base was taken and why, where nobody named one
    date: date | None


def apply_to_c(mails: Sequence[Mail], c_text: str, c_file: str) -> str:
    """The C file's text with the patches applied, in order.

    Takes hunks of a file of the same base name; where there are none, those of vmx.c, of which what lies
    outside the given functions is left aside. Raises InputError for a hunk that is not found, found twice or
    unreadable, and where no hunk concerns the file.
    """
    return "\n".join(line.text for line in _patched_c(mails, CFile(c_text, c_file)).lines)


class _PatchedC(NamedTuple):
    lines: list[PatchedLine]
    mails: tuple[Mail, ...]
    left_aside: tuple[str, ...]


def _patched_c(mails: Sequence[Mail], source: CFile) -> _PatchedC:
    base_name = source.file.replace("\\", "/").rsplit("/", 1)[-1]
    own = any(_is_for(item, base_name, source.file) for mail in mails for item in mail.files)
    raw = [line.removesuffix("\r") for line in source.text.split("\n")]
    lines = [PatchedLine(line, Place(source.file, n, 1, line)) for n, line in enumerate(raw, 1)]
    mails, quoted = _meant(mails)
    touching: list[Mail] = []
    aside: list[str] = quoted
    for mail in mails:
        for item in mail.files:
            if not (_is_for(item, base_name, source.file) if own else is_function_file(item.path)):
                aside += (hunk_name(item, hunk) for hunk in item.hunks or (None,))
                continue
            if item.trouble:
                raise item.trouble
            shift = 0
            for hunk in item.hunks:
                applied = apply_hunk(lines, hunk, shift, partial=not own)
                if applied is None and not own and not mentions(hunk, FUNCTION):
                    aside.append(hunk_name(item, hunk))
                    continue
                if applied is None:
                    raise InputError(f"this hunk does not fit {source.file} (its old lines are not in it)", hunk.place)
                lines, shift = applied
                if mail not in touching:
                    touching.append(mail)
    if not touching:
        raise nothing_touched(aside, mails)
    return _PatchedC(lines, tuple(touching), tuple(dict.fromkeys(aside)))


def _is_for(item: FilePatch, base_name: str, c_file: str) -> bool:
    return item.path.rsplit("/", 1)[-1] == base_name and ("selftests" in item.path) <= ("selftests" in c_file)


def _meant(mails: Sequence[Mail]) -> tuple[Sequence[Mail], list[str]]:
    """(The mails with the patches that are meant, what they only quote).

    A mail's own patch counts, not one that it quotes besides. Raises InputError for a mailbox with two versions
    of one series, and for a mail that quotes two patches of the function.
    """
    seen: dict[tuple[int, int], Mail] = {}
    kept: list[Mail] = []
    quoted: list[str] = []
    for mail in mails:
        if any(not item.depth for item in mail.files):
            quoted += (f"quoted: {item.path}" for item in mail.files if item.depth)
            mail = mail._replace(files=tuple(item for item in mail.files if not item.depth))
        kept.append(mail)
        ours = [item for item in mail.files if is_function_file(item.path)]
        if not ours:
            continue
        if len({item.depth for item in ours}) > 1:
            raise InputError("the mail quotes two patches (keep the one you mean)", ours[-1].place)
        other = seen.setdefault((mail.number, mail.total), mail)
        if other is not mail and mail.number:
            what = f"two patches numbered {mail.number}/{mail.total} (keep one version of the series)"
            raise InputError(what, mail.place)
    versions = sorted({mail.version for mail in seen.values()})
    if len(versions) > 1:
        listed = " and ".join(f"v{version}" for version in versions)
        raise InputError(f"patches of {listed} of a series together (keep one version)", mails[0].place)
    return kept, quoted


def fitting(mails: Sequence[Mail]) -> list[str]:
    """The names of the built-in rule sets that the patches fit, as kernels of their time spelled them.

    Raises InputError as rules_from_patch() does.
    """
    return list(_fitting(*_meant(mails))[0])


def _fitting(mails: Sequence[Mail], quoted: Sequence[str]) -> tuple[dict[str, Fitted], Misfit | None]:
    """What fits, and the misfit that came furthest into the patches where nothing does.

    Raises InputError where the patches touch no rule set at all.
    """
    found = {}
    furthest: Misfit | None = None
    untouched: Untouched | None = None
    for name in built_in_names():
        kernel = built_in(name)
        if kernel is None:
            continue
        fitted = _fit(mails, texts_of_its_time(kernel.rules))
        if isinstance(fitted, Fitted):
            found[name] = fitted
        elif isinstance(fitted, Untouched):
            untouched = fitted
        elif furthest is None or fitted.rank > furthest.rank:
            furthest = fitted
    if not found and furthest is None and untouched is not None:
        raise nothing_touched((*untouched.aside, *quoted), mails)
    # A rule set without a helper that the patches change fits the rest of them only.
    least = min((len(fitted.left_aside) for fitted in found.values()), default=0)
    return {name: fitted for name, fitted in found.items() if len(fitted.left_aside) == least}, furthest


def _fit(mails: Sequence[Mail], written: Sequence[str]) -> Fitted | Misfit | Untouched:
    """The first text that the patches fit; else the misfit that came furthest, else that nothing is touched."""
    results = []
    for text in written:
        result = fit(mails, text)
        if isinstance(result, Fitted):
            return result
        results.append(result)
    misfits = [result for result in results if isinstance(result, Misfit)]
    return max(misfits, key=lambda misfit: misfit.rank) if misfits else results[0]


def rules_from_patch(mails: Sequence[Mail], file: str, base: Kernel | CFile | None = None) -> PatchedRules:
    """The rules before and after the patches, on a base or on the built-in rule set they fit.

    Without a base: of the built-in rule sets that fit, the newest that was in mainline at the mail's date.
    Raises InputError: the patches do not touch the function, do not fit, are unreadable, leave code that is
    no rule set, or fit several rule sets and bear no date.
    """
    mails, quoted = _meant(mails)
    day = next((mail.date for mail in mails if mail.date and _ours(mail)), None)
    if isinstance(base, CFile):
        return _on_c_file(mails, file, base, day)
    note = None
    if base is None:
        base, fitted, note = _choose(mails, quoted, day)
    else:
        result = _fit(mails, all_texts(base.rules))
        if isinstance(result, Misfit):
            fits = ", ".join(_fitting(mails, quoted)[0]) or "no built-in rule set does"
            what = f"this hunk does not fit {base.ref}: {result.reason} (fitting: {fits}; or give the C file as base)"
            raise InputError(what, result.place)
        if isinstance(result, Untouched):
            raise nothing_touched((*result.aside, *quoted), mails)
        fitted = result
    try:
        rules = rules_from_c(fitted.written.text, file)
    except InputError as error:
        raise _moved(error, fitted) from None
    placed = tuple(_placed(rule, base.rules, fitted, file) for rule in rules.rules)
    after = _after(base, rules._replace(rules=placed), file, fitted.mails)
    return PatchedRules(base, after, fitted.mails, (*fitted.left_aside, *quoted), note, day)


def _ours(mail: Mail) -> bool:
    return any(is_function_file(item.path) for item in mail.files)


def _choose(mails: Sequence[Mail], quoted: Sequence[str], day: date | None) -> tuple[Kernel, Fitted, str]:
    found, misfit = _fitting(mails, quoted)
    place = misfit.place if misfit else mails[0].place
    kernels = [kernel for kernel in map(built_in, found) if kernel is not None]
    listed = ", ".join(found)
    if not kernels:
        reason = f": {misfit.reason}" if misfit else ""
        known = ", ".join(built_in_names())
        raise InputError(
            f"this hunk fits none of the built-in rule sets{reason} (none of {known}; give the C file with --base)",
            place,
        )
    if len(kernels) == 1:
        return kernels[0], found[listed], f"base {listed}: the only built-in rule set that the patch fits"
    first = next(iter(found.values())).touched
    if day is None:
        raise InputError(f"the patch bears no date and fits several rule sets (say which with --base: {listed})", first)
    month = f"{day:%Y-%m}"
    there = [kernel for kernel in kernels if "" < kernel.rules.mainline <= month]
    if not there:
        what = f"the patch fits several rule sets, none of them in mainline on {_day_text(day)}"
        raise InputError(f"{what} (say which with --base: {listed})", first)
    newest = max(there, key=lambda kernel: kernel.rules.mainline)
    note = f"base {newest.rules.name}: of those the patch fits ({listed}), the newest in mainline on {_day_text(day)}"
    if newest.rules.mainline == month:
        note += f"; {newest.rules.name} came in that very month"
    return newest, found[newest.rules.name], note


def _day_text(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _on_c_file(mails: Sequence[Mail], file: str, base: CFile, day: date | None) -> PatchedRules:
    before = kernel_of_c(base.text, base.file, base.file, base.release)
    patched = _patched_c(mails, base)
    patched_text = "\n".join(line.text for line in patched.lines)
    try:
        rules = rules_from_c(patched_text, file)
    except InputError as error:
        if error.place is None or not 0 < error.place.line <= len(patched.lines):
            raise
        origin = patched.lines[error.place.line - 1].place
        raise InputError(error.message, _column_in(origin, error.place)) from None
    placed = []
    for rule in rules.rules:
        line = _source_line(rule, file)
        origin_place = patched.lines[line - 1].place if 0 < line <= len(patched.lines) else None
        placed.append(rule._replace(source=f"{origin_place.file}:{origin_place.line}") if origin_place else rule)
    decided = [(rule.when, rule.then) for rule in before.rules.rules]
    if decided == [(rule.when, rule.then) for rule in placed] and _same_function(base.text, patched_text):
        raise nothing_touched((*_names(patched.mails), *patched.left_aside), patched.mails)
    after = _after(before, rules._replace(rules=tuple(placed)), file, patched.mails)
    return PatchedRules(before, after, patched.mails, patched.left_aside, None, day)


def _same_function(before: str, after: str) -> bool:
    """Whether the function itself reads the same in both texts, but for blanks."""
    return _function_text(before) == _function_text(after)


def _function_text(text: str) -> str:
    """The function's definition without blanks, up to the brace that closes it; '' where it is not found."""
    head = re.search(rf"^[^\n;]*\b{FUNCTION}\([^;{{]*\)\s*\{{", text, re.M)
    if head is None:
        return ""
    depth, end = 1, head.end()
    while depth and end < len(text):
        depth += (text[end] == "{") - (text[end] == "}")
        end += 1
    return "".join(text[head.start() : end].split())


def _names(mails: Sequence[Mail]) -> list[str]:
    return [hunk_name(item, hunk) for mail in mails for item in mail.files for hunk in item.hunks or (None,)]


def _column_in(origin: Place, seen: Place) -> Place:
    """A column of a patched line as the column in the line it came from (which may have a sign and blanks)."""
    shift = len(origin.source) - len(seen.source)
    return origin._replace(column=min(max(seen.column + shift, 1), len(origin.source) + 1))


def _after(before: Kernel, rules: RuleSet, file: str, mails: Sequence[Mail]) -> Kernel:
    """The kernel with the new rules: its base's, and it knows the slot flags and quirks that they read."""
    subject = mails[0].subject if mails else ""
    title = f"{before.rules.name} with {subject or file}"
    after = before._replace(
        ref=file,
        rules=rules._replace(name=re.split(r"[/\\]", file)[-1], title=title),
        proposal=f"patch on top of {before.ref}",
        default=False,
    )
    return with_read(after)


def _source_line(rule: Rule, file: str) -> int:
    """The line that rules_from_c() found a rule in; 0 where it names none."""
    found = re.match(re.escape(file) + r":(\d{1,9})\b", rule.source)
    return int(found[1]) if found else 0


def _placed(rule: Rule, base: RuleSet, fitted: Fitted, file: str) -> Rule:
    """The rule with the source it has: the base's own rule where it is unchanged, else its place in the patch."""
    for known in base.rules:
        if (known.when, known.then) == (rule.when, rule.then):
            return known
    token = fitted.written.token_near(_source_line(rule, file), 1)
    place = token.place if token and token.place else fitted.touched
    return rule._replace(source=f"{place.file}:{place.line}")


def _moved(error: InputError, fitted: Fitted) -> InputError:
    """An error in the patched function, told at the place in the patch."""
    place = fitted.touched
    if error.place:
        token = fitted.written.token_near(error.place.line, error.place.column)
        place = token.place if token and token.place else place
    return InputError(f"after the patch: {error.message}", place)
