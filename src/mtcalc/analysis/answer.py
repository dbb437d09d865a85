# SPDX-License-Identifier: GPL-2.0-only
"""An answer: its record, and what its entry makes of PAT types. What a quick lookup loads, and no more."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from mtcalc.kvm.notes import Note
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, asks_guest_mtrr
from mtcalc.rules.rule import Rule
from mtcalc.text.record import Record
from mtcalc.x86.effective import effective_type, implementation_defined
from mtcalc.x86.ept import split_mask
from mtcalc.x86.memtype import MTRR_TYPES, Effective, MemType

if TYPE_CHECKING:
    from mtcalc.kvm.vm import Slot


UNKNOWN = "unknown"
"""The name of a guest MTRR type that 4.2 and 4.3 take from bytes of their own."""


class EptByte(Record):
    """What KVM puts into an EPT entry: the byte of vmx_get_mt_mask(), 0 to 0xff."""

    byte: int

    @property
    def memtype(self) -> int:
        """The memory type's encoding, 0 to 7."""
        return split_mask(self.byte)[0]

    @property
    def ipat(self) -> bool:
        """The ignore-PAT bit."""
        return split_mask(self.byte)[1]


class NptEntry(Record):
    """What an NPT entry of KVM's says: the entry of the host's PAT that it selects, 0 to 7, and the type there."""

    pat_index: int
    memtype: MemType

    @property
    def byte(self) -> None:
        """It has no EPT byte."""

    @property
    def ipat(self) -> None:
        """Nothing ignores the guest's PAT."""


class Answer(Record):
    """One answer, of a what-if, a page or a range. Addresses in bytes; what does not apply is None.

    Its layers, each made from the one before: where it is, what the rules know of it (`facts`), the rule that
    decides, the entry, and with the page's PAT type the effective type. `effective` pairs each PAT type asked for
    with the effective type, None where the entry holds a reserved memory type or is not to be known, and under NPT
    before 4.15 where the guest's PAT has no such entry. `pat` is the PAT type where one was asked for.
    """

    kernel: Kernel
    gpa: int | None
    end: int | None  # the last byte of a range
    slot: "Slot | None"
    level: int | None  # 1 to 3: the highest level at which it can be mapped
    facts: Facts | None  # None: no slot, so no entry
    rule: Rule | None
    entry: EptByte | NptEntry | None  # None with a slot: it hangs on a guest MTRR type that is unknown
    pat: MemType | None
    effective: tuple[tuple[MemType, Effective | None], ...]
    notes: tuple[Note, ...]
    paging: bool = True  # guest CR0.PG; without it the PAT memory type is WB, whatever `pat` says
    request: str | None = None  # what the guest's driver asked for; `pat` is then what its kernel made of it
    pat_index: int | None = None  # the PAT entry that this kernel chose, 0 to 7; None: it refuses the request
    guest: str | None = None  # that kernel: 'linux-6.8'

    @property
    def byte(self) -> int | None:
        """The EPT byte; None under NPT."""
        return None if self.entry is None else self.entry.byte

    @property
    def memtype(self) -> int | None:
        """The EPT memory type's encoding, 0 to 7, under NPT the nested type's."""
        return None if self.entry is None else self.entry.memtype

    @property
    def ipat(self) -> bool | None:
        """The EPT ignore-PAT bit; None under NPT."""
        return None if self.entry is None else self.entry.ipat

    @property
    def guest_mtrr(self) -> str | None:
        """The guest MTRR type's name, UNKNOWN where the kernel reads garbage; None where it does not ask."""
        if self.facts is None:
            return None
        if self.facts.guest_mtrr is None:
            return UNKNOWN if asks_guest_mtrr(self.kernel) else None
        return str(self.facts.guest_mtrr)

    def starred(self, pat: MemType) -> bool:
        """Whether earlier editions of the manual left the cell of the table undefined that the page gets."""
        return self.byte is not None and starred(self.byte, pat, self.paging)


def starred(byte: int, pat: MemType, paging: bool = True) -> bool:
    """Whether earlier editions of the manual left an EPT byte's cell undefined; CR0.PG=0 uses the WB column."""
    encoding, ipat = split_mask(byte)
    if encoding not in MTRR_TYPES:
        return False
    return implementation_defined(MemType(encoding), ipat, pat if paging else MemType.WB)


def effective_types(
    byte: int, pats: Iterable[MemType], paging: bool = True
) -> tuple[tuple[MemType, MemType | None], ...]:
    """Each PAT type with the effective type under an EPT byte; with CR0.PG=0 the PAT type is WB."""
    encoding, ipat = split_mask(byte)
    if encoding not in MTRR_TYPES:
        return tuple((pat, None) for pat in pats)
    ept = MemType(encoding)
    return tuple((pat, effective_type(ept, ipat, pat if paging else MemType.WB)) for pat in pats)


def starred_note(encoding: int, pats: Iterable[MemType]) -> Note:
    """That earlier editions of the manual left the cells of an EPT memory type and some PAT types undefined."""
    cell = f"EPT {MemType(encoding)} with PAT {', '.join(map(str, pats))}"
    return Note("starred", f"{cell}: undefined in previous editions of the manual (*)")


def byte_notes(byte: int, pats: Sequence[MemType], paging: bool, alone: bool) -> list[Note]:
    """What the byte and the PAT types asked for give cause to say; `alone`: one PAT type was asked for."""
    notes = []
    encoding, ipat = split_mask(byte)
    if byte & ~0x78:
        odd = f"the byte {byte:#04x} has bits outside memory type and ignore-PAT: {byte & ~0x78:#04x}"
        notes.append(Note("odd-byte", odd))
    if encoding not in MTRR_TYPES:
        reserved = f"memory type {encoding} is reserved: the entry is an EPT misconfiguration"
        return [*notes, Note("misconfiguration", reserved)]
    if paging:
        marked = [pat for pat in pats if starred(byte, pat)]
        if marked:
            notes.append(starred_note(encoding, marked))
        if ipat and alone and pats[0] != encoding:
            notes.append(Note("ignore-pat", f"ignore PAT is set: the guest's PAT type {pats[0]} has no say"))
    elif not ipat:
        notes.append(Note("no-paging", "guest CR0.PG is 0: the PAT memory type is WB"))
    return notes


def each_pat(answer: Answer) -> tuple[Answer, ...]:
    """An answer a PAT type, each with the notes that are its own; a request's is one as it is."""
    if answer.request is not None:
        return (answer,)
    return tuple(
        answer._replace(pat=pat, effective=((pat, kind),), notes=tuple(_notes_of(answer, pat)))
        for pat, kind in answer.effective
    )


def _notes_of(answer: Answer, pat: MemType) -> Iterator[Note]:
    for note in answer.notes:
        if note.code != "starred":
            yield note
        elif answer.entry is not None and answer.starred(pat):
            yield starred_note(answer.entry.memtype, (pat,))


def notes_of_each(answer: Answer) -> tuple[Note, ...]:
    """The notes of an answer, those on starred cells a PAT type each."""
    if answer.pat is not None or answer.request is not None:
        return answer.notes
    return tuple(dict.fromkeys(note for one in each_pat(answer) for note in one.notes))
