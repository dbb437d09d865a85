# SPDX-License-Identifier: GPL-2.0-only
"""Pages of a VM whose PAT types a Linux guest's kernel chooses: what its slots and MTRRs make of requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias, Union

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.requests import choice_notes, with_choice
from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.kvm.notes import Note
from mtcalc.kvm.points import Expect, Page
from mtcalc.kvm.release import newest
from mtcalc.kvm.slots import PAGE, rest_of_page
from mtcalc.kvm.versions import VmType
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.linux.choice import ISA_END, ISA_START, Choice, Where, choose
from mtcalc.linux.conflicts import Mapping, Mappings, kept, meet
from mtcalc.linux.functions import FUNCTIONS, TYPES, Request, Way, parse_request
from mtcalc.linux.mtrrs import FOUR_GIGABYTES, seen_type
from mtcalc.linux.pat import ERRATA, GuestLinux, guest_pat, own_pat
from mtcalc.rules.kernel import version_text
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import ONE_MEGABYTE

Point: TypeAlias = Union[Page, Expect]

_ROM = SLOT_FLAGS["READONLY"]


def guest_of(vm: Vm) -> GuestLinux:
    """The VM's guest; the newest Linux known where nobody named one, and then a note of guest_notes() says so."""
    release = newest() if vm.guest_release is None else vm.guest_release
    return GuestLinux(release, vm.cpuid_mtrr, vm.mtrrs.enabled, vm.nopat, vm.pat, vm.type)


def guest_notes(vm: Vm) -> Iterator[Note]:
    """What there is to say of the guest's kernel, whatever it is asked for."""
    guest = guest_of(vm)
    if vm.guest_release is None:
        text = f"no guest kernel is named: taken as {version_text(guest.release)}, the newest known"
        yield Note("guest-kernel", text)
    elif guest_pat(guest).written and vm.pat not in (own_pat(guest), ERRATA):
        text = f"guest.pat is taken as it is, though {guest.name} programs {own_pat(guest).value:#018x}"
        yield Note("guest-kernel", text)


def is_ram(slot: Slot) -> bool:
    """Whether a guest has a slot among its RAM: neither a device's memory nor read-only, and seen outside SMM."""
    return not (slot.device or slot.flags & _ROM or slot.address_space)


def where_of(evaluator: Evaluator, gpa: int, size: int, guest: GuestLinux) -> Where:
    """What the guest has at [gpa, gpa + size) in bytes, in whole pages."""
    vm = evaluator.vm
    start, end = gpa & -PAGE, -(-(gpa + size) // PAGE) * PAGE
    slots = [slot for slot in evaluator.slots_between(start, end) if is_ram(slot)]
    parts = [(low, high) for slot in slots for low, high in _outside_isa(max(start, slot.gpa), min(end, slot.end))]
    ram = sum(high - low for low, high in parts)
    return Where(
        seen_type(vm.mtrrs, guest, start, end, _low_ram_end(evaluator, guest)),
        ram=bool(parts),
        all_ram=ram == end - start,
        tracked_as_ram=any(high > ONE_MEGABYTE for _, high in parts),
        first_ram=start >= ONE_MEGABYTE and any(low <= start < high for low, high in parts),
        isa=start >= ISA_START and end <= ISA_END,
    )


def choose_for_device(vm: Vm, request: Request, start: int, end: int, low_ram_end: int) -> Choice:
    """What the guest's kernel makes of a request for all of [start, end) in bytes, where no RAM of the guest's is.

    `low_ram_end` as low_ram_end() has it.
    """
    guest = guest_of(vm)
    seen = seen_type(vm.mtrrs, guest, start, end, low_ram_end)
    return choose(request, guest, Where(seen, isa=start >= ISA_START and end <= ISA_END))


def low_ram_end(evaluator: Evaluator) -> int:
    """_low_ram_end() of the VM's guest, in bytes."""
    return _low_ram_end(evaluator, guest_of(evaluator.vm))


def _low_ram_end(evaluator: Evaluator, guest: GuestLinux) -> int:
    """Where RAM below 4G ends, which only a guest that forces its view of the MTRRs asks."""
    if guest.kind is VmType.NORMAL:
        return 0
    low = (slot for slot in evaluator.slots_between(0, FOUR_GIGABYTES) if is_ram(slot))
    return max((min(slot.end, FOUR_GIGABYTES) for slot in low), default=0)


def choice_edges(evaluator: Evaluator) -> tuple[int, ...]:
    """Addresses in bytes where a guest's kernel answers another way, besides the edges of slots and MTRRs."""
    low = _low_ram_end(evaluator, guest_of(evaluator.vm))
    return (ISA_START, ISA_END, *((low, FOUR_GIGABYTES) if low else ()))


def _outside_isa(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of [start, end) that are not in the ISA window."""
    for low, high in ((start, min(end, ISA_START)), (max(start, ISA_END), end)):
        if low < high:
            yield low, high


def request_page(
    evaluator: Evaluator,
    gpa: int,
    request: Request,
    size: int | None = None,
    before: Sequence[Mapping] = (),
    private: bool | None = None,
) -> tuple[Answer, Choice]:
    """The answer for the page at `gpa` (bytes), of a request for `size` bytes from there, and the choice behind it.

    `size` None: for that page alone. `before`: other mappings, of which notes say what they would do to this one;
    `private` as Evaluator.page() has it.
    Raises ValueError as that does.
    """
    guest = guest_of(evaluator.vm)
    size = rest_of_page(gpa) if size is None else size
    choice = choose(request, guest, where_of(evaluator, gpa, size, guest))
    found = evaluator.page(gpa, choice.memtype, private, choice.entry)
    if choice.memtype is None:
        notes = tuple(note for note in found.notes if note.code not in ("starred", "npt-index"))
        found = found._replace(effective=(), notes=notes)
    more = [*guest_notes(evaluator.vm), *_ram_notes(choice), *_met_notes(choice, gpa, size, before)]
    return with_choice(found, choice, more), choice


def _ram_notes(choice: Choice) -> Iterator[Note]:
    if not choice.where.ram or choice.request.way is Way.CHANGE:
        return
    device = choose(choice.request, choice.guest, Where(choice.where.seen, isa=choice.where.isa))
    # Slots over which firmware says UC are BARs as a rule: what is asked of such a one is another answer.
    other = choice.memtype is not None and device.memtype not in (None, choice.memtype)
    then = f", and the PAT type {device.memtype}" if other else ""
    yield Note("request-ram", f"taken as the guest's RAM (device: true makes a slot a device's memory{then})")


def _met_notes(choice: Choice, gpa: int, size: int, before: Sequence[Mapping]) -> Iterator[Note]:
    met = meet(choice, gpa & -PAGE, -(-(gpa + size) // PAGE) * PAGE, before)
    if met is None:
        return
    found = f"{met.other.what} has {met.other.kind}"
    if met.takes is None:
        yield Note("request-conflict", f"{found}: if that is mapped first, this is refused ({met.error})")
    else:
        memtype = choice.pat.register.entries[choice.pat.entries[met.takes]]
        yield Note("request-conflict", f"{found}: if that is mapped first, this gets {memtype} too")


def request_answer(evaluator: Evaluator, point: Point) -> Answer:
    """The answer to a point's request alone, whatever else is mapped. Raises ValueError for a point without one."""
    if point.request is None:
        raise ValueError(f"no request at {point.gpa:#x}")
    request = parse_request(point.request)
    return request_page(evaluator, point.gpa, request, point.size, (), point.private)[0]


def point_answers(evaluator: Evaluator, points: Sequence[Point]) -> Iterator[Answer]:
    """The answers for a scenario's pages, in order: requests too, each with what those before it do to it."""
    before = Mappings()
    for point in points:
        if point.request is None:
            yield with_type_note(evaluator, evaluator.page(point.gpa, point.pat, point.private, point.pat_index))
            continue
        start, end = point.gpa & -PAGE, -(-(point.gpa + point.size) // PAGE) * PAGE
        request, around = parse_request(point.request), before.around(start, end)
        answer, choice = request_page(evaluator, point.gpa, request, point.size, around, point.private)
        what = f"the request for {request.name} on line {point.place.line}"
        mapping = kept(choice, start, end, meet(choice, start, end, around), what)
        if mapping is not None:
            before.add(mapping)
        yield answer


def page_answer(
    evaluator: Evaluator,
    gpa: int,
    pat: MemType | None = None,
    index: int | None = None,
    request: Request | None = None,
) -> Answer:
    """The answer for the page at `gpa` (bytes): to a request, or for a PAT type, which the guest may never choose.

    `index` as Evaluator.page() has it. Raises ValueError as that does.
    """
    if request is not None:
        return request_page(evaluator, gpa, request)[0]
    return with_type_note(evaluator, evaluator.page(gpa, pat, index=index))


def choice_segments(evaluator: Evaluator) -> list[int] | None:
    """Starts of the segments over which a guest's kernel chooses the same for a page, ascending from 0.

    None as of Evaluator.segments().
    """
    starts = evaluator.segments(by_the_manual=True)
    if starts is None:
        return None
    limit = 1 << evaluator.vm.maxphyaddr
    return sorted({*starts, *(edge for edge in choice_edges(evaluator) if edge < limit)})


def with_type_note(evaluator: Evaluator, answer: Answer) -> Answer:
    """An answer for a PAT type, with a note where the guest's kernel, if it is named, could not have chosen that."""
    vm = evaluator.vm
    if vm.guest_release is None or answer.gpa is None or answer.pat is None or not vm.paging:
        return answer
    guest = guest_of(vm)
    where = where_of(evaluator, answer.gpa, rest_of_page(answer.gpa), guest)
    choices = [choose(request, guest, where) for request in (*TYPES, *FUNCTIONS)]
    if where.ram:
        choices += [choose(request, guest, where) for request in _changes()]
    if any(choice.memtype is answer.pat for choice in choices):
        return answer
    asked = next(choice for choice in choices if choice.request.asks is answer.pat)
    if asked.memtype is None:
        what = f"a request for {asked.request.asks} is refused: {asked.refusal}"
    else:
        why = " and ".join(note.text.removeprefix(f"{guest.name}: ") for note in choice_notes(asked))
        what = f"asked for it, it takes {asked.memtype}: {why}"
    text = f"{guest.name} would not choose PAT {answer.pat} here; {what}"
    return answer._replace(notes=(*answer.notes, Note("not-chosen", text)))


def _changes() -> Iterator[Request]:
    """set_memory_*() of every type, which is how RAM comes by another than WB."""
    for request in TYPES:
        yield request._replace(way=Way.CHANGE)
