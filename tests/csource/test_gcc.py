# SPDX-License-Identifier: GPL-2.0-only
"""C read as gcc reads it: random functions and hand-written traps, compiled and run, over all inputs."""

from __future__ import annotations

import pytest

from mtcalc.csource.source import rules_from_c
from support.gcc_oracle import GCC, Verdict, judge
from support.random_c import Program, random_program

pytestmark = pytest.mark.skipif(GCC is None, reason="no gcc here")

COUNT = 100
"""How many random functions the suite judges; thousands are a run by hand (support/gcc_oracle.py)."""


def test_law_what_is_read_is_what_gcc_reads() -> None:
    """Every random function gives gcc's byte for every input, or is refused; most are read."""
    verdicts = judge([random_program(seed) for seed in range(COUNT)])
    wrong = [f"{verdict.differs}\n{verdict.program.text}" for verdict in verdicts if verdict.differs]
    assert not wrong, "\n".join(wrong)
    assert sum(not verdict.refused for verdict in verdicts) > COUNT * 0.8


HEAD = "u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio, struct kvm_memory_slot *slot)"
GMT = "kvm_mtrr_get_guest_memory_type(vcpu, gfn)"
FOO = "foo_0(vcpu)"


def program(body: str, before: str = "", kinds: tuple[str, str] = ("int", "int")) -> Program:
    """A function with that body, told apart by the inputs that its text names."""
    told = {"mmio": "is_mmio", "dma": "noncoherent", "cd": "cr0", "flag": "slot->", "type": GMT}
    inputs = tuple(name for name, word in told.items() if word in body + before)
    values = (0, 1, 2, 3, 255, 256, -1, 0x1_0000_0001) if FOO in body else (0,)
    return Program(f"{before}{HEAD}\n{{\n{body}\n}}\n", inputs, values, values if "bar_0" in body else (0,), kinds)


READ = {
    # What reads as a cast to a function or an array, and is none.
    "call, sign, parenthesis": "return (kvm_read_cr0_bits(vcpu, X86_CR0_CD)) - (is_mmio) * (int)(is_mmio);",
    "call of one name": f"return ({FOO}) - ({FOO}) * (is_mmio) > (2);",
    "call and the address of": f"return (({FOO}) & (is_mmio | 6)) + (is_mmio) == (7);",
    "a field of what a pointer points to": "return (*slot).flags & 8 ? 1 : 2;",
    # Scopes.
    "shadow before its declaration": "u8 a = 8;\n{\na = 0x30;\nu8 a = 0;\n}\nreturn a;",
    "own name in an inner initialiser": "u8 a = 8;\n{\nu8 b = a;\nu8 a = b + 1;\nif (is_mmio)\nreturn a;\n}\nreturn a;",
    "label before a declaration": "u8 a = 0x30;\n{\nx:\n;u8 a = 8;\n}\nreturn a;",
    "declaration in a case": "switch (is_mmio) {\ncase 0: ;\nu8 a = 6;\nreturn a;"
    "\ndefault:\na = 7;\nreturn a;\n}\nreturn 1;",
    "several declarators": "u8 a = 1, b = a + 1, c = a + b;\nreturn c;",
    "goto over a block": "u8 a = 1;\nif (is_mmio)\ngoto out;\n{\nu8 a = 9;\na += 1;\n}\na = 2;\nout:\nreturn a;",
    "goto out of a switch": "switch (is_mmio) {\ncase 1:\ngoto out;\n}\nreturn 1;\nout:\nreturn 2;",
    "parameter shadowed": "u8 a = is_mmio;\n{\nu8 is_mmio = 7;\na += is_mmio;\n}\nreturn a + is_mmio;",
    "dangling else": "if (is_mmio)\nif (slot->flags & 8)\nreturn 1;\nelse\nreturn 2;\nreturn 3;",
    "default in the middle": f"switch ({GMT}) {{\ncase 1:\nreturn 1;\ndefault:\ncase 4:\nreturn 2;"
    "\ncase 6:\nreturn 3;\n}\nreturn 4;",
    "nested switch": "switch (is_mmio) {\ncase 0:\nswitch (slot->flags & 8) {\ncase 8:\nbreak;"
    "\ndefault:\nreturn 2;\n}\nreturn 3;\n}\nreturn 4;",
    # Types.
    "arms of ?: in one type": f"if ({GMT} < ~(is_mmio ? 0 : 1UL))\nreturn 0x30;\nreturn 0x40;",
    "arms of nested ?:": "return (is_mmio ? -1 : slot->flags & 8 ? 1u : 2) > 5;",
    "arm of a bool": "return ~(is_mmio ? true : 0x80000000) >> 28;",
    "type compared as unsigned": f"u32 t = {GMT};\nif (t > -1)\nreturn 1;\nreturn 2;",
    "type compared as int": f"u8 t = {GMT};\nif (t > -1)\nreturn 1;\nreturn 2;",
    "type against all ones": f"if ({GMT} == 0xffffffffffffffff || {GMT} < -1L)\nreturn 1;\nreturn 2;",
    "case of another type": "int x = -1;\nswitch (x) {\ncase 0xffffffffUL:\nreturn 1;\n}\nreturn 2;",
    "case of a long": "u64 x = 0xffffffff;\nswitch (x) {\ncase -1:\nreturn 1;\n}\nreturn 2;",
    "case of a byte": "u8 x = 255;\nswitch (x) {\ncase -1:\nreturn 1;\n}\nreturn 2;",
    "bool keeps a bit": "bool b = 4;\nreturn b << 3;",
    "bool compounds": "bool b = is_mmio;\nb += 1;\nb <<= 3;\nb ^= 1;\nreturn b;",
    "bool negated": "bool b = is_mmio;\nreturn ~b & 0x3 | -b;",
    "byte wraps": "u8 x = 255;\nx += 1;\nreturn x;",
    "byte promoted": "u8 x = 255;\nreturn (x + 1) >> 1;",
    "short product": "u16 x = 0xffff;\nreturn (x * 2) >> 16;",
    "signed byte": "s8 x = 0x80;\nreturn x >> 1;",
    "signed byte widened": "s8 x = -2;\nu32 y = x;\nreturn y >> 24;",
    "unsigned against signed": "u32 x = 1;\nreturn (-1 < x) | (-1L < x) << 1;",
    "the smallest int": "return (-2147483648 < 0) | (0x80000000 > 0) << 1 | (-0x80000000 > 0) << 2;",
    "suffixes": "return (0xffffffffu + 1 == 0) | (0xffffffffL + 1 == 0) << 1 | (4294967295 + 1 == 0) << 2;",
    "long likely": "return likely(is_mmio) << 3;",
    "likely wide": "return ~likely(0) >> 40 & 0xff;",
    "warn is a long": "return ~WARN_ON_ONCE(is_mmio) >> 40 & 0xff;",
    "mask cut": "u8 cd = kvm_read_cr0(vcpu) & X86_CR0_CD;\nif (cd)\nreturn 0x40;\nreturn 0x30;",
    "bool of a mask": "bool cd = kvm_read_cr0(vcpu) & X86_CR0_CD;\nreturn cd << 3;",
    "shift of a mask": "return kvm_read_cr0_bits(vcpu, X86_CR0_CD) >> 27;",
    "cast of a minus": "u8 x = 3;\nreturn (u8)-1 - (x);",
    "cast of a minus before a product": "u8 x = 2;\nreturn (u16)-1 * x >> 9 & x * (s8)-1;",
    "cast of a cast of a minus": "return (unsigned)(u8)-1 >> 4 | (int)(s8)-1 >> 30;",
    "not of a cast of a minus": "return ~(u8)-8 & 0xf | !(u8)-256 << 4;",
    "cast of minus minus": "return (u8)- -1 + (s8)+-(u8)+2;",
    "cast of a minus of a condition": "return (u8)-is_mmio | (bool)-(slot->flags & 8);",
    "cast of a minus in a comparison": "return ((u32)-1 > 0) | ((s64)-1 < 0) << 1 | ((u8)-1 == -1) << 2;",
    "cast of a minus in a case": "switch (255) {\ncase (u8)-1:\nreturn 1;\n}\nreturn 2;",
    "cast of a minus as an argument": "return likely((u64)-1 >> 60 == 15) ? (u8)-1 : (s8)-1;",
    "cast of what a pointer points to": "u8 x = 200;\nreturn (s8)*&x < 0;",
    "cast of a name with more behind it": "return (u64)(slot)->flags & 8 ? 1 : (u8)(slot)[0].flags & 2;",
    "cast of a cast of a name": "int x = 200;\nreturn (unsigned)(s8)(x) >> 28 | (u8)(s8)(x) >> 7;",
    "range of bits": "return (slot->flags & GENMASK(3, 3)) | GENMASK_ULL(7, 6);",
    "own name of a type": "u8 x = 1;\nreturn (x)-1 + (u8)-1;",
    "compound operators": "u32 x = -1;\nx -= (u8)-1;\nx >>= 28;\nx *= 3;\nreturn x;",
    "configured": f"if (IS_ENABLED(CONFIG_X86_64) == 1 && {FOO})\nreturn IS_ENABLED(CONFIG_KVM_OURS) << 3;\nreturn 1;",
    "expected": f"if (__builtin_expect({FOO}, 1) == 1)\nreturn 1;\nreturn ~__builtin_expect(is_mmio, 0) >> 40 & 0xff;",
    # Precedence.
    "not before and": "if (!slot->flags & 8)\nreturn 1;\nreturn 2;",
    "equal before and": "if (slot->flags & 8 == 8)\nreturn 1;\nreturn 2;",
    "plus before shift": "return 1 << 2 + is_mmio;",
    "bare name in parentheses": "u8 x = 12;\nreturn (x) & 8 | (x) - 1;",
    # What only another file knows.
    "bool of an unknown": f"bool b = {FOO};\nif (b == bar_0(vcpu))\nreturn 1;"
    f"\nif ({FOO} == bar_0(vcpu))\nreturn 2;\nreturn 3;",
    "bool constant and an unknown": f"bool b = 4;\nreturn {FOO} > b ? 0x30 : 0;",
    "mask in a local": f"u64 both = 1 | 2;\nif ({FOO} & both)\nreturn 1;\nif (({FOO} & 1) | 2)\nreturn 2;\nreturn 3;",
    "unknown cut and not": f"u32 x = {FOO};\nif (x < 0)\nreturn 1;\nif ({FOO} < 0)\nreturn 2;\nreturn 3;",
    "unknown cut to 32 bits": f"u32 x = {FOO};\nif (x == 1)\nreturn 1;\nif ({FOO} == 1)\nreturn 2;\nreturn 3;",
    "unknown as a signed byte": f"s8 x = {FOO};\nif (x == 255)\nreturn 1;\nif (x == -1)\nreturn 2;\nreturn 3;",
    "minus in parentheses": f"if (1 - ({FOO} - 1) == 1)\nreturn 1;\nif (1 - {FOO} - 1 == 1)\nreturn 2;\nreturn 3;",
    "minus of a minus": f"int x = -1;\nif (- x - {FOO} > 0)\nreturn 1;\nif (-(x - {FOO}) > 0)\nreturn 2;\nreturn 3;",
    "type of a number": f"s32 x = 128 + (slot->flags & 2);\nreturn ~{FOO} < x;",
    "type of a condition": f"u64 x = is_mmio;\nreturn ~x < {FOO};",
    "or of a number": f"int x = is_mmio || 256;\nreturn (x ^ 2) < {FOO};",
    "cast of an unknown": f"return (u32){FOO} == 1;",
    "unknown in a switch": f"switch ({FOO}) {{\ncase 1:\nreturn 1;\ncase -1:\nreturn 2;\n}}\nreturn 3;",
    "not of an unknown twice": f"if (!!{FOO} == 2)\nreturn 1;\nif ({FOO} == 2)\nreturn 2;\nreturn 3;",
}

BEFORE = {
    "enumerators in order": ("enum { A0, B0 = 5, C0 };\n", "return C0 << 3 | A0;"),
    "negative enumerator": ("enum { N0 = -1 };\n", "return N0 < 0;"),
    "enumerator of an enumerator": ("enum { D0 = 3 };\nenum { E0 = D0 << 1, F0 };\n", "return F0;"),
    "enum with a name": ("enum kind { G0 = 4, };\n", "enum kind k = G0;\nreturn k - 5 > 0;"),
    "macro of one number": ("#define TY0 (MTRR_TYPE_WRBACK)\n", "return TY0 << 3;"),
    "macro over two lines": ("#define TZ0 \\\n\t0x30\n", "return TZ0;"),
    "macro with a comment": ("#define TC0 0x30 /* or\n 0x40 */\n", "return TC0;"),
    "macro below its use": ("u8 below0(void);\n", "return 1;"),
    "comment that goes on": ("", "u8 x = 1; // so \\\nx = 2;\nreturn x;"),
    "comment that goes on behind blanks": ("", "u8 x = 1; // so \\ \t\nx = 2;\nreturn x;"),
    "comment marks in a string": ('static const char s0[] = "/*";\n', 'return 1; // "*/"'),
    "macro of a cast of a minus": ("#define CM0 ((u8)-1)\n#define CN0 (u16)~CM0\n", "return CM0 - 1 + (CN0 >> 8);"),
    "enum with a negative": (
        "enum sign0 { SN0 = -1 };\n",
        "enum sign0 k = SN0;\nreturn (k < 0) | (-1 < (enum sign0)0) << 1;",
    ),
    "enum without a negative": (
        "enum plain0 { PL0 };\n",
        "enum plain0 k = -1;\nreturn (k < 0) | ((enum plain0)-1 > 0) << 1;",
    ),
    "helper of an enum": (
        "enum less0 { LE0 = -2 };\nstatic enum less0 h7_0(void)\n{\nreturn LE0;\n}\n",
        "return (is_mmio ? h7_0() : 0u) > 5 | (h7_0() < 0) << 1;",
    ),
    "own typedef and a minus": ("typedef u8 less0_t;\ntypedef short word1;\n", "return (less0_t)-1 - (word1)-1;"),
    "own typedef": ("typedef unsigned char small0_t;\n", "small0_t x = 256;\nreturn x;"),
    "own typedef in a cast": ("typedef signed char tiny0;\n", "u8 x = 255;\nreturn (tiny0)x < 0;"),
    "helper of its own type": (
        "static unsigned int h6_0(struct kvm_vcpu *v)\n{\nreturn kvm_is_cr0_bit_set(v, X86_CR0_CD);\n}\n",
        "return -1 < h6_0(vcpu);",
    ),
    "helper cuts its argument": ("static inline bool h1_0(u8 x)\n{\nreturn x;\n}\n", "return h1_0(256) << 3;"),
    "helper cuts its value": ("static s8 h2_0(int x)\n{\nreturn x;\n}\n", "return h2_0(0x80) >> 1;"),
    "helper below a pointer": (
        "static void h3_0(u8 *x, bool y)\n{\n*x += y;\n}\n",
        "u8 v = 255;\nh3_0(&v, 2);\nreturn v;",
    ),
    "helper that returns a pointer": (
        "static struct kvm *h4_0(struct kvm_vcpu *v)\n{\nreturn v->kvm;\n}\n",
        "return kvm_arch_has_noncoherent_dma(h4_0(vcpu));",
    ),
    "helper with names of its caller": (
        "static u8 h5_0(u8 a)\n{\nu8 b = a + 1;\nreturn b;\n}\n",
        "u8 a = 3, b = 7;\nreturn h5_0(b) + a + b;",
    ),
}

MAY_BE_REFUSED = {
    "cast of a call": ("", "return (u64)(*slot).flags & 8;"),
    "product as a statement": ("", "u8 x = 1, y = 2;\n{\nx * y;\ny = 3;\n}\nreturn y;"),
    "constant of the file": ("static const u8 one0 = 6;\n", "return one0 << 3;"),
    "list of constants": ("static const u8 list0[] = { 1, 6 };\n", "if (list0[1] == 6)\nreturn 1;\nreturn 2;"),
    "type of a value": ("", "return (typeof(gfn))-1 > 0;"),
    "argument written in passing": ("", "u8 x = 1;\nif (KVM_BUG_ON(is_mmio, x = 3))\nreturn x;\nreturn x;"),
    "division": ("", "return (u32)-1 / 2 >> 24;"),
    "once": ("", "u8 x = 1;\ndo {\nx = 2;\n} while (0);\nreturn x;"),
    "plain char": ("", "char c = 0xf0;\nreturn c >> 1;"),
    "return is a macro": (
        "#define return return 0x40 |\n",
        "if (is_mmio)\nreturn 0;\nreturn 0x30;\n}\n#undef return\nint r0(void)\n{\nreturn 1;",
    ),
    "bool is a macro": (
        "#undef bool\n#define bool int\n",
        "bool x = 2;\nreturn x << 3;\n}\n#undef bool\n#define bool _Bool\nint b0(void)\n{\nreturn 1;",
    ),
    "if is a macro": (
        "#define if(x) if (!(x))\n",
        "if (is_mmio)\nreturn 0;\nreturn 0x30;\n}\n#undef if\nint i0(void)\n{\nreturn 1;",
    ),
    "macro closes a block": (
        "#define END0 } else {\n",
        "u8 x = 1;\nif (is_mmio) {\nx = 2;\nEND0\nx = 3;\n}\nreturn x;",
    ),
    "macro that falls apart": ("#define AP0 2 + 1\n", "return AP0 * 2;"),
    "macro of a minus": ("#define MI0 -1\n", "return 3 MI0;"),
    "macro of a field": (
        "#define flags flags + 8\n",
        "return slot->flags;\n}\n#undef flags\nint f0(void)\n{\nreturn 1;",
    ),
    "macro under #if": ("#ifdef NO0\n#define UN0 1\n#else\n#define UN0 2\n#endif\n", "return UN0;"),
    "macro that is maybe there": ("enum { MB0 = 3 };\n#ifdef NO0\n#define MB0 1\n#endif\n", "return MB0;"),
    "macro changed": ("#define CH0 1\n#undef CH0\n#define CH0 2\n", "return CH0;"),
    "constant taken away": (
        "#undef MTRR_TYPE_WRPROT\nenum { MTRR_TYPE_WRPROT = 4 };\n",
        "return MTRR_TYPE_WRPROT;\n}\nint wp0(void)\n{\nreturn 1;",
    ),
    "enum inside": ("", "enum { IN0 = 3 };\nreturn IN0;"),
    "enum inside another": ("enum { X0 = 1 };\nint g0(void)\n{\nenum { X0 = 2 };\nreturn X0;\n}\n", "return X0;"),
    "word cut in two": ("", "u8 ab = 1;\nreturn a\\\nb;"),
    "comment mark cut in two": ("", "u8 x = 1; /* *\\\n/ x = 2; /* */\nreturn x;"),
    "comma": ("", "u8 x = (1, 2);\nreturn x;"),
    "assignment inside": ("", "u8 x, y;\nx = y = 3;\nreturn x + y;"),
    "increment": ("", "u8 x = 1;\nx++;\nreturn x;"),
    "size of a type": ("", "return sizeof(u32);"),
    "array": ("", "u8 x[2] = {1, 2};\nreturn x[is_mmio];"),
    "character": ("", "return 'a';"),
    "no middle": ("", "return is_mmio ?: 3;"),
    "range of cases": ("", "switch (is_mmio) {\ncase 0 ... 1:\nreturn 1;\n}\nreturn 2;"),
    "loop": ("", "u8 x = 0;\nwhile (x < 3)\nx += 1;\nreturn x;"),
    "signed type": ("", "return 0x30;"),
    "local of a known name": ("", "u8 gfn_t = 3;\nreturn (gfn_t) & 1;"),
    "own typedef of a bare word": ("typedef int word0;\n", "u8 x = 1;\nreturn (word0) - 1 + x;"),
    "unknown arm": ("", f"return ~(is_mmio ? 0 : {FOO}) > 0;"),
}


def _verdicts(programs: dict[str, Program]) -> dict[str, Verdict]:
    return dict(zip(programs, judge([*programs.values()]), strict=True))


def test_traps_are_read_as_gcc_reads_them() -> None:
    programs = {name: program(body) for name, body in READ.items()}
    programs |= {name: program(body, before) for name, (before, body) in BEFORE.items()}
    found = {name: (verdict.refused, verdict.differs) for name, verdict in _verdicts(programs).items()}
    assert found == dict.fromkeys(found, ("", ""))


SIGNED = (
    "-1",
    "- 1",
    "~0",
    "+3",
    "-(1)",
    "-128",
    "~(1 << 7)",
    "-(u8)1",
    "~is_mmio",
    "-0x80000000",
    "-1 << 3",
    "~0 >> 4",
)
CASTS = (
    *("u8", "__u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "int", "unsigned", "unsigned int", "long", "bool"),
    *("unsigned long", "unsigned long long", "long long", "short", "unsigned char", "signed char", "ulong", "gfn_t"),
)


def test_law_a_cast_of_a_constant_is_what_gcc_makes_of_it() -> None:
    """Every integer type, every sign behind it: its bits, its sign, and how it compares with both signs."""
    programs = {}
    for kind in CASTS:
        for value in SIGNED:
            cast = f"({kind}){value}"
            low, high = f"({cast}) & 0xf", f"(({cast}) >> 4) & 0xf"
            compared = f"(({cast}) < 0) << 4 | (({cast}) > 0u) << 5 | (-1 < ({cast})) << 6 | (({cast}) == 255) << 7"
            programs[cast] = program(f"if (slot->flags & 8)\nreturn {low} | ({high}) << 4;\nreturn {compared};")
    found = {name: (verdict.refused, verdict.differs) for name, verdict in _verdicts(programs).items()}
    assert found == dict.fromkeys(found, ("", ""))


@pytest.mark.parametrize("kind", ["u8", "u32", "u64", "s64", "bool"])
def test_unknown_functions_may_return_any_type(kind: str) -> None:
    programs = {
        name: program(body, kinds=(kind, kind)) for name, body in READ.items() if FOO in body and "switch" not in body
    }
    assert {name: verdict.differs for name, verdict in _verdicts(programs).items()} == dict.fromkeys(programs, "")


@pytest.mark.parametrize("name", MAY_BE_REFUSED)
def test_traps_are_read_as_gcc_reads_them_or_refused(name: str) -> None:
    before, body = MAY_BE_REFUSED[name]
    (verdict,) = judge([program(body, before)])
    assert not verdict.differs


def test_the_judge_sees_a_wrong_byte() -> None:
    """Our reading of one function against gcc's run of another."""
    from support import gcc_oracle

    one, other = program("return is_mmio;"), program("return !is_mmio;")
    harness = gcc_oracle.harness(0, one, ())
    (line,) = gcc_oracle.run([harness])
    assert gcc_oracle.difference(one, rules_from_c(one.text, "f.c"), line) == ""
    assert gcc_oracle.difference(other, rules_from_c(other.text, "f.c"), line) != ""
