# SPDX-License-Identifier: GPL-2.0-only
"""Mails as people save them: mboxes, raw mails, `git show` and `git log -p`, a page of a list archive, a pasted diff.

Every line keeps the place it has in the file. Headers that the standard mail parser would not find (archives eat
blanks, replies quote them) are looked for here; what they mean is left to it, in parts. RFC 5322, RFC 4155.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import islice
from typing import NamedTuple

from mtcalc.patches.parts import (
    HEADER_LENGTH,
    MailPart,
    TextLine,
    UnpackBudget,
    as_utf8,
    flowed,
    header_words,
    parts_of,
)
from mtcalc.text.errors import Place


class Envelope(NamedTuple):
    """A mail's header, as far as it has one, and its text."""

    subject: str
    author: str
    date: date | None
    message_id: str
    body: tuple[TextLine, ...]
    place: Place
    quoted_authors: Mapping[int, str] = {}  # by how often their text is quoted
    html: bool = False  # has a text of HTML alone
    commit: bool = False  # of `git log -p`
    clock: str = ""  # the time of its date, as HH:MM:SS
    unwrapped: tuple[TextLine, ...] = ()  # the body if it is what format=flowed says; many say so and are not


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "(" + "|".join(_MONTHS) + ")[a-z]*"
_DATES = (  # (pattern, which groups hold year, month, day)
    (re.compile(rf"\b(\d{{1,2}})[ -]{_MONTH}[ -](\d{{4}})\b", re.I), (3, 2, 1)),  # Fri, 5 Jan 2024 17:12:37 +0800
    (re.compile(rf"\b{_MONTH} +(\d{{1,2}}),? +(?:\d\d:\d\d(?::\d\d)? +)?(\d{{4}})\b", re.I), (3, 1, 2)),
    (re.compile(r"\b(\d{4})-(\d\d)-(\d\d)(?!\d)"), (1, 2, 3)),
)
_CLOCK = re.compile(r"\b\d\d:\d\d:\d\d\b")
_MBOX_FROM = re.compile(r"From \S+.* (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) +[A-Z][a-z]{2} +\d{1,2} [\d:]+ .*\d{4}\s*$")
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*)$")
_QUOTE = re.compile(r"(?:> ?)*")
_LONGEST_MARK = 1000
"""Characters of quote marks in front of a line; megabytes of them are no quoting, and cost sixty times as much."""
_DIFF_START = re.compile(r"(?:> ?){0,500}(?:diff --git |--- \S|Index: )")
_ONE_LINE = ("from", "author", "date", "message-id")  # header fields that hardly go on in the next line
_GIT_FIELDS = ("AuthorDate", "Commit", "CommitDate", "Merge", "Reflog", "Notes")
_LOOSE_LINES = 12  # how far into a text an archive page's From: and Date: may stand
_COMMIT = re.compile(r"commit [0-9a-f]{7,64}\b")
_MARKUP = re.compile(r"\s*<(?:!doctype html|html\b|\?xml\b)", re.I)
_LONGEST = 300  # characters of a line that can be an mbox line, or say who wrote what


def parse_date(text: str) -> date | None:
    """The day a mail's Date: names, in the sender's time zone; None where no date can be read."""
    for pattern, (year, month, day) in _DATES:
        found = pattern.search(text)
        if found is None:
            continue
        word = found[month].lower()
        number = int(word) if word.isdigit() else _MONTHS.index(word[:3]) + 1
        try:
            return date(int(found[year]), number, int(found[day]))
        except ValueError:
            continue
    return None


def split_mails(text: str, file: str) -> tuple[Envelope, ...]:
    """The mails of a file in the order they stand in; a text that is no mail is one without a header.

    Mails that a mail holds as attachments stand behind it. A byte that is no UTF-8 is a lone surrogate in `text`
    (the error handler surrogateescape). Raises InputError for a body whose transfer encoding is broken.
    """
    raw = text.removeprefix("\ufeff").removesuffix("\n").split("\n")
    lines = [TextLine(line, Place(file, n, 1, line)) for n, line in enumerate((r.removesuffix("\r") for r in raw), 1)]
    starts = [n for n, line in enumerate(lines) if _is_mbox_line(line.text)]
    if not starts:
        starts = [n for n in range(len(lines)) if _is_commit(lines, n)]
    if not starts or any(line.text.strip() for line in lines[: starts[0]]):
        starts.insert(0, 0)
    ends = [*starts[1:], len(lines)]
    found: list[Envelope] = []
    left = UnpackBudget()
    for start, end in zip(starts, ends, strict=True):
        found += _envelopes(lines[start:end], left)
    return tuple(found)


def _is_mbox_line(text: str) -> bool:
    return text.startswith("From ") and len(text) < _LONGEST and _MBOX_FROM.match(text) is not None


def _is_commit(lines: Sequence[TextLine], at: int) -> bool:
    """Whether a commit of `git log` or `git show` begins here."""
    if not _COMMIT.match(lines[at].text):
        return False
    return any(line.text.startswith(("Author:", "author ")) for line in lines[at + 1 : at + 5])


def _envelopes(lines: Sequence[TextLine], left: UnpackBudget) -> list[Envelope]:
    """The mail in these lines, and behind it those that it holds."""
    place = lines[0].place
    start = 0
    if _is_mbox_line(lines[0].text):
        start = 1
    while start < len(lines) and not lines[start].text.strip():
        start += 1
    headers, body_at = _headers(lines, start)
    mail = bool(headers.keys() & {"from", "subject", "date"})
    parts = list(parts_of(headers, lines[body_at:], place, left)) if mail else []
    found = [_envelope(headers, lines[start:] if not mail else None, parts, place)]
    for part in parts:
        if part.mail and any(line.text.strip() for line in part.lines):
            inner, at = _headers(part.lines, 0)
            inner_place = part.lines[0].place
            inner_parts = list(parts_of(inner, part.lines[at:], inner_place, left, part.depth))
            found.append(_envelope(inner, None, inner_parts, inner_place))
            # What is nested deeper is not looked for: nobody attaches mails to attached mails.
    return found


def _envelope(
    headers: dict[str, str], loose: Sequence[TextLine] | None, parts: Sequence[MailPart], place: Place
) -> Envelope:
    html = any(part.html for part in parts)
    unwrapped: list[TextLine] = []
    if any(part.flowed for part in parts):
        for part in parts:
            if not part.mail:
                unwrapped += flowed(part.lines, part.delete_space) if part.flowed else part.lines
    if loose is None:
        body = [line for part in parts if not part.mail and not part.html for line in part.lines]
    else:
        body = [TextLine(as_utf8(line.text), line.place) for line in loose]
        headers = _loose_headers(body)
        first = next((line.text for line in body if line.text.strip()), "")
        html = _MARKUP.match(first) is not None
    when = headers.get("date", "") or headers.get("authordate", "")
    clock = _CLOCK.search(when)
    author = _inner_author(body) or headers.get("from", "") or headers.get("author", "")
    return Envelope(
        subject=header_words(headers.get("subject", "")),
        author=header_words(author),
        date=parse_date(when),
        message_id=headers.get("message-id", "").strip().strip("<>"),
        body=tuple(body),
        place=place,
        quoted_authors=_quoted_authors(body),
        html=html,
        unwrapped=tuple(unwrapped),
        commit=loose is not None and bool(body) and _COMMIT.match(body[0].text) is not None,
        clock=clock.group() if clock else "",
    )


def _headers(lines: Sequence[TextLine], start: int) -> tuple[dict[str, str], int]:
    """Header fields by lower-case name (the first of each), and where the text behind them starts."""
    headers: dict[str, list[str]] = {}
    key = ""
    at = start
    while at < len(lines):
        text = lines[at].text
        if not text.strip():
            at += 1
            break
        field = _HEADER.match(text)
        if key and (text[0] in " \t" or (not field and _goes_on(key, text))):
            headers[key].append(text.strip())
        elif field:
            key = field[1].lower()
            if key in headers:
                key = f"{key} again"
            headers[key] = [field[2]]
        else:
            break
        at += 1
    return {key: " ".join(words)[:HEADER_LENGTH] for key, words in headers.items()}, at


def _goes_on(key: str, text: str) -> bool:
    """Whether a line that is no header is the rest of the one before, without the blank that an archive ate."""
    return key not in _ONE_LINE and text != "---" and not _DIFF_START.match(text)


def _loose_headers(lines: Sequence[TextLine]) -> dict[str, str]:
    """From: and Date: among the first lines of an archive page, of `git show`, of a quoted mail; its title."""
    headers: dict[str, str] = {}
    title = ""
    folding = ""  # what the line before is part of, and this one may be the rest of
    for number, line in enumerate(lines):
        if number == _LOOSE_LINES or _DIFF_START.match(line.text):
            break
        text = line.text[quote_length(line.text) :][:HEADER_LENGTH]
        field = _HEADER.match(text)
        if field and field[1].lower() in (*_ONE_LINE, "subject", "authordate"):
            folding = field[1].lower() if field[1].lower() not in headers else ""
            headers.setdefault(field[1].lower(), field[2].strip())
        elif not text.strip() or _COMMIT.match(text) or wrote(text) or (field and field[1] in _GIT_FIELDS):
            folding = ""
        elif folding == "title" and not field and _goes_on(folding, text):
            title += " " + text.strip()
        elif folding not in ("", "title") and (text[0] in " \t" or (not field and _goes_on(folding, text))):
            headers[folding] += " " + text.strip()
        else:
            folding = "title" if not title and _names_a_patch(text) else ""
            title = title or text.strip()
    if "subject" not in headers and (_names_a_patch(title) or headers):
        headers["subject"] = title
    return headers


def _names_a_patch(title: str) -> bool:
    return "[PATCH" in title or "[RFC" in title


def quote_length(text: str) -> int:
    """How many characters of a line are marks of quoting."""
    return _QUOTE.match(text, 0, _LONGEST_MARK).end()  # type: ignore[union-attr]  # matches always


def _inner_author(body: Sequence[TextLine]) -> str:
    """The `From: X` that a forwarded patch's text begins with."""
    first = next((line.text for line in body if line.text.strip()), "")
    return first.removeprefix("From: ").strip() if first.startswith("From: ") else ""


def _quoted_authors(body: Sequence[TextLine]) -> dict[int, str]:
    """Who wrote what is quoted once, twice, ...: by the quoted text's own `From: X`, else by `X wrote:` above it."""
    own: dict[int, str] = {}
    attributed: dict[int, str] = {}
    filled = list(islice((line.text[:HEADER_LENGTH] for line in body if line.text.strip()), _LOOSE_LINES))
    for text in filled:
        length = quote_length(text)
        depth = text[:length].count(">")
        name = wrote(text[length:])
        if depth and text.startswith("From: ", length):
            own.setdefault(depth, header_words(text[length:].removeprefix("From: ")))
        elif name:
            attributed.setdefault(depth + 1, header_words(name))
    return attributed | own


def wrote(text: str) -> str:
    """The X of a line `On some day, X <x@example.org> wrote:` above what is quoted; '' of any other line."""
    text = text.strip()
    if len(text) > _LONGEST or not text.endswith(("wrote:", "writes:")):
        return ""
    text = text.rpartition("w")[0].rstrip()
    before, mark, _ = text.rpartition("<")
    name = before if mark and text.endswith(">") else text
    name = re.split(r"[,<>]|\d(?: ?[AP]M)?(?= |$)", name.strip())[-1].strip()
    for start in ("On ", "Am ", "Le "):
        if name.startswith(start):
            name = re.sub(r"^\w+day ", "", name.removeprefix(start)).strip()
    return name
