# SPDX-License-Identifier: GPL-2.0-only
"""KVM's tracepoints of SPTEs: their text, and what is made of many events of one kind at once.

Source: arch/x86/kvm/mmu/mmutrace.h.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import repeat

from mtcalc.kvm.recorded import NO_GFN, NO_LEVEL

# Of each event one group, the text that its entries are made of: what repeats is told by that, and never made again.
_HEX = rb"(?:0x)?[0-9a-fA-F]{1,16}\b"
CHANGED = re.compile(
    rb"kvm_tdp_mmu_spte_changed:\s+as\s+id\s+(\d{1,2}\s+gfn\s+" + _HEX + rb"\s+level\s+[1-5]"
    + rb"\s+old_spte\s+" + _HEX + rb"\s+new_spte\s+" + _HEX + rb")"
)  # fmt: skip
SET = re.compile(
    rb"kvm_mmu_s(?:et_spte|plit_huge_page):\s+gfn\s+(" + _HEX + rb"\s+spte\s+" + _HEX
    + rb"(?:\s+\([^()\s]{0,16}\))?\s+level\s+[1-5]\b)"
)  # fmt: skip
FAST = re.compile(
    rb"fast_page_fault:\s+vcpu\s+\d+\s+g[vp]a\s+(" + _HEX + rb"\s+error_code(?:\s+(?!sptep)\S+)?\s+sptep\s+\S+"
    + rb"\s+old\s+" + _HEX + rb"\s+new\s+" + _HEX + rb")"
)  # fmt: skip
CHECKED = re.compile(rb"check_mmio_spte:\s+spte\s+(" + _HEX + rb")")
WORDS = re.compile(
    rb"^[ \t]*((?:0x)?[0-9a-fA-F]{1,16}[ \t]+(?:0x)?[0-9a-fA-F]{1,16}[ \t]+[1-5])[ \t\r]*$", re.MULTILINE
)
NO_WORDS = re.compile(rb"^[ \t\r]*(?!#|Attaching )([^\s].*)$", re.MULTILINE)
"""A line of --as spte that has to be an entry: neither blank, nor a comment, nor bpftrace's first one."""
NAMES = {
    b"kvm_tdp_mmu_spte_changed:": CHANGED,
    b"kvm_mmu_set_spte:": SET,
    b"kvm_mmu_split_huge_page:": SET,
    b"fast_page_fault:": FAST,
    b"check_mmio_spte:": CHECKED,
}
AGAIN = re.compile(rb"\s*(?:kvm_\w+|fast_page_fault|check_mmio_spte):")
NAMED = re.compile(rb":\s+\w+:\s")
"""The name of an event, whatever it is, behind a time."""
_PLAIN_HEX = rb"[0-9a-f]{1,16}"
QUICK: dict[re.Pattern[bytes], tuple[re.Pattern[bytes], tuple[bytes, ...]]] = {
    CHANGED: (
        re.compile(
            rb"kvm_tdp_mmu_spte_changed: as id (\d gfn " + _PLAIN_HEX + rb" level [1-5] old_spte " + _PLAIN_HEX
            + rb" new_spte " + _PLAIN_HEX + rb")\b"
        ),
        (b"kvm_tdp_mmu_spte_changed:",),
    ),
    SET: (
        re.compile(
            rb"kvm_mmu_set_spte: +gfn (" + _PLAIN_HEX + rb" spte " + _PLAIN_HEX + rb" \([rwxu-]{1,8}\) level [1-5])\b"
        ),
        (b"kvm_mmu_set_spte:", b"kvm_mmu_split_huge_page:"),
    ),
}  # fmt: skip
"""The events as the kernel writes them, found in two thirds of the time; and the words that count them. Where there
are more words than were found so, some stand otherwise, and the block is looked through again. As many events as lines
are one in each, and nothing else is in the block."""

EXAMPLES = {
    "kvm_tdp_mmu_spte_changed": "kvm_tdp_mmu_spte_changed: as id 0 gfn 8 level 1 old_spte 0 new_spte 6000000025c7b77",
    "kvm_mmu_set_spte": "kvm_mmu_set_spte: gfn 8 spte 6000000025c7b77 (rwxu) level 1 at 6196040",
    "kvm_mmu_split_huge_page": "kvm_mmu_split_huge_page: gfn 8 spte 6000000025c7b77 level 1",
    "fast_page_fault": (
        "fast_page_fault: vcpu 0 gva 8000 error_code W sptep 0000000012345678 old 6000000025c7b75 new 6000000025c7b77"
    ),
    "check_mmio_spte": "check_mmio_spte: spte f8f0000066 kvm_gen 7 spte-gen 7 valid 1",
    "a printed entry": "ept_misconfig_inspect_spte: spte 0x6000000025c7b77 level 1",
    "a cut event": "kvm_mmu_set_spte: gfn 8 spte 6000000025c7b77 (rwxu) level 1",
    "three words": "8 6000000025c7b77 1",
}
"""A line of each kind, as it is read, by the kind that Unread names."""

Columns = tuple[list[int], list[int], list[int], list[int]]
Make = Callable[[list[bytes]], list[Columns]]
"""The entries of events, in columns as Batch has them: the first one of each event, then the second ones."""


def count_named(pattern: re.Pattern[bytes], data: bytes) -> int:
    """How many events are named whose quick form is known, -1 where none is."""
    return sum(map(data.count, QUICK[pattern][1])) if pattern in QUICK else -1


def _words_of(events: list[bytes], each: int) -> list[bytes]:
    """The words of events that have as many each, one behind the other; empty where they have not."""
    words = b" ".join(events).split()
    return words if len(words) == each * len(events) else []


def _hex(words: list[bytes]) -> list[int]:
    return list(map(int, words, repeat(16)))


def from_changed(events: list[bytes]) -> list[Columns]:
    words = _words_of(events, 9)
    spaces, gfns, levels = list(map(int, words[::9])), _hex(words[2::9]), list(map(int, words[4::9]))
    return [(spaces, gfns, levels, _hex(words[at::9])) for at in (6, 8)]


def from_set(events: list[bytes]) -> list[Columns]:
    nothing = [0] * len(events)
    words = _words_of(events, 6)
    if words:
        return [(nothing, _hex(words[::6]), list(map(int, words[5::6])), _hex(words[2::6]))]
    rows = [event.split() for event in events]  # not every one has the letters of its rights
    levels = [int(words[-1]) for words in rows]
    return [(nothing, _hex([words[0] for words in rows]), levels, _hex([words[2] for words in rows]))]


def from_fast(events: list[bytes]) -> list[Columns]:
    nothing, levels = [0] * len(events), [NO_LEVEL] * len(events)
    rows = [event.split() for event in events]
    gfns = [int(words[0], 16) >> 12 for words in rows]
    return [(nothing, gfns, levels, _hex([words[at] for words in rows])) for at in (-3, -1)]


def from_checked(events: list[bytes]) -> list[Columns]:
    # MMIO SPTEs are made at level 1 alone; the page stands in the value.
    count = len(events)
    return [([0] * count, [NO_GFN] * count, [1] * count, _hex(events))]


def from_words(events: list[bytes]) -> list[Columns]:
    words = _words_of(events, 3)
    return [([0] * len(events), _hex(words[::3]), list(map(int, words[2::3])), _hex(words[1::3]))]


EVENTS: tuple[tuple[bytes, re.Pattern[bytes], Make], ...] = (
    (b"kvm_tdp_mmu_spte_changed:", CHANGED, from_changed),
    (b"kvm_mmu_s", SET, from_set),
    (b"fast_page_fault:", FAST, from_fast),
    (b"check_mmio_spte:", CHECKED, from_checked),
)
