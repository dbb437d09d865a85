# SPDX-License-Identifier: GPL-2.0-only
"""Other tools' texts given where a scenario is expected: named, with what to do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.scenario.foreign import recognised
from mtcalc.scenario.load import load_scenario
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import parse_memtype
from support.program import DATA, quick

PADDED = "0000000000000c06"

# The text, the line that shows it, what it is, what the message has to name.
TEXTS = [
    ((DATA / "foreign/proc-mtrr.txt").read_text(), 1, "/proc/mtrr", "guest.mtrr.default"),
    ("reg00: base=0x000000000 (    0MB), size= 128MB: write-back, count=1\n", 1, "/proc/mtrr", None),
    ((DATA / "foreign/dmesg.txt").read_text(), 3, "a kernel's log", "guest.mtrr.default: write-back"),
    ((DATA / "foreign/dmesg-disabled.txt").read_text(), 4, "a kernel's log of the MTRRs", "guest.mtrr"),
    ("MTRR default type: uncachable\n", 1, "a kernel's log", "guest.mtrr.default: uncachable"),
    (
        "[ 0.1] MTRR map: 6 entries (4 fixed + 2 variable; max 24), built from 10 variable MTRRs\n",
        1,
        "a kernel's log",
        "",
    ),
    ("  0 base 0000C0000000 mask 3FFFC0000000 uncachable\n", 1, "a kernel's log of the MTRRs", "guest.mtrr.variable"),
    ("x86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT  \n", 1, "a kernel's log", "guest.pat: WB  WC  UC-"),
    ("PAT configuration [0-7]: WB  WC  UC- UC  WB  WC  UC- UC  \n", 1, "a kernel's log", "mtcalc decode pat 'WB  WC"),
    ("x86 PAT enabled: cpu 0, old 0x7040600070406, new 0x7010600070106\n", 1, "a kernel's log", "0x7010600070106"),
    (f"0x2ff {PADDED}\n0x200 00000000c0000000\n", 1, "a dump of MSRs", "mtcalc decode mtrr"),
    ("2ff: c06\n", 1, "a dump of MSRs", "mtcalc decode mtrr"),
    ("MTRRphysBase0 (0x200): 0x00000000c0000000\n", 1, "a dump of MSRs", "mtcalc decode mtrr"),
    ("IA32_MTRR_PHYSBASE0=0xc0000000\n", 1, "a dump of MSRs", "mtcalc decode mtrr"),
    ("[CHIPSEC] RDMSR( 0x277 ) = 0007040600070406\n", 1, "a dump of MSRs", "mtcalc decode mtrr"),
    (" qemu-1 [000] 1.0: kvm_msr: msr_write 2ff = 0xc06\n", 1, "a dump of MSRs", "mtcalc decode mtrr"),
    (f"{PADDED}\n", 1, "the value of a register", f"REG=0x{PADDED}"),
    ("407050600070106\n", 1, "the value of a register", "mtcalc decode pat 0x407050600070106"),
    (
        'FlatView #0\n AS "memory", root: system\n  0000000000000000-000000000009ffff (prio 0, ram): pc.ram KVM\n',
        1,
        "QEMU's info mtree",
        "memslot",
    ),
    ("  0000000000000000-000000000009ffff (prio 0, ram): pc.ram KVM\n", 1, "QEMU's info mtree", "END - START + 1"),
    (
        "address-space: memory\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n",
        1,
        "QEMU's info mtree without -f",
        "info mtree -f",
    ),
    (
        "kvm_set_user_memory Slot#0 flags=0x0 gpa=0x0 size=0xa0000 ua=0x7f ret=0\n",
        1,
        "QEMU's trace of memory slots",
        "memslot",
    ),
    (
        "ioctl(9, KVM_SET_USER_MEMORY_REGION, {slot=0, flags=0, guest_phys_addr=0, memory_size=4096}) = 0\n",
        1,
        "a trace of system calls",
        "memslot",
    ),
    (
        "# tracer: nop\n qemu-1 [001] d..1 1.0: kvm_mmu_set_spte: gfn 100 spte 600000100000b77 (rwxu) level 1 at 1f\n",
        2,
        "a trace of SPTEs",
        "mtcalc decode epte --level 1 600000100000b77",
    ),
    (
        " CPU 0/KVM-9 [0] 1.0: kvm_tdp_mmu_spte_changed: as id 0 gfn 1 level 1 old_spte 0 new_spte 7\n",
        1,
        "a trace of SPTEs",
        "mtcalc decode epte",
    ),
    ("kernel: ept_misconfig_inspect_spte: spte 0x84c236107 level 4\n", 1, "a trace of SPTEs", "mtcalc decode epte"),
    ("------ spte 0x1344a0827 level 1.\n", 1, "a log of SPTEs", "mtcalc decode epte"),
    ("MTRR Default Type: 0x806\n", 1, "a firmware's log of the MTRRs", None),
    ("Variable MTRR[00]: Base=0x00C0000000 Mask=0x3FFFC0000800\n", 1, "a firmware's log of the MTRRs", "physmask"),
    ("MTRR: 0 base 0x00000000 mask 0x0000007f80000000 type 6\n", 1, "a firmware's log of the MTRRs", "guest.mtrr"),
    ("PAT memtype list:\nPAT: [mem 0xc0000000-0xc0001000] write-combining\n", 1, "pat_memtype_list", "pages"),
    ("qemu-system-x86_64 -accel kvm -m 4G -device vfio-pci,host=01:00.0\n", 1, "QEMU's command line", "memslots"),
    ("<domain type='kvm'>\n  <memory unit='KiB'>4194304</memory>\n</domain>\n", 1, "a libvirt domain", "memslots"),
    ("processor\t: 0\nvendor_id\t: GenuineIntel\n", 1, "/proc/cpuinfo", "host.self_snoop"),
    ("00000000-00000fff : Reserved\n00001000-0009ffff : System RAM\n", 1, "/proc/iomem", "memslots"),
    (
        "Subject: x\n\nreg00: base=0x0\n---\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
        5,
        "a patch",
        "mtcalc review FILE",
    ),
    ("--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n", 3, "a patch", "mtcalc review FILE"),
    (
        "static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)\n{\n\treturn 0x30;\n}\n",
        1,
        "C source",
        "mtcalc rules show FILE.c",
    ),
    ("// SPDX-License-Identifier: GPL-2.0\n#include <linux/kvm_host.h>\n\nint x;\n", 2, "C source", "rules show"),
    ("<!DOCTYPE html>\n<html><body>reg00: base=0x0</body></html>\n", 1, "an HTML page", "raw text"),
]


@pytest.mark.parametrize(("text", "line", "name", "right"), TEXTS, ids=[text.strip()[:40] for text, *_ in TEXTS])
def test_other_texts_are_named_with_what_to_do(text: str, line: int, name: str, right: str | None) -> None:
    for lead in ("", "\n" * 3):
        with pytest.raises(InputError) as caught:
            load_scenario(lead + text, "in.txt")
        error = caught.value
        if right is None:
            assert error.message.startswith("this is ")
            continue
        assert error.message.startswith(f"this is {name}")
        assert ", no scenario (" in error.message
        assert right in error.message
        assert error.message.endswith(")")
        assert len(error.message) < 300
        assert error.place
        assert (error.place.file, error.place.line) == ("in.txt", line + len(lead))
        assert 1 <= error.place.column <= len(error.place.source)


@pytest.mark.parametrize("command", ["eval", "check", "explain --gpa 0"])
def test_every_command_that_needs_slots_says_what_is_missing(command: str) -> None:
    done = quick(*command.split(), "foreign/proc-mtrr.txt")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(
        "foreign/proc-mtrr.txt:1:1: this is proc-mtrr, in which no memory slots are (mtcalc import "
    )


@pytest.mark.parametrize("command", ["eval", "mtrr", "check", "explain --gpa 0"])
def test_every_command_names_what_it_can_not_take(command: str) -> None:
    """A text that is neither a scenario nor a dump which import reads."""
    done = quick(*command.split(), "-", stdin="------ spte 0x1344a0827 level 1.\n")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("-:1:1: this is a log of SPTEs, no scenario (mtcalc decode epte ")


def test_a_message_about_proc_mtrr_leads_to_the_right_scenario() -> None:
    """What it says of each of the lines, put together, is the register state."""
    dump = (DATA / "foreign/proc-mtrr.txt").read_text().splitlines()
    pairs = []
    for line in dump:
        error = recognised(line, "mtrr")
        assert error
        said = re.search(r"\{base: .*?\}", error.message)
        assert said
        pairs.append(said[0])
    scenario = load_scenario(f"guest: {{mtrr: {{variable: [{', '.join(pairs)}]}}}}", "vm.yaml")
    variable = [pair for pair in scenario.vm.mtrrs.variable if pair.valid]
    assert [(pair.address, pair.memtype) for pair in variable] == [
        (0xC0000000, parse_memtype("UC")),
        (0xB0000000, parse_memtype("UC")),
        (0x800000000, parse_memtype("UC")),
    ]
    sizes = [(1 << 46) - pair.address_mask(46) for pair in variable]
    assert sizes == [1 << 30, 256 << 20, 32 << 30]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("guest: {pat: WX}\n# reg00: base=0x0c0000000 ( 3072MB), size= 1024MB, count=1: uncachable\n", "no PAT"),
        ("memslots:\n  - {gpa: 0, size: 4K\nx86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT\n", "'}'"),
        ("memslot: [{gpa: 0, size: 4K}]\n", "unknown key 'memslot'"),
        ("hello\n", "a scenario is a mapping"),
        ("407\n", "a scenario is a mapping"),
    ],
)
def test_a_scenario_with_something_wrong_in_it_stays_one(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_scenario(text, "vm.yaml")
    assert not caught.value.message.startswith("this is ")


@given(st.text(max_size=200) | st.text("0123456789abcdef: =x-\n", max_size=200))
def test_any_text_is_a_scenario_or_a_message(text: str) -> None:
    try:
        load_scenario(text, "vm.yaml")
    except InputError as error:
        assert error.place  # noqa: PT017 - the answer is one of two
        assert len(error.message) < 1000  # noqa: PT017


def test_a_long_text_of_nothing_is_refused_quickly() -> None:
    for text in ("x y z\n" * 200_000, "a" * 4_000_000, "- " * 20_000, " PAT enabled: new" * 100_000):
        assert recognised(text, "vm.yaml") is None
