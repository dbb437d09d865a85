# SPDX-License-Identifier: GPL-2.0-only
"""From the checked keys of a scenario to its records, with the checks that concern several keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from mtcalc.kvm.host_mmio import RAM
from mtcalc.kvm.notes import Note
from mtcalc.kvm.points import Expect, ExpectHazard, Page
from mtcalc.kvm.slots import check_slots, rest_of_page
from mtcalc.kvm.versions import Vendor, VmType
from mtcalc.kvm.vm import Slot, Vm, reset_free_mtrrs
from mtcalc.rules.inputs import KINDS
from mtcalc.scenario.places import Path, Problems, key_place, value_place
from mtcalc.scenario.record import Scenario
from mtcalc.scenario.registers import GuestMtrrs, read_mtrrs
from mtcalc.scenario.schema import ExpectKeys, GuestKeys, HostKeys, PageKeys, ScenarioKeys, SlotKeys, VmKeys
from mtcalc.text.errors import Place
from mtcalc.text.suggest import did_you_mean
from mtcalc.text.yaml import Node
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import MSR_DEF_TYPE, MSR_VARIABLE, Mtrrs, parse_register, register_name, width_of_mask
from mtcalc.x86.pat import Pat, check_without_paging, decode_pte

ASKED = ("effective", "ept", "memtype", "ipat", "level", "guest_mtrr", "rule")
"""What an expect entry can name besides its page."""

HAZARD_ASKED = ("hazard", "no_hazard")
"""The hazards it can name, beside or instead."""

_OF_HAZARDS = {*HAZARD_ASKED, "gpa", "slot"}


def _plain_inputs(*sections: VmKeys | HostKeys) -> dict[str, Any]:
    """The inputs of rules that sections have under their names in Facts, and in Vm."""
    return {
        kind.field: getattr(section, kind.field)
        for section in sections
        for kind in KINDS.values()
        if not kind.bits and kind.field in section.fields
    }


def build(keys: ScenarioKeys, root: Node, file: str) -> Scenario:
    """The records. Raises InputError for the first thing in the text that is wrong."""
    problems = Problems()
    host, guest = keys.host, keys.guest
    found = GuestMtrrs(reset_free_mtrrs(guest.maxphyaddr))
    if "mtrr" in guest.given:
        found = read_mtrrs(guest.mtrr, root, guest.maxphyaddr, problems)
    mtrrs = found.mtrrs
    quirks = 0
    for bits in keys.vm.disabled_quirks:
        quirks |= bits
    vm = Vm(
        **_plain_inputs(keys.vm, host),
        disabled_quirks=quirks,
        host_pat=host.pat_enabled,
        host_maxphyaddr=host.maxphyaddr,
        maxphyaddr=guest.maxphyaddr,
        cpuid_mtrr=guest.cpuid_mtrr,
        cr0_cd=guest.cr0.cd,
        paging=guest.cr0.pg,
        pat=guest.pat if guest.kernel is None or "pat" in guest.given else _own_pat(guest, mtrrs, keys.vm.type),
        guest_release=None if guest.kernel is None else guest.kernel.release,
        nopat=guest.nopat,
        mtrrs=mtrrs,
        assume=keys.assume,
        vendor=host.vendor,
        type=keys.vm.type,
    )
    if "nopat" in guest.given and guest.kernel is None:
        problems.add("nopat without kernel (which kernel was booted with it?)", key_place(root, ("guest", "nopat")))
    _check_platform(vm, root, problems)
    places = tuple(value_place(root, ("memslots", index)) for index in range(len(keys.memslots)))
    _check_private(keys, vm, root, problems)
    slots = _slots(keys.memslots, places, root, problems)
    pages = [_page(page, ("pages", index), root, vm, problems) for index, page in enumerate(keys.pages)]
    expects: list[Expect] = []
    expect_hazards: list[ExpectHazard] = []
    for index, entry in enumerate(keys.expect):
        of_hazards = entry.given & {*HAZARD_ASKED, "slot"}
        if of_hazards:
            expect_hazards += _expect_hazards(entry, ("expect", index), root, slots, problems)
        if not of_hazards or entry.given & set(ASKED):
            expects += _expect(entry, ("expect", index), root, vm, problems)
    problems.raise_first()
    return Scenario(
        file=file,
        rules=keys.rules,
        rules_place=None if keys.rules is None else value_place(root, ("rules",)),
        vm=vm,
        slots=tuple(slots),
        slot_places=places,
        pages=tuple(pages),
        expects=tuple(expects),
        vcnt=len(mtrrs.variable),
        notes=_notes(keys, vm, mtrrs),
        mtrr_place=value_place(root, ("guest", "mtrr")) if "mtrr" in guest.given else None,
        vcnt_said=found.said,
        vcnt_unsaid=found.unsaid,
        pat_said="pat" in guest.given,
        expect_hazards=tuple(expect_hazards),
        vmm=keys.vm.vmm,
    )


def _own_pat(guest: GuestKeys, mtrrs: Mtrrs, kind: VmType) -> Pat:
    """The PAT that the guest's kernel programs, or leaves as it is at reset."""
    from mtcalc.linux.pat import GuestLinux, guest_pat

    assert guest.kernel is not None
    own = GuestLinux(guest.kernel.release, guest.cpuid_mtrr, mtrrs.enabled, guest.nopat, kind=kind)
    return guest_pat(own).register


def _check_platform(vm: Vm, root: Node, problems: Problems) -> None:
    """A problem where the host's CPU runs no VM of that type."""
    if vm.vendor is Vendor.INTEL and vm.type is VmType.NORMAL:
        return
    from mtcalc.rules.platform import check_platform

    with problems.at(value_place(root, ("vm", "type"))):
        check_platform(vm.vendor, vm.type)


def _check_private(keys: ScenarioKeys, vm: Vm, root: Node, problems: Problems) -> None:
    """A problem for each slot, page and expectation that is private though the VM can have no such memory."""
    if vm.type is not VmType.NORMAL:
        return
    private: list[Path] = [("memslots", at) for at, slot in enumerate(keys.memslots) if slot.private]
    for name, entries in (("pages", keys.pages), ("expect", keys.expect)):
        private += ((name, at) for at, entry in enumerate(entries) if entry.private)
    for path in private:
        what = "private memory of a VM that has none (vm: {type: td} or {type: snp})"
        problems.add(what, value_place(root, (*path, "private")))


def _slots(keys: Sequence[SlotKeys], places: tuple[Place, ...], root: Node, problems: Problems) -> list[Slot]:
    """The slots, ids and names filled in. A problem for what every KVM refuses and for names that are taken.

    Of two slots with one id the id is the mistake, whatever their names.
    """
    before = len(problems.found)
    where = [_id_and_space(slot, ("memslots", index), root, problems) for index, slot in enumerate(keys)]
    taken: dict[int, set[int]] = {}
    for slot_id, space in where:
        if slot_id is not None:
            taken.setdefault(space, set()).add(slot_id)
    free: dict[int, int] = {}
    owners: dict[str, int] = {}
    slots: list[Slot] = []
    for index, (slot, (slot_id, space)) in enumerate(zip(keys, where, strict=True)):
        if slot_id is None:
            slot_id = free.get(space, 0)
            while slot_id in taken.get(space, ()):
                slot_id += 1
            free[space] = slot_id + 1
        name = slot.name or (f"smm-slot{slot_id}" if space else f"slot{slot_id}")
        owner = owners.setdefault(name, index)
        if owner != index and (slots[owner].id, slots[owner].address_space) != (slot_id, space):
            what = f"name '{name}' is taken by the slot on line {places[owner].line} (a name of its own)"
            problems.add(what, value_place(root, ("memslots", index, "name")))
        flags = 0
        for bits in slot.flags:
            flags |= bits
        backing = slot.backing or RAM
        device = backing.is_device if slot.device is None else slot.device
        slots.append(Slot(slot.gpa, slot.size, name, slot_id, flags, backing, slot.hva, space, device, slot.private))
    if len(problems.found) == before:
        refusal = check_slots(slots)
        if refusal:
            field = refusal.field
            if field == "address_space" and keys[refusal.at].address_space is None:
                field = "id"  # whose upper bits said it
            problems.add(f"{refusal.errno}: {refusal.reason}", value_place(root, ("memslots", refusal.at, field)))
    return slots


def _id_and_space(slot: SlotKeys, path: Path, root: Node, problems: Problems) -> tuple[int | None, int]:
    """(id, address space); the space may stand in the id's upper 16 bits, as in the ioctl."""
    space = slot.address_space or 0
    if slot.id is None:
        return None, space
    if slot.id >> 32:
        problems.add(f"slot id {slot.id:#x} has more than 32 bits (0 to 32763)", value_place(root, (*path, "id")))
    upper = slot.id >> 16 & 0xFFFF
    if upper and slot.address_space not in (None, upper):
        what = f"address space {space} contradicts id {slot.id:#x} (its upper 16 bits say {upper})"
        problems.add(what, value_place(root, (*path, "address_space")))
    return slot.id & 0xFFFF, upper or space


def _page(page: PageKeys, path: Path, root: Node, vm: Vm, problems: Problems) -> Page:
    if page.gpa >> vm.maxphyaddr:
        what = f"guest address {page.gpa:#x} is beyond the guest's maxphyaddr {vm.maxphyaddr}"
        problems.add(f"{what} (at most {(1 << vm.maxphyaddr) - 1:#x})", value_place(root, (*path, "gpa")))
    size = rest_of_page(page.gpa) if page.size is None else page.size
    if page.size is not None and page.request is None:
        problems.add("size without request (the bytes that are asked for)", key_place(root, (*path, "size")))
    beyond = page.gpa + size - 1 >> vm.maxphyaddr and not page.gpa >> vm.maxphyaddr
    if not size or beyond:
        what = f"size {size:#x} is not in the guest's address space (1 to {(1 << vm.maxphyaddr) - page.gpa:#x} bytes)"
        problems.add(what, value_place(root, (*path, "size")))
    pat = _page_pat(page, path, root, vm, problems)
    return Page(page.gpa, pat, value_place(root, path), page.private, _page_index(page), page.request, size)


def _page_index(page: PageKeys) -> int | None:
    """The entry of the guest's PAT that a page was said to select."""
    if page.pte is None:
        return page.pat_index
    with suppress(ValueError):  # a problem already
        return decode_pte(page.pte, page.pte_level or 1).pat_index
    return None


def _page_pat(page: PageKeys, path: Path, root: Node, vm: Vm, problems: Problems) -> MemType | None:
    """The PAT type a page selects; WB where paging is off; None where the file names none."""
    given = sorted(
        (key for key in ("pat", "pat_index", "pte", "request") if key in page.given),
        key=lambda key: key_place(root, (*path, key)),
    )
    if len(given) > 1:
        what = f"{given[1]} and {given[0]} together (one of pat, pat_index, pte and request)"
        problems.add(what, key_place(root, (*path, given[1])))
    if page.pte_level is not None and page.pte is None:
        problems.add("pte_level without pte (the level of that entry)", key_place(root, (*path, "pte_level")))
    pat = page.pat
    if page.pat_index is not None:
        pat = vm.pat.entries[page.pat_index]
    if page.pte is not None:
        with problems.at(value_place(root, (*path, "pte"))):
            pat = vm.pat.entries[decode_pte(page.pte, page.pte_level or 1).pat_index]
    if vm.paging:
        return pat
    if page.request is not None:
        problems.add(
            "request, but cr0.pg is false (then no page table selects a type)", key_place(root, (*path, "request"))
        )
    if pat is not None:
        with problems.at(key_place(root, (*path, given[0]))):
            check_without_paging(pat, given[0], "cr0.pg is false")
    return MemType.WB


def _expect_hazards(
    entry: ExpectKeys, path: Path, root: Node, slots: Sequence[Slot], problems: Problems
) -> Iterator[ExpectHazard]:
    """The hazards that an entry names."""
    names = [slot.name for slot in slots]
    if entry.slot is not None and entry.slot not in names:
        what = f"no slot '{entry.slot}' ({did_you_mean(entry.slot, names[:20])})"
        problems.add(what, value_place(root, (*path, "slot")))
    given = entry.given & set(HAZARD_ASKED)
    for key in sorted(entry.given - _OF_HAZARDS) if not entry.given & set(ASKED) else ():
        problems.add(f"{key} beside a hazard alone (gpa and slot say where)", key_place(root, (*path, key)))
    if not given:
        problems.add("slot without a hazard (hazard or no_hazard names one)", key_place(root, (*path, "slot")))
    for key in HAZARD_ASKED:
        if key in given:
            place = value_place(root, path)
            yield ExpectHazard(getattr(entry, key), key == "hazard", place, entry.gpa, entry.slot)


def _expect(entry: ExpectKeys, path: Path, root: Node, vm: Vm, problems: Problems) -> Iterator[Expect]:
    if entry.gpa is None:
        what = "'gpa' is missing (an expect entry has a gpa)"
        problems.add(what, value_place(root, path))
        return
    page = _page(entry, path, root, vm, problems)
    if not entry.given & set(ASKED):
        problems.add(f"an entry that expects nothing (one of {', '.join(ASKED)})", page.place)
    if entry.effective is not None and page.pat is None and page.request is None:
        what = "effective without a PAT type, on which it depends (pat, pat_index, pte or request)"
        problems.add(what, key_place(root, (*path, "effective")))
    expected = Expect(page.gpa, page.pat, page.place, *(getattr(entry, key) for key in ASKED))
    yield expected._replace(private=page.private, pat_index=page.pat_index, request=page.request, size=page.size)


def _notes(keys: ScenarioKeys, vm: Vm, mtrrs: Mtrrs) -> tuple[Note, ...]:
    """Assumptions that can change an answer."""
    notes = []
    given = keys.guest.mtrr.given
    if "mtrr" not in keys.guest.given:
        if vm.noncoherent_dma and vm.vendor is Vendor.INTEL:
            notes.append(Note("no-mtrr", "no mtrr block: MTRRs are taken as on, default WB, fixed ranges off"))
    elif "msrs" in given and MSR_DEF_TYPE not in map(parse_register, keys.guest.mtrr.msrs):
        notes.append(
            Note("no-def-type", "IA32_MTRR_DEF_TYPE (0x2ff) is not given: 0 as at reset, so the MTRRs are off")
        )
    elif "msrs" not in given and mtrrs.fixed_enabled and not keys.guest.mtrr.fixed:
        notes.append(Note("no-fixed", "fixed ranges are on and none is given: UC under 1M, as at reset"))
    if keys.guest.kernel is not None:
        notes += keys.guest.kernel.notes
    if "maxphyaddr" not in keys.guest.given:
        notes += _width_notes(mtrrs)
    return tuple(notes)


def _width_notes(mtrrs: Mtrrs) -> Iterator[Note]:
    """That the masks were written for another physical address width than the one assumed."""
    for n, pair in enumerate(mtrrs.variable):
        width = width_of_mask(pair.mask) if pair.valid else None
        if width not in (None, mtrrs.maxphyaddr):
            name = register_name(MSR_VARIABLE + 2 * n + 1)
            assumed = f"guest.maxphyaddr is not given: {mtrrs.maxphyaddr} is assumed"
            yield Note("width", f"{assumed}, and the top bit of {name} = {pair.mask:#x} says {width}")
            return
