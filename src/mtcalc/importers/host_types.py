# SPDX-License-Identifier: GPL-2.0-only
"""A host's pat_memtype_list: the type that the host's tracking gives to what is behind a slot.

The list has the host's physical addresses, of which neither a list of slots nor a log of calls knows: the user says
where in the host's memory a slot begins (of a device's BAR lspci -v does). What is in the list is none of the host's
RAM, whose types are kept elsewhere. Source: arch/x86/mm/pat/memtype.c, memtype_reserve().
"""

from __future__ import annotations

from collections.abc import Sequence

from mtcalc.importers import pat_memtype
from mtcalc.importers.dump import Dump, ImportRemark, PageFact, SlotFact
from mtcalc.importers.told import Given, at_place
from mtcalc.text.errors import InputError
from mtcalc.text.numbers import parse_address
from mtcalc.x86.mtrr import PAGE

Named = tuple[SlotFact, str | None]

RIGHT = "--hpa SLOT=ADDRESS: where in the host's memory the slot begins, for its host_type; or a guest's list"


def with_host_types(
    dumps: Sequence[Dump], given: Given, slots: tuple[Named, ...], remarks: list[ImportRemark]
) -> tuple[Named, ...]:
    """The slots, those of --hpa with what the host's list tells of them.

    Raises InputError: a list without --hpa, --hpa without a list or of no slot, and rows that differ in one slot.
    """
    rows = [page for dump in dumps if dump.format == pat_memtype.NAME for page in dump.pages]
    if not given.host or not rows:
        if given.hpa:
            raise InputError("--hpa: no host's pat_memtype_list is there (the list as a FILE, with --whose host)")
        return slots
    if not given.hpa:
        raise InputError(f"a host's list has the host's own addresses, which no slot tells ({RIGHT})", rows[0].place)
    found = list(slots)
    for word, address in given.hpa:
        index = _index(word, slots)
        fact, name = found[index]
        found[index] = (_typed(fact, name or f"slot at {fact.gpa:#x}", address, rows, remarks), name)
    return tuple(found)


def _index(word: str, slots: tuple[Named, ...]) -> int:
    """Which slot is named, by its name or by its guest-physical address."""
    by_name = [index for index, (_, name) in enumerate(slots) if name == word]
    if by_name:
        return by_name[0]
    try:
        gpa = parse_address(word)
    except ValueError:
        gpa = -1
    by_address = [index for index, (fact, _) in enumerate(slots) if fact.gpa == gpa and not fact.address_space]
    if by_address:
        return by_address[0]
    names = ", ".join(name or f"{fact.gpa:#x}" for fact, name in slots[:8]) or "there is none"
    raise InputError(f"--hpa: '{word}' is no slot, by name or guest-physical address ({names})")


def _typed(fact: SlotFact, name: str, address: int, rows: Sequence[PageFact], remarks: list[ImportRemark]) -> SlotFact:
    over = [row for row in rows if row.gpa < address + fact.size and address < row.gpa + row.size]
    where = f"{name} at {address:#x}-{address + fact.size - 1:#x} of the host"
    if not over:
        what = f"{where}: in no row of the host's list; host_type left as it is"
        remarks.append(ImportRemark(what, rows[0].place))
        return fact
    for row in over[1:]:
        if row.pat is not over[0].pat:
            what = f"{where} is {over[0].pat} by {at_place(over[0].place)}, and {row.pat} here"
            raise InputError(f"{what} (one type a slot: the slot has to be split in the scenario)", row.place)
    covered = sum(min(row.gpa + row.size, address + fact.size) - max(row.gpa, address) for row in over)
    if covered < fact.size:
        pages = (fact.size - covered) // PAGE
        what = f"{where}: {pages} of its pages are in no row of the host's list; taken as the others"
        remarks.append(ImportRemark(what, over[0].place))
    if not fact.mmio:
        what = f"{where}: listed, so none of the host's RAM; taken as reserved pages with struct pages"
        remarks.append(ImportRemark(what, over[0].place))
    return fact._replace(host_type=over[0].pat, host_place=over[0].place)
