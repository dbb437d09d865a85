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

from mtcalc.patches.mail import LONGEST_MARK, Envelope, split_mails
from mtcalc.patches.parts import TextLine
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
    trouble: InputError | None = None  # why its lines are not surely those of the hunk


class FilePatch(NamedTuple):
    """What a patch does to one file; `depth` is how often it is quoted, `trouble` the first, its hunks' too."""

    path: str
    hunks: tuple[Hunk, ...]
    place: Place
    trouble: InputError | None = None
    depth: int = 0
    blobs: tuple[str, str] = ("", "")  # the hashes of its index line, before and after


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
    cover: bool = False  # [PATCH 0/4]
    commit: bool = False  # of `git log -p`


_GIT = re.compile(r'diff --git "?(\S+?)"? +"?(\S+?)"?\s*$')
_EXTENDED = re.compile(
    r"(?:index [0-9a-f]+|(?:old|new|deleted file|new file) mode |(?:rename|copy) (?:from|to) |"
    r"(?:dis)?similarity index |GIT binary patch|Binary files )"
)
_INDEX = re.compile(r"index ([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})\b")
_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)$")
_BRACKETS = re.compile(r"\[([^\[\]]{1,120})\]")
_SERIES = re.compile(r"(?<!\d)(\d{1,5}) ?/ ?(\d{1,5}) ?$")
_VERSION = re.compile(r"\bv(\d{1,5})\b", re.I)
_COMBINED = re.compile(r"diff --(?:cc|combined) (\S.*)")
_RANGE_DIFF = re.compile(r"\s*(?:\d+|-):\s+(?:[0-9a-f]{7,40}|-+) [!=<>] +(?:\d+|-):\s")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#39|#x27);")
_SECTION = 120
"""Characters of a hunk's section that are kept; git writes 80."""
_QUOTE = re.compile(r"(?:> ?)*")
_DIFF = re.compile(r"diff --git |@@ -\d")
_LONGEST_PATHS = 8_300
"""Characters of a `diff --git` line: two paths of PATH_MAX bytes."""
_BROKEN_LINES = 2_000
"""Of a hunk that does not add up, how many lines are looked at to tell whether it matters."""
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
    envelopes = split_mails(text, file)
    mails = [mail for mail in map(_mail, envelopes) if mail.files]
    if not mails:
        raise _no_patch(envelopes, file)
    patches = [mail for mail in mails if not mail.cover]
    if not patches:
        what = "a cover letter, whose diff is one between versions (give the patches)"
        raise InputError(what, mails[0].files[0].place)
    talk = re.compile(r"(?:re|aw|fwd?|wg):", re.I)
    originals = [mail for mail in patches if not talk.match(mail.subject)]
    mails = originals or patches
    if all(mail.number for mail in mails):
        mails.sort(key=lambda mail: mail.number)
    elif len(mails) > 1 and all(mail.commit for mail in mails) and not _oldest_first(mails, envelopes):
        mails.reverse()
    return tuple(mails)


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
    return InputError(what, Place(file, 1, 1))


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
    )


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
        mark = line.text[: _QUOTE.match(line.text, 0, LONGEST_MARK).end()]  # type: ignore[union-attr]  # matches always
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
        and _HUNK.match(lines[at + 2].text) is not None
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
            hunk, at = _hunk(lines, at, end)
        except InputError as error:
            hunk, at = _broken_hunk(lines[at:end], error), end
        hunks.append(hunk)
        trouble = trouble or hunk.trouble
    return FilePatch(path, tuple(hunks), place, trouble, blobs=blobs), at


def _broken_hunk(lines: Sequence[TextLine], trouble: InputError) -> Hunk:
    """A hunk that can't be read, with what tells whether it matters: its section, and its lines by their signs."""
    header = _HUNK.match(lines[0].text)
    body = lines[1 : _BROKEN_LINES + 1]
    if any(_has_word_diff(line.text) for line in body):
        trouble = InputError("a word diff (git diff without --word-diff)", lines[0].place)
    kept = [
        Line(sign if sign in "+-" else " ", line.text[1:], line.place)
        for line, sign in zip(body, _signs(body), strict=True)
        if sign
    ]
    section = header[5].strip()[:_SECTION] if header else ""
    counts = [int(header[n] or 1) if header else 0 for n in (1, 2, 3, 4)]
    return Hunk(counts[0], counts[1], counts[2], counts[3], section, tuple(kept), lines[0].place, trouble)


def _has_word_diff(text: str) -> bool:
    """Whether a line marks words as `git diff --word-diff` does."""
    marked = any(0 <= text.find(start) < text.rfind(end) - 1 for start, end in (("[-", "-]"), ("{+", "+}")))
    return marked or text == "~"


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
    section = header[5].strip()[:_SECTION]
    body = lines[at + 1 : end]
    first = at + 1
    broken = (
        bool(body) and _net_parens(body[0].text) < 0 < _net_parens(header[5]) and body[0].text[:1] not in (" ", "\t")
    )
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
    trouble = None
    if all(line.kind == " " for line in found):
        trouble = InputError("a hunk that changes nothing (a word diff without its colours? get the raw diff)", place)
    elif any(_ENTITY.search(line.text) for line in found if "&" in line.text):
        trouble = InputError("HTML for characters, such as &lt; for < (get the raw mail)", place)
    hunk = Hunk(int(header[1]), old_count, int(header[3]), new_count, section, tuple(found), place, trouble)
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


class _Stops:
    """Where in a body the text does not go on as a hunk would behind its last line.

    A line of blanks is no line of it. Where the hunk lost its blanks, any text may be its context.
    """

    def __init__(self, body: Sequence[TextLine]) -> None:
        self._behind = [""] * (len(body) + 1)  # the next line with text, or that is quite empty
        for at in range(len(body) - 1, -1, -1):
            text = body[at].text
            self._behind[at] = text if not text or text.strip() else self._behind[at + 1]
        self._eaten = len(body) + 1  # from which length on a line has lost its blank
        for at, line in enumerate(body):
            if line.text.rstrip() == "--":
                break
            if line.text[:1] not in (" ", "\t", "+", "-", "\\", ""):
                self._eaten = at + 1
                break

    def at(self, length: int) -> bool:
        behind = self._behind[length]
        if not behind or _BEHIND.match(behind):
            return True
        return behind[0] not in "+- \t" and length < self._eaten


def _stops(body: Sequence[TextLine], at: int) -> bool:
    return _Stops(body).at(at)


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
    signs = list(_signs(body))
    own = [sign in ("+", "-") and not _STATEMENT.match(line.text) for sign, line in zip(signs, body, strict=True)]
    counted = {" ": 0, "+": 0, "-": 0, "\\": 0}
    most = {"+": 0, "-": 0}  # of them, those that can be context
    stops = _Stops(body)
    for length, (sign, is_own) in enumerate(zip(signs, own, strict=True), 1):
        if not sign:
            break
        counted[sign] += 1
        most[sign if is_own else "+"] += is_own
        if length < len(signs) and (body[length].text.isspace() or not stops.at(length)):
            continue
        turned = {
            "+": old - counted[" "] - counted["-"],
            "-": new - counted[" "] - counted["+"],
        }
        if min(turned.values()) < -len(signs) or not all(0 <= turned[sign] <= most[sign] for sign in turned):
            continue
        readings.append((length, turned))
        if len(readings) > 1 or any(turned[sign] not in (0, most[sign]) for sign in turned):
            raise InputError(
                "blanks were eaten, and lines with + or - can be read in several ways (get the raw mail)", place
            )
    if not readings:
        return None
    length, turned = readings[0]
    return [" " if o and turned[sign] else sign for sign, o in zip(signs[:length], own, strict=False)]


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
