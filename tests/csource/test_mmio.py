# SPDX-License-Identifier: GPL-2.0-only
"""The host-MMIO test read from C, written as C, and beside the rules of one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtcalc.analysis.diff import diff
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.explain import explain_page
from mtcalc.csource.kernel import kernel_of_c
from mtcalc.csource.mmio import read_mmio_test
from mtcalc.csource.writer import MODERN, Style, write_c, write_mmio_c
from mtcalc.kvm.host_mmio import RAM, Backing
from mtcalc.kvm.versions import MmioTest
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.refs.resolve import resolve
from mtcalc.rulefile.write import write_rule_file
from mtcalc.rules.condition import ALWAYS, And, Atom
from mtcalc.rules.inputs import HOST_TYPE, STRUCT_PAGE, UnknownInput
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.mmio import MMIO_RULES, is_host_mmio
from mtcalc.rules.rule import Rule, RuleSet, inputs_read, mmio
from mtcalc.rules.truth import space_of, verdicts
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MemType
from support.gcc_mmio import by_gcc, by_rules, judge, random_test
from support.gcc_oracle import GCC
from support.patches import diff as patch_of
from support.patches import kernel as built_in
from support.program import quick

RESERVED = "PageReserved(pfn_to_page(pfn))"
UNCACHED = "(!pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn))"
HAS_RAM = "e820__mapped_raw_any(pfn_to_hpa(pfn), pfn_to_hpa(pfn + 1) - 1, E820_TYPE_RAM)"
CACHED = "bool kvm_is_mmio_pfn(kvm_pfn_t pfn, int *known)\n{{\n\tif ({})\n\t\t*known = {};\n\n\treturn *known;\n}}\n"
KEPT = CACHED.format("*known < 0", "__kvm_is_mmio_pfn(pfn)")


def function(body: str, head: str = "static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)") -> str:
    return f"{head}\n{{\n\t{body}\n}}\n"


def read(text: str) -> RuleSet:
    found = read_mmio_test(text, "spte.c")
    assert found is not None
    return found


def alike(one: RuleSet, other: RuleSet) -> bool:
    """Whether two tests say the same of every host page."""
    space = space_of((*inputs_read(one), *inputs_read(other)))
    return verdicts(one, space).by_byte == verdicts(other, space).by_byte


E820 = f"return pfn_valid(pfn) ? !is_zero_pfn(pfn) && {RESERVED} && {UNCACHED} : !{HAS_RAM};"

VERSIONS = {
    "a local of the first page": (
        MmioTest.HEAD,
        function(
            "struct page *first;\n\n\tif (!pfn_valid(pfn))\n\t\treturn 1;\n"
            "\tfirst = compound_head(pfn_to_page(pfn));\n\treturn PageReserved(first);",
            "inline int kvm_is_mmio_pfn(pfn_t pfn)",
        ),
    ),
    "the first page, and the page itself if it has been split": (
        MmioTest.HEAD,
        function(
            "struct page *page, *first;\n\tint kept;\n\n\tif (!pfn_valid(pfn))\n\t\treturn true;\n\n"
            "\tpage = pfn_to_page(pfn);\n\tfirst = compound_trans_head(page);\n\tkept = PageReserved(first);\n"
            "\tif (page != first) {\n\t\tsmp_rmb();\n\t\tif (PageTail(page))\n\t\t\treturn kept;\n\t}\n"
            "\treturn PageReserved(page);",
            "inline int kvm_is_mmio_pfn(pfn_t pfn)",
        ),
    ),
    "no exception": (MmioTest.PAGE, function(f"return !pfn_valid(pfn) || {RESERVED};")),
    "the older name": (
        MmioTest.PAGE,
        function(f"return !pfn_valid(pfn) || {RESERVED};", "bool kvm_is_reserved_pfn(pfn_t pfn)"),
    ),
    "not the zero page": (
        MmioTest.RESERVED,
        function(f"if (!pfn_valid(pfn))\n\t\treturn true;\n\treturn !is_zero_pfn(pfn) && {RESERVED};"),
    ),
    "the host's type": (
        MmioTest.HOST_TYPE,
        function(f"if (pfn_valid(pfn))\n\t\treturn !is_zero_pfn(pfn) && {RESERVED} && {UNCACHED};\n\treturn true;"),
    ),
    "e820": (MmioTest.E820, function(E820)),
    "under the newer name": (MmioTest.E820, function(E820, "static bool __kvm_is_mmio_pfn(kvm_pfn_t pfn)")),
    "with the answer kept": (MmioTest.E820, function(E820, "static bool __kvm_is_mmio_pfn(kvm_pfn_t pfn)") + KEPT),
    "the one that keeps it first": (
        MmioTest.E820,
        "static bool __kvm_is_mmio_pfn(kvm_pfn_t pfn);\n"
        + KEPT
        + function(E820, "static bool __kvm_is_mmio_pfn(kvm_pfn_t pfn)"),
    ),
    "a helper of the file": (
        MmioTest.E820,
        "static bool is_device(unsigned long number)\n{\n\tstruct page *page = pfn_to_page(number);\n\n"
        "\treturn PageReserved(page) && (!pat_enabled() || pat_pfn_immune_to_uc_mtrr(number));\n}\n\n"
        "static bool kvm_is_mmio_pfn(kvm_pfn_t p)\n{\n"
        "\tif (pfn_valid(p))\n\t\treturn !is_zero_pfn(p) && is_device(p);\n\n"
        "\treturn !e820__mapped_raw_any(pfn_to_hpa(p), pfn_to_hpa(p + 1) - 1, E820_TYPE_RAM);\n}\n",
    ),
    "a macro of the kernel around": (
        MmioTest.RESERVED,
        function(f"return WARN_ON_ONCE(!pfn_valid(pfn)) || (likely(!is_zero_pfn(pfn)) && {RESERVED});"),
    ),
    "another function of the text asked for something else": (
        MmioTest.RESERVED,
        function(f"return !pfn_valid(pfn) || (!is_zero_pfn(pfn) && {RESERVED});")
        + function(f"return pfn_valid(pfn) && {RESERVED};", "bool kvm_is_reserved_pfn(kvm_pfn_t pfn)"),
    ),
    "folios": (
        MmioTest.RESERVED,
        function(
            "struct folio *folio;\n\n\tif (!pfn_valid(pfn))\n\t\treturn true;\n\n"
            "\tfolio = page_folio(pfn_to_page(pfn));\n"
            "\treturn folio_test_reserved(folio) && !is_zero_pfn(pfn);"
        ),
    ),
    "addresses by hand": (
        MmioTest.E820,
        function(
            f"u64 start = (u64)pfn << PAGE_SHIFT;\n\n\tif (pfn_valid(pfn))\n\t\treturn {RESERVED} && {UNCACHED} && "
            "!is_zero_pfn(pfn);\n\treturn !e820__mapped_raw_any(start, start + PAGE_SIZE - 1, E820_TYPE_RAM);"
        ),
    ),
}
"""Each version of the test in several spellings, none of them the kernel's own text."""


@pytest.mark.parametrize("name", VERSIONS)
def test_every_version_is_read(name: str) -> None:
    version, text = VERSIONS[name]
    found = read(text)
    assert alike(found, MMIO_RULES[version])
    assert all(rule.then.mmio for rule in found.rules)
    assert not any(item.kind.text for item in inputs_read(found))


@pytest.mark.skipif(GCC is None, reason="no gcc here")
def test_every_version_is_what_gcc_makes_of_it() -> None:
    texts = [
        text for _, text in VERSIONS.values() if "int *known" not in text and "kvm_is_reserved_pfn(pfn_t" not in text
    ]
    texts = [text.replace("__kvm_is_mmio_pfn", "kvm_is_mmio_pfn") for text in texts]
    assert by_gcc(texts) == [by_rules(read(text)) for text in texts]


@pytest.mark.skipif(GCC is None, reason="no gcc here")
def test_a_kept_answer_is_asked_for_once() -> None:
    """As its callers do it, from 6.17 on: nothing is known before the first question."""
    text = VERSIONS["with the answer kept"][1]
    asked = "({ int known = -1; kvm_is_mmio_pfn(THE_PFN, &known); known; })"
    assert by_gcc([text], asked) == [by_rules(read(text))]


@pytest.mark.parametrize("version", list(MmioTest))
def test_law_a_test_written_as_c_reads_back_equal(version: MmioTest) -> None:
    """The rules are the same ones, down to their words."""
    rules = MMIO_RULES[version]
    found = read(write_mmio_c(rules))
    assert [(rule.id, rule.then) for rule in found.rules] == [(rule.id, rule.then) for rule in rules.rules]
    assert alike(found, rules)


@pytest.mark.skipif(GCC is None, reason="no gcc here")
def test_law_a_test_written_as_c_is_what_gcc_makes_of_it() -> None:
    tests = [*MMIO_RULES.values(), *(read(text) for _, text in VERSIONS.values())]
    assert by_gcc([write_mmio_c(rules) for rules in tests]) == [by_rules(rules) for rules in tests]


@pytest.mark.parametrize("name", VERSIONS)
def test_law_what_was_read_can_be_written_and_read_again(name: str) -> None:
    found = read(VERSIONS[name][1])
    assert alike(read(write_mmio_c(found)), found)


@pytest.mark.skipif(GCC is None, reason="no gcc here")
def test_law_what_is_read_is_what_gcc_reads() -> None:
    """Every random test says what gcc's says of every page, or is refused; most are read."""
    wrong, refused = judge([random_test(seed) for seed in range(60)])
    assert not wrong, "\n".join(wrong)
    assert refused < 10


def test_the_writer_says_no_type_alone() -> None:
    """C has no question for one of the host's types."""
    wc = Rule("wc", And((Atom(STRUCT_PAGE), Atom(HOST_TYPE, MemType.WC))), mmio(True), "")
    with pytest.raises(ValueError, match="no C says host_type WC"):
        write_mmio_c(RuleSet("own", "own", (wc, Rule("ram", ALWAYS, mmio(False), ""))))


def test_a_whole_text() -> None:
    assert write_mmio_c(MMIO_RULES[MmioTest.HOST_TYPE], "asked").splitlines() == [
        "static bool asked(kvm_pfn_t pfn)",
        "{",
        "\tif (!pfn_valid(pfn))",
        "\t\treturn true;",
        "",
        "\tif (is_zero_pfn(pfn))",
        "\t\treturn false;",
        "",
        "\tif (PageReserved(pfn_to_page(pfn)) && (!pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn)))",
        "\t\treturn true;",
        "",
        "\treturn false;",
        "}",
    ]


def test_a_rule_says_its_line_and_its_source() -> None:
    found = read("\n\n" + function(f"if (!pfn_valid(pfn))\n\t\treturn true;\n\treturn {RESERVED};"))
    assert (found.name, found.title) == ("kvm_is_mmio_pfn", "kvm_is_mmio_pfn() of spte.c")
    assert found.sources == ("spte.c:3",)
    assert [(rule.id, rule.source) for rule in found.rules] == [
        ("no-struct-page", "spte.c:5"),
        ("reserved", "spte.c:7"),
        ("ram", "spte.c:7"),
    ]
    assert found.rules[1].why == f"return {RESERVED};"


INNER = function(E820, "static bool __kvm_is_mmio_pfn(kvm_pfn_t pfn)")


def test_which_function_is_the_test() -> None:
    """The one that works, where the other only keeps its answer; else the one that callers ask."""
    assert read(INNER + KEPT).name == "__kvm_is_mmio_pfn"
    own = read(INNER + function("return is_zero_pfn(pfn) || __kvm_is_mmio_pfn(pfn);"))
    assert own.name == "kvm_is_mmio_pfn"
    assert is_host_mmio(own, Backing(zero_page=True, reserved=True))
    kept_wrongly = read(INNER + CACHED.format("*known < 0", "!__kvm_is_mmio_pfn(pfn)"))
    assert not alike(kept_wrongly, MMIO_RULES[MmioTest.E820])
    reserved = function(f"return !pfn_valid(pfn) || {RESERVED};", "bool kvm_is_reserved_pfn(pfn_t pfn)")
    assert read(reserved).name == "kvm_is_reserved_pfn"
    assert read(reserved + INNER).name == "__kvm_is_mmio_pfn"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bool kvm_is_mmio_pfn(pfn_t pfn);\n",
        "/* kvm_is_mmio_pfn(pfn) { return true; } */\n",
        function("return kvm_is_mmio_pfn(pfn);", "static bool other(kvm_pfn_t pfn)"),
        # From 4.5 on a page number is a kvm_pfn_t, and this function is asked for the mapping level.
        function(f"return !pfn_valid(pfn) || {RESERVED};", "bool kvm_is_reserved_pfn(kvm_pfn_t pfn)"),
    ],
)
def test_a_text_without_a_test(text: str) -> None:
    assert read_mmio_test(text, "f.c") is None


def test_what_only_the_source_knows_is_an_assumption() -> None:
    found = read(function(f"return !pfn_valid(pfn) || ({RESERVED} && !is_zone_device_page(pfn_to_page(pfn)));"))
    (assumed,) = [item.arg for item in inputs_read(found) if item.kind.text]
    assert assumed == "is_zone_device_page(pfn_to_page(pfn))"
    page = Backing(reserved=True)
    assert is_host_mmio(found, page, assume={assumed: False})
    assert not is_host_mmio(found, page, assume={assumed: True})
    with pytest.raises(UnknownInput, match="is_zone_device_page"):
        is_host_mmio(found, page)


@pytest.mark.parametrize(
    "parameters",
    [
        "struct kvm *kvm, kvm_pfn_t pfn",
        "gfn_t gfn, kvm_pfn_t page",
        "gfn_t gfn, u64 pfn",
        "const kvm_pfn_t pfn, bool ask",
    ],
)
def test_the_page_among_the_parameters(parameters: str) -> None:
    name = "page" if "page" in parameters else "pfn"
    found = read(function(f"return !pfn_valid({name});", f"static bool kvm_is_mmio_pfn({parameters})"))
    assert [rule.id for rule in found.rules] == ["no-struct-page", "ram"]


@pytest.mark.parametrize(
    ("spelling", "assumed"),
    [
        # Another page, another table, another range of addresses: not what the words mean.
        ("pfn_valid(pfn + 1)", "pfn_valid(pfn + 1)"),
        ("is_zero_pfn(pfn & 1)", "is_zero_pfn(pfn & 1)"),
        ("PageReserved(pfn_to_page(pfn + 1))", "PageReserved(pfn_to_page(pfn + 1))"),
        (HAS_RAM.replace("_raw", ""), HAS_RAM.replace("_raw", "")),
        (HAS_RAM.replace("pfn + 1", "pfn + 2"), HAS_RAM.replace("pfn + 1", "pfn + 2")),
        (HAS_RAM.replace("E820_TYPE_RAM", "E820_TYPE_PMEM"), HAS_RAM.replace("E820_TYPE_RAM", "E820_TYPE_PMEM")),
        ("pat_pfn_immune_to_uc_mtrr(0)", "pat_pfn_immune_to_uc_mtrr(0)"),
        ("kvm_arch_has_foo(pfn)", "kvm_arch_has_foo(pfn)"),
    ],
)
def test_what_looks_alike_and_is_not(spelling: str, assumed: str) -> None:
    found = read(function(f"return {spelling};"))
    assert [item.arg for item in inputs_read(found)] == [assumed]


def test_more_assumptions_than_can_be_compared() -> None:
    """No version of the test then says the same, and a diff says why it can't."""
    asked = " || ".join(f"foo_{number}(pfn)" for number in range(24))
    found = kernel(INNER + function(f"return __kvm_is_mmio_pfn(pfn) && ({asked});") + VMX)
    assert found.mmio_test.title == "kvm_is_mmio_pfn() of f.c"
    with pytest.raises(ValueError, match="combinations"):
        diff(resolve("6.16"), found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (function("while (pfn)\n\t\tpfn--;\n\treturn true;"), r"f\.c:3:2: while is not understood here"),
        (function("return true;") * 2, "kvm_is_mmio_pfn again"),
        (f"  {function('return true;')}", "a definition of kvm_is_mmio_pfn that is not followed"),
        ("#define kvm_is_mmio_pfn(pfn) (!pfn_valid(pfn))\n", "kvm_is_mmio_pfn is a macro that is not followed"),
        (function("", "static void kvm_is_mmio_pfn(kvm_pfn_t pfn)"), "returns nothing"),
        (function("return true;", "static bool kvm_is_mmio_pfn(void)"), "takes no page"),
        (function("return true;", "static bool kvm_is_mmio_pfn(u64 one, u64 other)"), "takes no page"),
        (function("return true;", "static bool kvm_is_mmio_pfn(struct page *page)"), "takes no page"),
        (function("x:\n\tgoto x;"), "goto x goes backwards"),
        (function("if (pfn_valid(pfn))\n\t\treturn true;"), "can end here without a return"),
        (
            function("return static_cpu_has(X86_FEATURE_SELFSNOOP) && slot->flags & KVM_MEM_READONLY;"),
            "asks for host self-snoop",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        raise_or_read(text)


def raise_or_read(text: str) -> None:
    found = read_mmio_test(text, "f.c")
    raise AssertionError(found)


VMX = write_c(built_in("v6.16").rules, Style.RETURN)
OLD_VMX = write_c(built_in("v3.13").rules, Style.IF_ELSE, MODERN._replace(mtrr="kvm_get_guest_memory_type(vcpu, gfn)"))


def kernel(text: str, around: str | None = None) -> Kernel:
    return kernel_of_c(text, "f.c", "f.c", None if around is None else resolve(around))


def test_a_file_that_holds_a_test_says_it() -> None:
    said = kernel(INNER + KEPT + VMX)
    assert said.mmio_said
    assert said.mmio_test.rules == read_rules(INNER + KEPT + VMX)
    assert not kernel(VMX).mmio_said
    assert kernel(VMX).mmio_test == built_in("v6.16").mmio_test


def read_rules(text: str) -> tuple[Rule, ...]:
    found = read_mmio_test(text, "f.c")
    assert found is not None
    return found.rules


def test_a_test_goes_by_the_words_of_the_version_that_it_is() -> None:
    """Those of the release's own, where two versions say the same."""
    assert kernel(INNER + VMX).mmio_test.title == MMIO_RULES[MmioTest.E820].title
    page = function(f"return !pfn_valid(pfn) || {RESERVED};", "bool kvm_is_mmio_pfn(pfn_t pfn)")
    assert kernel(page + OLD_VMX).mmio_test.title == MMIO_RULES[MmioTest.PAGE].title
    assert kernel(page + OLD_VMX, "3.10").mmio_test.title == MMIO_RULES[MmioTest.HEAD].title
    assert kernel(page + VMX).mmio_test.title == MMIO_RULES[MmioTest.PAGE].title
    assert kernel(function("return pat_enabled();") + VMX).mmio_test.title == "kvm_is_mmio_pfn() of f.c"


@pytest.mark.parametrize(("around", "said"), [("3.16", False), ("3.18", True), ("4.1", True), ("4.4", False)])
def test_kvm_is_reserved_pfn_is_the_test_from_3_18_to_4_1(around: str, said: bool) -> None:
    text = function(f"return pfn_valid(pfn) && {RESERVED};", "bool kvm_is_reserved_pfn(pfn_t pfn)")
    found = kernel(text + OLD_VMX, around)
    assert found.mmio_said is said
    assert (found.mmio_test == resolve(around).mmio_test) is not said


def test_a_diff_has_rows_of_a_test_that_c_says() -> None:
    found = diff(resolve("6.16"), kernel(function(f"return !pfn_valid(pfn) || {RESERVED};") + VMX))
    assert not found.changed
    assert found.mmio is not None
    assert not found.same
    same = diff(resolve("6.16"), kernel(INNER + VMX))
    assert same.same
    assert "host MMIO test" not in [around.what for around in same.around]
    assert diff(resolve("6.16"), kernel(VMX)).mmio is None


def test_a_test_that_is_not_understood_leaves_the_rules() -> None:
    """The rules are read all the same, and a note says what of the file is not, and where."""
    found = kernel(function("while (pfn)\n\t\tpfn--;\n\treturn true;") + VMX, "5.4")
    assert [(rule.when, rule.then) for rule in found.rules.rules] == [
        (rule.when, rule.then) for rule in kernel(VMX, "5.4").rules.rules
    ]
    assert (found.mmio_test, found.mmio_said) == (resolve("5.4").mmio_test, False)
    ((code, text),) = found.notes
    assert code == "test-unread"
    stands = "the file's host-MMIO test is not read, that of 5.4 stands for it"
    assert text.startswith(f"{stands}: f.c:3:2: while is not understood here")
    assert diff(resolve("5.4"), found).mmio is None


def test_the_program_shows_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "both.c"
    path.write_text(function(f"return !pfn_valid(pfn) || (!is_zero_pfn(pfn) && {RESERVED});") + VMX)
    found = quick("diff", "6.16", str(path))
    assert found.status == 1
    assert "not MMIO -> MMIO" in found.out
    record = quick("diff", "6.16", str(path), "-o", "json")
    assert record.status == 1
    assert "mmio_rows" in record.out
    path.write_text(INNER + VMX)
    assert quick("diff", "6.16", str(path)).status == 0
    path.write_text(function("for (;;)\n\t\t;") + VMX)
    noted = quick("lookup", "-r", str(path))
    assert (noted.status, noted.err) == (0, "")
    assert f"{path}:3:2:forisnotunderstoodhere" in "".join(noted.out.split())
    path.write_text(INNER)
    assert "no vmx_get_mt_mask() is defined here" in quick("lookup", "-r", str(path)).err


ZONE = function(f"return !pfn_valid(pfn) || ({RESERVED} && foo(pfn));")


def test_evaluation_asks_for_what_the_test_assumes(tmp_path: Path) -> None:
    slot = Slot(0, 4096, "device", backing=RAM._replace(reserved=True))
    for said in (True, False):
        vm = Vm(assume={"foo(pfn)": said})
        step = next(
            step
            for step in explain_page(Evaluator(kernel(ZONE + VMX), vm, (slot,)), 0).steps
            if step.about == "host MMIO"
        )
        assert (step.result, step.source) == ("yes" if said else "no", "f.c:1")
    path = tmp_path / "f.c"
    path.write_text(ZONE + VMX)
    scenario = tmp_path / "vm.yaml"
    backing = "{struct_page: true, reserved: true}"
    scenario.write_text(f"memslots:\n  - {{gpa: 0, size: 4K, name: device, backing: {backing}}}\n")
    refused = quick("eval", str(scenario), "-r", str(path), "--gpa", "0")
    assert (refused.status, refused.out) == (2, "")
    assert "these rules ask for `foo(pfn)`" in refused.err


def test_a_diff_takes_assumptions_of_the_test(tmp_path: Path) -> None:
    path = tmp_path / "f.c"
    path.write_text(ZONE + VMX)
    everything = quick("diff", "6.16", str(path)).out
    assert 'assume "foo(pfn)"' in everything
    for said in ("yes", "no"):
        found = quick("diff", "6.16", str(path), "--assume", f"foo(pfn)={said}")
        assert (found.status, found.err) == (1, "")
        assert "foo(pfn)" not in found.out
        assert 0 < found.out.count("MMIO -> ") < everything.count("MMIO -> ")
    refused = quick("diff", "6.16", str(path), "--assume", "bar(pfn)=yes")
    assert "neither rule set asks for `bar(pfn)`" in refused.err


def test_a_test_with_an_assumption_in_a_rule_file(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    written = kernel(ZONE + VMX)
    path.write_text(write_rule_file(written))
    again = resolve(str(path)).mmio_test
    assert [rule[:3] for rule in again.rules] == [rule[:3] for rule in written.mmio_test.rules]


def patched(old: str, new: str, tmp_path: Path) -> tuple[str, str]:
    """A C file, and a patch to another text of it."""
    file, patch = tmp_path / "vmx.c", tmp_path / "change.patch"
    file.write_text(old)
    patch.write_text("From: A <a@b.c>\nSubject: [PATCH] x86: ask\n\n---\n" + patch_of(old, new))
    return str(file), str(patch)


def test_a_patch_that_changes_the_test_of_its_file(tmp_path: Path) -> None:
    """What it makes of host pages is read as the rules are; what it can't read is refused with the patch's line."""
    before = function(f"return !pfn_valid(pfn) ||\n\t       {RESERVED};") + VMX
    after = before.replace(f"       {RESERVED}", f"       (!is_zero_pfn(pfn) && {RESERVED})")
    file, patch = patched(before, after, tmp_path)
    found = quick("review", "--base", file, patch)
    assert found.status == 1, found.err
    assert "MMIO -> not MMIO  struct_page and zero_page" in found.out
    assert "taken as before" not in " ".join(found.out.split())
    file, patch = patched(
        before, before.replace("\treturn !pfn_valid", "\twhile (pfn)\n\t\t;\n\treturn !pfn_valid"), tmp_path
    )
    refused = quick("review", "--base", file, patch)
    assert (refused.status, refused.out) == (2, "")
    assert "while is not understood here" in refused.err
