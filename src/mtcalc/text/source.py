# SPDX-License-Identifier: GPL-2.0-only
"""Reading an input file, or standard input, as text."""

from __future__ import annotations

import codecs
import os
import stat
import sys
from typing import BinaryIO

from mtcalc.text.errors import InputError, Place

LIMIT = 16 << 20
"""Bytes; 32,764 slots on lines of 500 bytes fit."""

_PACKED = ((b"\x1f\x8b", "gzip"), (b"\xfd7zXZ", "xz"))
_WIDE_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_source(path: str, limit: int = LIMIT) -> str:
    """The text of a file, `-` being standard input: UTF-8, a byte order mark dropped, at most `limit` bytes.

    Raises InputError: no such file and the like without a place; a bad byte or a NUL with it.
    """
    return decode_source(read_bytes(path, limit), path)


def read_bytes(path: str, limit: int = LIMIT) -> bytes:
    """The bytes of a file, `-` being standard input; at most `limit`. Raises InputError as read_source() does."""
    try:
        if path == "-":
            return _read_standard_input(limit)
        with open(path, "rb") as file:
            return _read_limited(file, path, limit)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (a path, or - for standard input)") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory (a file)") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        # ValueError: a NUL in the path itself.
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"{path}: {reason.lower()} (a readable file)") from None


_spent: list[BinaryIO] = []
"""Standard input, once it was read: what is read again is empty, and no answer should rest on that."""


def _read_standard_input(limit: int) -> bytes:
    if sys.stdin is None:
        raise InputError("-: standard input is closed (a file, or a pipe into the program)")
    if sys.stdin.buffer in _spent:
        raise InputError("- twice (standard input is read once)")
    _spent[:] = [sys.stdin.buffer]
    return _read_limited(sys.stdin.buffer, "-", limit)


def _read_limited(file: BinaryIO, path: str, limit: int) -> bytes:
    try:
        status = os.fstat(file.fileno())
    except (OSError, ValueError):
        too_large = False  # a stream without a file beneath
    else:
        too_large = stat.S_ISREG(status.st_mode) and status.st_size > limit
    data = b"" if too_large else file.read(limit + 1)
    if too_large or len(data) > limit:
        raise InputError(f"{path}: too large (at most {limit >> 20} MiB)")
    return data


def decode_source(data: bytes, file: str) -> str:
    """Bytes as UTF-8 text. Raises InputError at the first bad byte or NUL; `file` names it in places."""
    packed = next((name for mark, name in _PACKED if data.startswith(mark)), None)
    if packed is not None:
        raise InputError(f"{packed} data (unpack it; a patch is read as it is by mtcalc review)", Place(file, 1, 1))
    if data.startswith(_WIDE_MARKS):
        raise InputError("UTF-16 or UTF-32 text (save it as UTF-8)", Place(file, 1, 1))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder's own copy: the mark is cut off there.
        rest = error.object
        what = f"byte {rest[error.start]:#04x} is not UTF-8 (save the file as UTF-8)"
        raise InputError(what, _place(rest, error.start, file)) from None
    nul = text.find("\0")
    if nul >= 0:
        data = data.removeprefix(codecs.BOM_UTF8)
        raise InputError("NUL byte (text; is this a binary file?)", _place(data, data.index(0), file))
    return text


def _place(data: bytes, index: int, file: str) -> Place:
    start = data.rfind(b"\n", 0, index) + 1
    end = data.find(b"\n", index)
    line = data[start : end if end >= 0 else len(data)]
    # Bytes that are no UTF-8 show as \x..; a NUL is escaped where the line is printed.
    before = line[: index - start].decode("utf-8", "backslashreplace")
    after = line[index - start :][:200].decode("utf-8", "backslashreplace").rstrip("\r")
    return Place(file, data.count(b"\n", 0, index) + 1, len(before) + 1, before + after)
