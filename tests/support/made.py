# SPDX-License-Identifier: GPL-2.0-only
"""Everything in the tree that is made from the program, made anew. Read the difference: git diff.

`python tests/support/made.py`
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

GOLDEN = (
    "tests/cli/test_golden.py",
    "tests/importers/test_golden.py",
    "tests/patches/test_apply.py::test_bad_patches",
    "tests/scenario/test_bad_scenarios.py",
)
"""Tests that write what they compare with, where MTCALC_GOLDEN=write."""

SCRIPTS = (
    "tests/support/hazard_page.py",
    "tests/support/readme.py",
    "tests/importers/test_docs.py",
    "tests/test_recipes.py",
    "docs/make.py",  # last: it takes what the others wrote into the manual pages
)

SCHEMA = ROOT / "examples" / "scenario.schema.json"


def main() -> int:
    """Makes them; the status is 1 where a part could not be made."""
    env = {**os.environ, "MTCALC_GOLDEN": "write"}
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *GOLDEN]
    failed = [pytest] if subprocess.run(pytest, cwd=ROOT, env=env, check=False).returncode else []
    schema = subprocess.run([sys.executable, "-m", "mtcalc", "schema"], cwd=ROOT, capture_output=True, check=True)
    SCHEMA.write_bytes(schema.stdout)
    for script in SCRIPTS:
        call = [sys.executable, script]
        if subprocess.run(call, cwd=ROOT, check=False).returncode:
            failed.append(call)
    for call in failed:
        print(f"failed: {' '.join(call[1:])}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
