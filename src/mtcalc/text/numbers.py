# SPDX-License-Identifier: GPL-2.0-only
"""Numbers and sizes as people type them, and as mtcalc prints them."""

from __future__ import annotations

SUFFIXES = {"K": 10, "M": 20, "G": 30, "T": 40}  # powers of two

_HEX = frozenset("0123456789abcdefABCDEF")


def parse_number(text: str) -> int:
    """A number of 0 or more: decimal, 0x hex (underscores between digits), or with K, M, G, T.

    Raises ValueError saying what is wrong and what would be right.
    """
    word = text.strip()
    shift = 0
    # B, E and digits are hex; K, M, G and T are not, so a suffix works after hex too.
    if word and word[-1].upper() in SUFFIXES:
        shift = SUFFIXES[word[-1].upper()]
        word = word[:-1]
    if len(word) > 40:
        raise ValueError("number too long (at most 64 bits: 0xffffffffffffffff)")
    if word[:2] in ("0x", "0X"):
        digits = word[2:]
        if digits.startswith("_") or digits.endswith("_") or "__" in digits:
            raise ValueError(f"'{text}' is not a number (underscores stand between hex digits)")
        digits = digits.replace("_", "")
        if not digits or not _HEX.issuperset(digits):
            raise ValueError(f"'{text}' is not a number (hex is 0x and digits 0-9 a-f)")
        value = int(digits, 16)
    elif word.isascii() and word.isdigit():
        if len(word) > 1 and word[0] == "0":
            raise ValueError(
                f"'{text}' has a leading zero (octal or decimal? write {word.lstrip('0') or '0'} or 0x...)"
            )
        value = int(word)
    else:
        raise ValueError(f"'{text}' is not a number (decimal, 0x hex, or a size such as 64K, 2M, 4G, 1T)")
    value <<= shift
    if value >> 64:
        raise ValueError(f"'{text}' does not fit 64 bits (at most 0xffffffffffffffff)")
    return value


def parse_entry(text: str) -> int:
    """A page-table entry: hex, with 0x or without, as traces print it; nobody writes one in decimal.

    Raises ValueError as parse_number() does.
    """
    word = text.strip().lower()
    return parse_number(word if word.startswith("0x") else f"0x{word}")


def format_size(size: int) -> str:
    """A size in bytes with the largest suffix that divides it: 0x40000000 -> '1G', 4097 -> '4097'."""
    for suffix, shift in reversed(SUFFIXES.items()):
        if size and not size & ((1 << shift) - 1):
            return f"{size >> shift}{suffix}"
    return str(size)
