# SPDX-License-Identifier: GPL-2.0-only
"""Each text that carries SPTEs, as KVM of its releases prints it: what is read of it, and at which line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtcalc.importers.traces import TraceReader
from mtcalc.text.errors import InputError

HEAD = " CPU 0/KVM - x-4711    [002] d..1.  1404.389384: "


def read(tmp_path: Path, text: str, form: str | None = None) -> list[tuple[int, ...]]:
    """(address space, gfn, level, value, line) of every entry."""
    path = tmp_path / "trace"
    path.write_text(text)
    return [
        (*entry, batch.line(number))
        for batch in TraceReader(str(path), form)
        for number, entry in enumerate(batch.entries)
    ]


@pytest.mark.parametrize(
    ("line", "entries"),
    [
        (
            "kvm_mmu_set_spte: gfn 8 spte 600000025c7b77 (rwxu) level 1 at 6196040",
            [(0, 8, 1, 0x600000025C7B77)],
        ),
        ("kvm_mmu_set_spte:     gfn fffff spte 25 (r-xu) level 1 at 8a53b01ff8", [(0, 0xFFFFF, 1, 0x25)]),
        (
            "kvm_tdp_mmu_spte_changed: as id 1 gfn a0 level 3 old_spte 0 new_spte 80000000000005a0",
            [(1, 0xA0, 3, 0), (1, 0xA0, 3, 0x80000000000005A0)],
        ),
        (
            "fast_page_fault: vcpu 0 gva 8123 error_code P|W sptep ffff8880 old 0x5a0 new 77 spurious 0 fixed 1",
            [(0, 8, 0, 0x5A0), (0, 8, 0, 0x77)],
        ),
        (
            "fast_page_fault: vcpu 0 gva 8000 error_code  sptep ffff8880 old 0x0 new 0 spurious 0 fixed 0",
            [(0, 8, 0, 0), (0, 8, 0, 0)],
        ),
        ("check_mmio_spte: spte fee00006 kvm_gen 3 spte-gen 3 valid 1", [(0, -1, 1, 0xFEE00006)]),
        (
            "kvm_mmu_split_huge_page: gfn 40000 spte 80a0000007400ff7 level 2 errno 0",
            [(0, 0x40000, 2, 0x80A0000007400FF7)],
        ),
        ("kvm_mmu_spte_requested: gfn 84d pfn 100b4a4d level 2", []),
        ("mark_mmio_spte: sptep:000000001 gfn fee00 access 6 gen 3", []),
        ("kvm_mmu_set_spte: gfn 8 spte 600000025c7b77 (rwxu) level 9 at 6196040", []),
        ("kvm_mmu_set_spte: gfn 8 spte 123456789abcdef01 (rwxu) level 1 at 6196040", []),
        ("kvm_mmu_set_spte: gfn 8 spte 60000002zzz (rwxu) level 1 at 6196040", []),
    ],
)
def test_a_tracepoint(tmp_path: Path, line: str, entries: list[tuple[int, ...]]) -> None:
    text = f"# tracer: nop\n{HEAD}{line}\n"
    assert read(tmp_path, text) == [(*entry, 2) for entry in entries]
    assert read(tmp_path, text, "trace") == [(*entry, 2) for entry in entries]
    assert read(tmp_path, text, "log") == []


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (
            "EPT: Misconfiguration.\nEPT: GPA: 0x108ba4538\nept_misconfig_inspect_spte: spte 0x84c236107 level 4\n"
            "ept_misconfig_inspect_spte: spte 0x1028125d77 level 1\n",
            [(0, 0x108BA4, 4, 0x84C236107, 3), (0, 0x108BA4, 1, 0x1028125D77, 4)],
        ),
        (
            "get_mmio_spte: detect reserved bits on spte, addr 0xffc12792, dump hierarchy:\n"
            "------ spte 0x1344a0827 level 4.\n",
            [(0, 0xFFC12, 4, 0x1344A0827, 2)],
        ),
        (
            "get_mmio_spte: reserved bits set on MMU-present spte, addr 0x8000, hierarchy:\n"
            "------ spte = 0x907, level = 4, rsvd bits = 0x8\n",
            [(0, 8, 4, 0x907, 2)],
        ),
        (
            "different PFN!\nas_id: 0 gfn: 800 old_spte: 600000045529db77 new_spte: 5a0 level: 1\n",
            [(0, 0x800, 1, 0x600000045529DB77, 2), (0, 0x800, 1, 0x5A0, 2)],
        ),
    ],
)
def test_a_print(tmp_path: Path, text: str, entries: list[tuple[int, ...]]) -> None:
    for prefix in ("", "[   55.886136] ", "Mar 7 13:38:04 host kernel: ", "> [ 55.9] "):
        lines = "".join(f"{prefix}{line}\n" for line in text.splitlines())
        assert read(tmp_path, lines) == entries
        assert read(tmp_path, lines, "log") == entries


def test_prints_and_tracepoints_in_one_text(tmp_path: Path) -> None:
    text = (
        f"{HEAD}kvm_mmu_set_spte: gfn 8 spte 77 (rwxu) level 1 at 6196040\n"
        "EPT: GPA: 0x9000\nept_misconfig_inspect_spte: spte 0x79 level 1\n"
    )
    assert read(tmp_path, text) == [(0, 8, 1, 0x77, 1), (0, 9, 1, 0x79, 3)]


def test_three_words_a_line(tmp_path: Path) -> None:
    text = "Attaching 1 probe...\n8 8600000002b7eb77 1\n 0x9\t0xa77 2 \n\n8 77 6\n8 77\n8 77 1 1\n^C\n"
    assert read(tmp_path, text, "spte") == [(0, 8, 1, 0x8600000002B7EB77, 2), (0, 9, 2, 0xA77, 3)]
    assert read(tmp_path, text) == []


def test_stop_hands_out_what_has_arrived(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(f"{HEAD}kvm_mmu_set_spte: gfn 8 spte 77 (rwxu) level 1 at 6196040\n")
    reader = TraceReader(str(path), tick=lambda: reader.stop())
    assert [entry for batch in reader for entry in batch.entries] == [(0, 8, 1, 0x77)]
    assert reader.stopped


@pytest.mark.parametrize("data", [b"x\0y\n", b"\xff\xfex\x00", b"BZh91AY", b"\x1f\x8bbroken", b"PERFILE2"])
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "trace"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"trace:1:1: .*\("):
        list(TraceReader(str(path)))
