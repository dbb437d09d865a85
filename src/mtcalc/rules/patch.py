# SPDX-License-Identifier: GPL-2.0-only
"""Patches out of mails and plain diffs.

Keyed on `diff --git` and on the counts of each hunk, which alone say where a hunk ends: mail text may hold
lines that look like parts of a diff, a reply is quoted and has talk in between, and archives eat blanks at
either end of lines, so that a context line can begin with any character. What does not add up is kept as the
file's trouble: whoever needs that file raises it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from mtcalc.rules.patch_mail import Envelope, TextLine, split_mails
from mtcalc.text.errors import InputError, Place


class Line(NamedTuple):
    """One line of a hunk: ' ' context, '-' removed, '+' added; the text without that sign."""

    kind: str
    text: str
    place: Place


class Hunk(NamedTuple):
    """One hunk; `section` is the text behind the second @@."""

    old_start: int
    old_count: int
    new_start: int
    new_count: int
    section: str
    lines: tuple[Line, ...]
    place: Place


class FilePatch(NamedTuple):
    """What a patch does to one file; `depth` is how often it is quoted."""

    path: str
    hunks: tuple[Hunk, ...]
    place: Place
    trouble: InputError | None = None
    depth: int = 0


class Mail(NamedTuple):
    """One patch mail; number and total are those of [PATCH 3/4], 0 where it has none."""

    subject: str
    author: str
    date: date | None
    message_id: str
    number: int
    total: int
    files: tuple[FilePatch, ...]
    place: Place
    version: int = 1


_GIT = re.compile(r'diff --git "?(\S+?)"? +"?(\S+?)"?\s*$')
_EXTENDED = re.compile(
    r"(?:index [0-9a-f]+|(?:old|new|deleted file|new file) mode |(?:rename|copy) (?:from|to) |"
    r"(?:dis)?similarity index |GIT binary patch|Binary files )"
)
_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)$")
_SERIES = re.compile(r"\[[^\]]*?(\d+)\s*/\s*(\d+)\s*\]")
_VERSION = re.compile(r"\[[^\]]*?\bv(\d+)\b[^\]]*\]", re.I)
_QUOTE = re.compile(r"(?:> ?)*")
_DIFF = re.compile(r"diff --git |@@ -\d")
_STATEMENT = re.compile(
    r".\s*(?:(?:if|else|for|while|do|switch|case|default|return|goto|break|continue|static|struct|u8|u64|bool)\b"
    r"|[/{}#]|$)"
)
"""A line with + or - that cannot be C with these as its own: they are signs."""
_BEHIND = re.compile(r"--\s*$|diff |Index: |Only in |```|</?\w+>|[-_=*#]{3,}\s*$")
"""What may stand right behind a hunk, without a blank line."""


def read_patches(text: str, file: str) -> tuple[Mail, ...]:
    """The patches of a diff, a mail or a mailbox, in the order of their numbers.

    Replies in a thread that also holds the patch itself are left out. Raises InputError where there is no
    patch, or where a mail cannot be decoded.
    """
    mails = [_mail(envelope) for envelope in split_mails(text, file)]
    mails = [mail for mail in mails if mail.files]
    if not mails:
        raise InputError("no patch found (a patch has 'diff --git', or '---', '+++' and '@@' lines)", Place(file, 1, 1))
    talk = re.compile(r"(?:re|aw|fwd?):", re.I)
    originals = [mail for mail in mails if not talk.match(mail.subject)]
    mails = originals or mails
    if all(mail.number for mail in mails):
        mails.sort(key=lambda mail: mail.number)
    return tuple(mails)


def _mail(envelope: Envelope) -> Mail:
    subject = envelope.subject
    series = _SERIES.search(subject)
    version = _VERSION.search(subject)
    files: list[FilePatch] = []
    for depth, lines in _depths(envelope.body):
        files += (item._replace(depth=depth) for item in _files(lines, prose=bool(subject)))
    files.sort(key=lambda item: item.place.line)
    depth = min((item.depth for item in files), default=0)
    return Mail(
        subject=subject,
        author=envelope.quoted_authors.get(depth) or envelope.author,
        date=envelope.date,
        message_id=envelope.message_id,
        number=int(series[1]) if series and len(series[1]) < 6 else 0,
        total=int(series[2]) if series and len(series[2]) < 6 else 0,
        files=tuple(files),
        place=envelope.place,
        version=int(version[1]) if version and len(version[1]) < 6 else 1,
    )


def _depths(body: Sequence[TextLine]) -> Iterator[tuple[int, list[TextLine]]]:
    """The text once for each quoting depth: the lines quoted that often, without their quote marks."""
    depths: dict[int, list[tuple[str, TextLine]]] = {}
    for line in body:
        mark = line.text[: _QUOTE.match(line.text).end()]  # type: ignore[union-attr]  # matches always
        depths.setdefault(mark.count(">"), []).append((mark, TextLine(line.text[len(mark) :], line.place)))
    for depth, lines in sorted(depths.items()):
        marks = {mark[-1] for mark, line in lines if mark and _DIFF.match(line.text)}
        if marks == {">"}:
            # Quoted with bare marks: a blank behind one is the line's own.
            yield depth, [line._replace(text=" " * mark.endswith(" ") + line.text) for mark, line in lines]
        else:
            yield depth, [line for _, line in lines]


def _files(lines: Sequence[TextLine], prose: bool) -> Iterator[FilePatch]:
    """The files of a diff. `prose`: a mail's text may stand before it, and hold what looks like a header.

    Where a diff has `diff --git` lines, that text ends at the first of them.
    """
    text = prose and any(_git_header(lines, at) for at in range(len(lines)))
    at = 0
    while at < len(lines):
        header = _git_header(lines, at)
        if header or (not text and _plain_header(lines, at)):
            text = False
            found, at = _file(lines, at, header or "")
            yield found
        else:
            at += 1


def _git_header(lines: Sequence[TextLine], at: int) -> str | None:
    """The path a `diff --git` line names, if what follows says that it is one and not prose."""
    if not lines[at].text.startswith("diff --git "):
        return None
    named = _GIT.match(lines[at].text)
    if named is None or at + 1 == len(lines):
        return None
    after = lines[at + 1].text
    if not _EXTENDED.match(after) and not after.startswith("--- "):
        return None
    return _path(named[2])


def _plain_header(lines: Sequence[TextLine], at: int) -> bool:
    return (
        at + 2 < len(lines)
        and lines[at].text.startswith("--- ")
        and lines[at + 1].text.startswith("+++ ")
        and _HUNK.match(lines[at + 2].text) is not None
    )


def _path(word: str) -> str:
    return re.sub(r"^(?:[abciow]|\.)/", "", word.strip('"'))


def _file(lines: Sequence[TextLine], at: int, path: str) -> tuple[FilePatch, int]:
    """One file's patch from its first header line on, and the index behind it."""
    place = lines[at].place
    trouble: InputError | None = None
    at += bool(path)
    while at < len(lines) and _EXTENDED.match(lines[at].text):
        if lines[at].text.startswith(("GIT binary", "Binary files")):
            trouble = trouble or InputError("a binary patch (mtcalc reads patches of C text)", lines[at].place)
        at += 1
    if at + 1 < len(lines) and lines[at].text.startswith("--- ") and lines[at + 1].text.startswith("+++ "):
        names = [lines[n].text[4:].split() or [""] for n in (at, at + 1)]
        named = [_path(name[0]) for name in names if name[0] not in ("", "/dev/null")]
        path = named[-1] if named else path
        at += 2
    hunks = []
    while at < len(lines):
        text = lines[at].text
        if text.startswith("\\ "):
            at += 1
            continue
        if not text.strip():
            filled = next((n for n in range(at, len(lines)) if lines[n].text.strip()), at)
            if not lines[filled].text.startswith("@@ -"):
                break
            at = filled
            continue
        if not text.startswith("@@"):
            break
        end = at + 1
        while end < len(lines) and not _ends_body(lines, end):
            end += 1
        try:
            hunk, at = _hunk(lines, at, end)
            hunks.append(hunk)
        except InputError as error:
            trouble = trouble or error
            at = end
    return FilePatch(path, tuple(hunks), place, trouble), at


def _ends_body(lines: Sequence[TextLine], at: int) -> bool:
    text = lines[at].text
    return text.startswith(("@@ -", "diff --git ")) or _plain_header(lines, at)


def _hunk(lines: Sequence[TextLine], at: int, end: int) -> tuple[Hunk, int]:
    """The hunk whose @@ line stands at `at`; `end` is where it ends at the latest. Raises InputError."""
    place = lines[at].place
    header = _HUNK.match(lines[at].text)
    if header is None:
        raise InputError("not a hunk header (@@ -7600,6 +7600,9 @@ is one)", place)
    old_count = int(header[2]) if header[2] else 1
    new_count = int(header[4]) if header[4] else 1
    section = header[5].strip()
    body = lines[at + 1 : end]
    first = at + 1
    broken = bool(body) and _net_parens(body[0].text) < 0 < _net_parens(section) and body[0].text[:1] not in (" ", "\t")
    if broken and not _blanks_eaten(body[1:]) and _kinds(body[1:], old_count, new_count) is not None:
        # A mail program broke the @@ line: its rest is no line of the hunk.
        section = f"{section} {body[0].text.strip()}"
        body = body[1:]
        first += 1
    kinds = _kinds(body, old_count, new_count)
    if kinds is None and _blanks_eaten(body):
        kinds = _other_kinds(body, old_count, new_count, place)
    more = end < len(lines) and lines[end].text.startswith("@@ -")
    if kinds is None or (more and len(kinds) < len(body) and body[len(kinds)].text):
        # Above the next hunk, a line of blanks is one too many.
        raise InputError(_count_trouble(body, old_count, new_count), place)
    found = []
    for line, kind in zip(lines[first:], kinds, strict=False):
        if kind == "\\":
            continue
        text = line.text[1:] if line.text[:1] == kind else line.text
        found.append(Line(kind, text, line.place))
    hunk = Hunk(int(header[1]), old_count, int(header[3]), new_count, section, tuple(found), place)
    return hunk, first + len(kinds)


def _net_parens(text: str) -> int:
    return text.count("(") - text.count(")")


def _signs(body: Sequence[TextLine]) -> Iterator[str]:
    """Each line's kind by its first character; '' for the mark above a mail's signature."""
    for line in body:
        sign = line.text[:1]
        if line.text.rstrip() == "--":
            yield ""
        elif line.text.startswith("\\ No newline"):
            yield "\\"
        else:
            yield sign if sign in ("+", "-") else " "


def _kinds(body: Sequence[TextLine], old: int, new: int) -> list[str] | None:
    """The kinds of the hunk's lines if their signs agree with the counts, else None."""
    kinds = []
    for sign in _signs(body):
        if not old and not new:
            break
        if not sign:
            return None
        kinds.append(sign)
        old -= sign in (" ", "-")
        new -= sign in (" ", "+")
        if old < 0 or new < 0:
            return None
    return kinds if not old and not new and _stops(body, len(kinds)) else None


def _stops(body: Sequence[TextLine], at: int) -> bool:
    """Whether the text does not go on as a hunk would behind its last line.

    A line of blanks is no line of it. Where the hunk lost its blanks, any text may be its context.
    """
    behind = next((line.text for line in body[at:] if not line.text or line.text.strip()), "")
    if not behind or _BEHIND.match(behind):
        return True
    return behind[0] not in "+- \t" and not _blanks_eaten(body[:at])


def _blanks_eaten(body: Sequence[TextLine]) -> bool:
    """Whether a line of the hunk, which ends above a mail's signature at the latest, has no sign and no blank."""
    for line in body:
        if line.text.rstrip() == "--":
            return False
        if line.text[:1] not in (" ", "\t", "+", "-", "\\", ""):
            return True
    return False


def _other_kinds(body: Sequence[TextLine], old: int, new: int, place: Place) -> list[str] | None:
    """Some signed lines may be context that lost its blank: the one reading that the counts allow.

    Raises InputError where they allow several.
    """
    readings = []
    several = False
    signs = list(_signs(body))
    own = [sign in ("+", "-") and not _STATEMENT.match(line.text) for sign, line in zip(signs, body, strict=True)]
    for length in range(1, len(signs) + 1):
        part = signs[:length]
        if "" in part:
            break
        if length < len(signs) and (body[length].text.isspace() or not _stops(body, length)):
            continue
        context, added, removed = part.count(" "), part.count("+"), part.count("-")
        from_added, from_removed = old - context - removed, new - context - added
        turned = {"+": from_added, "-": from_removed}
        most = {sign: sum(o for s, o in zip(part, own, strict=False) if s == sign) for sign in turned}
        if not all(0 <= turned[sign] <= most[sign] for sign in turned):
            continue
        several = several or any(turned[sign] not in (0, most[sign]) for sign in turned)
        readings.append([" " if o and turned[sign] else sign for sign, o in zip(part, own, strict=False)])
    if several or len(readings) > 1:
        raise InputError(
            "blanks were eaten, and lines with + or - can be read in several ways (get the raw mail)", place
        )
    return readings[0] if readings else None


def _count_trouble(body: Sequence[TextLine], old: int, new: int) -> str:
    signs = []
    for sign in _signs(body):
        if not sign:
            break
        signs.append(sign)
    has_old, has_new = (sum(sign in (" ", wanted) for sign in signs) for wanted in "-+")
    if has_old < old or has_new < new:
        what = f"the hunk is cut short: it counts {old} old and {new} new lines"
        return f"{what}, and has {has_old} and {has_new} (get the raw mail)"
    return f"the hunk's lines do not add up to its counts, {old} old and {new} new (get the raw mail)"
