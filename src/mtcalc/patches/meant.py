# SPDX-License-Identifier: GPL-2.0-only
"""The mails of a file: which are meant, what undoes them, which of them are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mtcalc.patches.hunks import holds_function
from mtcalc.patches.records import Mail
from mtcalc.text.errors import InputError

_TAGS = re.compile(r"(?:\s*(?:\[[^\[\]]{0,120}\]|(?:re|aw|fwd?|wg):))*", re.IGNORECASE)
"""What stands before the subject proper."""


def meant(mails: Sequence[Mail]) -> tuple[Sequence[Mail], list[str]]:
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


def _hunks_of(mail: Mail) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a mail's patch says, wherever in its files it says so."""
    return [(item.path, [(line.kind, line.text) for line in hunk.lines]) for item in mail.files for hunk in item.hunks]


def undoing(mails: Sequence[Mail]) -> list[Mail]:
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


def missing_before(mails: Sequence[Mail]) -> str:
    """What to say of one patch of a series that does not fit."""
    numbers = {mail.number for mail in mails if mail.total > 1}
    missing = [mail for mail in mails if mail.total > 1 and not numbers >= set(range(1, mail.number))]
    if not missing:
        return ""
    mail = missing[0]
    return f"; patch {mail.number}/{mail.total} may need those before it, so give the whole series"
