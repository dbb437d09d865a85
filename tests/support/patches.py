# SPDX-License-Identifier: GPL-2.0-only
"""Patches between two C files, and the ways in which mail programs and archives send them on."""

from __future__ import annotations

import difflib
import itertools
import quopri
import re

from mtcalc.rules.builtin import built_in
from mtcalc.rules.inputs import Facts, Input, domain, with_value
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.rule import RuleSet, decide, inputs_read

VMX = "arch/x86/kvm/vmx/vmx.c"

BEFORE = """\
/* A file of its own for tests. */
#define SOME_BITS\t(1 << 4)

static int vmx_stand_in(struct kvm_vcpu *vcpu)
{
\tif (vcpu->some)
\t\treturn 1;

\treturn 0;
}

"""
BEHIND = """
static void vmx_next_stand_in(struct kvm_vcpu *vcpu, u32 value)
{
\tu32 mask = value;

\tvcpu->some = mask;
}
"""


def kernel(name: str) -> Kernel:
    found = built_in(name)
    assert found is not None
    return found


def c_file(function: str) -> str:
    """A C file with a function between two others."""
    return BEFORE + function + BEHIND


def diff(old: str, new: str, path: str = VMX, context: int = 3, section: bool = True) -> str:
    """The patch from one text to another, as git writes it."""
    before, after = old.splitlines(), new.splitlines()
    lines = [f"diff --git a/{path} b/{path}", "index 0123456789ab..ba9876543210 100644"]
    for line in difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", n=context, lineterm=""):
        start = re.match(r"@@ -(\d+)", line)
        if start and section:
            line += _section(before, int(start[1]) - 1)
        lines.append(line)
    return "\n".join(lines) + "\n"


def _section(lines: list[str], at: int) -> str:
    for line in reversed(lines[:at]):
        if line[:1].isalpha() and not line.endswith(":"):
            return f" {line[:80]}"
    return ""


def mail(patch: str, subject: str = "[PATCH] KVM: VMX: a change", date: str = "Tue, 2 Jan 2024 10:00:00 +0100") -> str:
    """A patch as git format-patch writes it."""
    return (
        "From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\n"
        "From: A Writer <writer@example.org>\n"
        f"Date: {date}\n"
        f"Subject: {subject}\n"
        "Message-ID: <20240102100000.1-1-writer@example.org>\n\n"
        "What is changed, and why.\n\n"
        "Signed-off-by: A Writer <writer@example.org>\n---\n"
        f" {VMX} | 3 +++\n 1 file changed\n\n{patch}-- \n2.43.0\n\n"
    )


def quoted(text: str, mark: str = "> ") -> str:
    """Text quoted in a reply; the marks of blank lines end without a blank."""
    return "".join((mark + line).rstrip() + "\n" for line in text.splitlines())


def crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def quoted_printable(mail_text: str) -> str:
    head, body = mail_text.split("\n\n", 1)
    encoded = quopri.encodestring(body.encode(), quotetabs=True).decode()
    return f"{head}\nMIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n\n{encoded}"


def base64(mail_text: str) -> str:
    import base64 as b64

    head, body = mail_text.split("\n\n", 1)
    return f"{head}\nContent-Transfer-Encoding: base64\n\n{b64.encodebytes(body.encode()).decode()}"


def blanks_eaten(text: str) -> str:
    """Every line without leading and trailing blanks; signs stay, what follows them loses its blanks but one."""
    lines = []
    for line in text.splitlines():
        signed = re.match(r"([+-])[ \t]+(.*)$", line)
        lines.append((f"{signed[1]} {signed[2]}" if signed else line.strip()).rstrip())
    return "\n".join(lines) + "\n"


def trailing_eaten(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def same_bytes(one: RuleSet, other: RuleSet) -> bool:
    """Whether two rule sets give the same byte on every input that either reads."""
    items: tuple[Input, ...] = tuple(dict.fromkeys((*inputs_read(one), *inputs_read(other))))
    for values in itertools.product(*map(domain, items)):
        facts = Facts()
        for item, value in zip(items, values, strict=True):
            facts = with_value(facts, item, value)
        if decide(one, facts)[1] != decide(other, facts)[1]:
            return False
    return True
