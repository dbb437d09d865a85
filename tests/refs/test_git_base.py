# SPDX-License-Identifier: GPL-2.0-only
"""A patch on the very file that it was made on, where a git tree has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtcalc.analysis.diff import diff
from mtcalc.refs.resolve import resolve
from support.patches import kernel
from support.program import quick
from support.trees import OLD_VMX, VMX, TestTree, function_of, in_file, linux, makefile, needs_git

pytestmark = needs_git

MMIO = "\tif (is_mmio)\n\t\treturn MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;\n"
FLAG = "\n\tif (slot->flags & KVM_MEM_NON_COHERENT_DMA)\n\t\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;\n"


def flagged(function: str) -> str:
    assert MMIO in function
    return function.replace(MMIO, MMIO + FLAG)


class Made:
    """A tree whose HEAD is v6.16's, and a patch made on v6.7's: by its statements it fits v6.11 as well."""

    def __init__(self, folder: Path) -> None:
        self.tree = linux(folder / "linux")
        git = self.tree.git
        git("checkout", "-q", "-b", "topic", "v6.7")
        self.tree.commit("KVM: VMX: a flag", {VMX: in_file(flagged(function_of("v6.7")))})
        self.patch = git("format-patch", "-1", "--stdout", "-U2") + "\n"
        self.blob = git("rev-parse", f"v6.7:{VMX}")
        git("checkout", "-q", "master")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"))


def review(patch: str, *args: str, cwd: Path) -> dict[str, Any]:
    done = quick("review", "-", "-o", "json", *args, stdin=patch, cwd=cwd)
    assert done.err == ""
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_the_index_line_beats_guessing(made: Made, tmp_path: Path) -> None:
    """Inside the tree, or with --git; outside it the statements tell what they can."""
    guessed = review(made.patch, cwd=tmp_path)
    assert guessed["base"] != f"git blob {made.blob[:12]}"
    for args, cwd in (((), made.tree.folder), (("--git", str(made.tree.folder)), tmp_path)):
        found = review(made.patch, *args, cwd=cwd)
        assert found["base"] == f"git blob {made.blob[:12]}"
        assert found["base_note"] == f"base git blob {made.blob[:12]}: the patch's index line names it"
        assert found["changed"] == diff(resolve("6.7"), resolve("6.7+slot-flag")).changed_count
    plain = quick("review", "-", stdin=made.patch, cwd=made.tree.folder).out
    assert f"base   git blob {made.blob[:12]}: the patch's index line names it" in plain


def test_rules_of_no_built_in_set(tmp_path: Path) -> None:
    """Statements that no built-in set has: the file that the index line names has them."""
    tree = TestTree(tmp_path)
    own = function_of("v6.7").replace("MTRR_TYPE_UNCACHABLE << ", "MTRR_TYPE_WRCOMB << ")
    tree.commit("own", {"Makefile": makefile("6.7"), VMX: in_file(own)})
    tree.commit("change", {VMX: in_file(own.replace("MTRR_TYPE_WRCOMB", "MTRR_TYPE_WRPROT"))})
    patch = tree.git("format-patch", "-1", "--stdout") + "\n"
    assert quick("review", "-", stdin=patch).status == 2
    found = review(patch, cwd=tmp_path)
    assert found["rows"][0]["before"]["memtype"] == "WC"
    assert found["rows"][0]["after"]["memtype"] == "WP"


def test_a_file_of_head_has_the_release_of_its_makefile(tmp_path: Path) -> None:
    """One that HEAD no longer has: the kernel that its rules and names tell."""
    tree = TestTree(tmp_path)
    tree.commit("one", {"Makefile": makefile("4.9"), OLD_VMX: in_file(function_of("v4.4"))})
    changed = function_of("v4.4").replace("MTRR_TYPE_UNCACHABLE;", "MTRR_TYPE_WRCOMB;")
    tree.commit("two", {OLD_VMX: in_file(changed)})
    patch = tree.git("format-patch", "-1", "--stdout") + "\n"
    path = tmp_path / "p.patch"
    path.write_text(patch)
    tree.git("checkout", "-q", "HEAD~1")
    assert resolve(str(path), git=str(tmp_path)).release == (4, 9)
    tree.git("checkout", "-q", "-")
    assert resolve(str(path), git=str(tmp_path)).release == (6, 6)


def test_an_id_that_is_not_there_or_of_another_file(made: Made, tmp_path: Path) -> None:
    """Then the statements tell, as they do without a tree."""
    wanted = review(made.patch, cwd=tmp_path)
    short = made.tree.git("rev-parse", "--short", made.blob)
    assert f"index {short}.." in made.patch
    others = (
        "1234567",
        "0000000",
        *(
            made.tree.git("rev-parse", "--short", name)
            for name in (f"v6.16:{VMX}", "HEAD:Makefile", "HEAD", "HEAD:arch")
        ),
    )
    for other in others:
        patch = made.patch.replace(f"index {short}..", f"index {other}..")
        found = review(patch, cwd=made.tree.folder)
        assert found == wanted, other


def test_a_patch_of_something_else(made: Made, tmp_path: Path) -> None:
    patch = made.tree.git("format-patch", "-1", "--stdout", "master") + "\n"
    found = review(patch, cwd=made.tree.folder)
    assert found == review(patch, cwd=tmp_path)
    assert found["patches"][0]["touches"] is False


def test_git_that_is_no_tree(made: Made, tmp_path: Path) -> None:
    done = quick("review", "-", "--git", str(tmp_path), stdin=made.patch)
    assert (done.status, done.out) == (2, "")
    assert "no git tree" in done.err


def test_a_revision_as_base(made: Made) -> None:
    """--base git:REV is that commit's own file, in whatever way it is written."""
    found = review(made.patch, "--base", "git:v6.7", cwd=made.tree.folder)
    assert found["base"] == "git:v6.7"
    assert found["changed"] == diff(kernel("v6.7"), kernel("slot-flag")).changed_count
    done = quick("review", "-", "--base", "git:v4.2", stdin=made.patch, cwd=made.tree.folder)
    assert done.status == 2
    assert "does not fit git:v4.2" in done.err
    done = quick("review", "-", "--base", "git:topic", stdin=made.patch, cwd=made.tree.folder)
    assert "already applied" in done.err
    patched = quick("lookup", "-r", "p.patch", "--base", "git:v6.7", "-o", "json", cwd=made.tree.folder)
    assert patched.status == 2  # no such file
    (made.tree.folder / "p.patch").write_text(made.patch)
    patched = quick(
        "lookup", "-r", "p.patch", "--base", "git:v6.7", "--slot-flag", "8", "-o", "json", cwd=made.tree.folder
    )
    assert {answer["rule"]["id"] for answer in patched.json} == {"slot-flag"}
