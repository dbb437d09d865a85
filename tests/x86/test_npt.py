# SPDX-License-Identifier: GPL-2.0-only
"""AMD's two tables, cell by cell against a second model, and what is made of their outcome."""

from __future__ import annotations

import itertools

import pytest

from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, Effective, MemType, NptType
from mtcalc.x86.npt import (
    CROSS_CHECKED,
    CROSS_CHECKED_MTRR,
    cache_disabled,
    combined_type,
    under_snp,
    with_host_mtrr,
)
from support import models
from support.readme import ROOT

COMBINED: tuple[Effective, ...] = (*PAT_TYPES, NptType.WC_PLUS)


@pytest.mark.parametrize(("guest", "nested"), list(itertools.product(PAT_TYPES, PAT_TYPES)))
def test_guest_and_nested_type_combine_as_the_model_says(guest: MemType, nested: MemType) -> None:
    assert str(combined_type(guest, nested)) == models.npt_combined(str(guest), str(nested))


@pytest.mark.parametrize(("combined", "host"), list(itertools.product(COMBINED, MTRR_TYPES)))
def test_the_host_mtrr_type_counts_as_the_model_says(combined: Effective, host: MemType) -> None:
    assert str(with_host_mtrr(combined, host)) == models.npt_with_host_mtrr(str(combined), str(host))


def test_what_kvm_writes_leaves_these_types_over_ram_and_over_device_memory() -> None:
    """The nested type is WB in every release; host RAM is WB by its MTRRs, device memory usually UC."""
    ram = {str(pat): str(with_host_mtrr(combined_type(pat, MemType.WB), MemType.WB)) for pat in PAT_TYPES}
    assert ram == {"UC": "CD", "UC-": "CD", "WC": "WC+", "WT": "WT", "WP": "WP", "WB": "WB"}
    device = {str(pat): str(with_host_mtrr(combined_type(pat, MemType.WB), MemType.UC)) for pat in PAT_TYPES}
    assert device == {"UC": "UC", "UC-": "UC", "WC": "WC", "WT": "UC", "WP": "UC", "WB": "UC"}


def test_cd_is_no_outcome_of_the_first_table_and_no_row_of_the_second() -> None:
    assert NptType.CD not in {combined_type(guest, nested) for guest in PAT_TYPES for nested in PAT_TYPES}
    with pytest.raises(ValueError, match="no effective type for CD under host MTRR type WB"):
        with_host_mtrr(NptType.CD, MemType.WB)
    with pytest.raises(ValueError, match="no effective type for WB under host MTRR type UC-"):
        with_host_mtrr(MemType.WB, MemType.UC_MINUS)


@pytest.mark.parametrize("kind", [*PAT_TYPES, *NptType])
def test_cr0_cd_and_snp_change_what_they_speak_of_alone(kind: Effective) -> None:
    disabled = {"WB": "CD", "WT": "CD", "WP": "CD"}
    assert str(cache_disabled(kind)) == disabled.get(str(kind), str(kind))
    snooped = {"UC": "CD", "WC": "WC+"}
    assert str(under_snp(kind)) == snooped.get(str(kind), str(kind))
    assert under_snp(under_snp(kind)) == under_snp(kind)
    assert cache_disabled(under_snp(kind)) == under_snp(cache_disabled(kind))


def test_the_cells_found_a_second_time_are_what_the_other_hypervisor_says() -> None:
    """WC may become WC+ over WP, WT and WB where it should be WC; UC- may become CD over WC where it should be WC."""
    assert {(str(a), str(b)): str(combined_type(a, b)) for a, b in CROSS_CHECKED if isinstance(a, MemType)} == {
        ("WC", "WB"): "WC+",
        ("UC-", "WB"): "UC",
    }
    assert {(str(a), str(b)): str(with_host_mtrr(a, b)) for a, b in CROSS_CHECKED_MTRR} == {
        **{("WC+", host): "WC+" for host in ("WP", "WT", "WB")},
        **{("WC", host): "WC" for host in ("WP", "WT", "WB")},
        ("UC", "WC"): "CD",
        ("UC-", "WC"): "WC",
    }


PAGE = (ROOT / "docs" / "npt.md").read_text()


def documented(first: str) -> dict[tuple[str, str], str]:
    """The cells of the page's table whose first header cell is `first`."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:1] == "|"]
    at = next(number for number, row in enumerate(rows) if row[0] == first)
    header, body = rows[at], rows[at + 2 :]
    cells = {}
    for row in body:
        if len(row) != len(header) or row[0] in ("guest", "combined"):
            break
        cells.update({(row[0], name): cell for name, cell in zip(header[1:], row[1:], strict=True)})
    return cells


def test_the_page_has_both_tables_and_marks_what_was_found_twice() -> None:
    combined = {(str(a), str(b)): str(combined_type(a, b)) for a in PAT_TYPES for b in PAT_TYPES}
    mtrr = {(str(a), str(b)): str(with_host_mtrr(a, b)) for a in COMBINED for b in MTRR_TYPES}
    for first, cells, checked in (("guest", combined, CROSS_CHECKED), ("combined", mtrr, CROSS_CHECKED_MTRR)):
        found = documented(first)
        assert {place: cell.strip("*") for place, cell in found.items()} == cells
        assert {place for place, cell in found.items() if cell[0] == "*"} == {(str(a), str(b)) for a, b in checked}
