# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc review git:REV and git:A..B, over trees that the tests build."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtcalc.analysis.diff import diff
from mtcalc.refs.resolve import resolve
from support.patches import kernel
from support.program import environment, quick
from support.readme import ROOT
from support.trees import VMX, TestTree, function_of, in_file, linux, makefile, needs_git

pytestmark = needs_git


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> TestTree:
    return linux(tmp_path_factory.mktemp("linux"))


def review(tree: TestTree, *args: str) -> tuple[int, dict[str, Any]]:
    done = quick("review", *args, "--git", str(tree.folder), "-o", "json")
    assert done.err == ""
    return done.status, json.loads(done.out)


def test_review_of_a_commit(tree: TestTree) -> None:
    status, found = review(tree, "git:v6.7")
    wanted = diff(resolve("4.4"), resolve("6.7"))
    assert (status, found["changed"], found["reachable"]) == (1, wanted.changed_count, wanted.total)
    (patch,) = found["patches"]
    assert (patch["commit"], patch["touches"], patch["changed"]) == (
        tree.git("rev-parse", "v6.7"),
        True,
        found["changed"],
    )
    assert (patch["subject"], patch["author"]) == ("KVM: to v6.7", "A Writer")
    assert patch["rows"] == found["rows"]
    assert patch["questions"] == found["questions"]
    assert found["base"] == f"git:{tree.git('rev-parse', '--short=12', 'v6.7^')}"
    assert found["date"] == tree.git("log", "-1", "--format=%as", "v6.7")


def test_review_of_a_range(tree: TestTree) -> None:
    """Each commit with its own rows, those that touch nothing too; the whole is the difference of the ends."""
    status, found = review(tree, "git:v6.7..v6.16")
    whole = json.loads(quick("diff", "git:v6.7", "git:v6.16", "-o", "json", cwd=tree.folder).out)
    assert status == 1
    assert (found["rows"], found["changed"]) == (whole["rows"], whole["changed"])
    assert [patch["touches"] for patch in found["patches"]] == [False, True, False, True, False, True]
    logged = quick("log", "v6.7..v6.16", "-o", "json", cwd=tree.folder).json
    by_log = {record["commit"]: record["changed"] for record in logged}
    assert {patch["commit"]: patch["changed"] for patch in found["patches"] if patch["touches"]} == by_log
    plain = quick("review", "git:v6.7..v6.16", cwd=tree.folder).out
    lines = plain.splitlines()
    for patch in found["patches"]:
        head = f"{patch['commit'][:12]}  {patch['subject']}"
        assert any(line.startswith(head) for line in lines)
        assert patch["touches"] or f"{head}: touches no rule" in lines
    assert max(map(len, lines)) <= 80


def test_commits_that_touch_no_rule_are_named(tmp_path: Path) -> None:
    """One alone too; of many the first, and how many more there are."""
    tree = linux(tmp_path)
    for number in range(23):
        tree.commit(f"other {number}", {"a": str(number)})
    one = quick("review", "git:HEAD", cwd=tree.folder).out
    name = tree.git("rev-parse", "--short=12", "HEAD")
    assert one.splitlines()[0] == f"{name}  other 22: touches no rule"
    many = quick("review", "git:HEAD~22..HEAD", cwd=tree.folder).out.splitlines()
    assert sum(line.endswith(": touches no rule") for line in many) == 20
    assert "besides       2 more that touch no rule" in many


def test_review_of_what_touches_nothing(tree: TestTree) -> None:
    for words in ("git:v6.16..HEAD", "git:HEAD", "git:v6.7~1"):
        status, found = review(tree, words)
        assert (status, found["changed"], found["patches"][0]["touches"]) == (0, 0, False)
        assert found["text"].startswith("touches no rule")


def test_review_of_a_branch_that_left(tmp_path: Path) -> None:
    """git:A..B where A went on: B's own commits, against where they left A."""
    tree = linux(tmp_path)
    tree.git("checkout", "-q", "-b", "topic", "v6.7")
    tree.commit("nothing", {"a": "b"})
    tree.commit("topic", {VMX: in_file(function_of("slot-flag"))})
    status, found = review(tree, "git:master..topic")
    assert status == 1
    assert found["base"] == f"git:{tree.git('rev-parse', '--short=12', 'v6.7')}"
    assert [patch["subject"] for patch in found["patches"]] == ["nothing", "topic"]
    assert found["changed"] == diff(kernel("v6.7"), kernel("slot-flag")).changed_count


def test_a_long_title_is_cut_where_dots_say_so(tmp_path: Path) -> None:
    """The title of the commit before, in review's note; of the commit itself, in diff's."""
    tree = TestTree(tmp_path)
    whole = "KVM: x86: Remove VMX support for virtualizing guest MTRR memtypes (of 4.2 on)"
    tree.commit(whole, {VMX: in_file(function_of("v4.4"))})
    tree.commit("KVM: " + "long " * 20, {VMX: in_file(function_of("v6.7"))})
    tree.commit("KVM: short", {VMX: in_file(function_of("v6.11"))})
    cut = "KVM: " + "long " * 14 + "lo..."
    assert len(cut) == 80
    for words, title in ((("git:HEAD^",), whole), (("git:HEAD",), cut), (("git:HEAD^^..HEAD",), whole)):
        assert review(tree, *words)[1]["base_note"].endswith(f", {title}" if ".." not in words[0] else f": {title}")
    notes = json.loads(quick("diff", "git:HEAD^^", "git:HEAD^", "--git", str(tree.folder), "-o", "json").out)["notes"]
    assert [note.rpartition(": KVM")[2] for note in notes if ": KVM" in note] == [whole[3:], cut[3:]]


def test_review_of_what_is_undone_again(tmp_path: Path) -> None:
    """Two patches that change something, and nothing in all."""
    tree = linux(tmp_path)
    before = (tree.folder / VMX).read_text()
    tree.commit("there", {VMX: in_file(function_of("v6.7"))})
    tree.commit("and back", {VMX: before})
    status, found = review(tree, "git:HEAD~2..HEAD")
    assert (status, found["changed"]) == (0, 0)
    assert all(patch["changed"] for patch in found["patches"])


X86 = """\
/* A file of its own for tests. */
static int stand_in(void)
{
\treturn 1;
}

void kvm_arch_register_noncoherent_dma(struct kvm *kvm)
{
\tatomic_inc(&kvm->arch.noncoherent_dma_count);
}

bool kvm_arch_has_noncoherent_dma(struct kvm *kvm)
{
\treturn atomic_read(&kvm->arch.noncoherent_dma_count);
}
"""


def test_what_commits_change_beside_the_rules(tmp_path: Path) -> None:
    """Each commit's own and the whole's, told as of a mail: at lines of the file, not where lines only move."""
    path = "arch/x86/kvm/x86.c"
    tree = linux(tmp_path)
    tree.commit("x86", {path: X86})
    tree.commit("other", {path: X86.replace("return 1", "return 2")})
    tree.commit("twice", {path: X86.replace("return 1", "return 2").replace("atomic_inc(", "atomic_add(2, ")})
    text = X86.replace("return 1", "return 2").replace("atomic_inc(", "atomic_add(2, ")
    last = tree.commit("asked", {path: text.replace("return atomic_read(", "for (;;) return own(kvm) || atomic_read(")})
    status, found = review(tree, "git:HEAD~3..HEAD")
    names = ["kvm_arch_register_noncoherent_dma()", "kvm_arch_has_noncoherent_dma()"]
    assert (status, found["changed"]) == (0, 0)
    assert [[one["name"] for one in patch["beside"]] for patch in found["patches"]] == [[], names[:1], names[1:]]
    assert [(one["kind"], one["name"]) for one in found["beside"]] == [("noncoherent-dma", name) for name in names]
    assert [one["place"] for one in found["beside"]] == [f"git:{last[:12]}:{path}:{line}" for line in (9, 14)]
    said = "touches no rule itself, but changes kvm_arch_has_noncoherent_dma(), asked by name: its meaning is taken as"
    assert found["text"].startswith(said)
    plain = quick("review", "git:HEAD~2", "--git", str(tmp_path))
    assert "beside" not in plain.out
    moved = tree.commit(
        "moved", {path: "int a;\n" + text.replace("return atomic_read(", "for (;;) return own(kvm) || atomic_read(")}
    )
    assert review(tree, f"git:{moved}")[1]["beside"] == []
    tree.commit("rules", {VMX: in_file(function_of("v6.7"))})
    both = review(tree, "git:HEAD~4..HEAD")[1]
    assert both["rows"] != []
    assert {one["name"] for one in both["beside"]} == set(names)
    assert any("asked by name: its meaning is taken as before" in note for note in both["notes"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("git:v2.6.31",), "is the first commit"),
        (("git:HEAD..v6.7",), "no commit in it"),
        (("git:v6.7...HEAD",), "three dots"),
        (("git:nope..HEAD",), "no such commit"),
        (("git:v6.16", "--base", "v6.7"), "--base with git:v6.16"),
    ],
)
def test_review_refuses(words: tuple[str, ...], why: str, tree: TestTree) -> None:
    done = quick("review", *words, "--git", str(tree.folder))
    assert (done.status, done.out) == (2, "")
    assert why in done.err


def test_the_commands_of_the_page(tree: TestTree) -> None:
    """Its block for a git tree, run in one."""
    text = (ROOT / "docs" / "review.md").read_text()
    block = text[text.index("## In a git tree") :].split("```")[1].removeprefix("sh\n")
    commands = block.splitlines()
    assert len(commands) == 5
    env = {**environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tree.folder, env=env, capture_output=True, text=True, check=False
        )
        assert (done.returncode in (0, 1), done.stderr) == (True, ""), command
        assert done.stdout


HELPER_PATH = "arch/x86/kvm/x86.c"
COUNTED = "return atomic_read(&kvm->arch.noncoherent_dma_count);"


def helper_tree(folder: Path, line: str, above: str = "") -> TestTree:
    """A tree whose last commit gives kvm_arch_has_noncoherent_dma() another body."""
    tree = TestTree(folder)
    files = {VMX: in_file(function_of("v6.7")), "Makefile": makefile("6.7"), HELPER_PATH: X86}
    tree.commit("before", files)
    tree.commit("a helper", {HELPER_PATH: X86.replace("\t" + COUNTED, above + "\t" + line)})
    return tree


def test_a_helper_of_another_file_is_followed(tmp_path: Path) -> None:
    """What a function means that the rules ask by name: the commit answers as its own mail does."""
    tree = helper_tree(tmp_path, COUNTED.replace(";", " ||\n\t       kvm_own(kvm);"))
    status, found = review(tree, "git:HEAD")
    mail = tree.git("format-patch", "-1", "--stdout")
    done = quick("review", "-", "--base", "git:HEAD~1", "--git", str(tree.folder), "-o", "json", stdin=mail)
    told = json.loads(done.out)
    assert status == 1
    assert found["changed"] > 9
    for key in ("changed", "reachable", "rows", "questions", "beside"):
        assert found[key] == told[key], key
    assert found["patches"][0]["touches"]
    assert review(tree, "git:HEAD~1..HEAD")[1]["rows"] == found["rows"]
    assert (
        json.loads(quick("diff", "git:HEAD~1", "git:HEAD", "-o", "json", cwd=tree.folder).out)["rows"] == found["rows"]
    )
    own = ("--assume", "kvm_own(vcpu->kvm)=yes", "--pat", "WC", "-o", "json")
    masks = [
        json.loads(quick("lookup", "-r", ref, *own, cwd=tree.folder).out)[0]["ept"]["mask"]
        for ref in ("git:HEAD~1", "git:HEAD")
    ]
    assert masks == ["0x70", "0x30"]
    line = quick("review", "git:HEAD", "--terse", cwd=tree.folder).out.splitlines()[0]
    changed = (tree.folder / HELPER_PATH).read_text().splitlines().index("\t" + COUNTED.replace(";", " ||")) + 1
    assert line.startswith(f"{HELPER_PATH}:{changed}: WARNING: ")
    tree.commit("after it", {"a": "b"})
    assert review(tree, "git:HEAD")[1]["changed"] == 0
    assert review(tree, "git:HEAD~2..HEAD")[1]["rows"] == found["rows"]


@pytest.mark.parametrize(
    ("line", "above", "asked"),
    [
        ("return raw_atomic_read(&kvm->arch.noncoherent_dma_count) > 0;", "", False),
        ("return kvm->arch.own;", "\tint i;\n\n\tfor (i = 0; i < 3; i++)\n\t\tkvm->arch.own |= i;\n", True),
    ],
)
def test_a_helper_that_means_the_same_or_is_not_followed(tmp_path: Path, line: str, above: str, asked: bool) -> None:
    tree = helper_tree(tmp_path, line, above)
    status, found = review(tree, "git:HEAD")
    assert (status, found["changed"], found["patches"][0]["touches"]) == (0, 0, False)
    assert ("asked by name: its meaning is taken as before" in found["text"]) is asked
