# SPDX-License-Identifier: GPL-2.0-only
"""The texts that expressions are known by, in three forms.

A text may hold marks. Between NAME marks stand two spellings of one name: what the tables know it by, and what the
source calls it. Between CAST marks stands a conversion that the source does not write (to the type of a local) of a
value whose own type is not known: it tells two texts apart, and is shown only where they would be one without it.
"""

from __future__ import annotations

import re
from functools import lru_cache

_NAMED = re.compile("\x01([^\x02]*)\x02([^\x03]*)\x03")
_CAST = re.compile("\x04([^\x05]*)\x05")


def named(known: str, shown: str) -> str:
    """A name that the tables know as `known`, and that the source calls `shown`."""
    return shown if known == shown else f"\x01{known}\x02{shown}\x03"


def converted(cast: str, text: str) -> str:
    """A text with an unwritten conversion before it."""
    return f"\x04{cast}\x05{text}"


def written(text: str) -> str:
    """A text whose unwritten conversions are written: where an operator's result hangs on them."""
    return _CAST.sub(r"\1", text)


def shown_text(text: str) -> str:
    """What the source says."""
    return _CAST.sub("", _NAMED.sub(r"\2", text))


def exact_text(text: str) -> str:
    """What the source says, and the conversions that it does not write."""
    return _CAST.sub(r"\1", _NAMED.sub(r"\2", text))


# Other ways to say the vCPU, its VM, and the page: each becomes the way the tables say it.
_BEFORE = r"(?<![\w>.])"
_SAME = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\(&([A-Za-z_](?:[\w>.-]|\([\w>.-]*\))*)\)->", r"\1."),
        (rf"{_BEFORE}to_vmx\(vcpu\)->vcpu\.", "vcpu->"),
        (rf"{_BEFORE}&to_vmx\(vcpu\)->vcpu\b", "vcpu"),
        (rf"{_BEFORE}vcpu->kvm\b", "kvm"),
        (rf"{_BEFORE}kvm_get_vcpu(?:_by_id)?\(kvm, 0\)", "vcpu"),
        (rf"{_BEFORE}kvm->vcpus\[0\]", "vcpu"),
        (rf"{_BEFORE}xa_load\(&kvm->vcpu_array, 0\)", "vcpu"),
        (rf"{_BEFORE}fault->(gfn|pfn|slot)\b", r"\1"),
    )
)


@lru_cache(maxsize=4096)
def known_words(text: str) -> str:
    """A text as the tables spell it."""
    text = _CAST.sub("", _NAMED.sub(r"\1", text))
    for _ in range(8):
        before = text
        for pattern, by in _SAME:
            text = pattern.sub(by, text)
        if text == before:
            break
    return text
