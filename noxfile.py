# SPDX-License-Identifier: GPL-2.0-only
"""What there is to run while working: nox -l lists it; nox runs lint and the quick tests on this Python.

nox -s tests-3.12        the whole suite on that Python (3.11 to 3.14)
nox -s lowest            the smoke part with the lowest versions of the libraries
nox -s lint docs bench   ruff and mypy; every command of the README; the figures in it
"""

import nox

nox.options.sessions = ["lint", "quick"]
nox.options.reuse_existing_virtualenvs = True
nox.needs_version = ">=2024.3"


@nox.session
def quick(session: nox.Session) -> None:
    """The quick tests."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Every test."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", "-m", "", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """The smoke part with the lowest versions that pyproject.toml allows."""
    lines = session.run("python", "tests/support/versions.py", silent=True)
    constraints = session.create_tmp() + "/lowest.txt"
    with open(constraints, "w") as out:
        out.write(lines if isinstance(lines, str) else "")
    session.install("-c", constraints, "-e", ".[test]")
    session.run("pytest", "-n", "auto", "-m", "smoke")


@nox.session
def lint(session: nox.Session) -> None:
    """ruff and mypy --strict."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Every command of the README, run as written."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", "-m", "", "tests/test_readme.py")


@nox.session
def bench(session: nox.Session) -> None:
    """The figures of the README."""
    session.install("-e", ".")
    session.run("python", "benchmarks/bench.py", *session.posargs)
