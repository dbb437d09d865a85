# SPDX-License-Identifier: GPL-2.0-only
"""Hypothesis without deadlines (machines differ), and with the same examples on every run in CI; the smoke part."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")

SMOKE = frozenset(
    f"{name}.py"
    for name in (
        "text/test_yaml",
        "scenario/test_load",
        "scenario/test_json_schema",
        "csource/test_source",
        "rulefile/test_load",
        "output/test_markup",
        "output/test_screen",
        "cli/test_golden",
        "cli/test_usage",
    )
)
"""Modules that touch every library we stand on: YAML, pydantic, tree-sitter, rich, click, and those of the tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = Path(__file__).parent
    for item in items:
        if item.path.relative_to(root).as_posix() in SMOKE:
            item.add_marker(pytest.mark.smoke)
