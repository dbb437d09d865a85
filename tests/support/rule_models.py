# SPDX-License-Identifier: GPL-2.0-only
"""Second models of vmx_get_mt_mask() through time: plain functions from inputs to the EPT byte.

They share no code with mtcalc; each is its own list of returns, even where two releases agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

UC, WB = 0x00, 0x30
IPAT = 0x40


class Case(NamedTuple):
    """One combination of all inputs. cd_quirk and igp: the quirk is in force; gmt: encoding of the MTRR type."""

    mmio: bool
    flag: bool
    n: bool
    mem_dma: bool
    cd: bool
    cd_quirk: bool
    igp: bool
    self_snoop: bool
    gmt: int


def v2_6_28(c: Case) -> int:
    return 0x70


def v2_6_29(c: Case) -> int:
    return UC if c.mmio else c.gmt << 3 | IPAT


def v2_6_31(c: Case) -> int:
    if c.mmio:
        return UC
    return c.gmt * 8 if c.n else 0x70


def v3_13(c: Case) -> int:
    if c.mmio:
        return UC
    if c.n:
        return c.gmt * 8
    return 0x70


def v4_2(c: Case) -> int:
    if c.mmio or c.n:
        if c.cd:
            return 0x70 if c.cd_quirk else 0x40
        return c.gmt * 8
    return 0x70


def v4_3(c: Case) -> int:
    if c.mmio:
        return UC
    if c.n:
        if c.cd:
            return 0x70 if c.cd_quirk else 0x40
        return c.gmt * 8
    return 0x70


def v6_7(c: Case) -> int:
    if c.mmio:
        return UC
    if not c.n:
        return 0x70
    if c.cd:
        return 0x30 if c.cd_quirk else 0x40
    return c.gmt * 8


def v6_11_rc1(c: Case) -> int:
    if c.mmio:
        return UC
    return WB if c.self_snoop or c.n else WB | IPAT


def v6_11(c: Case) -> int:
    if c.mmio:
        return UC
    return WB if c.n else WB | IPAT


def v6_16(c: Case) -> int:
    if c.mmio:
        return UC
    if c.igp and not c.n:
        return WB | IPAT
    return WB


def slot_flag(c: Case) -> int:
    if c.flag and not c.mmio:
        return WB
    return v6_7(c)


def kvm_mem_dma(c: Case) -> int:
    return v4_3(c._replace(n=c.n or c.mem_dma))


def slot_honor_mtrr(c: Case) -> int:
    if c.flag and not c.mmio:
        return c.gmt * 8
    return v6_7(c)


def quirk_v1(c: Case) -> int:
    if c.mmio:
        return UC
    if c.n:
        return WB
    return WB | IPAT if c.igp or not c.self_snoop else WB


MODELS: dict[str, Callable[[Case], int]] = {
    "v2.6.28": v2_6_28,
    "v2.6.29": v2_6_29,
    "v2.6.31": v2_6_31,
    "v3.13": v3_13,
    "v4.2": v4_2,
    "v4.3": v4_3,
    "v4.4": v4_3,  # they differ in how the MTRR type is found
    "v6.7": v6_7,
    "v6.11-rc1": v6_11_rc1,
    "v6.11": v6_11,
    "v6.16": v6_16,
    "slot-flag": slot_flag,
    "kvm-mem-dma": kvm_mem_dma,
    "slot-honor-mtrr": slot_honor_mtrr,
    "quirk-v1": quirk_v1,
}
