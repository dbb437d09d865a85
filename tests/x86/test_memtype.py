# SPDX-License-Identifier: GPL-2.0-only
"""Memory types, their encodings and every spelling that people use."""

from __future__ import annotations

import pytest

from mtcalc.x86.memtype import CACHEABLE, MTRR_TYPES, PAT_TYPES, MemType, memtype_name, parse_memtype

SPELLINGS = {
    MemType.UC: "UC uncachable uncacheable uncached MTRR_TYPE_UNCACHABLE X86_MEMTYPE_UC _PAGE_CACHE_MODE_UC",
    MemType.WC: "WC write-combining MTRR_TYPE_WRCOMB X86_MEMTYPE_WC _PAGE_CACHE_MODE_WC",
    MemType.WT: "WT write-through MTRR_TYPE_WRTHROUGH X86_MEMTYPE_WT",
    MemType.WP: "WP write-protect write-protected MTRR_TYPE_WRPROT X86_MEMTYPE_WP",
    MemType.WB: "WB write-back MTRR_TYPE_WRBACK X86_MEMTYPE_WB PAT_WB",
    MemType.UC_MINUS: "UC- uncached-minus UC_MINUS X86_MEMTYPE_UC_MINUS _PAGE_CACHE_MODE_UC_MINUS",
}
CASES = [(word, kind) for kind, words in SPELLINGS.items() for word in words.split()]


@pytest.mark.parametrize(("word", "kind"), CASES)
def test_every_spelling_in_any_case(word: str, kind: MemType) -> None:
    """Kernel spellings of the MTRR code, the PAT code and the constants; a person types any of them."""
    for spelling in (word, word.lower(), word.upper(), word.title(), f" {word} ", word.replace("-", "_")):
        if spelling != "UC_":
            assert parse_memtype(spelling) is kind


def test_encodings_are_the_manuals() -> None:
    """SDM: UC=0, WC=1, WT=4, WP=5, WB=6; in the PAT alone also UC-=7."""
    assert {str(kind): int(kind) for kind in MemType} == {"UC": 0, "WC": 1, "WT": 4, "WP": 5, "WB": 6, "UC-": 7}
    assert set(PAT_TYPES) == set(MemType)
    assert set(PAT_TYPES) - set(MTRR_TYPES) == {MemType.UC_MINUS}
    assert {str(kind) for kind in CACHEABLE} == {"WT", "WP", "WB"}


@pytest.mark.parametrize("encoding", [2, 3, 7, 8, 0xFF])
def test_reserved_encodings_are_named_so(encoding: int) -> None:
    assert memtype_name(encoding) == f"reserved {encoding}"


def test_names_of_encodings_parse_back() -> None:
    assert all(parse_memtype(memtype_name(kind)) is kind for kind in MTRR_TYPES)


@pytest.mark.parametrize("word", ["", "W", "WCB", "WB-", "UC--", "0", "cached", "MTRR_TYPE_", "wb wc"])
def test_other_words_are_refused_with_those_allowed(word: str) -> None:
    with pytest.raises(ValueError, match=r"is not a memory type \(one of UC, UC-, WC, WT, WP, WB\)"):
        parse_memtype(word)


def test_uc_minus_is_refused_outside_the_pat() -> None:
    with pytest.raises(ValueError, match=r"UC- exists in the PAT alone \(one of UC, WC, WT, WP, WB\)"):
        parse_memtype("UC-", MTRR_TYPES)
