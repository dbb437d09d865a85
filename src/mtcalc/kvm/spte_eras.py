# SPDX-License-Identifier: GPL-2.0-only
"""Which bits of an SPTE KVM keeps what in, by release.

Source: arch/x86/kvm/mmu.c, from 5.10 arch/x86/kvm/mmu/spte.h and spte.c, and vmx.c, of the trees that each row names:
"read: A -> B" is the last tree without the change and the first with it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

Release: TypeAlias = tuple[int, ...]
"""(5, 13), (2, 6, 32), (6, 11, -1) for a release candidate."""

Bits: TypeAlias = tuple[int, int]
"""(lowest, highest) bit of a field."""

ALL = (1 << 64) - 1
BIT_11 = 1 << 11
SUPPRESS_VE = 1 << 63
AD_OFF = "A/D disabled"
_AD_WRITE_PROTECT = "A/D write-protect only"


class Layout(NamedTuple):
    """Where everything is. Bits are numbers, None for what there is not; masks and values are 64 bits wide.

    `host_writable` and `mmu_writable` are EPT's; those of NPT and shadow paging have the prefix `pte_`.
    """

    since: Release
    era: Release  # the first release of the era, in which leaves and tables are laid out the same
    read: tuple[Release, Release] | None  # the last tree without, the first with this row's change
    source: str
    host_writable: int | None = None
    mmu_writable: int | None = None
    write_needs_marks: bool = False  # a writable leaf is MMU-writable too, and that host-writable
    pte_host_writable: int | None = None
    pte_mmu_writable: int | None = None
    present_mask: int = ALL  # any of these bits set: there is an entry, unless it is MMIO, removed or empty
    accessed_dirty: bool = False  # bits 8 and 9
    ad_modes: tuple[tuple[int, int, str], ...] = ()  # mask, value, words
    saved: tuple[tuple[int, str], ...] = ()  # bit, and what it saves of an access-tracked leaf: R, X, U
    mmio_mask: int = 0  # 0: there are no MMIO SPTEs
    mmio_value: int = 0
    pte_mmio_high: int = 0  # with bits 51 and 0 those that NPT's and shadow paging's MMIO SPTEs always have
    generation_low: Bits | None = None
    generation_high: Bits | None = None
    generation_shift: int = 0  # low bits of the number that are not kept
    generation_repeats: bool = False  # the upper half may repeat the low bits: unfixed kernels
    l1tf: bool = False  # the top 5 bits of the host's width may be set in MMIO SPTEs, gpa bits there moved up by 5
    removed: int | None = None
    empty: tuple[int, ...] = (0,)
    suppress_ve: bool = False  # bit 63 is set in every present EPT entry
    user_execute: bool = False  # bit 10, wherever bit 2 is
    wt_ipat: bool = True  # a rule gives WT with IPAT
    tdx: bool = False  # a TDX guest's MMIO SPTEs have the value 0

    @property
    def mmu_present(self) -> bool:
        """Whether bit 11 says that there is an entry."""
        return self.present_mask == BIT_11


def _mask(low: int, high: int) -> int:
    return (1 << high + 1) - (1 << low)


_R = tuple[Release, Release]
_ROWS: tuple[tuple[Release, bool, _R | None, str, dict[str, Any]], ...] = (
    # since, whether an era begins, the trees read, what changed, and how
    ((2, 6, 29), True, None, "EPT entries carry no bits of KVM's own", {}),
    (
        (2, 6, 31),
        False,
        None,
        "522c68c4416d: no rule gives WT with IPAT any more",
        {"wt_ipat": False},
    ),
    (
        (2, 6, 32),
        True,
        ((2, 6, 31, 3), (2, 6, 32, 69)),
        "host-writable is bit 9",
        {"host_writable": 9, "pte_host_writable": 9},
    ),
    (
        (3, 1),
        True,
        ((3, 0, 86), (3, 2, 7)),
        "MMIO SPTEs; present is bit 0",
        {
            "present_mask": 1,
            "mmio_mask": 0x01FE_0000_0000_0006,
            "mmio_value": 0x01FE_0000_0000_0006,
            "pte_mmio_high": _mask(52, 62),
        },
    ),
    (
        (3, 6),
        True,
        ((3, 2, 7), (3, 6, 5)),
        "host-writable is bit 10, MMU-writable 11; EPT's accessed and dirty bits are used",
        {
            "host_writable": 10,
            "mmu_writable": 11,
            "write_needs_marks": True,
            "pte_host_writable": 10,
            "pte_mmu_writable": 11,
            "accessed_dirty": True,
        },
    ),
    (
        (3, 11),
        True,
        ((3, 10, 99), (3, 11)),
        "MMIO SPTEs carry a generation of 19 bits; bits 63:62 mark them",
        {
            "mmio_mask": 0xC000_0000_0000_0006,
            "mmio_value": 0xC000_0000_0000_0006,
            "pte_mmio_high": 3 << 62,
            "generation_low": (3, 11),
            "generation_high": (52, 61),
        },
    ),
    (
        (3, 18),
        False,
        ((3, 16), (3, 18, 9)),
        "the generation has 20 bits, of which bit 0 is not kept",
        {"generation_shift": 1},
    ),
    (
        (4, 8),
        True,
        ((4, 7, 4), (4, 8, 15)),
        "present: any of the low 32 bits",
        {"present_mask": 0xFFFF_FFFF},
    ),
    (
        (4, 11),
        True,
        ((4, 10, 17), (4, 11)),
        "access-tracked leaves; bit 62 marks them and MMIO SPTEs",
        {
            "present_mask": ALL,
            "ad_modes": ((1 << 62, 1 << 62, AD_OFF),),
            "saved": ((52, "R"), (54, "X")),
            "mmio_mask": 0x4000_0000_0000_0006,
            "mmio_value": 0x4000_0000_0000_0006,
            "pte_mmio_high": 1 << 62,
        },
    ),
    (
        (4, 13),
        True,
        ((4, 12, 4), (4, 13, 4)),
        "bit 62 marks every entry without A/D bits; the MMIO mask has bit 0 too",
        {"mmio_mask": 0x4000_0000_0000_0007},
    ),
    (
        (4, 18),
        False,
        ((4, 17), (4, 20)),
        "L1TF: MMIO SPTEs may have the top 5 bits of the host's width set (RHEL's 4.18, mainline 4.19 (?))",
        {"l1tf": True},
    ),
    (
        (5, 1),
        False,
        ((5, 0, 1), (5, 2, 1)),
        "cae7ed3c2cb0: the upper half of the generation repeats low bits; bit 0 is kept",
        {"generation_shift": 0, "generation_repeats": True},
    ),
    (
        (5, 4),
        True,
        ((5, 3, 1), (5, 4)),
        "6eeb4ef049e7: bits 53:52 say A/D mode or MMIO",
        {
            "ad_modes": ((3 << 52, 1 << 52, AD_OFF), (3 << 52, 2 << 52, _AD_WRITE_PROTECT)),
            "saved": ((54, "R"), (56, "X")),
            "mmio_mask": 0x0030_0000_0000_0007,
            "mmio_value": 0x0030_0000_0000_0006,
            "pte_mmio_high": 3 << 52,
            "generation_high": (54, 62),
        },
    ),
    (
        (5, 8),
        False,
        ((5, 7, 14), (5, 8)),
        "the MMIO mask is bits 53:52 alone",
        {"mmio_mask": 3 << 52},
    ),
    (
        (5, 11),
        False,
        ((5, 10), (5, 11)),
        "34c0f6f2695a: the upper half of the generation is right again (5.10.y has it too)",
        {"generation_repeats": False},
    ),
    (
        (5, 12),
        False,
        ((5, 11), (5, 12, 9)),
        "a removed SPTE is bit 59",
        {"removed": 1 << 59},
    ),
    (
        (5, 13),
        True,
        ((5, 12, 9), (5, 14, -1)),
        "present is bit 11; EPT's host-writable is 57, MMU-writable 58; MMIO SPTEs have no mark",
        {
            "host_writable": 57,
            "mmu_writable": 58,
            "pte_host_writable": 9,
            "pte_mmu_writable": 10,
            "present_mask": BIT_11,
            "mmio_mask": 7,
            "mmio_value": 6,
            "pte_mmio_high": 0,
            "generation_low": (3, 10),
            "generation_high": (52, 62),
            "removed": 0x5A0,
        },
    ),
    (
        (6, 10),
        True,
        ((6, 9), (6, 10)),
        "bit 63, suppress #VE, is set in all but MMIO SPTEs",
        {
            "mmio_mask": 0x8000_0000_0000_0007,
            "removed": 0x8000_0000_0000_05A0,
            "empty": (0, SUPPRESS_VE),
            "suppress_ve": True,
        },
    ),
    ((6, 16), False, None, "a TDX guest's MMIO SPTEs have the value 0", {"tdx": True}),
    (
        (7, 2),
        True,
        ((7, 1, 5), (7, 2, 13)),
        "be4e45f360a2: host-writable 53, MMU-writable 55, A/D mode 61:60, saved bits 52, 54, 62; bit 10 user-execute",
        {
            "host_writable": 53,
            "mmu_writable": 55,
            "ad_modes": ((3 << 60, 1 << 60, AD_OFF), (3 << 60, 2 << 60, _AD_WRITE_PROTECT)),
            "saved": ((52, "R"), (54, "X"), (62, "U")),
            "generation_low": (3, 9),
            "removed": 0x8000_0000_0000_01A0,
            "user_execute": True,
        },
    ),
)


def _layouts() -> tuple[Layout, ...]:
    found: list[Layout] = []
    for since, begins, read, source, changes in _ROWS:
        era = since if begins else found[-1].era
        head: dict[str, Any] = {"since": since, "era": era, "read": read, "source": source}
        found.append(found[-1]._replace(**head, **changes) if found else Layout(**head, **changes))
    return tuple(found)


LAYOUTS: tuple[Layout, ...] = _layouts()
"""Oldest first; each holds until the next."""

_STARTS = [layout.since for layout in LAYOUTS]
_ERAS = sorted({layout.era for layout in LAYOUTS})


def layout_at(release: Release) -> Layout:
    """The layout of a release; of a candidate, the release's, as layouts change before the first one.

    Raises ValueError for a release before 2.6.29, the first one read.
    """
    release = _final(release)
    if release < _STARTS[0]:
        raise ValueError(f"{_text(release)}: SPTEs are known from {_text(_STARTS[0])} on")
    return LAYOUTS[bisect_right(_STARTS, release) - 1]


def era_text(layout: Layout) -> str:
    """The releases of a layout's era: '5.4 to 5.12', '7.2 on'."""
    following = _ERAS.index(layout.era) + 1
    return _span(layout.era, _ERAS[following] if following < len(_ERAS) else None)


def spans(layouts: Iterable[Layout]) -> str:
    """The releases that have one of these layouts: '3.6 to 3.10, 5.4 on'; '' for none."""
    texts: list[str] = []
    numbers = sorted({_STARTS.index(layout.since) for layout in layouts})
    for k, number in enumerate(numbers):
        if k and numbers[k - 1] == number - 1:
            continue
        last = number
        while last + 1 in numbers:
            last += 1
        texts.append(_span(_STARTS[number], _STARTS[last + 1] if last + 1 < len(_STARTS) else None))
    return ", ".join(texts)


def unread(release: Release) -> str:
    """What to say of a release whose layout changed between two trees that were read, '' of all others."""
    for row in LAYOUTS:
        if row.era == row.since and row.read is not None:
            before, after = row.read
            if before[:2] < _final(release)[:2] < _final(after)[:2] and release[0] >= 3:
                return (
                    f"{_text(release)} itself was not read: its SPTEs changed after {_text(before)},"
                    f" by {_text(after)} at the latest"
                )
    return ""


def _final(release: Release) -> Release:
    return release[:-1] if release[-1] == -1 else release


def _span(first: Release, following: Release | None) -> str:
    if following is None:
        return f"{_text(first)} on"
    last = (*following[:-1], following[-1] - 1)
    return _text(first) if last == first else f"{_text(first)} to {_text(last)}"


def _text(release: Sequence[int]) -> str:
    if release[-1] == -1:
        return ".".join(map(str, release[:-1])) + "-rc"
    return ".".join(map(str, release))
