# SPDX-License-Identifier: GPL-2.0-only
"""Samples as mails, shells and hands spoil them: an answer or a clean error, and no number that nobody wrote."""

from __future__ import annotations

import random
import re
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtcalc.importers.convert import convert
from mtcalc.importers.lines import DumpLines
from mtcalc.importers.recognise import read_lines
from mtcalc.importers.told import Given
from mtcalc.scenario.load import load_scenario
from mtcalc.scenario.record import Scenario
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MemType
from support.dumps import WRAPPINGS, wrapped
from support.program import DATA, Run

SAMPLES = {path.stem: path.read_text() for path in sorted((DATA / "importers/samples").glob("*.txt"))}
FLAGS = Given(default=MemType.UC, host=False)
PLAIN = Given()


def importing(text: str, given: Given = PLAIN) -> Run:
    """import of a text, as the program ends; tests/fuzz runs the program itself."""
    data = text.encode("utf-8", "surrogatepass")
    try:
        found = convert(read_lines(DumpLines(BytesIO(data), "-")), given)
    except InputError as error:
        return Run(2, "", f"{error}\n")
    return Run(0, found.text, "\n".join(found.remarks))


def assert_clean(done: Run) -> Scenario | None:
    """An answer that loads, or one message and nothing else."""
    assert done.status in (0, 2)
    if done.status == 2:
        assert done.out == ""
        head = done.err.split("\n", 1)[0]
        assert re.match(r"-:\d+:\d+: |mtcalc", head)
        assert len(done.err) < 1000
        return None
    assert all(remark.isprintable() for remark in done.err.split("\n"))
    return load_scenario(done.out, "vm.yaml")


def cut_lines(draw: random.Random, text: str) -> str:
    lines = text.split("\n")
    start = draw.randrange(len(lines))
    return "\n".join(lines[start : draw.randrange(start, len(lines)) + 1])


def lose_a_line(draw: random.Random, text: str) -> str:
    lines = text.split("\n")
    del lines[draw.randrange(len(lines))]
    return "\n".join(lines)


def flip_a_character(draw: random.Random, text: str) -> str:
    at = draw.randrange(len(text))
    return text[:at] + draw.choice('0aZ=:-{}\\"\x00\x1b\xe9 \n') + text[at + 1 :]


def wrap_again(draw: random.Random, text: str) -> str:
    return wrapped(text.split("\n"), draw.choice(sorted(WRAPPINGS)))


def mix(draw: random.Random, text: str) -> str:
    return text + draw.choice(list(SAMPLES.values()))


def fold(draw: random.Random, text: str) -> str:
    width = draw.randrange(30, 76)
    return "\n".join(line[:width] + ("\n" + line[width:] if len(line) > width else "") for line in text.split("\n"))


@settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(
        st.sampled_from((cut_lines, lose_a_line, flip_a_character, wrap_again, mix, fold)), min_size=1, max_size=3
    ),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_whatever_befalls_a_dump_it_is_answered_or_refused(
    name: str, changes: list[object], draw: random.Random, flags: bool
) -> None:
    text = SAMPLES[name]
    for change in changes:
        assert callable(change)
        text = change(draw, text) or "x"
    assert_clean(importing(text, FLAGS if flags else PLAIN))


def state_of(scenario: Scenario) -> tuple[object, ...]:
    return (scenario.vm, [slot[:-1] for slot in scenario.slots], [page[:2] for page in scenario.pages])


# Where a line has what a scenario takes from it.
VALUES = re.compile(
    r"base=0x(\w+) \( *(\d+)MB\), size= *(\d+)|base (\w+) mask (\w+)|(\w{5})-(\w{5}) [wu]|base: (\d+)\w+, range: (\d+)"
    r"|(\w{16})-(\w{16}) (?=\(prio -?\d+, (?:ram|rom))|\d: (\w{16})-(\w{16}) [wu]|\[0x(\w+)-0x(\w+)\]"
    r"|slot=(\d+)|guest_phys_addr=0x(\w+)|memory_size=(\d+)|userspace_addr=0x(\w+)"
    r"|Slot#(\d+) flags=0x(\w+) gpa=0x(\w+) size=0x(\w+) ua=0x(\w+)"
    r"|(?:Type|\\] *): 0x(\w+)|Base=(?:0x)?(\w+) Mask=(?:0x)?(\w+)|\): 0x(\w+)|MTRR\\w+ 0x\\w+: 0x(\w+)"
    r"|base 0x(\w+) mask 0x(\w+) type (\d)|Fixed MSR 0x\w+ 0x(\w+)|[YN] +\w+ +(\w{16}) (\w{16}) (\w{16})"
)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_changed_digit_that_is_accepted_changes_the_number(name: str) -> None:
    """In a line that the result names, another digit of a value is an error or another scenario."""
    text = SAMPLES[name]
    before = importing(text, FLAGS)
    if before.status == 2:
        return  # the golden cases say why
    wanted = state_of(load_scenario(before.out, "vm.yaml"))
    named = {int(number) for number in re.findall(r"# -:(\d+)", before.out)}
    draw = random.Random(name)
    places = []
    at = 0
    for number, line in enumerate(text.split("\n"), start=1):
        for found in VALUES.finditer(line) if number in named else ():
            spans = [found.span(group) for group in range(1, VALUES.groups + 1) if found[group] is not None]
            places += [at + column for start, end in spans for column in range(start, end) if line[column].isdigit()]
            if re.search(r"[1-9a-f]0?-[0-9a-f]{16} \(", line):  # cut to whole pages: what is in the page is lost
                places = [place for place in places if not 13 <= (place - at - line.index(found[0])) % 17 < 16]
        at += len(line) + 1
    draw.shuffle(places)
    for place in places[:80]:
        digit = draw.choice([d for d in "0123456789" if d != text[place]])
        scenario = assert_clean(importing(text[:place] + digit + text[place + 1 :], FLAGS))
        line = text[text.rfind("\n", 0, place) + 1 : text.find("\n", place)]
        assert scenario is None or state_of(scenario) != wanted, (line, text[place], digit)
    assert places or not re.search("variable:|memslots:", before.out)


def test_the_law_of_digits_can_fail() -> None:
    """A scenario that is another one is seen as such."""
    text = SAMPLES["d1-dmesg-iso"]
    a, b = (load_scenario(importing(t).out, "vm.yaml") for t in (text, text.replace("0080000000", "0000000000")))
    assert state_of(a) != state_of(b)
    assert a.vm.mtrrs.variable[0].memtype is MemType.UC


def test_a_row_that_is_lost_is_missed() -> None:
    """One of a list of pairs, of fixed ranges, spoilt so that it is of no format: never silently one pair less."""
    text = SAMPLES["dmesg-mtrr-1"]
    lines = text.split("\n")
    for number in range(16):
        for spoilt in (None, lines[number].replace(" ", " x", 3)):
            changed = [*lines[:number], *([] if spoilt is None else [spoilt]), *lines[number + 1 :]]
            done = importing("\n".join(changed))
            if (
                lines[number].endswith("enabled:") and number
            ):  # a header: what stands below it is not known for what it is
                continue
            assert done.status == 2, (lines[number], spoilt)


def test_a_changed_letter_of_a_row_is_no_silence() -> None:
    for name in ("qemu-mtree-f-1-kvm-owner", "proc-mtrr-4", "qemu-trace-memslot-6-failed"):
        text = SAMPLES[name]
        whole = state_of(load_scenario(importing(text, FLAGS).out, "vm.yaml"))
        for number, line in enumerate(text.split("\n")[:-1]):
            if not VALUES.search(line) or "ret=-" in line:
                continue
            for column in range(len(line) - len(line.lstrip()), min(len(line), 45)):
                lines = text.split("\n")
                lines[number] = line[:column] + "~" + line[column + 1 :]
                done = importing("\n".join(lines), FLAGS)
                assert done.status == 2 or state_of(load_scenario(done.out, "vm.yaml")) == whole, lines[number]
