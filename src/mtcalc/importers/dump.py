# SPDX-License-Identifier: GPL-2.0-only
"""The contract of all formats: lines in, a Dump out, or a located error.

A reader is fed the lines of one file, prefixes taken off, says of each whether it was of its format, and at the end
what it has read. Nothing is guessed here: what a dump does not tell is not in its Dump.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeAlias

from mtcalc.text.errors import InputError, Place
from mtcalc.x86.memtype import MTRR_TYPES, MemType, parse_memtype
from mtcalc.x86.pat import Pat


class Line(NamedTuple):
    """A line of a dump: `text` is what the tool printed, `source` the line as it stands in the file."""

    text: str
    file: str
    number: int
    source: str

    def place(self, part: str = "") -> Place:
        """Where the line stands: at `part` of it, else where the tool's own text begins."""
        column = self.source.find(part or self.text[:20]) + 1
        return Place(self.file, self.number, max(column, 1), self.source)

    def error(self, message: str, part: str = "") -> InputError:
        """The error for this line."""
        return InputError(message, self.place(part))

    def mtrr_type(self, word: str) -> MemType:
        """The memory type of an MTRR that a word of the line names. Raises the line's InputError."""
        try:
            return parse_memtype(word, MTRR_TYPES)
        except ValueError as error:
            raise self.error(str(error), word) from None


Content: TypeAlias = bool | int | str | MemType | Pat


class Setting(NamedTuple):
    """One thing of which a machine has one: `key` is a row of mtcalc.importers.told.SETTINGS."""

    key: str
    value: Content
    place: Place


class DumpRegister(NamedTuple):
    """A fixed-range register of the MTRRs and its value."""

    msr: int
    value: int
    place: Place


class DumpPair(NamedTuple):
    """A variable pair: the two registers, or (`physmask` None) base and type with a size in bytes."""

    number: int
    physbase: int
    physmask: int | None
    size: int
    place: Place

    @property
    def valid(self) -> bool:
        """Whether the pair is on."""
        return self.physmask is None or bool(self.physmask & 1 << 11)


class Pairs(NamedTuple):
    """Variable pairs as one dump lists them, ascending.

    `total` is how many the CPU has, None where the dump does not tell; `missing` the numbers of those that the dump
    should have and has not; `cut` says that more may have followed.
    """

    pairs: tuple[DumpPair, ...]
    place: Place
    total: int | None = None
    missing: tuple[int, ...] = ()
    cut: bool = False


class MapRow(NamedTuple):
    """A range of one type that a kernel resolved: bytes, `end` behind the last one."""

    start: int
    end: int
    memtype: MemType
    place: Place


class RangeMap(NamedTuple):
    """The map of ranges of a kernel's log; what is in no row has the default type.

    `entries` rows are announced, of which the first `fixed` are the fixed ranges; `tom2` is the end of AMD's RAM above
    4G in bytes, 0 for none, None where there is one and the log does not tell it; `total` how many pairs the CPU has,
    None where that is not known.
    """

    rows: tuple[MapRow, ...]
    entries: int
    fixed: int
    place: Place
    tom2: int | None = 0
    total: int | None = None


class SlotFact(NamedTuple):
    """A memory slot. Addresses and size in bytes; None: the dump does not tell.

    `host_type` is what the host's memory-type tracking calls what is behind it, `host_place` where that stands.
    """

    address_space: int
    gpa: int
    size: int
    place: Place
    id: int | None = None
    flags: int | None = None
    hva: int | None = None
    name: str | None = None
    mmio: bool | None = None
    host_type: MemType | None = None
    host_place: Place | None = None


class PageFact(NamedTuple):
    """Pages of the guest from `gpa` on (bytes), of one PAT type or one index into the PAT."""

    gpa: int
    size: int
    pat: MemType | None
    pat_index: int | None
    place: Place


class ImportRemark(NamedTuple):
    """Something worth saying: of a line of a dump, or (no place) of what no dump tells.

    `about` is what it concerns: the dump itself, mtrr, width, pat, dma, slots or kernel.
    """

    text: str
    place: Place | None
    about: str = "dump"


class Dump(NamedTuple):
    """What one dump tells of one machine; `place` is its first line."""

    format: str
    place: Place
    settings: tuple[Setting, ...] = ()
    registers: tuple[DumpRegister, ...] = ()
    pairs: Pairs | None = None
    map: RangeMap | None = None
    slots: tuple[SlotFact, ...] | None = None
    pages: tuple[PageFact, ...] = ()
    remarks: tuple[ImportRemark, ...] = ()

    @property
    def tells(self) -> bool:
        """Whether there is anything in it for a scenario."""
        return bool(self.settings or self.registers or self.pairs or self.map or self.slots or self.pages)


class Reader(Protocol):
    """Reads one format."""

    def feed(self, line: Line) -> bool:
        """Takes a line; whether it was of this format. Raises InputError for one that is broken."""

    def finish(self) -> Iterable[Dump]:
        """What was read, one Dump a machine, none where no line was of this format. Raises InputError."""
