# SPDX-License-Identifier: GPL-2.0-only
"""docs/recipes.md: its examples and its recipes, run as written, with the real programs that they are for.

`python tests/test_recipes.py` writes the examples' outputs into the page.
"""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support.readme import Shown, rewritten, run, shown
from support.recipes import PAGE, Desk, Recipe, needs, recipes
from support.trees import VMX, TestTree, function_of, in_file, linux, needs_git

pytestmark = needs_git

RECIPES = recipes()
EXAMPLES = shown(PAGE.read_text())
WITH_FLAG = function_of("slot-flag")
RESERVED = WITH_FLAG.replace("MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT) | VMX", "2 << VMX_EPT_MT_EPTE_SHIFT) | VMX", 1)
"""With a memory type that no CPU takes."""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> TestTree:
    """A clone whose branch `topic` has a patch that touches nothing, one that changes rows, and a comment alone."""
    linux(tmp_path / "upstream").git("branch", "-f", "v6.7-next", "v6.7")
    tree = TestTree(tmp_path / "tree")
    tree.git("remote", "add", "origin", str(tmp_path / "upstream"))
    tree.git("fetch", "-q", "--tags", "origin")
    tree.git("checkout", "-q", "-b", "topic", "v6.7")
    signed = "\n\nWhy.\n\nSigned-off-by: A Writer <writer@example.org>"
    tree.commit(f"docs: a word{signed}", {"Documentation/a.rst": "word"})
    tree.commit(f"KVM: VMX: honour{signed}", {VMX: in_file(WITH_FLAG)})
    tree.commit(f"KVM: VMX: say why{signed}", {VMX: in_file(WITH_FLAG.replace("{\n", "{\n\t/* why */\n", 1))})
    return tree


def with_an_error(tree: TestTree) -> None:
    """One patch more, which is surely wrong."""
    assert RESERVED != WITH_FLAG
    tree.commit("KVM: VMX: reserved\n\nSigned-off-by: A Writer <writer@example.org>", {VMX: in_file(RESERVED)})


def the(heading: str, number: int = 0) -> Recipe:
    return RECIPES[heading][number]


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.command[-40:] for example in EXAMPLES])
def test_the_page_shows_what_the_program_prints(example: Shown) -> None:
    assert "\n".join(line.rstrip() for line in run(example.command).splitlines()) == example.output, (
        "wanted? python tests/test_recipes.py"
    )


def test_every_heading_has_a_recipe() -> None:
    assert EXAMPLES
    assert len(RECIPES) == 7
    assert all(RECIPES.values())
    assert PAGE.read_text().isascii()


def mailbox(tree: TestTree, base: str = "v6.7") -> str:
    return tree.git("format-patch", "--stdout", "--thread", "--cover-letter", base) + "\n"


def checks(text: str) -> list[tuple[str, list[str]]]:
    """What b4 shows: each patch's subject, and the colours and texts of its checks."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        check = re.match(r"\s+\x1b\[([\d;]+)m\S+\x1b\[0m (mtcalc: .*)", line)
        subject = re.match(r"(?:  \[PATCH \d+/\d+\]|\x1b\[[\d;]+m\S+\x1b\[0m [0-9a-f]{12}:) (.*)", line)
        if subject:
            found.append((subject[1], []))
        elif check:
            found[-1][1].append(f"{check[1]} {check[2]}")
    return found


PASSED, WARNED, FAILED = "32", "31", "31;5"
"""b4's colours (read: b4 0.16.0, CI_FLAGS_FANCY)."""


def test_b4_am(tree: TestTree, desk: Desk) -> None:
    """b4 shows a warning as a warning, an error as a failure, and that a patch which touches nothing passed."""
    needs("b4", "pip install 'mtcalc[test]'")
    with_an_error(tree)
    (tree.folder.parent / "series.mbox").write_text(mailbox(tree))
    assert desk.run(the("b4").text, tree.folder).status == 0
    done = desk.run("b4 --offline-mode am -k -m ../series.mbox -o ../out", tree.folder)
    assert done.status == 0
    docs, honour, why, reserved = checks(done.out + done.err)
    assert [name for name, _ in (docs, honour, why, reserved)] == [
        "docs: a word",
        "KVM: VMX: honour",
        "KVM: VMX: say why",
        "KVM: VMX: reserved",
    ]
    assert docs[1] == why[1] == [f"{PASSED} mtcalc: passed all checks"]
    assert re.match(rf"{WARNED} mtcalc: \d+: WARNING: 33 of 160 reachable inputs change.* \[rows\]", honour[1][0])
    assert {text.split()[0] for text in honour[1]} == {WARNED}
    failed = [text for text in reserved[1] if text.startswith(f"{FAILED} ")]
    assert failed
    assert all(" ERROR: 0x" in text for text in failed)
    assert f"{WARNED} mtcalc: " in reserved[1][0]


def test_b4_am_of_what_cannot_be_read(tree: TestTree, desk: Desk) -> None:
    """One line, and a failure."""
    needs("b4", "pip install 'mtcalc[test]'")
    text = mailbox(tree).replace("+\tif (slot->flags", "+\tif ((slot->flags", 1)
    (tree.folder.parent / "series.mbox").write_text(text)
    desk.run(the("b4").text, tree.folder)
    done = desk.run("b4 --offline-mode am -k -m ../series.mbox -o ../out", tree.folder)
    honour = checks(done.out + done.err)[1]
    (line,) = honour[1]
    assert re.fullmatch(rf"{FAILED} mtcalc: \d+:\d+: ERROR: .* \[not-reviewed\]", line)


def test_b4_prep(tree: TestTree, desk: Desk) -> None:
    needs("b4", "pip install 'mtcalc[test]'")
    with_an_error(tree)
    desk.run(the("b4").text, tree.folder)
    assert desk.run("b4 --offline-mode prep -e v6.7", tree.folder).status == 0
    done = desk.run("b4 --offline-mode prep --check", tree.folder)
    assert done.status == 0
    found = dict(checks(done.out + done.err))
    assert found["docs: a word"] == found["KVM: VMX: say why"] == []
    assert {text.split()[0] for text in found["KVM: VMX: honour"]} == {WARNED}
    assert {text.split()[0] for text in found["KVM: VMX: reserved"]} == {WARNED, FAILED}
    assert re.search(r"Success: 2, Warning: \d+, Error: [12]\n", done.out + done.err)


def test_b4_with_checkpatch_beside(tree: TestTree, desk: Desk) -> None:
    needs("b4", "pip install 'mtcalc[test]'")
    (tree.folder / "scripts").mkdir()
    checkpatch = tree.folder / "scripts" / "checkpatch.pl"
    checkpatch.write_text("#!/bin/sh\necho '-:1: WARNING: of checkpatch'\n")
    checkpatch.chmod(0o755)
    (tree.folder.parent / "series.mbox").write_text(mailbox(tree))
    for recipe in RECIPES["b4"][:2]:
        assert desk.run(recipe.text, tree.folder).status == 0
    done = desk.run("b4 --offline-mode am -k -m ../series.mbox -o ../out", tree.folder)
    text = done.out + done.err
    assert text.count("checkpatch.pl: 1: WARNING: of checkpatch") == 3
    assert "[rows]" in text


def test_b4_am_into_a_review(tree: TestTree, desk: Desk) -> None:
    """The recipe as it stands; b4 takes a local mailbox for the archive."""
    needs("b4", "pip install 'mtcalc[test]'")
    text = mailbox(tree)
    (tree.folder.parent / "series.mbox").write_text(text)
    desk.stand_in("b4", f'exec "$REAL" --offline-mode "$@" -m "{tree.folder.parent}/series.mbox"')
    first = re.search(r"^Message-Id: <(.*)>$", text, re.M | re.I)
    assert first
    done = desk.run(the("b4", 2).text, tree.folder, MSGID=first[1])
    assert done.status == 1
    assert done.out.splitlines()[0] == "1/3   docs: a word: touches no rule"
    assert "33 of 160 reachable inputs change" in done.out


def hook(tree: TestTree) -> Path:
    path = tree.folder / ".git" / "hooks" / "sendemail-validate"
    path.parent.mkdir(exist_ok=True)
    path.write_text(the("git send-email").text)
    path.chmod(0o755)
    return path


def test_the_hook_as_git_runs_it(tree: TestTree, desk: Desk) -> None:
    """git runs it in the tree with a patch's file name: what is surely wrong or not read is refused, and said."""
    path = hook(tree)
    with_an_error(tree)
    tree.git("format-patch", "-q", "--cover-letter", "--interdiff=v6.7", "-o", "../out", "v6.7")
    patches = sorted((tree.folder.parent / "out").iterdir())
    (tree.folder.parent / "out" / "note").write_text("Subject: no patch\n\nWords.\n")
    unread = patches[2].with_name("unread.patch")
    unread.write_text(patches[2].read_text().replace("+\tif (slot->flags", "+\tif ((slot->flags", 1))
    found = {}
    for patch in (*patches, patches[0].with_name("note"), unread):
        done = desk.run(f"'{path}' '{patch}'", tree.folder)
        assert done.out == ""
        found[patch.name[:4]] = (done.status, re.findall(r"\[([a-z-]+)\]$", done.err, re.M)[:1])
    assert "diff --git" in patches[0].read_text()
    assert found == {
        "0000": (0, []),
        "0001": (0, []),
        "0002": (0, ["rows"]),
        "0003": (0, []),
        "0004": (1, ["rows"]),
        "note": (0, []),
        "unre": (1, ["not-reviewed"]),
    }


def test_git_send_email(tree: TestTree, desk: Desk) -> None:
    """The real one, up to the point where it would send."""
    needs("git-send-email", "Debian's git-email")
    hook(tree)
    send = "git send-email --validate --dry-run --confirm=never --from=w@example.org --to=k@example.org ../{}/*"
    tree.git("format-patch", "-q", "-o", "../good", "v6.7")
    done = desk.run(send.format("good"), tree.folder)
    assert done.status == 0
    assert "Subject: [PATCH 2/3] KVM: VMX: honour" in done.out
    assert "[rows]" in done.err
    with_an_error(tree)
    tree.git("format-patch", "-q", "-o", "../bad", "v6.7")
    done = desk.run(send.format("bad"), tree.folder)
    assert done.status != 0
    assert "Subject: " not in done.out
    assert "rejected by sendemail-validate hook" in done.err


def test_a_rebase_stops_at_what_changes(tree: TestTree, desk: Desk) -> None:
    done = desk.run(the("git rebase").text, tree.folder, UPSTREAM="v6.7")
    assert done.status == 1
    assert "[rows]" in done.out
    assert tree.git("log", "-1", "--format=%s") == "KVM: VMX: honour"
    assert desk.run("git rebase --continue", tree.folder, GIT_EDITOR="true").status == 0
    assert tree.git("log", "-1", "--format=%s") == "KVM: VMX: say why"


def test_a_rebase_that_stops_at_errors_alone(tree: TestTree, desk: Desk) -> None:
    text = the("git rebase", 1).text
    assert desk.run(text, tree.folder, UPSTREAM="v6.7").status == 0
    with_an_error(tree)
    tree.commit("KVM: VMX: no C", {VMX: in_file(WITH_FLAG).replace("if (", "if ((")})
    done = desk.run(text, tree.folder, UPSTREAM="v6.7")
    assert done.status == 1
    assert " ERROR: 0x" in done.out
    assert tree.git("log", "-1", "--format=%s") == "KVM: VMX: reserved"
    done = desk.run("git rebase --continue", tree.folder, GIT_EDITOR="true")
    assert done.status == 1
    assert "[not-reviewed]" in done.out
    assert tree.git("log", "-1", "--format=%s") == "KVM: VMX: no C"


def quickfix(tree: TestTree, desk: Desk, word: str) -> list[list[str]]:
    """What vim makes of `:make WORD`: file, line, column, type and text of each line."""
    script, list_ = tree.folder.parent / "recipe.vim", tree.folder.parent / "list"
    fields = " . '|' . ".join(("bufname(v.bufnr)", "v.lnum", "v.col", "v.type", "v.text"))
    script.write_text(
        f"{the('An editor').text}silent make {word}\n"
        f"call writefile(map(filter(getqflist(), {{_, v -> v.valid}}), {{_, v -> {fields}}}), '{list_}')\nqa!\n"
    )
    done = desk.run(f"vim -es -u NONE -i NONE -N -S '{script}'", tree.folder)
    assert done.status == 0, done
    return [line.split("|", 4) for line in list_.read_text().splitlines()]


def test_vim(tree: TestTree, desk: Desk) -> None:
    needs("vim", "vim")
    found = quickfix(tree, desk, "git:v6.7..HEAD")
    assert {(file, column) for file, _, column, _, _ in found} == {(VMX, "0")}
    assert {kind for _, _, _, kind, _ in found} == {"W", "C"}
    lines = tree.git("show", f"HEAD~1:{VMX}").splitlines()
    assert "slot->flags" in lines[int(found[0][1]) - 1]
    bad = tree.folder.parent / "bad.patch"
    bad.write_text(tree.git("format-patch", "--stdout", "-1", "HEAD~1").replace("+\tif (", "+\tif ((", 1) + "\n")
    ((file, line, column, kind, text),) = quickfix(tree, desk, str(bad))
    assert (file, kind) == (str(bad), "E")
    assert bad.read_text().splitlines()[int(line) - 1].startswith("+\tif ((")
    assert int(column) > 1
    assert text.endswith("[not-reviewed]")


def test_the_errorformat_as_a_regular_expression(tree: TestTree, desk: Desk) -> None:
    """What vim's pattern says, for who has no vim."""
    text = the("An editor").text
    wanted = r"%f:%l:%c:\ %t%*[A-Z]:\ %m,%f:%l:\ %t%*[A-Z]:\ %m"
    assert f"errorformat={wanted}\n" in text
    parts = {"%f": r"(\S+?)", "%l": r"(\d+)", "%c": r"\d+", "%t%*[A-Z]": r"([EWC])[A-Z]+", "%m": r"(.+)", r"\ ": " "}
    patterns = []
    for form in wanted.split(","):
        for said, meant in parts.items():
            form = form.replace(said, meant)
        patterns.append(form)
    done = desk.run("mtcalc review --terse git:v6.7..HEAD", tree.folder)
    for line in done.out.splitlines():
        match = next((found for found in (re.fullmatch(pattern, line) for pattern in patterns) if found), None)
        assert match, line
        assert match[1] == VMX


def in_a_terminal(desk: Desk, cwd: Path, *command: str, until: Path) -> None:
    """Runs a program on a terminal of its own until a file is there and it has ended."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(command[0], command, desk.environment())
    said = b""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                said += os.read(terminal, 65536)
            except OSError:  # it has ended
                break
    os.close(terminal)
    os.waitpid(pid, 0)
    assert until.exists(), said


@pytest.mark.parametrize("keys", ["<next-entry><next-entry>Y", "\\ey"])
def test_mutt(tree: TestTree, desk: Desk, keys: str) -> None:
    """The real one, with keys pressed: one patch, and a thread with a reply in it."""
    needs("mutt", "Debian's mutt")
    shown_in = tree.folder.parent / "less"
    desk.stand_in("less", f"cat >'{shown_in}.part'; mv '{shown_in}.part' '{shown_in}'")
    text = mailbox(tree)
    last = re.findall(r"^Message-Id: <(.*)>$", text, re.M | re.I)[-1]
    reply = (
        "From r@example.org Mon Jan  1 00:00:00 2018\nFrom: R <r@example.org>\n"
        "Subject: Re: [PATCH 3/3] KVM: VMX: say why\n"
        f"Message-Id: <r@x>\nIn-Reply-To: <{last}>\nDate: Mon, 1 Jan 2018 00:00:00 +0000\n\n> +\t/* why */\nYes?\n"
    )
    (tree.folder.parent / "m.mbox").write_text(text + reply)
    settings = "set folder=.. spoolfile=../m.mbox sort=threads quit=yes wait_key=no sleep_time=0\n"  # else it asks
    (tree.folder.parent / "muttrc").write_text(settings + the("mutt").text)
    command = ("mutt", "-n", "-R", "-F", "../muttrc", "-f", "../m.mbox", "-e", f'push "{keys}<exit>"')
    in_a_terminal(desk, tree.folder, *command, until=shown_in)
    said = shown_in.read_text()
    assert "33 of 160 reachable inputs change" in said
    first = "patch  [PATCH 2/3] KVM: VMX: honour" if keys.endswith("Y") else "1/3   docs: a word: touches no rule"
    assert said.splitlines()[0] == first


def job(heading: str) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(the(heading).text)
    assert list(found) == ["review"]
    return found["review"]


def test_a_job_of_github(tree: TestTree, desk: Desk) -> None:
    """Its command, in a checkout as that action makes it, with the expression put in as the runner does."""
    desk.stand_in("pip", "exit 0")
    found = job("GitHub")
    assert the("GitHub").text.count("\n") == 5
    (checkout, step) = found["steps"]
    assert checkout == {"uses": "actions/checkout@v4", "with": {"fetch-depth": 0}}
    command = step["run"].replace("${{ github.base_ref }}", "v6.7-next").replace("${{ vars.MTCALC }}", "mtcalc.whl")
    assert "${{" not in command
    done = desk.run(command, tree.folder)
    assert (done.status, done.err) == (1, "")
    assert "[rows]" in done.out
    tree.git("checkout", "-q", "-B", "other", "v6.7")
    tree.commit("docs: more", {"Documentation/a.rst": "words"})
    assert desk.run(command, tree.folder) == (0, "", "")


def test_a_job_of_gitlab(tree: TestTree, desk: Desk) -> None:
    desk.stand_in("pip", "exit 0")
    found = job("GitLab")
    assert found["allow_failure"] == {"exit_codes": 1}
    assert the("GitLab").text.count("\n") == 6
    base = tree.git("rev-parse", "v6.7")
    done = desk.run(found["script"], tree.folder, CI_MERGE_REQUEST_DIFF_BASE_SHA=base)
    assert (done.status, done.err) == (1, "")
    assert "[rows]" in done.out
    assert desk.run(found["script"], tree.folder, CI_MERGE_REQUEST_DIFF_BASE_SHA="f" * 40).status == 2


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
