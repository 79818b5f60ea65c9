"""Sequences whose things are made when they are asked for: each costs 14 to 22 bytes."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from operator import attrgetter
from typing import TypeVar, overload

T = TypeVar("T")
Test = Callable[[T], bool]


@dataclass(frozen=True)
class Span:
    """A time of things, by its name, from `since` until `until`, both included; None: without that end."""

    time: str
    since: float | None = None
    until: float | None = None

    def holds(self, thing: object) -> bool:
        """Whether the thing's time lies in it."""
        at = getattr(thing, self.time)
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)


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

    def latest(self, time: str) -> Selection[T]:
        """The same, the latest of that time first."""
        return Selection(self._index, sorted(self._places, key=self._index.time(time), reverse=True))

    def narrow(self, tests: Sequence[Test[T]]) -> Selection[T]:
        """Those that meet all tests; each is made to be tested, and not held."""
        if not tests:
            return self
        kept = (place for place in self._places if all(test(self._index[place]) for test in tests))
        return Selection(self._index, array("I", kept))


class Index(Sequence[T]):
    """Things in order of the first of their `times`. `make` makes the thing of a number; `kind_of` says what a filter
    may ask without it.

    There are at most 65,536 kinds. Of each, one thing is held, for filters to be tried on.
    """

    def __init__(
        self,
        make: Callable[[int], T],
        number_of: Callable[[T], int],
        kind_of: Callable[[T], Hashable],
        *times: str,
    ) -> None:
        self._make, self._number_of, self._kind_of, self._order = make, number_of, kind_of, times[0]
        self._numbers, self._kinds = array("I"), array("H")
        self._times = {name: array("d") for name in times}
        self._kind_numbers: dict[Hashable, int] = {}
        self._examples: list[T] = []

    def time(self, name: str) -> Callable[[int], float]:
        """What gives that time of the thing at a place."""
        return self._times[name].__getitem__

    def collect(self, things: Iterable[T]) -> None:
        """Add things in any order; `sort` comes after the last."""
        for thing in things:
            self._numbers.append(self._number_of(thing))
            self._kinds.append(self._kind_number(thing))
            for name, column in self._times.items():
                column.append(getattr(thing, name))

    def sort(self) -> None:
        """Put all in order."""
        key = self._times[self._order].__getitem__
        order = array("I", sorted(range(len(self)), key=key))
        self._numbers = array("I", map(self._numbers.__getitem__, order))
        self._kinds = array("H", map(self._kinds.__getitem__, order))
        self._times = {name: array("d", map(column.__getitem__, order)) for name, column in self._times.items()}

    def select(self, tests: Sequence[Test[T]], spans: Sequence[Span] = ()) -> Selection[T]:
        """Those in all spans whose kinds meet all tests."""
        begin, end, others = 0, len(self), [span for span in spans if (span.since, span.until) != (None, None)]
        for span in spans:
            if span.time == self._order:
                times = self._times[self._order]
                begin = begin if span.since is None else max(begin, bisect_left(times, span.since))
                end = end if span.until is None else min(end, bisect_right(times, span.until))
                others = [other for other in others if other is not span]
        places: Sequence[int] = range(begin, end)
        wanted = {kind for kind, example in enumerate(self._examples) if all(test(example) for test in tests)}
        if len(wanted) < len(self._examples):
            places = array("I", (i for i in places if self._kinds[i] in wanted))
        for span in others:
            times, since, until = self._times[span.time], span.since or -inf, inf if span.until is None else span.until
            places = array("I", (i for i in places if since <= times[i] <= until))
        return Selection(self, places)

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
        place = bisect_right(self._times[self._order], getattr(thing, self._order))
        self._numbers.insert(place, self._number_of(thing))
        self._kinds.insert(place, self._kind_number(thing))
        for name, column in self._times.items():
            column.insert(place, getattr(thing, name))

    def remove(self, thing: T) -> None:
        """Take one out. Raises ValueError when it is not there."""
        place = self._numbers.index(self._number_of(thing))
        for column in (self._numbers, self._kinds, *self._times.values()):
            del column[place]

    def _kind_number(self, thing: T) -> int:
        kind = self._kind_of(thing)
        number = self._kind_numbers.setdefault(kind, len(self._examples))
        if number == len(self._examples):
            self._examples.append(thing)
        return number


def select(things: Sequence[T], of_kind: Sequence[Test[T]], own: Sequence[Test[T]] = (), *spans: Span) -> Sequence[T]:
    """The things that meet all tests and lie in all spans, in their order. `of_kind` ask only what an index has as
    kind; spans are of its times. Things that are no index are in order of the first span's time."""
    if isinstance(things, Index):
        return things.select(of_kind, spans).narrow(own)
    for span in spans[:1]:
        key = attrgetter(span.time)
        end = len(things) if span.until is None else bisect_right(things, span.until, key=key)
        things = things[0 if span.since is None else bisect_left(things, span.since, key=key) : end]
    asked = [span.holds for span in spans[1:] if (span.since, span.until) != (None, None)]
    for test in (*asked, *of_kind, *own):
        things = list(filter(test, things))
    return things


def latest(things: Sequence[T], time: str) -> Sequence[T]:
    """The things, the latest of that time first."""
    return things.latest(time) if isinstance(things, Selection) else sorted(things, key=attrgetter(time), reverse=True)
