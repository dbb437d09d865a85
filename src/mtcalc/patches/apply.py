# SPDX-License-Identifier: GPL-2.0-only
"""Patches applied: to a C file, or to a built-in rule set that fits them; the rules before and after."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import NamedTuple

from mtcalc.csource.kernel import kernel_of_c, with_test
from mtcalc.csource.mmio import ReadTest, mmio_test_of
from mtcalc.csource.predicates import FUNCTION, ONE_VCPU
from mtcalc.csource.source import read_c, rules_from_c
from mtcalc.csource.tokens import Function, Token, functions, render, texts, tokens
from mtcalc.csource.writer import all_texts, texts_of_its_time
from mtcalc.kvm.notes import Note
from mtcalc.patches.fit import Fitted, Misfit, Untouched, fit, left_aside
from mtcalc.patches.hunks import KnownChange, Prepared, Step, holds_function, hunk_name, prepare, whole
from mtcalc.patches.known import check_macros, known_changes
from mtcalc.patches.lines import PatchedLine, apply_hunk
from mtcalc.patches.macros import macro_name, parameters, use_of
from mtcalc.patches.read import FilePatch, Hunk, Mail
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.kernel import Kernel, with_read
from mtcalc.rules.rule import Rule, RuleSet
from mtcalc.text.errors import InputError, Place

_TAGS = re.compile(r"(?:\s*(?:\[[^\[\]]{0,120}\]|(?:re|aw|fwd?|wg):))*", re.IGNORECASE)
"""What stands before the subject proper."""
_OPAQUE = re.compile(r"""/\*.*?(?:\*/|\Z)|//(?:\\\n|[^\n])*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'""", re.DOTALL)


class NothingTouchedError(InputError):
    """Patches that leave the rules as they are; `mails` are they, `day` is theirs."""

    def __init__(self, mails: Sequence[Mail], base: str | None, asked: Sequence[str] = ()) -> None:
        what = f"the patch touches no rule ({FUNCTION}() and what it calls stay as they are)"
        if asked:
            what = f"the patch touches no rule itself ({_taken_as_before(asked)})"
        super().__init__(what, mails[0].place)
        self.mails = tuple(mails)
        self.base = base
        self.asked = tuple(asked)  # what the rules ask by name, and the patches change in a way not followed


class CFile(NamedTuple):
    """A C file to apply a patch to."""

    text: str
    file: str
    around: Kernel | None = None  # the kernel around it, where somebody named one


class PatchedRules(NamedTuple):
    """A patch's effect: the kernels before and after it."""

    before: Kernel
    after: Kernel
    mails: tuple[Mail, ...]  # those that touch the function
    left_aside: tuple[str, ...]  # hunks elsewhere, as 'path: section'
    choice_note: str | None  # which base was taken and why, where nobody named one
    date: date | None
    one_vcpu: tuple[str, ...] = ()  # where the new code takes one vCPU's state for all


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
    known: tuple[KnownChange, ...]
    numbered: tuple[Hunk, ...]  # placed by their line number alone


def _patched_c(mails: Sequence[Mail], source: CFile) -> _PatchedC:
    base_name = source.file.replace("\\", "/").rsplit("/", 1)[-1]
    own = any(_is_for(item, base_name, source.file) for mail in mails for item in mail.files)
    raw = [line.removesuffix("\r") for line in source.text.split("\n")]
    lines = [PatchedLine(line, Place(source.file, n, 1, line)) for n, line in enumerate(raw, 1)]
    mails, quoted = _meant(mails)
    defined = _words_of(_held_in(raw))
    patches = prepare(mails, reached_from(FUNCTION, defined), known_changes(mails))
    ours = {id(step.hunk): step for step in patches.steps}
    touching: list[Mail] = []
    aside: list[str] = quoted
    numbered: list[Hunk] = []
    for mail in mails:
        for item in mail.files:
            here = _is_for(item, base_name, source.file) if own else holds_function(item)
            by_number = here and own and (not item.blobs[0] or _is_blob(lines, item.blobs[0]))
            shift = 0
            for hunk in item.hunks or (None,):
                step = ours.get(id(hunk))
                if hunk is None or not (here or _changes_one_of(step, defined)):
                    aside += [] if step and _adds_used(step, patches) else [hunk_name(item, hunk)]
                    continue
                applied = _applied(lines, hunk, shift, not (own and here), here and step is not None, by_number)
                if applied is None and step is not None and here and _adds_alone(step):
                    continue  # what is moved to another file
                by_number = by_number and applied is not None
                if applied and not hunk.old_count and not item.blobs[0]:
                    numbered.append(hunk)
                if applied is None and not (here and step):
                    aside.append(hunk_name(item, hunk))
                    continue
                if applied is None:
                    what = f"this hunk does not fit {source.file} (its old lines are not in it)"
                    raise InputError(what, hunk.place)
                lines, moved = applied
                shift += moved
                if mail not in touching:
                    touching.append(mail)
    if patches.unbalanced and patches.steps:
        raise patches.unbalanced
    lines = _expanded(patches, lines)
    held = _held_in([line.text for line in lines])
    added = _added_elsewhere(patches, held)
    touching += [change.mail for change in patches.known if change.new and change.mail not in touching]
    if not touching:
        raise NothingTouchedError(mails, source.file, _not_followed(patches, [source.text]))
    macros = _macros_elsewhere(patches, held, {macro_name(line.text) for line in lines})
    lines = [*macros, *lines, *added]
    _check_parameters(patches, lines)
    used = {
        hunk_name(item, hunk)
        for mail in mails
        for item in mail.files
        for hunk in item.hunks
        if patches.macros.holds_used(hunk)
    }
    left = tuple(name for name in dict.fromkeys(aside) if name not in used)
    return _PatchedC(lines, tuple(touching), left, patches.known, tuple(numbered))


def _is_blob(lines: Sequence[PatchedLine], name: str) -> bool:
    """Whether lines are the file that git calls so."""
    import hashlib

    data = "\n".join(line.text for line in lines).encode("utf-8", "surrogateescape")
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest().startswith(name)


def _applied(
    lines: list[PatchedLine], hunk: Hunk, shift: int, partial: bool, ours: bool, by_number: bool
) -> tuple[list[PatchedLine], int] | None:
    """apply_hunk(), and None for a hunk elsewhere that can't be read or that fits in several places."""
    if hunk.trouble and not ours:
        return None
    try:
        return apply_hunk(lines, hunk, shift, partial, by_number)
    except InputError:
        if ours:
            raise
        return None


def _held_in(lines: Sequence[str]) -> list[Function]:
    """The functions of a C file."""
    try:
        return functions(tokens((line, None) for line in lines))
    except ValueError:
        return []


def _words_of(held: Sequence[Function]) -> dict[str, set[str]]:
    """The words in the body of each function."""
    words: dict[str, set[str]] = {}
    for function in held:
        words.setdefault(function.name, set()).update(texts(function.body))
    return words


def _expanded(patches: Prepared, lines: list[PatchedLine]) -> list[PatchedLine]:
    """The lines with the plain macros that the patches add expanded, where a call stands in one line."""
    found = []
    for line in lines:
        text = line.text
        if not any(mark in text for mark in ("/*", "*/", "//", '"', "'", "#")) and patches.macros.may_stand_in(text):
            body = tokens([(text, None)])
            made = tuple(body)
            with suppress(InputError):  # a matter of the functions that are reached, which come later
                made = patches.macros.expanded(body)
            if made != tuple(body):
                indent = text[: len(text) - len(text.lstrip())]
                text = indent + render([token._replace(gap=token.gap.replace("\n", "")) for token in made]).text.strip()
        found.append(line._replace(text=text))
    return found


def reached_from(name: str, defined: Mapping[str, set[str]]) -> set[str]:
    """A function and those of its file that it calls, directly or not."""
    reached = {name}
    todo = [name]
    while todo:
        called = {word for word in defined.get(todo.pop(), ()) if word in defined}
        todo += called - reached
        reached |= called
    return reached


def _changes_one_of(step: Step | None, defined: Mapping[str, set[str]]) -> bool:
    """Whether a hunk of another file changes a function that the C file holds."""
    return step is not None and any(piece.name in defined for piece in step.before)


def _adds_alone(step: Step) -> bool:
    """Whether a hunk only adds, and adds functions."""
    added = _new_functions(step)
    return bool(added) and all(line.kind != "-" for line in step.hunk.lines)


def _adds_used(step: Step, patches: Prepared) -> bool:
    """Whether a hunk adds a function that is reached, or changes one asked by name in a way that is followed."""
    followed = {change.name for change in patches.known if change.new}
    added = any(function.name in patches.names for function in _new_functions(step))
    return added or any(piece.name in followed for piece in step.before)


def _new_functions(step: Step) -> list[Function]:
    """The functions that a hunk adds whole."""
    before = {piece.name for piece in step.before if piece.head}
    ends = ((piece, whole(piece)) for piece in step.after if piece.head and piece.name not in before)
    return [Function(piece.name, piece.head, piece.body[:end]) for piece, end in ends if end is not None]


def _added_elsewhere(patches: Prepared, held: Sequence[Function]) -> list[PatchedLine]:
    """The functions that the patches add in other files, or change there, as lines behind the C file.

    Raises InputError for two of one name that differ.
    """
    defined = {function.name for function in held}
    known: dict[str, Function] = {change.name: change.new for change in patches.known if change.new}
    added = dict(known)
    for step in patches.steps:
        for function in _new_functions(step):
            if function.name in defined or function.name in known or function.name not in patches.names:
                continue
            if texts(added.setdefault(function.name, function).body) != texts(function.body):
                what = f"the patch adds two {function.name}() that differ (the one that is compiled)"
                raise InputError(what, function.head[0].place or step.hunk.place)
    found = []
    for function in added.values():
        if function.name in defined:
            continue
        start = function.head[0]._replace(gap="\n")
        written = render((start, *function.head[1:], Token("{", "\n", None), *function.body))
        for number, text in enumerate(written.text.rstrip("\n").split("\n"), 1):
            token = written.token_near(number, 1)
            place = next((token.place for token in (token, *function.head) if token and token.place), None)
            if place is not None:
                found.append(PatchedLine(text, place))
    return found


def _macros_elsewhere(patches: Prepared, held: Sequence[Function], here: Collection[str]) -> list[PatchedLine]:
    """The macros that the patches add in other files and that the function comes to, as lines above the C file."""
    reached = reached_from(FUNCTION, _words_of(held))
    used = patches.macros.used_in([function.body for function in held if function.name in reached])
    return [PatchedLine(render(macro.line).text.strip(), macro.place) for macro in used if macro.name not in here]


def _check_parameters(patches: Prepared, lines: Sequence[PatchedLine]) -> None:
    """Raises InputError where a function uses a parameter that the patches take from it."""
    without: dict[str, set[str]] = {}
    for step in patches.steps:
        for old in step.before:
            for new in step.after:
                if old.head and new.head and old.name == new.name:
                    without[new.name] = without.get(new.name, set()) | parameters(old.head)
                    without[new.name] -= parameters(new.head)
    if not any(without.values()):
        return
    for function in functions(tokens((line.text, line.place) for line in lines)):
        token = use_of(without.get(function.name, ()), function.body)
        if token:
            what = f"after the patch {function.name}() uses {token.text}, which is no parameter of it any longer"
            raise InputError(f"{what} (all hunks of the patch)", token.place)


def _is_for(item: FilePatch, base_name: str, c_file: str) -> bool:
    return item.path.rsplit("/", 1)[-1] == base_name and ("selftests" in item.path) <= ("selftests" in c_file)


def _meant(mails: Sequence[Mail]) -> tuple[Sequence[Mail], list[str]]:
    """(The mails with the patches that are meant, what they only quote).

    A mail's own patch counts, not one that it quotes besides. Raises InputError for a mailbox with two versions
    of one series, and for a mail that quotes two patches of the function.
    """
    seen: dict[tuple[int, int], Mail] = {}
    titled: dict[str, Mail] = {}
    kept: list[Mail] = []
    quoted: list[str] = []
    for mail in mails:
        if any(not item.depth for item in mail.files):
            quoted += (f"quoted: {item.path}" for item in mail.files if item.depth)
            mail = mail._replace(files=tuple(item for item in mail.files if not item.depth))
        kept.append(mail)
        ours = [item for item in mail.files if holds_function(item)]
        if not ours:
            continue
        if len({item.depth for item in ours}) > 1:
            raise InputError("the mail quotes two patches (keep the one you mean)", ours[-1].place)
        title = "" if mail.commit else _TAGS.sub("", mail.subject).strip().casefold()
        same = titled.setdefault(title, mail) if title else mail
        if same is not mail:
            if same.version == mail.version and _hunks_of(same) == _hunks_of(mail):
                kept.pop()  # sent once more
                continue
            if not (same.number and mail.number):
                what = "two patches of one subject, and not the same"
                if same.version != mail.version:
                    what = f"v{same.version} and v{mail.version} of one patch"
                raise InputError(f"{what} (keep the one you mean)", mail.place)
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
    mails = _meant(mails)[0]
    return list(_fitting(prepare(mails, known=known_changes(mails)))[0])


def _fitting(patches: Prepared) -> tuple[dict[str, Fitted], Misfit | None]:
    """What fits, and the misfit that came furthest into the patches where nothing does.

    Raises NothingTouchedError where the patches fit, and touch no rule.
    """
    found = {}
    furthest: Misfit | None = None
    some = _has_effect(patches)
    untouched = not some
    for name in built_in_names():
        kernel = built_in(name)
        if kernel is None or not some:
            continue
        fitted = _fit(patches, texts_of_its_time(kernel.rules))
        if isinstance(fitted, Fitted):
            found[name] = fitted
        elif isinstance(fitted, Untouched):
            untouched = True
        elif furthest is None or fitted.rank > furthest.rank:
            furthest = fitted
    if not found and untouched:
        raise patches.unbalanced or NothingTouchedError(patches.mails, None, _not_followed(patches))
    # A rule set without a helper that the patches change fits the rest of them only.
    least = min((fitted.left for fitted in found.values()), default=0)
    return {name: fitted for name, fitted in found.items() if fitted.left == least}, furthest


def _has_effect(patches: Prepared) -> bool:
    return bool(patches.steps) or any(change.new for change in patches.known)


def _not_followed(patches: Prepared, written: Sequence[str] | None = None) -> list[str]:
    """The functions asked by name that patches change and whose meaning is taken as before.

    `written`: the texts of which one asks, where those are known.
    """
    return [
        change.name
        for change in patches.known
        if change.new is None and (written is None or _asks(change.name, written))
    ]


def _asks(name: str, written: Sequence[str]) -> bool:
    """Whether one of the texts asks for a function; the host-MMIO test is asked by who calls the function."""
    return "mmio" in name or any(re.search(rf"\b{name}\b", text) for text in written)


def _taken_as_before(names: Sequence[str]) -> str:
    listed = ", ".join(f"{name}()" for name in names)
    what = "its meaning is" if len(names) == 1 else "their meanings are"
    return f"it changes {listed}, asked by name: {what} taken as before"


def _fit(patches: Prepared, written: Sequence[str]) -> Fitted | Misfit | Untouched:
    """The first text that the patches fit; else that nothing is touched, else the misfit that came furthest."""
    results = []
    for text in written:
        result = fit(patches, text)
        if isinstance(result, Fitted):
            return result
        results.append(result)
    misfits = [result for result in results if isinstance(result, Misfit)]
    return max(misfits, key=lambda misfit: misfit.rank) if len(misfits) == len(results) else Untouched()


def _hunks_of(mail: Mail) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a mail's patch says, wherever in its files it says so."""
    return [(item.path, [(line.kind, line.text) for line in hunk.lines]) for item in mail.files for hunk in item.hunks]


def rules_from_patch(mails: Sequence[Mail], file: str, base: Kernel | CFile | None = None) -> PatchedRules:
    """The rules before and after the patches, on a base or on the built-in rule set they fit.

    Without a base: of the built-in rule sets that fit, the newest that was in mainline at the mail's date, or the
    newest at all where it bears none. Raises NothingTouchedError where no rule is touched; InputError: the patches
    do not fit or are applied already, are unreadable, or leave code that is no rule set.
    """
    try:
        return _rules_in_order(mails, file, base)
    except NothingTouchedError:
        raise
    except InputError as error:
        if len(mails) < 2 or not all(mail.commit for mail in mails):
            raise
        # Of `git log` it is not known for sure at which end it begins.
        try:
            return _rules_in_order(mails[::-1], file, base)
        except NothingTouchedError:
            raise
        except InputError:
            raise error from None


def _rules_in_order(mails: Sequence[Mail], file: str, base: Kernel | CFile | None) -> PatchedRules:
    check_macros(mails)
    mails, quoted = _meant(mails)
    known = known_changes(mails)
    telling = [mail for mail in mails if _ours(mail)] or [change.mail for change in known]
    day = next((mail.date for mail in telling if mail.date), None)
    if isinstance(base, CFile):
        return _on_c_file(mails, file, base, day)
    patches = prepare(mails, known=known)
    note = None
    if base is None:
        base, fitted, note = _choose(patches, day)
    else:
        fitted = _on_base(patches, base)
    if fitted.broken:
        raise fitted.broken
    try:
        rules = rules_from_c(fitted.written.text, file)
    except InputError as error:
        raise _moved(error, fitted) from None
    placed = tuple(_placed(rule, base.rules, fitted, file) for rule in rules.rules)
    after = _after(base, rules._replace(rules=placed), file, fitted.mails)
    after = _with_known(after, _not_followed(patches, [fitted.written.text]))
    aside = (*left_aside(patches, fitted.named), *quoted)
    return PatchedRules(base, after, fitted.mails, aside, note, day, one_vcpu("", fitted.written.text))


def _with_known(after: Kernel, names: Sequence[str]) -> Kernel:
    """The kernel after patches, with a note on what they change and it asks by name."""
    if not names:
        return after
    return after._replace(notes=(*after.notes, Note("taken-as-before", f"the patch: {_taken_as_before(names)}")))


def _on_base(patches: Prepared, base: Kernel) -> Fitted:
    """The patches on a rule set that somebody named. Raises InputError."""
    written = all_texts(base.rules)
    result = _fit(patches, written) if _has_effect(patches) else Untouched()
    if isinstance(result, Fitted):
        return result
    if isinstance(result, Untouched):
        raise patches.unbalanced or NothingTouchedError(patches.mails, base.ref, _not_followed(patches, written))
    if _holds(_undoing(patches), all_texts(base.rules)):
        raise InputError(f"already applied: {base.ref} is what this patch makes (a base before it)", result.place)
    fits = ", ".join(_fitting(patches)[0])
    fits = fits or f"no built-in rule set does{_of_a_series(patches.mails)}"
    what = f"this hunk does not fit {base.ref}: {result.reason} (fitting: {fits}; or give the C file as base)"
    raise InputError(what, result.place)


def _undoing(patches: Prepared) -> Prepared | None:
    """The patches that undo these; None where what they undo could stand there for itself, or can't be told."""
    if any(all(line.kind == "+" for line in step.hunk.lines) for step in patches.steps):
        return None
    with suppress(InputError):
        return prepare(_reversed(patches.mails))
    return None


def _holds(undoing: Prepared | None, written: Sequence[str]) -> bool:
    """Whether texts hold what patches make, and not what they need."""
    if undoing is None:
        return False
    with suppress(InputError):
        return isinstance(_fit(undoing, written), Fitted)
    return False


def _reversed(mails: Sequence[Mail]) -> list[Mail]:
    """The patches that undo the patches."""
    turned = {"+": "-", "-": "+"}
    undone = []
    for mail in reversed(mails):
        files = []
        for item in reversed(mail.files):
            hunks = []
            for hunk in item.hunks:
                lines = tuple(line._replace(kind=turned.get(line.kind, line.kind)) for line in hunk.lines)
                hunks.append(hunk._replace(lines=lines, old_start=hunk.new_start, new_start=hunk.old_start))
            files.append(item._replace(hunks=tuple(hunks)))
        undone.append(mail._replace(files=tuple(files)))
    return undone


def _of_a_series(mails: Sequence[Mail]) -> str:
    """What to say of one patch of a series that does not fit."""
    numbers = {mail.number for mail in mails if mail.total > 1}
    missing = [mail for mail in mails if mail.total > 1 and not numbers >= set(range(1, mail.number))]
    if not missing:
        return ""
    mail = missing[0]
    return f"; patch {mail.number}/{mail.total} may need those before it, so give the whole series"


def _ours(mail: Mail) -> bool:
    return any(holds_function(item) for item in mail.files)


def _choose(patches: Prepared, day: date | None) -> tuple[Kernel, Fitted, str]:
    found, misfit = _fitting(patches)
    kernels = [kernel for kernel in map(built_in, found) if kernel is not None]
    listed = ", ".join(found)
    if not kernels:
        raise _fits_none(patches, misfit)
    if len(kernels) == 1:
        return kernels[0], found[listed], f"base {listed}: the only built-in rule set that the patch fits"
    first = next(iter(found.values())).touched
    month = f"{day:%Y-%m}" if day else "9999-99"
    there = [kernel for kernel in kernels if "" < kernel.rules.mainline <= month]
    if not there:
        when = f" on {_day_text(day)}" if day else ""
        what = f"the patch fits several rule sets, none of them in mainline{when}"
        raise InputError(f"{what} (say which with --base: {listed})", first)
    newest = max(there, key=lambda kernel: kernel.rules.mainline)
    name = newest.rules.name
    if day is None:
        return newest, found[name], f"base {name}: the newest that the patch fits ({listed}); it bears no date"
    note = f"base {name}: of those the patch fits ({listed}), the newest in mainline on {_day_text(day)}"
    if newest.rules.mainline == month:
        note += f"; {name} came in that very month"
    return newest, found[name], note


def _fits_none(patches: Prepared, misfit: Misfit | None) -> InputError:
    place = misfit.place if misfit else patches.mails[0].place
    reason = f": {misfit.reason}" if misfit else ""
    undoing = _undoing(patches)
    sets = ((name, built_in(name)) for name in built_in_names())
    holding = [name for name, kernel in sets if kernel and _holds(undoing, texts_of_its_time(kernel.rules))]
    if holding:
        what = f"already applied: {', '.join(holding)} is what this patch makes, if it is not a reversed one"
        return InputError(f"{what} (a base before it: --base)", place)
    known = ", ".join(built_in_names())
    what = f"this hunk fits none of the built-in rule sets{reason}"
    return InputError(f"{what} (none of {known}; give the C file with --base{_of_a_series(patches.mails)})", place)


def _day_text(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _on_c_file(mails: Sequence[Mail], file: str, base: CFile, day: date | None) -> PatchedRules:
    before = kernel_of_c(base.text, base.file, base.file, base.around)
    try:
        patched = _patched_c(mails, base)
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
        line = _source_line(rule, file)
        origin_place = patched.lines[line - 1].place if 0 < line <= len(patched.lines) else None
        placed.append(rule._replace(source=f"{origin_place.file}:{origin_place.line}") if origin_place else rule)
    decided = [(rule.when, rule.then) for rule in before.rules.rules]
    same = decided == [(rule.when, rule.then) for rule in placed] and _same_test(before, test)
    if same and _same_function(base.text, patched_text):
        raise NothingTouchedError(patched.mails, base.file, unknown)
    after = with_test(_after(before, rules._replace(rules=tuple(placed)), file, patched.mails), test)
    after = _with_known(after, unknown)
    if patched.numbered:
        at = ", ".join(f"{hunk.place.file}:{hunk.place.line}" for hunk in patched.numbered[:3])
        alone = Note("patch", f"placed by its line number alone, as it has no context: {at}")
        after = after._replace(notes=(*after.notes, alone))
    asked = one_vcpu(base.text, patched_text)
    return PatchedRules(before, after, patched.mails, patched.left_aside, None, day, asked)


def one_vcpu(before: str, after: str) -> tuple[str, ...]:
    """The expressions that take one vCPU's state for all, of what the function reaches, and that are new."""
    found = [_one_vcpu_in(text) for text in (before, after)]
    return tuple(text for text in found[1] if text not in found[0])


def _one_vcpu_in(text: str) -> dict[str, None]:
    if not any(word in text for word in ("kvm_get_vcpu", "guest_memory_type", "vcpus[")):
        return {}
    held = {function.name: function for function in functions(tokens((line, None) for line in text.split("\n")))}
    reached = reached_from(FUNCTION, {name: set(texts(function.body)) for name, function in held.items()})
    found: dict[str, None] = {}
    for name in reached & held.keys():
        words = " ".join(texts(held[name].body))
        found |= dict.fromkeys(ONE_VCPU.findall(re.sub(r" ?(->|[()\[\]]) ?", r"\1", words).replace(" ,", ",")))
    return found


def _already_in(error: InputError, mails: Sequence[Mail], base: CFile) -> InputError:
    """The error of patches that do not fit a C file; another where it holds them already."""
    try:
        _patched_c(_reversed(mails), base)
    except InputError:
        hint = _of_a_series(mails) if error.message.endswith(")") else ""
        return InputError(f"{error.message[:-1]}{hint})" if hint else error.message, error.place)
    return InputError(f"already applied: {base.file} is what this patch makes (the file before it)", error.place)


def _check_comments(text: str, lines: Sequence[PatchedLine]) -> None:
    """Refuses a C text whose last comment never ends."""
    for found in _OPAQUE.finditer(text):
        if found.group().startswith("/*") and not (found.group().endswith("*/") and len(found.group()) > 3):
            place = lines[text.count("\n", 0, found.start())].place
            raise InputError("after the patch, a comment that never ends (*/ behind it)", place)


def _same_test(before: Kernel, test: ReadTest | None) -> bool:
    """Whether a C text's host-MMIO test is the one before the patch, or there is none."""
    if test is None:
        return not before.mmio_said
    pairs = [[(rule.when, rule.then) for rule in rules.rules] for rules in (before.mmio_test, test.rules)]
    return before.mmio_said and pairs[0] == pairs[1]


def _same_function(before: str, after: str) -> bool:
    """Whether the function itself reads the same in both texts, but for blanks."""
    return _function_text(before) == _function_text(after)


def _function_text(text: str) -> str:
    """The function's definition without blanks, up to the brace that closes it; '' where it is not found."""
    head = re.search(rf"\b{FUNCTION}\([^;{{]*\)\s*\{{", text)
    if head is None:
        return ""
    depth, end = 1, head.end()
    while depth and end < len(text):
        depth += (text[end] == "{") - (text[end] == "}")
        end += 1
    return "".join(text[head.start() : end].split())


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
