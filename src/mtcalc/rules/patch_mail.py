# SPDX-License-Identifier: GPL-2.0-only
"""Mails as people save them: mboxes, raw mails, `git show` output, a page of a list archive, a pasted diff.

Every line keeps the place it has in the file, through quoted-printable and multipart too (of a base64
body only the first line). RFC 5322, RFC 2045, RFC 4155.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import NamedTuple

from mtcalc.text.errors import InputError, Place


class TextLine(NamedTuple):
    """One decoded line of a mail."""

    text: str
    place: Place


class Envelope(NamedTuple):
    """A mail's header, as far as it has one, and its text."""

    subject: str
    author: str
    date: date | None
    message_id: str
    body: tuple[TextLine, ...]
    place: Place
    quoted_authors: Mapping[int, str] = {}  # by how often their text is quoted


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "(" + "|".join(_MONTHS) + ")[a-z]*"
_DATES = (  # (pattern, which groups hold year, month, day)
    (re.compile(rf"\b(\d{{1,2}})[ -]{_MONTH}[ -](\d{{4}})\b", re.I), (3, 2, 1)),  # Fri, 5 Jan 2024 17:12:37 +0800
    (re.compile(rf"\b{_MONTH} +(\d{{1,2}}),? +(?:\d\d:\d\d(?::\d\d)? +)?(\d{{4}})\b", re.I), (3, 1, 2)),
    (re.compile(r"\b(\d{4})-(\d\d)-(\d\d)(?!\d)"), (1, 2, 3)),
)
_MBOX_FROM = re.compile(r"From \S+.* (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) +[A-Z][a-z]{2} +\d{1,2} [\d:]+ .*\d{4}\s*$")
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*)$")
_QUOTE = re.compile(r"(?:> ?)*")
_DIFF_START = re.compile(r"(?:> ?)*(?:diff --git |--- \S|Index: )")
_ATTRIBUTION = re.compile(
    r"(?:.*[\d,] (?:[AP]M,? )?|On (?:\w+day )?)?([^\d,<>]+?) *(?:<[^<>]*>)? *(?:wrote|writes):\s*$"
)
_ONE_LINE = ("from", "author", "date", "message-id")  # header fields that hardly go on in the next line
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
_LOOSE_LINES = 12  # how far into a text an archive page's From: and Date: may stand
_MIME_DEPTH = 5


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

    Raises InputError for a body whose transfer encoding is broken.
    """
    raw = text.removeprefix("\ufeff").removesuffix("\n").split("\n")
    lines = [TextLine(line, Place(file, n, 1, line)) for n, line in enumerate((r.removesuffix("\r") for r in raw), 1)]
    starts = [n for n, line in enumerate(lines) if line.text.startswith("From ") and _MBOX_FROM.match(line.text)]
    if not starts or any(line.text.strip() for line in lines[: starts[0]]):
        starts.insert(0, 0)
    ends = [*starts[1:], len(lines)]
    return tuple(_envelope(lines[start:end]) for start, end in zip(starts, ends, strict=True))


def _envelope(lines: Sequence[TextLine]) -> Envelope:
    place = lines[0].place
    start = 0
    if _MBOX_FROM.match(lines[0].text):
        start = 1
    while start < len(lines) and not lines[start].text.strip():
        start += 1
    headers, body_at = _headers(lines, start)
    if headers.keys() & {"from", "subject", "date"}:
        body = _decode(headers, lines[body_at:], _MIME_DEPTH)
    else:
        headers, body = _loose_headers(lines[start:])
    author = _inner_author(body) or headers.get("from", "") or headers.get("author", "")
    return Envelope(
        subject=_words(headers.get("subject", "")),
        author=_words(author),
        date=parse_date(headers.get("date", "")),
        message_id=headers.get("message-id", "").strip().strip("<>"),
        body=tuple(body),
        place=place,
        quoted_authors=_quoted_authors(body),
    )


def _headers(lines: Sequence[TextLine], start: int) -> tuple[dict[str, str], int]:
    """Header fields by lower-case name (the first of each), and where the text behind them starts."""
    headers: dict[str, str] = {}
    key = ""
    at = start
    while at < len(lines):
        text = lines[at].text
        if not text.strip():
            return headers, at + 1
        field = _HEADER.match(text)
        if key and (text[0] in " \t" or (not field and _goes_on(key, text))):
            headers[key] += " " + text.strip()
        elif field:
            key = field[1].lower()
            if key in headers:
                key = f"{key} again"
            headers[key] = field[2]
        else:
            break
        at += 1
    return headers, at


def _goes_on(key: str, text: str) -> bool:
    """Whether a line that is no header is the rest of the one before, without the blank that an archive ate."""
    return key not in _ONE_LINE and text != "---" and not _DIFF_START.match(text)


def _loose_headers(lines: Sequence[TextLine]) -> tuple[dict[str, str], list[TextLine]]:
    """From: and Date: among the first lines of an archive page, of `git show`, of a quoted mail; its title."""
    headers: dict[str, str] = {}
    title = ""
    folding = ""  # what the line before is part of, and this one may be the rest of
    for number, line in enumerate(lines):
        if number == _LOOSE_LINES or _DIFF_START.match(line.text):
            break
        text = line.text[_quote_length(line.text) :]
        field = _HEADER.match(text)
        if field and field[1].lower() in (*_ONE_LINE, "subject"):
            folding = field[1].lower() if field[1].lower() not in headers else ""
            headers.setdefault(field[1].lower(), field[2].strip())
        elif not text.strip() or text.startswith("commit ") or _ATTRIBUTION.match(text):
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
    return headers, list(lines)


def _names_a_patch(title: str) -> bool:
    return "[PATCH" in title or "[RFC" in title


def _quote_length(text: str) -> int:
    return _QUOTE.match(text).end()  # type: ignore[union-attr]  # matches always


def _inner_author(body: Sequence[TextLine]) -> str:
    """The `From: X` that a forwarded patch's text begins with."""
    first = next((line.text for line in body if line.text.strip()), "")
    return first.removeprefix("From: ").strip() if first.startswith("From: ") else ""


def _quoted_authors(body: Sequence[TextLine]) -> dict[int, str]:
    """Who wrote what is quoted once, twice, ...: by the quoted text's own `From: X`, else by `X wrote:` above it."""
    own: dict[int, str] = {}
    attributed: dict[int, str] = {}
    filled = [line.text for line in body if line.text.strip()][:_LOOSE_LINES]
    for text in filled:
        length = _quote_length(text)
        depth = text[:length].count(">")
        attribution = _ATTRIBUTION.match(text, length)
        if depth and text.startswith("From: ", length):
            own.setdefault(depth, _words(text[length:].removeprefix("From: ")))
        elif attribution:
            attributed.setdefault(depth + 1, _words(attribution[1]))
    return attributed | own


def _words(text: str) -> str:
    """A header's text with encoded words (RFC 2047) decoded and blanks folded."""
    if "=?" in text:
        from email.header import decode_header, make_header  # only such headers need it

        # In an unknown charset it is shown as it stands.
        with suppress(LookupError, ValueError):
            text = str(make_header(decode_header(text)))
    return " ".join(text.split())


def _decode(headers: dict[str, str], lines: Sequence[TextLine], depth: int) -> list[TextLine]:
    kind = headers.get("content-type", "text/plain").lower()
    if kind.startswith("multipart/") and depth:
        boundary = re.search(r'boundary="?([^";]+)"?', headers["content-type"], re.I)
        if boundary:
            decoded = []
            for part in _parts(lines, boundary[1].strip()):
                inner, at = _headers(part, 0)
                decoded += _decode(inner, part[at:], depth - 1)
            return decoded
    if not kind.startswith("text/") or kind.startswith("text/html"):
        disposition = headers.get("content-disposition", "") + kind
        if not re.search(r"\.(?:patch|diff|txt|mbox)\b", disposition):
            return []
    encoding = headers.get("content-transfer-encoding", "").strip().lower()
    if encoding == "quoted-printable":
        return list(_quoted_printable(lines))
    if encoding == "base64":
        return _base64(lines)
    return list(lines)


def _parts(lines: Sequence[TextLine], boundary: str) -> Iterator[list[TextLine]]:
    part: list[TextLine] | None = None
    for line in lines:
        mark = line.text.rstrip()
        if mark in (f"--{boundary}", f"--{boundary}--"):
            if part:
                yield part
            part = None if mark.endswith(f"{boundary}--") else []
        elif part is not None:
            part.append(line)
    if part:
        yield part


def _quoted_printable(lines: Sequence[TextLine]) -> Iterator[TextLine]:
    pending = ""
    place: Place | None = None
    for line in lines:
        place = place or line.place
        text = line.text.rstrip(" \t")
        if text.endswith("="):
            pending += text[:-1]
            continue
        decoded = _unescape(pending + text)
        yield TextLine(decoded, place._replace(source=decoded))
        pending, place = "", None
    if place is not None:
        decoded = _unescape(pending)
        yield TextLine(decoded, place._replace(source=decoded))


def _unescape(text: str) -> str:
    raw = _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), text.encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "replace").replace("\r", "").replace("\n", " ")


def _base64(lines: Sequence[TextLine]) -> list[TextLine]:
    import binascii

    filled = [line for line in lines if line.text.strip()]
    if not filled:
        return []
    place = filled[0].place
    try:
        raw = binascii.a2b_base64("".join(line.text.strip() for line in filled), strict_mode=True)
    except (binascii.Error, ValueError):
        raise InputError("broken base64 body (save the mail as it came, or as plain text)", place) from None
    texts = (text.removesuffix("\r") for text in raw.decode("utf-8", "replace").split("\n"))
    return [TextLine(text, place._replace(source=text)) for text in texts]
