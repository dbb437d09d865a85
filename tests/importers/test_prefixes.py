# SPDX-License-Identifier: GPL-2.0-only
"""What logs, tools and mails put in front of a line: alone and two one behind the other, a dump means the same."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from itertools import product

import pytest

from mtcalc.importers.convert import convert
from mtcalc.importers.lines import DumpLines
from mtcalc.importers.prefixes import without_prefix
from mtcalc.importers.recognise import read_lines
from mtcalc.importers.told import Given
from mtcalc.scenario.record import Scenario
from mtcalc.text.errors import InputError
from support.program import DATA

SAMPLES = DATA / "importers" / "samples"
LOGS = ("dmesg-mtrr-4-debug.txt", "proc-mtrr-2.txt", "dmesg-mtrr-6-map.txt", "mtree-looking-glass.txt")

LOGGED = {
    "rfc5424": "<6>1 2026-11-26T10:00:00.000Z host kernel - - - ",
    "rfc5424 with data": '<6>1 2026-11-26T10:00:00.000+01:00 host.lan kernel 12 - [meta sequenceId="1"][b c="d"] ',
    "short-iso": "2026-11-26T10:00:00+0000 host kernel: ",
    "short-iso-precise": "2026-11-26T10:00:00.123456+00:00 host kernel: ",
    "short-precise": "Nov 26 10:00:00.123456 host kernel: ",
    "short-full": "Thu 2026-11-26 10:00:00 UTC host kernel: ",
    "short-unix": "1764151200.123456 host kernel: ",
    "short-monotonic": "[    0.000000] host kernel: ",
    "rsyslog": "2026-11-26T10:00:00.123456+01:00 host kernel: [    0.000000] ",
    "busybox": "Nov 26 10:00:00 host kern.info kernel: [    0.000000] ",
    "logread": "Thu Nov 26 10:00:00 2026 kern.info kernel: [    0.000000] ",
    "dmesg -d": "[    0.000000 <    0.000100>] ",
    "dmesg -x": "kern  :info  : [    0.000000] ",
    "ramoops": "<6>[    0.000000] ",
    "netconsole": "6,123,456789,-;",
    "netconsole with the release": "6.12.0-rc1,6,123,456789,-,ncfrag=0/31;",
    "caller": "[    0.000000] [T0] ",
    "caller, padded": "[    0.000000][    T0] ",
    "xen": "(XEN) ",
    "none": "",
}
AROUND = {
    "docker": "2026-11-26T10:00:00.000000000Z ",
    "jenkins": "[2026-11-26T10:00:00.000Z] ",
    "tio": "[10:00:00.123] ",
    "quoted": "> > ",
    "grep": "/var/log/kern.log:",
    "grep of a file by its name": "host1/dmesg.txt:",
    "colour": "\x1b[32m",
    "carriage return": "\r",
}


def scenario(text: str) -> Scenario:
    return convert(read_lines(DumpLines(BytesIO(text.encode()), "dump")), Given(assume=True)).scenario


def plain(found: Scenario) -> tuple[object, ...]:
    return found.slots, found.vm, found.vcnt, found.pages


def each(text: str, spoilt: Callable[[int, str], str]) -> str:
    return "".join(f"{spoilt(number, line)}\n" for number, line in enumerate(text.splitlines(), start=1))


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("logged", LOGGED)
def test_a_prefix_and_another_in_front_of_it_change_nothing(name: str, logged: str) -> None:
    text = (SAMPLES / name).read_text()
    whole = plain(scenario(text))
    for around in ("", *AROUND.values()):
        spoilt = each(text, lambda _, line, around=around: f"{around}{LOGGED[logged]}{line}")  # type: ignore[misc]
        assert plain(scenario(spoilt)) == whole, around


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize(
    "spoilt",
    [
        lambda number, line: f"{number}:{line}",
        lambda number, line: (
            f"{number}{':-'[number % 2]}{line}" if line[:5].strip("0123456789") else f"{number}:{line}"
        ),
        lambda number, line: f"dmesg.txt{':-'[number % 2]}{number}{':-'[number % 2]}{line}",
        lambda number, line: f"logs/host-1{':-'[number % 2]}{number}{':-'[number % 2]}{line}",
        lambda number, line: f'   "msg": "{line}"' if '"' not in line else line,
        lambda _, line: f"| {line} |",
    ],
    ids=["grep -n", "grep -n -C1", "grep -n -C1 in files", "in a folder", "dmesg --json", "a table in Markdown"],
)
def test_what_grep_and_others_put_in_front_changes_nothing(name: str, spoilt: Callable[[int, str], str]) -> None:
    text = (SAMPLES / name).read_text()
    assert plain(scenario(each(text, spoilt))) == plain(scenario(text))


@pytest.mark.parametrize(
    "text",
    [
        "0000:01:00.0 BAR 0 mmaps[0] KVM",
        "synic-0-msg-page",
        "0-msg-page",
        "00000-9FFFF write-back",
        "0: 0000000000000000-000000009ffff write-back",
        "x86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT",
        "1 base 00C0000000 mask FFC0000000 uncachable",
        "0000000000001000-0000000000001fff (prio 0, ram): pc.ram KVM",
        "kvm_set_user_memory Slot#0 flags=0x0 gpa=0x0 size=0xa0000 ua=0x7f ret=0",
        "12:34:56 x",
    ],
)
def test_what_looks_like_a_prefix_and_is_none_stays(text: str) -> None:
    assert text.endswith(without_prefix(text))
    assert without_prefix(text) in (text, "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CR0: actual=0x0000000080050033, shadow=0x00000000c0050033,\ngh_mask=fffffffffffefff7\n", "not whole"),
        (" x-1 [0] 1.0: kvm_msr: msr_write 277 =\n0x407050600070106\n", "not whole"),
        (" x-1 [0] 1.0: kvm_msr: msr_write 2ff = 0x806\n x-1 [0] 1.0: kvm_msr:\nmsr_write 277 = 0x6\n", "not whole"),
        (
            "qemu-system-x86_64 \\\n-machine pc,memory-backend\n=pc.ram,acpi=on \\\n-cpu host \\\n-m 4G\n",
            "rest",
        ),
    ],
)
def test_a_line_that_was_wrapped_and_can_not_be_joined_is_an_error(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        scenario(text)


def test_lines_beside_those_that_grep_found_go_on_from_their_numbers() -> None:
    text = (SAMPLES / "03-dmesg-bare-mtrr-cleanup-two-sets.txt").read_text()
    for file in ("", "host/dmesg-1", "kern-2.log"):
        for first in (0, 1):

            def spoilt(number: int, line: str, file: str = file, first: int = first) -> str:
                mark = ":-"[(number + first) % 2] if number > 1 else ":"
                return f"{file}{mark if file else ''}{number}{mark}{line}"

            assert plain(scenario(each(text, spoilt))) == plain(scenario(text)), (file, first)


def test_every_two_prefixes_of_logs_come_off() -> None:
    for (one, first), (two, second) in product(LOGGED.items(), repeat=2):
        assert without_prefix(f"{first}{second}MTRR default type: uncachable").startswith("MTRR"), (one, two)
