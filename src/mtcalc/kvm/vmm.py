# SPDX-License-Identifier: GPL-2.0-only
"""VMMs, and which of them can turn quirk IGNORE_GUEST_PAT off: rows 'since version, can it, source'."""

from __future__ import annotations

import re
from typing import NamedTuple

from mtcalc.kvm.release import Version
from mtcalc.text.suggest import did_you_mean

_UNREAD = "not read"

PAT_SWITCH: dict[str, tuple[tuple[Version, bool | None, str], ...]] = {
    "qemu": (
        ((0,), False, "no such switch up to 10.2"),
        ((11, 0), True, "-accel kvm,honor-guest-pat=on|off|auto"),
    ),
    "crosvm": (((0,), False, "no switch: from memory (?)"),),
    "cloud-hypervisor": (((0,), None, _UNREAD),),
    "firecracker": (((0,), None, _UNREAD),),
    "kvmtool": (((0,), None, _UNREAD),),
    "openvmm": (((0,), None, _UNREAD),),
}
"""By the VMM's name; None: not known."""


class Vmm(NamedTuple):
    """A VMM as a scenario names it; without a version, () stands for all of them."""

    name: str
    version: Version

    def __str__(self) -> str:
        return "-".join(filter(None, (self.name, ".".join(map(str, self.version)))))

    @property
    def pat_switch(self) -> bool | None:
        """Whether it can turn quirk IGNORE_GUEST_PAT off; None: not known, or not by all of its versions."""
        rows = PAT_SWITCH[self.name]
        if not self.version:
            answers = {can for _, can, _ in rows}
            return answers.pop() if len(answers) == 1 else None
        return [can for since, can, _ in rows if since <= self.version][-1]


_QEMU = re.compile(r"^qemu(?:-system-x86_64|-kvm| emulator)(?: version)?\b")


def parse_vmm(text: str) -> Vmm:
    """A VMM by name, with its version behind a hyphen or without: 'qemu-11.0', 'crosvm'. Raises ValueError.

    QEMU is also its program, 'qemu-system-x86_64 10.0', and what that prints, 'QEMU emulator version 10.0.2'. What
    stands behind the numbers, a distribution's suffix, is passed over.
    """
    word = _QEMU.sub("qemu", text.strip().lower())
    found = re.fullmatch(r"([a-z-]+?)(?:[- ]?v?(\d{1,5}(?:\.\d{1,5}){0,3})(?:[-+~ ].*)?)?", word)
    name = found[1] if found else word
    if not found or name not in PAT_SWITCH:
        raise ValueError(f"unknown VMM '{text}' ({did_you_mean(name, PAT_SWITCH)}; with a version: qemu-11.0)")
    numbers = tuple(map(int, found[2].split("."))) if found[2] else ()
    return Vmm(name, numbers if len(numbers) != 1 else (*numbers, 0))
