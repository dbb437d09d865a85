# SPDX-License-Identifier: GPL-2.0-only
"""--where: conditions on answers as somebody types them, KEY=VALUE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.table import Where
from mtcalc.kvm.flags import SLOT_FLAGS, parse_slot_flag
from mtcalc.rules.inputs import HOST_MTRR, Input, Value, named_inputs, value_of
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.rule import inputs_read
from mtcalc.text.numbers import parse_register_value
from mtcalc.text.suggest import did_you_mean
from mtcalc.x86.memtype import MTRR_TYPES, Effective, MemType, NptType, parse_memtype


def _yes_no(text: str) -> bool:
    word = text.strip().lower()
    if word in ("yes", "true", "on", "1"):
        return True
    if word in ("no", "false", "off", "0"):
        return False
    raise ValueError(f"'{text}' is neither yes nor no (yes or no)")


def _mtrr_type(text: str) -> MemType:
    return parse_memtype(text, MTRR_TYPES)


def _encoding(text: str) -> int:
    word = text.strip().lower().removeprefix("reserved").strip()
    return int(word) if word in tuple("01234567") else _mtrr_type(text)


def _effective_type(text: str) -> Effective:
    word = text.strip().upper()
    return NptType(word) if word in ("CD", "WC+") else _mtrr_type(text)


def _effective(answer: Answer) -> Effective | None:
    return answer.effective[0][1]


# What an answer says, by key: how its value is read, and where it stands.
_ANSWERS: dict[str, tuple[Callable[[str], Any], Callable[[Answer], Any]]] = {
    "effective": (_effective_type, _effective),
    "ept": (parse_register_value, lambda answer: answer.byte),
    "memtype": (_encoding, lambda answer: answer.memtype),
    "ipat": (_yes_no, lambda answer: answer.ipat),
    "rule": (str.strip, lambda answer: answer.rule.id if answer.rule else None),
    "rules": (str.strip, lambda answer: answer.kernel.rules.name),
    "pat": (parse_memtype, lambda answer: answer.pat),
}
# Inputs by the flag that sets them, or by the name of the bit.
_INPUTS = {item.arg or item.kind.option.replace("-", "_"): item for item in named_inputs()}
# Other names of the same: JSON's, and those of the rules.
_ALIASES = {
    "mask": "ept",
    "ept.mask": "ept",
    "ept.memtype": "memtype",
    "ept.ipat": "ipat",
    "rule.id": "rule",
    **{name: key for key, item in _INPUTS.items() if not item.arg for name in (item.name, item.kind.key)},
    "slot_flags": "slot_flag",
}


def where_keys() -> tuple[str, ...]:
    """Every key that a condition can have, assumptions aside."""
    return (*_ANSWERS, *_INPUTS, "slot_flag")


def parse_where(text: str, kernels: Sequence[Kernel]) -> Where:
    """A condition on answers by these kernels: 'effective=UC', 'ept=0x30', 'CD_NW_CLEARED=no'. Raises ValueError."""
    name, equals, value = text.rpartition("=")
    if not equals or not name.strip() or not value.strip():
        raise ValueError(f"'{text}' is no condition (KEY=VALUE, such as effective=UC)")
    assumed = {item.arg: item for kernel in kernels for item in inputs_read(kernel.rules) if item.arg}
    if name.strip() in assumed and name.strip() not in _INPUTS:
        return _where_input(text, assumed[name.strip()], value)
    word = name.strip().lower().replace("-", "_").removeprefix("inputs.").removeprefix("quirks.")
    word = word.removeprefix("kvm_mem_").removeprefix("kvm_x86_quirk_")
    key = _ALIASES.get(word, word)
    if key == "slot_flag":
        return _where_flags(text, value)
    if key in _ANSWERS:
        read, get = _ANSWERS[key]
        wanted = read(value)
        if key in ("rule", "rules"):
            _known(key, wanted, kernels)
        return Where(text, lambda answer: get(answer) == wanted)
    if key == "host_mtrr" and any(kernel.npt is not None for kernel in kernels):
        return _where_input(text, HOST_MTRR, value)
    for known, item in _INPUTS.items():
        if key == known.lower():
            return _where_input(text, item, value)
    right = did_you_mean(name.strip(), (*where_keys(), *(arg for arg in assumed if arg not in _INPUTS)))
    raise ValueError(f"'{name.strip()}' is no key of an answer ({right})")


def _known(key: str, wanted: str, kernels: Sequence[Kernel]) -> None:
    if key == "rules":
        names = [kernel.rules.name for kernel in kernels]
    else:
        names = list(dict.fromkeys(rule.id for kernel in kernels for rule in kernel.rules.rules))
    if wanted not in names:
        what = "no rule set asked for" if key == "rules" else "no rule here"
        raise ValueError(f"'{wanted}' is {what} ({did_you_mean(wanted, names)})")


def _where_input(text: str, item: Input, value: str) -> Where:
    wanted: Value = _mtrr_type(value) if item.kind.typed else _yes_no(value)
    return Where(text, lambda answer: answer.facts is not None and value_of(item, answer.facts) == wanted, (item,))


def _where_flags(text: str, value: str) -> Where:
    bits = 0 if value.strip().lower() == "none" else parse_slot_flag(value)
    named = tuple(Input("slot_flag", name) for name, bit in SLOT_FLAGS.items() if bits & bit)

    def holds(answer: Answer) -> bool:
        flags = answer.facts.slot_flags if answer.facts else 0
        return flags & bits == bits if bits else not flags

    return Where(text, holds, named)
