# SPDX-License-Identifier: GPL-2.0-only
"""Patches out of mails and diffs."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from mtcalc.patches.mail import parse_date
from mtcalc.patches.read import read_patches
from mtcalc.patches.records import FilePatch, Hunk, Mail
from mtcalc.text.errors import InputError
from support.patches import VMX, base64, blanks_eaten, crlf, diff, mail, quoted, quoted_printable, trailing_eaten

DATA = Path(__file__).parent.parent / "data" / "patches"
SEED = (DATA / "noncoherent-dma-slot-flag-3of4.patch").read_text()

OLD = "a;\nb;\n\nc;\nd;\ne;\n\nf;\ng;\nh;\ni;\nj;\nk;\nl;\nm;\nn;\no;\np;\n"
NEW = OLD.replace("c;\n", "\tcc;\n\n\t= C;\n").replace("o;\n", "")
PATCH = diff(OLD, NEW, section=False)


def one(text: str) -> Mail:
    mails = read_patches(text, "m.patch")
    assert len(mails) == 1
    return mails[0]


def signed(hunk: Hunk) -> list[str]:
    return [line.kind + line.text for line in hunk.lines]


def bare(item: FilePatch) -> list[tuple[str, list[str]]]:
    """The hunks of a file without blanks and places."""
    return [(hunk.section, [line.kind + "".join(line.text.split()) for line in hunk.lines]) for hunk in item.hunks]


def test_seed() -> None:
    found = one(SEED)
    assert found.subject == "[PATCH 3/4] KVM: VMX: Honor guest PATs for memslots of flag KVM_MEM_NON_COHERENT_DMA"
    assert (found.author, found.date, found.number, found.total) == ("Yan Zhao", datetime.date(2024, 1, 5), 3, 4)
    (item,) = found.files
    (hunk,) = item.hunks
    assert item.path == VMX
    assert (hunk.old_start, hunk.old_count, hunk.new_start, hunk.new_count) == (7600, 6, 7600, 9)
    assert hunk.section == "static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio,"
    assert [line.kind for line in hunk.lines] == list("   +++   ")
    assert hunk.lines[3].text == " if (slot->flags & KVM_MEM_NON_COHERENT_DMA)"
    assert [line.place.line for line in hunk.lines] == list(range(46, 55))
    assert hunk.lines[3].place.source == "+ if (slot->flags & KVM_MEM_NON_COHERENT_DMA)"


def test_git_mail() -> None:
    found = one(mail(PATCH, "[RFC PATCH v4 02/12]\n KVM: a =?UTF-8?q?f=C3=BCr?= b"))
    assert found.subject == "[RFC PATCH v4 02/12] KVM: a für b"
    assert (found.number, found.total, found.version) == (2, 12, 4)
    assert found.author == "A Writer <writer@example.org>"
    assert found.message_id == "20240102100000.1-1-writer@example.org"
    assert found.date == datetime.date(2024, 1, 2)
    assert [signed(hunk) for hunk in found.files[0].hunks] == [
        [" a;", " b;", " ", "-c;", "+\tcc;", "+", "+\t= C;", " d;", " e;", " "],
        [" l;", " m;", " n;", "-o;", " p;"],
    ]


@pytest.mark.parametrize("send", [str, crlf, quoted_printable, base64, quoted, trailing_eaten, blanks_eaten])
def test_sent_any_way_it_is_the_same_patch(send: object) -> None:
    assert callable(send)
    whole = one(mail(PATCH))
    found = one(send(mail(PATCH)))
    assert bare(found.files[0]) == bare(whole.files[0])
    assert (found.subject, found.author, found.date) == (whole.subject, whole.author, whole.date)


def test_places_are_those_in_the_file() -> None:
    text = quoted_printable(mail(PATCH))
    lines = text.split("\n")
    for hunk in one(text).files[0].hunks:
        assert lines[hunk.place.line - 1].startswith("@@")
        assert all(line.kind in (" ", "\\") or lines[line.place.line - 1][0] == line.kind for line in hunk.lines)


def test_soft_line_breaks() -> None:
    long = diff("a;\n", "a" * 200 + " = b;\n", section=False)
    text = quoted_printable(mail(long))
    assert "=\n" in text
    assert "=3D" in text
    assert signed(one(text).files[0].hunks[0]) == ["-a;", "+" + "a" * 200 + " = b;"]


def test_multipart() -> None:
    head, body = mail(PATCH).split("\n\n", 1)
    kinds = [
        f"--=_x\nContent-Type: text/{kind}\n\n{text}\n" for kind, text in (("plain", body), ("html", f"<pre>{body}"))
    ]
    kinds[:0] = [f'{head}\nContent-Type: multipart/mixed; boundary="=_x"\n\npreamble\n']
    text = "".join([*kinds, "--=_x--\n"])
    assert bare(one(text).files[0]) == bare(one(mail(PATCH)).files[0])
    assert len(one(text).files) == 1


def test_plain_diffs() -> None:
    plain = "\n".join(PATCH.splitlines()[2:]) + "\n"
    for text in (
        PATCH,
        plain,
        plain.replace("a/arch", "linux-6.7/arch").replace("b/arch", "linux/arch"),
        "\ufeff" + plain,
    ):
        found = one(text)
        assert len(found.files[0].hunks) == 2
        assert found.files[0].path.endswith(VMX)
        assert (found.subject, found.author, found.date) == ("", "", None)
    stamped = plain.replace(VMX + "\n", VMX + "\t2024-01-05 10:00:00.000000000 +0100\n")
    assert one(stamped).files[0].path == VMX


def test_git_show() -> None:
    head = "commit 0123456789\nAuthor: A B <a@b>\nDate:   Fri Jan 5 10:00:00 2024 +0100\n\n"
    text = f"{head}    KVM: VMX: a change\n\n{PATCH}"
    found = one(text)
    assert (found.subject, found.author) == ("KVM: VMX: a change", "A B <a@b>")
    assert found.date == datetime.date(2024, 1, 5)


def test_mail_text_with_lines_of_a_diff() -> None:
    """Only what `diff --git` begins is a patch where there is one."""
    prose = (
        "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-old\n+new\n\ndiff --git a/x.c b/x.c\nwas what I ran.\n\n@@ -1 @@\n--- no\n"
    )
    found = one(mail(PATCH).replace("What is changed", f"{prose}What is changed"))
    assert [item.path for item in found.files] == [VMX]
    assert bare(found.files[0]) == bare(one(mail(PATCH)).files[0])


def test_lines_of_a_diff_inside_a_hunk() -> None:
    old = "-- a/x\n++ b/x\nint c;\n"
    found = one(diff(old, "int c;\n", section=False))
    assert signed(found.files[0].hunks[0]) == ["--- a/x", "-++ b/x", " int c;"]


def test_quoted_with_talk_in_between() -> None:
    lines = quoted(PATCH).splitlines()
    at = next(n for n, line in enumerate(lines) if "cc;" in line) + 1
    talk = ["", "Why this?", "+1 from me", "@@ nothing @@", ""]
    text = "\n".join(["On Fri, 5 Jan 2024, A. B. <a@b.c> wrote:", *lines[:at], *talk, *lines[at:], "", "-- ", "me"])
    found = one(text)
    assert bare(found.files[0]) == bare(one(PATCH).files[0])
    assert found.author == "A. B."
    assert found.files[0].depth == 1


def test_series_is_ordered_by_number() -> None:
    mails = [mail(PATCH, f"[PATCH {n}/11] KVM: x") for n in (10, 2, 11, 1)]
    mails.append(mail("", "[PATCH 0/11] KVM: cover"))
    assert [found.number for found in read_patches("".join(mails), "m.mbox")] == [1, 2, 10, 11]
    unnumbered = [mail(PATCH, f"[PATCH] KVM: {word}") for word in "zay"]
    assert [found.subject[-1] for found in read_patches("".join(unnumbered), "m.mbox")] == list("zay")


def test_replies_of_a_thread_are_left_out() -> None:
    text = mail(PATCH, "[PATCH 1/2] x") + mail(quoted(PATCH), "Re: [PATCH 1/2] x") + mail(PATCH, "[PATCH 2/2] y")
    assert [found.subject for found in read_patches(text, "m")] == ["[PATCH 1/2] x", "[PATCH 2/2] y"]
    assert one(mail(quoted(PATCH), "Re: [PATCH 1/2] x")).subject == "Re: [PATCH 1/2] x"


def test_broken_hunk_header() -> None:
    """A mail program broke the @@ line: its rest is no line of the hunk."""
    text = PATCH.replace("@@\n", "@@ static u8 vmx_get_mt_mask(struct kvm_vcpu\n*vcpu, gfn_t gfn)\n", 1)
    found = one(text)
    assert bare(found.files[0])[0][1] == bare(one(PATCH).files[0])[0][1]
    assert found.files[0].hunks[0].section == "static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn)"


def test_a_hunk_header_broken_before_its_function() -> None:
    text = PATCH.replace("@@\n", "@@ static inline bool\nvmx_ignore_guest_pat(struct kvm *kvm)\n", 1)
    found = one(text)
    assert bare(found.files[0])[0][1] == bare(one(PATCH).files[0])[0][1]
    assert found.files[0].hunks[0].section == "static inline bool vmx_ignore_guest_pat(struct kvm *kvm)"


def test_a_broken_hunk_keeps_its_words() -> None:
    """A line without a sign is whole: what it names tells whether the hunk matters."""
    text = PATCH.replace("@@\n", "@@ static inline bool\nvmx_ignore_guest_pat(struct kvm *kvm) and more\n", 1)
    hunk = one(text).files[0].hunks[0]
    assert hunk.trouble is not None
    assert hunk.lines[0].text == "vmx_ignore_guest_pat(struct kvm *kvm) and more"


def test_signs_of_context_lines_that_lost_their_blank() -> None:
    head = f"--- a/{VMX}\n+++ b/{VMX}\n"
    every = one(f"{head}@@ -1,3 +1,3 @@\n{{\n--count;\n}}\n").files[0]
    assert signed(every.hunks[0]) == [" {", " --count;", " }"]
    added = one(f"{head}@@ -1,3 +1,4 @@\n{{\n--count;\n+ more;\n}}\n").files[0]
    assert signed(added.hunks[0]) == [" {", " --count;", "+ more;", " }"]
    ambiguous = one(f"{head}@@ -1,4 +1,3 @@\n{{\n--count;\n- less;\n}}\n").files[0]
    assert ambiguous.trouble is not None
    assert "can be read in several ways" in ambiguous.trouble.message


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("@@ -1,7 +1,9 @@", "@@ -1,8 +1,9 @@", "cut short: it counts 8 old and 9 new lines, and has 7 and 9"),
        ("@@ -1,7 +1,9 @@", "@@ -1,7 +1,8 @@", "do not add up to its counts, 7 old and 8 new"),
        ("@@ -1,7 +1,9 @@", "@@ -1,70 +1,90 @@", "cut short: it counts 70 old and 90 new lines, and has 7 and 9"),
        ("@@ -1,7 +1,9 @@", "@@ -1,7 + 1,9 @@", "not a hunk header"),
        (" d;\n", "", "cut short"),
        (" d;\n", " d;\n d;\n", "do not add up"),
        ("-c;\n", "c;\n", "do not add up"),
    ],
)
def test_trouble_is_kept_with_its_file(was: str, now: str, message: str) -> None:
    assert was in PATCH
    other = diff("x;\n", "y;\n", "other.c", section=False)
    found = one(PATCH.replace(was, now, 1) + other)
    assert [item.path for item in found.files] == [VMX, "other.c"]
    assert found.files[0].trouble is not None
    assert message in found.files[0].trouble.message
    assert found.files[0].trouble.place is not None
    assert found.files[1].trouble is None
    assert len(found.files[1].hunks) == 1


def test_binary_rename_and_new_files() -> None:
    text = (
        "diff --git a/x.bin b/x.bin\nindex 012..345 100644\nGIT binary patch\nliteral 3\nKcmXyz\n\n"
        "diff --git a/o.c b/n.c\nsimilarity index 100%\nrename from o.c\nrename to n.c\n"
        "diff --git a/new.c b/new.c\nnew file mode 100644\nindex 000..111\n"
        "--- /dev/null\n+++ b/new.c\n@@ -0,0 +1 @@\n+int a;\n"
        "diff --git a/gone.c b/gone.c\ndeleted file mode 100644\nindex 111..000\n"
        "--- a/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-int a;\n"
        "\\ No newline at end of file\n"
    )
    found = one(text).files
    assert [(item.path, len(item.hunks)) for item in found] == [("x.bin", 0), ("n.c", 0), ("new.c", 1), ("gone.c", 1)]
    assert found[0].trouble is not None
    assert found[0].trouble.message.startswith("a binary patch")


def test_missing_newline_marks() -> None:
    text = (
        f"--- a/{VMX}\n+++ b/{VMX}\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    )
    assert signed(one(text).files[0].hunks[0]) == ["-a", "+b"]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "Subject: x\n\nno patch here\n", "diff --git a/x b/x\n", "@@ -1 +1 @@\n-a\n+b\n"]
)
def test_no_patch(text: str) -> None:
    with pytest.raises(InputError) as caught:
        read_patches(text, "m.patch")
    assert str(caught.value) == (
        "m.patch:1:1: no patch found (a patch has 'diff --git', or '---', '+++' and '@@' lines)"
    )


def test_broken_base64() -> None:
    text = "Subject: x\nContent-Transfer-Encoding: base64\n\n!!!!\n"
    with pytest.raises(InputError, match="broken base64 body") as caught:
        read_patches(text, "m.eml")
    assert caught.value.place is not None
    assert caught.value.place.line == 4


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Fri, 5 Jan 2024 17:12:37 +0800", (2024, 1, 5)),
        ("Fri Jan 05 2024 - 04:45:09 EST", (2024, 1, 5)),
        ("Fri Jan  5 10:00:00 2024 +0100", (2024, 1, 5)),
        ("05 January 2024", (2024, 1, 5)),
        ("2024-01-05T10:00:00Z", (2024, 1, 5)),
        ("Thu, 29 Feb 2024 00:00:00 +0000", (2024, 2, 29)),
    ],
)
def test_dates(text: str, day: tuple[int, int, int]) -> None:
    assert parse_date(text) == datetime.date(*day)


@pytest.mark.parametrize("text", ["", "yesterday", "30 Feb 2024", "2024-13-01", "Fri Jan 2024"])
def test_no_dates(text: str) -> None:
    assert parse_date(text) is None


def test_a_large_mailbox_is_read_fast() -> None:
    text = mail(PATCH) * 1500
    assert len(read_patches(text, "m.mbox")) == 1500


# A reply, and what archives do to headers.

LONG = "[PATCH 2/3] KVM: x86: a subject that is so long that it goes on"
FOLDED = f"{LONG}\n in the next line"
WHOLE = f"{LONG} in the next line"
SENT = mail(PATCH, FOLDED).split("\n", 1)[1]
"""A mail with a folded subject, without its mbox line."""


@pytest.mark.parametrize(
    ("text", "author"),
    [
        (f"On Monday X wrote:\n{quoted(SENT)}", "A Writer <writer@example.org>"),
        (f"On Monday X wrote:\n{quoted(SENT, '>')}", "A Writer <writer@example.org>"),
        (f"Subject: Re: x\nFrom: B <b@c>\n\nOn Monday X wrote:\n{quoted(SENT)}", "A Writer <writer@example.org>"),
        (f"Subject: Re: x\nFrom: B <b@c>\n\n{quoted(quoted(SENT))}", "A Writer <writer@example.org>"),
        (f"Subject: Re: x\nFrom: B <b@c>\n\nOn Monday X wrote:\n{quoted(PATCH)}", "X"),
        (f"Subject: Re: x\nFrom: B <b@c>\n\nX wrote:\n> On 1/2/24 Y Z <y@z> wrote:\n{quoted(quoted(PATCH))}", "Y Z"),
        (f"Subject: Re: x\nFrom: B <b@c>\n\nX wrote:\n{quoted(SENT)}\nBetter:\n\n{PATCH}", "B <b@c>"),
    ],
)
def test_who_wrote_what_is_quoted(text: str, author: str) -> None:
    """The quoted mail's own From: counts, then who `wrote:`; for a patch of the mail's own, its sender."""
    assert one(text).author == author


@pytest.mark.parametrize(
    "send", [str, crlf, quoted_printable, base64, quoted, trailing_eaten, blanks_eaten, lambda text: quoted(text, ">")]
)
def test_folded_subject(send: Callable[[str], str]) -> None:
    """RFC 5322, 2.2.3: a line that begins with a blank goes on with the header; archives eat that blank."""
    found = one(send(SENT))
    assert (found.subject, found.author, found.number) == (WHOLE, "A Writer <writer@example.org>", 2)
    assert found.message_id == "20240102100000.1-1-writer@example.org"


def test_folded_title_of_an_archive_page() -> None:
    text = f"{blanks_eaten(FOLDED)}\nFrom: A B\nDate: Fri Jan 05 2024 - 04:45:09 EST\n\n\nWords.\n---\n{PATCH}"
    found = one(text)
    assert (found.subject, found.author, found.date) == (WHOLE, "A B", datetime.date(2024, 1, 5))


def test_folded_addresses_that_lost_their_blank() -> None:
    """What stands behind them is header still."""
    text = blanks_eaten(SENT.replace("Subject:", "To: a@b,\n c d <c@d>\nSubject:"))
    found = one(text)
    assert (found.subject, found.author) == (WHOLE, "A Writer <writer@example.org>")
    assert bare(found.files[0]) == bare(one(PATCH).files[0])


def test_what_is_no_part_of_the_subject() -> None:
    for behind in ("", "\n", "\nFrom: B\n", "\n---\n", "\nX wrote:\n"):
        assert one(f"> Subject: [PATCH] short{behind}\n{quoted(PATCH)}").subject == "[PATCH] short"
        assert one(f"[PATCH] short{behind}\n{PATCH}").subject == "[PATCH] short"
    assert one(f"Subject: [PATCH] short\n{PATCH}").subject == "[PATCH] short"


# What stands behind a hunk.


@pytest.mark.parametrize("behind", ["", " ", "\t", " \n ", " \n\n", " \n-- \n2.43.0", "Some words.", "```", "-- "])
@pytest.mark.parametrize("send", [str, quoted])
def test_behind_the_last_line_of_a_hunk(behind: str, send: Callable[[str], str]) -> None:
    """A line of blanks is no line of the hunk, nor is what nobody takes for one."""
    found = one(send(f"{PATCH}{behind}\n"))
    assert found.files[0].trouble is None
    assert bare(found.files[0]) == bare(one(PATCH).files[0])
    two = one(send(f"{PATCH}{behind}\n{PATCH.replace(VMX, 'other.c')}"))
    assert [(item.path, len(item.hunks), item.trouble) for item in two.files] == [
        (VMX, 2, None),
        ("other.c", 2, None),
    ]


def test_an_empty_line_between_hunks() -> None:
    """The hunks behind it count as well; a line of blanks there is one too many."""
    at = PATCH.rindex("@@ -")
    found = one(f"{PATCH[:at]}\n{PATCH[at:]}").files[0]
    assert (bare(found), found.trouble) == (bare(one(PATCH).files[0]), None)
    found = one(f"{PATCH[:at]} \n{PATCH[at:]}").files[0]
    assert found.trouble is not None
    assert "do not add up" in found.trouble.message


@pytest.mark.parametrize("behind", [" \n more;", " \n+more;", "more;"])
def test_a_hunk_that_goes_on_behind_its_counts(behind: str) -> None:
    text = blanks_eaten(PATCH) if behind == "more;" else PATCH
    found = one(f"{text}{behind}\n").files[0]
    assert found.trouble is not None
    assert "do not add up to its counts, 5 old and 4 new" in found.trouble.message
