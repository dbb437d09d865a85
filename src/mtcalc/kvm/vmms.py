# SPDX-License-Identifier: GPL-2.0-only
"""Which VMMs can turn off the quirk IGNORE_GUEST_PAT, and how a user tells them to."""

from __future__ import annotations

from typing import NamedTuple


class Vmm(NamedTuple):
    """A VMM, the option that turns the quirk off ('' where it has none), and the source."""

    name: str
    option: str
    source: str
    confirmed: bool = True


VMMS: tuple[Vmm, ...] = (
    Vmm("QEMU 11.0 on", "-accel kvm,honor-guest-pat=on", "QEMU's qemu-options.hx; honor-guest-pat since QEMU 11.0"),
    Vmm("QEMU to 10.2", "", "QEMU's qemu-options.hx up to 10.2"),
    Vmm("crosvm", "", "unconfirmed: no switch is known", confirmed=False),
)
"""Newest first; of others nothing is known."""
