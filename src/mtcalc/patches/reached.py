# SPDX-License-Identifier: GPL-2.0-only
"""What vmx_get_mt_mask() reaches in a C text: the functions there, those it calls, whose state they ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mtcalc.csource.predicates import FUNCTION, ONE_VCPU
from mtcalc.csource.tokens import Function, functions, texts, tokens


def functions_in(lines: Sequence[str]) -> list[Function]:
    """The functions of a C file."""
    try:
        return functions(tokens((line, None) for line in lines))
    except ValueError:
        return []


def words_by_function(held: Sequence[Function]) -> dict[str, set[str]]:
    """The words in the body of each function."""
    words: dict[str, set[str]] = {}
    for function in held:
        words.setdefault(function.name, set()).update(texts(function.body))
    return words


def reached_from(name: str, defined: Mapping[str, set[str]]) -> set[str]:
    """A function and those of its file that it calls, directly or not."""
    reached = {name}
    todo = [name]
    while todo:
        called = {word for word in defined.get(todo.pop(), ()) if word in defined}
        todo += called - reached
        reached |= called
    return reached


def one_vcpu(before: str, after: str) -> tuple[str, ...]:
    """The expressions that take one vCPU's state for all, of what the function reaches, and that are new."""
    found = [_one_vcpu_in(text) for text in (before, after)]
    return tuple(text for text in found[1] if text not in found[0])


def _one_vcpu_in(text: str) -> dict[str, None]:
    if not any(word in text for word in ("kvm_get_vcpu", "guest_memory_type", "vcpus[")):
        return {}
    held = {function.name: function for function in functions(tokens((line, None) for line in text.split("\n")))}
    reached = reached_from(FUNCTION, {name: set(texts(function.body)) for name, function in held.items()})
    found: dict[str, None] = {}
    for name in reached & held.keys():
        words = " ".join(texts(held[name].body))
        found |= dict.fromkeys(ONE_VCPU.findall(re.sub(r" ?(->|[()\[\]]) ?", r"\1", words).replace(" ,", ",")))
    return found
