# SPDX-License-Identifier: GPL-2.0-only
"""From what a driver of a Linux guest asks for to what it gets: the guest's choice of a PAT type, then the entry.

A what-if asks for memory that is not the guest's RAM; a page of a VM is what its slot says.
"""

from __future__ import annotations

from collections.abc import Sequence

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.lookup import latest_summary, lookup
from mtcalc.kvm.notes import Note
from mtcalc.linux.choice import Choice, Where, choose
from mtcalc.linux.functions import TYPES, Request
from mtcalc.linux.mtrrs import given_type
from mtcalc.linux.pat import GuestLinux
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, version_text
from mtcalc.x86.memtype import MemType


def guest_label(guest: GuestLinux) -> str:
    """'linux-6.8', as scenarios name it."""
    return f"linux-{version_text(guest.release)}"


def what_if_choice(request: Request, guest: GuestLinux, facts: Facts) -> Choice:
    """What a guest's kernel makes of a request for memory that is not its RAM, of the guest MTRR type in `facts`."""
    memtype = MemType.WB if facts.guest_mtrr is None else facts.guest_mtrr
    return choose(request, guest, Where(given_type(memtype)))


def choice_notes(choice: Choice) -> tuple[Note, ...]:
    """What there is to say of a choice that is not simply the type asked for."""
    name = choice.guest.name
    if choice.entry is None:
        whose = "" if choice.refusal.startswith(name) else f"{name}: "
        return (Note("request-refused", f"{whose}{choice.refusal}"),)
    notes = []
    asks = choice.request.asks
    if choice.kind is not asks:
        notes.append(Note("request-changed", f"{name}: {choice.why}"))
    if choice.memtype is not choice.kind:
        why = f" ({choice.pat.why})" if choice.pat.why else ""
        text = f"{name}: {choice.kind} takes PAT entry {choice.entry}, which holds {choice.memtype} here{why}"
        notes.append(Note("request-entry", text))
    return tuple(notes)


def with_choice(answer: Answer, choice: Choice, notes: Sequence[Note] = ()) -> Answer:
    """An answer for the PAT type that was chosen, saying whose choice it is."""
    return answer._replace(
        request=choice.request.name,
        pat_index=choice.entry,
        guest=guest_label(choice.guest),
        notes=tuple(dict.fromkeys((*answer.notes, *notes, *choice_notes(choice)))),
    )


NOT_RAM = Note(
    "request-not-ram", "taken as memory that is not the guest's RAM, which its kernel maps WB (a scenario's slots say)"
)


def lookup_request(
    kernel: Kernel, facts: Facts, request: Request, guest: GuestLinux, notes: Sequence[Note] = (), latest: bool = True
) -> Answer:
    """The answer to a what-if without addresses, for what a guest's kernel makes of a request.

    The memory is not the guest's RAM, which a note says. `notes`: what there is to say of the guest; `latest` as in
    lookup(), without which the answer is one of many, and neither note is made.
    Raises UnknownInput as lookup() does.
    """
    choice = what_if_choice(request, guest, facts)
    pats = () if choice.memtype is None else (choice.memtype,)
    answer = lookup(kernel, facts, pats, beside_latest=latest, guest_pat=choice.pat.register)
    return with_choice(answer, choice, (*notes, NOT_RAM) if latest else notes)


def request_matrix(
    kernel: Kernel,
    facts: Facts,
    requests: Sequence[Request],
    mtrrs: Sequence[MemType],
    guest: GuestLinux,
    notes: Sequence[Note] = (),
) -> tuple[Answer, ...]:
    """An answer a request and guest MTRR type, request by request. Raises UnknownInput as lookup() does."""
    rows = [
        lookup_request(kernel, facts._replace(guest_mtrr=kind), request, guest, notes, latest=False)
        for request in requests or TYPES
        for kind in mtrrs
    ]
    more = latest_summary(kernel, rows)
    return tuple(answer._replace(notes=(*answer.notes, *more)) for answer in rows)
