# SPDX-License-Identifier: GPL-2.0-only
"""What messages say of themselves."""

from __future__ import annotations

import pytest

from mtcalc.patches.claims import says_no_change
from mtcalc.patches.read import read_patches


@pytest.mark.parametrize(
    "text",
    [
        "No functional change intended.",
        "no functional changes\n\nSigned-off-by: A <a@b.c>",
        "A cleanup (no functional change).",
        "Move it.  No functional\nchange is intended.\n",
        "No functional change expected\nSigned-off-by: A <a@b.c>",
        "KVM: VMX: Move it (NFC)",
        "Just a cleanup, NFCI",
    ],
)
def test_what_says_so(text: str) -> None:
    assert says_no_change(f"KVM: VMX: a change\n\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        "No functional change for VMs without\nassigned devices.",
        "No functional change intended for guests without the flag.",
        "No functional change, but for VMs with the quirk.",
        "This is not NFC",
        "nfc: a driver",
        "A functional change.",
    ],
)
def test_what_does_not(text: str) -> None:
    assert not says_no_change(f"KVM: VMX: a change\n\n{text}")


@pytest.mark.parametrize(
    ("above", "below", "wanted"),
    [
        ("No functional change intended.", "", True),
        ("> No functional change intended.", "", False),
        ("Words.", "v2: no functional change.", False),
    ],
)
def test_whose_words_count(above: str, below: str, wanted: bool) -> None:
    """The author's, above the dashes."""
    head = "From: A <a@b.c>\nSubject: [PATCH] x\n\n"
    diff = "diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n"
    (mail,) = read_patches(f"{head}{above}\n\n---\n{below}\n\n{diff}", "m")
    assert mail.no_change is wanted
