# SPDX-License-Identifier: GPL-2.0-only
"""Hypothesis without deadlines (machines differ), and with the same examples on every run in CI; the markers.

A plain run, `pytest`, leaves out what takes long: `-m ""` runs everything, and so does naming files.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test, settings

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

PROGRAM = (
    *("cli/", "claims/", "importers/", "patches/", "kvm/test_spte", "csource/test_gcc", "csource/test_hostile"),
    *("csource/test_faults", "csource/test_mmio", "refs/test_file", "refs/test_git", "refs/test_kinds"),
    *("refs/test_imaginary_release", "refs/test_named_file", "scenario/test_json_schema", "rules/test_cubes"),
    *("analysis/test_diff", "analysis/test_table", "test_fuzz", "test_readme", "test_recipes", "test_reports"),
    "test_versions",
)
"""How the names begin of what runs the program as a process, starts others, or goes through large tables and inputs."""

NOT_PROGRAM = ("cli/test_golden.py", "cli/test_usage.py", "cli/test_table.py", "patches/test_read.py")
"""Of those what a plain run has all the same: a little of every command."""

QUICK = "not program and not property"


def pytest_configure(config: pytest.Config) -> None:
    chosen = any(arg == "-m" or arg.startswith("-m") for arg in config.invocation_params.args)
    if not chosen and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.option.markexpr = QUICK


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """With -n and nothing said, each worker takes a stretch of files: what a module has made is made once."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "worksteal"


def _is_program(name: str) -> bool:
    return name.startswith(PROGRAM) and name not in NOT_PROGRAM


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A plain run does not even import what it leaves out whole."""
    name = collection_path.relative_to(Path(__file__).parent).as_posix()
    left_out = config.option.markexpr == QUICK and name.endswith(".py") and _is_program(name)
    return left_out or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = Path(__file__).parent
    for item in items:
        name = item.path.relative_to(root).as_posix()
        if name in SMOKE:
            item.add_marker(pytest.mark.smoke)
        if _is_program(name):
            item.add_marker(pytest.mark.program)
        if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj):
            item.add_marker(pytest.mark.property)
