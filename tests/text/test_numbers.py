# SPDX-License-Identifier: GPL-2.0-only
"""Numbers and sizes as people type them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.text.numbers import SUFFIXES, format_size, parse_address, parse_number, parse_register_value

values = st.integers(0, (1 << 64) - 1) | st.integers(0, 63).map(lambda bit: 1 << bit)


@given(values)
def test_what_is_printed_parses_back(value: int) -> None:
    """decimal, 0x hex, sizes with K, M, G, T."""
    for text in (str(value), hex(value), f"0X{value:X}", f"0x{value:_x}", f"{value:#018x}", format_size(value)):
        assert parse_number(text) == value


@given(st.integers(0, (1 << 24) - 1), st.sampled_from(sorted(SUFFIXES)))
def test_a_suffix_is_a_power_of_1024(count: int, suffix: str) -> None:
    power = "KMGT".index(suffix) + 1
    plain = (f"{count}{suffix}", f"{count}{suffix.lower()}", f"{count:#x}{suffix}", f" {count}{suffix}\n")
    long = [f"{count}{gap}{suffix}{unit}" for gap in ("", " ") for unit in ("B", "iB", "b")]
    for text in (*plain, *long):
        assert parse_number(text) == count * 1024**power


@given(values)
def test_a_size_is_printed_with_the_largest_suffix_that_divides_it(value: int) -> None:
    text = format_size(value)
    powers = [n for n in range(1, 5) if value and value % 1024**n == 0]
    assert text == (f"{value // 1024 ** powers[-1]}{'KMGT'[powers[-1] - 1]}" if powers else str(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("0K", 0),
        ("0x0", 0),
        ("0x00ff", 255),
        ("0x1_0000_0000", 1 << 32),
        ("0xb", 11),
        ("0xffffffffffffffff", (1 << 64) - 1),
        ("18446744073709551615", (1 << 64) - 1),
        ("16777215T", 16777215 << 40),
        ("2048MB", 2048 << 20),  # /proc/mtrr
        ("1024KB", 1 << 20),
        ("4GiB", 4 << 30),
        ("4 GiB", 4 << 30),  # QEMU
        ("16384 kB", 16 << 20),  # /proc/meminfo
        ("1tb", 1 << 40),
        ("0x10MB", 16 << 20),
        ("0x10B", 0x10B),
    ],
)
def test_numbers(text: str, value: int) -> None:
    assert parse_number(text) == value


NO_NUMBER = "is not a number (decimal, 0x hex, or a size such as 64K, 2M, 4G, 1T)"
UNDERSCORES = "is not a number (underscores stand between hex digits)"
HEX = "is not a number (hex is 0x and digits 0-9 a-f)"
TOO_LARGE = "does not fit 64 bits (at most 0xffffffffffffffff)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, NO_NUMBER) for text in ("", " ", "K", "-1", "+1", "1.5G", "4Ki", "4 G", "ff", "1_000")),
        *((text, NO_NUMBER) for text in ("0b1", "0o17", "1KK", "\u0664", "\uff11", "1\u00b2", "x", "~", "0 x1", "0-1")),
        *((text, NO_NUMBER) for text in ("MB", " kB", "iB", "4iB", "4GBB", "4GiBB", "4MB5", "4G B", "4 G iB", "4\tGB")),
        *((text, NO_NUMBER) for text in ("1.5GB", "-1MB", "4PB", "0b11")),
        *((text, NO_NUMBER) for text in ("1e6", "10E9", "4B", "64b")),  # ten to the sixth, bytes: not hex
        ("9e3f", "is not a number (hex is written 0x9e3f)"),
        *((text, UNDERSCORES) for text in ("0x_1", "0x1_", "0x1__0", "0x_")),
        *((text, HEX) for text in ("0x", "0xK", "0xg", "0x-1", "0x 1", "0x1.0", "0x\uff11")),
        ("007", "has a leading zero (hex is written 0x7; decimal has no leading zero)"),
        ("00", "has a leading zero (hex is written 0x0; decimal has no leading zero)"),
        ("010", "has a leading zero (hex is written 0x10; decimal has no leading zero)"),
        ("08G", "has a leading zero (hex is written 0x8G; decimal has no leading zero)"),
        ("010 MiB", "has a leading zero (hex is written 0x10 MiB; decimal has no leading zero)"),
        ("00c6", "has a leading zero (hex is written 0xc6)"),
        ("0000000000000c06", "has a leading zero (hex is written 0xc06)"),
        ("0000000000000123", "has a leading zero (hex is written 0x123; decimal has no leading zero)"),
        ("18446744073709551616", TOO_LARGE),
        ("0x10000000000000000", TOO_LARGE),
        ("16777216T", TOO_LARGE),
        ("0xffffffffffffffffK", TOO_LARGE),
    ],
)
def test_what_is_no_number_says_what_would_be(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(f"'{text}' {message}") + "$"):
        parse_number(text)


def test_a_number_far_too_long_is_refused_without_being_read() -> None:
    for text in ("9" * 5000, "0x" + "f" * 5000, "1" + "0" * 41 + "K"):
        with pytest.raises(ValueError, match=r"number too long \(at most 64 bits: 0xf{16}\)"):
            parse_number(text)


@given(st.text(max_size=12))
def test_any_text_is_a_64_bit_number_or_a_reason(text: str) -> None:
    try:
        value = parse_number(text)
    except ValueError as error:
        assert str(error).endswith(")")  # noqa: PT017 - the answer is one of two
    else:
        assert 0 <= value < 1 << 64


@given(values)
def test_registers_are_read_as_rdmsr_prints_them(value: int) -> None:
    """Padded, with a letter or with 0x: hex. Digits alone may be decimal too: refused with both, never guessed."""
    assert parse_register_value(hex(value)) == value
    assert parse_register_value(f"{value:016x}" if value < 1 << 60 else hex(value)) == value
    bare = f"{value:x}"
    if len(bare) == 1 or not bare.isdigit():
        assert parse_register_value(bare) == value
        assert parse_register_value(bare.upper()) == value
    else:
        with pytest.raises(ValueError, match=rf"^'{bare}': hex or decimal\? \(write 0x{bare} or {int(bare):#x}\)$"):
            parse_register_value(bare)


@given(st.integers(0, (1 << 60) - 1))
def test_addresses_are_read_as_dumps_pad_them(value: int) -> None:
    assert parse_address(f"{value:016x}") == parse_address(f"{value:016X}") == parse_address(hex(value)) == value
    assert parse_address(str(value)) == value or (len(str(value)) == 16 and str(value)[0] == "0")


@pytest.mark.parametrize(
    ("text", "value"),
    [("0c06", 0xC06), ("0123", 0x123), ("00", 0), ("c06", 0xC06), ("1e6", 0x1E6), ("f", 15), ("2G", 2 << 30)],
)
def test_register_values(text: str, value: int) -> None:
    assert parse_register_value(text) == value


@pytest.mark.parametrize("text", ["0b1", "0b0110", "0b", "-c06", "c0_6", "", "c06h", "f" * 17, "0" * 41])
def test_what_no_register_holds(text: str) -> None:
    with pytest.raises(ValueError, match=r"\)$"):
        parse_register_value(text)


_HINT = re.compile(r"write[n]? (0x[0-9a-f]+(?: ?[kmgt]i?b?)?)(?: or (0x[0-9a-f]+))?", re.IGNORECASE)


@given(st.text("0123456789abcdefABCDEF", min_size=1, max_size=17), st.sampled_from(("", "K", "MB", " GiB")))
def test_what_a_message_offers_is_what_the_digits_say_in_hex(digits: str, unit: str) -> None:
    """Or in decimal where both are offered: whoever writes what the message says has the number that was meant."""
    for read in (parse_number, parse_address, parse_register_value):
        try:
            read(digits + unit)
        except ValueError as error:
            hint = _HINT.search(str(error))
            if hint:
                assert parse_number(hint[1]) == parse_number(f"0x{digits}{unit}")
            if hint and hint[2]:
                assert parse_number(hint[2]) == int(digits)
