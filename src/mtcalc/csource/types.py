# SPDX-License-Identifier: GPL-2.0-only
"""C's integer types as the kernel names them, on x86-64."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias, Union


class CType(NamedTuple):
    """An integer type: bits (1 for bool, 0 for one that is not known) and sign."""

    bits: int
    signed: bool


class Pointer(NamedTuple):
    """A pointer, to an integer type or to something that is not followed (None)."""

    to: CType | None


AnyType: TypeAlias = Union[CType, Pointer]

UNKNOWN = CType(0, False)
BOOL = CType(1, False)
BYTE = CType(8, False)
INT = CType(32, True)
LONG = CType(64, True)
ULONG = CType(64, False)

_TYPES = {
    "bool": BOOL,
    "_Bool": BOOL,
    "char": CType(8, True),
    "short": CType(16, True),
    "int": INT,
    "long": LONG,
    "ushort": CType(16, False),
    "uint": CType(32, False),
    "ulong": ULONG,
    "size_t": ULONG,
    "gfn_t": ULONG,
    "gpa_t": ULONG,
    "hpa_t": ULONG,
    "hfn_t": ULONG,
    "pfn_t": ULONG,
    "kvm_pfn_t": ULONG,
    **{f"{p}{sign}{bits}": CType(bits, sign == "s") for p in ("", "__") for sign in "us" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}_t": CType(bits, False) for bits in (8, 16, 32, 64)},
    **{f"int{bits}_t": CType(bits, True) for bits in (8, 16, 32, 64)},
}


PLAIN_CHAR = "char has no sign of its own since 6.2 (u8 or s8)"
"""Source: Linux 6.2 builds with -funsigned-char; on x86 a plain char was signed before."""


def is_plain_char(words: str) -> bool:
    """Whether words name a char of neither sign."""
    return [word for word in words.split() if word not in ("const", "volatile")] == ["char"]


def is_type_name(word: str) -> bool:
    """Whether a word names a type rather than a value."""
    return word in _TYPES or word.endswith("_t") or word in ("unsigned", "signed", "void", "const", "volatile")


def integer_type(text: str) -> CType | None:
    """The type that words such as 'u8', 'unsigned long' or 'enum x' name; None for others."""
    words = [w for w in text.split() if w not in ("const", "volatile")]
    if words[:1] == ["enum"]:
        return CType(32, False)
    unsigned = "unsigned" in words
    rest = [w for w in words if w not in ("unsigned", "signed")]
    if len(rest) < len(words) or len(rest) > 1:
        sized = [w for w in rest if w != "int"] or ["int"]
        if rest.count("int") < 2 and sized in (["long"], ["long", "long"], ["short"], ["char"], ["int"]):
            return CType(_TYPES[sized[0]].bits, not unsigned)
        return None
    return _TYPES.get(rest[0]) if rest else None
