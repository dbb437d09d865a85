# SPDX-License-Identifier: GPL-2.0-only
"""gcc as the judge of how a host-MMIO test is read: functions compiled and run over every host page.

    python -m tests.support.gcc_mmio 2000 [SEED]     from the root of the tree, by hand

Each function is compiled with stubs whose answers are the inputs. In C the zero page is reserved; a page may be the
tail of a larger one, which no rule asks; and there is one condition that only the source knows.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mtcalc.csource.mmio import read_mmio_test
from mtcalc.rules.inputs import HostPage
from mtcalc.rules.rule import RuleSet, decide
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import PAT_TYPES
from support.gcc_oracle import FLAGS, GCC

OTHER, TAIL, HEAD = "other(pfn)", "pfn_to_page(pfn)", "compound_head(pfn_to_page(pfn))"
"""The condition that only the source knows; the page, and the first page of the larger one that it may be part of."""

PRELUDE = """
#include <stdio.h>
#define inline
#define bool _Bool
enum { false, true };
typedef unsigned char u8; typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned long ulong;
typedef u64 pfn_t; typedef u64 kvm_pfn_t; typedef u64 hpa_t;
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define WARN_ON_ONCE(x) ({ int r_ = !!(x); unlikely(r_); })
#define smp_rmb() do { } while (0)
#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define E820_TYPE_RAM 1
struct page { int kind; } tail_page, head_page;
struct folio { struct page page; };
enum { UC, UC_MINUS, WC, WT, WP, WB };
static int struct_page, reserved, zero_page, host_pat, e820_ram, is_tail, host_type, is_other;
#define THE_PFN 0x1234567
static bool pfn_valid(ulong pfn) { return pfn == THE_PFN && struct_page; }
static struct page *pfn_to_page(ulong pfn) { return pfn == THE_PFN ? &tail_page : 0; }
static struct page *compound_head(struct page *page) { return is_tail ? &head_page : page; }
#define compound_trans_head compound_head
static struct folio *page_folio(struct page *page) { return (struct folio *)compound_head(page); }
static int PageTail(struct page *page) { return is_tail && page == &tail_page; }
static int PageReserved(struct page *page) { return reserved || zero_page; }
static int folio_test_reserved(struct folio *folio) { return reserved || zero_page; }
static int is_zero_pfn(ulong pfn) { return pfn == THE_PFN && zero_page; }
static bool pat_enabled(void) { return host_pat; }
static bool pat_pfn_immune_to_uc_mtrr(ulong pfn)
{ return host_type == UC || host_type == UC_MINUS || host_type == WC; }
static hpa_t pfn_to_hpa(kvm_pfn_t pfn) { return pfn << PAGE_SHIFT; }
#define PFN_PHYS(pfn) ((u64)(pfn) << PAGE_SHIFT)
static bool e820__mapped_raw_any(u64 start, u64 end, int type)
{ return type == E820_TYPE_RAM && start == (u64)THE_PFN << 12 && end - start - 4095 <= 1 ? e820_ram : !e820_ram; }
static bool other(ulong pfn) { return is_other; }
"""

MAIN = """
int main(void)
{
	for (int bits = 0; bits < 128; bits++)
		for (host_type = 0; host_type < 6; host_type++) {
			struct_page = bits >> 6 & 1; reserved = bits >> 5 & 1; zero_page = bits >> 4 & 1;
			host_pat = bits >> 3 & 1; e820_ram = bits >> 2 & 1; is_tail = bits >> 1 & 1; is_other = bits & 1;
			putchar('0' + !!ASK);
		}
	putchar('\\n');
	return 0;
}
"""


def pages() -> Iterator[HostPage]:
    """Every host page in the order in which the compiled program goes through them."""
    for struct_page, reserved, zero_page, pat, ram, tail, other in itertools.product((False, True), repeat=7):
        for kind in PAT_TYPES:
            assume = {OTHER: other, f"{TAIL} == {HEAD}": not tail, f"{HEAD} == {TAIL}": not tail}
            yield HostPage(struct_page, reserved, zero_page, kind, pat, ram, assume)


def by_rules(rules: RuleSet) -> str:
    """What rules say of every page: a digit each."""
    return "".join(str(decide(rules, page)[1]) for page in pages())


def by_gcc(texts: Sequence[str], ask: str = "kvm_is_mmio_pfn(THE_PFN)") -> list[str]:
    """What each C text says of every page: a digit each."""
    assert GCC is not None
    found = []
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "f.c", Path(folder) / "f"
        parts = [PRELUDE]
        for number, text in enumerate(texts):
            names = [f"#define {name} {name}_{number}\n" for name in ("kvm_is_mmio_pfn", "__kvm_is_mmio_pfn")]
            main = MAIN.replace("int main(void)", f"static void all_{number}(void)").replace("return 0;", "")
            gone = "#undef kvm_is_mmio_pfn\n#undef __kvm_is_mmio_pfn\n"
            parts.append(f"{''.join(names)}{text}\n{main.replace('ASK', ask)}\n{gone}")
        calls = "".join(f"all_{number}();" for number in range(len(texts)))
        source.write_text("\n".join([*parts, f"int main(void) {{ {calls} return 0; }}\n"]))
        subprocess.run([GCC, *FLAGS, "-o", program, source], check=True)
        found = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split("\n")[:-1]
    assert len(found) == len(texts)
    return found


RESERVED = ("PageReserved(page)", "PageReserved(compound_head(page))", "folio_test_reserved(page_folio(page))")
RAM = (
    "e820__mapped_raw_any(pfn_to_hpa(pfn), pfn_to_hpa(pfn + 1) - 1, E820_TYPE_RAM)",
    "e820__mapped_raw_any(PFN_PHYS(pfn), PFN_PHYS(pfn) + PAGE_SIZE - 1, E820_TYPE_RAM)",
    "e820__mapped_raw_any((hpa_t)pfn << PAGE_SHIFT, ((hpa_t)(pfn + 1) << PAGE_SHIFT) - 1, E820_TYPE_RAM)",
)


class Writer:
    """Writes one random host-MMIO test."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.locals = 0
        self.labels = 0

    def pick(self, *of: str) -> str:
        return self.rng.choice(of)

    def asked(self, depth: int) -> str:
        """A condition worth 0 or 1."""
        roll = self.rng.random()
        if depth <= 0 or roll < 0.35:
            known = (
                *("pfn_valid(pfn)", "is_zero_pfn(pfn)", "pat_enabled()", "pat_pfn_immune_to_uc_mtrr(pfn)", "kept"),
                *(self.pick(*RESERVED), self.pick(*RAM), f"!!{OTHER}", "(page != compound_head(page))", "1", "false"),
            )
            return self.pick(*known)
        inner = self.asked(depth - 1)
        if roll < 0.5:
            return f"!({inner})"
        if roll < 0.55:
            return f"{self.pick('likely', 'unlikely', 'WARN_ON_ONCE', '(bool)', '!!')}({inner})"
        if roll < 0.65:
            return f"(({inner}) ? {self.asked(depth - 1)} : {self.asked(depth - 1)})"
        return f"({inner} {self.pick('&&', '||', '&&', '||', '&', '|', '==', '!=', '^')} {self.asked(depth - 1)})"

    def statement(self, depth: int) -> str:
        roll = self.rng.random()
        if roll < 0.3 or depth <= 0:
            return f"if ({self.asked(2)})\n\treturn {self.asked(2)};\n"
        if roll < 0.5:
            return f"kept {self.pick('=', '|=', '&=')} {self.asked(2)};\n"
        if roll < 0.6:
            self.labels += 1
            label = f"l{self.labels}"
            return f"if ({self.asked(2)})\n\tgoto {label};\n{self.statement(depth - 1)}{label}:\n;\n"
        if roll < 0.7:
            inner = self.statement(depth - 1)
            return f"switch ({self.asked(1)}) {{\ncase 1:\n{inner}{self.pick('break;', '')}\ndefault:\nsmp_rmb();\n}}\n"
        other = f"else {{\n{self.statement(depth - 1)}}}\n" if roll < 0.85 else ""
        return f"if ({self.asked(2)}) {{\n{self.statement(depth - 1)}}}\n{other}"

    def text(self) -> str:
        number, kind = self.pick("pfn_t", "kvm_pfn_t", "unsigned long", "u64"), self.pick("bool", "int", "bool")
        page = "struct page *page = pfn_to_page(pfn);\n"
        body = "".join(self.statement(2) for _ in range(self.rng.randint(0, 3)))
        body = f"{page}{kind} kept = {self.asked(1).replace('kept', 'true')};\n\n{body}return {self.asked(3)};\n"
        if self.rng.random() < 0.3:
            inner = f"static {kind} __kvm_is_mmio_pfn({number} pfn)\n{{\n{body}}}\n\n"
            last = self.pick("__kvm_is_mmio_pfn(pfn)", f"__kvm_is_mmio_pfn(pfn) && {OTHER}")
            return f"{inner}static bool kvm_is_mmio_pfn({number} pfn)\n{{\nreturn {last};\n}}\n"
        return f"static {kind} kvm_is_mmio_pfn({number} pfn)\n{{\n{body}}}\n"


def random_test(seed: int) -> str:
    """The text of a seed."""
    return Writer(random.Random(seed)).text()


def judge(texts: Sequence[str]) -> tuple[list[str], int]:
    """What differs between our reading and gcc's, and how many texts were refused."""
    read: list[tuple[str, RuleSet]] = []
    for text in texts:
        try:
            rules = read_mmio_test(text, "f.c")
        except InputError:
            continue
        assert rules is not None
        read.append((text, rules))
    answers = by_gcc([text for text, _ in read])
    wrong = [text for (text, rules), said in zip(read, answers, strict=True) if by_rules(rules) != said]
    return wrong, len(texts) - len(read)


def main(arguments: Sequence[str]) -> int:
    """Judges as many random tests as asked for."""
    count, first = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    wrong, refused = judge([random_test(first + number) for number in range(count)])
    print("\n".join(wrong))
    print(f"{count} tests, {refused} refused, {len(wrong)} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
