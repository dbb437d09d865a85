# SPDX-License-Identifier: GPL-2.0-only
"""The pages of docs/ and man/: what the program makes is fresh, and groff has nothing to say of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mtcalc.cli.main import COMMANDS
from support import made

ROOT = Path(__file__).parent.parent
MANUAL = sorted((ROOT / "man").glob("man*/*"))


def needs(program: str) -> None:
    """Skips where a program is missing, but not in CI, which installs it."""
    if not shutil.which(program):
        assert "CI" not in os.environ, f"{program} is not installed, and .ci/run installs it"
        pytest.skip(f"{program} is not installed")


def test_what_the_program_makes_is_fresh() -> None:
    call = [sys.executable, "docs/make.py", "--check"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0), f"python docs/make.py\n{done.stderr}"


def test_made_py_makes_all_that_a_command_makes() -> None:
    """Each script that says in its head how it writes, and each test that MTCALC_GOLDEN lets write."""
    files = {path: path.read_text() for folder in ("tests", "docs") for path in (ROOT / folder).rglob("*.py")}
    names = {path: str(path.relative_to(ROOT)) for path in files if path.name != "made.py"}
    golden = {name for path, name in names.items() if '"MTCALC_GOLDEN") == "write"' in files[path]}
    scripts = {name for path, name in names.items() if ".write_text(" in files[path].partition("__main__")[2]}
    golden -= {"tests/test_docs.py"}
    assert golden == {name.partition("::")[0] for name in made.GOLDEN}
    assert {*scripts, "docs/make.py"} - {"tests/test_docs.py"} == set(made.SCRIPTS)
    assert made.SCRIPTS[-1] == "docs/make.py"


def test_every_command_has_a_manual_page() -> None:
    assert {f"mtcalc-{name}.1" for name in COMMANDS} <= {page.name for page in MANUAL}
    assert {"mtcalc.1", "mtcalc-scenario.5", "mtcalc-rules.7"} <= {page.name for page in MANUAL}


PLAIN = ("-P-c", "-P-b", "-P-o", "-P-u")
"""What makes groff's terminals leave escapes and overstrikes out."""


@pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.name)
@pytest.mark.parametrize(
    "columns", [pytest.param(60, marks=pytest.mark.program), 80, pytest.param(100, marks=pytest.mark.program)]
)
def test_groff_has_no_warning(page: Path, columns: int) -> None:
    needs("groff")
    call = ["groff", "-ww", "-man", "-Tutf8", *PLAIN, f"-rLL={columns - 2}n", str(page)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert f"{page.stem.upper()}({page.suffix[1:]})" in done.stdout
    assert columns < 80 or max(map(len, done.stdout.splitlines())) <= columns


def test_a_manual_page_says_what_help_does() -> None:
    needs("groff")
    page = ROOT / "man" / "man1" / "mtcalc-lookup.1"
    shown = subprocess.run(
        ["groff", "-man", "-Tascii", *PLAIN, page], capture_output=True, text=True, check=True
    ).stdout
    for words in ("--slot-flag NAME", "-r, --rules REF", "mtcalc lookup --slot-flag non-coherent-dma", "EXIT STATUS"):
        assert words in shown


SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]


@pytest.mark.parametrize("page", [page for page in MANUAL if page.suffix == ".1"], ids=lambda page: page.name)
def test_a_page_of_a_command_has_its_sections_in_order(page: Path) -> None:
    text = page.read_text()
    found = [name.strip('"') for name in re.findall(r"^\.SH (.+)$", text, re.M)]
    assert [name for name in found if name in SECTIONS] == SECTIONS
    assert len(found) == len(set(found))
    description = re.split(r"^\.SH .+$", text, flags=re.M)[3]
    assert len(description.split()) > 30, "a sentence is no description"
    for name, section in re.findall(r"\\fB(mtcalc[a-z\\-]*)\\fR\((\d)\)", text):
        assert (ROOT / "man" / f"man{section}" / f"{name.replace(chr(92), '')}.{section}").exists()


@pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.name)
def test_a_manual_page_names_no_file_of_a_checkout(page: Path) -> None:
    """Who has the page has the program, and neither docs/ nor tests/ nor examples/."""
    text = re.sub(r'^\.\\".*$', "", page.read_text(), flags=re.M)
    assert re.findall(r"\b(?:docs|tests|examples|src)/[\w./-]*|[\w/-]+\.md\b", text) == []


def typed(page: Path) -> list[tuple[str, str]]:
    """The commands of a page's EXAMPLES that have their output below them, with it."""
    text = page.read_text().partition('.SH "EXAMPLES"')[2] or page.read_text().partition(".SH EXAMPLES")[2]
    found = []
    for block in re.findall(r"^\.EX\n(.*?)^\.EE$", text.partition("\n.SH ")[0], re.M | re.S):
        for escape, character in (
            ("\\(ha", "^"),
            ("\\(ti", "~"),
            ("\\(ga", "`"),
            ("\\(aq", "'"),
            ("\\-", "-"),
            ("\\&", ""),
        ):
            block = block.replace(escape, character)
        pieces = re.split(r"^\$ ((?:.*\\e\n)*.*)\n", block, flags=re.M)
        pairs = zip(pieces[1::2], pieces[2::2], strict=True)
        found += [(command.replace("\\e", "\\"), output.replace("\\e", "\\")) for command, output in pairs]
    return found


@pytest.mark.program
@pytest.mark.parametrize("page", [page for page in MANUAL if typed(page)], ids=lambda page: page.name)
def test_the_examples_of_a_manual_page_run_anywhere(page: Path, tmp_path: Path) -> None:
    """In an empty folder, one after the other: their output is what the page has below them."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    for command, output in typed(page):
        if "jq" in command:
            needs("jq")
        call = ["bash", "-c", command]
        done = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        printed = done.stdout + done.stderr
        assert "".join(f"{line.rstrip()}\n" for line in printed.splitlines()) == output, command


LINK = re.compile(r"\]\(([^)\s]+)\)")
MARKDOWN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative ones to a file, and to a heading of it; others are not there: nobody checks that they last."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S)
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", text)):
        assert "://" not in target, target
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        headings = re.findall(r"^#+ (.+)$", file.read_text(), re.M) if anchor else []
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, target


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_no_placeholder(page: Path) -> None:
    """Nothing that is still to come, and no address that someone made up."""
    assert re.findall(r"TODO|FIXME|XXX|TBD|lorem|your-org|example\.com|pip install mtcalc\b", page.read_text()) == []
