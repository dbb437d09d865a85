# SPDX-License-Identifier: GPL-2.0-only
"""Small git trees that look like Linux, built by a test, with nothing of the machine's configuration in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from mtcalc.csource.writer import texts_of_its_time
from support.patches import BEFORE, BEHIND, kernel

VMX = "arch/x86/kvm/vmx/vmx.c"
OLD_VMX = "arch/x86/kvm/vmx.c"

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

HISTORY: tuple[tuple[str, str, str], ...] = (
    ("v2.6.31", "2.6.31", OLD_VMX),
    ("v3.13", "3.13", OLD_VMX),
    ("v4.2", "4.2", OLD_VMX),
    ("v4.3", "4.3", OLD_VMX),
    ("v4.4", "4.4", OLD_VMX),
    ("v6.7", "6.7", VMX),
    ("v6.11-rc1", "6.11-rc1", VMX),
    ("v6.11", "6.11", VMX),
    ("v6.16", "6.16", VMX),
)
"""The built-in rule sets in the order of their time: name, the release in the Makefile, the file."""


def makefile(release: str) -> str:
    """The head of a kernel's Makefile: '6.11-rc1', '2.6.31'."""
    number, dash, candidate = release.partition("-")
    parts = [*number.split("."), "0", "0"]
    extra = f"{dash}{candidate}"
    return (
        "# SPDX-License-Identifier: GPL-2.0\n"
        f"VERSION = {parts[0]}\nPATCHLEVEL = {parts[1]}\nSUBLEVEL = {parts[2]}\nEXTRAVERSION = {extra}\n"
        "NAME = A test\n"
    )


def function_of(name: str) -> str:
    """A built-in rule set as the kernels of its time spelled it."""
    return texts_of_its_time(kernel(name).rules)[0]


def in_file(function: str) -> str:
    return BEFORE + function + BEHIND


class TestTree:
    """A git tree in a folder."""

    __test__ = False

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._commits = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "master", *options)

    def git(self, *args: str, env: Mapping[str, str] | None = None) -> str:
        """Runs git there; what it printed."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        stamp = f"{1_500_000_000 + self._commits * 86_400} +0200"
        who = {"NAME": "A Writer", "EMAIL": "writer@example.org", "DATE": stamp}
        own = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
        quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *args],
            cwd=self.folder,
            env=clean | own | quiet | dict(env or {}),
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, subject: str, files: Mapping[str, str | bytes | None]) -> str:
        """A commit that writes files, or where they are None removes them; its id."""
        self._commits += 1
        for name, text in files.items():
            path = self.folder / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")


def linux(folder: Path) -> TestTree:
    """A tree with every rule set of HISTORY in turn, each a tag, and commits between that touch nothing."""
    tree = TestTree(folder)
    last = ""
    for name, release, path in HISTORY:
        moved = {last: None} if last and last != path else {}
        files = {path: in_file(function_of(name)), "Makefile": makefile(release), **moved}
        tree.commit(f"KVM: to {name}", files)
        tree.git("tag", name)
        tree.commit(f"docs: after {name}", {"Documentation/a.rst": name})
        last = path
    return tree
