# SPDX-License-Identifier: GPL-2.0-only
"""Laws: what a tool writes of a state, in whatever a mail or a log makes of it, is that state once imported."""

from __future__ import annotations

import random
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtcalc.importers.convert import Imported, convert
from mtcalc.importers.lines import DumpLines
from mtcalc.importers.recognise import read_lines
from mtcalc.importers.told import Given
from mtcalc.scenario.record import Scenario
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import manual_lookup
from support.dumps import (
    FIXED_STARTS,
    TYPES,
    WRAPPINGS,
    Block,
    State,
    blocks,
    dmesg,
    packed_journal_bytes,
    proc_mtrr,
    registers,
    states,
    strace_line,
    trace_line,
    wrapped,
)

NOTHING = Given()


def imported(text: str, given: Given = NOTHING, name: str | None = None) -> Imported:
    """What import makes of one dump."""
    return convert(read_lines(DumpLines(BytesIO(text.encode()), "dump"), name), given)


def type_by_the_manual(state: State, address: int) -> int | None:
    """A model of the manual's words over the state itself; None: undefined."""
    if not state.enabled:
        return 0
    if state.fixed_enabled and address < 0x100000:
        return state.fixed[max(n for n, start in enumerate(FIXED_STARTS) if start <= address)]
    kinds = {pair[2] for pair in state.pairs if pair and pair[0] <= address < pair[0] + pair[1]}
    if not kinds:
        return state.default
    if len(kinds) == 1:
        return kinds.pop()
    return 0 if 0 in kinds else 4 if kinds == {4, 6} else None


def assert_same(scenario: Scenario, state: State, fixed: bool = True) -> None:
    """The scenario's MTRRs are the state, register for register, and as the model has them."""
    mtrrs = scenario.vm.mtrrs
    assert mtrrs.enabled == state.enabled
    assert mtrrs.default == state.default or not state.enabled
    assert scenario.vm.maxphyaddr == state.width
    for number, pair in enumerate(state.pairs):
        got = mtrrs.variable[number] if number < len(mtrrs.variable) else None
        if pair is None:
            assert got is None or not got.valid
        else:
            assert got is not None
            assert (got.valid, got.address, got.memtype) == (True, pair[0], pair[2])
            assert (1 << state.width) - got.address_mask(state.width) == pair[1]
    if fixed:
        assert mtrrs.fixed_enabled == state.fixed_enabled
        assert tuple(mtrrs.fixed) == state.fixed
        draw = random.Random(1)
        edges = [edge for pair in state.pairs if pair for edge in (pair[0], pair[0] + pair[1] - 1)]
        for address in (*edges, *FIXED_STARTS, *(draw.randrange(1 << state.width) for _ in range(20))):
            want = type_by_the_manual(state, address)
            assert manual_lookup(mtrrs, address).memtype == want or want is None


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(states(), st.sampled_from(sorted(WRAPPINGS)))
def test_a_kernels_log_is_read_as_it_was_written(state: State, wrapping: str) -> None:
    scenario = imported(wrapped(dmesg(state), wrapping)).scenario
    assert_same(scenario, state)
    assert [str(kind) for kind in scenario.vm.pat.entries] == ["WB", "WC", "UC-", "UC", "WB", "WP", "UC-", "WT"]


@settings(max_examples=100)
@given(states(), st.sampled_from(sorted(WRAPPINGS)))
def test_proc_mtrr_is_read_as_it_was_written(state: State, wrapping: str) -> None:
    text = wrapped(proc_mtrr(state), wrapping)
    scenario = imported(text, Given(default=MemType(state.default), maxphyaddr=state.width)).scenario
    assert_same(scenario, state._replace(enabled=True), fixed=False)


@settings(max_examples=100)
@given(
    states(),
    st.sampled_from(
        ("{:#x} {:x}", "{:#x} = {:#x}", "{:x}={:016x}", "0x{:x}: 0x{:016x}", "[CHIPSEC] RDMSR( {:#x} ) = {:016x}")
    ),
    st.randoms(use_true_random=False),
)
def test_registers_are_read_as_they_were_written(state: State, form: str, order: random.Random) -> None:
    """In any order, with the number of pairs from MTRRcap."""
    lines = [form.format(msr, value) for msr, value in registers(state).items()]
    lines.append(form.format(0xFE, 0x500 | len(state.pairs)))
    order.shuffle(lines)
    scenario = imported("\n".join(lines)).scenario
    assert_same(scenario, state)


@given(states(), st.integers(1, 3))
def test_the_kvm_msr_trace_is_replayed(state: State, vcpus: int) -> None:
    """Each vCPU writes its own; a write with #GP did not happen; the last one counts."""
    lines = []
    for vcpu in range(vcpus):
        head = f" CPU {vcpu}/KVM-{100 + vcpu} [00{vcpu}] d..1. 1.5: kvm_msr: msr_write"
        lines.append(f"{head} 2ff = 0x806")
        for msr, value in registers(state).items():
            lines += [f"{head} {msr:x} = 0x{value:x}", f"{head} {msr:x} = 0xffffffffffffffff (#GP)"]
    found = imported("\n".join(lines))
    assert_same(found.scenario, state)
    assert not any("whose" in remark for remark in found.remarks)


def test_a_journal_of_bytes() -> None:
    lines = ["MTRR default type: write-back", "MTRR variable ranges enabled:"]
    lines += [f"  {n} disabled" for n in range(8)]
    text = "\n".join(map(packed_journal_bytes, lines))
    assert imported(text).scenario.vm.mtrrs.default is MemType.WB


def slots_of(found: Imported) -> set[Block]:
    return {Block(s.id, s.gpa, s.size, s.flags, s.hva or 0, s.address_space) for s in found.scenario.slots}


class _Log:
    """A log of calls that ends with the given slots: some were there before, and are gone or were others."""

    def __init__(self, draw: random.Random, line: object) -> None:
        self.draw, self.lines, self.line = draw, [], line  # type: ignore[var-annotated]

    def play(self, wanted: list[Block]) -> list[str]:
        assert callable(self.line)
        for block in wanted:
            if self.draw.random() < 0.5:
                old = block._replace(size=4096, flags=self.draw.choice((0, 1, 2)))
                self.lines.append(self.line(old, old.size))
                if self.draw.random() < 0.7 or old.hva != block.hva:
                    self.lines.append(self.line(old, 0))
            if self.draw.random() < 0.2:
                self.lines.append(
                    self.line(block._replace(id=block.id + 100, flags=0), block.size, "-17 EEXIST (File exists)")
                )
            self.lines.append(self.line(block, block.size))
        return self.lines


@settings(max_examples=100)
@given(
    blocks(),
    st.booleans(),
    st.randoms(use_true_random=False),
    st.sampled_from(("bare", "mail", "printk", "crlf", "journal")),
)
def test_qemus_trace_ends_with_the_slots_that_are_there(
    wanted: list[Block], split: bool, draw: random.Random, wrapping: str
) -> None:
    def line(block: Block, size: int, result: str = "0") -> str:
        return trace_line(block, size, split, int(result.split()[0]))

    assert slots_of(imported(wrapped(_Log(draw, line).play(wanted), wrapping))) == set(wanted)


@settings(max_examples=100)
@given(blocks(), st.booleans(), st.randoms(use_true_random=False), st.sampled_from(("bare", "mail", "crlf", "html")))
def test_strace_ends_with_the_slots_that_are_there(
    wanted: list[Block], broken: bool, draw: random.Random, wrapping: str
) -> None:
    lines = _Log(draw, strace_line).play(wanted)
    if broken:  # as mails do
        lines = [part for line in lines for part in line.replace(", memory", ",\n   memory").split("\n")]
    assert slots_of(imported(wrapped(lines, wrapping))) == set(wanted)


@settings(max_examples=100)
@given(
    blocks(),
    st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 4095)), min_size=12, max_size=12),
    st.booleans(),
    st.booleans(),
)
def test_info_mtree_gives_whole_pages(
    wanted: list[Block], cuts: list[tuple[int, int]], lower: bool, wraps: bool
) -> None:
    """Rows that are not whole pages have no mark, and are cut as QEMU cuts them."""
    lines = []
    want = []
    for space, view in ((0, "memory"), (1, "KVM-SMRAM")):
        rows = [block for block in wanted if block.space == space]
        if rows:
            lines += [f"FlatView #{space}", f' AS "{view}", root: x', ' AS "I/O2", root: io', " Root memory region: x"]
        whole = any(True for _ in rows)
        for number, block in enumerate(rows):
            head, tail = cuts[number % 12] if number else (0, 0)
            start, end = block.gpa + head, block.gpa + block.size - tail
            kind, flags = ("rom", 2) if block.flags & 2 else ("ram", 0)
            first, last = -(-start // 4096) * 4096, end // 4096 * 4096
            if start >= end:
                continue
            mark = (" kvm" if lower else " KVM") if (start, end) == (first, last) else ""
            row = f"  {start:016x}-{end - 1:016x} (prio 0, {kind}): mem{number} @{block.hva:016x}{mark}"
            lines += row.replace(" @", "\n@").split("\n") if wraps else [row]
            if first < last:
                want.append((first, last - first, flags, space))
        assert whole or not rows
    found = {(s.gpa, s.size, s.flags, s.address_space) for s in imported("\n".join(lines)).scenario.slots}
    assert found == set(want)


@pytest.mark.parametrize("kind", sorted(TYPES.values()))
def test_a_law_can_fail(kind: str) -> None:
    """The laws above see a type that is another one."""
    state = State(True, False, 6, (0,) * 88, ((0, 1 << 30, 1),), 40)
    text = "\n".join(dmesg(state)).replace("write-combining", kind)
    lines = text.split("\n")
    lines[4:4] = []
    scenario = imported("\n".join([*lines[:-1], *(f"  {n} disabled" for n in range(1, 8)), lines[-1]])).scenario
    if kind == "write-combining":
        assert_same(scenario, state)
    else:
        with pytest.raises(AssertionError):
            assert_same(scenario, state)
