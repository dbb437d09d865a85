# SPDX-License-Identifier: GPL-2.0-only
"""A difference in words, computed from its rows and states: where it is, and what begins or ceases to matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtcalc.analysis.diff import Diff
from mtcalc.kvm.notes import Note
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.rules.condition import inputs
from mtcalc.rules.inputs import GUEST_MTRR, Input, Scope, Value, domain, input_words, said
from mtcalc.rules.kernel import kernel_label, out_of_reach
from mtcalc.rules.truth import atom_set
from mtcalc.x86.memtype import MemType


def sentence(found: Diff, stops: bool = True, starts: bool = True) -> str:
    """The difference in one sentence: how much of what is reachable changes, where, and what that does.

    `stops`, `starts`: say which inputs stop, and which start mattering there.
    """
    if not found.changed:
        names = f"{kernel_label(found.before)} and {kernel_label(found.after)}"
        none = f"none of {found.total} reachable inputs changes"
        if found.total == 1:
            none = "the one reachable input does not change"
        return f"{none}: the rules of {names} return the same bytes"
    some = f"all {found.total}" if found.changed_count == found.total else f"{found.changed_count} of {found.total}"
    text = f"{some} reachable inputs {'change' if found.changed_count > 1 else 'changes'}"
    if found.total == 1:
        text = "the one reachable input changes"
    where = _where(common_conditions(found))
    if where:
        text += f": {where}"
    ceasing, beginning = mattering(found)
    return "".join((text, _verb(ceasing, "stop") if stops else "", _verb(beginning, "start") if starts else ""))


def common_conditions(found: Diff) -> dict[Input, tuple[Value, ...]]:
    """What all rows have in common: the values that each input takes in some row, where that is not all."""
    common = {}
    for item in found.inputs:
        values = domain(item)
        seen = {value for row in found.rows for value in row.when.get(item, values)}
        if len(seen) < len(values):
            common[item] = tuple(value for value in values if value in seen)
    return common


def region(found: Diff) -> int:
    """The states that `there` means: all that can be reached and have what the changed ones have in common."""
    states = found.reachable
    for item, values in common_conditions(found).items():
        with_one = 0
        for value in values:
            with_one |= atom_set(found.space, item, value)
        states &= with_one
    return states


def sensitive(found: Diff, item: Input, side: int, everywhere: bool = False) -> int:
    """The states of the region where another value of an input, still in the region, makes another byte.

    `side` 0: by the rules before, 1: by those after; `everywhere`: of all states that can be reached.
    """
    space, at = found.space, found.inputs.index(item)
    by_byte = (found.bytes_before, found.bytes_after)[side]
    here = found.reachable if everywhere else region(found)
    values, stride = space.domains[at], space.strides[at]
    columns = [atom_set(space, item, value) for value in values]
    states = 0
    for low in range(len(values)):
        for high in range(low + 1, len(values)):
            distance = (high - low) * stride
            # States with the lower value whose sibling with the higher one lies in the region too.
            both = here & columns[low] & ((here & columns[high]) >> distance)
            same = 0
            for where in by_byte.values():
                same |= where & ((where & columns[high]) >> distance)
            differ = both & ~same
            states |= differ | differ << distance
    return states


def mattering(found: Diff) -> tuple[tuple[Input, ...], tuple[Input, ...]]:
    """The inputs that stop, and those that start mattering where the changed states are; see region()."""
    stops, starts = [], []
    for item in found.inputs if found.changed else ():
        before, after = sensitive(found, item, 0), sensitive(found, item, 1)
        if before and not after:
            stops.append(item)
        if after and not before:
            starts.append(item)
    return tuple(stops), tuple(starts)


def gone(found: Diff) -> tuple[Input, ...]:
    """The inputs that made another byte in some state, and make none in any; without those that stop there alone."""
    stops = mattering(found)[0]
    rest = [item for item in found.inputs if item not in stops] if found.changed else []
    return tuple(
        item
        for item in rest
        if sensitive(found, item, 0, everywhere=True) and not sensitive(found, item, 1, everywhere=True)
    )


def notes(found: Diff) -> tuple[Note, ...]:
    """What has to be said besides: states left out, and lists that agree while the kernels around them do not."""
    said = []
    if found.left_out:
        read = set(found.inputs)
        states = (state for kernel in found[:2] for state in out_of_reach(kernel) if set(inputs(state.when)) & read)
        why = "; ".join(dict.fromkeys(state.why for state in states))
        count = "1 combination" if found.left_out == 1 else f"{found.left_out} combinations"
        said.append(Note("left-out", f"{count} left out: neither kernel can get there ({why})"))
    walks = found.before.mtrr_walk, found.after.mtrr_walk
    if not found.changed and walks[0] is not walks[1] and MtrrWalk.NONE not in walks and GUEST_MTRR in found.inputs:
        text = "the rules agree, but the guest MTRR type itself is found another way: see guest MTRR walk"
        said.append(Note("walks-differ", text))
    return tuple(said)


def when_text(when: Mapping[Input, Sequence[Value]]) -> str:
    """Conditions as a rule file would write them: 'not mmio and guest_mtrr UC|WC'; 'always' for none."""
    parts = []
    for item, values in when.items():
        if isinstance(values[0], MemType):
            parts.append(f"{item} {'|'.join(map(str, values))}")
        else:
            parts.append(str(item) if values[0] else f"not {item}")
    return " and ".join(parts) or "always"


def _where(common: Mapping[Input, Sequence[Value]]) -> str:
    flags = {item.arg: values[0] for item, values in common.items() if item.kind.scope is Scope.SLOT}
    with_flags = [name for name, value in flags.items() if value]
    without = [name for name, value in flags.items() if not value]
    parts = []
    if with_flags:
        parts.append(f"slots with {word_list(with_flags)}")
    if without:
        parts.append(f"{'but' if parts else 'slots'} without {word_list(without, 'or')}")
    text = " ".join(parts) or "pages"
    circumstances = []
    for item, values in common.items():
        if isinstance(values[0], MemType):
            circumstances.append(f"with {input_words(item)} {word_list(list(map(str, values)), 'or')}")
        elif item.kind.scope is Scope.PAGE:
            text += f" {said(item, values[0])}"
        elif item.kind.scope is not Scope.SLOT:
            circumstances.append(said(item, values[0]))
    return ", ".join((text, *circumstances)) if common else ""


def _verb(items: Sequence[Input], verb: str) -> str:
    if not items:
        return ""
    return f"; {word_list(list(map(input_words, items)))} {verb}{'s' if len(items) == 1 else ''} mattering there"


def word_list(words: Sequence[str], link: str = "and") -> str:
    """'a, b and c'."""
    return f"{', '.join(words[:-1])} {link} {words[-1]}" if len(words) > 1 else words[0]
