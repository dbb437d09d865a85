# SPDX-License-Identifier: GPL-2.0-only
"""As few cubes as cover a set of combinations: prime implicants over inputs of several values, and their cover.

Combinations are numbered as in rules.truth: by the sizes of the inputs' domains, the first changing slowest;
a set of them is an int. A cube is a set of values for each input (bit v: value number v), and covers every
combination that takes its values from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple, TypeAlias

from mtcalc.rules.truth import members, stripes

Cube: TypeAlias = tuple[int, ...]

MOST_PRIMES = 3000
"""Beyond this many, cubes are grown one by one instead: still none too many, but perhaps not the fewest."""

MOST_STEPS = 3000
"""How long the search for the fewest goes on before it keeps the best found."""


class Candidate(NamedTuple):
    """A cube that may be used, what it covers of the set wanted, and what it costs."""

    cube: Cube
    covers: int
    cost: int
    tag: int = 0  # whatever the caller wants to know it by


class TooMany(Exception):
    """More primes than MOST_PRIMES."""


def cube_set(cube: Cube, sizes: Sequence[int]) -> int:
    """The combinations that a cube covers."""
    size = prod(sizes)
    found = (1 << size) - 1
    stride = size
    for values, count in zip(cube, sizes, strict=True):
        stride //= count
        if values != (1 << count) - 1:
            here = 0
            for at in members(values):
                here |= stripes(size, stride, count, at)
            found &= here
    return found


def literals(cube: Cube, sizes: Sequence[int]) -> int:
    """How much a cube says: 100 for each input it restricts, and 1 for each value it names."""
    named = [v for v, count in zip(cube, sizes, strict=True) if v != (1 << count) - 1]
    return 100 * len(named) + sum(v.bit_count() for v in named)


def primes(allowed: int, sizes: Sequence[int]) -> list[Cube]:
    """Every cube inside `allowed` that no larger one inside it contains. Raises TooMany."""
    sizes = tuple(sizes)
    strides = [prod(sizes[at + 1 :]) for at in range(len(sizes))]
    memo: dict[tuple[int, int], list[tuple[Cube, int]]] = {}

    def below(depth: int, table: int) -> list[tuple[Cube, int]]:
        if not table:
            return []
        if depth == len(sizes):
            return [((), 1)]
        known = memo.get((depth, table))
        if known is not None:
            return known
        stride, count = strides[depth], sizes[depth]
        slices = [table >> at * stride & ((1 << stride) - 1) for at in range(count)]
        found = []
        for values in range(1, 1 << count):
            common = -1
            for at in range(count):
                if values >> at & 1:
                    common &= slices[at]
            others = [slices[at] for at in range(count) if not values >> at & 1]
            # A value whose slice holds all of it belongs to the cube as well: the larger set finds it.
            if not common or any(not common & ~other for other in others):
                continue
            for cube, where in below(depth + 1, common):
                if all(where & ~other for other in others):
                    whole = sum(where << at * stride for at in range(count) if values >> at & 1)
                    found.append(((values, *cube), whole))
            if len(found) > MOST_PRIMES:
                raise TooMany
        memo[depth, table] = found
        return found

    return [cube for cube, _ in below(0, allowed)]


def grown(wanted: int, allowed: int, sizes: Sequence[int]) -> list[Cube]:
    """Primes that cover `wanted`, grown one by one from its combinations: for sets with too many primes."""
    found = []
    strides = [prod(sizes[at + 1 :]) for at in range(len(sizes))]
    while wanted:
        first = (wanted & -wanted).bit_length() - 1
        cube = [1 << first // stride % count for stride, count in zip(strides, sizes, strict=True)]
        for at, count in enumerate(sizes):
            for wider in [(1 << count) - 1, *(1 << value for value in range(count))]:
                trial = [*cube[:at], cube[at] | wider, *cube[at + 1 :]]
                if not cube_set(tuple(trial), sizes) & ~allowed:
                    cube = trial
        found.append(tuple(cube))
        wanted &= ~cube_set(found[-1], sizes)
    return found


def candidates(wanted: int, allowed: int, sizes: Sequence[int], tag: int = 0) -> tuple[Candidate, ...]:
    """The cubes inside `allowed` that are worth using for `wanted`. Costs: rows first, then what they say."""
    try:
        cubes = primes(allowed, sizes)
    except TooMany:
        cubes = grown(wanted, allowed, sizes)
    found = []
    for cube in cubes:
        covers = cube_set(cube, sizes) & wanted
        if covers:
            found.append(Candidate(cube, covers, 1_000_000 + 10 * literals(cube, sizes), tag))
    return tuple(found)


def fewest(wanted: int, offered: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The cheapest of the candidates that cover `wanted` together; none of them can be left out.

    Exact, unless the search takes more than MOST_STEPS. Raises ValueError where all together don't cover it.
    """
    groups = _groups(wanted, offered)
    # Over groups: bit g of a mask says that the candidate covers group g.
    masks = [sum(1 << g for g, who in enumerate(groups) if c in who) for c in range(len(offered))]
    useful = _undominated(masks, [c.cost for c in offered])
    everything = (1 << len(groups)) - 1
    who = [sum(1 << c for c in useful if masks[c] >> g & 1) for g in range(len(groups))]
    cheapest = min((offered[c].cost for c in useful), default=0)
    best = _greedy(everything, useful, masks, offered)
    best_cost = sum(offered[c].cost for c in best)
    steps = 0

    def search(left: int, chosen: list[int], cost: int) -> None:
        nonlocal best, best_cost, steps
        steps += 1
        if not left:
            if cost < best_cost:
                best, best_cost = list(chosen), cost
            return
        if steps > MOST_STEPS:
            return
        # Groups that share no candidate need one each: no fewer than those are still to come.
        alone = 0
        taken = 0
        for group in members(left):
            if not who[group] & taken:
                taken |= who[group]
                alone += 1
        if cost + cheapest * alone >= best_cost:
            return
        # Branch on the group that fewest candidates cover: one that only one covers leaves no choice.
        group = min(members(left), key=lambda g: who[g].bit_count())
        choices = [c for c in useful if masks[c] >> group & 1]
        for c in sorted(choices, key=lambda c: (-(masks[c] & left).bit_count(), offered[c].cost)):
            search(left & ~masks[c], [*chosen, c], cost + offered[c].cost)

    search(everything, [], 0)
    return tuple(offered[c] for c in sorted(best))


def _groups(wanted: int, offered: Sequence[Candidate]) -> list[frozenset[int]]:
    """The sets of candidates to choose one of each from: combinations with the same candidates are one group."""
    parts: list[tuple[int, list[int]]] = [(wanted, [])]
    for at, candidate in enumerate(offered):
        split = []
        for where, who in parts:
            inside, outside = where & candidate.covers, where & ~candidate.covers
            if inside:
                split.append((inside, [*who, at]))
            if outside:
                split.append((outside, who))
        parts = split
    found: list[frozenset[int]] = []
    for group in sorted((frozenset(who) for where, who in parts if where), key=len):
        if not group:
            raise ValueError("the cubes offered do not cover the set wanted")
        # Whoever covers a group with fewer candidates covers those with more of the same, too.
        if not any(other <= group for other in found):
            found.append(group)
    return found


def _undominated(masks: Sequence[int], costs: Sequence[int]) -> list[int]:
    """The candidates worth a look: another that covers as much costs more, or comes later at the same price."""
    kept: list[int] = []
    for at in sorted(range(len(masks)), key=lambda c: (costs[c], -masks[c].bit_count(), c)):
        if masks[at] and not any(not masks[at] & ~masks[other] for other in kept):
            kept.append(at)
    return sorted(kept)


def _greedy(everything: int, useful: Sequence[int], masks: Sequence[int], offered: Sequence[Candidate]) -> list[int]:
    """A cover found fast: the largest first, then without what the others cover anyway."""
    left = everything
    chosen: list[int] = []
    while left:
        best = max(useful, key=lambda c: ((masks[c] & left).bit_count(), -offered[c].cost))
        chosen.append(best)
        left &= ~masks[best]
    for candidate in list(chosen):
        rest = 0
        for other in chosen:
            if other != candidate:
                rest |= masks[other]
        if not everything & ~rest:
            chosen.remove(candidate)
    return chosen
