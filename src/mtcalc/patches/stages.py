# SPDX-License-Identifier: GPL-2.0-only
"""A series patch by patch: the rules after each of them, on one base, and what each touches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mtcalc.patches.apply import rules_and_order, rules_in_order
from mtcalc.patches.beside import Beside, beside_the_rules
from mtcalc.patches.edits import edits_of
from mtcalc.patches.hunks import hunk_name, is_code
from mtcalc.patches.lines_of import lines_of
from mtcalc.patches.read import Series
from mtcalc.patches.records import Mail
from mtcalc.patches.result import CFile, NothingTouchedError, PatchedRules
from mtcalc.patches.series import Part, Whole
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError, Place

MOST_STAGES = 64
"""Patches that are taken one by one; each is read on top of all before it."""


class _Stage(NamedTuple):
    """The rules after the first patches of a series; `after` None where these can't be read."""

    after: Kernel | None
    touching: frozenset[Place]  # the patches that touch a rule so far
    one_vcpu: tuple[str, ...] = ()
    why: str = ""


def reviewed_series(series: Series, file: str, base: Kernel | CFile | None = None) -> Whole:
    """The rules before and after each patch of a series and of all; the covers stand in front, and touch nothing.

    The base is what all of them fit. Raises InputError as rules_from_patch() does, for the series as a whole.
    """
    covers = tuple(Part(mail.subject, mail.author, mail.message_id, cover=True) for mail in series.covers)
    all_beside, edits = beside_the_rules(series.patches), edits_of(series.patches)
    try:
        whole, mails = rules_and_order(series.patches, file, base)
    except NothingTouchedError as nothing:
        parts = tuple(map(_untouched, series.patches))
        day = next((mail.date for mail in nothing.mails if mail.date), None)
        named = nothing.base or ""
        untouched = Whole((*covers, *parts), named, "", day, beside=all_beside, asked=nothing.asked, edits=edits)
        untouched = untouched._replace(asked_why=nothing.why, untouched=base if isinstance(base, Kernel) else None)
        if not isinstance(base, CFile) or len(series.patches) == 1:
            return untouched
        return _undone_again(untouched, len(covers), series.patches, file, base)
    below = base if isinstance(base, CFile) else whole.before
    parts = _parts(mails, file, below, whole.before, whole)
    return Whole(
        (*covers, *parts),
        whole.before.ref,
        whole.choice_note or "",
        whole.date,
        whole.before,
        whole.after,
        whole.one_vcpu,
        whole.left_aside,
        _not_followed(all_beside, whole),
        edits=edits,
    )


def _not_followed(beside: Sequence[Beside], whole: PatchedRules | None) -> tuple[Beside, ...]:
    """What is changed beside the rules, but for a host-MMIO test whose new rules are known."""
    if whole is None:
        return tuple(beside)
    if whole.test_followed:
        return tuple(one for one in beside if one.kind != "host-mmio")
    return without_followed(beside, whole.before, whole.after)


def without_followed(beside: Sequence[Beside], before: Kernel, after: Kernel) -> tuple[Beside, ...]:
    """What is changed beside the rules, without a host-MMIO test that differs between two kernels that say theirs."""
    followed = before.mmio_said and after.mmio_said and before.mmio_test != after.mmio_test
    return tuple(one for one in beside if not (followed and one.kind == "host-mmio"))


def _undone_again(untouched: Whole, covers: int, mails: Sequence[Mail], file: str, base: CFile) -> Whole:
    """A series on a C file that comes to nothing in the end, with what its patches do on the way."""
    for number in range(1, len(mails)):
        try:
            first = rules_in_order(mails[:number], file, base)
        except NothingTouchedError:
            continue
        except InputError:
            return untouched
        parts = _parts(mails, file, base, first.before, None)
        return untouched._replace(
            parts=(*untouched.parts[:covers], *parts), base=first.before.ref, before=first.before, after=first.before
        )
    return untouched


def _parts(
    mails: Sequence[Mail], file: str, below: Kernel | CFile, base: Kernel, whole: PatchedRules | None
) -> tuple[Part, ...]:
    """Each patch with the rules before and after it; one that can't be read alone says why."""
    last = _Stage(base, frozenset())
    done = frozenset(mail.place for mail in whole.mails) if whole else frozenset()
    candidates = {mail.place for mail in mails if any(is_code(item.path) for item in mail.files)} | done
    single = len(candidates) <= MOST_STAGES
    readable = base
    parts = []
    for number, mail in enumerate(mails, 1):
        part = _untouched(mail)
        part = part._replace(beside=_not_followed(part.beside, whole))
        if not single:
            why = f"over {MOST_STAGES} patches, taken together" if mail.place in done else ""
            parts.append(part._replace(touches=mail.place in done, why=why))
            continue
        if mail.place not in candidates:
            parts.append(part)
            continue
        if number == len(mails) and whole:
            stage = _Stage(whole.after, done, whole.one_vcpu)
        else:
            stage = _stage(mails[:number], file, below, base)
        touches = mail.place in done or stage.touching != last.touching or bool(stage.why)
        part = part._replace(touches=touches, why=stage.why)
        if stage.after is not None and touches:
            asks = tuple(text for text in stage.one_vcpu if text not in last.one_vcpu)
            part = part._replace(before=readable, after=stage.after, one_vcpu=asks)
        if stage.after is not None:
            readable, last = stage.after, stage
        parts.append(part)
    return tuple(parts)


def _stage(mails: Sequence[Mail], file: str, below: Kernel | CFile, base: Kernel) -> _Stage:
    try:
        found = rules_in_order(mails, file, below)
    except NothingTouchedError:
        return _Stage(base, frozenset())
    except InputError as error:
        return _Stage(None, frozenset(), why=error.message)
    return _Stage(found.after, frozenset(mail.place for mail in found.mails), found.one_vcpu)


def _untouched(mail: Mail) -> Part:
    hunks = tuple(hunk_name(item, hunk) for item in mail.files for hunk in item.hunks or (None,))
    beside = beside_the_rules([mail])
    lines, edits = lines_of(mail), edits_of([mail])
    part = Part(mail.subject, mail.author, mail.message_id, beside=beside, lines=lines, aside=hunks, edits=edits)
    return part._replace(no_change=mail.no_change)
