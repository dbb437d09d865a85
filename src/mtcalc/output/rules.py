# SPDX-License-Identifier: GPL-2.0-only
"""Rule sets as documents and plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mtcalc.output.document import FAINT, STRONG, Block, Cell, Content, Document, Fields, Table, texts
from mtcalc.rules.condition import condition_text, reason_text, value_text
from mtcalc.rules.kernel import Kernel, kernel_notes, version_text
from mtcalc.rules.releases import source_text
from mtcalc.rules.rule import Rule, inputs_read

if TYPE_CHECKING:
    from mtcalc.analysis.rule_check import Finding


def list_document(kernels: Sequence[Kernel]) -> Document:
    """A row a rule set."""
    rows: list[list[Content]] = [
        [kernel.rules.name, str(len(kernel.rules.rules)), kernel.rules.mainline or "-", kernel.rules.title]
        for kernel in kernels
    ]
    notes = ("mtcalc rules show NAME has the rules and their sources",)
    return Document([Table(("NAME", "RULES", "MAINLINE", "RELEASES"), rows)], notes)


def list_rows(kernels: Sequence[Kernel]) -> Iterator[list[str]]:
    """Header and a row a rule set."""
    yield ["name", "rules", "mainline", "title"]
    for kernel in kernels:
        yield [kernel.rules.name, str(len(kernel.rules.rules)), kernel.rules.mainline, kernel.rules.title]


def show_document(kernel: Kernel) -> Document:
    """The rules in order with reasons and sources, then the kernel around them."""
    rules = kernel.rules
    blocks: list[Block] = [Cell(f"{rules.name}: {rules.title}", STRONG)]
    for number, rule in enumerate(rules.rules, start=1):
        lines: list[tuple[str, Content]] = [("", rule.why)]
        if rule.source:
            lines.append(("", Cell(f"source: {source_text(rule.source)}", FAINT)))
        blocks.append(Fields(lines, title=f"{number}. {rule.id}: {rule.text}"))
    test = kernel.mmio_test
    blocks.append(
        Fields(
            [(str(number), f"{rule.id}: {rule.text}") for number, rule in enumerate(test.rules, start=1)],
            title=f"host MMIO test: {test.title}",
        )
    )
    around: list[tuple[str, Content]] = [pair for pair in around_words(kernel).items() if pair[0] != "host MMIO"]
    around += [("source", source_text(source)) for source in rules.sources]
    if kernel.ref == rules.name:  # of a release, its notes say what is unconfirmed about it
        around += [("unconfirmed", text) for text in rules.unconfirmed]
    blocks.append(Fields(around, title="around the rules"))
    return Document(blocks, texts(kernel_notes(kernel)))


_NAMES = {
    "guest MTRR walk": "guest MTRRs",
    "host MMIO test": "host MMIO",
    "guest MTRRs limit the mapping level": "MTRRs split huge pages",
    "slot flags accepted": "slot flags",
    "quirks known": "quirks",
}
"""What is called otherwise here than in a difference."""

_WITH_REASONS = ("states that can't be reached",)


def around_words(kernel: Kernel) -> dict[str, str]:
    """The kernel behaviour around a rule set, in words."""
    from mtcalc.analysis.around import behaviours  # which a list of rule sets has no need of

    return {
        "behaviour of": version_text(kernel.release),
        "reads": ", ".join(map(str, inputs_read(kernel.rules))) or "nothing",
        **{_NAMES.get(what, what): words for what, words in behaviours(kernel) if what not in _WITH_REASONS},
        "cannot happen": "; ".join(state.why for state in kernel.unreachable) or "-",
    }


def rule_record(rule: Rule) -> dict[str, Any]:
    """One rule as plain data."""
    return {
        "id": rule.id,
        "when": condition_text(rule.when),
        "then": str(rule.then),
        "text": rule.text,
        "why": rule.why,
        "source": source_text(rule.source),
    }


def rule_set_record(kernel: Kernel) -> dict[str, Any]:
    """A rule set with the kernel around it as plain data."""
    rules = kernel.rules
    return {
        "name": rules.name,
        "title": rules.title,
        "mainline": rules.mainline or None,
        "proposal": kernel.proposal or None,
        "rules": [rule_record(rule) for rule in rules.rules],
        "mmio_test": {
            "name": kernel.mmio_test.name,
            "title": kernel.mmio_test.title,
            "rules": [rule_record(rule) for rule in kernel.mmio_test.rules],
        },
        "kernel": around_words(kernel),
        "sources": [source_text(source) for source in rules.sources],
        "unconfirmed": list(rules.unconfirmed),
        "notes": texts(kernel_notes(kernel)),
    }


def show_rows(kernel: Kernel) -> Iterator[list[str]]:
    """Header and a row a rule."""
    yield ["id", "when", "then", "why", "source"]
    for rule in kernel.rules.rules:
        yield [rule.id, condition_text(rule.when), str(rule.then), rule.why, source_text(rule.source)]


def findings_document(kernel: Kernel, findings: Sequence[Finding]) -> Document:
    """What is odd about a list of rules, a line each."""
    rules = kernel.rules
    blocks: list[Block] = [Cell(f"{rules.name}: {len(rules.rules)} rules", STRONG)]
    if not findings:
        blocks.append("nothing odd: every rule can match and matters, and every input is caught")
    blocks += [
        Fields([("for example", _example(finding))] if finding.example else [], title=f"{finding.message}")
        for finding in findings
    ]
    return Document(blocks)


def _example(finding: Finding) -> str:
    return ", ".join(reason_text(item, value) for item, value in finding.example)


def finding_record(finding: Finding) -> dict[str, Any]:
    """One finding as plain data."""
    return {
        "kind": finding.kind.value,
        "rules": list(finding.rules),
        "text": finding.message,
        "example": {str(item): value_text(value) for item, value in finding.example},
    }


def findings_rows(findings: Sequence[Finding]) -> Iterator[list[str]]:
    """Header and a row a finding."""
    yield ["kind", "rules", "text", "example"]
    for finding in findings:
        yield [finding.kind.value, " ".join(finding.rules), finding.message, _example(finding)]
