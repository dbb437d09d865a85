# SPDX-License-Identifier: GPL-2.0-only
"""Rule sets side by side: what differs from the first one is marked with !, in any colour or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mtcalc.analysis.answer import UNKNOWN, Answer, notes_of_each
from mtcalc.analysis.diff_words import word_list
from mtcalc.analysis.side_by_side import Difference, Piece, difference
from mtcalc.kvm.note_codes import About
from mtcalc.kvm.notes import Note
from mtcalc.output.answers import entry_columns, entry_text, mtrr_that_counts, npt_legend, request_words
from mtcalc.output.document import (
    Block,
    Cell,
    Content,
    Document,
    Fields,
    Table,
    grouped_notes,
    memtype_cell,
    memtype_tone,
    rules_title,
)
from mtcalc.rules.kernel import Kernel, kernel_label
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import PAT_TYPES, MemType

LONGEST = 16
"""Labels longer than this are told apart by letters, so that rows stay short."""

_STAR_LEGEND = "* undefined in previous editions of the manual, so implementation-defined"


class Sides:
    """The rule sets of one document: what each is called in it."""

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        self.kernel = kernels[0]
        self.npt = self.kernel.npt is not None
        self.full = full = list[str]()
        for label in map(kernel_label, kernels):
            again = sum(other == label or other.startswith(f"{label} #") for other in full)
            full.append(f"{label} #{again + 1}" if again else label)
        long = len(full) > 1 and any(len(label) > LONGEST for label in full)
        self.labels = [chr(ord("A") + at) if at < 26 else f"#{at}" for at in range(len(full))] if long else full
        self.legend: list[tuple[str, Content]] = [
            (short, name) for short, name in zip(self.labels, full, strict=True) if long
        ]

    @property
    def first(self) -> str:
        """The rule set that the others are compared with."""
        return self.labels[0]

    @property
    def others(self) -> str:
        """'slot-flag', 'slot-flag and v6.16'."""
        *most, last = self.labels[1:]
        return f"{', '.join(most)} and {last}" if most else last

    def head(self, sentence: str) -> list[Block]:
        """The document's first lines: the rule sets, and how much differs."""
        title = rules_title(self.kernel, f"{', '.join(self.full)} side by side")
        return [title, sentence, Fields(self.legend)] if self.legend else [title, sentence]

    def mark_note(self, differs: bool) -> tuple[str, ...]:
        """The legend of the mark, where there is one to explain."""
        return (f"! differs from {self.first}",) if differs else ()


def marked(cell: Cell, differs: bool) -> Cell:
    """A cell with the mark of a difference."""
    return cell._replace(text=f"{cell.text}!") if differs else cell


def ept_cell(answer: Answer, differs: bool = False) -> Cell:
    """The entry, which is the EPT byte, in its memory type's colour."""
    return marked(Cell(entry_text(answer), memtype_tone(answer.memtype)), differs)


def type_cells(answer: Answer, differs: Iterable[MemType] = ()) -> list[Cell]:
    """The effective types, a cell a PAT type."""
    return [marked(memtype_cell(kind, answer.starred(pat)), pat in differs) for pat, kind in answer.effective]


def difference_words(found: Difference, pats: int) -> str:
    """'same', 'EPT', 'EPT, PAT WC UC-', 'level'; `pats`: how many PAT types were asked for."""
    words = ["EPT"] if found.byte else []
    if found.pats and pats == 1:
        words.append("effective")
    elif found.pats:
        words.append("every PAT" if len(found.pats) == pats else f"PAT {' '.join(map(str, found.pats))}")
    if found.level:
        words.append("level")
    return ", ".join(words) or "same"


def _rows(answers: Sequence[Answer], labels: Sequence[str], placed: bool) -> list[list[Content]]:
    rows: list[list[Content]] = []
    for answer, label in zip(answers, labels, strict=True):
        found = difference(answers[0], answer)
        row: list[Content] = [label]
        if placed:
            row += [marked(_level(answer), found.level), _mtrr(answer)]
        row += [ept_cell(answer, found.byte), *type_cells(answer, found.pats)]
        words = difference_words(found, len(answer.effective)) if rows else "-"
        rows.append([*row, answer.rule.id if answer.rule else "-", words])
    return rows


def _columns(answer: Answer, placed: bool) -> tuple[str, ...]:
    pats = [str(pat) for pat, _ in answer.effective]
    mtrr, entry = entry_columns(answer.kernel.npt is not None)
    return ("RULES", *(("LVL", mtrr) if placed else ()), entry, *pats, "RULE", "DIFF")


def _level(answer: Answer) -> Cell:
    return Cell("-" if answer.level is None else LEVEL_NAMES[answer.level])


def _mtrr(answer: Answer) -> Cell:
    kind = mtrr_that_counts(answer)
    if kind is None:
        return Cell("?" if answer.guest_mtrr == UNKNOWN else "-")
    return Cell(str(kind), memtype_tone(kind))


def lookup_sides(answers: Sequence[Answer]) -> Document:
    """One what-if under several rule sets, a row each; the PAT types in columns."""
    names = Sides([answer.kernel for answer in answers])
    differing = sum(difference(answers[0], answer).found for answer in answers[1:])
    if not differing:
        sentence = f"{names.others} {'give' if len(answers) > 2 else 'gives'} the same as {names.first}"
    elif len(answers) == 2:
        sentence = f"{names.others} differs from {names.first}"
    else:
        verb = "differs" if differing == 1 else "differ"
        sentence = f"{differing} of {len(answers) - 1} rule sets {verb} from {names.first}"
    first = answers[0]
    blocks = [*names.head(sentence), *([] if first.request is None else [f"request {request_words(first)}"])]
    table = Table(_columns(answers[0], False), _rows(answers, names.labels, False))
    notes = (
        *names.mark_note(bool(differing)),
        *side_notes([[answer._replace(notes=notes_of_each(answer)) for answer in answers]], names),
    )
    return Document([*blocks, table, Fields(_rules(answers, names))], notes)


def _rules(answers: Sequence[Answer], names: Sides) -> list[tuple[str, Content]]:
    """What the rules of the table's rows say, each once; with whose it is where an id has several texts."""
    texts: dict[str, dict[str, list[str]]] = {}
    for answer, label in zip(answers, names.labels, strict=True):
        if answer.rule:
            texts.setdefault(answer.rule.id, {}).setdefault(answer.rule.text, []).append(label)
    return [
        (f"rule {rule}" if len(said) == 1 else f"rule {rule} under {', '.join(labels)}", text)
        for rule, said in texts.items()
        for text, labels in said.items()
    ]


def ranges_sides(pieces: Sequence[Piece]) -> Document:
    """Slots as ranges in the order of addresses, cut wherever any rule set cuts them."""
    return _pieces(sorted(pieces, key=_address), "range", "ranges")


def _address(piece: Piece) -> tuple[int, int]:
    first = piece.answers[0]
    return first.slot.address_space if first.slot else 0, first.gpa or 0


def pages_sides(pieces: Sequence[Piece]) -> Document:
    """Single addresses under several rule sets."""
    return _pieces(pieces, "address", "addresses")


def _pieces(pieces: Sequence[Piece], one: str, many: str) -> Document:
    names = Sides([answer.kernel for answer in pieces[0].answers])
    differing = [piece for piece in pieces if piece.differs]
    blocks = names.head(_count(pieces, differing, names, one if len(pieces) == 1 else many))
    # Places with the same answers share a table.
    alike: dict[tuple[object, ...], list[Piece]] = {}
    for piece in differing:
        key = tuple(
            (a.level, a.entry, a.pat, a.request, a.rule and a.rule.id, mtrr_that_counts(a)) for a in piece.answers
        )
        alike.setdefault(key, []).append(piece)
    for group in alike.values():
        answers = group[0].answers
        title = "; ".join(_where(piece.answers[0]) for piece in group)
        blocks.append(Table(_columns(answers[0], True), _rows(answers, names.labels, True), title))
    same = [piece.answers for piece in pieces if not piece.differs]
    blocks += _same(same)
    notes = (*names.mark_note(bool(differing)), *side_notes([piece.answers for piece in pieces], names))
    return Document(blocks, notes)


def _count(pieces: Sequence[Piece], differing: Sequence[Piece], names: Sides, what: str) -> str:
    verb = "differs" if len(differing) == 1 else "differ"
    some = f"{len(differing) or 'none'} of {len(pieces)} {what} {verb if differing else 'differs'}"
    if len(names.labels) == 2:
        return f"{some} between {names.first} and {names.others}"
    if not differing:
        return f"{some} from {names.first}"
    counts = [sum(piece.differences[at].found for piece in pieces) for at in range(len(names.labels) - 1)]
    each = ", ".join(f"{count} under {name}" for count, name in zip(counts, names.labels[1:], strict=True))
    return f"{some} from {names.first}: {each}"


def _where(answer: Answer) -> str:
    text = hex(answer.gpa or 0)
    if answer.end is not None:
        text += f"-{answer.end:#x}"
    text = f"{text} {answer.slot.name}" if answer.slot else text
    return text if answer.request is None else f"{text}, {request_words(answer)}"


def _same(pieces: Sequence[Sequence[Answer]]) -> list[Block]:
    """Where all agree: one row a place, one table for each choice of PAT types."""
    blocks: list[Block] = []
    for one, asked in ((True, True), (True, False), (False, False)):
        rows: list[list[Content]] = []
        columns: tuple[str, ...] = ()
        for answers in pieces:
            first = answers[0]
            if (first.request is not None) is not asked or (asked or first.pat is not None) is not one:
                continue
            end = () if first.end is None else (hex(first.end),)
            kinds = dict.fromkeys(cell.text for cell in map(_mtrr, answers) if cell.text != "-")
            lead: list[Content] = [hex(first.gpa or 0), *end, _level(first), "/".join(kinds) or "-", ept_cell(first)]
            slot = first.slot.name if first.slot else "-"
            place = ("GPA", *("END" for _ in end), "LVL", *entry_columns(first.kernel.npt is not None))
            if one:
                columns = (*place, *(("REQUEST",) if asked else ()), "PAT", "EFFECTIVE", "SLOT")
                lead += [first.request] if first.request is not None else []
                pat = "-" if first.pat is None else str(first.pat)
                rows.append([*lead, pat, *(type_cells(first) or [Cell("-")]), slot])
            else:
                columns = (*place, *map(str, PAT_TYPES), "SLOT")
                rows.append([*lead, *(type_cells(first) or [Cell("-")] * len(PAT_TYPES)), slot])
        if rows:
            blocks.append(Table(columns, rows, "the same under all:", owners=1))
    return blocks


def side_notes(places: Iterable[Sequence[Answer]], names: Sides, shown: Iterable[Answer] | None = None) -> list[str]:
    """Notes of answers to the same questions, each with whose it is, where it is not everyone's.

    Those on starred cells are one legend. `shown`: the answers whose types want one, None: these.
    """
    places = list(places)
    owned = list(_owned(places, names))
    starred = any(note.code == "starred" for _, note in owned)
    legend = npt_legend((answer for answers in places for answer in answers) if shown is None else shown)
    notes = [*legend, *grouped_notes(pair for pair in owned if pair[1].code != "starred")]
    return [_STAR_LEGEND, *notes] if starred else notes


def _owned(places: Iterable[Sequence[Answer]], names: Sides) -> Iterable[tuple[str, Note]]:
    for answers in places:
        slot = _owner(answers[0])
        shared = set.intersection(*(set(answer.notes) for answer in answers))
        under: dict[Note, list[str]] = {}
        for answer, label in zip(answers, names.labels, strict=False):
            for note in answer.notes:
                under.setdefault(note, []).append(label)
        for note, labels in under.items():
            if note.about is About.KERNEL and note.code != "latest":
                yield "", note
            elif note in shared:
                yield slot, note
            elif slot:
                yield f"{slot} under {word_list(labels)}", note
            else:
                yield from ((label, note) for label in labels)


def _owner(answer: Answer) -> str:
    """Whose an answer's notes are: its slot's, or an address's in none; '' of a what-if."""
    if answer.slot is not None:
        return answer.slot.name
    return "" if answer.gpa is None else hex(answer.gpa)
