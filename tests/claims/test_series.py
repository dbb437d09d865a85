# SPDX-License-Identifier: GPL-2.0-only
"""What the series "KVM: Honor guest memory types for virtio GPU devices" claims, asked of the program.

One test a claim; the last three are what its reader would want to be told.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from support.program import quick

FLAG = ("--slot-flag", "non-coherent-dma")
PATS = ("UC", "UC-", "WC", "WT", "WP", "WB")
MTRRS = ("UC", "WC", "WT", "WP", "WB")


def lookup(*args: str) -> list[dict[str, Any]]:
    """The answers of a lookup, one a PAT type."""
    answers: list[dict[str, Any]] = quick("lookup", *args, "-o", "json").json
    return answers


def effective(*args: str) -> Mapping[str, str]:
    """PAT type -> effective type."""
    return {answer["pat"]: answer["effective"] for answer in lookup(*args)}


def bytes_of(*args: str) -> set[str]:
    """The EPT byte, which hangs on no PAT type."""
    return {answer["ept"]["mask"] for answer in lookup(*args)}


def test_1_host_mmio_stays_uc() -> None:
    """Host MMIO stays UC,0 with the flag set: effective WC for PAT=WC, UC for every other PAT type."""
    assert bytes_of("--mmio", *FLAG) == bytes_of("--mmio") == {"0x00"}
    assert effective("--mmio", *FLAG) == {pat: "WC" if pat == "WC" else "UC" for pat in PATS}


@pytest.mark.parametrize("mtrr", MTRRS)
def test_2_the_flag_is_wb_without_ipat_whatever_else(mtrr: str) -> None:
    """Flag set: WB,0 (0x30) whatever N, CD, Q and the guest MTRR are; the effective type is the guest's PAT type."""
    own_type = {pat: "UC" if pat == "UC-" else pat for pat in PATS}  # UC- acts as UC
    for dma, cd, quirk in itertools.product(((), ("--noncoherent-dma",)), ((), ("--cd",)), ((), ("CD_NW_CLEARED",))):
        args = (*FLAG, "--mtrr", mtrr, *dma, *cd, *(("--disable-quirk", *quirk) if quirk else ()))
        answers = lookup(*args)
        assert {answer["ept"]["mask"] for answer in answers} == {"0x30"}
        assert {answer["rule"]["id"] for answer in answers} == {"slot-flag"}
        assert {answer["pat"]: answer["effective"] for answer in answers} == own_type


def test_3_the_arguable_case() -> None:
    """Guest MTRR=WC, PAT=UC-: WC when MTRRs are honoured (N, no flag), UC with the flag."""
    args = ("--noncoherent-dma", "--mtrr", "wc", "--pat", "uc-")
    assert effective(*args) == {"UC-": "WC"}
    assert effective(*args, *FLAG) == {"UC-": "UC"}


def test_4_ignoring_the_mtrr_adds_no_alias_in_linux_alone() -> None:
    """Not allowed in Linux are MTRR=WC or UC with PAT=WB; a guest that has them gets WB instead of UC or WC."""
    for mtrr, before in (("uc", "UC"), ("wc", "WC")):
        args = ("--noncoherent-dma", "--mtrr", mtrr, "--pat", "wb")
        assert effective(*args) == {"WB": before}
        (answer,) = lookup(*args, *FLAG)
        assert answer["effective"] == "WB"
        unread = "this rule does not look at them: memory is what the guest's PAT says"
        scenario = (
            f"vm: {{noncoherent_dma: true}}\nguest: {{mtrr: {{default: {mtrr.upper()}}}}}\n"
            "memslots: [{name: blob, gpa: 0, size: 2M, flags: [NON_COHERENT_DMA]}]\n"
        )
        (page,) = quick("eval", "-", "--gpa", "0", "--pat", "wb", "-o", "json", stdin=scenario).json["results"]
        assert (page["effective"], page["inputs"]["guest_mtrr"]) == ("WB", mtrr.upper())
        assert f"the guest's MTRRs say {mtrr.upper()}; {unread}" in page["notes"]


SPLIT = """
vm: {{noncoherent_dma: {dma}}}
guest: {{mtrr: {{variable: [{{base: 1M, size: 1M, type: WC}}]}}}}
memslots: [{{name: blob, gpa: 0, size: 4M, flags: [NON_COHERENT_DMA]}}]
"""


def test_5_huge_pages_split_all_the_same_with_noncoherent_dma() -> None:
    """No huge-page split: true while N is false; with N true the consistency check still applies to flagged slots."""
    for dma, level in (("false", "2M"), ("true", "4K")):
        done = quick("eval", "-", "--gpa", "0", "-o", "json", stdin=SPLIT.format(dma=dma))
        (page,) = done.json["results"]
        assert (page["level"], page["ept"]["mask"]) == (level, "0x30")


def test_6_with_cd_set_uncached_memory_becomes_cacheable() -> None:
    """With N true, CD set and Q off, memory was UC,1; with the flag it becomes cacheable."""
    args = ("--noncoherent-dma", "--cd", "--disable-quirk", "cd-nw-cleared")
    assert bytes_of(*args) == {"0x40"}
    assert set(effective(*args).values()) == {"UC"}
    assert bytes_of(*args, *FLAG) == {"0x30"}
    assert effective(*args, *FLAG)["WB"] == "WB"
