# SPDX-License-Identifier: GPL-2.0-only
"""The memory type an access really gets under AMD's nested paging.

The type of the guest's PAT entry combines with that of the host's PAT entry that the nested page-table entry selects,
and what comes of it with the host's MTRR type of the page. The guest's MTRRs are no part of it.

Source: APM vol. 2, "Nested Paging and the PAT", whose tables were read in a translation. CROSS_CHECKED says which
cells another hypervisor's comments repeat (SimpleSvm, on its nested page tables, which as KVM's select WB).
"""

from __future__ import annotations

from mtcalc.x86.memtype import CACHEABLE, Effective, MemType, NptType, parse_memtype

SOURCE = 'APM vol. 2, "Nested Paging and the PAT"'

GUEST_BY_NESTED = """
guest  UC  UC-  WC  WP   WT   WB
UC     UC  UC   UC  UC   UC   UC
UC-    UC  UC-  WC  UC   UC   UC
WC     WC  WC   WC  WC+  WC+  WC+
WP     UC  UC   UC  WP   UC   WP
WT     UC  UC   UC  UC   WT   WT
WB     UC  UC   WC  WP   WT   WB
"""
"""As the manual prints it: a row a type of the guest's PAT, a column a nested type, from the host's PAT."""

COMBINED_BY_HOST_MTRR = """
combined  UC  WC  WP   WT   WB
UC        UC  CD  CD   CD   CD
UC-       UC  WC  CD   CD   CD
WC        WC  WC  WC   WC   WC
WC+       WC  WC  WC+  WC+  WC+
WP        UC  CD  WP   CD   WP
WT        UC  CD  CD   WT   WT
WB        UC  WC  WP   WT   WB
"""
"""As the manual prints it: a row an outcome of the first table, a column the host's MTRR type of the page."""


def _parse(name: str) -> Effective:
    return NptType(name) if name in ("CD", "WC+") else parse_memtype(name)


def _read(matrix: str) -> dict[tuple[Effective, Effective], Effective]:
    header, *rows = (line.split() for line in matrix.strip().splitlines())
    return {
        (_parse(row), _parse(column)): _parse(cell)
        for row, *cells in rows
        for column, cell in zip(header[1:], cells, strict=True)
    }


_COMBINED = _read(GUEST_BY_NESTED)
_EFFECTIVE = _read(COMBINED_BY_HOST_MTRR)

CROSS_CHECKED: frozenset[tuple[Effective, MemType]] = frozenset(
    (
        # guest and nested type
        (MemType.WC, MemType.WB),
        (MemType.UC_MINUS, MemType.WB),
    )
)
"""The cells of the first table that were found a second time; the others were read in the translation alone."""

CROSS_CHECKED_MTRR: frozenset[tuple[Effective, MemType]] = frozenset(
    (
        # combined and host MTRR type
        (NptType.WC_PLUS, MemType.WP),
        (NptType.WC_PLUS, MemType.WT),
        (NptType.WC_PLUS, MemType.WB),
        (MemType.WC, MemType.WP),
        (MemType.WC, MemType.WT),
        (MemType.WC, MemType.WB),
        (MemType.UC, MemType.WC),
        (MemType.UC_MINUS, MemType.WC),
    )
)
"""The same of the second table."""

SNP = {MemType.UC: NptType.CD, MemType.WC: NptType.WC_PLUS}
"""What SNP makes of the two types that do not snoop; every other stays."""


def combined_type(guest: MemType, nested: MemType) -> Effective:
    """What the guest's and the nested type combine to: a memory type, or WC+."""
    return _COMBINED[guest, nested]


def with_host_mtrr(combined: Effective, host_mtrr: MemType) -> Effective:
    """What combined_type() comes to under the host's MTRR type of the page.

    Raises ValueError where no MTRR holds `host_mtrr`, or combining gives no such type.
    """
    found = _EFFECTIVE.get((combined, host_mtrr))
    if found is None:
        raise ValueError(f"no effective type for {combined!s} under host MTRR type {host_mtrr!s}")
    return found


def cache_disabled(found: Effective) -> Effective:
    """What CR0.CD makes of a type, where it is set in the hardware: CD of what would be cached (unconfirmed)."""
    return NptType.CD if found in CACHEABLE else found


def under_snp(found: Effective) -> Effective:
    """What SNP makes of a type: UC becomes CD, WC becomes WC+."""
    return SNP.get(found, found) if isinstance(found, MemType) else found
