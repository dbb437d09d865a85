# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc rules as a program: round trips through rule files, and what rules check finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtcalc.rules.builtin import built_in_names
from support.patches import BEFORE, kernel
from support.program import DATA, quick, run

SEED = DATA / "patches" / "noncoherent-dma-slot-flag-3of4.patch"
NAMES = built_in_names()


@pytest.mark.parametrize("name", NAMES)
def test_round_trip_of_every_built_in_set(name: str, tmp_path: Path) -> None:
    """Round trip is exact for every built-in set: the rules, their sources, the kernel around them."""
    first = quick("rules", "show", name, "-o", "yaml")
    assert (first.status, first.err) == (0, "")
    (tmp_path / "own.yaml").write_text(first.out)
    assert quick("rules", "show", "own.yaml", "-o", "yaml", cwd=tmp_path) == first
    shown = quick("rules", "show", "own.yaml", "-o", "json", cwd=tmp_path)
    assert shown == quick("rules", "show", name, "-o", "json")
    record = quick("diff", name, "own.yaml", "-o", "json", cwd=tmp_path).json
    assert (record["changed"], record["around"]) == (0, [])


def test_list_names_every_set() -> None:
    record = quick("rules", "list", "-o", "json").json
    assert tuple(one["name"] for one in record) == NAMES
    assert [len(one["rules"]) for one in record] == [len(kernel(name).rules.rules) for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_odd_about_the_built_in_sets(name: str) -> None:
    """Every rule can match and matters, and every input is caught."""
    done = quick("rules", "check", name)
    assert (done.status, done.err) == (0, "")
    assert done.out.endswith("nothing odd: every rule can match and matters, and every input is caught\n")
    assert done.out.startswith(f"{name}: {len(kernel(name).rules.rules)} rules\n")


LATE = """\
base: v6.7
changes:
  - insert_after: cd
    id: late
    when: cr0_cd and mmio
    ept: {memtype: WB, ipat: 0}
"""
CONTRADICTION = """\
base: v6.7
changes:
  - insert_after: mmio
    id: never
    when: noncoherent_dma and not noncoherent_dma
    ept: {memtype: WB, ipat: 0}
"""
OPEN = """\
name: open
rules:
  - id: mmio
    when: mmio
    ept: {memtype: UC, ipat: 0}
  - id: dma
    when: noncoherent_dma and not quirk IGNORE_GUEST_PAT
    ept: {memtype: WB, ipat: 0}
"""
SAME = """\
name: same
rules:
  - id: flag
    when: slot_flag NON_COHERENT_DMA
    ept: {memtype: WB, ipat: 0}
  - id: rest
    ept: {memtype: WB, ipat: 0}
"""
FOUND: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "late": (
        LATE,
        [
            {
                "kind": "never matches",
                "rules": ["late", "mmio"],
                "text": "rule 'late' never matches: 'mmio' catches all of it before",
            }
        ],
    ),
    "contradiction": (
        CONTRADICTION,
        [
            {
                "kind": "never matches",
                "rules": ["never"],
                "text": "rule 'never' never matches: its condition contradicts itself",
            }
        ],
    ),
    "open": (
        OPEN,
        [
            {
                "kind": "not caught",
                "rules": [],
                "text": f"no rule catches: {gap} (end the list with a rule without `when`)",
            }
            for gap in ("not mmio and not noncoherent_dma", "not mmio and quirk IGNORE_GUEST_PAT")
        ],
    ),
    "same": (
        SAME,
        [
            {
                "kind": "redundant",
                "rules": ["flag", "rest"],
                "text": "rule 'flag' changes nothing: without it 'rest' says the same",
            }
        ],
    ),
}


@pytest.mark.parametrize("what", FOUND)
def test_findings(what: str, tmp_path: Path) -> None:
    """Rules that can never match, inputs that no rule catches, rules that say what a later one says anyway."""
    text, wanted = FOUND[what]
    (tmp_path / "own.yaml").write_text(text)
    found = json.loads(quick("rules", "check", "own.yaml", "-o", "json", cwd=tmp_path).out)
    examples = [finding.pop("example") for finding in found]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    assert all(examples) or what == "contradiction"
    plain = quick("rules", "check", "own.yaml", cwd=tmp_path)
    assert (plain.status, plain.err) == (1, "")
    for form in ("table", "json", "jsonl", "csv", "tsv", "markdown", "html", "svg"):
        assert quick("rules", "check", "own.yaml", "-o", form, cwd=tmp_path).status == 1
    assert all(" ".join(finding["text"].split()) in " ".join(plain.out.split()) for finding in wanted)
    assert max(map(len, plain.out.splitlines())) <= 80
    lines = quick("rules", "check", "own.yaml", "-o", "jsonl", cwd=tmp_path).out.splitlines()
    assert len(lines) == len(wanted)
    rows = quick("rules", "check", "own.yaml", "-o", "csv", cwd=tmp_path).out.splitlines()
    assert rows[0] == "kind,rules,text,example"
    assert len(rows) == len(wanted) + 1


def test_an_example_is_what_the_rule_would_have_caught(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(LATE)
    (finding,) = json.loads(quick("rules", "check", "own.yaml", "-o", "json", cwd=tmp_path).out)
    assert (finding["example"]["cr0_cd"], finding["example"]["mmio"]) == ("yes", "yes")


def test_a_list_that_does_not_end_is_shown_by_check_alone(tmp_path: Path) -> None:
    """Everywhere else it is an error, at the last rule."""
    (tmp_path / "open.yaml").write_text(OPEN)
    for args in (("rules", "show"), ("lookup", "-r"), ("diff", "v6.7")):
        done = quick(*args, "open.yaml", cwd=tmp_path)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith("open.yaml:6:9: ")


def test_c_files_and_patches_are_checked(tmp_path: Path) -> None:
    (tmp_path / "own.c").write_text(
        "u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)\n{\n"
        "\tif (is_mmio)\n\t\treturn 0;\n\n"
        "\tif (kvm_own(vcpu) || !kvm_own(vcpu))\n\t\treturn 0x30;\n\n"
        "\treturn 0x70;\n}\n"
    )
    checked = quick("rules", "check", "own.c", "-o", "json", cwd=tmp_path)
    assert (checked.status, checked.err) == (1, "")
    (finding,) = json.loads(checked.out)
    assert finding["text"] == "rule 'coherent' never matches: 'mmio' and 'rule-2' catch all of it before"
    assert quick("rules", "check", str(SEED), "-o", "json").json == []
    assert quick("rules", "check", "-", "--base", "v4.4", "-o", "json", stdin=SEED.read_text()).json == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("check", "nowhere.yaml"), "mtcalc: nowhere.yaml: no such file "),
        (("check", "v6.7", "--base", "v6.7"), "mtcalc rules check: --base without a patch "),
        (("check", "own.yaml", "--base", "v6.7"), "mtcalc rules check: --base without a patch "),
        (("show", "slotflag"), "mtcalc: unknown rule set 'slotflag' (did you mean slot-flag?)"),
        (("show", "v6.7", "-o", "yml"), "mtcalc rules show: invalid value for '-o' / '--output': 'yml' is not known "),
        (("list", "v6.7"), "mtcalc rules list: got unexpected extra argument (v6.7)"),
        (("shwo", "v6.7"), "mtcalc rules: no such command 'shwo'"),
    ],
)
def test_what_is_wrong(args: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(SAME)
    done = quick("rules", *args, cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(message)


def test_the_c_file_of_a_whole_kernel_is_no_rule_set_without_the_function(tmp_path: Path) -> None:
    (tmp_path / "vmx.c").write_text(BEFORE)
    done = run("rules", "show", "vmx.c", cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("vmx.c:1:1: no vmx_get_mt_mask() is defined here ")
