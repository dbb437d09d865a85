# SPDX-License-Identifier: GPL-2.0-only
"""Numbers and sizes as people type them, and as mtcalc prints them."""

from __future__ import annotations

SUFFIXES = {"K": 10, "M": 20, "G": 30, "T": 40}  # powers of two

_HEX = frozenset("0123456789abcdefABCDEF")
_PADDED = 16  # hex digits of 64 bits, as rdmsr -0 and memory dumps pad them


def _unit(word: str) -> tuple[str, int]:
    """A number without its unit, and the unit's power of two: 2M, 2MB, 2MiB, 2 kB; B alone is none (it is hex)."""
    lead = word
    if word[-1:] in ("B", "b"):
        lead = word[:-2] if word[-2:-1] in ("i", "I") else word[:-1]
        if lead[-1:].upper() not in SUFFIXES:
            return word, 0
    shift = SUFFIXES.get(lead[-1:].upper(), 0)
    if not shift:
        return word, 0
    # Dumps set a unit of two letters or three apart.
    return (lead[:-1].rstrip(" ") if lead != word else lead[:-1]), shift


def parse_number(text: str) -> int:
    """A number of 0 or more: decimal, 0x hex (underscores between digits), or with K, M, G, T.

    The units may be written as /proc/mtrr and QEMU do, 2048MB or 2 GiB: all are powers of 1024. Raises ValueError
    saying what is wrong and what would be right.
    """
    # Units hold K, M, G or T, which no hex digit is: so they work after hex too.
    word, shift = _unit(text.strip())
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
    elif word.isascii() and word.isdigit() and (len(word) == 1 or word[0] != "0"):
        value = int(word)
    elif len(word) > 1 and word[0] == "0" and _is_bare_hex(word):
        hexadecimal = f"0x{word.lstrip('0') or '0'}{text.strip()[len(word) :]}"
        also = "; decimal has no leading zero" if word.isdigit() else ""
        raise ValueError(f"'{text}' has a leading zero (hex is written {hexadecimal}{also})")
    elif not shift and _is_bare_hex(word) and not word.isalpha() and not _may_be_decimal(word):
        raise ValueError(f"'{text}' is not a number (hex is written 0x{word})")
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


def _is_bare_hex(word: str) -> bool:
    """Whether a word is hex digits alone, and not binary as C writes it."""
    if not word or not _HEX.issuperset(word):
        return False
    return len(word) >= _PADDED or word[:2].lower() != "0b" or not frozenset("01").issuperset(word[2:])


def _may_be_decimal(word: str) -> bool:
    """Whether hex digits may be meant as 10e6, or as 64B: a hint at hex would lead to another number."""
    lead, _, power = word.lower().partition("e")
    return (lead.isdigit() and power.isdigit()) or (word[:-1].isdigit() and word[-1] in "bB")


def parse_address(text: str) -> int:
    """As parse_number(); 16 hex digits that begin with 0, as dumps pad them, are hex. Raises ValueError."""
    word = text.strip()
    if len(word) == _PADDED and word[0] == "0" and _HEX.issuperset(word):
        return int(word, 16)
    return parse_number(text)


def parse_written_register(text: str) -> int:
    """What a register holds, as a scenario has it: as parse_address(), but digits that rdmsr may have printed in hex
    as well are not taken for decimal. Raises ValueError."""
    word = text.strip()
    if 1 < len(word) <= _PADDED and word.isascii() and word.isdigit() and word[0] != "0":
        raise _hex_or_decimal(text, word)
    return parse_address(text)


def _hex_or_decimal(text: str, word: str) -> ValueError:
    return ValueError(f"'{text}': hex or decimal? (write 0x{word} or {int(word):#x})")


def parse_register_value(text: str) -> int:
    """What a register holds, as rdmsr and dumps print it too: bare hex with a letter or a leading zero is hex.

    Raises ValueError as parse_number(), and for digits that may be hex as well as decimal.
    """
    word = text.strip()
    if len(word) > 1 and _is_bare_hex(word):
        if len(word) > 40:
            raise ValueError("number too long (at most 64 bits: 0xffffffffffffffff)")
        if word.isdigit() and word[0] != "0":
            raise _hex_or_decimal(text, word)
        return parse_number(f"0x{word}")
    if len(word) == 1 and word in _HEX:
        return int(word, 16)
    return parse_number(text)


def format_size(size: int) -> str:
    """A size in bytes with the largest suffix that divides it: 0x40000000 -> '1G', 4097 -> '4097'."""
    for suffix, shift in reversed(SUFFIXES.items()):
        if size and not size & ((1 << shift) - 1):
            return f"{size >> shift}{suffix}"
    return str(size)
