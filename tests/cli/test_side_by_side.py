# SPDX-License-Identifier: GPL-2.0-only
"""-r twice or more in lookup and eval: rule sets side by side, differences marked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.lookup import lookup as look_up
from mtcalc.cli.eval import eval_
from mtcalc.cli.lookup import lookup
from mtcalc.output.document import Table, text_of
from mtcalc.output.plain import render
from mtcalc.output.side_by_side import Sides, lookup_sides
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType

SCENARIO = """\
vm: {noncoherent_dma: true}
guest:
  mtrr:
    default: WB
    variable:
      - {base: 0xc0000000, size: 1G, type: UC}
      - {base: 0x110000000, size: 16M, type: WC}
memslots:
  - {name: ram, gpa: 0, size: 3584M}
  - {name: vgpu-blob, gpa: 4G, size: 512M, flags: [NON_COHERENT_DMA]}
  - {name: bar2, gpa: 0xe0000000, size: 16M, backing: mmio}
"""

RANGES = """\
rules v6.7, slot-flag side by side, VMX with EPT
1 of 6 ranges differs between v6.7 and slot-flag

0x110000000-0x110ffffff vgpu-blob
RULES     LVL MTRR EPT   UC UC- WC WT  WP  WB  RULE       DIFF
v6.7      2M  WC   0x08  UC WC  WC UC* UC* WC  guest-mtrr -
slot-flag 2M  WC   0x30! UC UC! WC WT! WP! WB! slot-flag  EPT, PAT UC- WT WP WB

the same under all:
GPA         END         LVL MTRR EPT  UC UC- WC WT WP WB SLOT
0x0         0xbfffffff  1G  WB   0x30 UC UC  WC WT WP WB ram
0xc0000000  0xdfffffff  2M  UC   0x00 UC UC  WC UC UC UC ram
0xe0000000  0xe0ffffff  4K  UC   0x00 UC UC  WC UC UC UC bar2
0x100000000 0x10fffffff 2M  WB   0x30 UC UC  WC WT WP WB vgpu-blob
0x111000000 0x11fffffff 2M  WB   0x30 UC UC  WC WT WP WB vgpu-blob

note: ! differs from v6.7
note: * undefined in previous editions of the manual, so implementation-defined
note: slot-flag is a proposal of 5 January 2024, not in mainline
note: bar2: BAR taken as mapped in 4K pages, as VFIO does up to 6.11 (page_size
      says otherwise)
note: vgpu-blob under v6.7: this kernel refuses slot flag NON_COHERENT_DMA
      (EINVAL)
note: vgpu-blob under slot-flag: the guest's MTRRs say WC; this rule does not
      look at them: memory is what the guest's PAT says
"""

LOOKUP = """\
rules v6.7, slot-flag side by side, VMX with EPT
slot-flag differs from v6.7

RULES     EPT   WC  RULE      DIFF
v6.7      0x70  WB  coherent  -
slot-flag 0x30! WC! slot-flag EPT, effective

rule coherent   not noncoherent_dma -> WB, ignore PAT
rule slot-flag  slot_flag NON_COHERENT_DMA -> WB

note: ! differs from v6.7
note: v6.7: this kernel refuses slot flag NON_COHERENT_DMA (EINVAL)
note: v6.7: ignore PAT is set: the guest's PAT type WC has no say
note: slot-flag is a proposal of 5 January 2024, not in mainline
"""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "vm.yaml"
    path.write_text(SCENARIO)
    return str(path)


def program(*args: str) -> subprocess.CompletedProcess[str]:
    """The program as users run it."""
    return subprocess.run([sys.executable, "-m", "mtcalc", *args], capture_output=True, text=True, check=False)


def kernel_of(name: str) -> Kernel:
    kernel = built_in(name)
    assert kernel is not None
    return kernel


def test_ranges_side_by_side(scenario: str) -> None:
    """Where they differ a table a place, where all agree a row a place; exit status 0."""
    done = program("eval", scenario, "-r", "v6.7", "-r", "slot-flag", "-o", "plain")
    assert (done.stdout, done.stderr, done.returncode) == (RANGES, "", 0)


def test_lookup_side_by_side() -> None:
    """One row a rule set, and what differs in words."""
    done = program("lookup", "-r", "v6.7", "-r", "slot-flag", "--slot-flag", "8", "--pat", "wc", "-o", "plain")
    assert (done.stdout, done.stderr, done.returncode) == (LOOKUP, "", 0)


def test_a_terminal_gets_the_same_marks(scenario: str) -> None:
    """Differences are marked also without colour."""
    done = program("eval", scenario, "-r", "v6.7", "-r", "slot-flag", "-o", "table", "--color", "never")
    assert done.returncode == 0
    assert "0x30!" in done.stdout
    assert "1 of 6 ranges differs between v6.7 and slot-flag" in done.stdout
    assert "\x1b" not in done.stdout


def test_three_rule_sets_are_compared_with_the_first(scenario: str) -> None:
    """The sentence counts for each of the others."""
    args = [scenario, "-r", "v6.7", "-r", "slot-flag", "-r", "v6.16", "-o", "plain"]
    shown = CliRunner().invoke(eval_, args, catch_exceptions=False).output
    assert "\n3 of 6 ranges differ from v6.7: 1 under slot-flag, 3 under v6.16\n" in shown
    assert "\n0xc0000000-0xdfffffff ram\n" in shown
    assert "\nslot-flag 2M  UC   0x00  UC UC  WC UC  UC  UC  guest-mtrr same\n" in shown


def test_pages_side_by_side(scenario: str) -> None:
    """Single addresses, with and without a PAT type of their own, and one in no slot."""
    args = [scenario, "-r", "v6.7", "-r", "slot-flag", "-o", "plain", "--gpa", "0x110000000", "--gpa", "1T"]
    shown = CliRunner().invoke(eval_, args, catch_exceptions=False).output
    assert "\n1 of 2 addresses differs between v6.7 and slot-flag\n\n0x110000000 vgpu-blob\nRULES" in shown
    assert "\n0x10000000000 -   -    -   -  -   -  -  -  -  -\n" in shown
    one = CliRunner().invoke(eval_, [*args, "--pat", "wb"], catch_exceptions=False).output
    assert "\nslot-flag 2M  WC   0x30! WB! slot-flag  EPT, effective\n" in one
    assert "GPA           LVL MTRR EPT PAT EFFECTIVE SLOT\n0x10000000000 -   -    -   WB  -         -\n" in one


def test_places_with_the_same_answers_share_a_table(tmp_path: Path) -> None:
    """However many slots differ in the same way."""
    slots = "\n".join(f"  - {{gpa: {at}G, size: 2M, flags: [NON_COHERENT_DMA]}}" for at in range(40))
    path = tmp_path / "many.yaml"
    path.write_text(f"memslots:\n{slots}\n")
    args = [str(path), "-r", "v6.7", "-r", "slot-flag", "-o", "plain"]
    shown = CliRunner().invoke(eval_, args, catch_exceptions=False).output
    assert "\n40 of 40 ranges differ between v6.7 and slot-flag\n" in shown
    assert shown.count("RULES") == 1
    assert all(f"slot{at}" in shown for at in range(40))
    assert max(map(len, shown.splitlines())) <= 80


def test_data_formats_are_one_flat_list(scenario: str) -> None:
    """-r given twice or more: one flat list in JSON, rule set by rule set, each as it is alone."""
    for command, args in ((lookup, ["--mmio"]), (eval_, [scenario]), (eval_, [scenario, "--gpa", "0"])):
        refs = ("v6.7", "6.12", "slot-flag")
        both = [word for ref in refs for word in ("-r", ref)]
        for form in ("json", "jsonl", "csv"):
            whole = CliRunner().invoke(command, [*args, *both, "-o", form], catch_exceptions=False).output
            alone = [
                CliRunner().invoke(command, [*args, "-r", ref, "-o", form], catch_exceptions=False).output
                for ref in refs
            ]
            if form == "json":
                parts = [json.loads(text) for text in alone]
                if command is eval_:
                    assert json.loads(whole)["results"] == [answer for part in parts for answer in part["results"]]
                else:
                    assert json.loads(whole) == [answer for part in parts for answer in part]
            else:
                header = 1 if form == "csv" else 0
                rest = (line for text in alone[1:] for line in text.splitlines()[header:])
                assert whole.splitlines() == [*alone[0].splitlines(), *rest]


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(built_in_names()), min_size=2, max_size=4),
    facts=st.builds(
        Facts,
        mmio=st.booleans(),
        slot_flags=st.sampled_from((0, 8)),
        noncoherent_dma=st.sampled_from((True, True, False)),
        cr0_cd=st.booleans(),
        disabled_quirks=st.sampled_from((0, 2, 512)),
        self_snoop=st.booleans(),
        guest_mtrr=st.sampled_from(MTRR_TYPES),
    ),
    pats=st.sampled_from((PAT_TYPES, PAT_TYPES[1:2], PAT_TYPES[2:4])),
)
def test_marks_stand_on_exactly_the_cells_that_differ(
    names: list[str], facts: Facts, pats: tuple[MemType, ...]
) -> None:
    """What differs from the first rule set is marked, and named in DIFF; plain has at most 80 columns."""
    sides = [look_up(kernel_of(name), facts, pats) for name in names]
    document = lookup_sides(sides)
    (shown,) = (block for block in document.blocks if isinstance(block, Table))
    for at, (row, mine) in enumerate(zip(shown.rows, sides, strict=True)):
        _, mask, *cells, _, words = map(text_of, row)
        byte_differs = mine.byte != sides[0].byte
        assert mask.endswith("!") is byte_differs
        differing = [a[0] for a, b in zip(mine.effective, sides[0].effective, strict=True) if a != b]
        assert [cell.endswith("!") for cell in cells] == [pat in differing for pat in pats]
        types = "effective" if len(pats) == 1 else "every PAT"
        if len(differing) < len(pats):
            types = f"PAT {' '.join(map(str, differing))}"
        said = ["EPT"] * byte_differs + [types] * bool(differing)
        assert words == ("-" if not at else ", ".join(said) or "same")
    assert max(map(len, render(document))) <= 80


def test_rule_sets_of_the_same_name_are_told_apart() -> None:
    """Two releases that have the same rules, or the same one twice."""
    sides = Sides([resolve(ref) for ref in ("6.1", "6.2", "v4.4", "6.1")])
    assert sides.labels == ["6.1 (v4.4)", "6.2 (v4.4)", "v4.4", "6.1 (v4.4) #2"]
    assert not sides.legend


def test_long_names_are_letters() -> None:
    """A long name would push the columns off a mail's 80."""
    sides = Sides([resolve("6.1.0-rc1-some-vendor-amd64"), resolve("v4.4")])
    assert sides.labels == ["A", "B"]
    assert sides.legend == [("A", "6.1.0-rc1-some-vendor-amd64 (v4.4)"), ("B", "v4.4")]


def test_lookup_alone_imports_nothing_more() -> None:
    """The side-by-side modules are imported when -r is given twice, and only then."""
    code = (
        "import sys; from mtcalc.cli.lookup import lookup\n"
        "lookup.main(sys.argv[1:], standalone_mode=False)\n"
        "print([name for name in sys.modules if 'side_by_side' in name])"
    )
    for refs, wanted in ((["v6.7"], False), (["v6.7", "v6.16"], True)):
        args = [word for ref in refs for word in ("-r", ref)]
        done = subprocess.run(
            [sys.executable, "-c", code, *args, "-o", "plain"], capture_output=True, text=True, check=True
        )
        assert ("side_by_side" in done.stdout.splitlines()[-1]) is wanted
