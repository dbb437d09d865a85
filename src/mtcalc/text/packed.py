# SPDX-License-Identifier: GPL-2.0-only
"""gzip and xz unpacked block by block, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mtcalc.text.errors import InputError, Place

BLOCK = 1 << 18
"""Bytes of a block, at most, once unpacked."""

_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"
_OTHER_PACKERS = ((b"BZh", "bzip2"), (b"PK\x03\x04", "zip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"7z\xbc\xaf", "7z"))
MARKS = (_GZIP, _XZ)
"""What gzip and xz data begin with."""

_XZ_MEMORY = 80 << 20  # bytes; xz -9 asks for 65 MiB
_MEMBERS = 256
"""Of a gzip file; each costs a copy of what stands behind it."""


def unpacked(blocks: Iterable[bytes], file: str) -> Iterator[bytes]:
    """The blocks of a file, unpacked where they are gzip or xz, else as they are.

    The first block has to hold the first six bytes. Raises InputError, `file` naming the place: packed otherwise,
    packed twice, or broken.
    """
    source = iter(blocks)
    head = next(source, b"")
    if head.startswith(_GZIP):
        yield from _once(_gunzip(head, source, file), file)
    elif head.startswith(_XZ):
        yield from _once(_unxz(head, source, file), file)
    else:
        for mark, name in _OTHER_PACKERS:
            if head.startswith(mark):
                right = "gzip and xz are read as they are; unpack the rest first"
                raise InputError(f"{name} data ({right})", Place(file, 1, 1))
        yield head
        yield from source


def _once(blocks: Iterator[bytes], file: str) -> Iterator[bytes]:
    head = next(blocks, b"")
    if head.startswith((_GZIP, _XZ)):
        raise InputError("packed twice (unpack it once)", Place(file, 1, 1))
    yield head
    yield from blocks


def _broken(name: str, file: str) -> InputError:
    return InputError(f"broken {name} data, or more behind it (get the file again)", Place(file, 1, 1))


def _gunzip(data: bytes, source: Iterator[bytes], file: str) -> Iterator[bytes]:
    """All members of a gzip file."""
    import zlib

    try:
        for _ in range(_MEMBERS):
            unpacker = zlib.decompressobj(wbits=31)
            while not unpacker.eof:
                part = unpacker.decompress(data, BLOCK)
                data = unpacker.unconsumed_tail
                if part:
                    yield part
                elif not data and not unpacker.eof:
                    data = next(source, b"")
                    if not data:
                        raise _broken("gzip", file)
            data = unpacker.unused_data
            while len(data) < len(_GZIP):
                more = next(source, b"")
                if not more:
                    break
                data += more
            if not data.startswith(_GZIP):
                break
        else:
            raise _broken("gzip", file)
    except zlib.error:
        raise _broken("gzip", file) from None
    _nothing_behind(data, source, "gzip", file)


def _unxz(data: bytes, source: Iterator[bytes], file: str) -> Iterator[bytes]:
    import lzma

    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        while not unpacker.eof:
            part = unpacker.decompress(data, BLOCK)
            data = b""
            if part:
                yield part
            elif unpacker.needs_input and not unpacker.eof:
                data = next(source, b"")
                if not data:
                    raise _broken("xz", file)
    except (lzma.LZMAError, EOFError, MemoryError):
        raise _broken("xz", file) from None
    _nothing_behind(unpacker.unused_data, source, "xz", file)


def _nothing_behind(data: bytes, source: Iterator[bytes], name: str, file: str) -> None:
    """Zeros may pad the end, as tapes do."""
    while data or (data := next(source, b"")):
        if data.strip(b"\0"):
            raise _broken(name, file)
        data = b""
