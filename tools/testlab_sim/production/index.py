"""Sequences whose things are made when they are asked for: each costs 14 bytes, however large it is."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar, overload

T = TypeVar("T")
Test = Callable[[T], bool]


class Selection(Sequence[T]):
    """Some of an index, by place; a slice of it is a selection again."""

    def __init__(self, index: Index[T], places: Sequence[int]) -> None:
        self._index = index
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Selection[T]: ...
    def __getitem__(self, place: int | slice) -> T | Selection[T]:
        if isinstance(place, slice):
            return Selection(self._index, self._places[place])
        return self._index[self._places[place]]

    def __iter__(self) -> Iterator[T]:
        return (self._index[place] for place in self._places)

    def narrow(self, tests: Sequence[Test[T]]) -> Selection[T]:
        """Those that meet all tests; each is made to be tested, and not held."""
        if not tests:
            return self
        kept = (place for place in self._places if all(test(self._index[place]) for test in tests))
        return Selection(self._index, array("I", kept))


class Index(Sequence[T]):
    """Things in order of a time. `make` makes the thing of a number; `kind_of` says what a filter may ask without it.

    There are at most 65,536 kinds. Of each, one thing is held, for filters to be tried on.
    """

    def __init__(
        self,
        make: Callable[[int], T],
        number_of: Callable[[T], int],
        time_of: Callable[[T], float],
        kind_of: Callable[[T], Hashable],
    ) -> None:
        self._make, self._number_of, self._time_of, self._kind_of = make, number_of, time_of, kind_of
        self._numbers, self._times, self._kinds = array("I"), array("d"), array("H")
        self._kind_numbers: dict[Hashable, int] = {}
        self._examples: list[T] = []

    def collect(self, things: Iterable[T]) -> None:
        """Add things in any order; `sort` comes after the last."""
        for thing in things:
            self._numbers.append(self._number_of(thing))
            self._times.append(self._time_of(thing))
            self._kinds.append(self._kind_number(thing))

    def sort(self) -> None:
        """Put all in order of their times."""
        order = array("I", sorted(range(len(self._times)), key=self._times.__getitem__))
        self._numbers = array("I", map(self._numbers.__getitem__, order))
        self._kinds = array("H", map(self._kinds.__getitem__, order))
        self._times = array("d", map(self._times.__getitem__, order))

    def select(self, tests: Sequence[Test[T]], since: float | None = None, until: float | None = None) -> Selection[T]:
        """Those of a span, both ends included, whose kinds meet all tests."""
        begin = 0 if since is None else bisect_left(self._times, since)
        end = len(self) if until is None else bisect_right(self._times, until)
        wanted = {kind for kind, example in enumerate(self._examples) if all(test(example) for test in tests)}
        if len(wanted) == len(self._examples):
            return Selection(self, range(begin, end))
        return Selection(self, array("I", (i for i in range(begin, end) if self._kinds[i] in wanted)))

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Selection[T]: ...
    def __getitem__(self, index: int | slice) -> T | Selection[T]:
        if isinstance(index, slice):
            return Selection(self, range(len(self))[index])
        return self._make(self._numbers[index])

    def add(self, thing: T) -> None:
        """Add one in its order, after those of the same time."""
        place = bisect_right(self._times, self._time_of(thing))
        self._numbers.insert(place, self._number_of(thing))
        self._times.insert(place, self._time_of(thing))
        self._kinds.insert(place, self._kind_number(thing))

    def remove(self, thing: T) -> None:
        """Take one out. Raises ValueError when it is not there."""
        place = self._numbers.index(self._number_of(thing))
        for column in (self._numbers, self._times, self._kinds):
            del column[place]

    def _kind_number(self, thing: T) -> int:
        kind = self._kind_of(thing)
        number = self._kind_numbers.setdefault(kind, len(self._examples))
        if number == len(self._examples):
            self._examples.append(thing)
        return number


def select(
    things: Sequence[T],
    of_kind: Sequence[Test[T]],
    own: Sequence[Test[T]] = (),
    since: float | None = None,
    until: float | None = None,
) -> Sequence[T]:
    """The things that meet all tests, in their order. `of_kind` ask only what an index has as kind; of a list that is
    no index, nothing is left out for `since` and `until`."""
    if isinstance(things, Index):
        return things.select(of_kind, since, until).narrow(own)
    return [thing for thing in things if all(test(thing) for test in (*of_kind, *own))]
