# SPDX-License-Identifier: GPL-2.0-only
"""Help of every command, and what is said of wrong usage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mtcalc.cli.main import cli
from mtcalc.kvm.flags import ALL_QUIRK_BITS
from mtcalc.kvm.release import newest
from support.program import quick

EVERY_QUIRK = sum(ALL_QUIRK_BITS.values())


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, ...]]:
    """Every command and group, by the words that name it."""
    yield names
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield (*names, name)


@pytest.mark.parametrize("names", list(commands(cli)), ids=" ".join)
def test_help(names: tuple[str, ...]) -> None:
    done = quick(*names, "-h")
    assert (done.status, done.err) == (0, "")
    assert done.out == quick(*names, "--help").out
    assert done.out.startswith(f"Usage: {' '.join(('mtcalc', *names))} ")
    assert max(map(len, done.out.splitlines())) <= 80
    assert done.out.isascii()
    assert "..." not in done.out.split("\n", 1)[1].replace("VALUE...", "")  # nothing cut
    # Help needs no file, no address and no terminal, and says more than the usage.
    assert len(done.out.splitlines()) > 4


def test_help_of_the_environment_does_not_matter() -> None:
    bad = {"MTCALC_RULES": "?", "MTCALC_OUTPUT": "?", "MTCALC_COLOR": "?"}
    assert quick("lookup", "-h", env=bad).status == 0


def test_version() -> None:
    from mtcalc import __version__

    last = ".".join(map(str, newest()))
    assert quick("--version").out == f"mtcalc {__version__}, KVM of Linux 2.6.28 to {last}\n"


SCENARIO = "golden/virtio-gpu.yaml"

WRONG = [
    ("evla", "no command 'evla' (did you mean eval?)"),
    ("lookup --slot-flg x", "no such option '--slot-flg'. Did you mean '--slot-flag'?"),
    ("lookup --l2", "no such option '--l2' here (explain has it)"),
    ("decode --level 1", "no such option '--level' here (decode epte has it)"),
    ("decode 0x7", "'0x7' is of which kind? (decode pat 0x7, decode epte 0x7)"),
    ("decode 0x2ff=0x6", "'0x2ff=0x6' is of which kind? (decode mtrr 0x2ff=0x6)"),
    ("lookup --mtrr off", "'off': MTRRs that are off have no type"),
    ("lookup extra", "got unexpected extra argument (extra)"),
    ("lookup --pat", "option '--pat' requires an argument"),
    ("lookup --pat wbx", "'wbx' is not a memory type (one of UC, UC-, WC, WT, WP, WB)"),
    ("lookup --mtrr uc-", "UC- exists in the PAT alone (one of UC, WC, WT, WP, WB)"),
    ("lookup --slot-flag noncoherent", "unknown slot flag 'noncoherent' (did you mean NON_COHERENT_DMA?)"),
    ("lookup --slot-flag 16", "EINVAL: 16 has bits outside 0xf"),
    ("lookup --slot-flag dma", "KVM_MEM_DMA acts on the whole VM (say --mem-dma, or vm: {mem_dma: true})"),
    ("lookup --disable-quirk cd-nw", "unknown quirk 'cd-nw' (did you mean CD_NW_CLEARED?)"),
    (
        "lookup --disable-quirk 0x80000000",
        f"has bits outside {EVERY_QUIRK:#x} (0x2 CD_NW_CLEARED, 0x200 IGNORE_GUEST_PAT",
    ),
    ("lookup --no-paging --pat wb", "--no-paging and --pat exclude each other"),
    ("lookup --assume x", "assumption (TEXT=yes or TEXT=no, TEXT=WC for a memory type)"),
    ("lookup -o jsno", "'jsno' is not known (did you mean json?)"),
    ("lookup --color sometimes", "'sometimes' is not known (one of auto, always, never)"),
    ("lookup -r slotflag", "unknown rule set 'slotflag' (did you mean slot-flag?)"),
    ("lookup -r 2.6.27", "2.6.27"),
    ("lookup -r 9.1", "latest"),
    ("lookup -r nowhere.yaml", "nowhere.yaml: no such file"),
    ("explain --pat wc --pat wb", "--pat is given twice"),
    ("explain -r v6.7 -r v4.4", "-r is given twice"),
    ("explain --gpa 0", "--gpa without FILE (an address of which scenario?)"),
    (f"explain {SCENARIO}", "FILE without --gpa (which address of it?)"),
    (f"explain {SCENARIO} --gpa 0 --cd", "FILE says what the flags would"),
    (f"explain {SCENARIO} --gpa 0 --no-paging", "FILE says what the flags would"),
    (f"explain {SCENARIO} --gpa 0x400000000000", "0x400000000000 is beyond the guest's maxphyaddr 46"),
    ("explain -o csv", "'csv' is not known"),
    (f"check {SCENARIO} -r v6.7 -r v4.4", "-r is given twice"),
    ("check", "missing argument 'FILE'"),
    ("eval", "missing argument 'FILE'"),
    ("eval no/such/file", "no/such/file: no such file (a path, or - for standard input)"),
    ("eval .", ".: is a directory (a file)"),
    (f"eval {SCENARIO} --gpa 08", "'08' has a leading zero (hex is written 0x8; decimal has no leading zero)"),
    (f"eval {SCENARIO} --gpa 4PB", "'4PB' is not a number (decimal, 0x hex, or a size such as 64K, 2M, 4G, 1T)"),
    (f"eval {SCENARIO} --gpa -1", "'-1' is not a number"),
    (f"eval {SCENARIO} --ranges --gpa 0", "--ranges and --gpa exclude each other"),
    (f"eval {SCENARIO} --pat wc", "--pat without --gpa (a range's answer carries all six types)"),
    ("rules lits", "no such command 'lits'. Did you mean 'list'?"),
    ("rules show", "missing argument 'REF'"),
    ("rules show v4.5x", "unknown rule set 'v4.5x'"),
    ("decode pat", "missing argument 'VALUE'"),
    ("decode pat 0x8", "#GP: entry 0 of IA32_PAT 0x0000000000000008 is 0x08"),
    ("decode pat lniux", "'lniux' is no PAT (linux, reset, eight types as dmesg prints them, or the register in hex)"),
    ("decode mtrr 0x2ff", "'0x2ff' has no = (REG=VALUE, such as 0x2ff=0xc06)"),
    ("decode mtrr 0x2ff=0 0x2ff=1", "IA32_MTRR_DEF_TYPE is given twice (each register once)"),
    ("decode mtrr 0x123=1", "0x123"),
    ("decode epte", "missing argument 'VALUE...'"),
    ("decode epte 0xzz", "'0xzz' is not a number (hex is 0x and digits 0-9 a-f)"),
    ("decode epte --level 6 0x7", "6 is not in the range 1<=x<=5"),
    ("decode epte 0x10000000000000000", "does not fit 64 bits"),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_usage_is_said_with_what_would_be_right(line: str, message: str) -> None:
    """2 wrong usage or bad input, with one message on standard error and nothing on standard output."""
    done = quick(*line.split())
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    first, *rest = done.err.splitlines()
    assert first.startswith("mtcalc")
    command = first.partition(": ")[0]
    assert rest in ([], [f"Try '{command} --help'."])
    assert quick(*command.split()[1:], "--help").status == 0


def test_a_group_alone_shows_what_it_has() -> None:
    """Nothing was asked: the help, but as an error."""
    for group in ((), ("rules",), ("decode",)):
        done = quick(*group)
        assert (done.status, done.out) == (2, "")
        assert done.err.rstrip() == quick(*group, "--help").out.rstrip()


def test_every_spelling_of_an_input_is_taken() -> None:
    """Case, hyphen or underscore and the KVM_MEM_ prefix do not matter, numbers work."""
    flags = ("NON_COHERENT_DMA", "non-coherent-dma", "KVM_MEM_NON_COHERENT_DMA", "kvm-mem-non_coherent-dma", "8", "0x8")
    assert len({quick("lookup", "--slot-flag", flag, "-o", "json").out for flag in flags}) == 1
    quirks = ("CD_NW_CLEARED", "cd-nw-cleared", "KVM_X86_QUIRK_CD_NW_CLEARED", "2")
    assert len({quick("lookup", "--disable-quirk", quirk, "-o", "json").out for quirk in quirks}) == 1
    types = ("UC-", "uc-", "uncached-minus", "Uncached-Minus")
    assert len({quick("lookup", "--pat", kind, "-o", "json").out for kind in types}) == 1


def test_options_before_and_behind_the_file() -> None:
    wanted = quick("eval", SCENARIO, "--gpa", "0", "-o", "json").out
    assert quick("eval", "-o", "json", "--gpa", "0x0", SCENARIO).out == wanted
    assert quick("eval", "-ojson", "--gpa=0", "--", SCENARIO).out == wanted


def test_a_repeated_type_is_answered_once() -> None:
    assert len(quick("lookup", "--pat", "wc", "--pat", "WC", "-o", "json").json) == 1


def test_register_values_that_may_be_hex_or_decimal_are_refused() -> None:
    for args in (("decode", "mtrr", "0x201=800"), ("decode", "pat", "407050600070106")):
        done = quick(*args)
        assert (done.status, done.out) == (2, "")
        assert "hex or decimal? (write 0x" in done.err


def test_epte_values_are_hex() -> None:
    bare, marked = (quick("decode", "epte", word, "-o", "json") for word in ("60000017", "0x60000017"))
    assert bare.json == marked.json


def test_more_mtrrs_than_kvm_has_is_said_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("guest:\n  mtrr: {vcnt: 10}\nmemslots: [{gpa: 0, size: 4K}]\n")
    done = quick("eval", str(path), "-r", "6.1")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"{path}:2:9: 10 variable MTRRs, and KVM gives a guest 8 (only the manual's view exists")


def test_standard_input_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("memslots: [{gpa: 0, size: 4K}]\n")
    for command in ("eval", "mtrr"):
        done = quick(command, str(path), "-r", "-", "--gpa", "-", stdin="0x0\n")
        assert (done.status, done.out) == (2, "")
        assert "-r and --gpa can't both be standard input" in done.err


def test_an_assumption_is_given_once() -> None:
    done = quick("lookup", "--assume", "f(x)=yes", "--assume", "f(x)=no")
    assert (done.status, done.out) == (2, "")
    assert "--assume: `f(x)` is given twice" in done.err
