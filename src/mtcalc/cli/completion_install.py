# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc completion --install: the script where a user's shell looks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mtcalc.cli.completion_scripts import SCRIPTS
from mtcalc.text.errors import InputError


def _home(variable: str, default: str) -> Path:
    """A folder of the XDG base directories."""
    return Path(os.environ.get(variable) or os.path.expanduser(default))


def place_of(shell: str) -> Path:
    """Where the script of a shell goes: what bash-completion, fish and zsh's $fpath (once it is told) read."""
    if shell == "bash":
        return _home("XDG_DATA_HOME", "~/.local/share") / "bash-completion" / "completions" / "mtcalc"
    if shell == "fish":
        return _home("XDG_CONFIG_HOME", "~/.config") / "fish" / "completions" / "mtcalc.fish"
    return _home("XDG_DATA_HOME", "~/.local/share") / "zsh" / "site-functions" / "_mtcalc"


_THEN = {
    "bash": "new shells have it, where the package bash-completion is installed",
    "fish": "new shells have it",
    "zsh": "in ~/.zshrc, before compinit:  fpath=({folder} $fpath)",
}


def install_script(shell: str | None) -> Iterator[str]:
    """Writes the script of a shell, else of $SHELL's; yields what there is to say. Raises InputError."""
    named = shell or Path(os.environ.get("SHELL", "")).name
    if named not in SCRIPTS:
        what = f"$SHELL is '{named}'" if named else "$SHELL is not set"
        raise InputError(f"{what} (name one: {', '.join(SCRIPTS)})")
    place = place_of(named)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(SCRIPTS[named][1], encoding="ascii")
    except OSError as error:
        raise InputError(f"{place}: {error.strerror} (mtcalc completion {named} prints the script)") from None
    yield f"{named}: {place}"
    yield f"  {_THEN[named].format(folder=place.parent)}"
    yield "  uninstalling mtcalc may leave it; then remove that file"
    yield from _manual_pages()


def _manual_pages() -> Iterator[str]:
    """Where the manual pages are, and how man(1) finds them if it does not."""
    pages = _man_folder()
    if pages is None:
        yield "manual pages: not installed with this program"
        return
    yield f"manual pages: {pages}"
    if _man_finds_them():
        yield "  man mtcalc"
    else:
        yield f"  man -M {pages} mtcalc, or once for all:  export MANPATH={pages}:"


def _man_folder() -> Path | None:
    """Where whatever installed this program put its pages; of a checkout that it runs from, the pages there."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        files = distribution("mtcalc").files or ()
    except PackageNotFoundError:
        files = ()
    installed = (Path(str(file.locate())) for file in files if file.name == "mtcalc.1")
    checkout = Path(__file__).resolve().parents[3] / "man" / "man1" / "mtcalc.1"
    page = next((page for page in (*installed, checkout) if page.is_file()), None)
    return page and Path(os.path.normpath(page.parent.parent))


def _man_finds_them() -> bool:
    """Whether man(1) finds the page by its name alone: it looks beside the folders of $PATH, and where pipx links."""
    from subprocess import DEVNULL, run

    try:
        return run(["man", "-w", "mtcalc"], stdout=DEVNULL, stderr=DEVNULL, check=False).returncode == 0
    except OSError:
        return False
