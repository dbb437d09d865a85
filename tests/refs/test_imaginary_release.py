# SPDX-License-Identifier: GPL-2.0-only
"""A release that is not: one row in RELEASES and the end of its series, and every command knows it."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

from support.program import DATA, environment

ADDED = """
import sys
from mtcalc.kvm import release
release.SERIES[(7,)] = 5
from mtcalc.rules import releases
from mtcalc.rules.condition import ALWAYS
from mtcalc.rules.rule import Rule, RuleSet, ept
from mtcalc.x86.memtype import MemType
RULES = RuleSet("v7.4", "7.4 on", (Rule("all", ALWAYS, ept(MemType.WT, 0), "an idea"),), mainline="2026-12")
releases.RELEASES += (releases.Release((7, 4), RULES),)
from mtcalc.cli.start import run
sys.argv = ["mtcalc", *sys.argv[1:]]
run()
"""


@cache
def run(*args: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", ADDED, *args], capture_output=True, text=True, env=environment(), cwd=DATA
    )
    return done.returncode, done.stdout, done.stderr


def said(*args: str) -> str:
    status, out, err = run(*args)
    assert (status, err) == (0, ""), (args, err)
    return out


@pytest.mark.parametrize("ref", ["7.4", "v7.4", "7.5", "7.4.9", "latest", "7.4.2-arch1-1"])
def test_every_name_of_it_is_known(ref: str) -> None:
    assert "0x20" in said("lookup", "-r", ref)
    assert "0x70" in said("lookup", "-r", "7.3")


def test_what_is_newer_still_is_refused() -> None:
    status, out, err = run("lookup", "-r", "7.6")
    assert (status, out) == (2, "")
    assert "newest known release, 7.5" in err


def test_lists_diffs_and_the_default_speak_of_it() -> None:
    assert "v7.4" in said("rules", "list")
    assert "an idea" in said("rules", "show", "v7.4")
    status, out, _ = run("diff", "7.3", "7.4")
    assert (status, "change" in out) == (1, True)
    assert "latest (v7.4) answers" in said("lookup")
    assert "0x20" in said("eval", "golden/vfio.yaml", "-r", "latest")
    assert "WT" in said("table", "-r", "7.4")
    assert "0x20" in said("explain", "-r", "7.5")


def test_the_newest_of_the_old_rules_stays_where_it_was() -> None:
    assert said("rules", "show", "v6.16").startswith("v6.16: 6.16 to 7.3, and 6.12.78 on\n")
    assert "6.16 to 7.3" in said("rules", "list")
