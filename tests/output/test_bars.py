# SPDX-License-Identifier: GPL-2.0-only
"""Bars: within the width, aligned, every piece labelled, every bar of its own text."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.output.bars import Bar, BarLayer, Bars, cut_texts, lines
from mtcalc.output.plain import escape

TYPES = {"WB": "=", "UC": "#", "WC": "~"}


@st.composite
def pictures(draw: st.DrawFn) -> Bars:
    """Pieces with labels, a layer that covers all and one that covers some."""
    count = draw(st.integers(1, 12))
    labels = tuple(draw(st.sampled_from(("0", "3G", "640K", "0xfee00000", "0x3fffffffffff"))) for _ in range(count))
    cuts = sorted(draw(st.sets(st.integers(1, count), max_size=5)) | {0, count})
    spans = [(low, high - 1) for low, high in itertools.pairwise(cuts) if low < high]
    kinds = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=len(spans), max_size=len(spans)))
    whole = tuple(Bar(*span, (kind,), TYPES[kind]) for span, kind in zip(spans, kinds, strict=True))
    some = tuple(bar._replace(texts=("a long name of a slot", "a long name"), fill="") for bar in whole[::2])
    extra = tuple(draw(st.integers(0, 20)) for _ in range(count))
    shortened = tuple(draw(st.booleans()) for _ in range(count))
    marks = BarLayer("", (Bar(0, 0, ("",), "^"),), marks=True)
    return Bars("address", labels, "64T", extra, shortened, (BarLayer("slot", some), BarLayer("type", whole), marks))


@given(pictures(), st.integers(40, 160))
def test_no_line_is_wider_than_the_width_and_bars_of_a_band_end_together(bars: Bars, width: int) -> None:
    band: list[str] = []
    for cells in [*lines(bars, width), []]:
        text = "".join(cell.text for cell in cells)
        assert len(text) <= width
        if cells:
            band.append(text)
            continue
        ends = {len(line) for line in band if line.startswith(("slot", "type"))}
        assert len(ends) == 1
        assert band[0].rindex("|") == ends.pop() - 1
        # What begins in a lower line begins at a piece.
        ticks = {at for at, letter in enumerate(band[0]) if letter == "|"}
        assert {at for at, letter in enumerate(band[2]) if letter == "|"} <= ticks
        band = []


@given(pictures())
def test_every_label_and_every_type_is_written_whole(bars: Bars) -> None:
    drawn = ["".join(cell.text for cell in cells) for cells in lines(bars, 80)]
    axes = "".join(line for line in drawn if line.startswith("address"))
    assert axes.endswith("|64T")
    assert [word.split()[0] for word in axes.split("|") if word.strip(" ") and word.strip(" ") != "address"][
        : len(bars.labels)
    ] == list(bars.labels)
    types = [word.strip(" =#~") for line in drawn if line.startswith("type") for word in line.split("|")[1:-1]]
    seen = [kind for at, kind in enumerate(types) if not at or types[at - 1] != kind]
    wanted = [bar.texts[0] for bar in bars.layers[1].bars]
    assert [kind for at, kind in enumerate(wanted) if not at or wanted[at - 1] != kind] == seen


def test_the_longest_text_that_fits_is_taken_and_what_is_cut_is_marked() -> None:
    def drawn(name: tuple[str, ...], extra: int) -> str:
        layer = BarLayer("slot", (Bar(0, 0, name, ""),))
        picture = Bars("address", ("0",), "4G", (extra,), (False,), (layer,))
        return "".join(cell.text for cell in list(lines(picture, 40))[1])

    assert drawn(("framebuffer", "fb"), 0) == "slot    |fb |"
    assert drawn(("framebuffer", "fb"), 10) == "slot    |framebuffer  |"
    assert drawn(("a-name-of-forty-columns-that-is-too-wide-",), 0).endswith("~|")


@pytest.mark.parametrize(("clean", "shown"), [(escape, "\\xe4"), (str, "\xe4")])
def test_what_a_stream_cannot_say_is_escaped_before_it_is_measured(clean: object, shown: str) -> None:
    picture = Bars("address", ("0",), "4G", (0,), (False,), (BarLayer("slot", (Bar(0, 0, ("\xe4\xe4",), ""),)),))
    assert callable(clean)
    axis, slot = ("".join(cell.text for cell in line) for line in lines(picture, 80, clean))
    assert slot.count(shown) == 2
    assert axis.index("|4G") == slot.rindex("|")


def test_a_name_that_is_too_long_takes_what_room_there_is_and_is_told_whole() -> None:
    name = "pc.ram-below-4g-with-a-long-name"
    layer = BarLayer("slot", (Bar(0, 0, (name,), "", most=12), Bar(1, 1, ("bar2",), "", most=12)))
    bars = Bars("address", ("0", "3G"), "4G", (6, 0), (False, False), (layer,))
    shown = ["".join(cell.text for cell in line).rstrip() for line in lines(bars, 80)]
    assert shown == ["address |0                  |3G   |4G", "slot    |pc.ram-below-4g-wi~|bar2 |"]
    assert cut_texts(bars) == [name]
    assert cut_texts(bars._replace(extra=(30, 0))) == []
