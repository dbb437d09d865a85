# SPDX-License-Identifier: GPL-2.0-only
"""Addresses of a VM that somebody asked about, and what they expect there."""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.text.errors import Place
from mtcalc.x86.memtype import Effective, MemType


class Page(NamedTuple):
    """A point of interest: guest address in bytes, the page's PAT type (None: all six), where it was written.

    Instead of a PAT type, what a driver of a Linux guest asks for, over `size` bytes.
    """

    gpa: int
    pat: MemType | None
    place: Place
    private: bool | None = None  # None: as its slot is
    pat_index: int | None = None  # where the page's entry of the guest's PAT was said
    request: str | None = None
    size: int = 0x1000


class Expect(NamedTuple):
    """What somebody expects at a guest address in bytes; None: nothing said of that."""

    gpa: int
    pat: MemType | None
    place: Place
    effective: Effective | None = None
    ept: int | None = None  # the byte
    memtype: MemType | None = None
    ipat: bool | None = None
    level: int | None = None  # 1 to 3
    guest_mtrr: MemType | None = None
    rule: str | None = None  # a rule's id
    private: bool | None = None  # None: as its slot is
    pat_index: int | None = None  # as in Page
    request: str | None = None  # as in Page
    size: int = 0x1000


class ExpectHazard(NamedTuple):
    """A hazard that somebody expects, or (`wanted` false) expects not: anywhere, in a slot by name, at an address."""

    code: str  # one of mtcalc.kvm.hazards
    wanted: bool
    place: Place
    gpa: int | None = None  # in bytes
    slot: str | None = None
