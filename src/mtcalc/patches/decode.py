# SPDX-License-Identifier: GPL-2.0-only
"""The bytes of a patch file as text: packed ones unpacked, colours taken off.

A mail may hold other charsets than UTF-8 in each of its parts: a byte that is not UTF-8 stays in the text as a
lone surrogate until mail, which reads the headers, decodes it.
"""

from __future__ import annotations

import re

from mtcalc.text import packed
from mtcalc.text.errors import InputError
from mtcalc.text.source import LIMIT, decode_source

MAX_LINES = 400_000
"""Lines of one file: a mailbox of a thousand long patches has fewer."""

_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_COLOUR = re.compile(r"\x1b\[[0-9;:]{0,40}[mK]")
_BARE_COLOUR = re.compile(r"\[(?:\d{1,3}(?:;\d{1,3}){0,8})?m")


def patch_text(data: bytes, file: str, limit: int = LIMIT) -> str:
    """A patch file's text; gzip and xz are unpacked, to at most `limit` bytes.

    Raises InputError: packed otherwise, broken or too large when unpacked; UTF-16; a NUL; more lines than MAX_LINES.
    """
    data = unpacked(data, file, limit)
    if data.startswith(_WIDE) or b"\0" in data:
        decode_source(data.decode("latin-1").encode() if not data.startswith(_WIDE) else data, file)
    if data.count(b"\n") >= MAX_LINES:
        raise InputError(f"{file}: too many lines (at most {MAX_LINES:,}: cut out the mails that matter)")
    return without_colours(data.decode("utf-8", "surrogateescape").removeprefix("\ufeff"))


def without_colours(text: str) -> str:
    """The text without the escape codes of `git diff --color`, those too that lost their ESC on the way."""
    text = _COLOUR.sub("", text) if "\x1b" in text else text
    return _BARE_COLOUR.sub("", text) if "[1mdiff --git " in text else text


def is_packed(data: bytes) -> bool:
    """Whether bytes are gzip's or xz's."""
    return data.startswith(packed.MARKS)


def unpacked(data: bytes, file: str, limit: int) -> bytes:
    """What gzip or xz data holds, at most `limit` bytes; other data as it is. Raises InputError as patch_text()."""
    if len(data) > limit and not is_packed(data):
        return data
    parts: list[bytes] = []
    left = limit
    for part in packed.unpacked((data,), file):
        left -= len(part)
        if left < 0 and is_packed(data):
            raise InputError(f"{file}: too large when unpacked (at most {limit >> 20} MiB)")
        parts.append(part)
    return b"".join(parts)
