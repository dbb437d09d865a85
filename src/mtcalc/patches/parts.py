# SPDX-License-Identifier: GPL-2.0-only
"""What a mail's headers say of its body: charset, transfer encoding, parts, attached mails. RFC 2045 to 2049, 3676.

The standard library's parser reads the headers; bodies are cut and decoded here line by line, so that each line
keeps its place in the file (of a base64 body the place of its first line).
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import HeaderParser
from itertools import takewhile
from typing import NamedTuple

from mtcalc.text.errors import InputError, Place
from mtcalc.text.source import LIMIT

HEADER_LENGTH = 4_000
"""Characters of a header that are read."""

SUBJECT_LENGTH = 500
"""Characters of a header's words that are kept."""

_MIME_DEPTH = 6
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
_PATCH_NAME = re.compile(r"\.(?:patch|diff|txt|mbox|eml)\b|\bx-(?:patch|diff)\b")
_CHARSETS = re.compile(
    r"ascii|utf[-_]?(?:7|8|16|32)(?:-sig|[-_][bl]e)?|iso(?:8859|2022)[-_\w]*|cp\d+|koi8[-_]\w|gb\w+|hz|big5\w*"
    r"|euc_\w+|shift_?jis\w*|johab|mac[-_]\w+|tis[-_]620|ptcp154|kz1048|latin[-_]?\d+"
)
"""What a mail's charset may be: text, decoded in linear time."""


class TextLine(NamedTuple):
    """One decoded line of a mail."""

    text: str
    place: Place


class MailPart(NamedTuple):
    """A part of a mail that can be read as text; `mail`: it is a mail itself, whose headers begin it."""

    lines: Sequence[TextLine]
    mail: bool = False
    html: bool = False
    depth: int = 0
    flowed: bool = False  # says that its lines are wrapped as format=flowed has it
    delete_space: bool = False


class UnpackBudget:
    """How many bytes the packed attachments of one file may still come to, all together."""

    def __init__(self, left: int = LIMIT) -> None:
        self.left = left


def parts_of(
    headers: Mapping[str, str], lines: Sequence[TextLine], place: Place, left: UnpackBudget, depth: int = 0
) -> Iterator[MailPart]:
    """The parts of a body that can hold a patch; gzip and xz are unpacked, at the cost of `left`.

    Raises InputError: a broken base64, a packed patch that can't be unpacked, parts in parts in parts.
    """
    about = _parsed(headers)
    kind = about.get_content_type()
    boundary = _parameter(about, "boundary")
    if kind.startswith("multipart/") and boundary:
        if depth == _MIME_DEPTH:
            raise InputError("parts within parts within parts (the patch alone, as plain text)", place)
        for part in _cut(lines, boundary):
            inner, at = _part_headers(part, "message/rfc822" if kind == "multipart/digest" else "text/plain")
            yield from parts_of(inner, part[at:], place, left, depth + 1)
        return
    if kind in ("message/rfc822", "message/global"):
        yield MailPart(list(_decoded(about, lines)), mail=True, depth=depth + 1)
        return
    named = _PATCH_NAME.search(f"{about.get('content-disposition', '')} {about.get('content-type', '')}".lower())
    if kind == "text/html" and not named:
        yield MailPart((), html=True)
    elif kind.startswith("application/") and _encoding(about) == "base64":
        found = _attached(lines, left, bool(named))
        if found is not None:
            yield MailPart(list(_text_lines(*found, _charset(_parameter(about, "charset")))))
    elif kind.startswith(("text/", "multipart/")) or named:
        wrapped = kind == "text/plain" and _parameter(about, "format").lower() == "flowed"
        delete = _parameter(about, "delsp").lower() == "yes"
        yield MailPart(list(_decoded(about, lines)), flowed=wrapped, delete_space=delete)


def _parsed(headers: Mapping[str, str]) -> Message:
    about = Message()
    for name, value in headers.items():
        if name.startswith("content-"):
            about[name] = as_utf8(value)
    return about


def _parameter(about: Message, name: str) -> str:
    """A parameter of Content-Type; '' where there is none or where it can't be read."""
    try:
        found = about.get_param(name)
        text = found if isinstance(found, str) else ("" if found is None else str(found[2]))
    except (MessageError, LookupError, ValueError, TypeError):
        return ""
    return text.strip()


def _cut(lines: Sequence[TextLine], boundary: str) -> Iterator[list[TextLine]]:
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


def _part_headers(part: Sequence[TextLine], default: str) -> tuple[dict[str, str], int]:
    """A part's header fields, and where its body starts."""
    head = list(takewhile(lambda line: line.text.strip(), part))
    parsed = HeaderParser().parsestr("\n".join(line.text for line in head))
    found = {
        name.lower(): " ".join(line.strip() for line in value.split("\n"))[:HEADER_LENGTH]
        for name, value in parsed.raw_items()  # as they stand, with bytes that are no ASCII
    }
    found.setdefault("content-type", default)
    body = str(parsed.get_payload())  # begins without a blank line
    return found, len(head) - body.count("\n") - 1 if body else min(len(head) + 1, len(part))


def _decoded(about: Message, lines: Sequence[TextLine]) -> Iterator[TextLine]:
    charset = _charset(_parameter(about, "charset"))
    encoding = _encoding(about)
    if encoding == "quoted-printable":
        return _quoted_printable(lines, charset)
    if encoding == "base64":
        return _base64(lines, charset)
    if encoding in ("x-uuencode", "uuencode", "x-uue", "uue"):
        place = lines[0].place if lines else None
        raise InputError("a uuencoded body (save the mail as plain text)", place)
    return (TextLine(decode(_bytes(line.text), charset), line.place) for line in lines)


def _encoding(about: Message) -> str:
    return str(about.get("content-transfer-encoding", "")).strip().lower()


def _charset(name: str) -> str:
    """The codec of a charset's name; '' where there is none, where it is unknown, or no charset of mails."""
    try:
        known = codecs.lookup(name).name if name.isascii() and 0 < len(name) < 40 else ""
    except (LookupError, ValueError):
        return ""
    return known if _CHARSETS.fullmatch(known) else ""


def decode(raw: bytes, charset: str) -> str:
    """Bytes in a charset; else, as mails do not always say what they hold, as UTF-8, and else as Latin-1."""
    for name in (charset, "utf-8"):
        if not name or (name == "utf-8" and raw.isascii()):
            continue
        try:
            return raw.decode(name)
        except (LookupError, ValueError):
            continue
    return raw.decode("latin-1")


def as_utf8(text: str) -> str:
    """A line with its lone surrogates, bytes that are no UTF-8, read as Latin-1."""
    return text if text.isascii() else decode(_bytes(text), "")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape" if not text.isascii() else "strict")


def header_words(text: str) -> str:
    """A header's text with encoded words (RFC 2047) decoded and blanks folded, at most SUBJECT_LENGTH characters."""
    text = as_utf8(text[:HEADER_LENGTH])
    if "=?" in text:
        # In an unknown charset, or not encoded at all, it is shown as it stands.
        with suppress(MessageError, LookupError, ValueError, TypeError):
            text = str(make_header(decode_header(text)))
        text = text.encode("utf-8", "replace").decode()
    return " ".join(text.split())[:SUBJECT_LENGTH]


def _quoted_printable(lines: Sequence[TextLine], charset: str) -> Iterator[TextLine]:
    pending: list[str] = []
    place: Place | None = None
    for line in lines:
        place = place or line.place
        text = line.text.rstrip(" \t")
        if text.endswith("="):
            pending.append(text[:-1])
            continue
        decoded = _unescape("".join(pending) + text, charset)
        yield TextLine(decoded, place._replace(source=decoded))
        pending, place = [], None
    if place is not None:
        decoded = _unescape("".join(pending), charset)
        yield TextLine(decoded, place._replace(source=decoded))


def _unescape(text: str, charset: str) -> str:
    raw = _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), _bytes(text))
    return _printed(decode(raw, charset).replace("\r", "").replace("\n", " "))


def _attached(lines: Sequence[TextLine], left: UnpackBudget, named: bool) -> tuple[bytes, Place] | None:
    """An attachment's bytes, unpacked; None where it is no patch: `named` as none, and not packed, or an archive."""
    from mtcalc.patches.decode import is_packed, unpacked

    try:
        raw = _from_base64(lines)
    except InputError:
        if named:
            raise
        return None
    if raw is None or not (named or is_packed(raw[0])):
        return None
    data, place = raw
    try:
        data = unpacked(data, place.file, left.left)
    except InputError as error:
        if not named and "too large" not in str(error):
            return None
        raise InputError(f"an attachment: {error.message.removeprefix(f'{place.file}: ')}", place) from None
    left.left -= len(data) if data is not raw[0] else 0
    return None if data[257:262] == b"ustar" else (data, place)


def _base64(lines: Sequence[TextLine], charset: str) -> Iterator[TextLine]:
    raw = _from_base64(lines)
    return _text_lines(*raw, charset) if raw is not None else iter(())


def _from_base64(lines: Sequence[TextLine]) -> tuple[bytes, Place] | None:
    """A body's bytes, and where it begins; None where it is empty."""
    filled = [line for line in lines if line.text.strip()]
    if not filled:
        return None
    place = filled[0].place
    try:
        raw = binascii.a2b_base64("".join(line.text.strip() for line in filled), strict_mode=True)
    except ValueError:  # binascii.Error among them
        raise InputError("broken base64 body (save the mail as it came, or as plain text)", place) from None
    return raw, place


def _text_lines(raw: bytes, place: Place, charset: str) -> Iterator[TextLine]:
    for text in decode(raw, charset).split("\n"):
        text = _printed(text.removesuffix("\r"))
        yield TextLine(text, place._replace(source=text))


def _printed(text: str) -> str:
    """What a body says, once decoded, without NULs and colours."""
    from mtcalc.patches.decode import without_colours

    return without_colours(text.replace("\0", "\ufffd").removeprefix("\ufeff"))


def flowed(lines: Sequence[TextLine], delete_space: bool) -> Iterator[TextLine]:
    """Lines of format=flowed (RFC 3676) put together again.

    A line that ends with a blank goes on in the next; a blank at the start is stuffing.
    """
    pending: list[str] = []
    place: Place | None = None
    marks = ""
    for line in lines:
        rest = line.text.lstrip(">")
        mark = line.text[: len(line.text) - len(rest)]
        rest = rest.removeprefix(" ")
        if place is not None and mark != marks:
            yield TextLine(_quoted(marks, "".join(pending)), place)
            pending, place = [], None
        place, marks = place or line.place, mark
        soft = rest.endswith(" ") and rest.strip() not in ("--", "")
        pending.append(rest[:-1] if soft and delete_space else rest)
        if not soft:
            yield TextLine(_quoted(mark, "".join(pending)), place)
            pending, place = [], None
    if place is not None:
        yield TextLine(_quoted(marks, "".join(pending)), place)


def _quoted(marks: str, text: str) -> str:
    return f"{marks} {text}" if marks else text
