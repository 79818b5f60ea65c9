"""When to ask again: as the service says, else after a doubling wait, half of it random."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from testlab_tools.errors import ServiceDown
from testlab_tools.http.policy import MAX_ASKED_S, Hung, RetryPolicy, retry_after

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("-3", 0),
        ("1.5", 1.5),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 14:00:30 +0200", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30),
    ],
)
def test_both_forms_of_retry_after_are_read(value: str, seconds: float) -> None:
    assert retry_after({"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize("value", ["", "soon", "inf", "nan", "1e999", "9" * 400, "Sat, 99 Nov 2026 12:00:30 GMT"])
def test_a_retry_after_that_means_nothing_is_none(value: str) -> None:
    assert retry_after({"retry-after": value}, NOW) is None


def test_no_retry_after_is_none() -> None:
    assert retry_after({}) is None


def test_a_date_is_counted_from_now() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    asked = retry_after({"retry-after": soon})

    assert asked is not None
    assert 7000 < asked <= 7200


@pytest.mark.parametrize("value", ["Fri, 01 Jan 2100 00:00:00 GMT", "86400000", "1e15", "9" * 400])
def test_more_than_a_day_is_not_waited_for(value: str) -> None:
    assert retry_after({"retry-after": value}) in (MAX_ASKED_S, None)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_the_wait_doubles_and_at_least_half_of_it_is_sure(jitter: float) -> None:
    policy = RetryPolicy(first_wait_s=0.5, jitter=lambda: jitter)

    assert [policy.backoff(n) for n in (1, 2, 3)] == [w * (0.5 + jitter / 2) for w in (0.5, 1.0, 2.0)]


def test_waits_stay_within_their_bounds_and_differ() -> None:
    policy = RetryPolicy(jitter=random.Random(7).random)
    waits = [policy.backoff(2) for _ in range(200)]

    assert 0.5 <= min(waits) < max(waits) <= 1.0
    assert len(set(waits)) > 100


async def test_time_spent_on_tries_that_failed_counts_against_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    tries: list[float] = []
    monkeypatch.setattr("testlab_tools.http.policy.time.monotonic", lambda: now)

    async def late() -> None:
        nonlocal now
        now += 6
        tries.append(now)
        raise ServiceDown("portal", "Service portal cannot be reached")

    async def pause(seconds: float) -> None:
        assert seconds < 1.1

    with pytest.raises(ServiceDown):
        await RetryPolicy(attempts=9, longest_wait_s=15.0).run(late, pause)
    assert tries == [6, 12, 18]


async def test_a_service_that_hangs_is_not_asked_again() -> None:
    tries = 0

    async def hang() -> None:
        nonlocal tries
        tries += 1
        raise Hung("portal", "Service portal cannot be reached")

    async def pause(seconds: float) -> None:
        raise AssertionError("nothing is to be waited for")

    with pytest.raises(Hung):
        await RetryPolicy().run(hang, pause)
    assert tries == 1
