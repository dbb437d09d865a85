# SPDX-License-Identifier: GPL-2.0-only
"""Files of any size: packed ones, logs with little in them, memory that does not grow, and what a terminal sees."""

from __future__ import annotations

import gzip
import lzma
import os
import pty
import random
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.importers.lines import HEAD, LONGEST_LINE, WINDOW, DumpLines
from mtcalc.importers.recognise import read_lines
from mtcalc.text.errors import InputError
from mtcalc.text.packed import BLOCK, unpacked
from support.program import DATA, PROGRAM, environment, quick

SAMPLES = DATA / "importers/samples"
NOISE = b"Sep 11 07:20:30 host kernel: [    1.000000] usb 1-1: new high-speed USB device number 4\n"


def lines_of(data: bytes, whole: bool = False) -> list[tuple[int, bytes]]:
    return list(DumpLines(BytesIO(data), "x", whole))


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"").replace(b"\0", b"")), max_size=30))
def test_the_head_is_handed_out_line_by_line(lines: list[bytes]) -> None:
    data = b"a" + b"\n".join(lines)  # no packer's mark
    wanted = [(number, line) for number, line in enumerate(data.split(b"\n"), start=1) if line]
    assert lines_of(data) == wanted


SIGNS = (
    "MTRR default type: write-back",
    "reg00: base=0x0c0000000 ( 3072MB), size= 1024MB, count=1: uncachable",
    "x86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT",
    "x86 PAT enabled: cpu 0, old 0x7040600070406, new 0x7010600070106",
    "FlatView #0",
    "kvm_set_user_memory Slot#0 flags=0x0 gpa=0x0 size=0x1000 ua=0x7000 ret=0",
    "kvm_set_user_memory AddrSpace#0 Slot#0 flags=0x0 gpa=0x0 size=0x1000 ua=0x7000 ret=0",
    "ioctl(13, KVM_SET_USER_MEMORY_REGION, {slot=0, flags=0, guest_phys_addr=0,",
    " qemu-1 [000] 1.0: kvm_msr: msr_write 2ff = 0xc06",
    " CPU 0/KVM-1000 [003] dNh1. 99.1: kvm_msr: msr_write 2ff = 0x800",
    " CPU 0/KVM-1000  [003] DnZff 99.1: kvm_msr:              msr_write 2ff = 0x800",
    "CR0: actual=0x0000000080050033, shadow=0x00000000e0050033, gh_mask=fffffffffffefff7",
    "CR0=80050033 CR2=0000000000000000 CR3=0000000001c0a000 CR4=000006f0",
    "Reg Valid Write-type   Base   ||        Mask   ||        Size   ||",
    "[CHIPSEC] RDMSR( 0x2ff ) = 0000000000000c06",
    "MTRR: 0 base 0x000000007b800000 mask 0x0000007fff800000 type 0",
    "Variable MTRR[00]: Base=0x000000c0000000 Mask=0x00003fc0000800",
    "PAT: [mem 0x00000000c0000000-0x00000000c0001000] write-combining",
    "MTRRphysBase0 (0x200): 0x0000000000000006",
    "0x2ff = 0xc06",
    "0x277 0007040600070406",
    "0x26F: 0x0606060606060606",
    "[    2.000000] 0x2ff = 0xc06",
    "2ff c06",
    "> 277 = 0x0007040600070406",
    "200=c0000006",
    "qemu-system-x86_64 -accel kvm,honor-guest-pat=on -m 4G",
    "kvm -cpu host,phys-bits=40",
    "libvirt+ 1234 0.0 /usr/libexec/qemu-kvm -name guest=a -m 4G",
    "Nov  4 host /usr/bin/qemu-system-i386 -m 4G",
    "  0000000000000000-00000000bfffffff (prio 0, ram): pc.ram KVM",
    "  00000000000c0000-00000000000c3fff (prio 1, rom): pc.ram @00000000000c0000",
    "  0000000000000000-00000000bfffffff (prio 0, RW): pc.ram kvm",
    "write-combining @ 0xc0000000-0xc0001000",
    "[    2.000000] uncached-minus @ 0xc0000000-0xc0001000",
    "0000000000400000: 0000000001234000 -----A-U-",
    "ffffffff81000000: 0000000023400000 XGPDA---W",
)


@pytest.mark.parametrize("sign", SIGNS)
def test_what_begins_a_dump_is_found_deep_in_a_log(sign: str) -> None:
    """And what stands behind it; the noise is passed over."""
    before = HEAD // len(NOISE) + 3 * BLOCK // len(NOISE)
    data = NOISE * before + sign.encode() + b"\n" + b"  0 disabled\n" * 9 + NOISE * (2 * BLOCK // len(NOISE))
    handed = lines_of(data)
    found = [(number, line) for number, line in handed if line + b"\n" != NOISE]
    assert found == [(before + 1, sign.encode()), *((before + 2 + n, b"  0 disabled") for n in range(9))]
    assert len(lines_of(data)) < before


DEEP = HEAD // len(NOISE) + 3 * BLOCK // len(NOISE)


def test_a_last_write_deep_in_a_trace_is_read_whatever_flags_it_has() -> None:
    first = b" CPU 0/KVM-1 [003] d..1. 1.0: kvm_msr: msr_write 2ff = 0xc06\n"
    last = b" CPU 0/KVM-1 [003] dNh1. 99.1: kvm_msr: msr_write 2ff = 0x800\n"
    noise = b" CPU 0/KVM-1 [003] d..1. 2.0: kvm_entry: vcpu 0, rip 0xfff0\n"
    text = first + noise * (4 * HEAD // len(noise)) + last
    (dump,) = read_lines(DumpLines(BytesIO(text), "x"))
    (whole,) = read_lines(DumpLines(BytesIO(text), "x", True), "msrs")
    assert dump.settings == whole.settings
    assert {str(setting.key): setting.value for setting in dump.settings}["default"] == 0


def test_a_vmcs_deep_in_a_log_has_its_cr0() -> None:
    state = (
        b"*** Guest State ***\nCR0: actual=0x00000000c0050033, shadow=0x00000000c0050033, gh_mask=fffffffffffefff7\n"
    )
    state += b"EFER= 0x0000000000000d01\nPAT = 0x0007040600070406\n*** Host State ***\nPAT = 0x0407050600070106\n"
    (dump,) = read_lines(DumpLines(BytesIO(NOISE * DEEP + state), "x"))
    told = {setting.key: setting.value for setting in dump.settings}
    assert (told["cd"], told["pg"]) == (True, True)
    assert "guest_pat" in told


def test_a_line_of_use_takes_nothing_from_the_head() -> None:
    """Far behind one that is of use, and of a form that no sign begins."""
    log = b"MTRR default type: write-back\n" + NOISE * (3 * WINDOW) + b"0x277 = 0x0606060606060606\n"
    found = read_lines(DumpLines(BytesIO(log), "x"))
    assert any(setting.key == "pat" for dump in found for setting in dump.settings)


def test_lines_that_are_passed_over_are_told() -> None:
    """Of what may stand in them without a sign of its own nothing is known."""
    hidden = b"[    2.000000] 277 = 0x0606060606060606\n"  # bare digits, not at the beginning of the line
    log = b"MTRR default type: write-back\n" + NOISE * DEEP + hidden
    found = read_lines(DumpLines(BytesIO(log), "x"))
    (remark,) = [remark for dump in found for remark in dump.remarks if "looked through" in remark.text]
    assert "--as FORMAT" in remark.text
    assert not any(
        "looked through" in r.text for d in read_lines(DumpLines(BytesIO(log[:9000]), "x")) for r in d.remarks
    )
    with pytest.raises(InputError, match="looked through"):
        read_lines(DumpLines(BytesIO(NOISE * DEEP + hidden), "x"))
    (dump,) = read_lines(DumpLines(BytesIO(log), "x", True), "msrs")
    assert dump.settings


@pytest.mark.parametrize("before", [HEAD // 7 + n for n in range(0, 3 * BLOCK // 7, BLOCK // 11)])
def test_what_stands_above_a_sign_is_handed_out_too(before: int) -> None:
    """Rows without a sign of their own, wherever the blocks end."""
    rows = b"".join(b"row %02d\n" % n for n in range(WINDOW))
    data = b"a line\n" * (before + HEAD // 7) + rows + b"0x2ff = 0xc06\n" + b"a line\n" * 999
    handed = lines_of(data)
    numbers = [number for number, _ in handed]
    assert numbers == sorted(set(numbers))
    assert [line for _, line in handed if line.startswith(b"row")] == rows.split(b"\n")[:-1]
    lines = data.split(b"\n")
    assert all(lines[number - 1] == line for number, line in handed)


def test_a_log_of_many_shapes_is_looked_through_as_well() -> None:
    """Where each line is another one, so that none is known."""
    draw = random.Random(1)
    noise = "".join(f"{draw.getrandbits(64):X} {draw.getrandbits(48):x}\n" for _ in range(60_000)).encode()
    assert len(noise) > HEAD + 2 * BLOCK
    for sign in (
        b"MTRR default type: write-back",
        b"2ff c06",
        b"/usr/bin/kvm -m 4G",
        b"write-combining @ 0x1000-0x2000",
    ):
        found = [line for _, line in lines_of(noise + sign + b"\n" + noise) if line == sign]
        assert found == [sign]


def test_of_a_line_that_is_too_long_the_rest_is_passed_over() -> None:
    data = b"a\nMTRR" + b"x" * (3 * LONGEST_LINE + BLOCK) + b" MTRR default type: write-back\nreg\n\nlast"
    assert [(number, line[:9], len(line)) for number, line in lines_of(data)] == [
        (1, b"a", 1),
        (2, b"MTRRxxxxx", LONGEST_LINE),
        (3, b"reg", 3),
        (5, b"last", 4),
    ]


def test_a_list_goes_on_as_long_as_its_rows_are_of_use() -> None:
    rows = b"".join(b"%016x-%016x (prio 0, ram): r%d KVM\n" % (n << 12, (n << 12) + 4095, n) for n in range(5 * WINDOW))
    data = NOISE * (2 * HEAD // len(NOISE)) + b'FlatView #0\n AS "memory", root: system\n' + rows + NOISE * 9000
    (dump,) = read_lines(DumpLines(BytesIO(data), "x"))
    assert dump.slots is not None
    assert len(dump.slots) == 5 * WINDOW


def in_members(data: bytes) -> bytes:
    """gzip of two parts, one behind the other."""
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(data[half:])


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, in_members])
def test_packed_dumps_open_as_they_are(pack: object, tmp_path: Path) -> None:
    assert callable(pack)
    sample = SAMPLES / "dmesg-mtrr-9-syslog.txt"
    packed = tmp_path / "log.gz"
    packed.write_bytes(pack(sample.read_bytes()))
    plain, done = quick("import", str(sample)), quick("import", str(packed))
    maps = [quick("mtrr", str(path), "-r", "6.1").out.split("note:")[0] for path in (sample, packed)]
    assert (done.status, done.out) == (0, plain.out.replace(str(sample), str(packed)))
    assert maps[0] == maps[1] != ""
    assert quick("import", "-", stdin=packed.read_bytes()).status == 0


@given(st.binary(max_size=3000), st.integers(1, 700), st.booleans())
def test_unpacking_in_blocks_is_unpacking(data: bytes, step: int, xz: bool) -> None:
    packed = lzma.compress(data) if xz else in_members(data)
    head = max(step, 6)
    blocks = [packed[:head], *(packed[at : at + step] for at in range(head, len(packed), step))]
    if data.startswith((b"\x1f\x8b", b"\xfd7zXZ\0")):
        return
    assert b"".join(unpacked(blocks, "x")) == data
    with pytest.raises(InputError, match="broken"):
        list(unpacked([packed[:-9]], "x"))
    with pytest.raises(InputError, match="more behind it"):
        list(unpacked([packed + b"\0\0more"], "x"))
    assert b"".join(unpacked([packed + b"\0" * 8], "x")) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"BZh91AY", "bzip2 data"),
        (gzip.compress(gzip.compress(b"x", mtime=0), mtime=0), "packed twice"),
        (b"\xff\xfea\0b\0", "UTF-16"),
        (b"reg00\0", "NUL byte"),
        (b"", "an empty file"),
        (b"hello\n", "no line of a dump"),
    ],
)
def test_what_is_no_dump(data: bytes, message: str) -> None:
    done = quick("import", "-", stdin=data)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert done.err.startswith("-:1:")


def test_a_file_that_is_not_there_or_not_readable() -> None:
    assert "nowhere: no such file" in quick("import", "nowhere").err
    assert "/: is a directory" in quick("import", "/").err


def test_other_charsets_are_read() -> None:
    data = b"caf\xe9 \xa0\nMTRR default type: write-back\nMTRR variable ranges enabled:\n"
    data += b"".join(b"  %d disabled\n" % n for n in range(8))
    assert quick("import", "-", stdin=data).status == 0
    assert quick("mtrr", "-", "-r", "6.1", stdin=data).status == 0


PEAK = """
import resource, sys
from mtcalc.cli.main import main
try:
    main()
finally:
    sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
"""


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    """Forty times the size, no more memory than a few blocks."""
    sample = (SAMPLES / "dmesg-mtrr-9-syslog.txt").read_bytes()

    def peak(size: int) -> int:
        path = tmp_path / "log"
        with path.open("wb") as file:
            file.write(sample)
            for _ in range(size):
                file.write(NOISE * (BLOCK // len(NOISE)))
        command = [PROGRAM[0], "-c", PEAK, "import", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
        assert done.stdout.startswith("# made by")
        return int(done.stderr.split()[-1])

    assert peak(160) < peak(4) + 6 * BLOCK // 1024


def test_a_terminal_sees_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes((SAMPLES / "dmesg-mtrr-9-syslog.txt").read_bytes() + NOISE * ((40 << 20) // len(NOISE)))
    master, slave = pty.openpty()
    with subprocess.Popen([*PROGRAM, "import", str(path)], stdout=subprocess.DEVNULL, stderr=slave, env=environment()):
        os.close(slave)
        seen = b""
        try:
            while part := os.read(master, 1000):
                seen += part
        except OSError:
            pass
    os.close(master)
    assert b"16 of 40 MiB" in seen
    assert seen.index(b"note: ") > seen.index(b"MiB")
    assert (
        b"MiB"
        not in subprocess.run(
            [*PROGRAM, "import", str(path)], capture_output=True, env=environment(), check=True
        ).stderr
    )


def test_a_closed_pipe_and_random_bytes() -> None:
    draw = random.Random(1)
    for _ in range(20):
        done = quick("import", "-", stdin=draw.randbytes(3000))
        assert done.status == 2
        assert done.err.count("\n") <= 3
