# SPDX-License-Identifier: GPL-2.0-only
"""What a rule file can make a comparison cost: it is answered or refused, soon, and never with a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from mtcalc.analysis import diff as diff_module
from mtcalc.analysis.diff import check_expandable, diff
from mtcalc.output.diff import diff_notes
from mtcalc.refs.file import MOST_BASES
from mtcalc.refs.resolve import resolve
from mtcalc.rules.truth import atom_set
from support.program import quick


def random_rules(path: Path, seed: str, inputs: int, rules: int, most: int, byte_values: int) -> Path:
    """A rule file of that many rules, each about three to `most` of the assumptions c0, c1, ..."""
    rand = random.Random(seed)
    lines = [f"name: {seed}", "rules:"]
    for number in range(rules):
        some = rand.sample(range(inputs), rand.randint(3, most))
        when = " and ".join(f'{rand.choice(("", "not "))}assume "c{at}"' for at in some)
        lines.append(f"- {{id: r{number}, when: '{when}', ept: {{byte: {rand.randrange(byte_values)}}}}}")
    path.write_text("\n".join([*lines, "- {id: z, ept: {byte: 0x30}}", ""]))
    return path


@pytest.mark.parametrize(("inputs", "rules", "most"), [(11, 200, 6), (14, 40, 5), (18, 24, 4), (18, 60, 6)])
def test_two_lists_that_have_nothing_in_common(tmp_path: Path, inputs: int, rules: int, most: int) -> None:
    """Rows that cover each change and nothing else, though they need not be the fewest; or too many of them."""
    a = random_rules(tmp_path / "a.yaml", "a", inputs, rules, most, 256)
    b = random_rules(tmp_path / "b.yaml", "b", inputs, rules, most, 256)
    try:
        found = diff(resolve(str(a)), resolve(str(b)))
    except ValueError as error:
        if inputs < 18 or "too many rows for" not in str(error):
            raise
        assert quick("diff", str(a), str(b)).status == 2
        return
    covered = sum(row.states for row in found.rows)
    assert covered >= found.changed_count
    rest = found.changed
    for row in found.rows:
        here = found.space.full
        for item, values in row.when.items():
            (value,) = values
            here &= atom_set(found.space, item, value)
        assert not here & found.reachable & ~found.changed
        assert (here & found.changed).bit_count() == row.states
        rest &= ~here
    assert not rest
    assert not found.fewest
    assert "the rows say every change, but need not be the fewest that do" in diff_notes(found)


def test_fewest_is_not_said_to_be_otherwise() -> None:
    found = diff(resolve("v6.7"), resolve("slot-flag"))
    assert found.fewest
    assert not any("fewest" in note for note in diff_notes(found))


def test_more_changes_than_are_listed_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    when = " or ".join(f'assume "c{at}"' for at in range(15))
    for side, byte in zip(sides, (0, 0x70), strict=True):
        side.write_text(f"rules:\n- {{id: a, when: '{when}', ept: {{byte: {byte}}}}}\n- {{id: b, ept: {{byte: 48}}}}\n")
    call = ["diff", *map(str, sides)]
    refused = quick(*call, "--expand", "-o", "jsonl")
    assert (refused.status, refused.out) == (2, "")
    assert "32767 inputs change, at most 16384 are listed (without --expand)" in refused.err
    assert quick(*call).status == 1
    found = diff(resolve(str(sides[0])), resolve(str(sides[1])))
    monkeypatch.setattr(diff_module, "MOST_EXPANDED", 32767)
    check_expandable(found)


@pytest.mark.parametrize("files", [1, 2, MOST_BASES, MOST_BASES + 1, 250])
def test_a_chain_of_bases(tmp_path: Path, files: int) -> None:
    """Rule files that stand one on another, each with a rule more."""
    for at in range(1, files + 1):
        base = f"./c{at + 1}.yaml" if at < files else "v6.7"
        rule = f"{{insert_before: mmio, id: r{at}, when: mmio, ept: {{memtype: UC, ipat: 0}}}}"
        (tmp_path / f"c{at}.yaml").write_text(f"base: {base}\nchanges: [{rule}]\n")
    run = quick("lookup", "--mmio", "-r", str(tmp_path / "c1.yaml"), "-o", "json")
    if files <= MOST_BASES:
        assert json.loads(run.out)[0]["rule"]["id"] == f"r{files}"
        return
    assert (run.status, run.out) == (2, "")
    where, message = run.err.splitlines()[0].split("c16.yaml:1:7: ")
    assert where.startswith(str(tmp_path))
    assert message == "more than 16 rule files stand one on another (rules: the whole list)"
