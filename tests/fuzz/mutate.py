# SPDX-License-Identifier: GPL-2.0-only
"""One broken input out of good ones."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_SPECIAL = (
    *(bytes([n]) for n in (0, 9, 10, 13, 27, 34, 39, 92, 0x7F, 0x80, 0xFF)),
    *(c.encode() for c in "[]{}():;,#&*!|>%@`?-=<~^+/_. $'\"\\"),
    "\u00b2\u0660\u2028\ufeff\U0001f600\u202e".encode(),
    b"0x",
    b"0xffffffffffffffff",
    b"-1",
    b"00",
    b"9" * 30,
    b"9" * 5000,
    b"1e9",
    b"null",
    b"~",
    b"<<",
    b"/*",
    b"*/",
    b"//",
    b"\\\n",
    b"#define ",
    b"#if 0\n",
    b"if (",
    b"return ",
    b"=?utf-8?q?=41?=",
    b"=?x?b?=?=",
    b"Content-Type: multipart/mixed; boundary=x\n",
    b"Content-Transfer-Encoding: base64\n",
    b"--x\n",
    b"From x Mon Jan  1 00:00:00 2024\n",
    b"diff --git a/x b/x\n",
    b"@@ -1,3 +1,4 @@\n",
    b"> ",
    b"\x1b[31m",
    b"\xed\xa0\x80",
)


def mutated(random: Random, seeds: Sequence[bytes], most: int = 1 << 16) -> bytes:
    """A seed with a few changes of bytes, lines and words, or a mix of two; at most `most` bytes."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 1, 1, 2, 3, 8))):
        _change(random, data, seeds)
    return bytes(data[:most])


def _change(random: Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice((1, 1, 2, 4, 16, 64)))
    kind = random.randrange(10)
    if kind == 0:
        data[at:end] = b""
    elif kind == 1:
        data[at:at] = random.choice(_SPECIAL)
    elif kind == 2:
        data[at:end] = random.choice(_SPECIAL)
    elif kind == 3:
        data[at:at] = data[at:end] * random.choice((1, 2, 3, 100))
    elif kind == 4 and at < len(data):
        data[at] ^= 1 << random.randrange(8)
    elif kind == 5:
        other = random.choice(seeds)
        start = random.randrange(len(other) + 1)
        data[at:end] = other[start : start + random.choice((8, 80, 800))]
    elif kind == 6:
        data[at:] = b""
    elif kind == 7:
        data[at:at] = random.choice(_SPECIAL) * random.choice((10, 100, 1000))
    else:
        lines = bytes(data).split(b"\n")
        one, two = random.randrange(len(lines)), random.randrange(len(lines))
        if kind == 8:
            lines[one], lines[two] = lines[two], lines[one]
        else:
            lines.insert(one, lines[two])
        data[:] = b"\n".join(lines)
