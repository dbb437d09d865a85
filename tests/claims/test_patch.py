# SPDX-License-Identifier: GPL-2.0-only
"""What the seed mail claims, and what it does not say, asked of the mail itself; and C files wherever a REF goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtcalc.csource.writer import Style, write_c
from mtcalc.rules.builtin import built_in_names
from support.c_printer import STYLES, first
from support.patches import kernel
from support.program import DATA, quick

SEED = "patches/noncoherent-dma-slot-flag-3of4.patch"
FLAG = ("--slot-flag", "KVM_MEM_NON_COHERENT_DMA")


def effective(*args: str) -> dict[str, str]:
    """Each PAT type with the effective type, under the rules of the mail."""
    return {answer["pat"]: answer["effective"] for answer in answers(*args)}


def answers(*args: str, rules: str = SEED) -> list[dict[str, Any]]:
    found = quick("lookup", "-r", rules, *args, "-o", "json").json
    assert isinstance(found, list)
    return found


def byte(*args: str, rules: str = SEED) -> str:
    (mask,) = {answer["ept"]["mask"] for answer in answers(*args, rules=rules)}
    assert isinstance(mask, str)
    return mask


@pytest.mark.parametrize("flag", [(), FLAG])
def test_1_host_mmio_stays_uc(flag: tuple[str, ...]) -> None:
    """Host MMIO stays UC,0 with the flag set: effective WC for PAT=WC, UC for every other PAT type."""
    assert byte("--mmio", *flag) == "0x00"
    assert effective("--mmio", *flag) == {**dict.fromkeys(("UC", "UC-", "WT", "WP", "WB"), "UC"), "WC": "WC"}


STATES = [
    (*dma, *cd, *quirk)
    for dma in ((), ("--noncoherent-dma",))
    for cd in ((), ("--cd",))
    for quirk in ((), ("--disable-quirk", "cd-nw-cleared"))
]


@pytest.mark.parametrize("state", STATES, ids=" ".join)
def test_2_with_the_flag_the_guests_pat_decides(state: tuple[str, ...]) -> None:
    """Flag set: WB,0 whatever N, CD, Q and the guest MTRR are; the effective type is the guest's PAT type."""
    found = quick("table", "-r", SEED, *FLAG, *state, "-o", "json").json
    assert {answer["inputs"]["guest_mtrr"] for answer in found} == {"UC", "WC", "WT", "WP", "WB"}
    for answer in found:
        assert answer["ept"] == {"memtype": "WB", "ipat": 0, "mask": "0x30"}
        assert answer["effective"] == ("UC" if answer["pat"] == "UC-" else answer["pat"])


def test_3_the_arguable_case() -> None:
    """Guest MTRR=WC, PAT=UC-: WC when MTRRs are honoured, UC with the flag."""
    honoured = ("--noncoherent-dma", "--mtrr", "WC", "--pat", "UC-")
    assert effective(*honoured) == {"UC-": "WC"}
    assert effective(*honoured, *FLAG) == {"UC-": "UC"}


@pytest.mark.parametrize("mtrr", ["UC", "WC"])
def test_4_a_combination_that_linux_does_not_allow(mtrr: str) -> None:
    """MTRR=UC or WC with PAT=WB: other guests can have it; as the MTRR says before, WB with the flag."""
    state = ("--noncoherent-dma", "--mtrr", mtrr, "--pat", "WB")
    assert effective(*state) == {"WB": mtrr}
    assert effective(*state, *FLAG) == {"WB": "WB"}


SPLIT = """\
rules: {rules}
vm: {{noncoherent_dma: {dma}}}
guest:
  mtrr: {{default: WB, variable: [{{base: 0, size: 4K, type: UC}}]}}
memslots:
  - {{gpa: 0, size: 2M, flags: [NON_COHERENT_DMA]}}
"""


@pytest.mark.parametrize(("dma", "level"), [("false", "2M"), ("true", "4K")])
def test_5_huge_pages_are_split_all_the_same(dma: str, level: str, tmp_path: Path) -> None:
    """ "No huge-page split": true while N is false; with N true, the split still applies to flagged slots."""
    (tmp_path / "seed.patch").write_bytes((DATA / SEED).read_bytes())
    (tmp_path / "vm.yaml").write_text(SPLIT.format(rules="seed.patch", dma=dma))
    found = quick("eval", "vm.yaml", "--gpa", "0x1000", "-o", "json", cwd=tmp_path).json["results"]
    assert [(answer["level"], answer["ept"]["mask"]) for answer in found] == [(level, "0x30")]


def test_6_what_it_does_not_say() -> None:
    """With N true, CD set and Q off, memory was UC,1; with the flag it becomes cacheable."""
    state = ("--noncoherent-dma", "--cd", "--disable-quirk", "CD_NW_CLEARED")
    assert (byte(*state), byte(*state, *FLAG)) == ("0x40", "0x30")
    assert set(effective(*state).values()) == {"UC"}
    assert effective(*state, *FLAG)["WB"] == "WB"


def test_the_mail_is_the_built_in_proposal() -> None:
    assert quick("diff", "slot-flag", SEED).status == 0
    assert byte(*FLAG, rules="slot-flag") == byte(*FLAG) == "0x30"


@pytest.mark.parametrize("at", range(len(built_in_names())))
def test_every_rule_set_from_c(at: int, tmp_path: Path) -> None:
    """Every release's rule set written as C, in three styles by turns, and read back equal by the program."""
    name, style = built_in_names()[at], list(STYLES)[at % len(STYLES)]
    (tmp_path / "vmx.c").write_text(STYLES[style](kernel(name).rules, first))
    done = quick("diff", name, "vmx.c", "-o", "json", cwd=tmp_path)
    assert (done.status, done.err) == (0, "")


VM = """\
rules: vmx.c
memslots:
  - {gpa: 0, size: 1M}
pages:
  - {gpa: 0x1000, pat: WC}
expect:
  - {gpa: 0x1000, pat: WC, effective: WB, ept: 0x70, rule: coherent}
"""


def test_a_c_file_wherever_a_rule_set_is_asked_for(tmp_path: Path) -> None:
    """REF of .c and patches works wherever a rule set is asked for."""
    (tmp_path / "vmx.c").write_text(write_c(kernel("v6.7").rules, Style.RETURN))
    (tmp_path / "seed.patch").write_bytes((DATA / SEED).read_bytes())
    (tmp_path / "vm.yaml").write_text(VM)
    for ref in (("vmx.c",), ("seed.patch", "--base", "vmx.c")):
        for call in (
            ("lookup", "-r", *ref),
            ("table", "-r", *ref),
            ("explain", "-r", *ref),
            ("explain", "vm.yaml", "--gpa", "0x1000", "-r", *ref),
            ("eval", "vm.yaml", "-r", *ref),
            ("eval", "vm.yaml", "--ranges", "-r", *ref),
            ("check", "vm.yaml", "-r", *ref),
            ("rules", "show", *ref),
            ("rules", "check", *ref),
        ):
            done = quick(*call, cwd=tmp_path)
            assert (done.status, done.err) == (0, ""), call
            assert ref[0] in done.out
    assert quick("check", "vm.yaml", cwd=tmp_path).status == 0
    # What is written as a rule file reads back.
    (tmp_path / "made.yaml").write_text(quick("rules", "show", "seed.patch", "-o", "yaml", cwd=tmp_path).out)
    assert quick("diff", "slot-flag", "made.yaml", cwd=tmp_path).status == 0
