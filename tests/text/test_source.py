# SPDX-License-Identifier: GPL-2.0-only
"""Reading files and standard input: encodings, limits, what can't be read."""

from __future__ import annotations

import io
import os
import sys
import tracemalloc
from pathlib import Path

import pytest

from mtcalc.text.errors import InputError
from mtcalc.text.source import LIMIT, decode_source, read_source


def message(path: str) -> str:
    """What read_source() says of a path."""
    with pytest.raises(InputError) as caught:
        read_source(path)
    return str(caught.value)


def test_a_file_is_its_text(tmp_path: Path) -> None:
    path = tmp_path / "vm.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: \xc3\xa4\r\n")
    assert read_source(str(path)) == "name: ä\r\n"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    missing = str(tmp_path / "vm.yaml")
    assert message(missing) == f"{missing}: no such file (a path, or - for standard input)"
    assert message(str(tmp_path)) == f"{tmp_path}: is a directory (a file)"
    assert message("a\0b").startswith("a\\x00b: embedded null byte")
    assert message(f"{missing}/x" if os.sep == "/" else missing).startswith(missing)


@pytest.mark.parametrize(
    ("data", "report"),
    [
        (
            b"a: b\nc\xc3\xa4: \xff\xfe\n",
            "vm.yaml:2:5: byte 0xff is not UTF-8 (save the file as UTF-8)\n  cä: \\xff\\xfe\n      ^",
        ),
        (b"\xef\xbb\xbfab\xff", "vm.yaml:1:3: byte 0xff is not UTF-8 (save the file as UTF-8)\n  ab\\xff\n    ^"),
        (b"a\nb\0c", "vm.yaml:2:2: NUL byte (text; is this a binary file?)\n  b\\x00c\n   ^"),
        (b"\xef\xbb\xbf\0", "vm.yaml:1:1: NUL byte (text; is this a binary file?)\n  \\x00\n  ^"),
        ("a: 1".encode("utf-16"), "vm.yaml:1:1: UTF-16 or UTF-32 text (save it as UTF-8)"),
    ],
)
def test_bad_bytes_are_located(data: bytes, report: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_source(data, "vm.yaml")
    assert str(caught.value) == report


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    tracemalloc.start()
    try:
        report = message(str(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report == f"{path}: too large (at most 16 MiB)"
    assert peak < 1 << 20


def test_the_limit_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("abc")
    assert read_source(str(path), limit=3) == "abc"
    with pytest.raises(InputError):
        read_source(str(path), limit=2)


def test_an_endless_device_is_refused() -> None:
    assert message("/dev/zero") == "/dev/zero: too large (at most 16 MiB)"


class _Pipe(io.BytesIO):
    """A stream without a file beneath, which counts what is taken from it."""

    asked = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked += size or 0
        return super().read(size)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(_Pipe(b"host: {}\n")))
    assert read_source("-") == "host: {}\n"
    pipe = _Pipe(b"x" * (LIMIT + 10))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
    assert message("-") == "-: too large (at most 16 MiB)"
    assert pipe.asked == LIMIT + 1
    monkeypatch.setattr(sys, "stdin", None)
    assert message("-") == "-: standard input is closed (a file, or a pipe into the program)"


@pytest.mark.parametrize(("data", "kind"), [(b"\x1f\x8b\x08\x00", "gzip"), (b"\xfd7zXZ\x00\x00", "xz")])
def test_packed_data_is_called_so(data: bytes, kind: str) -> None:
    with pytest.raises(InputError, match=f"^x:1:1: {kind} data "):
        decode_source(data, "x")
