# SPDX-License-Identifier: GPL-2.0-only
"""The memory type an access really gets under EPT.

Source: SDM vol. 3, "Memory Type Used for Translated Guest-Physical Addresses": with ignore-PAT the
EPT type, else the table "Effective Page-Level Memory Types", the EPT type in the MTRR's place.
Host MTRRs have no effect.
"""

from __future__ import annotations

from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType, parse_memtype

# As the manual prints it, a row an EPT type, a column a PAT type; * marks the cells that it says
# were undefined in previous editions, so implementation-defined.
MATRIX = """
EPT  UC  UC-  WC  WT   WP   WB
UC   UC  UC   WC  UC   UC   UC
WC   UC  WC   WC  UC*  UC*  WC
WT   UC  UC   WC  WT   WP*  WT
WP   UC  WC*  WC  WT*  WP   WP
WB   UC  UC   WC  WT   WP   WB
"""


def _read(matrix: str) -> tuple[dict[tuple[MemType, MemType], MemType], frozenset[tuple[MemType, MemType]]]:
    header, *rows = (line.split() for line in matrix.strip().splitlines())
    columns = [parse_memtype(name) for name in header[1:]]
    cells = {}
    starred = set()
    for row, *types in rows:
        for pat, cell in zip(columns, types, strict=True):
            cells[parse_memtype(row), pat] = parse_memtype(cell.rstrip("*"))
            if cell.endswith("*"):
                starred.add((parse_memtype(row), pat))
    return cells, frozenset(starred)


_CELLS, _STARRED = _read(MATRIX)


def effective_type(ept: MemType, ipat: bool, pat: MemType) -> MemType:
    """The effective memory type of an EPT type, its ignore-PAT bit and the page's PAT type.

    Raises ValueError where `ept` is UC-, which no EPT entry can hold.
    """
    if ept not in MTRR_TYPES or pat not in PAT_TYPES:
        raise ValueError(f"no effective type for EPT {ept!s} and PAT {pat!s}")
    return ept if ipat else _CELLS[ept, pat]


def implementation_defined(ept: MemType, ipat: bool, pat: MemType) -> bool:
    """Whether earlier editions of the manual left this cell undefined (the five starred ones)."""
    return not ipat and (ept, pat) in _STARRED
