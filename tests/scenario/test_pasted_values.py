# SPDX-License-Identifier: GPL-2.0-only
"""Values in a scenario as tools print them: each reads as what one would write by hand."""

from __future__ import annotations

import pytest

from mtcalc.scenario.load import load_scenario
from mtcalc.text.errors import InputError

SLOT = "memslots: [{gpa: %s, size: %s}]\n"
MSRS = "guest: {mtrr: {msrs: {%s}}}\n"
RANGE = "guest: {mtrr: {variable: [{base: %s, size: %s, type: %s}]}}\n"
PAIR = "guest: {mtrr: {variable: [{physbase: %s, physmask: %s}]}}\n"


@pytest.mark.parametrize(
    ("pasted", "written"),
    [
        (SLOT % ("0", "2048MB"), SLOT % ("0", "2G")),
        (SLOT % ("4GiB", "256 MiB"), SLOT % ("0x100000000", "0x10000000")),
        (SLOT % ("0", "16384 kB"), SLOT % ("0", "16M")),
        (RANGE % ("0x0c0000000", "1024MB", "uncachable"), RANGE % ("3G", "1G", "UC")),
        (RANGE % ("0x800000000", "32768MB", "write-combining"), RANGE % ("32G", "32G", "WC")),
        (PAIR % ("00000000c0000000", "00003fffc0000800"), PAIR % ("0xc0000000", "0x3fffc0000800")),
        (
            MSRS % "0x2ff: 0000000000000c06, 0x250: 0606060606060606",
            MSRS % "0x2ff: 0xc06, 0x250: 0x606060606060606",
        ),
        (
            MSRS % "MTRRdefType: 0xc06, MTRRphysBase0: 0xc0000000, MTRRphysMask0: 0x3fffc0000800",
            MSRS % "0x2ff: 0xc06, 0x200: 0xc0000000, 0x201: 0x3fffc0000800",
        ),
        (MSRS % "2ff: 0xc06, MSR_MTRRfix64K_00000: 6", MSRS % "0x2ff: 0xc06, 0x250: 6"),
        ("guest: {pat: WB  WC  UC- UC  WB  WP  UC- WT}\n", "guest: {pat: linux}\n"),
        ("guest:\n  pat: WB  WT  UC- UC  WB  WT  UC- UC  \n", "guest: {pat: reset}\n"),
        ('guest: {pat: "x86/PAT: Configuration [0-7]: WB  WT  UC- UC  WB  WT  UC- UC  "}\n', "guest: {pat: reset}\n"),
        (
            'guest:\n  pat: "[    0.000229] x86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT  "\n',
            "guest: {pat: linux}\n",
        ),
        ("guest: {pat: 0007040600070406}\n", "guest: {pat: reset}\n"),
        ("pages: [{gpa: 0, pte: 000000000000000f}]\n", "pages: [{gpa: 0, pte: 0xf}]\n"),
        (MSRS % "0x2ff: 0, 0x250: 6, 0x258: 0000000000000106", MSRS % "0x2ff: 0x0, 0x250: 0x6, 0x258: 0x106"),
        (PAIR % ("2G", "0x3fff80000800"), PAIR % ("0x80000000", "0x3fff80000800")),
        (PAIR % ("6", "0"), PAIR % ("0x6", "0")),
        (f'{{"guest": {{"pat": {0x0407050600070106}}}}}', "guest: {pat: linux}\n"),
        ('{"pages": [{"gpa": 0, "pte": 15}]}', "pages: [{gpa: 0, pte: 0xf}]\n"),
    ],
)
def test_what_is_pasted_is_what_one_would_write(pasted: str, written: str) -> None:
    here, there = load_scenario(pasted, "vm.yaml"), load_scenario(written, "vm.yaml")
    assert here.vm == there.vm
    assert here.slots == there.slots
    assert [(page.gpa, page.pat) for page in here.pages] == [(page.gpa, page.pat) for page in there.pages]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SLOT % ("00c6", "4K"), "'00c6' has a leading zero (hex is written 0xc6)"),
        (
            SLOT % ("0000000100000000", "4K"),
            "has a leading zero (hex is written 0x100000000; decimal has no leading zero)",
        ),
        (MSRS % "0x2ff: 0c06", "'0c06' has a leading zero (hex is written 0xc06)"),
        (MSRS % "0x2ff: c06", "'c06' is not a number (hex is written 0xc06)"),
        (SLOT % ("0", "2048Mb/s"), "is not a number"),
        ("guest: {pat: WB WC UC- UC}\n", "a PAT has eight entries, not 4 (entry 0 first)"),
        ("guest: {pat: WB WC UC- UC WB WP UC- WX}\n", "'WX' is not a memory type"),
    ],
)
def test_what_may_mean_two_things_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_scenario(text, "vm.yaml")
    assert message in caught.value.message
    assert caught.value.place
