# SPDX-License-Identifier: GPL-2.0-only
"""The program's modules as trees of syntax, each parsed once."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def parsed(path: Path) -> ast.Module:
    """A module's tree, for tests that ask what the program's own text says."""
    return ast.parse(path.read_text(encoding="utf-8"))
