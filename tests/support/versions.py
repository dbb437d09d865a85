# SPDX-License-Identifier: GPL-2.0-only
"""The versions of the libraries: the lowest that pyproject.toml allows, and those of constraints.txt.

`python tests/support/versions.py` prints the lowest ones, as constraints for pip.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:>=([\d.]+))?(?:,<([\d.]+))?$")


def name_of(text: str) -> str:
    """A distribution's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", text).lower()


def requirements(*extras: str) -> dict[str, tuple[str | None, str | None]]:
    """By distribution: the lowest version that pyproject.toml allows, and the first that it does not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    found = {}
    for text in (*project["dependencies"], *(text for extra in extras for text in optional[extra])):
        match = _REQUIREMENT.match(text)
        if match is not None:
            found[name_of(match[1])] = (match[2], match[3])
    return found


def pinned() -> dict[str, str]:
    """By distribution: the version in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name_of(name): version for name, version in pairs}


if __name__ == "__main__":
    for name, (lowest, _) in requirements("test").items():
        print(f"{name}=={lowest}")
