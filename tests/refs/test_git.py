# SPDX-License-Identifier: GPL-2.0-only
"""Reading git trees: what is read, what is refused, and that nothing in a tree runs, fetches or misleads."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from mtcalc.analysis.diff import diff
from mtcalc.refs.git import MissingObject, open_git
from mtcalc.refs.resolve import resolve
from mtcalc.refs.tree import makefile_release
from mtcalc.rules.truth import same_bytes
from mtcalc.text.errors import InputError
from support.patches import kernel
from support.trees import HISTORY, OLD_VMX, VMX, TestTree, function_of, in_file, linux, makefile, needs_git

pytestmark = needs_git


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> TestTree:
    return linux(tmp_path_factory.mktemp("linux"))


@pytest.mark.parametrize(("name", "release", "path"), HISTORY)
def test_a_tag_has_its_rules_and_its_release(name: str, release: str, path: str, tree: TestTree) -> None:
    """The kernel around is the one of the Makefile, so a comparison with the release finds nothing."""
    found = resolve(f"git:{name}", git=str(tree.folder))
    assert same_bytes(found.rules, kernel(name).rules)
    named = resolve(release)
    assert found[2:9] == named[2:9]
    assert diff(found, named).same
    assert found.rules.sources[0].startswith(f"git:{name}:{path}:")
    assert found.notes[0].text.startswith(f"git:{name} is {tree.git('rev-parse', '--short=12', name)} of ")


@pytest.mark.parametrize(
    "revision", ["HEAD", "master", "HEAD~0", "v6.16^{commit}", "HEAD^{/to v6.16}", "master@{0}", "refs/tags/v6.16"]
)
def test_revisions_as_git_takes_them(revision: str, tree: TestTree) -> None:
    assert same_bytes(resolve(f"git:{revision}", git=str(tree.folder)).rules, kernel("v6.16").rules)


def test_an_abbreviated_id_and_a_tag_object(tree: TestTree) -> None:
    tree.git("tag", "-a", "-m", "a tag", "annotated", "v6.7")
    for revision in (tree.git("rev-parse", "--short", "v6.7"), "annotated"):
        assert same_bytes(resolve(f"git:{revision}", git=str(tree.folder)).rules, kernel("v6.7").rules)


@pytest.mark.parametrize(
    ("revision", "why"),
    [
        ("", "names no revision"),
        ("nope", "no such commit"),
        ("-p", "no such commit"),
        ("--output=x", "no such commit"),
        ("--all", "no such commit"),
        ("v6.7 v6.16", "no such commit"),
        ("v6.7;touch x", "no such commit"),
        ("$(touch x)", "no such commit"),
        ("caf\u00e9", "no such commit"),
        ("\udcff", "no such commit"),
        ("HEAD^{tree}", "no such commit"),
        ("deadbeef" * 5, "no such commit"),
        ("v6.7\nHEAD", "characters that are in no revision"),
        ("a\0b", "characters that are in no revision"),
        ("x" * 2_000, "characters that are in no revision"),
        ("v6.7..v6.16", "is a range"),
        ("v6.7...v6.16", "is a range"),
        ("HEAD:Makefile", "no plain revision"),
        (":/docs", "no plain revision"),
        ("^HEAD", "no plain revision"),
    ],
)
def test_what_is_no_revision(revision: str, why: str, tree: TestTree) -> None:
    with pytest.raises(InputError, match=why):
        resolve(f"git:{revision}", git=str(tree.folder))
    assert not (tree.folder / "x").exists()


def test_many_questions_after_a_bad_one(tree: TestTree) -> None:
    """An answer is never taken for another question's."""
    with open_git(str(tree.folder)) as git:
        wanted = git.commit("v6.7").id
        for bad in ("nope", "a b c", "-x", "HEAD^{blob}"):
            with pytest.raises(InputError):
                git.commit(bad)
            assert git.commit("v6.7").id == wanted == tree.git("rev-parse", "v6.7")


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no git tree"):
        resolve("git:HEAD", git=str(tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        resolve("git:HEAD", git=str(tmp_path / "gone"))
    TestTree(tmp_path / "empty")
    with pytest.raises(InputError, match="no such commit"):
        resolve("git:HEAD", git=str(tmp_path / "empty"))


def test_no_git_program(tree: TestTree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="git is not installed"):
        resolve("git:HEAD", git=str(tree.folder))


def test_a_program_called_git_in_the_tree_is_not_run(
    tree: TestTree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "git"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".::{os.environ['PATH']}")
    assert resolve("git:v6.7", git=str(tree.folder))
    assert not (tmp_path / "ran").exists()


def test_a_commit_without_the_function(tmp_path: Path) -> None:
    tree = TestTree(tmp_path)
    tree.commit("one", {"Makefile": makefile("6.7"), VMX: "static int other(void)\n{\n\treturn 0;\n}\n"})
    with pytest.raises(InputError, match=r"git:HEAD: no vmx_get_mt_mask\(\) in it"):
        resolve("git:HEAD", git=str(tmp_path))


def test_an_error_in_the_file_is_located(tmp_path: Path) -> None:
    tree = TestTree(tmp_path)
    tree.commit("one", {VMX: in_file(function_of("v6.7").replace("if (is_mmio)", "if (is_mmio"))})
    with pytest.raises(InputError) as error:
        resolve("git:HEAD", git=str(tmp_path))
    assert str(error.value).startswith(f"git:HEAD:{VMX}:")


def test_latin_1_in_a_comment(tmp_path: Path) -> None:
    tree = TestTree(tmp_path)
    text = b"/* J\xf6rg */\n" + in_file(function_of("v4.4")).encode()
    tree.commit("one", {"Makefile": makefile("4.4"), OLD_VMX: text})
    assert same_bytes(resolve("git:HEAD", git=str(tmp_path)).rules, kernel("v4.4").rules)


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    tree = TestTree(tmp_path)
    (tmp_path / "arch/x86/kvm/vmx").mkdir(parents=True)
    (tmp_path / VMX).symlink_to("/etc/passwd")
    tree.commit("one", {})
    with pytest.raises(InputError, match=r"no vmx_get_mt_mask\(\)"):
        resolve("git:HEAD", git=str(tmp_path))


# The release around.


@pytest.mark.parametrize(
    ("text", "release"),
    [
        (makefile("6.11-rc1"), "6.11.0-rc1"),
        (makefile("2.6.31"), "2.6.31"),
        ("VERSION = 2\nPATCHLEVEL = 6\nSUBLEVEL = 32\nEXTRAVERSION = .69\n", "2.6.32.69"),
        ("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\nNAME = x\n", "6.1.192"),
        ("VERSION = 5\nPATCHLEVEL = 4\nSUBLEVEL = 0\nEXTRAVERSION = -rc7-next\n", "5.4.0-rc7-next"),
        ("VERSION = 4\nPATCHLEVEL = 18\nSUBLEVEL = 0\nEXTRAVERSION = \u00e4\n", "4.18.0"),
        ("VERSION = x\nPATCHLEVEL = 18\n", ""),
        ("PATCHLEVEL = 18\n", ""),
        ("", ""),
    ],
)
def test_what_a_makefile_says(text: str, release: str) -> None:
    assert makefile_release(text) == release


def test_around_by_makefile(tmp_path: Path) -> None:
    """Newer than any known, of no known release, and one that never asks for what the rules ask for: said."""
    tree = TestTree(tmp_path)
    folder = str(tmp_path)
    tree.commit("new", {"Makefile": makefile("9.4-rc2"), VMX: in_file(function_of("v6.16"))})
    newer = resolve("git:HEAD", git=folder)
    assert newer.release == resolve("latest").release
    assert any("newer than any known" in note.text for note in newer.notes)
    tree.commit("none", {"Makefile": None})
    assert any("no release in its Makefile" in note.text for note in resolve("git:HEAD", git=folder).notes)
    tree.commit("odd", {"Makefile": makefile("6.12"), VMX: in_file(function_of("v6.7"))})
    odd = resolve("git:HEAD", git=folder)
    assert odd.release == (6, 10)
    assert any("never does" in note.text for note in odd.notes)
    assert resolve("git:HEAD", git=folder, release="6.8").release == (6, 8)


# Other trees than a plain one.


def test_bare_worktree_subfolder(tree: TestTree, tmp_path: Path) -> None:
    tree.git("clone", "-q", "--bare", str(tree.folder), str(tmp_path / "bare.git"))
    tree.git("worktree", "add", "-q", "--detach", str(tmp_path / "work"), "v6.7")
    for folder in (tmp_path / "bare.git", tmp_path / "work", tree.folder / "arch/x86", tree.folder / ".git"):
        assert same_bytes(resolve("git:v6.7", git=str(folder)).rules, kernel("v6.7").rules)
    assert same_bytes(resolve("git:HEAD", git=str(tmp_path / "work")).rules, kernel("v6.7").rules)


def test_sha256(tmp_path: Path) -> None:
    tree = TestTree(tmp_path, "--object-format=sha256")
    tree.commit("one", {"Makefile": makefile("6.7"), VMX: in_file(function_of("v6.7"))})
    assert same_bytes(resolve("git:HEAD", git=str(tmp_path)).rules, kernel("v6.7").rules)


def clone(tree: TestTree, folder: Path, *options: str) -> Path:
    tree.git("config", "uploadpack.allowFilter", "true")
    tree.git("clone", "-q", "--no-checkout", *options, f"file://{tree.folder}", str(folder))
    return folder


@pytest.mark.parametrize("kind", ["--filter=blob:none", "--filter=tree:0"])
def test_a_partial_clone_fetches_nothing(kind: str, tree: TestTree, tmp_path: Path) -> None:
    folder = clone(tree, tmp_path / "partial", kind)
    packs = sorted(path.name for path in (folder / ".git/objects/pack").iterdir())
    for revision in ("HEAD", "v6.7"):
        with pytest.raises(MissingObject, match="is missing"):
            resolve(f"git:{revision}", git=str(folder))
    assert sorted(path.name for path in (folder / ".git/objects/pack").iterdir()) == packs
    assert not list((folder / ".git/objects").glob("??/*"))


def test_a_shallow_clone(tree: TestTree, tmp_path: Path) -> None:
    folder = clone(tree, tmp_path / "shallow", "--depth=1")
    assert same_bytes(resolve("git:HEAD", git=str(folder)).rules, kernel("v6.16").rules)
    with pytest.raises(InputError, match="no such commit"):
        resolve("git:HEAD~1", git=str(folder))


# A tree that somebody else configured.


def test_nothing_in_a_tree_runs(tmp_path: Path) -> None:
    source = linux(tmp_path / "source")
    folder = clone(source, tmp_path / "hostile", "--filter=blob:none")
    tree = TestTree(folder)
    tree.commit("one", {"Makefile": makefile("6.7"), VMX: in_file(function_of("v6.7"))})
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\necho $0 $@ >> {ran}\n")
    script.chmod(0o755)
    for key in (
        *("core.fsmonitor", "core.sshCommand", "core.pager", "pager.rev-list", "pager.cat-file", "core.gitProxy"),
        *("diff.external", "diff.x.textconv", "diff.x.command", "filter.x.smudge", "filter.x.process", "gpg.program"),
        *(
            "core.alternateRefsCommand",
            "core.editor",
            "core.askPass",
            "credential.helper",
            "uploadpack.packObjectsHook",
        ),
        "remote.origin.uploadpack",
    ):
        tree.git("config", key, str(script))
    tree.git("config", "alias.cat-file", f"!{script}")
    tree.git("config", "log.showSignature", "true")
    tree.git("config", "remote.origin.url", "ssh://example.invalid/x")
    (folder / ".git/info/attributes").write_text("* diff=x filter=x\n")
    for hook in ("post-index-change", "reference-transaction", "post-checkout", "fsmonitor-watchman"):
        (folder / ".git/hooks").mkdir(exist_ok=True)
        (folder / ".git/hooks" / hook).symlink_to(script)
    assert same_bytes(resolve("git:HEAD", git=str(folder)).rules, kernel("v6.7").rules)
    with pytest.raises(MissingObject):
        resolve("git:v4.4", git=str(folder))
    with open_git(str(folder)) as git:
        assert git.commits(git.commit("HEAD").id, None, [VMX])
    assert not ran.exists()
    subprocess.run(["git", "status"], cwd=folder, capture_output=True, check=False)
    assert ran.exists()  # the trap works


def test_objects_are_what_their_ids_say(tmp_path: Path) -> None:
    """Neither a replacement nor a graft counts, nor another tree in the environment."""
    tree = linux(tmp_path / "linux")
    folder = str(tree.folder)
    whole = tree.git("rev-list", "v6.16").split()
    tree.git("replace", "v6.7", "v6.16")
    tree.git("replace", f"v6.11:{VMX}", f"v6.7:{VMX}")
    (tree.folder / ".git/info/grafts").write_text(f"{tree.git('rev-parse', 'v6.16')}\n")
    for name in ("v6.7", "v6.11"):
        assert same_bytes(resolve(f"git:{name}", git=folder).rules, kernel(name).rules)
    with open_git(folder) as git:
        assert git.commits(git.commit("v6.16").id, None) == whole


@pytest.mark.parametrize(
    "name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_INDEX_FILE"]
)
def test_another_tree_in_the_environment(
    name: str, tree: TestTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook of that other tree."""
    other = TestTree(tmp_path / "other")
    other.commit("one", {"a": "b"})
    monkeypatch.setenv(name, str(other.folder / ".git"))
    assert same_bytes(resolve("git:v6.7", git=str(tree.folder)).rules, kernel("v6.7").rules)
    monkeypatch.chdir(tree.folder)
    assert same_bytes(resolve("git:v6.7").rules, kernel("v6.7").rules)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give a folder away")
def test_a_tree_of_somebody_else(tmp_path: Path) -> None:
    tree = linux(tmp_path / "linux")
    for folder, _, _ in os.walk(tree.folder):
        os.chown(folder, 12_345, 12_345)
    with pytest.raises(InputError, match=r"somebody else owns \(git config --global --add safe\.directory"):
        resolve("git:HEAD", git=str(tree.folder))


def test_a_file_too_large(tmp_path: Path) -> None:
    tree = TestTree(tmp_path)
    tree.commit("one", {VMX: "x" * ((16 << 20) + 1)})
    with pytest.raises(InputError, match="too large"):
        resolve("git:HEAD", git=str(tmp_path))


# On top.


def test_a_proposal_and_a_rule_file_on_top(tree: TestTree, tmp_path: Path) -> None:
    folder = str(tree.folder)
    assert same_bytes(resolve("git:v6.7+slot-flag", git=folder).rules, resolve("6.7+slot-flag").rules)
    rules = tmp_path / "more.yaml"
    rules.write_text(
        "changes:\n  - {insert_after: mmio, rules: [{id: x, when: cr0_cd, ept: {memtype: UC, ipat: 1}}]}\n"
    )
    with_file = resolve("git:v6.7+more.yaml", directory=str(tmp_path), git=folder)
    assert same_bytes(with_file.rules, resolve(f"6.7+{rules}").rules)
    tree.git("branch", "-f", "a+b", "v6.7")
    assert same_bytes(resolve("git:a+b", git=folder).rules, kernel("v6.7").rules)
    with pytest.raises(ValueError, match="no proposal"):
        resolve("git:v6.7+slot-flg", git=folder)
