# SPDX-License-Identifier: GPL-2.0-only
"""Who honours the guest's PAT: what the table says, against the rules asked one state at a time."""

from __future__ import annotations

import itertools

import pytest

from mtcalc.analysis.lookup import lookup
from mtcalc.analysis.who import Honours, WhoRow, who_rows
from mtcalc.kvm.flags import QUIRKS
from mtcalc.kvm.release import before, newest
from mtcalc.kvm.versions import Vendor
from mtcalc.refs.resolve import resolve
from mtcalc.rules.condition import holds
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, out_of_reach, version_text
from mtcalc.rules.platform import on_platform
from mtcalc.rules.releases import RELEASES
from mtcalc.x86.memtype import PAT_TYPES, MemType
from support.program import quick

DMA, OPTION, SNOOP = "with non-coherent DMA", "with -accel kvm,honor-guest-pat=on", "on a CPU with self-snoop"
IGP = QUIRKS["IGNORE_GUEST_PAT"]
ENDS = [version_text(row.since) for row in RELEASES]
ENDS += [version_text(before(row.since)) for row in RELEASES[1:] if len(row.since) == 2 and row.since[-1] > 0]


def honoured(kernel: Kernel, facts: Facts) -> bool:
    """Whether some PAT type but WB has its say: RAM that is WB whatever the guest asks for honours nothing."""
    return len({kind for _, kind in lookup(kernel, facts).effective}) > 1


def needed(row: WhoRow, dma: bool, off: bool, snoop: bool) -> bool:
    """Whether a state has what a row says is needed; QEMU 11's option turns the quirk off."""
    if row.answer is not Honours.ONLY:
        return row.answer is Honours.YES
    met = {DMA: dma, OPTION: off, SNOOP: snoop}
    return any(all(met[part] for part in need.split(" and ")) for need in row.needs)


@pytest.mark.parametrize("ref", dict.fromkeys((*ENDS, "slot-flag", "quirk-v1", "latest")))
def test_a_row_is_what_the_rules_say_in_each_state(ref: str) -> None:
    kernel = resolve(ref)
    rows = who_rows((kernel,), Vendor.INTEL)
    mine = [row for row in rows if row.vmm in ("", "qemu 11.0 on")]
    for row, dma, off, snoop in itertools.product(mine, (False, True), (0, IGP), (False, True)):
        flags = 8 if row.slot_flag else 0
        facts = Facts(noncoherent_dma=dma, disabled_quirks=off, self_snoop=snoop, slot_flags=flags)
        if any(holds(state.when, facts) for state in out_of_reach(kernel) if "CD_NW" not in state.why):
            continue
        assert honoured(kernel, facts) is needed(row, dma, off > 0, snoop), (row, facts)


@pytest.mark.parametrize(("ref", "answer"), [("4.14", Honours.NO), ("4.15", Honours.YES), ("slot-flag", Honours.YES)])
def test_on_amd_the_release_alone_counts(ref: str, answer: Honours) -> None:
    (row,) = who_rows((resolve(ref),), Vendor.AMD)
    assert (row.answer, row.needs, row.slot_flag, row.vmm) == (answer, (), None, "")
    kinds = dict(lookup(on_platform(resolve(ref), Vendor.AMD), Facts(), PAT_TYPES).effective)
    assert (str(kinds[MemType.WC]) == "WC+") is (answer is Honours.YES)


def test_no_vmm_but_qemu_from_11_on_can_turn_the_quirk_off() -> None:
    rows = {row.vmm: row for row in who_rows((resolve("6.16"),), Vendor.INTEL)}
    assert rows["qemu 11.0 on"].needs == (DMA, f"{OPTION} and {SNOOP}")
    assert rows["qemu before 11.0"].needs == rows["crosvm (?)"].needs == (DMA,)
    assert {row.vmm for row in who_rows((resolve("6.15"),), Vendor.INTEL)} == {""}


def test_every_release_has_a_row_of_each_vendor() -> None:
    rows = who_rows((), None)
    assert {name for row in rows for name in row.rules} >= {release.rules.name for release in RELEASES}
    assert {row.vendor for row in rows} == set(Vendor)
    assert [row.name for row in rows if row.vendor is Vendor.AMD] == [
        "2.6.28 to 4.14",
        f"4.15 to {version_text(newest())}",
    ]
    names = list(dict.fromkeys(row.name for row in rows if row.vendor is Vendor.INTEL))
    assert names[:4] == ["2.6.28 to 2.6.30", "2.6.31 to 6.10", "6.11-rc", "6.11 to 6.12.77"]
    assert all(row.source for row in rows)


@pytest.mark.parametrize(
    "args", ["--where effective=WC", "--mmio", "--pat wc", "--cd", "--no-paging", "--host-mtrr uc"]
)
def test_it_takes_no_other_input(args: str) -> None:
    done = quick("table", "--who", "honours-pat", *args.split())
    assert (done.status, done.out) == (2, "")


def test_the_forms_hold_the_same_rows() -> None:
    records = quick("table", "--who", "honours-pat", "-o", "json").json
    lines = quick("table", "--who", "honours-pat", "-o", "csv").out.splitlines()
    assert len(lines) == len(records) + 1
    assert {record["honours_pat"] for record in records} == {"yes", "no", "only"}
    assert all(bool(record["needs"]) is (record["honours_pat"] == "only") for record in records)
    amd = quick("table", "--who", "honours-pat", "--vendor", "amd", "-r", "6.8", "-o", "json").json
    assert [(each["vendor"], each["honours_pat"]) for each in amd] == [("amd", "yes")]


def test_a_cpu_without_self_snoop_keeps_the_quirk_whatever_the_vmm_says() -> None:
    """There the kernel refuses to turn it off."""
    words = " and on a CPU with self-snoop"
    for ref in ("6.12.78", "6.16", "latest"):
        needs = [row["needs"] for row in quick("table", "--who", "honours-pat", "-r", ref, "-o", "json").json]
        assert ["with non-coherent DMA", f"with -accel kvm,honor-guest-pat=on{words}"] in needs
