# SPDX-License-Identifier: GPL-2.0-only
"""The answer to a what-if that names no address, and what the latest release says beside it."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mtcalc.analysis.answer import Answer, EptByte, byte_notes, effective_types
from mtcalc.kvm.flags import SLOT_FLAGS, flag_names
from mtcalc.kvm.notes import Note
from mtcalc.rules import builtin
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, from_the_start, kernel_label, kernel_notes, unknown_inputs
from mtcalc.rules.rule import decide
from mtcalc.x86.ept import mask_text
from mtcalc.x86.memtype import PAT_TYPES, MemType

if TYPE_CHECKING:
    from mtcalc.x86.pat import Pat


def latest_byte(facts: Facts) -> tuple[Kernel, int]:
    """The latest release, and its EPT byte for the same inputs."""
    latest = builtin.latest()
    return latest, decide(latest.rules, from_the_start(latest, facts))[1]


def latest_note(byte: int, facts: Facts, pat: MemType | None, paging: bool = True) -> Note:
    """What the latest release answers to the same inputs, beside the default rule set's byte.

    `pat`: the one PAT type that was asked for.
    """
    latest, other = latest_byte(facts)
    answers = f"{kernel_label(latest)} answers"
    refused = flag_names(facts.slot_flags & ~latest.slot_flags, SLOT_FLAGS)
    if refused:
        answers = f"{kernel_label(latest)} refuses slot flag {', '.join(refused)}; without it, it answers"
    if other == byte:
        return Note("latest", f"{answers} the same byte, {byte:#04x}")
    guest = "" if pat is None else f": effective {effective_types(other, (pat,), paging)[0][1]}"
    return Note("latest", f"{answers} {other:#04x} ({mask_text(other)}), not {byte:#04x}{guest}")


def latest_summary(kernel: Kernel, answers: Iterable[Answer]) -> tuple[Note, ...]:
    """Under the default rule set, a note on how many of several answers the latest release gives otherwise."""
    if not kernel.default:
        return ()
    found = [(answer.byte, *latest_byte(answer.facts)) for answer in answers if answer.facts is not None]
    if not found:
        return ()
    differ = sum(byte != other for byte, _, other in found)
    label = kernel_label(found[0][1])
    if not differ:
        return (Note("latest", f"{label} answers the same bytes"),)
    return (Note("latest", f"{label} has another EPT byte in {differ} of {len(found)} cases (-r latest says which)"),)


def lookup(
    kernel: Kernel,
    facts: Facts,
    pats: Sequence[MemType] = PAT_TYPES,
    paging: bool = True,
    beside_latest: bool = True,
    guest_pat: "Pat | None" = None,
) -> Answer:
    """The answer to a what-if without addresses, for the PAT types asked for.

    `beside_latest`: under the default rule set, a note says what the latest release answers. `guest_pat`: the
    guest's PAT, which matters under NPT before 4.15; None: that of Linux.
    Raises UnknownInput for an assumption that the rules need and `facts` lack.
    """
    facts = from_the_start(kernel, facts)
    if kernel.npt is not None:
        from mtcalc.analysis.npt import lookup_npt

        return lookup_npt(kernel, facts, pats, paging, guest_pat)
    rule, byte = decide(kernel.rules, facts)
    pat = pats[0] if len(pats) == 1 else None
    latest = []
    if kernel.default and beside_latest:
        latest.append(latest_note(byte, facts, pat, paging))
    of_entry = byte_notes(byte, pats, paging, alone=pat is not None)
    notes = (*kernel_notes(kernel), *latest, *unknown_inputs(kernel, facts), *of_entry)
    effective = effective_types(byte, pats, paging)
    return Answer(kernel, None, None, None, None, facts, rule, EptByte(byte), pat, effective, notes, paging)
