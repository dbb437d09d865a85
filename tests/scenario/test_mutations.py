# SPDX-License-Identifier: GPL-2.0-only
"""Whatever a file holds, the loader answers with a Scenario or with an InputError that has a place."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.scenario.load import load_scenario
from mtcalc.scenario.record import Scenario
from mtcalc.text.errors import InputError
from support.scenario_texts import WHOLE

SCALAR_WORDS = """
0 1 8 0x30 -1 4K 3G 1T 0x1_000 010 0x10000000000000000 1e9 .5 yes true false null ~ UC UC- WB WX mmio ram linux
READONLY NON_COHERENT_DMA ioremap_wc memremap linux-6.8 IGNORE_GUEST_PAT v6.7 6.10 0x250 0x2ff 0xfe IA32_MTRR_DEF_TYPE
"""
KEY_WORDS = """
kernel nopat request
rules host vm guest memslots pages expect assume self_snoop maxphyaddr noncoherent_dma disabled_quirks cr0 cd pg pat
mtrr enabled fixed fixed_enabled default variable base size type physbase physmask msrs vcnt id name gpa flags backing
hva address_space struct_page host_type pat_index pte pte_level effective ept ipat level rule 0x200 0x201 0x2ff 0x250
"""
SCALARS = st.sampled_from(SCALAR_WORDS.split())
KEYS = st.sampled_from(KEY_WORDS.split())
REPLACEMENTS = list(" \n\t-:[]{},#&*!|>'\"%@x019Gé\x07\u2028")
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5)
)


def outcome(text: str) -> Scenario | InputError:
    """What the loader answers; any other exception passes."""
    try:
        return load_scenario(text, "vm.yaml")
    except InputError as error:
        return error


def check(text: str) -> Scenario | None:
    """The law, for one text."""
    found = outcome(text)
    if isinstance(found, Scenario):
        return found
    assert found.place is not None
    lines = text.splitlines() or [""]
    assert 1 <= found.place.line <= len(lines) + 1
    assert found.place.column >= 1
    assert found.message.endswith(")")
    return None


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_mapping_of_known_words(value: Any) -> None:
    check(yaml.safe_dump(value, allow_unicode=True))


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every node of a tree."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, item in inner for path in paths(item, (*at, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The tree with one node replaced."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


TREE = yaml.load(WHOLE, yaml.BaseLoader)
PATHS = paths(TREE)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PATHS), VALUES)
def test_a_valid_scenario_with_one_node_replaced(path: tuple[Any, ...], new: Any) -> None:
    check(yaml.safe_dump(changed(TREE, path, new), allow_unicode=True))


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(WHOLE)),
    st.integers(0, 12),
    st.text(st.sampled_from(REPLACEMENTS), max_size=4),
)
def test_a_valid_scenario_with_characters_replaced(at: int, cut: int, new: str) -> None:
    check(WHOLE[:at] + new + WHOLE[at + cut :])


def test_the_mutations_start_from_what_loads() -> None:
    assert check(WHOLE) is not None
    assert check(yaml.safe_dump(TREE).replace("'", "")) is not None
