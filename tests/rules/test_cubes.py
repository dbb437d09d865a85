# SPDX-License-Identifier: GPL-2.0-only
"""Primes and their cover against enumeration of every cube there is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.rules import cubes
from mtcalc.rules.cubes import (
    Budget,
    Candidate,
    Cube,
    TooMany,
    candidates,
    cover,
    cube_set,
    fewest,
    irredundant,
    literals,
    primes,
)

SHAPES = ((2, 2), (3,), (2, 5), (2, 2, 2), (3, 2, 2), (2, 2, 3))


def every_cube(sizes: tuple[int, ...]) -> list[Cube]:
    return list(itertools.product(*(range(1, 1 << count) for count in sizes)))


def plain_set(cube: Cube, sizes: tuple[int, ...]) -> int:
    points = itertools.product(*map(range, sizes))
    return sum(
        1 << at
        for at, point in enumerate(points)
        if all(values >> v & 1 for values, v in zip(cube, point, strict=True))
    )


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[int, ...], int, int]:
    sizes = draw(st.sampled_from(SHAPES))
    full = len(list(itertools.product(*map(range, sizes))))
    wanted = draw(st.integers(0, (1 << full) - 1))
    return sizes, wanted, wanted | draw(st.integers(0, (1 << full) - 1))


@pytest.mark.parametrize("sizes", SHAPES)
def test_what_a_cube_covers(sizes: tuple[int, ...]) -> None:
    for cube in every_cube(sizes):
        assert cube_set(cube, sizes) == plain_set(cube, sizes)


@settings(deadline=None)
@given(tables())
def test_primes_are_the_cubes_that_no_other_contains(table: tuple[tuple[int, ...], int, int]) -> None:
    sizes, _, allowed = table
    inside = {cube: where for cube in every_cube(sizes) if not (where := plain_set(cube, sizes)) & ~allowed}
    largest = [c for c, where in inside.items() if not any(where != w and not where & ~w for w in inside.values())]
    assert sorted(primes(allowed, sizes)) == sorted(largest)


def fewest_by_levels(wanted: int, sets: list[int]) -> int:
    """The size of the smallest cover, by every union of one set, of two, and so on."""
    reached = {0}
    for count in itertools.count():
        if wanted in reached:
            return count
        reached = {union | (where & wanted) for union in reached for where in sets}
    raise AssertionError


@settings(deadline=None)
@given(tables())
def test_no_smaller_set_of_cubes_would_do(table: tuple[tuple[int, ...], int, int]) -> None:
    """As few rows as say it: none fewer would, whatever cubes they were."""
    sizes, wanted, allowed = table
    chosen = fewest(wanted, candidates(wanted, allowed, sizes))
    covered = 0
    for row in chosen:
        covered |= cube_set(row.cube, sizes)
    assert not wanted & ~covered
    assert not covered & ~allowed
    inside = [where for cube in every_cube(sizes) if not (where := plain_set(cube, sizes)) & ~allowed]
    assert len(chosen) == fewest_by_levels(wanted, inside)


@settings(deadline=None)
@given(tables())
def test_with_too_many_primes_cubes_are_found_by_halving(table: tuple[tuple[int, ...], int, int]) -> None:
    sizes, wanted, allowed = table
    sets = [plain_set(cube, sizes) for cube in irredundant(wanted, allowed, sizes)]
    covered = 0
    for where in sets:
        assert not where & ~allowed
        covered |= where
    assert not wanted & ~covered


@settings(deadline=None)
@given(tables(), tables(), st.integers(0, 60))
def test_a_cover_is_one_whatever_the_budget(
    table: tuple[tuple[int, ...], int, int], other: tuple[tuple[int, ...], int, int], left: int
) -> None:
    """Every combination wanted is covered, and nothing outside what the cube's offer allows."""
    sizes, wanted, allowed = table
    everything = cube_set(tuple((1 << count) - 1 for count in sizes), sizes)
    second = other[1] & everything
    offers = [(wanted, allowed), (second, second)]
    budget = Budget(left)
    covered = 0
    for cube, covers, _, tag in cover(wanted | second, offers, sizes, budget):
        assert not plain_set(cube, sizes) & ~offers[tag][1]
        assert covers == plain_set(cube, sizes) & offers[tag][0]
        covered |= covers
    assert covered == wanted | second


def test_a_budget_spent_is_told() -> None:
    offers = [(0b0110_1001_1001_0110, 0b0110_1001_1001_0110)]
    for left, exact in ((5, False), (100_000, True)):
        budget = Budget(left)
        assert len(cover(offers[0][0], offers, (2, 2, 2, 2), budget)) == 8
        assert budget.exact is exact


def test_more_cubes_than_anyone_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cubes, "MOST_CUBES", 7)
    odd = 0b0110_1001_1001_0110
    with pytest.raises(ValueError, match="8 of 16 combinations"):
        cover(odd, [(odd, odd)], (2, 2, 2, 2), Budget(0))
    assert len(cover(odd, [(odd, odd)], (2, 2, 2, 2), Budget())) == 8


def test_a_long_choice_is_no_deep_search() -> None:
    """A search as deep as it chooses would pass any limit of the interpreter's."""
    budget = Budget(1 << 40)
    offered = [Candidate((), 1 << at, 1) for at in range(1500)]
    assert len(fewest((1 << 1500) - 1, offered, budget)) == 1500
    assert not budget.exact


def test_no_work_at_all() -> None:
    with pytest.raises(TooMany):
        primes(0b1, (2,), Budget(0))


def test_the_limit_of_primes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cubes, "MOST_PRIMES", 1)
    sizes = (2, 2, 2)
    odd = 0b10010110
    with pytest.raises(cubes.TooMany):
        primes(odd, sizes)
    assert len(fewest(odd, candidates(odd, odd, sizes))) == 4


HALVES = (0b00000001111111, 0b11111110000000)
GREEDY = (0b11110001111000, 0b00001100000110, 0b00000010000001)


def test_the_search_beats_the_greedy_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest set and the largest of what is left make three; two do. Cut short, the search keeps the three."""
    # A candidate for each member alone keeps members apart that all others cover alike.
    offered = [Candidate((), covers, 1) for covers in (*HALVES, *GREEDY, *(1 << at for at in range(14)))]
    assert {c.covers for c in fewest((1 << 14) - 1, offered)} == set(HALVES)
    monkeypatch.setattr(cubes, "MOST_STEPS", 0)
    assert {c.covers for c in fewest((1 << 14) - 1, offered)} == set(GREEDY)


def test_of_covers_as_small_the_simpler_one() -> None:
    sizes = (2, 2)
    assert literals((3, 3), sizes) == 0
    assert literals((1, 3), sizes) < literals((1, 2), sizes)
    (row,) = fewest(0b0001, candidates(0b0001, 0b0011, sizes))
    assert row.cube == (1, 3)


def test_a_set_out_of_reach_is_an_error() -> None:
    with pytest.raises(ValueError, match="do not cover"):
        fewest(0b11, [Candidate((1,), 0b01, 1)])
