# SPDX-License-Identifier: GPL-2.0-only
"""Which built-in rule set a patch is for: those that it fits, and of them the one of its time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from textwrap import wrap

from mtcalc.csource.tokens import texts, tokens
from mtcalc.csource.writer import all_texts, texts_of_its_time
from mtcalc.patches.fit import Fitted, Misfit, Untouched, fit
from mtcalc.patches.hunks import Prepared, prepare
from mtcalc.patches.known import not_followed
from mtcalc.patches.meant import missing_before, undoing
from mtcalc.patches.records import HunkLine
from mtcalc.patches.result import NothingTouchedError
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError, Place


def fitting(patches: Prepared) -> tuple[dict[str, Fitted], Misfit | None]:
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
        fitted = fit_one_of(patches, texts_of_its_time(kernel.rules))
        if isinstance(fitted, Fitted):
            found[name] = fitted
        elif isinstance(fitted, Untouched):
            untouched = True
        elif furthest is None or fitted.rank > furthest.rank:
            furthest = fitted
    if not found and untouched:
        raise patches.unbalanced or NothingTouchedError(patches.mails, None, not_followed(patches))
    # A rule set without a helper that the patches change fits the rest of them only.
    least = min((fitted.left for fitted in found.values()), default=0)
    return {name: fitted for name, fitted in found.items() if fitted.left == least}, furthest


def _has_effect(patches: Prepared) -> bool:
    return bool(patches.cuts) or any(change.new for change in patches.known)


def fit_one_of(patches: Prepared, written: Sequence[str]) -> Fitted | Misfit | Untouched:
    """The first text that the patches fit; else that nothing is touched, else the misfit that came furthest."""
    results = []
    for text in written:
        result = fit(patches, text)
        if isinstance(result, Fitted):
            return result
        results.append(result)
    misfits = [result for result in results if isinstance(result, Misfit)]
    return max(misfits, key=lambda misfit: misfit.rank) if len(misfits) == len(results) else Untouched()


def fit_base(patches: Prepared, base: Kernel) -> Fitted:
    """The patches on a rule set that somebody named. Raises InputError."""
    written = all_texts(base.rules)
    result = fit_one_of(patches, written) if _has_effect(patches) else Untouched()
    if isinstance(result, Fitted):
        return result
    if isinstance(result, Untouched):
        raise patches.unbalanced or NothingTouchedError(patches.mails, base.ref, not_followed(patches, written))
    if _holds(_undoing(patches), all_texts(base.rules)):
        raise InputError(f"already applied: {base.ref} is what this patch makes (a base before it)", result.place)
    fits = ", ".join(fitting(patches)[0])
    fits = fits or f"no built-in rule set does{missing_before(patches.mails)}"
    what = f"this hunk does not fit {base.ref}: {result.reason} (fitting: {fits}; or give the C file as base)"
    raise InputError(what, result.place)


def _undoing(patches: Prepared) -> Prepared | None:
    """The patches that undo these; None where what they undo could stand there for itself, or can't be told."""
    if any(all(line.kind == "+" for line in cut.hunk.lines) for cut in patches.cuts):
        return None
    with suppress(InputError):
        return prepare(undoing(patches.mails))
    return None


def _holds(undoing: Prepared | None, written: Sequence[str]) -> bool:
    """Whether texts hold what patches make, and not what they need."""
    if undoing is None:
        return False
    with suppress(InputError):
        return isinstance(fit_one_of(undoing, written), Fitted)
    return False


def choose_base(patches: Prepared, day: date | None) -> tuple[Kernel, Fitted, str]:
    found, misfit = fitting(patches)
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
        return InputError(f"{what} (a base before it: --base{missing_before(patches.mails)})", place)
    what = f"this hunk fits none of the built-in rule sets{reason}"
    near = _nearest(patches, place) if misfit and not misfit.near else None
    if near:
        what, place = (
            f"this hunk fits none of the built-in rule sets: in {near[0]}, the nearest, is no such line",
            near[1],
        )
    what = f"{what} (the C file with --base{missing_before(patches.mails)})"
    return InputError(what, place, wrap(f"none of {', '.join(built_in_names())}", 76))


_TELLING = 3
"""Words of a line that has to be somewhere; a lone brace says nothing."""


def _nearest(patches: Prepared, misfit: Place) -> tuple[str, Place] | None:
    """The rule set that lacks the fewest lines of the hunk that fits nowhere, of several the newest of mainline."""
    lines = [line for cut in patches.cuts if cut.hunk.place == misfit for line in cut.hunk.lines if line.kind != "+"]
    wanted = [(words, line.place) for words, line in zip(map(_words, lines), lines, strict=True) if words]
    best: tuple[tuple[int, bool], str, Place] | None = None
    for name in built_in_names():
        kernel = built_in(name)
        for text in texts_of_its_time(kernel.rules) if kernel else ():
            whole = _words(HunkLine(" ", text, misfit))
            lacking = [place for words, place in wanted if words not in whole]
            rank = len(lacking), bool(kernel and not kernel.rules.mainline)
            if lacking and (best is None or rank <= best[0]):
                best = rank, name, lacking[0]
    return None if best is None else best[1:]


def _words(line: HunkLine) -> str:
    """The words of C in a text, with a blank around each; '' for too few, or for half a comment."""
    try:
        found = texts(tokens((text, None) for text in line.text.split("\n")))
    except ValueError:
        return ""
    return f" {' '.join(found)} " if len(found) >= _TELLING and line.text.lstrip()[:1] != "*" else ""


def _day_text(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
