# SPDX-License-Identifier: GPL-2.0-only
"""Record against typing.NamedTuple, whose stand-in it is."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import pytest

from mtcalc.text.record import Record

T = TypeVar("T")


class Known(NamedTuple):
    """Words of its own."""

    first: int
    second: str
    third: tuple[int, ...] = ()
    fourth: bool = False

    @property
    def both(self) -> str:
        """A property."""
        return f"{self.first} {self.second}"


class Ours(Record):
    """Words of its own."""

    first: int
    second: str
    third: tuple[int, ...] = ()
    fourth: bool = False

    @property
    def both(self) -> str:
        """A property."""
        return f"{self.first} {self.second}"


class Typed(Record, Generic[T]):
    """With a type of its own."""

    what: T
    source: str = "read"


CALLS: tuple[Callable[[Any], Any], ...] = (
    lambda kind: kind(1, "a"),
    lambda kind: kind(1, "a", (2,), True),
    lambda kind: kind(second="a", first=1, fourth=True),
    lambda kind: kind(1, "a", fourth=True),
    lambda kind: kind._make([1, "a", (), False]),
    lambda kind: kind(1, "a")._replace(second="b", fourth=True),
    lambda kind: kind(1, "a")._asdict(),
    lambda kind: kind(1, "a").both,
    lambda kind: [*kind(1, "a")],
    lambda kind: kind(1, "a")[1],
    lambda kind: kind(1, "a") == (1, "a", (), False),
    lambda kind: hash(kind(1, "a")),
    lambda kind: sorted([kind(2, "a"), kind(1, "b")])[0].first,
    lambda kind: copy.deepcopy(kind(1, "a", (3,))).third,
    lambda kind: (kind._fields, kind._field_defaults, kind.__match_args__, kind.__doc__, kind.__slots__),
    lambda kind: type(kind(1, "a")._replace(first=3)).__name__ == kind.__name__,
    lambda kind: repr(kind(1, "a", (2,))).replace(kind.__name__, "Kind"),
)

WRONG: tuple[tuple[Callable[[Any], Any], type[Exception]], ...] = (
    (lambda kind: kind(1), TypeError),
    (lambda kind: kind(1, "a", (), True, 5), TypeError),
    (lambda kind: kind(1, "a", first=2), TypeError),
    (lambda kind: kind(1, "a", fifth=2), TypeError),
    (lambda kind: kind._make([1]), TypeError),
    (lambda kind: kind(1, "a")._replace(fifth=2), ValueError),
    (lambda kind: setattr(kind(1, "a"), "first", 2), AttributeError),
    (lambda kind: setattr(kind(1, "a"), "fifth", 2), AttributeError),
)


@pytest.mark.parametrize("call", CALLS)
def test_all_that_is_used_of_it_is_as_with_namedtuple(call: Callable[[Any], Any]) -> None:
    assert call(Ours) == call(Known)


@pytest.mark.parametrize(("call", "error"), WRONG)
def test_what_namedtuple_refuses_is_refused(call: Callable[[Any], Any], error: type[Exception]) -> None:
    for kind in (Known, Ours):
        with pytest.raises(error):
            call(kind)


def test_it_matches_by_place_and_by_name() -> None:
    match Ours(1, "a", (2,)):
        case Ours(first, _, third=(second,)):
            assert (first, second) == (1, 2)
        case _:
            pytest.fail("no match")


def test_it_travels_between_processes() -> None:
    assert pickle.loads(pickle.dumps(Ours(1, "a"))) == Ours(1, "a")


def test_it_can_be_generic() -> None:
    assert Typed(3).what == 3
    assert Typed[int](3, "x").source == "x"
