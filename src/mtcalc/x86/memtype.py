# SPDX-License-Identifier: GPL-2.0-only
"""Memory types and their names.

Source: SDM vol. 3, "Memory Types That Can Be Encoded in MTRRs" and "Memory Types That Can Be
Encoded With PAT". Encodings 2 and 3 are reserved everywhere, 7 outside the PAT.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import TypeAlias, Union


class MemType(IntEnum):
    """A memory type by its encoding; UC- (7) exists in the PAT alone."""

    UC = 0
    WC = 1
    WT = 4
    WP = 5
    WB = 6
    UC_MINUS = 7

    def __str__(self) -> str:
        return "UC-" if self is MemType.UC_MINUS else self.name


class NptType(Enum):
    """What accesses can come to under AMD's NPT besides the memory types: nothing encodes these two.

    Source: APM vol. 2, "Nested Paging and the PAT"; mtcalc.x86.npt has the tables.
    """

    CD = "CD"  # cacheable memory accessed uncached, with snooping
    WC_PLUS = "WC+"  # write-combining that snoops

    def __str__(self) -> str:
        return self.value

    @property
    def words(self) -> str:
        """What the name means, for those who have not met it."""
        return f"{self.value}: {self.meaning}"

    @property
    def meaning(self) -> str:
        """The same without the name."""
        return "uncached like UC, with snooping" if self is NptType.CD else "write-combining, with snooping"


Effective: TypeAlias = Union[MemType, NptType]
"""What an access really gets: a memory type, under NPT one of those two as well."""


def npt_type_words(kinds: Iterable[Effective | None]) -> tuple[str, ...]:
    """What the types are that exist under NPT alone, where one is among these."""
    found = set(kinds)
    return tuple(kind.words for kind in NptType if kind in found)


MTRR_TYPES = (MemType.UC, MemType.WC, MemType.WT, MemType.WP, MemType.WB)
"""What an MTRR or an EPT entry can hold."""

PAT_TYPES = (MemType.UC, MemType.UC_MINUS, MemType.WC, MemType.WT, MemType.WP, MemType.WB)
"""What a PAT entry can hold, in the order of the manual's table of effective types."""

CACHEABLE = frozenset((MemType.WT, MemType.WP, MemType.WB))

# How the manual, the kernel's MTRR and PAT code and its constants spell them (prefixes cut below).
_SPELLINGS = {
    MemType.UC: "uc uncachable uncacheable uncached strong-uncacheable strong-uc",
    MemType.WC: "wc write-combining writecombining wrcomb",
    MemType.WT: "wt write-through writethrough wrthrough",
    MemType.WP: "wp write-protect write-protected writeprotect wrprot",
    MemType.WB: "wb write-back writeback wrback",
    MemType.UC_MINUS: "uc- uc-minus ucminus uncached-minus uncachable-minus uncacheable-minus",
}
_BY_SPELLING = {word: kind for kind, words in _SPELLINGS.items() for word in words.split()}
_PREFIXES = ("mtrr-type-", "x86-memtype-", "-page-cache-mode-", "pat-")


def parse_memtype(text: str, types: tuple[MemType, ...] = PAT_TYPES) -> MemType:
    """The memory type a person means: WB, write-back, MTRR_TYPE_WRBACK, in any case.

    `types` are those allowed here. Raises ValueError naming them.
    """
    word = text.strip().lower().replace("_", "-").replace(" ", "-")
    for prefix in _PREFIXES:
        word = word.removeprefix(prefix)
    kind = _BY_SPELLING.get(word)
    if kind in types:
        return kind
    what = f"'{text}' is not a memory type" if kind is None else f"{kind} exists in the PAT alone"
    raise ValueError(f"{what} (one of {', '.join(map(str, types))})")


def memtype_name(encoding: int) -> str:
    """The short name of what an MTRR or an EPT entry holds; a reserved encoding, 7 included, as 'reserved N'."""
    return str(MemType(encoding)) if encoding in MTRR_TYPES else f"reserved {encoding}"
