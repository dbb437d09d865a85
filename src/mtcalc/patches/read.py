# SPDX-License-Identifier: GPL-2.0-only
"""Patches out of mails and plain diffs.

Keyed on `diff --git` and on the counts of each hunk: mail text may hold lines that look like parts of a diff, and a
reply is quoted and has talk in between. What does not add up is kept as the file's trouble: whoever needs that file
raises it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mtcalc.patches.claims import says_no_change
from mtcalc.patches.counted import HUNK_LINE, broken_hunk, counted_hunk
from mtcalc.patches.mail import Envelope, quote_length, split_mails
from mtcalc.patches.parts import TextLine
from mtcalc.patches.records import FilePatch, Mail
from mtcalc.text.errors import InputError, Place

_GIT = re.compile(r'diff --git "?(\S+?)"? +"?(\S+?)"?\s*$')
_EXTENDED = re.compile(
    r"(?:index [0-9a-f]+|(?:old|new|deleted file|new file) mode |(?:rename|copy) (?:from|to) |"
    r"(?:dis)?similarity index |GIT binary patch|Binary files )"
)
_INDEX = re.compile(r"index ([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})\b")
_BRACKETS = re.compile(r"\[([^\[\]]{1,120})\]")
_SERIES = re.compile(r"(?<!\d)(\d{1,5}) ?/ ?(\d{1,5}) ?$")
_VERSION = re.compile(r"\bv(\d{1,5})\b", re.I)
_COMBINED = re.compile(r"diff --(?:cc|combined) (\S.*)")
_RANGE_DIFF = re.compile(r"\s*(?:\d+|-):\s+(?:[0-9a-f]{7,40}|-+) [!=<>] +(?:\d+|-):\s")
_DIFF = re.compile(r"diff --git |@@ -\d")
_TALK = re.compile(r"(?:re|aw|fwd?|wg):", re.IGNORECASE)
_LONGEST_PATHS = 8_300
"""Characters of a `diff --git` line: two paths of PATH_MAX bytes."""


class NoPatchError(InputError):
    """A file without anything of a patch in it."""


class Series(NamedTuple):
    """The patches of one or several files in the order of their numbers, and the cover letters beside them."""

    patches: tuple[Mail, ...]
    covers: tuple[Mail, ...]


def read_patches(text: str, file: str) -> tuple[Mail, ...]:
    """The patches of a diff, a mail or a mailbox, in the order of their numbers.

    Replies in a thread that also holds the patch itself are left out. Raises InputError where there is no
    patch, or where a mail cannot be decoded.
    """
    return read_series([(text, file)]).patches


def read_series(texts: Sequence[tuple[str, str]]) -> Series:
    """The patches of several (text, file) pairs, as read_patches() has those of one.

    Without numbers they stay in the order of the files. Raises InputError also for a file that has neither a patch
    nor a cover letter.
    """
    envelopes: list[Envelope] = []
    found: list[Mail] = []
    for text, file in texts:
        here = split_mails(text, file)
        mails = [_mail(envelope) for envelope in here]
        if not any(mail.files or (mail.cover and len(texts) > 1) for mail in mails):
            raise _no_patch(here, file)
        envelopes += here
        found += mails
    mails = [mail for mail in found if mail.files and not mail.cover]
    covers = tuple(mail for mail in found if mail.cover and not _TALK.match(mail.subject))
    if not mails:
        diff = next((item for mail in found for item in mail.files), None)
        what = "a cover letter, whose diff is one between versions (give the patches)"
        raise InputError(what if diff else "cover letters alone (give the patches)", (diff or found[0]).place)
    mails = [mail for mail in mails if not _TALK.match(mail.subject)] or mails
    if all(mail.number for mail in mails):
        mails.sort(key=lambda mail: mail.number)
    elif len(texts) == 1 < len(mails) and all(mail.commit for mail in mails) and not _oldest_first(mails, envelopes):
        mails.reverse()
    return Series(tuple(mails), covers)


def _oldest_first(commits: Sequence[Mail], envelopes: Sequence[Envelope]) -> bool:
    """Whether commits stand in the order they were made in (`git log` begins with the newest, but for --reverse).

    Told by the hashes of their files; where those do not tell, by the hours; else the newest stands first.
    """
    made: dict[tuple[str, str], int] = {}
    needed: dict[tuple[str, str], int] = {}
    for number, commit in enumerate(commits):
        for item in commit.files:
            if all(item.blobs):
                made[item.path, item.blobs[1]] = number
                needed[item.path, item.blobs[0]] = number
    steps = {made[key] < needed[key] for key in made.keys() & needed.keys() if made[key] != needed[key]}
    if len(steps) == 1:
        return steps.pop()
    places = {commit.place for commit in commits}
    hours = [(envelope.date, envelope.clock) for envelope in envelopes if envelope.place in places and envelope.date]
    return hours == sorted(hours) and hours[0] != hours[-1] if hours else False


def _no_patch(envelopes: Sequence[Envelope], file: str) -> InputError:
    """What a file without a patch is, where that shows."""
    for envelope in envelopes:
        for at, line in enumerate(envelope.body):
            if _RANGE_DIFF.match(line.text[:200]):
                return InputError("a range-diff, of patches and not of code (give the patches)", line.place)
            if line.text.startswith("***************") and at and envelope.body[at - 1].text.startswith("--- "):
                return InputError("a context diff (diff -u makes a unified one)", line.place)
            if line.text.startswith(("| diff --git ", "* diff --git ")) or line.text.startswith("|  diff --git "):
                return InputError("a diff beside a graph (git log -p without --graph)", line.place)
        if envelope.html:
            return InputError("HTML (the raw mail: save it as plain text)", envelope.place)
    what = "no patch found (a patch has 'diff --git', or '---', '+++' and '@@' lines)"
    return NoPatchError(what, Place(file, 1, 1))


def _mail(envelope: Envelope) -> Mail:
    subject = envelope.subject
    tags = [found[1] for found in _BRACKETS.finditer(subject)]
    series = next((found for found in map(_SERIES.search, tags) if found), None)
    version = next((found for found in map(_VERSION.search, tags) if found), None)
    files = _files_of(envelope.body, subject)
    if envelope.unwrapped and any(item.trouble for item in files):
        unwrapped = _files_of(envelope.unwrapped, subject)
        if unwrapped and not any(item.trouble for item in unwrapped):
            files = unwrapped
    if envelope.html and files and not files[0].trouble:
        trouble = InputError("a patch in HTML (the raw mail: save it as plain text)", files[0].place)
        files = [item._replace(trouble=trouble, hunks=()) for item in files] if not envelope.subject else files
    depth = min((item.depth for item in files), default=0)
    number, total = (int(series[1]), int(series[2])) if series else (0, 0)
    return Mail(
        subject=subject,
        author=envelope.quoted_authors.get(depth) or envelope.author,
        date=envelope.date,
        message_id=envelope.message_id,
        number=number,
        total=total,
        files=tuple(files),
        place=envelope.place,
        version=int(version[1]) if version else 1,
        cover=bool(series) and not number,
        commit=envelope.commit,
        no_change=bool(files) and says_no_change(f"{subject}\n\n{_message(envelope, files[0].place.line)}"),
    )


def _message(envelope: Envelope, first: int) -> str:
    """What a mail's author says of the patch, whose first line is `first`: up to the line of dashes, nothing quoted."""
    said = []
    for line in envelope.body:
        if line.place.line >= first or line.text.rstrip() == "---":
            break
        said.append("" if quote_length(line.text) else line.text.strip())
    return "\n".join(said)


def _files_of(body: Sequence[TextLine], subject: str) -> list[FilePatch]:
    """The files of a mail's patches, quoted ones too, in the order they stand in; a patch sent twice counts once."""
    files: list[FilePatch] = []
    for depth, lines in _depths(body):
        files += (item._replace(depth=depth) for item in _files(lines, prose=bool(subject)))
    files.sort(key=lambda item: item.place.line)
    seen: set[tuple[object, ...]] = set()
    kept = []
    for item in files:
        # In the text and as an attachment.
        said = tuple((hunk.old_start, tuple((n.kind, n.text) for n in hunk.lines)) for hunk in item.hunks)
        if not said or (item.path, item.depth, said) not in seen:
            kept.append(item)
        seen.add((item.path, item.depth, said))
    return kept


def _depths(body: Sequence[TextLine]) -> Iterator[tuple[int, list[TextLine]]]:
    """The text once for each quoting depth: the lines quoted that often, without their quote marks."""
    depths: dict[int, list[tuple[str, TextLine]]] = {}
    for line in body:
        mark = line.text[: quote_length(line.text)]
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
        combined = _COMBINED.match(lines[at].text[:1000])
        if combined and at + 1 < len(lines) and lines[at + 1].text.startswith(("index ", "mode ", "--- ")):
            text = False
            what = "a merge's combined diff (git show -m --first-parent, or git diff A B)"
            yield FilePatch(_path(combined[1]), (), lines[at].place, InputError(what, lines[at].place))
            at += 1
        elif header or (not text and _plain_header(lines, at)):
            text = False
            found, at = _file(lines, at, header or "")
            yield found
        else:
            at += 1


def _git_header(lines: Sequence[TextLine], at: int) -> str | None:
    """The path a `diff --git` line names, if what follows says that it is one and not prose."""
    if not lines[at].text.startswith("diff --git ") or len(lines[at].text) > _LONGEST_PATHS:
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
        and HUNK_LINE.match(lines[at + 2].text) is not None
    )


def _path(word: str) -> str:
    return re.sub(r"^(?:[abciow]|\.)/", "", word.strip('"'))


def _file(lines: Sequence[TextLine], at: int, path: str) -> tuple[FilePatch, int]:
    """One file's patch from its first header line on, and the index behind it."""
    place = lines[at].place
    trouble: InputError | None = None
    blobs = ("", "")
    at += bool(path)
    while at < len(lines) and _EXTENDED.match(lines[at].text):
        index = _INDEX.match(lines[at].text)
        blobs = (index[1], index[2]) if index else blobs
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
            hunk, at = counted_hunk(lines, at, end)
        except InputError as error:
            hunk, at = broken_hunk(lines[at:end], error), end
        hunks.append(hunk)
        trouble = trouble or hunk.trouble
    return FilePatch(path, tuple(hunks), place, trouble, blobs=blobs), at


def _ends_body(lines: Sequence[TextLine], at: int) -> bool:
    text = lines[at].text
    return text.startswith(("@@ -", "diff --git ")) or _plain_header(lines, at)
