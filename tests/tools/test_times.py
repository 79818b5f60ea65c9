"""Points in time: what agents write and services send in, UTC to the second out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfoNotFoundError

import pytest
from pydantic import BaseModel, ValidationError

from testlab_tools.errors import BadInput
from testlab_tools.times import Moment, check_zone, iso, parse_span, parse_time, seconds, utc

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T08:00:00Z", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T08:00:00+02:00", datetime(2026, 11, 20, 6, tzinfo=UTC)),
        ("2026-11-20 08:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T08:00:00.250Z", datetime(2026, 11, 20, 8, 0, 0, 250_000, tzinfo=UTC)),
        ("30m", NOW - timedelta(minutes=30)),
        ("90min", NOW - timedelta(minutes=90)),
        ("24h", NOW - timedelta(hours=24)),
        (" 7d ", NOW - timedelta(days=7)),
        ("2 w", NOW - timedelta(weeks=2)),
        ("24H", NOW - timedelta(hours=24)),
    ],
)
def test_iso_and_relative_times_are_read(text: str, moment: datetime) -> None:
    read = parse_time(text, "since", NOW)

    assert read == moment
    assert read is not None
    assert read.tzinfo is UTC


def test_an_empty_time_is_none() -> None:
    assert parse_time("", "since") is None


def test_a_relative_time_counts_from_now() -> None:
    read = parse_time("1h", "since")

    assert read is not None
    assert abs(datetime.now(UTC) - timedelta(hours=1) - read) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "text",
    ["yesterday", "24", "h", "-24h", "24h ago", "1y", "2026-13-01", "999999w", "0001-01-01T00:00:00+14:00", "²d"],
)
def test_anything_else_is_refused_by_the_arguments_name(text: str) -> None:
    with pytest.raises(BadInput, match=r"^until is not a time\. Give ISO 8601"):
        parse_time(text, "until", NOW)


def test_a_time_without_a_zone_is_utc() -> None:
    assert utc(datetime(2026, 11, 20, 8)) == datetime(2026, 11, 20, 8, tzinfo=UTC)


def test_times_go_out_in_utc_to_the_second() -> None:
    moment = datetime(2026, 11, 20, 8, 0, 0, 999_000, tzinfo=timezone(timedelta(hours=2)))

    assert iso(moment) == "2026-11-20T06:00:00Z"


def test_even_the_first_moment_goes_out_as_iso_8601() -> None:
    assert iso(datetime.min.replace(tzinfo=UTC)) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT50S", 50),
        ("PT1H23M12S", 4992),
        ("PT0.250S", 0.25),
        ("P1DT1H", 90_000),
        ("-PT5S", -5),
        ("00:12:34", 754),
        ("1:00", 60),
        ("12.5", 12.5),
    ],
)
def test_durations_of_every_service_are_read(text: str, length: float) -> None:
    assert seconds(text) == pytest.approx(length)


@pytest.mark.parametrize("text", ["", "P", "PT", "PT5", "5 minutes", "P1W", "PT1.2.3S", "nan", "inf", "1e999", "1:x"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        seconds(text)


class Holder(BaseModel):
    at: Moment


@pytest.mark.parametrize(
    "value",
    ["2026-11-20T08:00:00Z", "2026-11-20T10:00:00.999+02:00", "2026-11-20 08:00:00", datetime(2026, 11, 20, 8)],
)
def test_a_field_holding_a_moment_takes_any_form_and_gives_utc(value: object) -> None:
    assert Holder.model_validate({"at": value}).model_dump() == {"at": "2026-11-20T08:00:00Z"}


@pytest.mark.parametrize("value", ["soon", "", None, {}, "0001-01-01T00:00:00+14:00"])
def test_a_field_holding_a_moment_refuses_what_is_none(value: object) -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"at": value})


@pytest.mark.parametrize("name", ["UTC", "America/Denver", "Asia/Kolkata", "America/Argentina/Ushuaia"])
def test_a_zone_of_the_olson_database_is_taken(name: str) -> None:
    assert check_zone(name, "tz") == name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("America/Denvr", "Did you mean America/Denver"),
        ("Mars/Olympus", "For example Europe/London"),
        ("", "For example"),
        ("../../etc/passwd", "tz is not the name"),
        ("/etc/localtime", "tz is not the name"),
        ("UTC\x00", "tz is not the name"),
        ("America", "tz is not the name"),
    ],
)
def test_any_other_zone_is_answered_with_the_nearest(name: str, told: str) -> None:
    with pytest.raises(BadInput, match="tz is not the name of a time zone") as error:
        check_zone(name, "tz")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("name", "fits"), [("Europe/London", True), ("Etc/GMT+1", True), ("../x", False), ("a b", False)]
)
def test_where_the_system_has_no_database_only_the_form_is_looked_at(
    name: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(key: str) -> None:
        raise ZoneInfoNotFoundError(key)

    monkeypatch.setattr("testlab_tools.times.ZoneInfo", unknown)
    monkeypatch.setattr("testlab_tools.times.available_timezones", set)
    if fits:
        assert check_zone(name, "tz") == name
    else:
        with pytest.raises(BadInput):
            check_zone(name, "tz")


def test_a_time_without_a_zone_is_by_the_clocks_of_the_zone_that_is_given() -> None:
    since, until = parse_span("2026-10-25", "2026-10-26", "Europe/Berlin")
    assert (since, until) == (datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC))
    assert parse_time("2026-10-25T08:00:00Z", "since", None, "Europe/Berlin") == datetime(2026, 10, 25, 8, tzinfo=UTC)
