# SPDX-License-Identifier: GPL-2.0-only
"""The formats one by one: what each tells, what it does not, and which of its lines are errors."""

from __future__ import annotations

from io import BytesIO

import pytest

from mtcalc.importers.convert import Imported, convert
from mtcalc.importers.dump import Dump, Line
from mtcalc.importers.lines import DumpLines
from mtcalc.importers.prefixes import tool_lines
from mtcalc.importers.recognise import FORMATS, read_lines
from mtcalc.importers.told import Given
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MemType
from support.program import DATA

ALL_FIXED = (0x250, 0x258, 0x259, *range(0x268, 0x270))
WB = Given(default=MemType.WB)


def imported(*texts: str, given: Given = WB, name: str | None = None) -> Imported:
    """What import makes of these dumps, each a file."""
    dumps: list[Dump] = []
    for number, text in enumerate(texts, start=1):
        dumps += read_lines(DumpLines(BytesIO(text.encode()), f"dump{number}"), name)
    return convert(dumps, given)


def error(*texts: str, given: Given = WB, name: str | None = None) -> InputError:
    """Why it makes nothing of them."""
    with pytest.raises(InputError) as caught:
        imported(*texts, given=given, name=name)
    return caught.value


def test_each_format_names_a_line_of_its_own() -> None:
    """What --as expects, as its error says, is a line that the format's reader takes, and it alone or nearly so."""
    for form in FORMATS:
        takers = []
        for other in FORMATS:
            reader = other.reader()
            (line,) = read_one(form.form)
            try:
                if reader.feed(line):
                    takers.append(other.name)
            except InputError:
                takers.append(f"{other.name} refuses")
        assert takers == [form.name]


def read_one(text: str) -> list[Line]:
    return list(tool_lines([(1, text.encode())], "x"))


# KVM's and QEMU's

MTREE = (DATA / "importers/samples/mtree-looking-glass.txt").read_text()


def test_a_guest_with_a_card_a_tpm_and_looking_glass() -> None:
    """Fifteen subtractions by hand in the public report; what is less than a page is no slot."""
    found = imported(MTREE)
    slots = {slot.name: (slot.gpa, slot.size) for slot in found.scenario.slots}
    bar = "0000:01:00.0 BAR 0 mmaps[0]"
    assert len(slots) == 15
    assert slots[f"{bar}-2"] == (0x80B91000, 0x346F000)
    assert slots["looking-glass"] == (0x70F0000000, 0x4000000)
    assert not any("tpm" in name for name in slots)
    assert [slot.name for slot in found.scenario.slots if slot.backing.is_device] == [
        bar,
        f"{bar}-1",
        f"{bar}-2",
        "0000:01:00.1 BAR 0 mmaps[0]",
        "0000:01:00.0 BAR 1 mmaps[0]",
        "0000:01:00.0 BAR 3 mmaps[0]",
    ]
    assert [slot.name for slot in found.scenario.slots if slot.flags] == [
        "pc.rom",
        "system.flash0",
        "system.flash1",
        "system.flash0-1",
    ]
    assert sum("less than a page" in remark for remark in found.remarks) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("prio 0, ram): pc.ram KVM", "prio 0, ram): alias x @y 0000000000000000-0000000000000fff", "without -f"),
        ("0000000000030000-", "0000000000020000-", "without -f"),
        ("FlatView #1", "address-space: memory", "without -f"),
        ("0000000000000000-000000000002ffff", "0000000000030000-000000000002ffff", "ends before it begins"),
        ("(prio 1, rom): pc.rom", "(prio 1, rim): pc.rom", "can't be read"),
        ("-000000000002ffff (", "-00000000002ffff (", "can't be read"),
    ],
)
def test_what_info_mtree_can_not_be(old: str, new: str, message: str) -> None:
    found = error(MTREE.replace(old, new))
    assert message in found.message
    assert found.place


def test_a_view_is_known_by_its_root_as_well() -> None:
    """Where a list is cut above its names; of two names for one view its rows are slots once."""
    cut = MTREE.split("\n", 2)[2]
    assert imported(cut).scenario.slots == imported(MTREE).scenario.slots
    smram = MTREE.replace('"memory"', '"KVM-SMRAM"').replace("region: system", "region: mem-container-smram")
    assert {slot.address_space for slot in imported(smram).scenario.slots} == {1}


SYNIC = (DATA / "importers/samples/16-mtree-f-escaped-quotes-synic-smram.txt").read_text()


def test_a_list_cut_at_the_top_says_so_whatever_view_follows() -> None:
    """Rows whose view has lost its name are the guest's memory where no other view is, and no rows go in silence."""
    lines = SYNIC.splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if "(prio" in line)
    spaces = {slot.address_space for slot in imported(SYNIC).scenario.slots}
    assert spaces == {0, 1}
    for cut in range(first, first + 8):
        found = imported("".join(lines[cut:]))
        assert {slot.address_space for slot in found.scenario.slots} == {0, 1}, cut
        assert any("without their view's name: taken as" in remark for remark in found.remarks), cut
    alone = imported(MTREE.replace('"memory"', '"KVM-SMRAM"').replace("region: system", "region: mem-container-smram"))
    assert any("without the guest's own" in remark for remark in alone.remarks)
    other = imported("  0000000000000000-0000000000001fff (prio 0, ram): other KVM\n" + MTREE)
    assert any("without their view's name: left out" in remark for remark in other.remarks)
    assert other.scenario.slots == imported(MTREE).scenario.slots


def folded(text: str, width: int, at_blanks: bool) -> str:
    """Lines of at most `width` characters, broken as fold(1) does, with -s or without."""
    out = []
    for line in text.splitlines():
        while len(line) > width:
            cut = line.rfind(" ", 0, width) + 1 if at_blanks else width
            cut = width if cut <= 0 or not line[:cut].strip() else cut
            out.append(line[:cut])
            line = line[cut:]
        out.append(line)
    return "\n".join(out) + "\n"


OWNERS = (DATA / "importers/samples/qemu-mtree-f-1-kvm-owner.txt").read_text()


@pytest.mark.parametrize("at_blanks", [True, False])
@pytest.mark.parametrize("text", [MTREE, SYNIC, OWNERS], ids=["cards", "synic", "owners"])
def test_folding_a_list_loses_no_slot(text: str, at_blanks: bool) -> None:
    """Each width gives the slots of the list as it was, or an error."""
    whole = imported(text).scenario.slots
    assert whole
    right = 0
    for width in range(40, 140):
        try:
            slots = imported(folded(text, width, at_blanks)).scenario.slots
        except InputError:
            continue
        right += 1
        assert slots == whole, width
        stripped = "\n".join(line.rstrip() for line in folded(text, width, at_blanks).splitlines())
        assert imported(stripped).scenario.slots == whole, width
    assert right > (80 if at_blanks else 20)


def test_the_rest_of_a_row_without_its_beginning_is_an_error() -> None:
    row = "  0000000000000000-0000000000000fff (prio 0, ram): a\nname like\n{} KVM\n" + MTREE.split("\n", 6)[6]
    assert "the rest of a row" in error(row.format("no other")).message
    row = "  0000000000000000-0000000000000fff (prio 0, ram): a\n{}" + MTREE.split("\n", 6)[6]
    assert "may be in the line below it" in error(row.format("name\n")).message
    assert any("a: no mark of KVM" in remark for remark in imported(row.format("")).remarks)


def test_what_looks_a_little_like_a_row_is_passed_over() -> None:
    """Lists of other tools in the same file."""
    others = "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n"
    others += "0000000000000000-0000000000001000 0000000000001000 -rw\n00100000-bfffffff : System RAM\n"
    others += "cma: Reserved base=0x1000 size=0x2000\nvfio_region: flags=0x7 size=0x1000\n"
    others += "a person says: kvm_set_user_memory is the event, and KVM_SET_USER_MEMORY_REGION the call\n"
    assert imported(others + MTREE).scenario.slots == imported(MTREE).scenario.slots


def test_rows_without_a_mark() -> None:
    """Where KVM marks rows, one of whole pages without the mark has no slot; where it marks none, all have one."""
    one = MTREE.replace("looking-glass KVM", "looking-glass")
    found = imported(one)
    assert len(found.scenario.slots) == 14
    assert any("looking-glass: no mark of KVM" in remark for remark in found.remarks)
    found = imported(MTREE.replace(" KVM", ""))
    assert len(found.scenario.slots) == 15
    assert any("no row is marked KVM" in remark for remark in found.remarks)


def test_kinds_of_old_versions() -> None:
    row = "0000000000000000-000000000009ffff (prio 0, RW): pc.ram kvm\n"
    row += "00000000000a0000-00000000000affff (prio 1, RW): vga\n"
    found = imported(row + "00000000fffc0000-00000000ffffffff (prio 0, R-): pc.bios kvm\n")
    assert [(s.name, s.gpa, s.size, s.flags) for s in found.scenario.slots] == [
        ("pc.ram", 0, 0xA0000, 0),
        ("pc.bios", 0xFFFC0000, 0x40000, 2),
    ]
    assert "does not tell RAM from devices" in error(row.replace(" kvm", "")).message


@pytest.mark.parametrize("kind", ["RW", "ram"])
@pytest.mark.parametrize("name", ["0000:01:00.0 BAR 0 mmaps[0]", "VFIO 0000:01:00.0 BAR 1 mmap", "0000:01:00.0 BAR 3"])
def test_a_bar_is_a_devices_memory_by_its_name(kind: str, name: str) -> None:
    """Where the kind does not tell; what no name tells is said to be unknown."""
    found = imported(f" 00000000feb00000-00000000feb00fff (prio 0, {kind}): {name} kvm\n")
    assert [slot.backing.is_device for slot in found.scenario.slots] == [True]
    assert any("by its name" in remark for remark in found.remarks)
    found = imported(" 00000000feb00000-00000000feb00fff (prio 0, RW): some.ram kvm\n")
    assert [slot.backing.is_device for slot in found.scenario.slots] == [False]
    assert any("does not tell RAM from devices' memory" in remark for remark in found.remarks)


def test_the_monitors_json() -> None:
    """virsh qemu-monitor-command without --hmp answers in JSON."""
    import json

    text = json.dumps({"return": MTREE.replace("\n", "\r\n"), "id": "libvirt-9"})
    assert imported(text).scenario.slots == imported(MTREE).scenario.slots


def test_two_views_of_one_space() -> None:
    assert imported(MTREE + MTREE).scenario.slots == imported(MTREE).scenario.slots
    found = error(MTREE + MTREE.replace("looking-glass", "kvmfr"))
    assert "another view of address space 0 than that at dump1:5" in found.message


TRACE = "kvm_set_user_memory Slot#{} flags=0x{:x} gpa=0x{:x} size=0x{:x} ua=0x{:x} ret={}\n"


def test_flags_and_sizes_of_a_live_slot_replace_it() -> None:
    """A change of READONLY is a delete that is not traced."""
    text = TRACE.format(0, 0, 0, 0x10000, 0x7F0000, 0) + TRACE.format(0, 2, 0, 0x8000, 0x7F0000, 0)
    (slot,) = imported(text).scenario.slots
    assert (slot.size, slot.flags, slot.hva) == (0x8000, 2, 0x7F0000)


def test_older_logs_have_the_address_space_in_the_slot() -> None:
    text = TRACE.format(3, 0, 0, 0x1000, 0x7F0000, 0) + TRACE.format(65536 + 3, 0, 0, 0x1000, 0x7F0000, 0)
    assert [(s.id, s.address_space) for s in imported(text).scenario.slots] == [(3, 0), (3, 1)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([(0, 0, 0, 0x1000, 0x7000, 0), (0, 0, 0, 0x2000, 0x9000, 0)], "another host address"),
        ([(0, 0, 0, 0x2000, 0x7000, 0), (1, 0, 0x1000, 0x1000, 0x9000, 0)], "overlaps slot 0"),
        ([(0, 0, 0, 0, 0x7000, 0), (1, 0, 0, 0x1000, 0x9000, 0)], "--incomplete"),
        ([(40000, 0, 0, 0x1000, 0x7000, 0)], "slot id 40000"),
        ([(0, 0x10, 0, 0x1000, 0x7000, 0)], "unknown flag bits"),
        ([(0, 0, 0, 0x1234, 0x7000, 0)], "not page aligned"),
        ([(0, 0, 0, 0x1000, 0x7000, -22)], "KVM answered -22"),
    ],
)
def test_what_a_log_of_calls_can_not_be(lines: list[tuple[int, ...]], message: str) -> None:
    assert message in error("".join(TRACE.format(*line) for line in lines)).message


def test_a_log_that_begins_late_says_so() -> None:
    """By the id of the first slot, in each address space: QEMU takes the lowest one that is free."""
    late = "the first slot made here is"
    assert any(f"{late} 6: slots 0 to 5" in r for r in imported(TRACE.format(6, 0, 0, 0x1000, 0x7000, 0)).remarks)
    assert any(f"{late} 6: slots 0 to 5" in r for r in imported(CALL % FIELDS).remarks)
    smm = TRACE.format(0, 0, 0, 0x1000, 0x7000, 0) + TRACE.format(65537, 0, 0, 0x1000, 0x7000, 0)
    assert any(f"{late} 1: slot 0," in r for r in imported(smm).remarks)
    whole = TRACE.format(0, 0, 0, 0x1000, 0x7000, 0) + TRACE.format(6, 0, 0x1000, 0x1000, 0x9000, 0)
    assert not any(late in remark for remark in imported(whole).remarks)


def test_two_processes_in_one_log() -> None:
    a = "11@1700000000.1:" + TRACE.format(0, 0, 0, 0x1000, 0x7000, 0)
    b = "12@1700000000.2:" + TRACE.format(0, 0, 0x1000, 0x1000, 0x9000, 0)
    found = error(a + b)
    assert "another VM than at dump1:1" in found.message
    assert found.place is not None
    assert found.place.line == 2


def test_what_a_cut_log_lacks_is_gone_where_the_user_says_so() -> None:
    text = TRACE.format(0, 0, 0, 0, 0x7000, 0) + TRACE.format(1, 0, 0, 0x1000, 0x9000, 0)
    found = imported(text, given=Given(incomplete=True))
    assert [slot.id for slot in found.scenario.slots] == [1]
    assert any("begins too late" in remark for remark in found.remarks)


CALL = "ioctl(13, KVM_SET_USER_MEMORY_REGION, {%s}) = 0\n"
FIELDS = "slot=6, flags=KVM_MEM_READONLY, guest_phys_addr=0x100000, memory_size=8192, userspace_addr=0x7f00000"


def test_strace_in_its_forms() -> None:
    whole = imported(CALL % FIELDS).scenario.slots
    assert [(s.id, s.gpa, s.size, s.flags, s.hva) for s in whole] == [(6, 0x100000, 8192, 2, 0x7F00000)]
    for text in (
        f"[pid  4711] {CALL}" % FIELDS,
        f"4711  17:30:10.251430 {CALL}".replace("= 0", "= 0 <0.021021>") % FIELDS,
        (CALL % FIELDS).replace("REGION", "REGION2").replace("}", ", guest_memfd_offset=0, guest_memfd=0}"),
        (CALL % FIELDS).replace("13,", "13<anon_inode:kvm-vm>,"),
        (CALL % FIELDS).replace("KVM_MEM_READONLY", "0x2"),
        f"[pid 1] ioctl(13, KVM_SET_USER_MEMORY_REGION, {{{FIELDS}}} <unfinished ...>\n"
        "[pid 2] read(3, 0x0, 1) = 0\n[pid 1] <... ioctl resumed>) = 0\n",
    ):
        assert imported(text).scenario.slots == whole, text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("memory_size=8192, ", "...", "memory_size is left out"),
        (", userspace_addr=0x7f00000", ", ...", "left out"),
        ("guest_phys_addr=0x100000", "guest_phys_addr=100000", "0 or hex with 0x"),
        ("memory_size=8192", "memory_size=8k", "memory_size=8k can't be read"),
        ("KVM_MEM_READONLY", "KVM_MEM_READWRITE", "is no slot flag"),
        ("= 0", "= -1 EINVAL (Invalid argument)", "answered -1"),
        ("= 0", "", "has no result"),
        ("= 0", "= ?", "with no result"),
        (f"{{{FIELDS}}}", "0x7ffd0000", "an address alone"),
        ("slot=6", "slot=4294967296", "no slot id"),
        ("memory_size=8192", "memory_size=8191", "not page aligned"),
        ("ioctl(13, ", "ioctl(", "can't be read"),
    ],
)
def test_what_strace_can_not_be(old: str, new: str, message: str) -> None:
    text = CALL % FIELDS
    assert old in text
    assert message in error(text.replace(old, new)).message


def test_two_vms_of_one_strace() -> None:
    a, b = CALL % FIELDS, (CALL % FIELDS).replace("13", "14").replace("slot=6", "slot=1")
    assert "another VM" in error(a + b).message


def test_a_list_of_memory_and_the_calls_make_one() -> None:
    """Names and devices from the one, ids, flags and host addresses from the other."""
    rows = "  0000000000000000-0000000000001fff (prio 0, ram): pc.ram KVM\n"
    rows += "  0000000000010000-0000000000010fff (prio 0, ramd): 01:00.0 BAR 0 KVM\n"
    calls = TRACE.format(7, 1, 0, 0x2000, 0x7000, 0) + TRACE.format(9, 0, 0x10000, 0x1000, 0x9000, 0)
    for texts in ((rows, calls), (calls, rows)):
        slots = imported(*texts).scenario.slots
        assert [(s.id, s.name, s.flags, s.hva, s.backing.is_device) for s in slots] == [
            (7, "pc.ram", 1, 0x7000, False),
            (9, "01:00.0 BAR 0", 0, 0x9000, True),
        ]
    assert (
        "the slot at 0x10000 is not among those at dump2:1" in error(rows, calls.replace("0x10000", "0x20000")).message
    )


@pytest.mark.parametrize(("kind", "flags"), [("ram", 2), ("rom", 0), ("romd", 0), ("romd", 1), ("ramd", 3)])
def test_flags_that_differ_are_a_conflict(kind: str, flags: int) -> None:
    rows = f"  00000000fff00000-00000000ffffffff (prio 0, {kind}): flash KVM\n"
    call = TRACE.format(4, flags, 0xFFF00000, 0x100000, 0x7000, 0)
    for texts in ((rows, call), (call, rows)):
        assert "of the slot at 0xfff00000" in error(*texts).message
    good = TRACE.format(4, flags ^ 2, 0xFFF00000, 0x100000, 0x7000, 0)
    assert [slot.flags for slot in imported(rows, good).scenario.slots] == [flags ^ 2]
    strace = CALL % f"slot=4, flags={flags ^ 1}, guest_phys_addr=0xfff00000, memory_size=1048576, userspace_addr=0x7000"
    assert "of the slot at 0xfff00000" in error(call, strace).message
    shadow = "  00000000000f0000-00000000000fffff (prio 0, rom): pc.ram KVM\n"
    for value in (0, 2):
        call = TRACE.format(4, value, 0xF0000, 0x10000, 0x7000, 0)
        assert [slot.flags for slot in imported(shadow, call).scenario.slots] == [value]


# Registers

CLEAN = "MTRR default type: write-back\nMTRR variable ranges enabled:\n" + "".join(
    f"  {n} disabled\n" for n in range(8)
)


@pytest.mark.parametrize(
    "word",
    ["Disabled", "MTRR: Disabled", "mtrr: Disabled", "x86/PAT: MTRRs disabled, skipping PAT initialization too."],
)
def test_disabled_is_off_whatever_is_listed_before_it(word: str) -> None:
    assert not imported(CLEAN + word + "\n").scenario.vm.mtrrs.enabled


def test_a_bare_disabled_is_of_the_mtrrs_right_behind_them_alone() -> None:
    """Elsewhere it may be anything's, and that it was left out is said."""
    for text in ("Disabled\n" + CLEAN, CLEAN + "Virtualization:\nDisabled\n", CLEAN + PAT_LINE + "Disabled\n"):
        found = imported(text)
        assert found.scenario.vm.mtrrs.enabled, text
        assert any("'Disabled' that is not right behind" in remark for remark in found.remarks), text
    for text in (CLEAN + "Disabled\n" + PAT_LINE, "[    0.000196] Disabled\n" + PAT_LINE):
        found = imported(text)
        assert not found.scenario.vm.mtrrs.enabled
        assert not any("'Disabled'" in remark for remark in found.remarks)


def test_a_log_that_is_cut_at_the_top_does_not_know_its_pairs() -> None:
    row = "  {} base 00C0000000 mask FFC0000000 uncachable\n"
    text = row.format(2) + "".join(f"  {n} disabled\n" for n in range(3, 8)) + "x\n"
    assert "variable pairs that the list lacks: 0, 1" in error(text).message
    found = imported(text, given=WB._replace(incomplete=True))
    assert [pair.valid for pair in found.scenario.vm.mtrrs.variable] == [False, False, True, *[False] * 5]


FIRMWARES = {
    "fw-coreboot.txt": "MTRR: 0 base",
    "14-edk2-style-mtrr-settings.txt": "Variable MTRR[00]",
    "fw-edk2-bare.txt": "Variable MTRR[00]",
    "fw-slim-bootloader.txt": "IA32_MTRR_PHYSBASE_0",
}


@pytest.mark.parametrize("name", FIRMWARES)
def test_pairs_above_a_cut_are_unknown_not_off(name: str) -> None:
    """A firmware leaves out pairs that are off, so the first one that is there says nothing of those before it."""
    text = (DATA / "importers/samples" / name).read_text()
    lines = text.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if FIRMWARES[name] in line)
    last = max(n for n, line in enumerate(lines) if FIRMWARES[name].split("0")[0] in line)
    for cut in range(at + 1, last + 1):
        rest = "".join(lines[cut:])
        assert error(rest, given=Given(default=MemType.UC)).message
    given = Given(default=MemType.UC, incomplete=True)
    kept = [pair for pair in imported("".join(lines[last:]), given=given).scenario.vm.mtrrs.variable if pair.valid]
    assert kept == [pair for pair in imported(text, given=Given()).scenario.vm.mtrrs.variable if pair.valid][-1:]


PAT_LINE = "x86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT\n"


@pytest.mark.parametrize("first", range(1, 8))
def test_a_kernels_pairs_above_a_cut_are_unknown_not_off(first: int) -> None:
    rows = "".join(f"  {number} disabled\n" for number in range(first, 8))
    for text in (rows + PAT_LINE, PAT_LINE + rows):
        assert "not in the list" in error(text).message or "lacks: 0" in error(text).message
        given = WB._replace(incomplete=True)
        assert not any(pair.valid for pair in imported(text, given=given).scenario.vm.mtrrs.variable)


@pytest.mark.parametrize("text", ["MTRR default type: uncachable\n", "0x2ff = 0x806\n", "MTRR Default Type: 0x806\n"])
def test_pairs_that_no_dump_tells_are_said_to_be_off(text: str) -> None:
    given = Given()
    assert any("variable pairs: no dump tells" in remark for remark in imported(text, given=given).remarks)
    given = Given(registers={0x200: 0xC0000000, 0x201: 0xFC0000800})
    assert not any("variable pairs: no dump" in remark for remark in imported(text, given=given).remarks)
    assert not any("variable pairs: no dump" in remark for remark in imported(CLEAN).remarks)
    off = text.replace("0x806", "0x6")
    if off != text:
        assert not any("variable pairs" in remark for remark in imported(off, given=Given()).remarks)


def test_what_a_clean_up_left_is_cut_or_whole() -> None:
    """Cut behind any of its ranges, or behind its head, it is no other list."""
    text = (DATA / "importers/samples/03-dmesg-bare-mtrr-cleanup-two-sets.txt").read_text()
    head, _, new = text.partition("New variable MTRRs\n")
    rows = new.splitlines(keepends=True)
    whole = imported(text, given=Given()).scenario.vm.mtrrs.variable
    head += "New variable MTRRs\n"
    for given in (Given(), Given(incomplete=True)):
        assert "none is listed behind this" in error(head, given=given).message
        assert "none is listed behind this" in error(head + rows[-1], given=given).message
    for count in range(1, 5):
        cut = head + "".join(rows[:count])
        assert f"cut behind {count} of them" in error(cut, given=Given()).message
        vm = imported(cut, given=Given(incomplete=True)).scenario.vm
        pairs = vm.mtrrs.variable
        assert vm.maxphyaddr == 40
        assert [pair.valid for pair in pairs] == [True] * count + [False] * (8 - count)
    late = imported("New variable MTRRs\n" + new, given=Given(default=MemType.UC)).scenario.vm.mtrrs.variable
    assert [pair.base for pair in late] == [pair.base for pair in whole]


def test_two_logs_of_different_boots_are_two_machines() -> None:
    other = CLEAN.replace("write-back", "uncachable")
    found = error(CLEAN + "PAT configuration [0-7]: WB  WC  UC- UC  WB  WC  UC- UC\n" + other)
    assert "the default type is UC here, WB at dump1:1" in found.message
    assert imported(CLEAN + CLEAN).scenario.vm == imported(CLEAN).scenario.vm


def test_pat_of_logs_of_all_times() -> None:
    for line, value in (
        ("x86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT  ", 0x0407050600070106),
        ("PAT configuration [0-7]: WB  WC  UC- UC  WB  WC  UC- UC  ", 0x0007010600070106),
        ("x86 PAT enabled: cpu 0, old 0x7040600070406, new 0x7010600070106", 0x0007010600070106),
        ("x86/PAT: Configuration [0-7]: WB  WC  UC- UC\n  WB  WP  UC- WT  ", 0x0407050600070106),
    ):
        assert imported(line).scenario.vm.pat.value == value
    assert "eight entries" in error("x86/PAT: Configuration [0-7]: WB  WC  UC- UC\n").message


def test_a_failed_mapping_is_told() -> None:
    text = CLEAN + "x86/PAT: Xorg:1234 conflicting memory types e0000000-e1000000 write-combining<->uncached-minus\n"
    assert any("a mapping that failed: write-combining" in remark for remark in imported(text).remarks)


def test_registers_by_name() -> None:
    text = "IA32_MTRR_DEF_TYPE = 0x806\nMSR_IA32_CR_PAT=0x0007040600070406\nIA32_MTRR_PHYSBASE0: c0000000\n"
    vm = imported(text + "IA32_MTRR_PHYSMASK0: fc0000800\n", given=Given()).scenario.vm
    assert (vm.mtrrs.default, vm.pat.value, vm.maxphyaddr) == (MemType.WB, 0x0007040600070406, 36)
    assert vm.mtrrs.variable[0].address == 0xC0000000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0x2ff = 0xc06\n0x2ff = 0xc00\n", "0xc00 here and 0xc06 on line 1"),
        ("0x200 = 0xc0000000\n0x2ff=0x806\n", "IA32_MTRR_PHYSMASK0 (0x201) is not"),
        ("2ff: 3c06\n", "#GP: IA32_MTRR_DEF_TYPE"),
        ("277: 0302040500070106\n", "#GP: entry"),
        ("0x2ff = 0xc06\n0x250 = 0x0606060606060606\n", "--msr 0x258=VALUE"),
        ("0x2ff = 0x806\n0x204 = 0x6\n0x205 = 0xf80000800\n", "variable pairs that the list lacks: 0, 1"),
        ("MTRRphysBase0 (0x202): 0x6\n", "MTRRphysBase0 is register 0x200, not 0x202"),
        ("0xfe = 0x502\n0x2ff=0x806\n0x204=0x6\n0x205=0xf80000800\n", "lacks"),
        ("$ rdmsr -a 0x200 | uniq -c\n    200 c06\n", "does not say which register"),
        ("0x2ff = 0x80600000000000000\n", "no 64-bit register value"),
        ("0x2ff=0x806\n0x200=0x2\n0x201=0xf80000800\n", "memory type 2"),
    ],
)
def test_what_registers_can_not_be(text: str, message: str) -> None:
    assert message in error(text, given=Given()).message


def test_vcpus_that_differ() -> None:
    line = " CPU {0}/KVM-1{0} [000] 1.0: kvm_msr: msr_write 2ff = 0x{1}\n"
    found = error(line.format(0, "806") + line.format(1, "c06"))
    assert "ends as 0xc06 here and as 0x806 at dump1:1" in found.message


def test_a_vmcs_has_the_guests_pat_first() -> None:
    text = "*** Guest State ***\nEFER= 0x0000000000000d01\nEFER = 0x0000000000000d01  PAT = 0x0007040600070406\n"
    host = "*** Host State ***\nEFER = 0x0000000000000d01  PAT = 0x0407050600070106\n"
    assert imported(text + host).scenario.vm.pat.value == 0x0007040600070406
    assert imported((text + host).split("\n", 1)[1]).scenario.vm.pat.value == 0x0007040600070406
    assert "the host's" in error(host).message
    later = "*** Guest State ***\nCR0: actual=0x0000000080050033, shadow=0x00000000e0050033, gh_mask=fffffffffffefff7\n"
    later += "EFER= 0x0000000000000d01\nPAT = 0x0007040600070406\n*** Host State ***\nPAT = 0x0407050600070106\n"
    vm = imported(later).scenario.vm
    assert (vm.pat.value, vm.cr0_cd, vm.paging) == (0x0007040600070406, True, True)
    assert imported("PAT = 0x0007040600070406\n").scenario.vm.pat.value == 0x0007040600070406


@pytest.mark.parametrize("register", ["0x277 = 0x{}", "277: {}", "IA32_PAT = 0x{}", "MSR_IA32_CR_PAT=0x{}"])
def test_a_pat_beside_a_vmcs_is_not_lost(register: str) -> None:
    """In one file as in two: another value is a conflict, the same one is none."""
    state = "*** Guest State ***\nEFER = 0x0000000000000d01  PAT = 0x0007040600070406\n"
    other, same = (register.format(value) + "\n" for value in ("0606060606060606", "0007040600070406"))
    for texts in ((state + other,), (other + state,), (state, other)):
        assert "--whose host" in error(*texts).message
    assert imported(state + same).scenario.vm.pat.value == 0x0007040600070406
    later = state.replace("  PAT", "\nPAT")
    assert imported(later + "PAT = 0x0007040600070406\n").scenario.vm.pat.value == 0x0007040600070406
    host = "*** Host State ***\nPAT = 0x0407050600070106\n"
    assert imported(later + host).scenario.vm.pat.value == 0x0007040600070406
    assert "here and" in error("PAT = 0x0606060606060606\nPAT = 0x0007040600070406\n").message


def test_the_guests_own_list_of_types_is_pages() -> None:
    text = "PAT memtype list:\nPAT: [mem 0x00000000c0000000-0x00000000c0010000] write-combining\n"
    text += "uncached-minus @ 0xfe000000-0xfe001000\n"
    found = imported(text)
    assert [(page.gpa, str(page.pat)) for page in found.scenario.pages] == [(0xC0000000, "WC"), (0xFE000000, "UC-")]
    assert any("--whose host" in remark for remark in found.remarks)
    assert "a host's list" in error(text, given=Given(host=True)).message
    assert "no range of pages" in error(text.replace("c0010000", "c0000000")).message


def test_page_tables_are_pages_by_index() -> None:
    text = "00000000fe000000: 00000000fe000000 X--DACT-W\n00000000fe001000: 00000000fe001000 X--DACT-W\n"
    text += "0000000000200000: 0000000040000000 XGPDA---W\n0000000000001000: 0000000000001000 ---DA-T-W\n"
    found = imported(text)
    assert [(page.gpa, str(page.pat)) for page in found.scenario.pages] == [(0xFE000000, "UC"), (0x1000, "WC")]
    assert any("1 rows with P" in remark for remark in found.remarks)


def test_cr0() -> None:
    text = "CR0={:08x} CR2=0000000000000000 CR3=0000000001c0a000 CR4=000006f0\n"
    vm = imported(MTREE, text.format(0xC0050033)).scenario.vm
    assert (vm.cr0_cd, vm.paging) == (True, True)
    assert "CR0.CD is on here, off at dump1:1" in error(text.format(0x80050033) + text.format(0xC0050033)).message


COMMAND = "/usr/bin/qemu-system-x86_64 -machine q35,accel=kvm,smm=on -cpu host,{} {} -m 8G\n"


@pytest.mark.parametrize(
    ("cpu", "more", "quirks", "mtrr", "width"),
    [
        ("phys-bits=39", "-accel kvm,honor-guest-pat=on", 1 << 9, True, 39),
        ("-mtrr", "-accel kvm,honor-guest-pat=off", 0, False, 46),
        ("mtrr=off", "-accel kvm,honor-guest-pat=auto", 0, False, 46),
        ("+mtrr", "", 0, True, 46),
    ],
)
def test_qemus_command_line(cpu: str, more: str, quirks: int, mtrr: bool, width: int) -> None:
    for text in (COMMAND.format(cpu, more), COMMAND.format(cpu, more).replace(" -", " \\\n  -")):
        found = imported(text)
        vm = found.scenario.vm
        assert (vm.disabled_quirks, vm.cpuid_mtrr, vm.maxphyaddr) == (quirks, mtrr, width)
        assert any("QEMU decides" in remark for remark in found.remarks) == ("auto" in more)


@pytest.mark.parametrize("program", ["qemu-system-x86_64", "/usr/libexec/qemu-kvm", "kvm", "sudo -u kvm -g kvm kvm"])
@pytest.mark.parametrize(
    "accel", ["-accel kvm", "--accel kvm", "-accel 'kvm'", '-accel "kvm"', "-enable-kvm -name kvm", "-accel kvm,x=y"]
)
def test_where_accel_kvm_stands_decides_nothing(program: str, accel: str) -> None:
    words = ["-cpu host,phys-bits=40,-mtrr", "-machine q35,honor-guest-pat=on", "-device vfio-pci,host=01:00.0"]
    for at in range(4):
        text = " ".join([program, *words[:at], accel, *words[at:], "-m 4G\n"])
        found = imported(text)
        vm = found.scenario.vm
        assert (vm.maxphyaddr, vm.cpuid_mtrr, vm.disabled_quirks) == (40, False, 1 << 9), text
        assert any("vfio-pci 01:00.0" in remark for remark in found.remarks)
        assert not any("TCG" in remark for remark in found.remarks)


def test_the_rest_of_a_command_is_no_command() -> None:
    assert "no line of a dump" in error("  -cpu host,phys-bits=40 -accel kvm -m 4G\n").message


@pytest.mark.parametrize("at_blanks", [True, False])
def test_folding_a_command_loses_nothing(at_blanks: bool) -> None:
    words = "-machine q35,honor-guest-pat=on -accel kvm -cpu host,phys-bits=40,-mtrr"
    words += " -device vfio-pci,host=01:00.0 -m 4G"
    text = f"/usr/bin/qemu-system-x86_64 {words}\n"
    right = 0
    for width in range(50, 145):
        lines = folded(text, width, at_blanks)
        try:
            found = imported(lines)
        except InputError:
            continue
        right += 1
        vm = found.scenario.vm
        assert (vm.maxphyaddr, vm.cpuid_mtrr, vm.disabled_quirks) == (40, False, 1 << 9), width
        assert any("vfio-pci 01:00.0" in remark for remark in found.remarks), width
    assert right > (90 if at_blanks else 20)


def test_what_stands_below_a_command_is_no_rest_of_it() -> None:
    command = COMMAND.format("phys-bits=40", "-enable-kvm")
    for below in ("dmesg:\n", "$ ls -l\n", "char device redirected to /dev/pts/1 (label charserial0)\n", CLEAN):
        assert imported(command + below).scenario.vm.maxphyaddr == 40
    assert imported("kvm -cpu host,phys-bits=40\nEOF\n").scenario.vm.maxphyaddr == 40


def test_devices_that_matter_are_asked_about() -> None:
    devices = "-device vfio-pci,host=01:00.0 -device virtio-vga-gl,hostmem=8G,blob=true -device ivshmem-plain,memdev=x"
    remarks = imported(COMMAND.format("phys-bits=40", devices)).remarks
    assert any("vfio-pci 01:00.0" in remark and "--noncoherent-dma" in remark for remark in remarks)
    assert any("hostmem=8G" in remark for remark in remarks)
    assert any("ivshmem" in remark for remark in remarks)
    assert any("TCG" in r for r in imported("qemu-system-x86_64 -cpu max,phys-bits=40 -m 1G\n").remarks)


# The merge


def test_the_width_of_the_masks_bounds_the_slots() -> None:
    dmesg = CLEAN.replace("  0 disabled", "  0 base 00C0000000 mask FC0000000 uncachable")
    found = error(dmesg, MTREE)
    assert "beyond maxphyaddr 36, which the MTRRs at dump1:3 tell" in found.message
    assert found.place is not None
    assert found.place.file == "dump2"
    assert imported(dmesg, MTREE, given=WB._replace(maxphyaddr=39)).scenario.vm.maxphyaddr == 39


def test_a_slot_above_46_bits_asks_for_the_width() -> None:
    text = TRACE.format(0, 0, 1 << 47, 0x1000, 0x7000, 0)
    assert "--maxphyaddr BITS" in error(text).message
    assert imported(text, given=WB._replace(maxphyaddr=48)).scenario.slots[0].gpa == 1 << 47


def test_a_host_is_as_wide_as_the_slots_that_kvm_took() -> None:
    """Else check would say that KVM refuses a slot of a VM that runs."""
    text = TRACE.format(0, 0, 1 << 47, 0x1000, 0x7000, 0)
    found = imported(text, given=WB._replace(maxphyaddr=50))
    assert found.scenario.vm.host_maxphyaddr == 50
    assert any("the host's maxphyaddr: no dump tells; slots need 48, taken as 50" in each for each in found.remarks)
    assert imported(text, given=WB._replace(maxphyaddr=50, host_maxphyaddr=48)).scenario.vm.host_maxphyaddr == 48
    low = TRACE.format(0, 0, (1 << 46) - 0x1000, 0x1000, 0x7000, 0)
    assert "host:" not in imported(low, given=WB._replace(maxphyaddr=50)).text


def test_what_the_user_says_against_a_dump() -> None:
    assert "WB here, UC on the command line" in error(CLEAN, given=Given(default=MemType.UC)).message
    vm = imported(
        CLEAN, given=Given(registers={0x277: 0x0007040600070406, 0x200: 0xC0000000, 0x201: 0xFC0000800})
    ).scenario.vm
    assert vm.pat.value == 0x0007040600070406
    assert vm.mtrrs.variable[0].valid


@pytest.mark.parametrize(
    ("text", "msr", "told", "other"),
    [
        ("0x200=0xc0000000\n0x201=0xfc0000800\n", 0x200, 0xC0000000, 0x80000000),
        ("0x200=0xc0000000\n0x201=0xfc0000800\n", 0x201, 0xFC0000800, 0xFC0000000),
        ("0x2ff=0x806\n", 0x2FF, 0x806, 0xC06),
        ("0x2ff=0x806\n", 0x2FF, 0x806, 0x6),
        ("0x277=0x0007040600070406\n", 0x277, 0x0007040600070406, 0x0407050600070106),
        ("EFER = 0x0000000000000d01  PAT = 0x0007040600070406\n", 0x277, 0x0007040600070406, 0x0407050600070106),
        ("".join(f"{msr:#x}=0x0606060606060606\n" for msr in ALL_FIXED), 0x26F, 0x0606060606060606, 0),
    ],
)
def test_a_register_given_in_place_of_a_dumps_is_told(text: str, msr: int, told: int, other: int) -> None:
    default = None if msr == 0x2FF else MemType.WB
    for value in (told, other):
        found = imported(text, given=Given(default=default, registers={msr: value}))
        assert any(f"--msr {msr:#x} is taken in place" in remark for remark in found.remarks) == (value == other)


def test_whose_registers_they_are_is_said_once() -> None:
    """More pairs than KVM gives are a host's; nothing else then says that they are taken as the guest's."""
    ten = (
        CLEAN
        + "".join(f"  {number} disabled\n" for number in (8,))
        + "  9 base 00C0000000 mask FFC0000000 uncachable\nx\n"
    )
    remarks = imported(ten).remarks
    assert any("so these are a host's" in remark for remark in remarks)
    assert not any("taken as the guest's" in remark for remark in remarks)
    assert any("taken as the guest's" in remark for remark in imported(CLEAN).remarks)
    told = imported(ten + "Hypervisor detected: KVM\n").remarks
    assert any("KVM gives a guest 8" in remark for remark in told)
    assert not any("a host's" in remark for remark in told)


def test_a_later_cpu_of_one_command_counts() -> None:
    text = "qemu-system-x86_64 -accel kvm -cpu host,phys-bits=39,-mtrr -cpu host,phys-bits=42 -m 1G\n"
    vm = imported(text).scenario.vm
    assert (vm.maxphyaddr, vm.cpuid_mtrr) == (42, True)
    assert "maxphyaddr is" in error(text, text.replace("42", "43")).message


def test_a_host_is_not_a_guest() -> None:
    text = CLEAN + "Hypervisor detected: KVM\n"
    assert "a guest's" in error(text, given=Given(host=True)).message
    assert not any("--whose" in remark for remark in imported(text).remarks)


def test_names_that_repeat_get_numbers_that_are_free() -> None:
    rows = "".join(
        f"  {at:016x}-{at + 0xFFF:016x} (prio 0, ram): {name} KVM\n"
        for at, name in ((0, "ram"), (0x1000, "ram-1"), (0x2000, "ram"), (0x3000, "ram"), (0x4000, "no"))
    )
    assert [slot.name for slot in imported(rows).scenario.slots] == ["ram", "ram-1", "ram-2", "ram-3", "no"]


def test_odd_names_stay_names() -> None:
    for name in ('a "b" \\c', "yes", "1", "#x", "{a: b}", "é", "x: y"):
        row = f"  0000000000000000-0000000000000fff (prio 0, ram): {name} KVM\n"
        (slot,) = imported(row).scenario.slots
        assert slot.name == name


# A kernel's log tells some things twice

MAPPED = (DATA / "importers/samples/dmesg-map-and-registers.txt").read_text()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("4: 00000000ae000000", "4: 00000000ae100000", "no row, so UC, at 0xae000000"),
        ("00000000adffffff write", "00000000acffffff write", "the map has no row, so UC, at 0xad000000"),
        ("000000044fffffff write", "000000045fffffff write", "the map has WB at 0x450000000"),
        ("00000000000bffff uncachable", "00000000000affff uncachable", "do not go on at 0xb0000"),
        ("5: 0000000100000000", "4: 0000000100000000", "row 4 of the map where 5 is next"),
        ("3 fixed", "2 fixed", "2 and 3 are not 6"),
        ("MTRR map: 6 entries (3 fixed + 3", "MTRR map: 7 entries (3 fixed + 4", "a map of 7 entries, of which 6"),
        ("built from 8", "built from 7", "built from 7 pairs, and 8 are listed at dump1:1"),
        ("base: 2784MB", "base: 2752MB", "reg 3 is another pair than at dump1:10"),
        ("reg 5, base: 3GB", "reg 6, base: 3GB", "reg 6 is another pair than at dump1:13"),
        ("range: 16GB", "range: 17GB", "reg 0 is another pair"),
        ("reg 4, base: 2816MB, range: 256MB, type UC", "x", "variable pair 4 is on here"),
        ("base 000000400000000 mask", "base 000000800000000 mask", "reg 1 is another pair than at dump1:8"),
        ("A0000-BFFFF uncachable", "A0000-BFFFF write-back", "the map has UC at 0xa0000, and the registers have WB"),
    ],
)
def test_what_a_log_tells_twice_agrees(old: str, new: str, why: str) -> None:
    assert old in MAPPED
    assert why in str(error(MAPPED.replace(old, new), given=Given()))


def test_a_map_beside_the_pairs_of_another_dump_is_compared_not_numbered() -> None:
    """/proc/mtrr has the registers; the map in the log is what comes out of them."""
    proc = "reg00: base=0x080000000 ( 2048MB), size= 2048MB, count=1: uncachable\n"
    log = "MTRR map: 1 entries (0 fixed + 1 variable; max 16), built from 8 variable MTRRs\n"
    row = "  0: 0000000080000000-00000000ffffffff uncachable\n"
    found = imported(proc, log + row)
    assert [pair.address for pair in found.scenario.vm.mtrrs.variable if pair.valid] == [0x80000000]
    assert "the map has no row, so WB, at 0xf0000000" in str(error(proc, log + row.replace("00ffffffff", "00efffffff")))


def test_of_an_amd_cpu_the_map_has_ram_above_4g() -> None:
    """One more than there are pairs is what it is built from; TOM2 tells up to where, if the line is there."""
    head = "MTRR default type: uncachable\nMTRR variable ranges enabled:\n"
    head += "  0 base 000000000000 mask FFFF80000000 write-back\n"
    head += "".join(f"  {n} disabled\n" for n in range(1, 8))
    tom2 = "TOM2: 0000000230000000 aka 8960M\n"
    rows = "MTRR map: 2 entries (0 fixed + 2 variable; max 17), built from 9 variable MTRRs\n"
    rows += "  0: 0000000000000000-000000007fffffff write-back\n  1: 0000000100000000-000000022fffffff write-back\n"
    for log in (head + tom2 + rows, head + rows):
        assert [pair.memtype for pair in imported(log, given=Given()).scenario.vm.mtrrs.variable if pair.valid] == [
            MemType.WB
        ]
    assert "at 0x220000000" in str(error(head + tom2 + rows.replace("22fffffff", "21fffffff"), given=Given()))


def test_the_clean_ups_first_list_is_the_pairs_where_no_other_is() -> None:
    """And a type that it calls Other is told by the row above, or by nothing."""
    log = "original variable MTRRs\nreg 0, base: 0GB, range: 2GB, type WB\nreg 2, base: 2GB, range: 1GB, type UC\n"
    pairs = imported(log + "total RAM covered: 2048M\n").scenario.vm.mtrrs.variable
    assert [(pair.valid, pair.memtype) for pair in pairs[:3]] == [(True, 6), (False, 0), (True, 0)]
    assert "Other" in str(error(log.replace("type UC", "type Other") + "total RAM covered: 2048M\n"))
    assert "cut behind 2" in str(error(log))


def test_a_maps_head_tells_how_many_pairs_there_are() -> None:
    log = "MTRR map: 1 entries (0 fixed + 1 variable; max {}), built from {} variable MTRRs\n"
    log += "  0: 0000000080000000-00000000ffffffff uncachable\n"
    assert "vcnt: 10" in imported(log.format(20, 10)).text
    assert "vcnt" not in imported(log.format(16, 8)).text
    assert "vcnt" not in imported(log.format(17, 9)).text  # eight, and TOM2


COREBOOT = (DATA / "importers/samples/fw-coreboot.txt").read_text()


def test_coreboots_counts_say_how_many_pairs_it_sets() -> None:
    """For each default type that it may choose; a list that ends early, or late, is not taken as whole."""
    cut = COREBOOT[: COREBOOT.index("  MTRR: 5 base")]
    assert "variable pair 5 is not in the list" in str(error(cut))
    assert imported(cut, given=Given(incomplete=True)).scenario.vm.mtrrs.variable[4].valid
    assert "5 pairs for a default type WB, and pair 5 is on line" in str(error(COREBOOT.replace("6/8", "5/8")))
    assert "pairs that the list lacks: 6, 7" in str(error(COREBOOT.replace("6/8", "8/8")))


def test_a_key_that_a_folded_command_ends_with_keeps_its_sign() -> None:
    """A line of a mail in quoted-printable ends with = as well, and codes every = of its own."""
    head = "qemu-system-x86_64 -enable-kvm -m 4G -smp 4 -nographic -cpu host,phys-bits"
    assert imported(f"{head}=\n40\n").scenario.vm.maxphyaddr == 40
    assert imported(f"{head}=\n=3D40\n").scenario.vm.maxphyaddr == 40
    assert imported(f"{head[:-5]}=\n-bits=3D40\n").scenario.vm.maxphyaddr == 40
    assert imported(f"{head}=3D40\n").scenario.vm.maxphyaddr == 40
    assert imported(f"{head}=0x28\n").scenario.vm.maxphyaddr == 40
    assert "is no number of bits" in str(error(f"{head}=4O\n"))


HOST_LIST = "PAT memtype list:\nPAT: [mem 0x00000000e0000000-0x00000000f0000000] write-combining\n"
HOST_LIST += "PAT: [mem 0x00000000f0000000-0x00000000f2000000] uncached-minus\n"


def test_a_hosts_list_gives_slots_their_host_type_where_the_user_says_where_they_are() -> None:
    """By name or guest-physical address; a device stays one, RAM that is listed is none of the host's."""
    hpa = (("0000:01:00.0 BAR 1 mmaps[0]", 0xE0000000), ("0x7040000000", 0xF0000000), ("looking-glass", 0xE8000000))
    found = imported(MTREE, HOST_LIST, given=Given(host=True, hpa=hpa))
    backings = {slot.name: slot.backing for slot in found.scenario.slots}
    bar1, bar3 = (backings[f"0000:01:00.0 BAR {n} mmaps[0]"] for n in (1, 3))
    assert (bar1.host_type, bar1.is_device, bar3.host_type) == (MemType.WC, True, MemType.UC_MINUS)
    shared = backings["looking-glass"]
    assert (shared.host_type, shared.struct_page, shared.reserved) == (MemType.WC, True, True)
    assert backings["0000:01:00.1 BAR 0 mmaps[0]"].host_type is MemType.UC_MINUS  # no row: a device as any other
    assert not found.scenario.pages
    assert any("looking-glass at 0xe8000000-0xebffffff of the host: listed" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("hpa", "why"),
    [
        ((), "a host's list has the host's own addresses"),
        ((("bar", 0xE0000000),), "'bar' is no slot"),
        ((("0000:01:00.0 BAR 1 mmaps[0]", 0xE8000000),), "is WC by dump2:2, and UC- here"),
    ],
)
def test_a_hosts_list_is_asked_about(hpa: tuple[tuple[str, int], ...], why: str) -> None:
    assert why in str(error(MTREE, HOST_LIST, given=Given(host=True, hpa=hpa)))


def test_an_address_in_the_host_without_its_list_is_an_error() -> None:
    hpa = (("0000:01:00.0 BAR 1 mmaps[0]", 0xE0000000),)
    assert "no host's pat_memtype_list" in str(error(MTREE, given=Given(host=True, hpa=hpa)))
    assert "no host's pat_memtype_list" in str(error(MTREE, HOST_LIST, given=Given(hpa=hpa)))
    far = imported(MTREE, HOST_LIST, given=Given(host=True, hpa=(("looking-glass", 0x1000),)))
    assert any("in no row of the host's list" in remark for remark in far.remarks)


@pytest.mark.parametrize(
    "prefix",
    [
        "Sat 2023-11-04 12:00:00 CET myhost kernel: ",  # journalctl -o short-full
        "6,120,345678,-;",  # /dev/kmsg
        "6,120,345678,-,caller=T1;",
        "(XEN) [0000000f1a2b3c4d] ",
        " * ",
        "# ",
        "logs/dmesg.txt:",
        "boot.log:17:[    0.000000] ",
        "2023 Nov  4 12:00:00 myhost kernel: ",
        "12:00:00.123 [    0.000000] ",
        "[2023-11-04 12:00:00.123] [    0.000000] ",
        "2023-11-04 12:00:00 ",  # no zone: the MTRR and PAT that follow are none
        "2023-11-04T12:00:00 ",
        "2023-11-04 12:00:00 CEST ",
        "2023-11-04 12:00:00.123 +0100 ",
        "[    0.000000] [    T0] ",
        "Sat Nov  4 12:00:00 2023 ",
        "[12:00:00] ",
    ],
)
def test_what_stands_in_front_of_a_log_is_taken_off(prefix: str) -> None:
    log = "MTRR default type: write-back\nMTRR fixed ranges enabled:\n  00000-FFFFF uncachable\n"
    log += "MTRR variable ranges enabled:\n  0 base 0080000000 mask FF80000000 uncachable\n"
    log += "".join(f"  {n} disabled\n" for n in range(1, 8))
    log += "x86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT\n"
    wanted, got = imported(log), imported("".join(f"{prefix}{line}\n" for line in log.splitlines()))
    assert got.scenario.vm == wanted.scenario.vm
    assert got.scenario.vm.mtrrs.variable[0].address == 0x80000000


def test_trace_cmd_pads_the_event_and_what_it_says() -> None:
    head = " CPU 0/KVM-1234  [003] 99.123456: kvm_msr:              msr_write"
    found = imported(f"{head} 2ff = 0x806\n{head} 277 = 0x0 (#GP)\n", given=Given())
    assert found.scenario.vm.mtrrs.default is MemType.WB
    assert "pat:" not in found.text


def test_the_module_before_a_vmcs_and_coreboots_level_are_taken_off() -> None:
    vmcs = "kvm_intel: *** Guest State ***\n"
    vmcs += "kvm_intel: CR0: actual=0x0000000080050033, shadow=0x0000000060000010, gh_mask=ffffffffffffffff\n"
    vmcs += "kvm_intel: PAT = 0x0407050600070106\nkvm_intel: *** Host State ***\nkvm_intel: PAT = 0x0007040600070406\n"
    found = imported(vmcs).scenario.vm
    assert (found.cr0_cd, found.paging, str(found.pat.entries[1])) == (True, False, "WC")
    levels = "".join(f"[DEBUG]  {line.strip()}\n" for line in COREBOOT.splitlines())
    assert imported(levels, given=Given()).scenario.vm == imported(COREBOOT, given=Given()).scenario.vm
    assert imported("cpu0: 0x277 = 0x0407050600070106\n").scenario.vm.pat.entries[1] is MemType.WC


def test_a_clean_up_whose_new_list_is_not_there_is_said() -> None:
    """Cut behind the old list; what a kernel that found nothing better says is the end of it as well."""
    log = (DATA / "importers/samples/03-dmesg-bare-mtrr-cleanup-two-sets.txt").read_text()
    old, new, _ = log.partition("New variable MTRRs")
    words = "no list of new MTRRs follows"
    assert new

    def said(text: str) -> bool:
        return any(words in remark for remark in imported(text, given=Given(assume=True)).remarks)

    assert [said(log), said(old), said(f"{old}mtrr_cleanup: can not find optimal value\n")] == [False, True, False]
