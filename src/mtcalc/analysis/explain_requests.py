# SPDX-License-Identifier: GPL-2.0-only
"""The derivation of an answer to a request: the guest's choice step by step, then that of the entry."""

from __future__ import annotations

from collections.abc import Sequence

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.explain import Explanation, explain_lookup, explain_page
from mtcalc.analysis.guest_pages import request_page
from mtcalc.analysis.requests import lookup_request, what_if_choice
from mtcalc.analysis.steps import Step
from mtcalc.kvm.notes import Note
from mtcalc.linux.choice import Choice, steps
from mtcalc.linux.functions import Request
from mtcalc.linux.pat import GuestLinux
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel

EFFECTIVE = "effective type"


def explain_request(
    kernel: Kernel, facts: Facts, request: Request, guest: GuestLinux, notes: Sequence[Note] = ()
) -> Explanation:
    """The derivation of what lookup_request() answers. Raises ValueError as it does."""
    choice = what_if_choice(request, guest, facts)
    answer = lookup_request(kernel, facts, request, guest, notes)
    return Explanation(
        _joined(choice, explain_lookup(kernel, facts, choice.memtype, guest_pat=choice.pat.register)), answer
    )


def explain_request_page(
    evaluator: Evaluator, gpa: int, request: Request, size: int | None = None, private: bool | None = None
) -> Explanation:
    """The derivation of what request_page() answers for a guest address in bytes. Raises ValueError as it does."""
    answer, choice = request_page(evaluator, gpa, request, size, (), private)
    return Explanation(_joined(choice, explain_page(evaluator, gpa, choice.memtype, private, choice.entry)), answer)


def _joined(choice: Choice, found: Explanation) -> tuple[Step, ...]:
    """The guest's steps in front; a request that is refused has no effective type."""
    rest = [step for step in found.steps if choice.memtype is not None or step.about != EFFECTIVE]
    return (*(Step(*told) for told in steps(choice)), *rest)
