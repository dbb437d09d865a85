# SPDX-License-Identifier: GPL-2.0-only
"""What differs around two lists of rules: the kernels' behaviour, taken from the rows by release.

Every table of mtcalc.kvm.history and every field of the slot checks has words here; quirks that no memory type
hangs on are left out. A field that has none yet is said under its own name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from mtcalc.kvm.flags import SLOT_FLAGS, flag_names
from mtcalc.kvm.history import LEVEL_LIMITS, PAIRS, UNDEFINED_CHECKS, row_at
from mtcalc.kvm.slot_history import SlotLimits, slot_limits
from mtcalc.kvm.versions import WALK_WORDS
from mtcalc.rules.condition import condition_text
from mtcalc.rules.kernel import Kernel, Unreachable, split_text
from mtcalc.x86.ept import LEVEL_NAMES


class Around(NamedTuple):
    """A difference around the list of rules, in words."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before} -> {self.after}"


def differences(before: Kernel, after: Kernel) -> tuple[Around, ...]:
    """What the kernels around two lists of rules do otherwise."""
    pairs = zip(behaviours(before), behaviours(after), strict=True)
    return tuple(Around(what, old, new) for (what, old), (_, new) in pairs if old != new)


def behaviours(kernel: Kernel) -> list[tuple[str, str]]:
    """Each behaviour of a kernel, in words; the same ones in the same order for every kernel."""
    release = kernel.release
    if kernel.npt is not None:
        cd = "with quirk CD_NW_CLEARED disabled" if "CD_NW_CLEARED" in kernel.quirks else "never"
        return [
            ("PAT that counts under NPT", kernel.npt.value),
            ("guest CR0.CD reaches the hardware", cd),
            *_common(kernel),
        ]
    return [
        ("guest MTRR walk", WALK_WORDS[kernel.mtrr_walk]),
        ("variable MTRR pairs of a guest", str(row_at(PAIRS, release).what)),
        ("host MMIO test", kernel.mmio_test.title),
        *_common(kernel),
    ]


def _common(kernel: Kernel) -> list[tuple[str, str]]:
    """What is around the rules under EPT and NPT alike."""
    release = kernel.release
    return [
        ("guest MTRRs limit the mapping level", split_text(kernel)),
        ("MTRR check past the fixed ranges", _STRAY[row_at(UNDEFINED_CHECKS, release).what]),
        *_fields(row_at(LEVEL_LIMITS, release).what),
        ("slot flags accepted", ", ".join(flag_names(kernel.slot_flags, SLOT_FLAGS)) or "none"),
        *_fields(_slots(kernel)),
        ("quirks known", ", ".join(kernel.quirks) or "none"),
        ("states that can't be reached", "; ".join(map(_unreachable_text, kernel.unreachable)) or "none"),
    ]


def _unreachable_text(state: Unreachable) -> str:
    """'quirk CD_NW_CLEARED in force (off from the start, and nothing turns it on)'; of others the condition says it."""
    text = condition_text(state.when)
    why = state.why.removeprefix(f"{text} is ")
    return text if why == state.why else f"{text} in force ({why})"


def _slots(kernel: Kernel) -> SlotLimits:
    """The checks of slots; a kernel without GUEST_MEMFD takes it on no VM."""
    limits = slot_limits(kernel.release)
    known = kernel.slot_flags & SLOT_FLAGS["GUEST_MEMFD"]
    return limits if known else limits._replace(memfd_private_only=True)


_STRAY = {False: "well-defined, or none at all", True: "undefined (a stray cursor)"}


def _yes_no(value: object) -> str:
    return {False: "no", True: "yes"}[value] if isinstance(value, bool) else str(value)


def _level(level: int) -> str:
    return LEVEL_NAMES[level]


WORDS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "highest": ("largest page that KVM maps", _level),
    "reserved_small": (
        "page reserved or no struct page",
        lambda small: "mapped in 4K" if small else "mapped as large as any",
    ),
    "device": ("largest page of a BAR under VFIO", _level),
    "ids": ("slot ids", lambda ids: f"0 to {ids - 1}"),
    "spaces": ("address spaces in a slot's id", str),
    "flags_checked": ("unknown slot flags refused", _yes_no),
    "invalid_mark": (
        "slot flag that is KVM's own mark",
        lambda bits: ", ".join(flag_names(bits, SLOT_FLAGS)) or "none",
    ),
    "memfd_private_only": ("GUEST_MEMFD on every VM", lambda alone: _yes_no(not alone)),
    "host_address": ("host addresses of slots checked", _yes_no),
    "user_end": ("user space ends at", hex),
    "most_pages": ("slots above 2^31-1 pages refused", _yes_no),
    "host_maxphyaddr": ("slots above host maxphyaddr refused", _yes_no),
    "internal_slots": ("slots over KVM's own ones refused", _yes_no),
}
"""By the field of a record of behaviour: what it is, and how its value is said."""


def _fields(record: Any) -> list[tuple[str, str]]:
    """A NamedTuple of behaviours in words."""
    found = []
    for name, value in zip(record._fields, record, strict=True):
        what, said = WORDS.get(name, (name.replace("_", " "), _yes_no))
        found.append((what, said(value)))
    return found
