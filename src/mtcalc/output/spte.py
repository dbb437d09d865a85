# SPDX-License-Identifier: GPL-2.0-only
"""SPTEs in words: what every release that can have written one agrees on, then where they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mtcalc.kvm.spte import EraReading, Gfn, Reading, Spte, SpteKind
from mtcalc.output.document import WARN, Block, Cell, Content, Document, Fields, grouped_notes, memtype_tone, texts
from mtcalc.x86.ept import LEVEL_NAMES, ept_mask
from mtcalc.x86.memtype import MemType, memtype_name
from mtcalc.x86.pat import LINUX_PAT

HOST_PAT = LINUX_PAT
"""The host's PAT: of entry 0, which KVM's entries select, every Linux says WB."""

_NARROWEST = 36
"""Physical address bits that every CPU with EPT has."""


def _byte(reading: Reading) -> str:
    if reading.memtype is None or reading.ipat is None:
        return ""
    byte = ept_mask(MemType.UC, reading.ipat) | reading.memtype << 3
    return f"{byte:#04x}  {memtype_name(reading.memtype)}, IPAT {int(reading.ipat)}"


def _gfn_words(gfns: Sequence[Gfn]) -> str:
    plain = [hex(found.gfn) for found in gfns if not found.width]
    widths: dict[int, list[str]] = {}
    for found in gfns:
        if found.width:
            widths.setdefault(found.gfn, []).append(str(found.width))
    moved = [f"{gfn:#x} if the host's {' or '.join(bits)} bits have the L1TF mask" for gfn, bits in widths.items()]
    return ", or ".join([*plain, *moved])


def _state_words(reading: Reading) -> str:
    return ", ".join(f"{name} (bit {bit})" for name, bit in reading.state)


def _saved_words(reading: Reading) -> str:
    if reading.saved is None:
        return ""
    return f"saved {reading.saved or 'nothing'}; memory type and IPAT stay valid"


def _generation_words(reading: Reading) -> str:
    return "" if reading.generation is None else hex(reading.generation)


def _differing(spte: Spte, words: Callable[[Reading], str]) -> str:
    """The words of all readings: once where they agree, else each behind its releases. '' where there are none."""
    texts: dict[str, list[str]] = {}
    for era, reading in spte.readings:
        text = words(reading)
        if text:
            texts.setdefault(text, []).append(era)
    sharing = [found for found in spte.readings if not (spte.undecided and found.reading.kind is SpteKind.NOT_EPT)]
    if len(texts) == 1 and len(sharing) <= sum(map(len, texts.values())):
        return next(iter(texts))
    return "; ".join(f"{text} ({', '.join(eras)})" for text, eras in texts.items())


def _kind_words(spte: Spte) -> str:
    if spte.kind is SpteKind.NOT_EPT and spte.fits:
        return f"not an EPT entry of {spte.era}: no memory type in it"
    return spte.kind.value if spte.kind is not None else _differing(spte, lambda reading: reading.kind.value)


def _level_words(levels: Sequence[int]) -> str:
    if len(levels) > 2 and levels[-1] - levels[0] == len(levels) - 1:
        return f"{levels[0]} to {levels[-1]}"
    return " or ".join(map(str, levels))


def _maps(spte: Spte) -> str:
    sizes = [LEVEL_NAMES[level] for level in spte.levels or (spte.level,) if level in LEVEL_NAMES]

    def words(reading: Reading) -> str:
        if reading.kind is not SpteKind.LEAF or reading.address is None:
            return ""
        bits = reading.address.bit_length()
        need = f" (maxphyaddr {bits} or more)" if bits > _NARROWEST else ""
        return f"{' or '.join(sizes)} at {reading.address:#x}{need}"

    return _differing(spte, words)


def _next_table(reading: Reading) -> str:
    return hex(reading.address) if reading.kind is SpteKind.TABLE and reading.address is not None else ""


def _fields(spte: Spte) -> list[tuple[str, Content]]:
    fields: list[tuple[str, Content]] = [("kind", _kind_words(spte))]
    if spte.era:
        fields.append(("KVM of", spte.era))

    def add(name: str, text: str, tone: str = "") -> None:
        if text:
            fields.append((name, Cell(text, tone) if tone else text))

    if spte.undecided:
        add("but", f"nothing in it tells EPT from NPT or shadow paging of {spte.pte_era}; only EPT has a memory type")
    else:
        add("told by", _differing(spte, lambda reading: reading.sign))
    if spte.npt_index is not None:
        kind = HOST_PAT.entries[spte.npt_index]
        add("nested type", f"{kind}: entry {spte.npt_index} of the host's PAT", memtype_tone(kind))
    add("EPT byte", _differing(spte, _byte), memtype_tone(spte.readings[0].reading.memtype))
    add("maps", _maps(spte))
    add("next table", _differing(spte, _next_table))
    add("gfn", _differing(spte, lambda reading: _gfn_words(reading.gfns)))
    add("generation", _differing(spte, _generation_words))
    add("access-tracked", _differing(spte, _saved_words))
    add("flags", _differing(spte, lambda reading: ", ".join(reading.flags)))
    add("KVM's state", _differing(spte, _state_words))
    add("other bits", _differing(spte, lambda reading: hex(reading.other) if reading.other else ""))
    for wrong in _common(spte, lambda reading: reading.misconfigurations):
        add("misconfigured", wrong, WARN)
    for odd in _odd(spte):
        add("odd", f"KVM of {spte.era} writes no such entry: {odd}", WARN)
    add("fits", f"KVM of {spte.fits}" if spte.fits else "")
    add("fits", f"NPT or shadow paging of {spte.pte_fits}" if spte.pte_fits else "")
    for other in spte.others:
        words = [_kind_words(other), _differing(other, _byte), _maps(other), _differing(other, _next_table)]
        add(f"at level {_level_words(other.levels)}", ", ".join(filter(None, words)))
    return fields


def _odd(spte: Spte) -> Sequence[str]:
    first = spte.readings[0].reading
    if spte.release is None or first.kind is SpteKind.NOT_EPT:
        return ()
    return [words for words in first.odd if words not in first.misconfigurations]


def _common(spte: Spte, names: Callable[[Reading], Sequence[str]]) -> list[str]:
    """What all readings have of a list."""
    first, *rest = (names(found.reading) for found in spte.readings)
    return [name for name in first if all(name in other for other in rest)]


def spte_document(sptes: Sequence[Spte]) -> Document:
    """Each entry with what it says."""
    blocks: list[Block] = [
        Fields(_fields(spte), title=f"{spte.value:#x} at level {_level_words(spte.levels or (spte.level,))}")
        for spte in sptes
    ]
    many = len(sptes) > 1
    said = [(hex(spte.value), note) for spte in sptes for note in spte.notes]
    common = {note for _, note in said if all(note in spte.notes for spte in sptes)}
    return Document(blocks, grouped_notes(("" if note in common or not many else whose, note) for whose, note in said))


def _reading_record(spte: Spte, era: str, reading: Reading) -> dict[str, Any]:
    alone = spte._replace(readings=(EraReading(era, reading),), era=era)
    return {key: value for key, value in _record(alone).items() if key not in ("value", "ignored_bits", "notes")}


def _ept_record(spte: Spte) -> dict[str, Any]:
    return {
        "memtype": None if spte.memtype is None else memtype_name(spte.memtype),
        "ipat": int(bool(spte.ipat)),
        "mask": f"{spte.value & 0x78:#04x}",
    }


def _npt_record(index: int | None) -> dict[str, Any] | None:
    return None if index is None else {"index": index, "memtype": str(HOST_PAT.entries[index])}


def _record(spte: Spte) -> dict[str, Any]:
    readings = [found.reading for found in spte.readings]
    gfns = {reading.gfns for reading in readings}
    agreed = gfns.pop() if len(gfns) == 1 else ()
    generations = {reading.generation for reading in readings}
    generation = generations.pop() if len(generations) == 1 else None
    typed = spte.memtype is not None and spte.ipat is not None
    saved = {reading.saved for reading in readings}
    other = 0xFFFF_FFFF_FFFF_FFFF
    for reading in readings:
        other &= reading.other
    return {
        "value": hex(spte.value),
        "level": spte.level,
        "levels": list(spte.levels or (spte.level,)),
        "kind": spte.kind.name.lower() if spte.kind else None,
        "text": _kind_words(spte),
        "era": spte.era or None,
        "memtype": memtype_name(spte.memtype) if spte.memtype is not None else None,
        "ipat": int(spte.ipat) if spte.ipat is not None else None,
        "mask": f"{spte.value & 0x78:#04x}" if typed else None,
        "address": hex(spte.address) if spte.address is not None else None,
        "gfn": hex(agreed[0].gfn) if len({found.gfn for found in agreed}) == 1 else None,
        "gfns": [{"gfn": hex(found.gfn), "l1tf_width": found.width or None} for found in agreed],
        "generation": hex(generation) if generation is not None else None,
        "flags": _common(spte, lambda reading: reading.flags),
        "kvm_state": _common(spte, lambda reading: [name for name, _ in reading.state]),
        "kvm_bits": dict(readings[0].state) if len({reading.state for reading in readings}) == 1 else {},
        "access_tracked": spte.access_tracked,
        "vendor": "amd" if spte.npt else "intel",
        "ept": _ept_record(spte) if typed else None,
        "npt": _npt_record(spte.npt_index),
        "saved": saved.pop() if len(saved) == 1 else None,
        "undecided": spte.undecided,
        "npt_era": spte.pte_era or None,
        "sign": readings[0].sign or None if len(readings) == 1 else None,
        "odd": list(_odd(spte)),
        "misconfigurations": _common(spte, lambda reading: reading.misconfigurations),
        "ignored_bits": hex(spte.entry.ignored),
        "other_bits": hex(other),
        "fits": spte.fits or None,
        "npt_fits": spte.pte_fits or None,
        "notes": texts(spte.notes),
    }


def spte_record(spte: Spte) -> dict[str, Any]:
    """One entry as plain data; null where something means nothing, or where the releases that fit differ."""
    several = spte.readings if len(spte.readings) > 1 else ()
    return {
        **_record(spte),
        "readings": [_reading_record(spte, era, reading) for era, reading in several],
        "other_levels": [_record(other) for other in spte.others],
    }


def spte_header() -> list[str]:
    """The columns of spte_row()."""
    return ["value", "level", "kind", "memtype", "ipat", "mask", "address", "misconfigurations", "era", "gfn"]


def spte_row(spte: Spte) -> list[str]:
    """One entry as a row; kind 'undecided' where the releases that fit differ."""
    record = _record(spte)
    record["kind"] = record["kind"] or "undecided"
    if record["npt"]:
        record["memtype"] = record["npt"]["memtype"]
    record["misconfigurations"] = "; ".join(record["misconfigurations"])
    return ["" if record[key] is None else str(record[key]) for key in spte_header()]


def spte_rows(sptes: Sequence[Spte]) -> Iterator[list[str]]:
    """Header and a row an entry."""
    yield spte_header()
    for spte in sptes:
        yield spte_row(spte)
