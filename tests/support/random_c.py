# SPDX-License-Identifier: GPL-2.0-only
"""Random functions in the subset of C that is read, with the inputs that they may ask for; for support.gcc_oracle."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from typing import NamedTuple

from mtcalc.x86.memtype import MTRR_TYPES

FOO_VALUES = (0, 1, 2, 3, 255, 256, -1, 0x1_0000_0001, 0x8000_0000)
INT_TYPES = (
    "u8",
    "u16",
    "u32",
    "u64",
    "s8",
    "s16",
    "s32",
    "s64",
    "int",
    "unsigned int",
    "unsigned long",
    "bool",
    "long",
)
WIDE = ("int", "u32", "u64", "s64", "unsigned long", "u32", "u64")
FOO_TYPES = ("int", "u32", "u64", "u8", "s64", "bool", "s8")

DIMENSIONS: dict[str, tuple[object, ...]] = {
    "mmio": (False, True),
    "dma": (0, 1, 2, 4),  # the count of its users
    "cd": (False, True),
    "quirk_cd": (False, True),
    "quirk_pat": (False, True),
    "readonly": (False, True),
    "flag": (False, True),
    "snoop": (False, True),
    "type": MTRR_TYPES,
}
"""Each input and its values, the first one where it does not vary."""

# Each input as C: conditions worth 0 or 1, and numbers that are a bit of a register.
TRUTHS = {
    "mmio": ("is_mmio", "!is_mmio", "!!is_mmio"),
    "dma": (
        "kvm_arch_has_noncoherent_dma(vcpu->kvm)",
        "(atomic_read(&vcpu->kvm->arch.noncoherent_dma_count) > 0)",
        "!!atomic_read(&vcpu->kvm->arch.noncoherent_dma_count)",
        "(atomic_read(&(*vcpu->kvm).arch.noncoherent_dma_count) >= 1)",
        "(0 < arch_atomic_read(&vcpu[0].kvm->arch.noncoherent_dma_count))",
        "!(atomic_read(&(&*vcpu->kvm)->arch.noncoherent_dma_count) < 1)",
        "__builtin_expect(!!kvm_arch_has_noncoherent_dma(READ_ONCE((&*vcpu)->kvm)), 0)",
    ),
    "cd": (
        "kvm_is_cr0_bit_set(vcpu, X86_CR0_CD)",
        "!(kvm_read_cr0(vcpu) & X86_CR0_CD)",
        "kvm_is_cr0_bit_set(&*vcpu, X86_CR0_CD)",
        "kvm_is_cr0_bit_set((struct kvm_vcpu *)&vcpu[0], X86_CR0_CD)",
    ),
    "quirk_cd": ("kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED)",),
    "quirk_pat": ("kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_IGNORE_GUEST_PAT)",),
    "readonly": ("!!(slot->flags & KVM_MEM_READONLY)",),
    "flag": ("!!(slot->flags & KVM_MEM_NON_COHERENT_DMA)", "!(slot->flags & BIT(3))", "!!(slot[0].flags & 8)"),
    "snoop": ("static_cpu_has(X86_FEATURE_SELFSNOOP)",),
}
_COUNT = "atomic_read(&vcpu->kvm->arch.noncoherent_dma_count)"
BITS = {
    "cd": (
        "kvm_read_cr0_bits(vcpu, X86_CR0_CD)",
        "(kvm_read_cr0(vcpu) & X86_CR0_CD)",
        "(kvm_read_cr0(vcpu) >> 30 & 1)",
        "(~kvm_read_cr0(vcpu) & 0x40000000)",
        "(kvm_read_cr0(vcpu) >> 29 & 3)",
        "((int)kvm_read_cr0(vcpu) & X86_CR0_CD)",
        "(kvm_read_cr0(vcpu) & (X86_CR0_CD | X86_CR0_NW))",
        "test_bit(30, &vcpu->arch.cr0)",
    ),
    "quirk_cd": (
        "(vcpu->kvm->arch.disabled_quirks & KVM_X86_QUIRK_CD_NW_CLEARED)",
        "(vcpu->kvm->arch.disabled_quirks >> 1 & 1)",
        "(~vcpu->kvm->arch.disabled_quirks & 2)",
        "((vcpu->kvm->arch.disabled_quirks | 2) == vcpu->kvm->arch.disabled_quirks)",
        "((u32)~(vcpu->kvm->arch.disabled_quirks ^ 3) << 1 & 4)",
    ),
    "quirk_pat": (
        "(vcpu->kvm->arch.disabled_quirks & KVM_X86_QUIRK_IGNORE_GUEST_PAT)",
        "(vcpu->kvm->arch.disabled_quirks >> 5 & 0x14)",
        "(vcpu->kvm->arch.disabled_quirks == KVM_X86_QUIRK_IGNORE_GUEST_PAT)",
        "test_bit(9, (unsigned long *)&vcpu->kvm->arch.disabled_quirks)",
    ),
    "readonly": ("(slot->flags & KVM_MEM_READONLY)", "((slot->flags & 3) >> 1)", "(u8)(~slot->flags & 2)"),
    "dma": (f"({_COUNT} > 1)", f"(2 <= {_COUNT})", f"({_COUNT} == 2)", f"({_COUNT} < 3)", f"({_COUNT} != 1)"),
    "flag": (
        "(slot->flags & KVM_MEM_NON_COHERENT_DMA)",
        "(slot->flags & 10)",
        "(slot[0].flags & 8)",
        "((&slot[0])->flags & 8)",
        "(slot->flags >> 3 & 1)",
        "(~slot->flags & 8)",
        "((slot->flags & ~8) == slot->flags)",
        "(slot->flags << 28 >> 31)",
        "(data_race((*slot).flags) & 8)",
        "(ACCESS_ONCE(*&slot->flags) & 8)",
        "__builtin_expect((&*slot)->flags & 8, 8)",
    ),
}
GUEST_TYPE = "kvm_mtrr_get_guest_memory_type(vcpu, gfn)"
CONSTANTS = (
    *("MTRR_TYPE_UNCACHABLE", "MTRR_TYPE_WRCOMB", "MTRR_TYPE_WRTHROUGH", "MTRR_TYPE_WRBACK", "VMX_EPT_IPAT_BIT"),
    *(
        "VMX_EPT_MT_EPTE_SHIFT",
        "true",
        "false",
        "X86_CR0_CD",
        "KVM_MEM_NON_COHERENT_DMA",
        "KVM_X86_QUIRK_CD_NW_CLEARED",
    ),
)
NUMBERS = (
    *("0", "1", "2", "3", "6", "7", "8", "0x30", "0x40", "0x70", "255", "256", "0xffffffff", "1UL", "0UL", "0u", "1u"),
    *("4096", "0x80000000", "0x7fffffff", "2147483648", "1ULL", "010", "3L", "~0u", "-1", "~7", "5LL", "128"),
)


class Program(NamedTuple):
    """One random file: what we read, which inputs it may ask for, and what the unknown functions return."""

    text: str
    inputs: tuple[str, ...]
    foo: tuple[int, ...]
    bar: tuple[int, ...]
    kinds: tuple[str, str]  # the types of foo() and bar()

    def states(self) -> Iterator[tuple[object, ...]]:
        """Every combination of the inputs' values, then those of foo and bar."""
        return itertools.product(*(DIMENSIONS[name] for name in self.inputs), self.foo, self.bar)


class Writer:
    """Writes one random program."""

    def __init__(self, rng: random.Random, number: int) -> None:
        self.rng = rng
        self.tag = f"_{number}"
        self.inputs = tuple(sorted(rng.sample([*DIMENSIONS], rng.randint(1, 4)), key=[*DIMENSIONS].index))
        self.uses_foo = rng.random() < 0.4
        self.uses_bar = self.uses_foo and rng.random() < 0.4
        self.scopes: list[dict[str, bool]] = []  # locals, and whether they hold a plain value
        self.before: list[str] = []
        self.constants: list[str] = []
        self.helpers: list[tuple[str, int]] = []
        self.writers: list[tuple[str, str]] = []  # helpers that write through a pointer, and to what type
        self.own_types: list[str] = []
        self.labels = 0
        self.narrow = False

    def pick(self, *of: str) -> str:
        return self.rng.choice(of)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    # Expressions

    def names(self) -> list[str]:
        return [name for scope in self.scopes for name, plain in scope.items() if plain]

    def truth(self) -> str:
        """A condition worth 0 or 1."""
        asked = [name for name in self.inputs if name in TRUTHS]
        return self.pick(*TRUTHS[self.pick(*asked)]) if asked else self.pick("0", "1")

    def leaf(self) -> str:
        roll = self.rng.random()
        bits = [name for name in self.inputs if name in BITS]
        if roll < 0.25 and self.names():
            return self.pick(*self.names())
        if roll < 0.5:
            return self.pick(*NUMBERS)
        if roll < 0.6:
            return self.pick(*CONSTANTS, *self.constants)
        if roll < 0.72 and bits:
            return self.pick(*BITS[self.pick(*bits)])
        return self.truth()

    def expression(self, depth: int) -> str:
        """An expression of numbers and conditions."""
        roll = self.rng.random()
        if depth <= 0 or roll < 0.2:
            return self.leaf()
        if roll < 0.3:
            return f"{self.pick('!', '~', '-', '+', '!!')}({self.expression(depth - 1)})"
        if roll < 0.34:
            # The grammar alone takes such a sign for an operator of two operands.
            cast = f"{self.pick('', '', '~', '(int)')}({self.pick(*self.types())})"
            return f"{cast}{self.pick('-', '+', '~')}{self.operand()}"
        if roll < 0.38:
            return f"({self.pick(*self.types())})({self.expression(depth - 1)})"
        if roll < 0.48:
            return f"({self.condition(depth - 1)} ? {self.expression(depth - 1)} : {self.expression(depth - 1)})"
        if roll < 0.54:
            return f"{self.pick('likely', 'unlikely', 'WARN_ON_ONCE', 'data_race')}({self.expression(depth - 1)})"
        if roll < 0.55:
            return self.pick(
                f"__builtin_expect({self.expression(depth - 1)}, {self.pick('0', '1')})",
                f'WARN_ONCE({self.expression(depth - 1)}, "%d", 3)',
                f"KVM_BUG_ON({self.expression(depth - 1)}, vcpu->kvm)",
                *(["IS_ENABLED(CONFIG_KVM_OURS)"] if self.uses_foo else []),
                "IS_ENABLED(CONFIG_X86_64)",
            )
        if roll < 0.552:
            # Refused, or right.
            return f"({self.expression(depth - 1)}{self.pick(', ', ' ?: ', ' / ', ' % ')}{self.expression(depth - 1)})"
        if roll < 0.6 and self.helpers:
            name, count = self.rng.choice(self.helpers)
            return f"{name}({', '.join(['vcpu', *(self.expression(depth - 1) for _ in range(count))])})"
        if roll < 0.68:
            by = self.pick("0", "1", "2", "3", "6", "30", *(f"({name} & 7)" for name in self.names()))
            return f"({self.expression(depth - 1)} {self.pick('<<', '>>')} {by})"
        operator = self.pick("&", "|", "^", "+", "-", "*", "==", "!=", "<", ">", "<=", ">=", "&&", "||")
        left, right = self.expression(depth - 1), self.expression(depth - 1)
        return f"({left} {operator} {right})" if self.chance(0.8) else f"({left}) {operator} ({right})"

    def operand(self) -> str:
        """What a sign can stand before."""
        leaf = self.leaf()
        return leaf if re.fullmatch(r"\w+", leaf) else f"({leaf})"

    def types(self) -> tuple[str, ...]:
        return (*INT_TYPES, *self.own_types)

    def condition(self, depth: int) -> str:
        """What an if asks."""
        roll = self.rng.random()
        if roll < 0.3 and "type" in self.inputs:
            right = self.pick("0", "1", "4", "6", "7", "MTRR_TYPE_WRBACK", "-1", "~0UL", "5u", self.expression(1))
            left = self.pick(GUEST_TYPE, f"({self.pick(*WIDE)}){GUEST_TYPE}", f"({GUEST_TYPE} << 3)")
            return f"({left} {self.pick('==', '!=', '<', '>', '<=', '>=')} {right})"
        if roll < 0.6 and self.uses_foo:
            return self.unknown()
        return f"({self.expression(depth)})"

    def unknown(self) -> str:
        """A condition on what only another file defines."""
        foo = f"foo{self.tag}(vcpu)"
        one = self.pick(foo, foo, f"({self.pick(*INT_TYPES)}){foo}", f"~{foo}", f"-{foo}", f"!{foo}", *self.opaque())
        other = self.leaf()
        if self.uses_bar and self.chance(0.5):
            other = f"bar{self.tag}(vcpu)"
        joined = self.pick("&", "|", "^", "+", "-", "==", "!=", "<", ">", "<=", ">=", "<<", ">>")
        other = self.pick("1", "2", "3") if joined in ("<<", ">>") else other
        turned = one if joined in ("<<", ">>") else f"({other} {joined} {one})"
        text = self.pick(one, f"({one} {joined} {other})", turned)
        if self.chance(0.3):
            text = f"({text} {self.pick('&', '|', '==', '<', '+', '!=')} {self.leaf()})"
        return text

    def opaque(self) -> list[str]:
        return [name for scope in self.scopes for name, plain in scope.items() if not plain]

    # Statements

    def block(self, depth: int) -> str:
        self.scopes.append({})
        text = "".join(self.statement(depth) for _ in range(self.rng.randint(1, 3)))
        self.scopes.pop()
        return f"{{\n{text}}}\n"

    def byte(self) -> str:
        """What is returned."""
        roll = self.rng.random()
        if roll < 0.3 and "type" in self.inputs:
            return self.pick(
                f"{GUEST_TYPE} << VMX_EPT_MT_EPTE_SHIFT",
                f"({GUEST_TYPE} << 3) | VMX_EPT_IPAT_BIT",
                f"({GUEST_TYPE} << 3 | {self.pick('0x40', '0x80')}) & {self.pick('0x7f', '~7', '0x38', '0x40')}",
                f"{self.condition(1)} ? {GUEST_TYPE} << 3 : {self.expression(1)}",
                f"(u64){GUEST_TYPE} << 3",
            )
        return self.expression(2)

    def declare(self) -> str:
        name = f"x{self.rng.randint(0, 5)}"
        if name in self.scopes[-1]:
            return ""
        if self.uses_foo and self.chance(0.3):
            kind = self.pick(*INT_TYPES)
            # Only where two texts would be one do we say what becomes of an unknown value in 32 bits.
            self.narrow |= kind in ("u32", "s32", "int", "unsigned int")
            text = f"{kind} {name} = foo{self.tag}(vcpu);\n"
            plain = False
        else:
            kind = self.pick(*self.types())
            text = f"{kind} {name} = {self.expression(2)};\n"
            if self.chance(0.1):
                # Assigned on every way, or on some of them alone.
                other = f"else\n{name} = {self.expression(1)};\n" if self.chance(0.8) else ""
                text = f"{kind} {name};\nif ({self.condition(1)})\n{name} = {self.expression(1)};\n{other}"
            plain = True
        self.scopes[-1][name] = plain
        if self.chance(0.1):
            self.labels += 1
            text = f"l{self.labels}:\n{text}"
        return text

    def assign(self) -> str:
        if not self.names():
            return self.declare()
        name = self.pick(*self.names())
        if self.chance(0.15):
            return f"{name} {self.pick('<<=', '>>=')} {self.pick('0', '1', '3')};\n"
        if self.writers and self.chance(0.3):
            called, kind = self.rng.choice(self.writers)
            inner = (
                f"{kind} w{len(self.scopes)} = {name};\n{called}(vcpu, &w{len(self.scopes)}, {self.expression(1)});\n"
            )
            return f"{{\n{inner}{name} = w{len(self.scopes)};\n}}\n"
        return f"{name} {self.pick('=', '=', '|=', '&=', '^=', '+=', '-=', '*=')} {self.expression(2)};\n"

    def statement(self, depth: int) -> str:
        roll = self.rng.random()
        if depth <= 0 or roll < 0.2:
            return self.declare()
        if roll < 0.4:
            return self.assign()
        if roll < 0.5:
            return self.block(depth - 1)
        if roll < 0.6:
            return self.switch(depth)
        if roll < 0.68:
            self.labels += 1
            label = f"l{self.labels}"
            inner = self.block(depth - 1)
            return f"if ({self.condition(2)})\ngoto {label};\n{inner}{label}:\n;\n"
        if roll < 0.75:
            return f"if ({self.condition(2)})\nreturn {self.byte()};\n"
        if roll < 0.752:
            return f"do {self.block(depth - 1)} while (0);\n"  # refused, or right
        text = f"if ({self.condition(2)}) {self.block(depth - 1)}"
        if self.chance(0.2):
            text += f"else if ({self.condition(2)}) {self.block(depth - 1)}"
        return f"{text}else {self.block(depth - 1)}" if self.chance(0.5) else text

    def switch(self, depth: int) -> str:
        asked = self.pick(self.expression(1), GUEST_TYPE) if "type" in self.inputs else self.expression(1)
        if self.uses_foo and self.chance(0.2):
            asked = f"foo{self.tag}(vcpu)"
        cases = self.rng.sample(["0", "1", "2", "4", "6", "8", "0x30"], self.rng.randint(1, 3))
        text = ""
        for case in [*cases, *(["default"] if self.chance(0.5) else [])]:
            self.scopes.append({})
            inner = "".join(self.statement(depth - 1) for _ in range(self.rng.randint(0, 2)))
            self.scopes.pop()
            head = case if case == "default" else f"case {case}"
            if self.chance(0.01) and case != "default" and int(case, 0) + 1 not in [int(one, 0) for one in cases]:
                head += f" ... {case} + 1"  # refused, or right
            text += f"{head}: {{\n{inner}}}\n{self.pick('break;', '', 'break;')}\n"
        return f"switch ({asked}) {{\n{text}}}\n"

    # The file

    def file_parts(self) -> None:
        if self.chance(0.4):
            name = f"OURS{self.tag}"
            body = self.pick(
                "(3 << 4)",
                "0x40",
                "(1UL << 6)",
                "(-1)",
                "(~7)",
                "BIT(3)",
                "((u8)-1)",
                "((s8)0x80)",
                "(u16)-2",
                "((u64)~0 >> 60)",
            )
            self.before.append(f"#define {name} {body}\n")
            self.constants.append(name)
        if self.chance(0.4):
            first, second = f"A{self.tag}", f"B{self.tag}"
            given = self.pick("", f" = {self.pick('4', '0x30', '(1 << 3)', '-2')}")
            self.before.append(f"enum {{ {first}{given}, {second} }};\n")
            self.constants += [first, second]
        if self.chance(0.2):
            name, first, second = f"kind{self.tag}", f"C{self.tag}", f"D{self.tag}"
            self.before.append(f"enum {name} {{ {first} = {self.pick('-1', '0', '3', '-0x80')}, {second} }};\n")
            self.constants += [first, second]
            self.own_types.append(f"enum {name}")
        if self.chance(0.2):
            name = f"own{self.tag}{self.pick('', '_t')}"
            self.before.append(f"typedef {self.pick('u8', 's8', 'unsigned short', 'int', 'u64')} {name};\n")
            self.own_types.append(name)
        if self.chance(0.04):
            # Refused where they are used, or right.
            name = f"twin{self.tag}"
            self.before.append(
                self.pick(
                    f"#ifdef NO{self.tag}\n#define {name} 1\n#else\n#define {name} 2\n#endif\n",
                    f"#define {name} OF{self.tag}(1)\n#define OF{self.tag}(x) ((x) + 1)\n",
                    f"static const u8 list{self.tag}[] = {{ 1, 2 }};\n#define {name} list{self.tag}[1]\n",
                )
            )
            self.constants.append(name)
        for at in range(self.rng.choice((0, 0, 1, 2))):
            self.helper(at)

    def helper(self, at: int) -> None:
        name, count = f"h{at}{self.tag}", self.rng.randint(0, 2)
        kept = self.inputs, self.uses_foo
        self.inputs = tuple(i for i in self.inputs if i in ("dma", "cd", "quirk_cd", "quirk_pat", "snoop"))
        self.uses_foo = False
        if self.chance(0.25):
            kind = self.pick(*self.types())
            called = f"w{at}{self.tag}"
            self.scopes = [{"v": True}]
            writing = f"*to {self.pick('=', '|=', '+=', '&=')} {self.expression(1)};\n"
            if self.chance(0.5):
                writing = f"if ({self.condition(1)})\n{writing}"
            listed = f"struct kvm_vcpu *vcpu, {kind} *to, {self.pick(*self.types())} v"
            self.before.append(f"static void {called}({listed})\n{{\n{writing}}}\n\n")
            self.writers.append((called, kind))
        parameters = [f"{self.pick(*self.types())} p{n}" for n in range(count)]
        self.scopes = [{f"p{n}": True for n in range(count)}]
        text = "".join(self.statement(1) for _ in range(self.rng.randint(0, 2)))
        head = f"static {self.pick('', 'inline ')}{self.pick(*self.types())} {name}"
        listed = ", ".join(["struct kvm_vcpu *vcpu", *parameters])
        self.before.append(f"{head}({listed})\n{{\n{text}return {self.expression(2)};\n}}\n\n")
        self.scopes = []
        self.inputs, self.uses_foo = kept
        self.helpers.append((name, count))

    def program(self) -> Program:
        self.file_parts()
        self.labels = 0
        self.scopes = [{}]
        text = "".join(self.statement(2) for _ in range(self.rng.randint(1, 4)))
        kind = self.pick("bool", "bool", "int", "u8", "u64")
        head = f"vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, {kind} is_mmio, struct kvm_memory_slot *slot)"
        text = f"{''.join(self.before)}u8 {head}\n{{\n{text}return {self.byte()};\n}}\n"
        values = [value for value in FOO_VALUES if not self.narrow or 0 <= value < 1 << 31]
        foo = tuple(self.rng.sample(values, 4)) if self.uses_foo else (0,)
        bar = tuple(self.rng.sample(FOO_VALUES, 3)) if self.uses_bar else (0,)
        return Program(text, self.inputs, foo, bar, (self.pick(*FOO_TYPES), self.pick(*FOO_TYPES)))


def random_program(seed: int) -> Program:
    """The program of a seed."""
    return Writer(random.Random(seed), seed).program()
