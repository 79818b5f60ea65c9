"""When a schedule starts: weekdays, the clocks' changes, a time when all was down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.schedules.timetable import Due, find_due, parse_timetable

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("02:00", range(7)),
        ("2:00", range(7)),
        ("02:00 mon-fri", range(5)),
        ("02:00 Sat, Sunday", [5, 6]),
        ("02:00 fri - mon", [4, 5, 6, 0]),
    ],
)
def test_a_timetable_is_a_time_and_weekdays(text: str, days: list[int]) -> None:
    assert parse_timetable(text, BERLIN).days == frozenset(days)


@pytest.mark.parametrize(
    "text", ["", "24:00", "2", "02:60", "02:00 never", "02:00 m", "2am", "02:00 mon-", "* 2 * * *"]
)
def test_what_is_no_timetable_is_refused(text: str) -> None:
    if text == "02:00 mon-":
        assert parse_timetable(text, BERLIN).days == {0}
        return
    with pytest.raises(BadInput, match="mon-fri"):
        parse_timetable(text, BERLIN)


def test_the_next_start_is_by_the_clocks_of_the_zone() -> None:
    table = parse_timetable("02:00 mon-fri", BERLIN)
    assert table.next_after(at("2026-11-27T01:00")) == at("2026-11-30T01:00"), "from Friday's to Monday's"
    assert table.next_after(at("2026-07-01T00:00") - timedelta(seconds=1)) == at("2026-07-01T00:00")


def test_each_night_of_a_year_has_one_start_whatever_the_clocks_do() -> None:
    table = parse_timetable("02:30", BERLIN)
    moment, nights = at("2026-01-01T00:00"), list[datetime]()
    while moment < at("2027-01-01T00:00"):
        moment = table.next_after(moment)
        nights.append(moment)
    assert len(nights) == 366 - 1 + (nights[-1] >= at("2027-01-01T00:00"))
    apart = {int((late - early).total_seconds() // 3600) for early, late in pairwise(nights)}
    assert apart <= {23, 24, 25}
    assert at("2026-03-29T01:30") in nights, "02:30 was left out: 03:30 in summer time"
    assert at("2026-10-25T00:30") in nights, "the first 02:30 of two"
    assert at("2026-10-25T01:30") not in nights
    assert all(table.last_until(night) == night for night in nights)


def test_a_start_that_is_missed_is_made_within_an_hour_and_skipped_after() -> None:
    table, last = parse_timetable("02:00", "UTC"), at("2026-11-20T02:00")
    assert find_due(table, last, at("2026-11-21T01:59")) is None
    assert find_due(table, last, at("2026-11-21T02:00")) == Due(at("2026-11-21T02:00"), False)
    assert find_due(table, last, at("2026-11-21T02:59")) == Due(at("2026-11-21T02:00"), False)
    assert find_due(table, last, at("2026-11-21T03:00")) == Due(at("2026-11-21T02:00"), True)
    assert find_due(table, last, at("2026-11-29T02:30")) == Due(at("2026-11-29T02:00"), False), "the newest of many"
