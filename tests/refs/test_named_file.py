# SPDX-License-Identifier: GPL-2.0-only
"""Files that a scenario or a rule file names: regular ones alone, and nothing of them is quoted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.program import run

SLOT = "memslots: [{gpa: 0, size: 4K}]\n"
SECRET = "root: a-secret-of-this-machine\n"


def refused(folder: Path, *args: str) -> str:
    done = run(*args, stdin=SECRET, cwd=folder)
    assert (done.status, done.out) == (2, "")
    assert "a-secret" not in done.err
    return done.err


@pytest.mark.parametrize("ref", ['"-"', "./pipe.yaml", "./pipe.patch", "/dev/stdin", "/dev/zero", "./link.yaml"])
def test_standard_input_pipes_and_devices_are_not_read(tmp_path: Path, ref: str) -> None:
    for name in ("pipe.yaml", "pipe.patch"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "link.yaml").symlink_to("/dev/zero")
    (tmp_path / "vm.yaml").write_text(f"rules: {ref}\n{SLOT}")
    (tmp_path / "rules.yaml").write_text(f"base: {ref}\nchanges: [{{remove: mmio}}]\n")
    for args in (("eval", "vm.yaml"), ("lookup", "-r", "rules.yaml"), ("rules", "check", "rules.yaml")):
        error = refused(tmp_path, *args)
        assert error.startswith(("vm.yaml:1:8: ", "rules.yaml:1:7: "))
        assert "standard input" in error or "no regular file" in error


@pytest.mark.parametrize("name", ["secret.yaml", "secret.c", "secret.patch", "secret.eml"])
def test_an_error_about_a_named_file_quotes_nothing_of_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(SECRET)
    (tmp_path / "vm.yaml").write_text(f"rules: ./{name}\n{SLOT}")
    (tmp_path / "rules.yaml").write_text(f"base: ./{name}\nchanges: [{{remove: mmio}}]\n")
    (tmp_path / "deep.yaml").write_text(f"rules: ./rules.yaml\n{SLOT}")
    for args in (("eval", "vm.yaml"), ("lookup", "-r", "rules.yaml"), ("eval", "deep.yaml")):
        error = refused(tmp_path, *args)
        assert f"{name}:1:1: not a rule set that can be read (mtcalc rules show " in error
        assert error.endswith(f"{name} says why)\n")


def test_a_file_that_the_user_names_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(SECRET)
    done = run("lookup", "-r", "rules.yaml", cwd=tmp_path)
    assert done.status == 2
    assert "a-secret" in done.err
