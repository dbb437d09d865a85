# SPDX-License-Identifier: GPL-2.0-only
"""The guest-physical address space as a picture and as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from mtcalc.analysis.address_map import AddressMap, KernelPiece, Piece, differs
from mtcalc.analysis.answer import Answer, NptEntry
from mtcalc.output.answers import entry_columns, entry_text, mtrr_that_counts, npt_legend
from mtcalc.output.bars import Bar, BarLayer, Bars, cut_texts
from mtcalc.output.document import (
    STRONG,
    WARN,
    Block,
    Document,
    memtype_tone,
    rules_title,
    texts,
)
from mtcalc.output.mtrr import UNDEFINED, UNKNOWN, kvm_name, manual_name
from mtcalc.output.plain import escape
from mtcalc.output.records import answer_record
from mtcalc.output.side_by_side import Sides
from mtcalc.text.numbers import format_size
from mtcalc.x86.ept import mask_text
from mtcalc.x86.memtype import PAT_TYPES, MemType, NptType

MOST_PIECES = 256
"""Pieces that people are shown; the other formats have all."""

_SHORT_FROM = 1 << 30  # bytes: a hole of so much is marked as shortened
_NAME = 12  # columns of a slot's name that a piece makes room for

_MOST_NAMES = 8

_FILLS = {MemType.WB: "=", MemType.WT: "-", MemType.WP: "+", MemType.WC: "~", MemType.UC: "#", MemType.UC_MINUS: "#"}
_FILLS_NPT = {NptType.CD: "#", NptType.WC_PLUS: "~"}


def map_document(found: AddressMap, pats: Sequence[MemType]) -> Document:
    """Slots, guest MTRRs by both views, EPT byte and effective types, a line each, aligned to the addresses."""
    names = Sides(found.kernels)
    blocks: list[Block] = (
        [rules_title(found.kernels[0])] if len(found.views) == 1 else names.head(_difference(found, names))
    )
    shown = found.pieces[:MOST_PIECES]
    held = any(piece.slot is not None for piece in shown)
    layers = [
        *([_layer("slot", shown, _slot)] if held else []),
        _layer("MTRR manual", shown, lambda piece: _named(piece.sides[0].mtrr.manual, UNDEFINED)),
    ]
    for at, label in enumerate(names.labels):
        layers += _kernel_layers(found, shown, at, label, pats)
    drawn = Bars(
        "address",
        tuple(_address(piece.start) for piece in shown),
        _address(shown[-1].end) if shown else "",
        tuple(_extra(piece) for piece in shown),
        tuple(_shortened(piece) for piece in shown),
        tuple(layers),
    )
    sides = [side for piece in shown for side in piece.sides if side.answer is not None]
    answers = [_of(side.answer, pats) for side in sides if side.answer is not None]
    answers += [answer for side in sides for answer in side.requests]
    blocks.append(drawn)
    legend = _legend(shown, pats, len(found.views) > 1, names.first, bool(found.requests))
    notes = [*npt_legend(answers), *legend, *_long_names(drawn), *_notes(found, names)]
    if len(found.pieces) > MOST_PIECES:
        notes.append(f"the first {MOST_PIECES} of {len(found.pieces)} pieces: -o jsonl has them")
    return Document(blocks, notes)


def _of(answer: Answer, pats: Sequence[MemType]) -> Answer:
    """An answer for those PAT types that are drawn."""
    return answer._replace(effective=tuple((pat, kind) for pat, kind in answer.effective if pat in pats))


def _kernel_layers(
    found: AddressMap, shown: Sequence[Piece], at: int, label: str, pats: Sequence[MemType]
) -> Iterator[BarLayer]:
    view = found.views[at]
    if len(found.views) > 1:
        yield BarLayer(label, ())
    if view.asked:
        yield _layer("MTRR KVM", shown, lambda piece: _named(piece.sides[at].mtrr.kvm, UNKNOWN))
    if all(piece.slot is None for piece in shown):
        return
    if view.kernel.npt is not None:
        yield _layer("host MTRR", shown, lambda piece: _host_mtrr(piece.sides[at].answer))
    yield _layer(entry_columns(view.kernel.npt is not None)[1], shown, lambda piece: _entry(piece.sides[at].answer))
    for pat in pats:
        yield _layer(f"PAT {pat}", shown, partial(_effective, at, pat))
    for number, request in enumerate(found.requests):
        asked = request.name if request.name != str(request.asks) else f"asked {request.name}"
        yield _layer(asked, shown, partial(_requested, at, number))
    if at:
        marks = _layer("", shown, lambda piece: (("",), "^", STRONG) if differs(piece, at) else None)
        yield marks._replace(marks=True)


def _layer(
    name: str, pieces: Sequence[Piece], look: Callable[[Piece], tuple[tuple[str, ...], str, str] | None]
) -> BarLayer:
    """A line of bars: neighbours that look the same are one bar, what has no look has no bar."""
    bars = []
    numbered = groupby(enumerate(pieces), key=lambda each: (look(each[1]), each[1].slot if name == "slot" else None))
    for (what, _), group in numbered:
        at = [number for number, _ in group]
        if what is not None:
            bars.append(Bar(at[0], at[-1], *what, most=_NAME if name == "slot" else 0))
    return BarLayer(name, tuple(bars))


_Look = tuple[tuple[str, ...], str, str]


def _slot(piece: Piece) -> _Look | None:
    if piece.slot is None:
        return None
    return (piece.slot.name,), "", ""


def _named(memtype: MemType | None, nameless: str) -> _Look:
    if memtype is None:
        return (nameless, "?"), "?", WARN
    return (str(memtype),), _FILLS[memtype], memtype_tone(memtype)


def _host_mtrr(answer: Answer | None) -> _Look | None:
    kind = mtrr_that_counts(answer) if answer else None
    return None if kind is None else _named(kind, UNKNOWN)


def _entry(answer: Answer | None) -> _Look | None:
    if answer is None:
        return None
    if isinstance(answer.entry, NptEntry):
        kind = answer.entry.memtype
        return (entry_text(answer),), _FILLS[kind], memtype_tone(kind)
    if answer.byte is None:
        return ("?",), "?", WARN
    fill = _FILLS.get(MemType(answer.memtype), "!") if answer.memtype in set(MemType) else "!"
    byte = f"{answer.byte:#04x}"
    words = mask_text(answer.byte)
    return (
        (f"{byte} {words}", f"{byte} {words.replace(', ignore PAT', ' IPAT')}", byte),
        fill,
        memtype_tone(answer.memtype),
    )


def _effective(at: int, pat: MemType, piece: Piece) -> _Look | None:
    answer = piece.sides[at].answer
    if answer is None:
        return None
    kind = dict(answer.effective)[pat]
    if kind is None:
        return ("?",), "?", WARN
    star = "*" if answer.starred(pat) else ""
    fill = _FILLS_NPT[kind] if isinstance(kind, NptType) else _FILLS[kind]
    return (f"{kind}{star}",), fill, memtype_tone(kind)


def _requested(at: int, number: int, piece: Piece) -> _Look | None:
    if not piece.sides[at].requests:
        return None
    answer = piece.sides[at].requests[number]
    if answer.pat is None:
        return ("refused", "no"), "!", WARN
    kind = answer.effective[0][1] if answer.effective else None
    if kind is None:
        return (f"? ({answer.pat})", "?"), "?", WARN
    text = f"{kind}{'*' if answer.starred(answer.pat) else ''}"
    fill = _FILLS_NPT[kind] if isinstance(kind, NptType) else _FILLS[kind]
    return (f"{text} ({answer.pat})", text), fill, memtype_tone(kind)


def _address(address: int) -> str:
    """An address as short as is exact and easily read: 0, 640K, 3G, 0xfee00000."""
    size = format_size(address)
    if (address and size[-1] in "GT") or (address < 1 << 20 and size[-1] in "K"):
        return size
    return hex(address) if address else "0"


def _extra(piece: Piece) -> int:
    """Columns for a slot's size: one for every fourfold of a page."""
    return 0 if piece.slot is None else (piece.end - piece.start).bit_length() // 2 - 6


def _shortened(piece: Piece) -> bool:
    return piece.slot is None and piece.end - piece.start >= _SHORT_FROM


def _legend(
    shown: Sequence[Piece], pats: Sequence[MemType], several: bool, first: str, requests: bool
) -> Iterator[str]:
    yield "not to scale: a slot is a column wider for every fourfold size; /// is a hole of 1G or more, shortened"
    if all(piece.slot is None for piece in shown):
        yield "no memslots: the guest's MTRRs alone"
    starred = any(
        answer.starred(pat)
        for piece in shown
        for side in piece.sides
        for answer in [side.answer]
        if answer is not None
        for pat in (*pats, *(asked.pat for asked in side.requests if asked.pat is not None))
    )
    if starred:
        yield "* undefined in previous editions of the manual, so implementation-defined"
    if requests:
        yield "of a request: the effective type (the PAT type that the guest's kernel chooses)"
    if several:
        yield f"^^^ entry or effective types differ from those of {first}"


def _long_names(drawn: Bars) -> Iterator[str]:
    """The names that the picture may have cut, whole."""
    names = cut_texts(drawn, escape)  # which no other form of a name is longer than
    if names:
        more = f" and {len(names) - _MOST_NAMES} more (-o json has them)" if len(names) > _MOST_NAMES else ""
        yield f"long slot names: {', '.join(names[:_MOST_NAMES])}{more}"


def _notes(found: AddressMap, names: Sides) -> Iterator[str]:
    """What every kernel's notes say once; what only some say, with their names."""
    for note in dict.fromkeys(note for mine in found.notes for note in mine):
        whose = [label for label, mine in zip(names.labels, found.notes, strict=True) if note in mine]
        yield note.text if len(whose) == len(found.notes) else f"{', '.join(whose)}: {note.text}"


def _difference(found: AddressMap, names: Sides) -> str:
    """How much differs, in one sentence a kernel."""
    held = [piece for piece in found.pieces if piece.slot is not None]
    words = []
    for at, label in enumerate(names.labels[1:], start=1):
        apart = [piece for piece in held if differs(piece, at)]
        size = format_size(sum(piece.end - piece.start for piece in apart)) if apart else "nothing"
        words.append(f"{size} of the slots' memory differs between {names.first} and {label}")
    return "; ".join(words)


# Plain data


def map_records(found: AddressMap) -> Iterator[dict[str, Any]]:
    """The pieces as JSON has them: one flat list, rule set by rule set."""
    for at in range(len(found.views)):
        yield from (piece_record(found, piece, at) for piece in found.pieces)


def piece_record(found: AddressMap, piece: Piece, at: int) -> dict[str, Any]:
    """A piece under one kernel."""
    view, side = found.views[at], piece.sides[at]
    answer = side.answer
    said = None if answer is None else answer_record(answer)
    npt = {} if view.kernel.npt is None else {"npt": said and said["npt"]}
    return {
        "rules": view.kernel.rules.name,
        "ref": view.kernel.ref,
        "gpa": hex(piece.start),
        "end": hex(piece.end - 1),
        "slot": None if piece.slot is None else piece.slot.name,
        "kvm": kvm_name(view, side.mtrr.kvm),
        "manual": manual_name(side.mtrr.manual),
        "rule": None if answer is None or answer.rule is None else answer.rule.id,
        "ept": said and said["ept"],
        **npt,
        "effective": said and said["effective"],
        **({"requests": _requests_record(found, side)} if found.requests else {}),
        "differs": differs(piece, at),
    }


def _requests_record(found: AddressMap, side: KernelPiece) -> dict[str, Any] | None:
    """What comes of each request, by its name; None where no slot holds the piece."""
    if not side.requests:
        return None
    records = {
        request.name: answer_record(answer) for request, answer in zip(found.requests, side.requests, strict=True)
    }
    return {name: {key: said[key] for key in _OF_REQUEST} for name, said in records.items()}


_OF_REQUEST = ("pat", "pat_index", "effective")


def map_record(found: AddressMap) -> dict[str, Any]:
    """The whole map."""
    notes = dict.fromkeys(note for mine in found.notes for note in mine)
    return {"pieces": list(map_records(found)), "notes": texts(notes)}


def map_rows(found: AddressMap) -> Iterator[list[str]]:
    """Header and a row a piece; under NPT with a column for what the entry selects."""
    npt = ("npt",) if any(kernel.npt for kernel in found.kernels) else ()
    header = ("rules", "gpa", "end", "slot", "kvm", "manual", "rule", "mask", *map(str, PAT_TYPES), "ref", "differs")
    asked = [request.name for request in found.requests]
    yield [*header, *npt, *(f"{name}:{key}" for name in asked for key in ("pat", "effective"))]
    for record in map_records(found):
        effective = record["effective"] or {}
        entry = record.get("npt")
        yield [
            *(record[key] or "" for key in header[:7]),
            record["ept"]["mask"] if record["ept"] else "",
            *(effective.get(str(pat)) or "" for pat in PAT_TYPES),
            record["ref"],
            "yes" if record["differs"] else "no",
            *([f"{entry['index']}:{entry['memtype']}" if entry else ""] if npt else []),
            *(
                (record["requests"] or {}).get(name, {}).get(key) or ""
                for name in asked
                for key in ("pat", "effective")
            ),
        ]
