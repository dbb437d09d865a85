# SPDX-License-Identifier: GPL-2.0-only
"""docs/hazards.md is what the table of hazards says."""

from __future__ import annotations

from mtcalc.kvm.hazards import HAZARDS
from support.hazard_page import PAGE, page


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text() == page(), "python tests/support/hazard_page.py"


def test_every_hazard_has_its_section() -> None:
    text = PAGE.read_text()
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 160
    for code, row in HAZARDS.items():
        assert f"\n## {code} {row.name}\n" in text
