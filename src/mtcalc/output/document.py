# SPDX-License-Identifier: GPL-2.0-only
"""What commands show people: paragraphs, tables and notes, before it is known on what."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias, Union

from mtcalc.kvm.notes import Note
from mtcalc.rules.kernel import Kernel, kernel_label, platform_words
from mtcalc.text.record import Record
from mtcalc.x86.memtype import CACHEABLE, Effective, MemType, NptType

if TYPE_CHECKING:
    from mtcalc.output.bars import Bars

# Tones: what a colour means. Nothing is said by a tone alone.
CACHED = "cacheable"
COMBINING = "write-combining"
UNCACHED = "uncached"
STRONG = "strong"
WARN = "warn"
FAINT = "faint"


class Cell(Record):
    """A piece of text and its tone, '' for none."""

    text: str
    tone: str = ""


Content: TypeAlias = Union[str, Cell]


class Table(Record):
    """Rows under a header. The last column may be of any length, and takes what room is left.

    `owners`: so many of the last columns tell whose a row is, such as its slot. Where the table is too wide they
    stand above their rows.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Content]]
    title: str = ""
    owners: int = 0


class Fields(Record):
    """A list of names and values, a line each; values wrap under themselves."""

    rows: Sequence[tuple[str, Content]]
    title: str = ""


Block: TypeAlias = Union[str, Cell, Table, Fields, "Bars"]


class Document(Record):
    """Blocks in order, then notes."""

    blocks: Sequence[Block]
    notes: Sequence[str] = ()


def rules_title(kernel: Kernel, *words: str) -> Cell:
    """The line above answers: by which rules, and whether they hold under VMX with EPT or AMD's SVM with NPT."""
    return Cell(f"rules {', '.join(words or (kernel_label(kernel),))}, {platform_words(kernel)}", STRONG)


def text_of(content: Content) -> str:
    """The words of a cell."""
    return content if isinstance(content, str) else content.text


def memtype_tone(memtype: int | NptType | None) -> str:
    """The tone of a memory type's encoding."""
    if memtype in CACHEABLE:
        return CACHED
    if memtype in (MemType.WC, NptType.WC_PLUS):
        return COMBINING
    return UNCACHED if memtype in (MemType.UC, MemType.UC_MINUS, NptType.CD) else WARN


def memtype_cell(memtype: Effective | None, starred: bool = False) -> Cell:
    """A memory type in its colour; * where the manual's earlier editions left it undefined."""
    if memtype is None:
        return Cell("-", WARN)
    return Cell(f"{memtype}{'*' if starred else ''}", memtype_tone(memtype))


def texts(notes: Iterable[Note]) -> list[str]:
    """What notes say."""
    return [note.text for note in notes]


def grouped_notes(notes: Iterable[tuple[str, Note]], most: int = 4) -> list[str]:
    """(whose, note) pairs as one line a note: 'ram, bar2 and 3 more: the note'; whose '' is everyone's."""
    whose: dict[Note, dict[str, None]] = {}
    for owner, note in notes:
        whose.setdefault(note, {})[owner] = None
    lines = []
    for note, owners in whose.items():
        names = [name for name in owners if name]
        if not names:
            lines.append(note.text)
            continue
        more = f" and {len(names) - most} more" if len(names) > most else ""
        lines.append(f"{', '.join(names[:most])}{more}: {note.text}")
    return lines
