# SPDX-License-Identifier: GPL-2.0-only
"""A dump where a command takes a scenario: what it holds, with the assumptions as notes."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING

from mtcalc.importers.convert import convert, remark_text
from mtcalc.importers.lines import DumpLines
from mtcalc.importers.recognise import NothingFound, read_lines
from mtcalc.importers.told import Given
from mtcalc.kvm.notes import Note
from mtcalc.scenario.foreign import Foreign
from mtcalc.scenario.schema import ScenarioKeys
from mtcalc.text.errors import InputError

if TYPE_CHECKING:
    from mtcalc.scenario.record import Scenario

_PACKED = (b"\x1f\x8b", b"\xfd7zXZ")
_KEYS = re.compile(rb"^(?:%b):" % "|".join(ScenarioKeys.fields).encode(), re.MULTILINE)
_OPTION = re.compile(r" \(--[^()]*\)$")
_OF_MTRRS = ("dump", "mtrr", "width")
_OF_ALL = (*_OF_MTRRS, "pat", "dma")
MAKE = "mtcalc import makes a scenario of it, to which more can be added"


def dump_scenario(data: bytes, file: str, error: InputError, need_slots: bool, need_mtrrs: bool) -> Scenario:
    """The scenario that a dump tells. Raises `error`, why it is no scenario, where it is no dump either.

    Raises InputError as well where the dump lacks what the question needs: it names `mtcalc import`.
    """
    if not isinstance(error, Foreign) and not _may_be_dump(data):
        raise error
    try:
        dumps = read_lines(DumpLines(BytesIO(data), file))
    except NothingFound:
        raise error from None
    imported = convert(dumps, Given(assume=True))
    scenario = imported.scenario
    name = dumps[0].format
    if need_slots and not scenario.slots:
        what = f"this is {name}, in which no memory slots are"
        raise InputError(f"{what} (mtcalc import {file} MTREE: with info mtree -f of the same VM)", dumps[0].place)
    if imported.machine.mtrrs is None and (need_mtrrs or not scenario.slots):
        what = f"this is {name}, in which no MTRRs are"
        raise InputError(
            f"{what} (mtcalc import {file} DMESG: with a dump of the same VM that has them)", dumps[0].place
        )
    remarks = [(remark.about, _OPTION.sub("", remark_text(remark))) for remark in imported.machine.remarks]
    head = f"{name}, not a scenario: {MAKE}"
    said = [text for about, text in remarks if about in (_OF_MTRRS if need_mtrrs else _OF_ALL)]
    return scenario._replace(
        file=file,
        slot_places=tuple(fact.place for fact, _ in imported.machine.slots),
        mtrr_place=imported.machine.mtrrs and imported.machine.mtrrs.place,
        notes=(*(Note("dump", text) for text in (head, *said)), *scenario.notes),
    )


def _may_be_dump(data: bytes) -> bool:
    """Whether what is no scenario may be a dump: packed, or without a key of a scenario at the start of a line."""
    return data.startswith(_PACKED) or (b"\0" not in data and not _KEYS.search(data))
