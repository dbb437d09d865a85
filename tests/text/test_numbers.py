# SPDX-License-Identifier: GPL-2.0-only
"""Numbers and sizes as people type them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.text.numbers import SUFFIXES, format_size, parse_number

values = st.integers(0, (1 << 64) - 1) | st.integers(0, 63).map(lambda bit: 1 << bit)


@given(values)
def test_what_is_printed_parses_back(value: int) -> None:
    """decimal, 0x hex, sizes with K, M, G, T."""
    for text in (str(value), hex(value), f"0X{value:X}", f"0x{value:_x}", f"{value:#018x}", format_size(value)):
        assert parse_number(text) == value


@given(st.integers(0, (1 << 24) - 1), st.sampled_from(sorted(SUFFIXES)))
def test_a_suffix_is_a_power_of_1024(count: int, suffix: str) -> None:
    power = "KMGT".index(suffix) + 1
    for text in (f"{count}{suffix}", f"{count}{suffix.lower()}", f"{count:#x}{suffix}", f" {count}{suffix}\n"):
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
        *((text, NO_NUMBER) for text in ("", " ", "K", "-1", "+1", "1.5G", "4GB", "4Ki", "4 G", "1e6", "ff", "1_000")),
        *((text, NO_NUMBER) for text in ("0b1", "0o17", "1KK", "\u0664", "\uff11", "1\u00b2", "x", "~", "0 x1", "0-1")),
        *((text, UNDERSCORES) for text in ("0x_1", "0x1_", "0x1__0", "0x_")),
        *((text, HEX) for text in ("0x", "0xK", "0xg", "0x-1", "0x 1", "0x1.0", "0x\uff11")),
        ("007", "has a leading zero (octal or decimal? write 7 or 0x...)"),
        ("00", "has a leading zero (octal or decimal? write 0 or 0x...)"),
        ("08G", "has a leading zero (octal or decimal? write 8 or 0x...)"),
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
