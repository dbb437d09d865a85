# SPDX-License-Identifier: GPL-2.0-only
"""Patches on a rule set that has no source: on the function as mtcalc writes it for those rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mtcalc.csource.tokens import Rendered
from mtcalc.patches.hunks import CutHunk, Prepared, hunk_name
from mtcalc.patches.records import Mail
from mtcalc.patches.result import source_line
from mtcalc.patches.written import Effect, Refused, WrittenText
from mtcalc.rules.rule import Rule, RuleSet
from mtcalc.text.errors import InputError, Place


class Misfit(NamedTuple):
    """Why a patch does not fit a text; `near`: not for want of the right statements."""

    reason: str
    place: Place
    near: bool

    @property
    def rank(self) -> tuple[int, bool]:
        """The higher, the further the patch came."""
        return self.place.line, self.near


class Untouched(NamedTuple):
    """A patch that changes nothing in a text."""


class Fitted(NamedTuple):
    """A text with patches applied, and what of them was left aside."""

    written: Rendered
    mails: tuple[Mail, ...]  # those that touch the function
    named: Mapping[int, list[str]]  # by the identity of a hunk, what of it was left aside
    touched: Place  # the first hunk that does
    broken: InputError | None  # why the text is no C, though the patches fit it

    @property
    def left(self) -> int:
        """How much of the hunks that can concern the function was left aside."""
        return sum(len(names) for names in self.named.values())


def fit(patches: Prepared, c_text: str) -> Fitted | Misfit | Untouched:
    """The patches applied in order to a written text, or where they do not fit.
    Raises InputError for a patch after which the file is no C.
    """
    text = WrittenText(c_text, patches)
    effects: list[tuple[CutHunk, Effect]] = []
    last = None
    for cut in patches.cuts:
        if cut.item is not last:
            text.cursor.clear()
            last = cut.item
        try:
            effects.append((cut, text.apply(cut)))
        except Refused as refused:
            return Misfit(str(refused), cut.hunk.place, refused.near)
    used, wrong = text.settle()
    if wrong:
        return Misfit(wrong[0], wrong[1], True)
    followed = {change.name for change in patches.known if change.new} & text.functions.keys()
    named: dict[int, list[str]] = {}
    touching: list[Mail] = []
    touched: Place | None = None
    for cut, effect in effects:
        path = cut.item.path[-100:]
        added = [f"{path}: {name}() (new)" for name in effect.added if name not in used]
        others = [f"{path}: {name}" for name in effect.others if name]
        if not effect.touches and not used.intersection(effect.added):
            if followed.intersection(piece.name for piece in cut.before):
                named[id(cut.hunk)] = []
                continue
            others = added + others if added or not cut.hunk.section else []
            named[id(cut.hunk)] = others or [hunk_name(cut.item, cut.hunk)]
            continue
        named[id(cut.hunk)] = added + others
        if cut.mail not in touching:
            touching.append(cut.mail)
        if effect.touches or used.intersection(effect.added).intersection(patches.subject.asked):
            touched = touched or cut.hunk.place
    for change in patches.known:
        if change.name in followed:
            touched = touched or change.place
            if change.mail not in touching:
                touching.append(change.mail)
    if touched is None:
        return Untouched()
    if patches.unbalanced:
        raise patches.unbalanced
    return Fitted(text.render(), tuple(touching), named, touched, text.lost_parameter())


def left_aside(patches: Prepared, named: Mapping[int, list[str]]) -> tuple[str, ...]:
    """What of the patches is not about the function, in their order."""
    listed = (
        name
        for mail in patches.mails
        for item in mail.files
        for hunk in item.hunks or (None,)
        if hunk is None or not patches.macros.holds_used(hunk)
        for name in (named[id(hunk)] if id(hunk) in named else [hunk_name(item, hunk)])
    )
    return tuple(dict.fromkeys(listed))


def placed(rule: Rule, base: RuleSet, fitted: Fitted, file: str) -> Rule:
    """The rule with the source it has: the base's own rule where it is unchanged, else its place in the patch."""
    for known in base.rules:
        if (known.when, known.then) == (rule.when, rule.then):
            return known
    token = fitted.written.token_near(source_line(rule, file), 1)
    place = token.place if token and token.place else fitted.touched
    return rule._replace(source=f"{place.file}:{place.line}")


def moved(error: InputError, fitted: Fitted) -> InputError:
    """An error in the patched function, told at the place in the patch."""
    place = fitted.touched
    if error.place:
        token = fitted.written.token_near(error.place.line, error.place.column)
        place = token.place if token and token.place else place
    return InputError(f"after the patch: {error.message}", place)
