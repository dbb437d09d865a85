# SPDX-License-Identifier: GPL-2.0-only
"""As few cubes as cover a set of combinations: prime implicants over inputs of several values, and their cover.

Combinations are numbered as in rules.truth: by the sizes of the inputs' domains, the first changing slowest;
a set of them is an int. A cube is a set of values for each input (bit v: value number v), and covers every
combination that takes its values from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from math import prod
from typing import NamedTuple, TypeAlias

from mtcalc.rules.truth import members, stripes

Cube: TypeAlias = tuple[int, ...]

MOST_PRIMES = 3000
"""Beyond this many, cubes are found by halving instead: none of them spare, but perhaps not the fewest."""

MOST_STEPS = 3000
"""How long the search for the fewest goes on before it keeps the best found."""

MOST_CHOSEN = 100
"""Where the greedy choice takes more cubes than this, it stands: the search would go as deep."""

MOST_CUBES = 4_000
MOST_CUBE_BITS = 1 << 29
"""More cubes than this, and no one reads them; or together more bits, 64 MiB of tables."""

MOST_WORK = 400_000
"""How much of a Budget one search may spend: half a second's work, more or less."""


class Candidate(NamedTuple):
    """A cube that may be used, what it covers of the set wanted, and what it costs."""

    cube: Cube
    covers: int
    cost: int
    tag: int = 0  # whatever the caller wants to know it by


class TooMany(Exception):
    """More primes than MOST_PRIMES, or more work than a Budget holds."""


class Budget:
    """The work left for a search, in operations on tables of up to 8,192 bits, and whether it went all the way."""

    def __init__(self, left: int = MOST_WORK) -> None:
        self.left = left
        self.exact = True

    def spend(self, operations: int, bits: int = 0) -> None:
        """Takes some operations on tables of `bits` bits off. Raises TooMany where none are left."""
        self.left -= operations * (1 + (bits >> 13))
        if self.left < 0:
            self.exact = False
            raise TooMany


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


def primes(allowed: int, sizes: Sequence[int], budget: Budget | None = None) -> list[Cube]:
    """Every cube inside `allowed` that no larger one inside it contains. Raises TooMany."""
    sizes = tuple(sizes)
    purse = budget or Budget()
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
            purse.spend(1, stride)
            common = -1
            for at in range(count):
                if values >> at & 1:
                    common &= slices[at]
            others = [slices[at] for at in range(count) if not values >> at & 1]
            # A value whose slice holds all of it belongs to the cube as well: the larger set finds it.
            if not common or any(not common & ~other for other in others):
                continue
            inner = below(depth + 1, common)
            purse.spend(len(inner), 8 * stride * count)  # each is kept, as a table
            for cube, where in inner:
                if all(where & ~other for other in others):
                    whole = sum(where << at * stride for at in range(count) if values >> at & 1)
                    found.append(((values, *cube), whole))
            if len(found) > MOST_PRIMES:
                raise TooMany
        memo[depth, table] = found
        return found

    return [cube for cube, _ in below(0, allowed)]


def irredundant(wanted: int, allowed: int, sizes: Sequence[int], budget: Budget | None = None) -> Iterator[Cube]:
    """Cubes inside `allowed` that cover `wanted`, found by halving: for sets with too many primes.

    What holds for every value of an input is covered once, by cubes that leave the input out; what is left is
    covered value by value (Minato's irredundant sum of products, for inputs of several values). Raises TooMany.
    """
    strides = [prod(sizes[at + 1 :]) for at in range(len(sizes))]
    purse = budget or Budget()
    memo: dict[tuple[int, int, int], tuple[tuple[Cube, ...], int]] = {}

    def below(depth: int, wanted: int, allowed: int) -> tuple[tuple[Cube, ...], int]:
        if not wanted:
            return (), 0
        everything = (1 << prod(sizes[depth:])) - 1
        if allowed == everything:
            return (tuple((1 << count) - 1 for count in sizes[depth:]),), everything
        key = depth, wanted, allowed
        if key in memo:
            return memo[key]
        stride, count = strides[depth], sizes[depth]
        purse.spend(8 * count, stride)
        mask = (1 << stride) - 1
        parts = [(wanted >> at * stride & mask, allowed >> at * stride & mask) for at in range(count)]
        common = mask
        for _, inside in parts:
            common &= inside
        groups: dict[tuple[int, int], int] = {}  # values with the same halves, as one set of values
        for at, part in enumerate(parts):
            groups[part] = groups.get(part, 0) | 1 << at
        cubes: list[Cube] = []
        covered = [0] * count
        left = 0
        for (want, inside), values in groups.items():
            some, where = below(depth + 1, want & ~common, inside)
            purse.spend(len(some))
            cubes += [(values, *cube) for cube in some]
            left |= want & ~where
            for at in members(values):
                covered[at] = where
        some, where = below(depth + 1, left, common)
        purse.spend(len(some))
        cubes += [((1 << count) - 1, *cube) for cube in some]
        whole = sum((here | where) << at * stride for at, here in enumerate(covered))
        memo[key] = tuple(cubes), whole
        return memo[key]

    yield from below(0, wanted, allowed)[0]


def candidates(
    wanted: int, allowed: int, sizes: Sequence[int], tag: int = 0, budget: Budget | None = None
) -> tuple[Candidate, ...]:
    """The cubes inside `allowed` that are worth using for `wanted`. Costs: rows first, then what they say.

    Raises TooMany where the budget is spent.
    """
    purse = budget or Budget()
    try:
        cubes = primes(allowed, sizes, purse)
    except TooMany:
        purse.exact = False
        cubes = list(irredundant(wanted, allowed, sizes, purse))
    found = []
    for cube in cubes:
        purse.spend(len(sizes), prod(sizes))
        covers = cube_set(cube, sizes) & wanted
        if covers:
            found.append(Candidate(cube, covers, 1_000_000 + 10 * literals(cube, sizes), tag))
    return tuple(found)


def fewest(wanted: int, offered: Sequence[Candidate], budget: Budget | None = None) -> tuple[Candidate, ...]:
    """The cheapest of the candidates that cover `wanted` together; none of them can be left out.

    Exact, unless the search takes more than MOST_STEPS, MOST_CHOSEN or the budget allow, which `budget` tells.
    Raises ValueError where all together don't cover it, TooMany where the budget is spent before a choice.
    """
    purse = budget or Budget()
    groups = _groups(wanted, offered, purse)
    purse.spend(len(groups) * len(offered) // 8)
    # Over groups: bit g of a mask says that the candidate covers group g.
    masks = [sum(1 << g for g, who in enumerate(groups) if c in who) for c in range(len(offered))]
    useful = _undominated(masks, [c.cost for c in offered], purse)
    everything = (1 << len(groups)) - 1
    who = [sum(1 << c for c in useful if masks[c] >> g & 1) for g in range(len(groups))]
    cheapest = min((offered[c].cost for c in useful), default=0)
    best = _greedy(everything, useful, masks, offered, purse)
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
            purse.exact = False
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
        purse.spend(len(groups) + len(useful))
        # Branch on the group that fewest candidates cover: one that only one covers leaves no choice.
        group = min(members(left), key=lambda g: who[g].bit_count())
        choices = [c for c in useful if masks[c] >> group & 1]
        for c in sorted(choices, key=lambda c: (-(masks[c] & left).bit_count(), offered[c].cost)):
            search(left & ~masks[c], [*chosen, c], cost + offered[c].cost)

    # One more cube chosen is one call deeper, and no choice longer than the best one is looked at.
    if len(best) > MOST_CHOSEN:
        purse.exact = False
    else:
        with suppress(TooMany):
            search(everything, [], 0)
    return tuple(offered[c] for c in sorted(best))


def cover(
    wanted: int, offers: Sequence[tuple[int, int]], sizes: Sequence[int], budget: Budget
) -> tuple[Candidate, ...]:
    """Cubes that cover `wanted`, as few as can be while the budget lasts, then (`budget.exact` is false) some.

    Each offer is what may be covered and the set that its cubes lie inside; its place in the list is their tag.
    Raises ValueError where even some are too many, or where the offers don't cover the set.
    """
    try:
        offered: list[Candidate] = []
        for tag, (some, allowed) in enumerate(offers):
            if some:
                offered += candidates(some, allowed, sizes, tag, budget)
        return fewest(wanted, offered, budget)
    except TooMany:
        budget.exact = False
    try:
        return tuple(_some(wanted, offers, sizes, Budget()))
    except TooMany:
        raise ValueError(
            f"too many rows for {wanted.bit_count()} of {prod(sizes)} combinations (ask about fewer inputs)"
        ) from None


def _some(wanted: int, offers: Sequence[tuple[int, int]], sizes: Sequence[int], budget: Budget) -> Iterator[Candidate]:
    """Cubes that cover `wanted`, offer by offer. Raises TooMany beyond MOST_CUBES or MOST_CUBE_BITS."""
    left, found = wanted, 0
    for tag, (some, allowed) in enumerate(offers):
        for cube in irredundant(some & left, allowed, sizes, budget):
            found += 1
            if found > MOST_CUBES or found * prod(sizes) > MOST_CUBE_BITS:
                raise TooMany
            covers = cube_set(cube, sizes) & some
            left &= ~covers
            yield Candidate(cube, covers, 1_000_000 + 10 * literals(cube, sizes), tag)
    if left:
        raise ValueError("the cubes offered do not cover the set wanted")


def _groups(wanted: int, offered: Sequence[Candidate], purse: Budget) -> list[frozenset[int]]:
    """The sets of candidates to choose one of each from: combinations with the same candidates are one group."""
    parts: list[tuple[int, list[int]]] = [(wanted, [])]
    for at, candidate in enumerate(offered):
        split = []
        purse.spend(len(parts), 2 * wanted.bit_length())
        for where, who in parts:
            inside, outside = where & candidate.covers, where & ~candidate.covers
            if inside:
                purse.spend(1 + len(who) // 8)
                split.append((inside, [*who, at]))
            if outside:
                split.append((outside, who))
        parts = split
    found: list[frozenset[int]] = []
    for group in sorted((frozenset(who) for where, who in parts if where), key=len):
        if not group:
            raise ValueError("the cubes offered do not cover the set wanted")
        # Whoever covers a group with fewer candidates covers those with more of the same, too.
        purse.spend(1 + len(found) // 4)
        if not any(other <= group for other in found):
            found.append(group)
    return found


def _undominated(masks: Sequence[int], costs: Sequence[int], purse: Budget) -> list[int]:
    """The candidates worth a look: another that covers as much costs more, or comes later at the same price."""
    kept: list[int] = []
    for at in sorted(range(len(masks)), key=lambda c: (costs[c], -masks[c].bit_count(), c)):
        purse.spend(1 + len(kept) // 4)
        if masks[at] and not any(not masks[at] & ~masks[other] for other in kept):
            kept.append(at)
    return sorted(kept)


def _greedy(
    everything: int, useful: Sequence[int], masks: Sequence[int], offered: Sequence[Candidate], purse: Budget
) -> list[int]:
    """A cover found fast: the largest first, then without what the others cover anyway."""
    left = everything
    chosen: list[int] = []
    while left:
        purse.spend(len(useful))
        best = max(useful, key=lambda c: ((masks[c] & left).bit_count(), -offered[c].cost))
        chosen.append(best)
        left &= ~masks[best]
    for candidate in list(chosen):
        rest = 0
        purse.spend(1 + len(chosen) // 4)
        for other in chosen:
            if other != candidate:
                rest |= masks[other]
        if not everything & ~rest:
            chosen.remove(candidate)
    return chosen
