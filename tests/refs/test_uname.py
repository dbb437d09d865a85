# SPDX-License-Identifier: GPL-2.0-only
"""What people's `uname -r` names: the release, its rules, and whose build it is."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mtcalc.refs.names import resolve_name
from mtcalc.refs.resolve import resolve
from mtcalc.rules.inputs import FLAG_NON_COHERENT_DMA, MEM_DMA, Facts
from mtcalc.rules.kernel import kernel_notes, version_text
from mtcalc.rules.rule import decide, inputs_read
from support.notes import noted
from support.program import DATA, quick

LOCAL, NEAR, SERIES, ENTERPRISE = "a local build", "near upstream", "the name does not say", "likely other rules"
UNKNOWN = "a vendor's or a local build"

UNAMES = [
    # uname -r, release, rules, whose, grade
    ("6.12.107+deb12-amd64", "6.12.107", "v6.16", "Debian", NEAR),
    ("6.12.48+deb13-cloud-amd64", "6.12.48", "v6.11", "Debian", NEAR),
    ("6.1.0-18-amd64", "6.1", "v4.4", "Debian", SERIES),
    ("5.10.0-28-cloud-amd64", "5.10", "v4.4", "Debian", SERIES),
    ("3.16.0-4-686-pae", "3.16", "v3.13", "Debian", SERIES),
    ("2.6.32-5-amd64", "2.6.32", "v2.6.31", "Debian", SERIES),
    ("6.5.0-0.deb12.4-amd64", "6.5", "v4.4", "Debian", SERIES),
    ("6.10.11-amd64", "6.10.11", "v6.7", "Debian", NEAR),
    ("5.15.0-91-generic", "5.15", "v4.4", "Ubuntu", SERIES),
    ("6.8.0-1015-aws", "6.8", "v6.7", "Ubuntu", SERIES),
    ("5.4.0-1103-azure-fips", "5.4", "v4.4", "Ubuntu", SERIES),
    ("6.6.8-060608-generic", "6.6.8", "v4.4", "Ubuntu's mainline", NEAR),
    ("6.11.4-301.fc41.x86_64", "6.11.4", "v6.11", "Fedora", NEAR),
    ("6.11.0-0.rc3.20240814git.30.fc41.x86_64", "6.11-rc", "v6.11-rc1", "Fedora", NEAR),
    ("6.9.7-arch1-1", "6.9.7", "v6.7", "Arch", NEAR),
    ("6.9.7-zen1-1-zen", "6.9.7", "v6.7", "Arch", NEAR),
    ("6.9.7-zen", "6.9.7", "v6.7", "Arch", NEAR),
    ("6.6.41-1-lts", "6.6.41", "v4.4", "Arch", NEAR),
    ("6.6.41-lts", "6.6.41", "v4.4", "Arch", NEAR),
    ("6.8.12-4-pve", "6.8.12", "v6.7", "Proxmox", NEAR),
    ("6.10.3-1-default", "6.10.3", "v6.7", "openSUSE", NEAR),
    ("6.6.13_1", "6.6.13", "v4.4", "Void", NEAR),
    ("6.6.87.2-microsoft-standard-WSL2", "6.6.87", "v4.4", "Microsoft", NEAR),
    ("6.1.79-99.164.amzn2023.x86_64", "6.1.79", "v4.4", "Amazon", NEAR),
    ("4.18.0-553.el8_10.x86_64", "4.18", "v4.4", "RHEL", ENTERPRISE),
    ("5.14.0-503.11.1.el9_5.x86_64", "5.14", "v4.4", "RHEL", ENTERPRISE),
    ("6.12.0-55.9.1.el10_0.x86_64", "6.12", "v6.11", "RHEL", ENTERPRISE),
    ("3.10.0-1160.el7.x86_64", "3.10", "v2.6.31", "RHEL", ENTERPRISE),
    ("5.15.0-200.131.27.el8uek.x86_64", "5.15", "v4.4", "Oracle UEK", ENTERPRISE),
    ("6.4.0-150600.23.7-default", "6.4", "v4.4", "SLES", ENTERPRISE),
    ("4.12.14-122.37-default", "4.12.14", "v4.4", "SLES", ENTERPRISE),
    ("6.12.0-160000.5-default", "6.12", "v6.11", "SLES", ENTERPRISE),
    ("5.10.0-60.18.0.50.oe2203.x86_64", "5.10", "v4.4", "openEuler", ENTERPRISE),
    ("6.10.0-g1234abc-dirty", "6.10", "v6.7", "", LOCAL),
    ("6.10.0-00123-g1234abcdef01", "6.10", "v6.7", "", LOCAL),
    ("6.11.0-rc3+", "6.11-rc", "v6.11-rc1", "", LOCAL),
    ("6.6.0+", "6.6", "v4.4", "", LOCAL),
    ("6.18.44-fc-v657", "6.18.44", "v6.16", "", UNKNOWN),
    ("6.6.1-custom", "6.6.1", "v4.4", "", UNKNOWN),
]


@pytest.mark.parametrize(("uname", "release", "rules", "whose", "grade"), UNAMES)
def test_what_a_name_says(uname: str, release: str, rules: str, whose: str, grade: str) -> None:
    kernel = resolve(uname)
    assert kernel.rules.name == rules
    (note,) = [note for note in noted(kernel.notes) if note.startswith("rules of mainline ")]
    assert note.startswith(f"rules of mainline {release}; '")
    assert whose in note
    assert grade in note
    if grade is not LOCAL:
        assert "vendor" in note
        assert "backport" in note


@pytest.mark.parametrize(
    ("ref", "rules", "note"),
    [
        ("6.11-rc", "v6.11-rc1", None),
        ("6.11-rc7", "v6.11-rc1", None),
        ("v6.11-rc1", "v6.11-rc1", None),
        ("6.12-rc1", "v6.11", "6.12-rc is taken as 6.12: its rules came in before the first candidate"),
        ("6.16-rc1", "v6.16", "6.16-rc is taken as 6.16: its rules came in before the first candidate"),
        ("6.12.78-rc1", "v6.16", "6.12.78-rc is taken as 6.12.78"),
        ("4.3-rc1", "v4.3", "4.3-rc: the rules came in between the candidates, an early one may have those before"),
        ("4.2-rc", "v4.2", "4.2-rc: the rules came in between the candidates, an early one may have those before"),
        ("2.6.29-rc8", "v2.6.29", "2.6.29-rc: the rules came in between the candidates, an early one may have"),
        ("6.11.0-0.rc0.20240718git.3", "v6.11-rc1", "6.11-rc0 is a snapshot before the first candidate"),
    ],
)
def test_what_is_said_of_a_candidate(ref: str, rules: str, note: str | None) -> None:
    kernel = resolve(ref)
    assert kernel.rules.name == rules
    assert not any(" is 6.12-rc.0" in said for said in noted(kernel.notes))
    if note is None:
        assert noted(kernel.notes) == ()
    else:
        assert noted(kernel.notes)[0].startswith(note)


def test_the_program_reads_what_it_prints() -> None:
    assert version_text(resolve("6.11-rc3").release) == "6.11-rc"
    assert resolve("6.11-rc") == resolve("6.11-rc3")._replace(ref="6.11-rc")


def test_a_git_tag_is_that_release() -> None:
    """The names of rule sets too: the same answer."""
    file = str(DATA / "v44.yaml")
    masks = {}
    for ref in ("v4.4", "4.4", "v4.4.0", "4.4.0", "V4.4"):
        (answer,) = quick("eval", file, "-r", ref, "-o", "json").json["results"]
        masks[ref] = answer["ept"]["mask"]
    assert set(masks.values()) == {"0x00"}
    for name in ("v2.6.31", "v3.13", "v4.2", "v4.3", "v6.7", "v6.11", "v6.16"):
        assert resolve(name) == resolve(name[1:])._replace(ref=name)


def machine(system: str, release: str) -> SimpleNamespace:
    return SimpleNamespace(sysname=system, release=release)


def test_host_is_this_machines_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: machine("Linux", "6.1.0-18-amd64"))
    kernel = resolve("host")
    assert (kernel.ref, kernel.rules.name, kernel.release) == ("host", "v4.4", (6, 1))
    assert noted(kernel.notes)[0] == "host is 6.1.0-18-amd64"
    assert SERIES in noted(kernel.notes)[1]
    monkeypatch.setattr(os, "uname", lambda: machine("Linux", "99.1.2"))
    with pytest.raises(ValueError, match=r"^host: 99\.1\.2 is newer than .*\(latest: the newest known rules\)$"):
        resolve("host")
    monkeypatch.setattr(os, "uname", lambda: machine("Darwin", "23.1.0"))
    with pytest.raises(ValueError, match=r"^host: this machine runs Darwin 23\.1\.0 \(a Linux release: -r 6\.12\)$"):
        resolve("host")


@pytest.mark.parametrize("ref", ["6.6+slot-flag", "v6.6+SLOT_FLAG", "v4.4+slot-flag", "6.6.30-cros+slot-flag"])
def test_a_proposal_on_top_of_a_release(ref: str) -> None:
    """The release's rules, the flag's behind that of host MMIO, and the release's behaviour around them."""
    below, kernel = resolve(ref.rpartition("+")[0]), resolve(ref)
    assert kernel.ref == ref
    assert [rule.id for rule in kernel.rules.rules] == ["mmio", "slot-flag", *[r.id for r in below.rules.rules[1:]]]
    assert kernel.slot_flags == below.slot_flags | 8
    assert kernel.release == below.release
    assert any("not in mainline" in note for note in noted(kernel_notes(kernel)))
    for facts in (Facts(), Facts(noncoherent_dma=True, cr0_cd=True), Facts(mmio=True, slot_flags=8)):
        assert decide(kernel.rules, facts)[1] == decide(below.rules, facts)[1]
    assert decide(kernel.rules, Facts(slot_flags=8))[1] == 0x30


def test_other_proposals_on_top() -> None:
    mtrr = resolve("6.6+slot-honor-mtrr")
    assert decide(mtrr.rules, Facts(slot_flags=8))[0].then.memtype_of is not None
    dma = resolve("6.6+kvm-mem-dma")
    assert MEM_DMA in inputs_read(dma.rules)
    assert FLAG_NON_COHERENT_DMA not in inputs_read(dma.rules)
    assert [rule.when for rule in dma.rules.rules] == [rule.when for rule in resolve("kvm-mem-dma").rules.rules]
    assert decide(resolve("6.16+kvm-mem-dma").rules, Facts(mem_dma=True))[1] == 0x30
    assert resolve("6.12.107+deb12-amd64+slot-flag").rules.name == "v6.16+slot-flag"


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("6.12+slot-honor-mtrr", r"^v6\.11 never asks for the guest's MTRR type \(6\.10 and older do\)$"),
        ("4.2+slot-flag", r"^v4\.2 has no rule 'mmio', behind which slot-flag goes \(v4\.3 has\)$"),
        ("6.6+quirk-v1", r"^'\+quirk-v1' is no proposal that goes on top of a release \(one of slot-flag, "),
        ("6.6+slot-flg", r"^'\+slot-flg' is no proposal that goes on top of a release \(one of slot-flag, "),
        ("6.6+slot-flag+slot-flag", "has a rule for the slot flag already"),
        ("v2.6.29+kvm-mem-dma", r"^v2\.6\.29 does not ask for non-coherent DMA \(2\.6\.31 and later do\)$"),
        ("99.1+slot-flag", r"^99\.1 is newer than "),
    ],
)
def test_a_proposal_that_does_not_go_there_is_refused(ref: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_name(ref)


def test_the_default_says_what_it_is_and_what_latest_answers() -> None:
    """In the line that names the rules, and in a note; chosen by name it says neither."""
    shown = quick("lookup").out
    assert shown.startswith("rules slot-flag (the default: a proposal, not in mainline), VMX with EPT\n")
    assert "note: latest (v6.16) answers the same byte, 0x70\n" in shown
    (answer,) = quick("lookup", "--noncoherent-dma", "--mtrr", "uc", "--pat", "wb", "-o", "json").json
    assert "latest (v6.16) answers 0x30 (WB), not 0x00: effective WB" in answer["notes"]
    (answer,) = quick("lookup", "--slot-flag", "8", "--pat", "wc", "-o", "json").json
    refused = "latest (v6.16) refuses slot flag NON_COHERENT_DMA; without it, it answers"
    assert f"{refused} 0x70 (WB, ignore PAT), not 0x30: effective WB" in answer["notes"]
    named = quick("lookup", "-r", "slot-flag").out
    assert named.startswith("rules slot-flag, VMX with EPT\n")
    assert "latest" not in named
    table = quick("table", "--noncoherent-dma").out
    assert table.startswith("rules slot-flag (the default: a proposal, not in mainline), VMX with EPT\n")
    assert "latest (v6.16) has another EPT byte in 4 of 5 cases" in " ".join(table.split())


CHANGES = (
    "changes:\n  - insert_after: mmio\n    id: mine\n    when: slot_flag READONLY\n    ept: {memtype: WB, ipat: 0}\n"
)


def test_a_file_of_changes_on_top_of_a_release(tmp_path: Path) -> None:
    """`6.6+file.yaml`: changes and no base; the release's behaviour around them."""
    for name in ("my.yaml", "a+b.yaml"):
        file = tmp_path / name
        file.write_text(CHANGES)
        for below in ("6.6", "v6.6.30", "6.12.107+deb12-amd64", "slot-flag"):
            kernel = resolve(f"{below}+{name}", directory=str(tmp_path))
            assert kernel.ref == f"{below}+{name}"
            assert kernel.rules.name == f"{resolve(below).rules.name}+{name.removesuffix('.yaml')}"
            assert kernel.release == resolve(below).release
            assert decide(kernel.rules, Facts(slot_flags=2))[1] == 0x30
            assert resolve(f"{below}+{file}").rules == kernel.rules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"base: v6.7\n{CHANGES}", "base in a file that goes on top of 6.6 (changes: alone; or -r without '6.6+')"),
        (f"kernel: 6.10\n{CHANGES}", "kernel in a file that goes on top of 6.6 (changes: alone; or -r without '6.6+')"),
        ("name: empty\n", "nothing to put on top of 6.6 (changes: a list)"),
    ],
)
def test_a_file_that_does_not_go_on_top(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    done = quick("lookup", "-r", f"6.6+{file}")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"{file}:1:1: {message}\n")
    assert quick("lookup", "-r", f"6.6+{tmp_path}/none.yaml").status == 2


def test_check_says_what_latest_answers() -> None:
    text = "memslots: [{gpa: 0, size: 1G, flags: [8]}]\nexpect:\n  - {gpa: 0, ept: 0x30}\n"
    shown = " ".join(quick("check", "-", stdin=text).out.split())
    assert "note: latest (v6.16) has another EPT byte in 1 of 1 cases (-r latest says which)" in shown


def test_what_is_not_checked_is_not_refused_either() -> None:
    """Up to 3.6 no slot flag was looked at: no pair of them is refused there."""
    words = ("lookup", "--slot-flag", "GUEST_MEMFD", "--slot-flag", "READONLY")
    assert "EINVAL" not in quick(*words, "-r", "3.6").out
    assert "no kernel takes GUEST_MEMFD together" in quick(*words, "-r", "3.7").out


def test_elrepo_builds_mainline_for_enterprise_systems() -> None:
    assert "near\n      upstream" in quick("lookup", "-r", "6.11.0-1.el9.elrepo.x86_64").out
    assert "likely other rules" in quick("lookup", "-r", "5.14.0-503.el9.x86_64").out.replace("\n      ", " ")
