# SPDX-License-Identifier: GPL-2.0-only
"""Patches as people send, trim, pack and break them, and what is right to say of each."""

from __future__ import annotations

import base64
import gzip
import json
import lzma
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mtcalc.csource.writer import Style, write_c
from mtcalc.patches.apply import rules_from_patch
from mtcalc.patches.decode import patch_text
from mtcalc.patches.read import read_patches
from mtcalc.text.errors import InputError
from support.patches import VMX, c_file, diff, kernel, mail, quoted, quoted_printable
from support.program import Run, quick

DATA = Path(__file__).parent.parent / "data" / "patches" / "judged"
SEED = (DATA.parent / "noncoherent-dma-slot-flag-3of4.patch").read_text()
EARLY = write_c(kernel("v6.7").rules, Style.RETURN)
NONE = "touches no rule: vmx_get_mt_mask() and what it calls stay as they are\n"
FLAG = "\tif (slot->flags & KVM_MEM_NON_COHERENT_DMA)\n\t\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;\n\n"
WITH_FLAG = EARLY.replace("\tif (!kvm_arch", f"{FLAG}\tif (!kvm_arch")
SENT = mail(diff(c_file(EARLY), c_file(WITH_FLAG)), date="Fri, 5 Jan 2024 17:12:37 +0800")
DIFF = diff(c_file(EARLY), c_file(WITH_FLAG))


def run(name: str, *args: str) -> Run:
    return quick("review", name, *args, cwd=DATA)


def record(path: Path, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(quick("review", str(path), *args, "-o", "json").out)
    return found


def error(name: str, *args: str) -> str:
    done = run(name, *args)
    assert (done.status, done.out) == (2, "")
    assert "Traceback" not in done.err
    assert len(done.err.split("\n")[0]) < 1000
    return done.err


# (file, status, base, changed inputs of how many, part of what is said)
ANSWERED = [
    ("slot-param-only.patch", 0, "v6.7", 0, 80),
    ("two-definitions-under-ifdef.patch", 1, "v4.4", 5, 80),
    ("trimmed-other-hunk.eml", 1, "v4.4", 5, 80),
    ("cover-with-interdiff.mbox", 1, "v6.7", 33, 160),
    ("helper-in-other-file.patch", 0, "v6.7", 0, 80),
    ("per-vm-mtrr.patch", 0, "v4.4", 0, 80),
    ("per-vm-mtrr.mbox.gz", 0, "v4.4", 0, 80),
    ("uc-to-wc.patch", 1, "v4.4", 7, 80),
    ("line-comment-cont.patch", 1, "v6.16", 4, 8),
]


@pytest.mark.parametrize(("name", "status", "base", "changed", "of"), ANSWERED, ids=lambda item: str(item))
def test_answered(name: str, status: int, base: str, changed: int, of: int) -> None:
    done = run(name, "-o", "json")
    assert (done.status, done.err) == (status, "")
    found = json.loads(done.out)
    assert (found["base"], found["changed"], found["reachable"]) == (base, changed, of)
    covers = [False] if name.startswith("cover") else []
    assert [patch["touches"] for patch in found["patches"]] == [*covers, True]


def test_cd_without_the_quirk_becomes_write_through() -> None:
    """CR0.CD without the quirk: UC,1 becomes WT,1, whatever stands elsewhere in the patch."""
    for name in ("two-definitions-under-ifdef.patch", "trimmed-other-hunk.eml"):
        (row,) = json.loads(run(name, "-o", "json").out)["rows"]
        assert (row["before"]["mask"], row["after"]["mask"]) == ("0x40", "0x60")
        assert row["when"]["quirks"] == {"CD_NW_CLEARED": False}
        assert row["when"]["cr0_cd"] is True


@pytest.mark.parametrize("name", ["unrelated-rename", "moved-elsewhere", "comment-after-label"])
@pytest.mark.parametrize("base", [(), ("--base", "v4.4"), ("--base", "6.12")])
def test_touches_no_rule(name: str, base: tuple[str, ...]) -> None:
    """One short line, status 0; in JSON nothing changed."""
    if base == ("--base", "6.12") and name == "unrelated-rename":
        return  # shows a local that 6.12's function had no longer
    done = run(f"{name}.patch", *base)
    assert (done.status, done.out, done.err) == (0, NONE, "")
    found = json.loads(run(f"{name}.patch", *base, "-o", "json").out)
    assert (found["changed"], found["rows"], found["questions"], found["left_aside"]) == (0, [], [], [])
    assert [patch["touches"] for patch in found["patches"]] == [False]
    assert list(found) == list(json.loads(run("uc-to-wc.patch", "-o", "json").out))
    assert run(f"{name}.patch", *base, "-o", "jsonl").out == ""
    assert len(run(f"{name}.patch", *base, "-o", "csv").out.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "base", "said"),
    [
        ("comment-close-removed-a1", "6.16", "a comment that does not end"),
        ("comment-close-removed-b1", "6.16", "a comment that does not end"),
        ("removes-helper-brace", "6.16", "braces of vmx_ignore_guest_pat() unbalanced"),
        ("removes-helper-brace", "6.12", "there is no vmx_ignore_guest_pat() in it"),
        ("removes-last-assignment", "kvm-mem-dma", "cache has no value yet here"),
        ("removes-last-assignment", "v4.4", "cache has no value yet here"),
        ("removes-last-assignment", "v6.7", "does not fit v6.7"),
    ],
)
def test_what_leaves_no_c_is_refused(name: str, base: str, said: str) -> None:
    """All of a patch or none, and the result is C: on a base that is named, on any, and as a REF."""
    assert said in error(f"{name}.patch", "--base", base)
    assert error(f"{name}.patch")
    shown = quick("rules", "show", f"{name}.patch", "--base", base, cwd=DATA)
    assert (shown.status, shown.out) == (2, "")


def test_questions() -> None:
    """One vCPU's state for all; what the guest maps UC and gets as WC; a count of one is no plural."""
    (asked,) = json.loads(run("per-vm-mtrr.patch", "-o", "json").out)["questions"]
    assert asked["text"] == "one vCPU's state for all vCPUs? `kvm_mtrr_get_guest_memory_type(vcpu->kvm, gfn)`"
    asked, other = json.loads(run("uc-to-wc.patch", "-o", "json").out)["questions"]
    assert (asked["kind"], asked["count"], asked["pat"]) == ("combining", 5, "UC")
    assert (asked["example"]["before"]["mask"], asked["example"]["after"]["mask"]) == ("0x40", "0x48")
    # What has another PAT type, UC- here, becomes WC in the two changes where what has UC does not.
    assert (other["code"], other["count"], other["pat"]) == ("uc-to-wc", 2, "UC-")
    assert "\nOF 7 ROW PAT        QUESTIONS: is that meant?\n5    " in run("uc-to-wc.patch").out
    assert "\nOF 1 ROW PAT       QUESTIONS: is that meant?\n1    1   " in run("quirk-first-name.patch").out


# How the same patch comes.

PLAIN_HEADS = "From: A <a@b.c>\nDate: Fri, 5 Jan 2024 17:12:37 +0800\nSubject: [PATCH] x\n"


def _multipart(kind: str, part: str) -> str:
    return (
        f'{PLAIN_HEADS}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="=_b"\n\n--=_b\n'
        f"Content-Type: text/plain\n\nSee there.\n--=_b\n{kind}\n\n{part}\n--=_b--\n"
    )


def _attached(data: bytes, kind: str, name: str) -> bytes:
    encoded = base64.encodebytes(data).decode()
    head = f'Content-Type: {kind}; name="{name}"\nContent-Transfer-Encoding: base64\n'
    return _multipart(f'{head}Content-Disposition: attachment; filename="{name}"', encoded).encode()


def _coloured(text: str) -> str:
    colours = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m", "d": "\x1b[1m"}
    return "".join(f"{colours.get(line[:1], '')}{line}\x1b[m\n" for line in text.splitlines())


def _log(text: str) -> str:
    head = "commit 0123456789abcdef0123456789abcdef01234567\nAuthor: A <a@b.c>\n"
    return f"{head}Date:   Fri Jan 5 17:12:37 2024 +0800\n\n    KVM: x\n\n    Words.\n\n{text}"


def _flowed(text: str) -> str:
    stuffed = []
    for line in text.splitlines():
        line = line.rstrip() if line.startswith("@@") else line  # as git has it
        stuffed.append(f" {line}" if line.startswith((" ", ">", "From ")) else line)
    body = "\n".join(stuffed).replace("KVM_MEM_NON_COHERENT_DMA)", "\nKVM_MEM_NON_COHERENT_DMA)")
    return f"{PLAIN_HEADS}Content-Type: text/plain; format=flowed\n\n{body}\n"


FORMS: dict[str, bytes] = {
    "as it is": SENT.encode(),
    "gzip": gzip.compress(SENT.encode()),
    "two gzip members": gzip.compress(SENT[:300].encode()) + gzip.compress(SENT[300:].encode()),
    "xz": lzma.compress(SENT.encode()),
    "latin-1 body": SENT.replace("What is changed", "Was sich \xe4ndert").encode("latin-1"),
    "latin-1 header": SENT.replace("A Writer", "\xc4 Writer", 1).encode("latin-1"),
    "declared latin-1": SENT.replace("Subject:", "Content-Type: text/plain; charset=iso-8859-1\nSubject:", 1)
    .replace("What", "W\xe4s")
    .encode("latin-1"),
    "unknown charset": SENT.replace("Subject:", "Content-Type: text/plain; charset=x-none\nSubject:", 1).encode(),
    "no charset of mails": SENT.replace("Subject:", "Content-Type: text/plain; charset=rot13\nSubject:", 1).encode(),
    "utf-16 in base64": (
        f"{PLAIN_HEADS}Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: base64\n\n".encode()
        + base64.encodebytes(DIFF.encode("utf-16"))
    ),
    "quoted-printable": quoted_printable(SENT).encode(),
    "crlf": SENT.replace("\n", "\r\n").encode(),
    "attached mail": _multipart("Content-Type: message/rfc822", SENT.split("\n", 1)[1]).encode(),
    "attached patch": _multipart(
        "Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=0001.patch", DIFF
    ).encode(),
    "attached gzip": _attached(gzip.compress(DIFF.encode()), "application/gzip", "0001.patch.gz"),
    "attached gzip of no telling name": _attached(gzip.compress(DIFF.encode()), "application/x-gzip", "x"),
    "attached xz": _attached(lzma.compress(DIFF.encode()), "application/octet-stream", "x.xz"),
    "attached mbox, gzip": _attached(gzip.compress(SENT.encode()), "application/gzip", "x.mbox.gz"),
    "in the text and attached": (_multipart("Content-Type: text/x-patch", DIFF).replace("See there.", DIFF).encode()),
    "coloured": _coloured(SENT).encode(),
    "git log -p": _log(DIFF).encode(),
    "flowed": _flowed(DIFF).encode(),
    "quoted twice": quoted(quoted(SENT)).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_however_it_comes_it_is_the_same_patch(form: str, tmp_path: Path) -> None:
    path = tmp_path / "m.patch"
    path.write_bytes(FORMS[form])
    found = record(path, "--base", "v6.7")
    assert (found["base"], found["changed"]) == ("v6.7", 33)
    assert len(found["patches"]) == 1
    assert found["date"] == "2024-01-05"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(b"x" * (17 << 20)), "too large when unpacked (at most 16 MiB)"),
        (lzma.compress(b"x" * (17 << 20)), "too large when unpacked (at most 16 MiB)"),
        (gzip.compress(SENT.encode())[:-9], "broken gzip data"),
        (lzma.compress(SENT.encode())[:-9], "broken xz data"),
        (gzip.compress(SENT.encode()) + b"more", "broken gzip data"),
        (gzip.compress(gzip.compress(SENT.encode())), "packed twice"),
        (b"\x1f\x8b\x08" + b"\xff" * 40, "broken gzip data"),
        (b"BZh91AY&SY", "bzip2 data (gzip and xz are read as they are"),
        (SENT.encode("utf-16"), "UTF-16 or UTF-32"),
        (SENT.encode() + b"\0", "NUL byte"),
        (_attached(gzip.compress(SENT.encode())[:-9], "application/gzip", "x.patch.gz"), "an attachment: broken gzip"),
        (
            _attached(gzip.compress(b"x" * (17 << 20)), "application/gzip", "x.gz"),
            "attachment: too large when unpacked",
        ),
        (
            _attached(gzip.compress(b"x" * (9 << 20)), "application/gzip", "x.gz").replace(b"--=_b--\n", b"")
            + _attached(gzip.compress(b"x" * (9 << 20)), "application/gzip", "x.gz")
            .split(b"--=_b\n", 1)[1]
            .join([b"--=_b\n", b""]),
            "too large when unpacked (at most",
        ),
        (_attached(b"BZh91AY&SY", "application/x-bzip2", "x.patch.bz2"), "an attachment: bzip2 data"),
        (_attached(b"PK\3\4", "application/zip", "x.zip"), "no patch found"),
        (b"\n" * 400_000, "too many lines (at most 400,000"),
    ],
)
def test_bytes_that_are_refused(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "m.patch"
    path.write_bytes(data)
    assert said in error(str(path))


COMBINED = (
    f"diff --cc {VMX}\nindex 0123456,1234567..2345678\n--- a/{VMX}\n+++ b/{VMX}\n"
    "@@@ -1,2 -1,2 +1,3 @@@ static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)\n"
    "  {\n ++x;\n  }\n"
)
RANGE = "1:  0123456789ab ! 1:  123456789abc KVM: x\n    @@ arch/x86/kvm/vmx/vmx.c: static u8 x\n    -+a\n    ++b\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (COMBINED, "a merge's combined diff"),
        (COMBINED.replace("--cc", "--combined"), "a merge's combined diff"),
        (RANGE, "a range-diff, of patches and not of code"),
        ("<!DOCTYPE html>\n<html><pre>\n" + DIFF + "</pre>", "a patch in HTML"),
        ("<!DOCTYPE html>\n<html>nothing</html>", "HTML (the raw mail"),
        (f"{PLAIN_HEADS}Content-Type: text/html\n\n<p>{DIFF}", "HTML (the raw mail"),
        (SENT.replace("&&", "&amp;&amp;").replace("<<", "&lt;&lt;"), "HTML for characters, such as &lt; for <"),
        (DIFF.replace("+\n", "").replace("+\t", " {+\t").replace(";\n \n", ";+}\n \n"), "a word diff"),
        ("*** a/vmx.c\n--- b/vmx.c\n***************\n*** 1 ****\n! a\n--- 1 ----\n! b\n", "a context diff"),
        (mail(DIFF, "[PATCH v2 0/2] cover"), "a cover letter, whose diff is one between versions"),
    ],
)
def test_what_is_no_patch_is_called_by_its_name(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "m.patch"
    path.write_text(text)
    assert said in error(str(path))


# Applied already; one of a series; from a pipe.


def test_applied_already(tmp_path: Path) -> None:
    assert "already applied: slot-flag is what this patch makes" in error(
        str(DATA.parent / "noncoherent-dma-slot-flag-3of4.patch"), "--base", "slot-flag"
    )
    (tmp_path / "vmx.c").write_text(c_file(WITH_FLAG))
    (tmp_path / "m.patch").write_text(SENT)
    assert "already applied: " in error(str(tmp_path / "m.patch"), "--base", str(tmp_path / "vmx.c"))
    own = re.sub(r"(?m)^\+\t\treturn .*;$", "+\t\treturn 0;", DIFF)
    (tmp_path / "m.patch").write_text(own)
    assert "already applied" not in error(str(tmp_path / "m.patch"), "--base", "slot-flag")


def test_applied_already_or_one_of_a_series(tmp_path: Path) -> None:
    """What it leads to stands already, or what it goes on top of is made by those before it."""
    now = c_file(write_c(kernel("v6.11").rules, Style.RETURN))
    before = now.replace("if (is_mmio)", "if (is_mmio && one_step())", 1)
    for subject, series in (("[PATCH 3/4] x", True), ("[PATCH] x", False)):
        (tmp_path / "m.patch").write_text(mail(diff(before, now), subject))
        said = error(str(tmp_path / "m.patch"))
        assert "already applied: v6.7, v6.11 is what this patch makes" in said
        assert ("patch 3/4 may need those before it, so give the whole series" in said) is series


def test_one_of_a_series_on_another(tmp_path: Path) -> None:
    """Whose base no built-in rule set is: the whole series is needed."""
    own = "\tif (kvm_own(vcpu))\n\t\treturn 0;\n\n"
    first = EARLY.replace("\tif (is_mmio)\n", f"{own}\tif (is_mmio)\n")
    second = first.replace("kvm_own(vcpu)", "!kvm_own(vcpu)")
    one, two = diff(c_file(EARLY), c_file(first)), diff(c_file(first), c_file(second))
    path = tmp_path / "m.patch"
    path.write_text(mail(two, "[PATCH 2/2] KVM: y"))
    said = "patch 2/2 may need those before it, so give the whole series"
    assert said in error(str(path))
    assert said in error(str(path), "--base", "v6.7")
    (tmp_path / "vmx.c").write_text(c_file(EARLY))
    assert said in error(str(path), "--base", str(tmp_path / "vmx.c"))
    path.write_text(mail(one, "[PATCH 1/2] KVM: x") + mail(two, "[PATCH 2/2] KVM: y"))
    assert record(path)["changed"] > 0


def test_git_diff_from_a_pipe() -> None:
    """Without a date: the newest built-in set that fits, and that is said."""
    done = quick("review", "-", "-o", "json", stdin=DIFF)
    found = json.loads(done.out)
    assert (done.status, found["base"], found["date"]) == (1, "v6.11", None)
    assert found["base_note"] == "base v6.11: the newest that the patch fits (v6.7, v6.11); it bears no date"


def test_git_log_begins_with_the_newest(tmp_path: Path) -> None:
    own = "\tif (kvm_own(vcpu))\n\t\treturn 0;\n\n"
    first = EARLY.replace("\tif (is_mmio)\n", f"{own}\tif (is_mmio)\n")
    second = first.replace("kvm_own(vcpu)", "!kvm_own(vcpu)")
    one, two = (_log(diff(c_file(a), c_file(b))) for a, b in ((EARLY, first), (first, second)))
    path = tmp_path / "log.txt"
    later = two.replace("Jan 5", "Jan 6")
    for text in (f"{two}\n{one}", f"{later}\n{one}", f"{one}\n{later}", f"{one}\n{two}", f"{later}\n{one}"):
        path.write_text(text)
        assert record(path, "--base", "v6.7")["changed"] > 0
    # Rebased: the later change bears the earlier date.
    earlier = two.replace("Jan 5", "Jan 4")
    for text in (f"{earlier}\n{one}", f"{one}\n{earlier}"):
        path.write_text(text)
        assert record(path, "--base", "v6.7")["changed"] > 0


def test_commits_are_put_in_order_by_the_hashes_of_their_files(tmp_path: Path) -> None:
    """A change and its revert fit one base in one order and another in the other: the hashes, or the hour, tell."""
    there, back = _log(DIFF), _log(diff(c_file(WITH_FLAG), c_file(EARLY)))
    third = _log(diff(c_file(EARLY), c_file(EARLY.replace("if (is_mmio)", "if (own(vcpu))"))))
    named = [
        text.replace("0123456789ab..ba9876543210", f"{str(n) * 7}..{str(n + 1) * 7}")
        for n, text in enumerate((there, back, third), 1)
    ]
    path = tmp_path / "log.txt"
    for text in ("\n".join(named), "\n".join(reversed(named))):
        path.write_text(text)
        found = record(path)
        assert (found["base"], [patch["touches"] for patch in found["patches"]]) == ("v6.7", [True] * 3)
    hours = [text.replace("17:12:37", f"17:12:{n}7") for n, text in enumerate((there, back), 1)]
    for text in ("\n".join(hours), "\n".join(reversed(hours))):
        path.write_text(text)
        assert record(path)["base"] == "v6.7"


# Hostile ones: a clean answer or error, and no slower than the same size without the trap.


@pytest.mark.parametrize("name", ["encoded-word", "encoded-charset", "slow-attribution"])
def test_hostile_headers(name: str) -> None:
    assert "no patch found" in error(f"{name}.patch")


def test_hostile_lines() -> None:
    assert "a hunk that changes nothing" in error("slow-hunk-line.patch")
    assert run("slow-subject.patch").out == NONE


def test_parts_in_parts_are_not_followed_for_ever(tmp_path: Path) -> None:
    heads = "".join(
        f"From: a\nSubject: x\nContent-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(500)
    )
    path = tmp_path / "m.patch"
    path.write_text(heads + DIFF)
    assert "parts within parts within parts" in error(str(path))


def test_messages_are_short(tmp_path: Path) -> None:
    path = tmp_path / "m.patch"
    path.write_text(re.sub("@@ static.*", "@@ static u8 vmx_get_mt_mask(" + "x" * 5000, DIFF).replace("is_mmio)", "x)"))
    assert error(str(path))
    path.write_text("\n".join(diff(f"int a{n};\n", f"int b{n};\n", f"{'d/' * 2000}{n}.c") for n in range(40)))
    assert run(str(path)).out == NONE


SIZE = 60_000
TRAPS = {
    "blanks": "x" + " " * SIZE + "\n" + DIFF,
    "wrote": "On " + "1," * (SIZE // 2) + " wrote:\n" + quoted(DIFF),
    "brackets": "Subject: " + "[1/" * (SIZE // 3) + "\n\n" + DIFF,
    "encoded words": "Subject: " + "=?a?q?" * (SIZE // 6) + "\n\n" + DIFF,
    "calls": DIFF + f"@@ -1 +1 @@ vmx_get_mt_mask(\n-{'a a(' * (SIZE // 4)}\n+b\n",
    "quotes": DIFF + "@@ -1 +1 @@ vmx_get_mt_mask(\n-" + '\\"' * (SIZE // 2) + "\n+b\n",
    "eaten blanks": DIFF
    + f"@@ -1,{SIZE // 8} +1,{SIZE // 8} @@ x(\n"
    + "foo();\n" * (SIZE // 14)
    + "-f();\n+f();\n" * 999,
}


@pytest.mark.parametrize("trap", TRAPS)
def test_no_trap_costs_more_than_its_size(trap: str, tmp_path: Path) -> None:
    """A generous multiple of as many bytes of plain talk."""
    spent = []
    for text in ("words and words\n" * (SIZE // 16) + DIFF, TRAPS[trap]):
        path = tmp_path / "m.patch"
        path.write_text(text)
        start = time.process_time()
        with suppress(InputError):
            rules_from_patch(read_patches(patch_text(path.read_bytes(), "m"), "m"), "m")
        spent.append(time.process_time() - start)
    assert spent[1] < 20 * spent[0] + 1
