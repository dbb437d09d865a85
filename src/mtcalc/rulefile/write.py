# SPDX-License-Identifier: GPL-2.0-only
"""A rule set as the YAML of a rule file; load_rule_file() reads it back equal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from mtcalc.kvm.flags import SLOT_FLAGS, flag_names
from mtcalc.rules.condition import ALWAYS, condition_text
from mtcalc.rules.inputs import GUEST_MTRR, KINDS
from mtcalc.rules.kernel import Kernel, kernel_at, version_text, with_read
from mtcalc.rules.mmio import MMIO_RULES
from mtcalc.rules.rule import Outcome, Rule, RuleSet
from mtcalc.x86.ept import IPAT_BIT, MEMTYPE_SHIFT, ept_mask, split_mask
from mtcalc.x86.memtype import MTRR_TYPES, MemType

_HEADER = """\
# A rule set for mtcalc: the EPT memory type and ignore-PAT bit (ipat) that KVM gives a page.
# The first rule that matches decides; a rule without `when` always matches, and the last one has to.
#   when: @@
#   ept:  {memtype: UC|WC|WT|WP|WB or guest_mtrr, ipat: 0|1}, or {byte: 0x30}
# `kernel` is the release whose behaviour is around the rules; slot flags and quirks that they name are known to it.
"""


def _inputs_said() -> str:
    """The inputs that a condition can name, as lines of a comment."""
    words = []
    for kind in KINDS.values():
        if kind.text and kind.typed:
            continue
        argument = " NAME" if kind.bits else " TYPE" if kind.typed else ' "any text"' if kind.text else ""
        words.append(kind.name + argument)
    return "\n#         ".join(
        textwrap.wrap(f"{', '.join(words)}; joined by not, and, or (in that order) and parentheses", 102)
    )


HEADER = _HEADER.replace("@@", _inputs_said())
"""What a rule file begins with."""

# Text that YAML takes as it stands, inside braces too; what reads as null or a truth value is not.
_PLAIN = re.compile(r"[A-Za-z0-9_(][A-Za-z0-9_.+/()='-]*(?: [A-Za-z0-9_.+/()='-]+)*")
_WORDS = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))


def write_rule_file(kernel: Kernel) -> str:
    """The YAML of a kernel's rules and of what its behaviour has besides that of its release."""
    return HEADER + "".join(f"{line}\n" for line in _lines(kernel))


def _lines(kernel: Kernel) -> Iterator[str]:
    rules = kernel.rules
    yield f"name: {_text(rules.name)}"
    if rules.title:
        yield f"title: {_text(rules.title)}"
    yield f"kernel: {_release(kernel)}"
    yield from _around(kernel)
    if rules.mainline:
        yield f"mainline: {_text(rules.mainline)}"
    if kernel.proposal:
        yield f"proposal: {_text(kernel.proposal)}"
    for key, texts in (
        ("sources", rules.sources),
        ("unconfirmed", rules.unconfirmed),
        ("notes", [note.text for note in kernel.notes]),
    ):
        if texts:
            yield f"{key}:"
            yield from (f"  - {_text(text)}" for text in texts)
    yield "rules:"
    for rule in rules.rules:
        yield from _rule(rule)


def _release(kernel: Kernel) -> str:
    text = version_text(kernel.release)
    return f"{text}1" if text.endswith("-rc") else text  # any candidate's number does


def _around(kernel: Kernel) -> Iterator[str]:
    """What differs from the release's own behaviour."""
    usual = with_read(kernel_at(kernel.release, kernel.rules, kernel.ref))
    if kernel.mtrr_walk is not usual.mtrr_walk:
        yield f"mtrr_walk: {kernel.mtrr_walk.value}"
    if kernel.mmio_test != usual.mmio_test:
        yield from _mmio_test(kernel.mmio_test)
    if kernel.split_when != usual.split_when:
        yield f"split_when: {_text('never' if kernel.split_when is None else condition_text(kernel.split_when))}"
    if kernel.slot_flags != usual.slot_flags:
        yield f"slot_flags: {_flow(flag_names(kernel.slot_flags, SLOT_FLAGS))}"
    if kernel.quirks != usual.quirks:
        yield f"quirks: {_flow(kernel.quirks)}"
    if kernel.unreachable != usual.unreachable:
        yield "unreachable:" if kernel.unreachable else "unreachable: []"
        for state in kernel.unreachable:
            yield f"  - when: {_text(condition_text(state.when))}"
            yield f"    why: {_text(state.why)}"


def _mmio_test(test: RuleSet) -> Iterator[str]:
    if test in MMIO_RULES.values():
        yield f"mmio_test: {test.name}"
        return
    yield "mmio_test:"
    for rule in test.rules:
        yield from _rule(rule)


def _rule(rule: Rule) -> Iterator[str]:
    yield f"  - id: {_text(rule.id)}"
    if rule.when != ALWAYS:
        yield f"    when: {_text(condition_text(rule.when))}"
    yield f"    mmio: {'true' if rule.then.const else 'false'}" if rule.then.mmio else f"    ept: {_ept(rule.then)}"
    if rule.why:
        yield f"    why: {_text(rule.why)}"
    if rule.source:
        yield f"    source: {_text(rule.source)}"


def _ept(outcome: Outcome) -> str:
    encoding, ipat = split_mask(outcome.const)
    item = outcome.memtype_of
    if item is None:
        if encoding in MTRR_TYPES and outcome.const == ept_mask(MemType(encoding), ipat):
            return f"{{memtype: {MemType(encoding)}, ipat: {int(ipat)}}}"
        return f"{{byte: {outcome.const:#04x}}}"
    taken_from = "guest_mtrr" if item == GUEST_MTRR else f"{{assume: {_text(item.arg)}}}"
    const = f"byte: {outcome.const:#04x}" if outcome.const & ~IPAT_BIT else f"ipat: {int(ipat)}"
    shift = "" if outcome.shift == MEMTYPE_SHIFT else f", shift: {outcome.shift}"
    return f"{{memtype: {taken_from}, {const}{shift}}}"


def _flow(names: Iterable[str]) -> str:
    return f"[{', '.join(names)}]"


def _text(text: str) -> str:
    """Text as one YAML scalar on one line: as it stands where that is safe, else in quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if text.isprintable() and ('"' in text or "\\" in text):
        return "'" + text.replace("'", "''") + "'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else _escape(c) for c in escaped) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
