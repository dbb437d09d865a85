# SPDX-License-Identifier: GPL-2.0-only
"""What drivers of a Linux guest ask for: a memory type, or a function that asks for one.

Source: arch/x86/mm/ioremap.c, arch/x86/mm/pat.c (from 5.7 pat/memtype.c, from 5.8 also pat/set_memory.c) and
kernel/iomem.c; (?) rests on memory.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from mtcalc.kvm.release import Version
from mtcalc.x86.memtype import PAT_TYPES, MemType, parse_memtype


class Way(Enum):
    """How a function gets its mapping, which decides what becomes of RAM and of a conflict."""

    IOREMAP = "ioremap"  # takes the type it is given; refuses RAM
    DIRECT = "memremap(WB)"  # RAM: the direct map; anything else as ioremap_cache()
    REMAP = "remap_pfn_range"  # takes the type it is given; RAM: the page's own
    CHANGE = "set_memory"  # takes no other type; RAM: changes the page's type
    INSERT = "vmf_insert_pfn"  # the type asked for is ignored, what is tracked counts


class Request(NamedTuple):
    """One row: what a function asks for, and since which release there is such a function."""

    name: str
    asks: MemType
    way: Way
    source: str
    since: Version = (2, 6, 29)
    unconfirmed: bool = False  # that `since` is right

    @property
    def words(self) -> str:
        """'WC', 'ioremap_wc: WC'."""
        return self.name if self.name == str(self.asks) else f"{self.name}: {self.asks}"


_WB, _WC, _WT, _WP, _UC, _UC_MINUS = (
    MemType.WB,
    MemType.WC,
    MemType.WT,
    MemType.WP,
    MemType.UC,
    MemType.UC_MINUS,
)
_IOREMAP, _REMAP, _CHANGE = "arch/x86/mm/ioremap.c", "remap_pfn_range() of the whole VMA", "arch/x86/mm/pageattr.c"
_MEMREMAP = "kernel/iomem.c, before 4.16 (?) kernel/memremap.c"
_INSERT = "track_pfn_insert(): the type comes from lookup_memtype(); read: 3.6.5 -> 3.7.2"

FUNCTIONS: tuple[Request, ...] = (
    Request("ioremap", _UC_MINUS, Way.IOREMAP, _IOREMAP),
    Request("ioremap_nocache", _UC_MINUS, Way.IOREMAP, f"{_IOREMAP}; gone in 5.6 (?)"),
    Request("ioremap_uc", _UC, Way.IOREMAP, f"{_IOREMAP}; read: 4.1.3 -> 4.2.8", (4, 2)),
    Request("ioremap_wc", _WC, Way.IOREMAP, _IOREMAP),
    Request("ioremap_wt", _WT, Way.IOREMAP, f"{_IOREMAP}; read: 4.1.3 -> 4.2.8", (4, 2)),
    Request("ioremap_cache", _WB, Way.IOREMAP, _IOREMAP),
    Request("memremap", _WB, Way.DIRECT, _MEMREMAP, (4, 3), True),
    Request("memremap(WB)", _WB, Way.DIRECT, _MEMREMAP, (4, 3), True),
    Request("memremap(WT)", _WT, Way.IOREMAP, _MEMREMAP, (4, 3), True),
    Request("memremap(WC)", _WC, Way.IOREMAP, _MEMREMAP, (4, 7), True),
    Request("set_memory_uc", _UC_MINUS, Way.CHANGE, _CHANGE),
    Request("set_memory_wc", _WC, Way.CHANGE, _CHANGE),
    Request("pgprot_noncached", _UC_MINUS, Way.REMAP, _REMAP),
    Request("pgprot_writecombine", _WC, Way.REMAP, _REMAP),
    Request("pgprot_writethrough", _WT, Way.REMAP, f"{_REMAP}; read: 4.1.3 -> 4.2.8", (4, 2)),
    Request("/dev/mem", _WB, Way.REMAP, "mmap of /dev/mem, phys_mem_access_prot_allowed()"),
    Request("/dev/mem(O_SYNC)", _UC_MINUS, Way.REMAP, "mmap of /dev/mem, phys_mem_access_prot_allowed()"),
    Request("vmf_insert_pfn", _UC_MINUS, Way.INSERT, _INSERT, (3, 7)),
    Request("vmf_insert_pfn_pmd", _UC_MINUS, Way.INSERT, _INSERT, (3, 7)),
    Request("vmf_insert_pfn_pud", _UC_MINUS, Way.INSERT, _INSERT, (3, 7)),
)

_OLD_TYPES = (_WB, _WC, _UC_MINUS, _UC)
TYPES: tuple[Request, ...] = tuple(
    Request(str(kind), kind, Way.DIRECT if kind is _WB else Way.IOREMAP, "memtype_reserve(), arch/x86/mm/pat.c")
    if kind in _OLD_TYPES
    else Request(str(kind), kind, Way.IOREMAP, "memtype_reserve(); read: 4.1.3 -> 4.2.8", (4, 2))
    for kind in PAT_TYPES
)
"""A type alone: as ioremap_cache() or memremap() for WB, as an ioremap of it for others. No WT and WP before 4.2."""

_PREFIX = "devm_"
_ALIASES = {
    "memremap(memremap_wb)": "memremap(WB)",
    "memremap(memremap_wt)": "memremap(WT)",
    "memremap(memremap_wc)": "memremap(WC)",
    "memremap_wb": "memremap(WB)",
    "memremap_wt": "memremap(WT)",
    "memremap_wc": "memremap(WC)",
    "dev/mem": "/dev/mem",
    "devmem": "/dev/mem",
    "/dev/mem(o_dsync)": "/dev/mem(O_SYNC)",
    "/dev/mem,o_sync": "/dev/mem(O_SYNC)",
    "/dev/mem+o_sync": "/dev/mem(O_SYNC)",
    "vm_insert_pfn": "vmf_insert_pfn",
}
_BY_WORD = {row.name.lower(): row for row in FUNCTIONS}
_BY_TYPE = {row.asks: row for row in TYPES}


def request_names() -> tuple[str, ...]:
    """What can be asked for: the types, then the functions."""
    return tuple(row.name for row in (*TYPES, *FUNCTIONS))


def parse_request(text: str) -> Request:
    """The request that a person means: a memory type, or a function that asks for one. Raises ValueError."""
    word = "".join(text.split()).lower().removesuffix("()")
    if word.removeprefix(_PREFIX) in _BY_WORD:
        word = word.removeprefix(_PREFIX)
    found = _BY_WORD.get(_ALIASES.get(word, word).lower())
    if found is not None:
        return found
    try:
        return _BY_TYPE[parse_memtype(text)]
    except ValueError:
        from mtcalc.text.suggest import nearest

        near = nearest(word, request_names(), 1)
        names = ", ".join(row.name for row in FUNCTIONS if "(" not in row.name)
        right = f"did you mean {near[0]}?" if near else f"a memory type, or one of {names}"
        raise ValueError(f"'{text}' is no request ({right})") from None
