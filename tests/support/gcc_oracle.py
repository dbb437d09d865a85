# SPDX-License-Identifier: GPL-2.0-only
"""gcc as the judge of how C is read: random functions compiled and run, and our rules on the same inputs.

    python -m tests.support.gcc_oracle 5000 [SEED]     from the root of the tree, by hand; takes some minutes

Each function is in the subset of C that is read. What is refused is counted; what is read has to give gcc's byte for
every value of the inputs. A condition that only the source knows is compiled as well, under the text that we print
for it: so a text that lost a parenthesis or a conversion is found too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mtcalc.csource.source import rules_from_c
from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.rules.inputs import Facts, Value
from mtcalc.rules.rule import RuleSet, decide, inputs_read
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MemType
from support.random_c import Program, random_program

GCC = shutil.which("gcc")
FLAGS = ("-std=gnu11", "-O0", "-fwrapv", "-w")

PRELUDE = """
#include <stdio.h>
#define bool _Bool
enum { false, true };
#define NULL ((void *)0)
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef signed char s8; typedef short s16; typedef int s32; typedef long long s64;
typedef unsigned long ulong; typedef u64 gfn_t; typedef u8 __u8;
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define WARN_ON_ONCE(x) ({ int r_ = !!(x); unlikely(r_); })
#define READ_ONCE(x) (x)
#define ACCESS_ONCE(x) (*(volatile typeof(x) *)&(x))
#define data_race(x) ({ x; })
#define WARN_ON(x) WARN_ON_ONCE(x)
#define WARN_ONCE(x, ...) WARN_ON_ONCE(x)
#define KVM_BUG_ON(x, vm) WARN_ON_ONCE(x)
#define BIT(n) (1UL << (n))
#define GENMASK(h, l) ((2UL << (h)) - (1UL << (l)))
#define GENMASK_ULL(h, l) GENMASK(h, l)
#define MTRR_TYPE_UNCACHABLE 0
#define MTRR_TYPE_WRCOMB 1
#define MTRR_TYPE_WRTHROUGH 4
#define MTRR_TYPE_WRPROT 5
#define MTRR_TYPE_WRBACK 6
#define VMX_EPT_MT_EPTE_SHIFT 3
#define VMX_EPT_IPAT_BIT (1ull << 6)
#define X86_CR0_CD (1UL << 30)
#define X86_CR0_NW (1UL << 29)
#define KVM_MEM_READONLY (1UL << 1)
#define KVM_MEM_NON_COHERENT_DMA (1UL << 3)
#define KVM_X86_QUIRK_CD_NW_CLEARED (1 << 1)
#define KVM_X86_QUIRK_IGNORE_GUEST_PAT (1 << 9)
#define KVM_X86_QUIRK_LINT0_REENABLED (1 << 0)
#define KVM_X86_QUIRK_LAPIC_MMIO_HOLE (1 << 2)
#define KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS (1 << 6)
#define KVM_X86_QUIRK_SLOT_ZAP_ALL (1 << 7)
#define X86_FEATURE_SELFSNOOP 155
typedef struct { int counter; } atomic_t;
struct kvm_memory_slot { u32 flags; };
struct kvm { struct { atomic_t noncoherent_dma_count; u64 disabled_quirks; } arch; };
struct kvm_vcpu { struct kvm *kvm; struct { ulong cr0; int foo; } arch; };
struct kvm the_vm;
struct kvm_vcpu the_vcpu = { &the_vm };
struct kvm_memory_slot the_slot;
int in_snoop; u8 in_type; long long in_foo, in_bar;
#define IS_ENABLED(option) (option + 0)
#define CONFIG_KVM_OURS (in_foo == 1)
#define CONFIG_X86_64 1
#define arch_atomic_read atomic_read
#define static_cpu_has(x) (!!in_snoop)
static inline int atomic_read(const atomic_t *v) { return v->counter; }
static inline bool kvm_arch_has_noncoherent_dma(struct kvm *kvm)
{ return atomic_read(&kvm->arch.noncoherent_dma_count); }
static inline bool test_bit(long bit, const ulong *from) { return *from >> bit & 1; }
static inline ulong kvm_read_cr0(struct kvm_vcpu *vcpu) { return vcpu->arch.cr0; }
static inline ulong kvm_read_cr0_bits(struct kvm_vcpu *vcpu, ulong mask) { return vcpu->arch.cr0 & mask; }
static inline bool kvm_is_cr0_bit_set(struct kvm_vcpu *vcpu, unsigned long bit) { return vcpu->arch.cr0 & bit; }
static inline bool kvm_check_has_quirk(struct kvm *kvm, u64 quirk) { return !(kvm->arch.disabled_quirks & quirk); }
u8 kvm_mtrr_get_guest_memory_type(struct kvm_vcpu *vcpu, gfn_t gfn) { return in_type; }
"""


class Verdict(NamedTuple):
    """What became of one program: refused (why), equal, or where it differs."""

    program: Program
    refused: str = ""
    differs: str = ""


def judge(programs: Sequence[Program]) -> list[Verdict]:
    """Reads the programs, has gcc compile and run them in one go, and compares over all inputs."""
    read: list[tuple[Program, RuleSet | InputError]] = []
    for program in programs:
        try:
            read.append((program, rules_from_c(program.text, "f.c")))
        except InputError as error:
            read.append((program, error))
    accepted = [(program, rules) for program, rules in read if isinstance(rules, RuleSet)]
    lines = iter(run([harness(at, program, _texts(rules)) for at, (program, rules) in enumerate(accepted)]))
    found = []
    for program, rules in read:
        if isinstance(rules, RuleSet):
            found.append(Verdict(program, differs=difference(program, rules, next(lines))))
        else:
            found.append(Verdict(program, refused=rules.message))
    return found


def _texts(rules: RuleSet) -> tuple[str, ...]:
    return tuple(item.arg for item in inputs_read(rules) if item.name in ("assume", "assume_type"))


def harness(at: int, program: Program, texts: Sequence[str]) -> str:
    tags = sorted(set(re.findall(r"\b(?:foo|bar)(_\d+)\(", program.text + " ".join(texts))))
    parts = []
    for tag in tags:
        for name, kind in zip(("foo", "bar"), program.kinds, strict=True):
            parts.append(f"#define {name}{tag} {name}_of_{at}\n")
            parts.append(f"static {kind} {name}{tag}(struct kvm_vcpu *vcpu) {{ return in_{name}; }}\n")
    parts.append(program.text.replace("vmx_get_mt_mask", f"f{at}"))
    parts.append(f"static void run{at}(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gfn_t gfn)\n{{\n")
    # Of the function's own type, which the texts are computed in.
    taken = re.search(r"(\w+) is_mmio,", program.text)
    parts.append(f"{taken[1] if taken else 'bool'} is_mmio = 0;\n")
    for state in program.states():
        values = dict(zip(program.inputs, state, strict=False))
        parts.append(f'{_setting(values, *state[-2:])}\nprintf("%02x", f{at}(vcpu, gfn, is_mmio, slot));')
        parts += [f'printf(":%d", !!({text}));' for text in texts]
        parts.append("putchar(32);\n")
    parts.append("putchar(10);\n}\n")
    parts += [f"#undef foo{tag}\n#undef bar{tag}\n" for tag in tags]
    return "".join(parts)


def _setting(values: dict[str, object], foo: object, bar: object) -> str:
    def on(name: str) -> int:
        return int(bool(values.get(name, False)))

    disabled = (not values.get("quirk_cd", True)) << 1 | (not values.get("quirk_pat", True)) << 9
    kind = values.get("type", MemType.UC)
    assert isinstance(kind, MemType)
    return (
        f"is_mmio = {on('mmio')}; the_vm.arch.noncoherent_dma_count.counter = {values.get('dma', 0)};"
        f" the_vcpu.arch.cr0 = {1 << 31 | on('mmio') << 29 | on('cd') << 30}UL;"
        f" the_vm.arch.disabled_quirks = {1 << 7 | on('snoop') << 6 | disabled};"
        f" the_slot.flags = {on('readonly') << 1 | on('flag') << 3}; in_snoop = {on('snoop')};"
        f" in_type = {int(kind)}; in_foo = {foo}LL; in_bar = {bar}LL;"
    )


def run(harnesses: Sequence[str]) -> list[str]:
    calls = "".join(f"run{at}(&the_vcpu, &the_slot, 5);\n" for at in range(len(harnesses)))
    source = f"{PRELUDE}{''.join(harnesses)}int main(void)\n{{\n{calls}return 0;\n}}\n"
    with tempfile.TemporaryDirectory() as folder:
        path, program = Path(folder) / "f.c", Path(folder) / "f"
        path.write_text(source)
        assert GCC is not None
        done = subprocess.run([GCC, *FLAGS, "-o", program, path], capture_output=True, text=True, check=False)
        if done.returncode:
            kept = Path(tempfile.gettempdir()) / "gcc_oracle_failed.c"
            kept.write_text(source)
            raise AssertionError(f"{kept}: {done.stderr[:2000]}")
        return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def difference(program: Program, rules: RuleSet, line: str) -> str:
    texts = _texts(rules)
    conditions = {item.arg for item in inputs_read(rules) if item.name == "assume"}
    for state, word in zip(program.states(), line.split(), strict=True):
        byte, *truths = word.split(":")
        values = dict(zip(program.inputs, state, strict=False))
        assume: dict[str, Value] = {
            text: truth == "1" for text, truth in zip(texts, truths, strict=True) if text in conditions
        }
        facts = _facts(values, assume)
        ours = decide(rules, facts)[1]
        if ours != int(byte, 16):
            return f"{values}, foo {state[-2]}, bar {state[-1]}, {assume}: gcc {byte}, ours {ours:02x}"
    return ""


def _facts(values: dict[str, object], assume: dict[str, Value]) -> Facts:
    kind = values.get("type", MemType.UC)
    assert isinstance(kind, MemType)
    flags = (SLOT_FLAGS["READONLY"] if values.get("readonly") else 0) | (
        SLOT_FLAGS["NON_COHERENT_DMA"] if values.get("flag") else 0
    )
    disabled = (0 if values.get("quirk_cd", True) else QUIRKS["CD_NW_CLEARED"]) | (
        0 if values.get("quirk_pat", True) else QUIRKS["IGNORE_GUEST_PAT"]
    )
    return Facts(
        mmio=bool(values.get("mmio")),
        slot_flags=flags,
        noncoherent_dma=bool(values.get("dma")),
        cr0_cd=bool(values.get("cd")),
        disabled_quirks=disabled,
        self_snoop=bool(values.get("snoop")),
        guest_mtrr=kind,
        assume=assume,
    )


def main(count: int, seed: int) -> int:
    """Judges `count` programs, 200 in a gcc call, and prints the figures and what differs."""
    refusals: Counter[str] = Counter()
    accepted = mismatches = 0
    for start in range(seed, seed + count, 200):
        numbers = range(start, min(start + 200, seed + count))
        for number, verdict in zip(numbers, judge([random_program(n) for n in numbers]), strict=True):
            if verdict.refused:
                refusals[re.sub(r"`[^`]*`|\d+|'[^']*'", "_", verdict.refused)[:70]] += 1
                continue
            accepted += 1
            if verdict.differs:
                mismatches += 1
                print(f"--- seed {number}: {verdict.differs}\n{verdict.program.text}")
    print(f"{count} functions: {accepted} accepted, {sum(refusals.values())} refused, {mismatches} mismatches")
    for why, times in refusals.most_common(12):
        print(f"{times:6} {why}")
    return 1 if mismatches else 0


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(given[0] if given else 200, given[1] if len(given) > 1 else 0))
