# SPDX-License-Identifier: GPL-2.0-only
"""What is cut out of a file is all that a function's meaning hangs on: what else changes, changes no rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.csource.cut import Cut, cut
from mtcalc.csource.source import rules_from_c
from mtcalc.rules.builtin import built_in_names
from support.patches import BEFORE, c_file, kernel
from support.trees import function_of

NAME = "vmx_get_mt_mask"


def cut_of(text: str) -> Cut:
    found = cut(text.encode(), NAME)
    assert found is not None
    return found


def decided(text: str) -> object:
    return [(rule.when, rule.then) for rule in rules_from_c(text, "vmx.c").rules]


@pytest.mark.parametrize("name", [name for name in built_in_names() if kernel(name).rules.rules])
def test_the_cut_alone_has_the_rules(name: str) -> None:
    """Of every built-in set, in a file with other functions."""
    text = c_file(function_of(name))
    found = cut(text.encode(), NAME)
    assert found is not None
    alone = b"\n".join((found.around, found.functions)).decode() + "\n"
    assert decided(alone) == decided(text)
    assert b"vmx_stand_in" not in found.functions


def test_none_where_it_is_not_defined() -> None:
    assert cut(b"", NAME) is None
    assert cut(BEFORE.encode(), NAME) is None
    assert cut(b"u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu);\n\treturn vmx_get_mt_mask(a, b);\n", NAME) is None
    assert cut(b"static u8 not_vmx_get_mt_mask(int a)\n{\n\treturn 0;\n}\n", NAME) is None


FUNCTION = """\
static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
{
\tif (one(vcpu) && SOME_TYPE)
\t\treturn VALUE;
\treturn 0x30;
}
"""
HELPERS = """\
#define VALUE 0x70
#define LONG_ONE (1 << 3 | \\
\t\t1 << 4)
enum { OTHER, SOME_TYPE = 6 };
static const u8 unused = 3;
static bool two(struct kvm_vcpu *vcpu)
{
\treturn LONG_ONE & limit;
}

static const u8 limit = 6;

static bool
one(struct kvm_vcpu *vcpu)
{
\treturn two(vcpu);
}

static int stranger(int value)
{
\treturn value;
}

"""
WHOLE = HELPERS + FUNCTION


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("VALUE 0x70", "VALUE 0x40"),
        ("1 << 4)", "1 << 5)"),
        ("SOME_TYPE = 6", "SOME_TYPE = 0"),
        ("return two(vcpu)", "return !two(vcpu)"),
        ("return LONG_ONE & limit", "return LONG_ONE"),
        ("limit = 6", "limit = 7"),
        ("static bool\none", "static u64\none"),
        ("return 0x30", "return 0x00"),
        ("#define VALUE 0x70\n", "#  define  VALUE\t0x70\n#undef VALUE\n"),
    ],
)
def test_what_counts(old: str, new: str) -> None:
    assert old in WHOLE
    assert cut_of(WHOLE) != cut_of(WHOLE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"), [("return value;", "return 0;"), ("unused = 3", "unused = 4"), ("int value", "int v")]
)
def test_what_does_not_count(old: str, new: str) -> None:
    assert old in WHOLE
    assert cut_of(WHOLE) == cut_of(WHOLE.replace(old, new))


def test_both_of_two_definitions() -> None:
    twice = f"#ifdef A\n{FUNCTION}#else\n{FUNCTION.replace('0x30', '0x00')}#endif\n"
    assert cut_of(twice) != cut_of(twice.replace("0x00", "0x08"))


@given(st.binary(max_size=200))
def test_any_bytes(noise: bytes) -> None:
    cut(noise + WHOLE.encode() + noise, NAME)
    cut(noise.replace(b"a", b"\nvmx_get_mt_mask ("), NAME)
