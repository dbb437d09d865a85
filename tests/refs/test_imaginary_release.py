# SPDX-License-Identifier: GPL-2.0-only
"""A release that is not: one row in RELEASES and the end of its series, and every command knows it."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

from mtcalc.kvm.release import newest
from mtcalc.rules.kernel import version_text
from mtcalc.rules.releases import RELEASES, titled
from support.program import DATA, environment

*SERIES, LAST = newest()
OLD, ADDED, END, BEYOND = (version_text((*SERIES, LAST + later)) for later in range(4))
LAST_SET = RELEASES[-1].rules

PROGRAM = f"""
import sys
from mtcalc.kvm import release
release.SERIES[{tuple(SERIES)}] = {LAST + 2}
from mtcalc.rules import releases
from mtcalc.rules.condition import ALWAYS
from mtcalc.rules.rule import Rule, RuleSet, ept
from mtcalc.x86.memtype import MemType
RULES = RuleSet("v{ADDED}", "{ADDED} on", (Rule("all", ALWAYS, ept(MemType.WT, 0), "an idea"),), mainline="2099-12")
releases.RELEASES += (releases.Release({(*SERIES, LAST + 1)}, RULES),)
from mtcalc.cli.start import run
sys.argv = ["mtcalc", *sys.argv[1:]]
run()
"""


@cache
def run(*args: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *args], capture_output=True, text=True, env=environment(), cwd=DATA
    )
    return done.returncode, done.stdout, done.stderr


def said(*args: str) -> str:
    status, out, err = run(*args)
    assert (status, err) == (0, ""), (args, err)
    return out


@pytest.mark.parametrize("ref", [ADDED, f"v{ADDED}", END, f"{ADDED}.9", "latest", f"{ADDED}.2-arch1-1"])
def test_every_name_of_it_is_known(ref: str) -> None:
    assert "0x20" in said("lookup", "-r", ref)
    assert "0x70" in said("lookup", "-r", OLD)


def test_what_is_newer_still_is_refused() -> None:
    status, out, err = run("lookup", "-r", BEYOND)
    assert (status, out) == (2, "")
    assert f"newest known release, {END}" in err


def test_lists_diffs_and_the_default_speak_of_it() -> None:
    assert f"v{ADDED}" in said("rules", "list")
    assert "an idea" in said("rules", "show", f"v{ADDED}")
    status, out, _ = run("diff", OLD, ADDED)
    assert (status, "change" in out) == (1, True)
    assert f"latest (v{ADDED}) answers" in said("lookup")
    assert "0x20" in said("eval", "golden/vfio.yaml", "-r", "latest")
    assert "WT" in said("table", "-r", ADDED)
    assert "0x20" in said("explain", "-r", END)


def test_the_newest_of_the_old_rules_stays_where_it_was() -> None:
    title = titled(LAST_SET).title
    assert OLD in title, "the title of the last set ends in {newest} (rules/releases.py)"
    assert said("rules", "show", LAST_SET.name).startswith(f"{LAST_SET.name}: {title}\n")
    assert title.split(",", maxsplit=1)[0] in said("rules", "list")
