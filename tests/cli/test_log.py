# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc log, and git:REV in the other commands, over trees that the tests build."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from mtcalc.analysis.diff import diff
from mtcalc.csource.mmio import INNER, RESERVED_TEST, TEST
from mtcalc.csource.writer import write_mmio_c
from mtcalc.kvm.history import MMIO_TESTS, row_at
from mtcalc.kvm.release import sort_key
from mtcalc.refs.resolve import resolve
from mtcalc.refs.tree import MMIO, RULES
from mtcalc.rules.kernel import version_text
from mtcalc.rules.releases import RELEASES
from support.c_printer import early_c
from support.patches import kernel
from support.program import quick, run
from support.trees import HISTORY, OLD_VMX, VMX, TestTree, function_of, in_file, linux, makefile, needs_git

pytestmark = needs_git

MMU = "arch/x86/kvm/mmu/mmu.c"
SPTE = "arch/x86/kvm/mmu/spte.c"
MAIN = "virt/kvm/kvm_main.c"
NAMES = (INNER, RESERVED_TEST, TEST)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> TestTree:
    return linux(tmp_path_factory.mktemp("linux"))


def log(tree: TestTree, *args: str) -> list[dict[str, Any]]:
    done = quick("log", *args, "--git", str(tree.folder), "-o", "json")
    found: list[dict[str, Any]] = done.json
    return found


def test_the_history_of_the_rule_sets(tree: TestTree) -> None:
    """Every built-in set of mainline in turn: what each commit changed is what diff says of the two releases."""
    found = log(tree)
    texts = [function_of(name) for name, _, _ in HISTORY]
    changing = [n for n in range(len(HISTORY)) if not n or texts[n] != texts[n - 1]]
    assert [record["subject"] for record in found] == [f"KVM: to {HISTORY[n][0]}" for n in reversed(changing)]
    for record, n in zip(found, reversed(changing), strict=True):
        name, release, _ = HISTORY[n]
        assert record["commit"] == tree.git("rev-parse", name)
        assert record["function"] == "vmx_get_mt_mask"
        assert record["first"] is (n == 0)
        wanted = diff(resolve(HISTORY[n - 1][1]), resolve(release)).changed_count if n else 0
        assert record["changed"] == wanted
        if wanted or not n:
            assert record["text"].endswith(tuple(f"{name}{more}" for more in ("", ", v3.13", ", v4.4")))
    assert [record["changed"] > 0 for record in found].count(True) == 6


def test_law_the_history_of_all_releases(tmp_path: Path) -> None:
    """A commit a release with rules or a test of its own, written by the printers: each change, and no other.

    Of both functions, with the count that diff has of the two releases, under whatever name and in whatever file.
    """
    files = {RULES: OLD_VMX, MMIO: MAIN}
    moves = {(5, 0): (RULES, VMX), (4, 2): (MMIO, "arch/x86/kvm/mmu.c"), (5, 6): (MMIO, MMU), (5, 11): (MMIO, SPTE)}
    rows = [*(row.since for row in RELEASES[2:]), *(row.since for row in MMIO_TESTS[1:])]
    firsts = {since for since in rows if len(since) < 3 or since[0] == 2}
    tree, last = TestTree(tmp_path), ""
    wanted: dict[tuple[str, str], tuple[bool, int]] = {}
    for version in sorted({*firsts, *moves, (6, 11, -1)}, key=sort_key):
        release = version_text(version) + ("1" if version[-1] == -1 else "")
        files |= dict(moves[at] for at in sorted(moves) if sort_key(at) <= sort_key(version))
        now = resolve(release)
        name = next(one for one in NAMES if row_at(MMIO_TESTS, version).source.startswith(f"{one}()"))
        test = write_mmio_c(now.mmio_test, name)
        if sort_key(version) < (4, 5, 0):
            test = test.replace("kvm_pfn_t", "pfn_t")  # ba049e93aef7
        texts = {files[RULES]: early_c(now.rules), files[MMIO]: test}
        gone = {path: None for path in (OLD_VMX, VMX, MAIN, "arch/x86/kvm/mmu.c", MMU, SPTE) if path not in texts}
        there = {path: None for path in gone if (tree.folder / path).exists()}
        tree.commit(f"to {release}", {"Makefile": makefile(release), **texts, **there})
        found = diff(resolve(last), now) if last else None
        for function, change in ((RULES, found), (MMIO, found and found.mmio)):
            if not last or (change is not None and change.changed):
                wanted[f"to {release}", function] = not last, change.changed_count if change else 0
        last = release
    done = {(one["subject"], one["function"]): (one["first"], one["changed"]) for one in log(tree)}
    assert {key: said for key, said in done.items() if any(said)} == wanted
    others = [key for key, said in done.items() if not any(said)]
    # What is the same under another name, or in another way of writing, is said and counts nothing.
    assert {subject for subject, _ in others} <= {"to 3.13", "to 3.18", "to 4.4", "to 6.17"}
    assert len(wanted) > 10
    assert {function for _, function in wanted} == {RULES, MMIO}


def test_the_keys_of_json(tree: TestTree) -> None:
    (record,) = log(tree, "v6.11-rc1..v6.11")
    assert list(record) == ["commit", "subject", "date", "function", "first", "changed", "text"]
    assert record["date"] == tree.git("log", "-1", "--format=%as", "v6.11")
    assert record["changed"] == 1


@pytest.mark.parametrize(
    ("words", "subjects"),
    [
        ("v6.7..v6.11", ["v6.11", "v6.11-rc1"]),
        ("git:v6.7..v6.11", ["v6.11", "v6.11-rc1"]),
        ("v6.11..", ["v6.16"]),
        ("v6.11..HEAD", ["v6.16"]),
        ("..v6.7", []),
        ("v6.16..HEAD", []),
        ("v3.13", ["v3.13", "v2.6.31"]),
    ],
)
def test_ranges(words: str, subjects: list[str], tree: TestTree) -> None:
    assert [record["subject"] for record in log(tree, words)] == [f"KVM: to {name}" for name in subjects]


@pytest.mark.parametrize("words", ["v6.7...v6.11", "v6.7..nope", "nope", "--", "", "a..b..c", "..-x", "HEAD:x"])
def test_bad_ranges(words: str, tree: TestTree) -> None:
    done = quick("log", "--git", str(tree.folder), "--", words)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("mtcalc: ")
    assert done.err.count("\n") == 1


PLAIN = """\
git:v6.7..v6.11
2 commits touch the files: 2 change the rules or the host-MMIO test.

{1}  2017-07-29 KVM: to v6.11
              1 of 8 reachable inputs changes: pages that are not host MMIO,
              without non-coherent DMA, on a CPU with self-snoop; now as v6.11
{0}  2017-07-27 KVM: to v6.11-rc1
              46 of 160 reachable inputs change: pages that are not host MMIO;
              guest CR0.CD, quirk CD_NW_CLEARED and guest MTRR type stop
              mattering there; host self-snoop starts mattering there; now as
              v6.11-rc1

note: merges are left out
"""


def test_plain(tree: TestTree) -> None:
    ids = [tree.git("rev-parse", "--short=12", name) for name in ("v6.11-rc1", "v6.11")]
    assert run("log", "v6.7..v6.11", cwd=tree.folder) == (0, PLAIN.format(*ids), "")


def test_other_formats(tree: TestTree) -> None:
    folder = str(tree.folder)
    lines = quick("log", "v6.7..v6.11", "--git", folder, "-o", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == log(tree, "v6.7..v6.11")
    rows = quick("log", "v6.7..v6.11", "-o", "csv", env={"MTCALC_GIT": folder}).out.splitlines()
    assert rows[0] == "commit,subject,date,function,first,changed,text"
    assert len(rows) == 3
    for form in ("table", "tsv", "markdown", "html", "svg"):
        assert "v6.11-rc1" in quick("log", "v6.7..v6.11", "-o", form, "--git", folder).out


def test_a_tree_that_is_not_linux(tmp_path: Path) -> None:
    tree = TestTree(tmp_path)
    tree.commit("one", {"a": "b"})
    done = quick("log", cwd=tmp_path)
    assert done == (0, "git:HEAD\n0 commits touch the files.\n", "")


# What a commit can do.


def changes(tmp_path: Path, *texts: str | None, path: str = VMX, release: str = "6.7") -> list[dict[str, Any]]:
    """The log, oldest first, of a tree in which the file has each text in turn."""
    tree = TestTree(tmp_path / "tree")
    tree.commit("base", {"Makefile": makefile(release)})
    for number, text in enumerate(texts):
        tree.commit(f"to {number}", {path: None if text is None else in_file(text)})
    return log(tree)[::-1]


def test_a_text_that_changes_no_byte(tmp_path: Path) -> None:
    plain = function_of("v6.7")
    first, second = changes(tmp_path, plain, plain.replace("\tif (is_mmio)", "\t/* Host MMIO. */\n\tif (is_mmio)"))
    assert (first["first"], second["first"]) == (True, False)
    assert (second["changed"], second["text"]) == (0, "the text of vmx_get_mt_mask() changes, and no byte does")


def test_a_text_that_is_no_rules(tmp_path: Path) -> None:
    """Said, with the place and the reason; the rest goes on."""
    plain = function_of("v6.7")
    broken = plain.replace("if (is_mmio)", "if (is_mmio(")
    _, second, third, fourth = changes(tmp_path, plain, broken, plain, function_of("v6.11"))
    assert second["changed"] == third["changed"] == 0
    assert second["text"].startswith(f"the text of vmx_get_mt_mask() changes: git:{second['commit'][:12]}:{VMX}:")
    assert third["text"].startswith("vmx_get_mt_mask() is read from here on, as v6.7; before: git:")
    assert fourth["changed"] == diff(kernel("v6.7"), kernel("v6.11")).changed_count


def test_a_function_that_goes_and_comes_back(tmp_path: Path) -> None:
    plain = function_of("v6.7")
    _, second, third = changes(tmp_path, plain, "static int other(void)\n{\n\treturn 0;\n}\n", plain)
    assert (second["first"], second["changed"], second["text"]) == (False, 0, "vmx_get_mt_mask() is gone")
    assert third["first"] is True


def test_what_stands_around_the_function(tmp_path: Path) -> None:
    """A macro that it uses counts, one that it does not use, or that says the same, does not."""
    using = function_of("v6.7").replace("if (is_mmio)", "if (is_mmio && OURS)")
    found = changes(tmp_path, f"#define OURS 1\n{using}", f"#define OURS 0\n{using}")
    assert [record["changed"] > 0 for record in found] == [False, True]
    assert len(changes(tmp_path / "same", f"#define OURS 1\n{using}", f"#define OURS  (1)\n{using}")) == 1
    assert len(changes(tmp_path / "other", f"#define X 1\n{using}", f"#define X 0\n{using}")) == 1


def test_a_file_that_is_no_text_of_a_kernel(tmp_path: Path) -> None:
    """Too large, or not text: what can't be told is said, and the rest goes on."""
    tree = TestTree(tmp_path)
    plain = in_file(function_of("v6.7"))
    tree.commit("one", {"Makefile": makefile("6.7"), VMX: plain})
    tree.commit("large", {VMX: plain + "x" * (16 << 20)})
    tree.commit("smaller", {VMX: plain})
    tree.commit("bytes", {VMX: plain.encode().replace(b"if (is_mmio)", b"if (is_mmio\0)")})
    tree.commit("last", {VMX: in_file(function_of("v6.11"))})
    found = log(tree)[::-1]
    assert [record["subject"] for record in found] == ["one", "large", "smaller", "bytes", "last"]
    for record in found[1:3]:
        assert record["changed"] == 0
        assert "too large (at most 16 MiB)" in record["text"]
    assert found[3]["text"].startswith("the text of vmx_get_mt_mask() changes: git:")
    assert found[4]["text"].startswith("vmx_get_mt_mask() is read from here on")


def test_a_move_is_no_change(tmp_path: Path) -> None:
    tree = TestTree(tmp_path)
    tree.commit("one", {"Makefile": makefile("4.20"), OLD_VMX: in_file(function_of("v4.4"))})
    tree.commit("move", {OLD_VMX: None, VMX: in_file(function_of("v4.4"))})
    assert [record["subject"] for record in log(tree)] == ["one"]


def test_merges_and_side_branches(tmp_path: Path) -> None:
    """A merge is left out; what was done on its branch is not, though it was undone there, or in the merge."""
    tree = linux(tmp_path)
    tree.git("checkout", "-q", "-b", "side", "v6.7")
    tree.commit("side", {VMX: in_file(function_of("v6.11"))})
    tree.git("checkout", "-q", "master")
    tree.git("merge", "-q", "-s", "ours", "-m", "a merge", "side")
    assert [record["subject"] for record in log(tree, "v6.16..HEAD")] == ["side"]
    assert log(tree, "v6.16..HEAD")[0]["changed"] > 0


# The host-MMIO test.

OLD_TEST = """\
bool kvm_is_reserved_pfn(pfn_t pfn)
{
\tif (pfn_valid(pfn))
\t\treturn PageReserved(pfn_to_page(pfn));

\treturn true;
}
"""
NEW_TEST = """\
static bool kvm_is_mmio_pfn(pfn_t pfn)
{
\tif (pfn_valid(pfn))
\t\treturn !is_zero_pfn(pfn) && PageReserved(pfn_to_page(pfn));

\treturn true;
}
"""
CACHED = """
static bool kvm_is_mmio_pfn(pfn_t pfn, int *is_host_mmio)
{
\tif (*is_host_mmio < 0)
\t\t*is_host_mmio = __kvm_is_mmio_pfn(pfn);

\treturn *is_host_mmio;
}
"""


def host_mmio_tree(folder: Path) -> TestTree:
    """The test under its names and in its files, in the order of the years."""
    tree = TestTree(folder)
    tree.commit("before", {"Makefile": makefile("3.16"), MAIN: OLD_TEST.replace("reserved", "mmio")})
    tree.commit("renamed", {"Makefile": makefile("3.18"), MAIN: OLD_TEST})
    tree.commit("private", {"Makefile": makefile("4.2"), "arch/x86/kvm/mmu.c": NEW_TEST})
    tree.commit("elsewhere", {MAIN: OLD_TEST.replace("return true", "return !false")})
    tree.commit("moved", {"arch/x86/kvm/mmu.c": None, MMU: NEW_TEST})
    tree.commit("moved again", {MMU: "int a;\n", SPTE: NEW_TEST})
    tree.commit("cached", {SPTE: NEW_TEST.replace("kvm_is", "__kvm_is") + CACHED})
    inner = NEW_TEST.replace("kvm_is", "__kvm_is").replace("!is_zero_pfn(pfn) && ", "")
    tree.commit("inner", {SPTE: inner + CACHED})
    return tree


def test_the_test_and_its_names(tmp_path: Path) -> None:
    """Under the one name that it is known by; what else is called kvm_is_reserved_pfn later is not the test."""
    found = log(host_mmio_tree(tmp_path))[::-1]
    assert [record["subject"] for record in found] == ["before", "renamed", "private", "cached", "inner"]
    assert {record["function"] for record in found} == {"kvm_is_mmio_pfn"}
    assert [record["first"] for record in found] == [True, False, False, False, False]
    names = ["kvm_is_mmio_pfn", "kvm_is_reserved_pfn", *["kvm_is_mmio_pfn"] * 3]
    for record, name in zip(found, names, strict=True):
        assert f"{name}()" in record["text"] or record["changed"]


def test_the_test_as_rules(tmp_path: Path) -> None:
    """Which host pages each commit makes MMIO, or no longer; and the tree's own test goes with git:REV."""
    pytest.importorskip("mtcalc.csource.mmio")
    tree = host_mmio_tree(tmp_path)
    changed = {record["subject"]: record["changed"] for record in log(tree)}
    assert {subject: count > 0 for subject, count in changed.items()} == {
        "before": False,
        "renamed": False,
        "private": True,
        "cached": False,
        "inner": True,
    }
    tree.commit("rules", {VMX: in_file(function_of("v4.4"))})
    good = tree.commit("back", {SPTE: NEW_TEST})
    found = quick("review", f"git:{good}", "-o", "json", cwd=tmp_path)
    record = json.loads(found.out)
    assert (found.status, record["changed"]) == (1, 0)
    assert record["mmio_rows"]
    assert record["patches"][0]["mmio_rows"] == record["mmio_rows"]


# Trees that lack something.


def test_a_shallow_clone_says_where_it_ends(tree: TestTree, tmp_path: Path) -> None:
    folder = tmp_path / "shallow"
    tree.git("clone", "-q", "--no-checkout", "--depth=4", f"file://{tree.folder}", str(folder))
    done = quick("log", "-o", "json", "--git", str(folder))
    first, last = done.json
    assert (first["subject"], first["changed"]) == ("KVM: to v6.16", 1)
    assert (last["subject"], last["first"], last["changed"]) == ("KVM: to v6.11", False, 0)
    assert last["text"].startswith("the history ends here (a shallow clone)")
    plain = quick("log", "--git", str(folder)).out
    told = "2 commits touch the files: 1 changes the rules or the host-MMIO test, of 1 it can't be told."
    assert told in " ".join(plain.split())
    assert f"note: {last['commit'][:12]}: the history ends here" in plain


def test_a_partial_clone_says_what_is_missing(tree: TestTree, tmp_path: Path) -> None:
    tree.git("config", "uploadpack.allowFilter", "true")
    source = f"file://{tree.folder}"
    tree.git("clone", "-q", "--no-checkout", "--filter=blob:none", source, str(tmp_path / "blobs"))
    tree.git("clone", "-q", "--no-checkout", "--filter=tree:0", source, str(tmp_path / "trees"))
    done = quick("log", "-o", "json", "--git", str(tmp_path / "blobs"))
    assert len(done.json) == len(log(tree))
    assert {record["text"].partition(":")[0] for record in done.json} == {
        "a version of its file is missing (a partial clone)"
    }
    none = quick("log", "--git", str(tmp_path / "trees"))
    assert (none.status, none.out) == (2, "")
    assert "missing (a shallow or partial clone; nothing is fetched" in none.err


# git:REV in the other commands.


def test_git_goes_with_every_ref(tree: TestTree, tmp_path: Path) -> None:
    """By --git, by MTCALC_GIT, by the working directory, in this order."""
    folder = str(tree.folder)
    calls = [
        ("lookup", "-r", "git:v6.7", "-o", "json"),
        ("table", "-r", "git:v6.7", "-o", "json"),
        ("explain", "-r", "git:v6.7", "--pat", "wc", "-o", "json"),
        ("rules", "show", "git:v6.7", "-o", "json"),
        ("eval", "golden/vfio.yaml", "-r", "git:v6.7", "-o", "json"),
        ("mtrr", "golden/vfio.yaml", "-r", "git:v6.7", "-o", "json"),
        ("rules", "check", "git:v6.7", "-o", "json"),
    ]
    for call in calls:
        by_option = quick(*call, "--git", folder, env={"MTCALC_GIT": str(tmp_path)})
        assert by_option.json is not None
        assert quick(*call, env={"MTCALC_GIT": folder}) == by_option
    assert quick(*calls[0], cwd=tree.folder) == quick(*calls[0], "--git", folder)
    assert quick(*calls[0], env={"MTCALC_GIT": str(tmp_path)}, cwd=tree.folder).status == 2


def test_diff_of_two_revisions(tree: TestTree) -> None:
    for one, other in itertools.combinations([row[:2] for row in HISTORY], 2):
        done = quick("diff", f"git:{one[0]}", f"git:{other[0]}", "-o", "json", cwd=tree.folder)
        named = quick("diff", one[1], other[1], "-o", "json")
        assert done.status == named.status
        ours, theirs = (json.loads(run.out) for run in (done, named))
        for key in ("changed", "reachable", "rows", "mmio_rows"):
            assert ours[key] == theirs[key]


def test_git_without_a_revision() -> None:
    for call in (
        ("lookup", "--git", "."),
        ("diff", "v6.7", "v6.11", "--git", "."),
        ("rules", "show", "6.1", "--git", "."),
    ):
        done = quick(*call)
        assert (done.status, done.out) == (2, "")
        assert "--git without a git:REV" in done.err


def test_a_scenario_may_name_a_revision(tree: TestTree, tmp_path: Path) -> None:
    """And what is in the tree is not quoted: whoever reads the scenario did not choose it."""
    scenario = tmp_path / "s.yaml"
    scenario.write_text("rules: git:v6.7\nmemslots:\n  - {gpa: 0, size: 1M}\n")
    done = quick("eval", str(scenario), "-o", "json", "--git", str(tree.folder))
    assert {answer["rules"] for answer in done.json["results"]} == {"git:v6.7"}
    broken = TestTree(tmp_path / "broken")
    broken.commit("one", {VMX: in_file(function_of("v6.7").replace("is_mmio)", "secret(", 2))})
    scenario.write_text("rules: git:HEAD\nmemslots:\n  - {gpa: 0, size: 1M}\n")
    done = quick("eval", str(scenario), "--git", str(broken.folder))
    assert (done.status, done.out) == (2, "")
    assert "secret" not in done.err
