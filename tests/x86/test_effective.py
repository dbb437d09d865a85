# SPDX-License-Identifier: GPL-2.0-only
"""The effective type: all cells, against recorded tables and a second model."""

from __future__ import annotations

import itertools

import pytest

from mtcalc.x86.effective import effective_type, implementation_defined
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType, parse_memtype
from support import models
from support.vectors import json_vector

CELLS = list(itertools.product(MTRR_TYPES, PAT_TYPES))


def test_equals_an_independent_hypervisors_table_in_all_30_cells() -> None:
    table = json_vector("effective.json")["xen"]
    cells = {(ept, pat): cell for ept, row in table.items() for pat, cell in row.items()}
    assert len(cells) == 30
    assert {(str(e), str(p)): str(effective_type(e, False, p)) for e, p in CELLS} == cells


def test_differs_from_an_emulators_table_in_exactly_two_cells() -> None:
    table = json_vector("effective.json")["bochs"]
    wrong = {
        (ept, pat)
        for ept, row in table.items()
        for pat, cell in row.items()
        if str(effective_type(parse_memtype(ept), False, parse_memtype(pat))) != cell
    }
    assert wrong == {("WT", "WP"), ("WP", "UC-")}


@pytest.mark.parametrize(("ept", "pat"), CELLS)
def test_equals_the_model(ept: MemType, pat: MemType) -> None:
    """SDM, "Effective Page-Level Memory Types", as predicates; IPAT=1 -> the EPT type."""
    assert str(effective_type(ept, False, pat)) == models.effective(str(ept), str(pat))
    assert implementation_defined(ept, False, pat) is models.starred(str(ept), str(pat))
    assert effective_type(ept, True, pat) is ept
    assert not implementation_defined(ept, True, pat)


def test_exactly_five_cells_are_starred() -> None:
    """Undefined in previous editions of the manual."""
    starred = {(str(ept), str(pat)) for ept, pat in CELLS if implementation_defined(ept, False, pat)}
    assert starred == {("WC", "WT"), ("WC", "WP"), ("WT", "WP"), ("WP", "UC-"), ("WP", "WT")}


@pytest.mark.parametrize("ipat", [False, True])
def test_no_ept_entry_holds_uc_minus(ipat: bool) -> None:
    with pytest.raises(ValueError, match="no effective type for EPT UC- and PAT WB"):
        effective_type(MemType.UC_MINUS, ipat, MemType.WB)
