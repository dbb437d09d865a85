# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc example, and what an installed program has besides itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtcalc.cli.completion_install import _man_folder
from mtcalc.cli.completion_scripts import SCRIPTS
from mtcalc.cli.example import example_folder, example_names, summary_of
from support.program import quick

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_listed_with_what_it_shows() -> None:
    done = quick("example")
    assert (done.status, done.err) == (0, "")
    lines = [line.split(" ")[0] for line in done.out.splitlines()]
    for path in EXAMPLES.glob("*/*"):
        assert str(path.relative_to(EXAMPLES)).removesuffix(".yaml") in lines
    for path in EXAMPLES.glob("*.yaml"):
        assert f"\n{path.stem} " in done.out
        assert summary_of(path.read_text())
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize("name", example_names())
def test_an_example_is_printed_as_it_is_and_runs(name: str) -> None:
    done = quick("example", name)
    path = Path(example_folder()) / name
    assert done.out == (path if path.is_file() else path.with_name(f"{path.name}.yaml")).read_text()
    asks = {"idea": ("rules", "show"), "traced/trace.txt": ("audit",), "dumps/proc-mtrr.txt": ("mtrr",)}
    asks["series.mbox"] = ("review",)
    assert quick(*asks.get(name, ("eval",)), "-", stdin=done.out).status == (name == "series.mbox")


def test_what_is_no_example_is_refused_with_the_nearest() -> None:
    done = quick("example", "vifo")
    assert (done.status, done.out) == (2, "")
    assert "no example 'vifo' (did you mean vfio?)" in done.err


@pytest.mark.parametrize("shell", SCRIPTS)
def test_install_puts_the_script_where_the_shell_looks(shell: str, tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "SHELL": f"/usr/bin/{shell}"}
    done = quick("completion", "--install", env=env)
    assert (done.status, done.err) == (0, "")
    place = Path(done.out.split("\n")[0].removeprefix(f"{shell}: "))
    assert place.is_relative_to(tmp_path)
    assert place.read_text() == SCRIPTS[shell][1]
    assert "manual pages: " in done.out
    assert quick("completion", "--install", shell, env={**env, "SHELL": ""}).out == done.out


def test_the_manual_pages_are_found_where_the_installer_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip --user puts them beside site-packages, under no sys.prefix; a checkout has its own."""
    from importlib import metadata

    info = tmp_path / "lib" / "python3" / "site-packages" / "mtcalc-0.1.0.dist-info"
    page = tmp_path / "share" / "man" / "man1" / "mtcalc.1"
    for path, text in ((info / "RECORD", "../../../share/man/man1/mtcalc.1,,\n"), (page, ".TH MTCALC 1\n")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.setattr(metadata, "distribution", lambda name: metadata.PathDistribution(info))
    assert _man_folder() == tmp_path / "share" / "man"
    page.unlink()
    assert _man_folder() == EXAMPLES.parent / "man"


def test_install_says_what_it_does_not_know(tmp_path: Path) -> None:
    for shell, why in (("/bin/tcsh", "$SHELL is 'tcsh'"), ("", "$SHELL is not set")):
        done = quick("completion", "--install", env={"HOME": str(tmp_path), "SHELL": shell})
        assert (done.status, done.out) == (2, "")
        assert f"{why} (name one: bash, zsh, fish)" in done.err
    done = quick("completion", "--install", "--write", str(tmp_path))
    assert done.status == 2
    (tmp_path / ".local").write_text("in the way")
    done = quick("completion", "--install", "bash", env={"HOME": str(tmp_path), "XDG_DATA_HOME": ""})
    assert (done.status, done.out) == (2, "")
    assert "mtcalc completion bash prints the script" in done.err


def test_the_version_names_the_kernels_known() -> None:
    assert quick("--version").out.startswith("mtcalc ")
    assert ", KVM of Linux 2.6.28 to " in quick("--version").out
