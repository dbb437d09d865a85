# SPDX-License-Identifier: GPL-2.0-only
"""The bytes of a patch file as text: packed ones unpacked, colours taken off.

A mail may hold other charsets than UTF-8 in each of its parts: a byte that is not UTF-8 stays in the text as a
lone surrogate until patch_mail, which reads the headers, decodes it.
"""

from __future__ import annotations

import re

from mtcalc.text.errors import InputError, Place
from mtcalc.text.source import LIMIT, decode_source

MAX_LINES = 400_000
"""Lines of one file: a mailbox of a thousand long patches has fewer."""

_XZ_MEMORY = 80 << 20  # bytes; xz -9 asks for 65 MiB
_MEMBERS = 256
"""Of a gzip file; each costs a copy of what stands behind it."""
_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"
_OTHER_PACKERS = ((b"BZh", "bzip2"), (b"PK\x03\x04", "zip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"7z\xbc\xaf", "7z"))
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
    return data.startswith((_GZIP, _XZ))


def unpacked(data: bytes, file: str, limit: int) -> bytes:
    """What gzip or xz data holds, at most `limit` bytes; other data as it is. Raises InputError as patch_text()."""
    if data.startswith(_GZIP):
        import zlib

        try:
            return _gunzip(data, file, limit)
        except (zlib.error, EOFError):
            raise _broken("gzip", file) from None
    if data.startswith(_XZ):
        import lzma

        try:
            unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
            found = unpacker.decompress(data, limit + 1)
        except (lzma.LZMAError, EOFError, MemoryError):
            raise _broken("xz", file) from None
        if len(found) > limit:
            raise _too_large(file, limit)
        if not unpacker.eof or unpacker.unused_data.strip(b"\0"):
            raise _broken("xz", file)
        return _once(found, file)
    for mark, name in _OTHER_PACKERS:
        if data.startswith(mark):
            raise InputError(
                f"{name} data (gzip and xz are read as they are; unpack the rest first)", Place(file, 1, 1)
            )
    return data


def _gunzip(data: bytes, file: str, limit: int) -> bytes:
    """All members of a gzip file. Raises zlib.error, EOFError, InputError."""
    import zlib

    parts: list[bytes] = []
    left = limit + 1
    while data.startswith(_GZIP):
        if len(parts) == _MEMBERS:
            raise EOFError
        unpacker = zlib.decompressobj(wbits=31)
        part = unpacker.decompress(data, left)
        left -= len(part)
        if left <= 0:
            raise _too_large(file, limit)
        if not unpacker.eof:
            raise EOFError
        parts.append(part)
        data = unpacker.unused_data
    if data.strip(b"\0"):
        raise EOFError
    return _once(b"".join(parts), file)


def _once(data: bytes, file: str) -> bytes:
    if data.startswith((_GZIP, _XZ)):
        raise InputError("packed twice (unpack it once)", Place(file, 1, 1))
    return data


def _broken(name: str, file: str) -> InputError:
    return InputError(f"broken {name} data, or more behind it (get the file again)", Place(file, 1, 1))


def _too_large(file: str, limit: int) -> InputError:
    return InputError(f"{file}: too large when unpacked (at most {limit >> 20} MiB)")
