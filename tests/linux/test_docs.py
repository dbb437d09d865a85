# SPDX-License-Identifier: GPL-2.0-only
"""docs/guest.md has every row of the tables, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mtcalc.linux.choice import OVER_MTRR
from mtcalc.linux.conflicts import REFUSED_PAIRS
from mtcalc.linux.functions import FUNCTIONS
from mtcalc.linux.mtrrs import FORCED
from mtcalc.linux.pat import ERRATA, IN_A_TD, NOPAT, WITHOUT_MTRRS, WRITTEN
from mtcalc.rules.kernel import version_text

PAGE = (Path(__file__).parents[2] / "docs" / "guest.md").read_text()
LINES = [line for line in PAGE.splitlines() if line.startswith("| ") and line[2:3] in "`23456789"]


def rows() -> Iterator[tuple[str, ...]]:
    """Every row of the page, by its cells."""
    for request in FUNCTIONS:
        since = version_text(request.since) + (" (?)" if request.unconfirmed else "")
        yield f"`{request.name}`", str(request.asks), since, f"as {request.way.value}", request.source
    for written in WRITTEN:
        yield _since(written.since), f"{written.what.value:#018x}", written.source
    for table in (WITHOUT_MTRRS, NOPAT, IN_A_TD):
        for left in table:
            yield _since(left.since), left.what.value if left.what else "(it is written)", left.source
    for over in OVER_MTRR:
        yield _since(over.since), over.what.value, over.source
    for forced in FORCED:
        yield _since(forced.since), forced.what.value, forced.source
    for refused in REFUSED_PAIRS:
        pairs = ", ".join(sorted(f"{asked} and {found}" for asked, found in refused.what))
        yield _since(refused.since), pairs, refused.source


def _since(release: tuple[int, ...]) -> str:
    return "2.6.29" if release == (0,) else version_text(release)


def test_the_page_has_every_row_in_order() -> None:
    assert [f"| {' | '.join(row)} |" for row in rows()] == LINES


@pytest.mark.parametrize("words", [f"{ERRATA.value:#018x}", "0xa0000-0xfffff", "The oldest guest is Linux 2.6.29"])
def test_the_page_says_it(words: str) -> None:
    assert words in PAGE
