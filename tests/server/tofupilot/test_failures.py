"""The failures of many runs: each failed phase as `get_failed_cases` tells it of its run, in few requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.capabilities import Failure, FailureArchive
from testlab_tools.errors import NotFound, ServiceDown
from testlab_tools.models.requests import RunQuery

if TYPE_CHECKING:
    from tests.server.tofupilot.conftest import Factory

DAY = datetime(2031, 3, 1, tzinfo=UTC)
"""Later than all that the simulated lab was seeded with."""
SEEDED = DAY - timedelta(days=1)


def phase(name: str, outcome: str, retry: int = 0, second: int = 0, **fields: Any) -> dict[str, Any]:
    at = f"2031-03-01T08:00:{second:02}Z"
    return {"name": name, "outcome": outcome, "started_at": at, "ended_at": at, "retry_count": retry, **fields}


def measurement(value: Any, outcome: str = "FAIL", **fields: Any) -> dict[str, Any]:
    limit = {"operator": "<=", "expected_value": 5.15, "outcome": outcome}
    return {"name": "rail", "outcome": outcome, "measured_value": value, "units": "V", "validators": [limit], **fields}


def times(start: datetime = DAY) -> dict[str, str]:
    return {"started_at": start.isoformat(), "ended_at": (start + timedelta(minutes=1)).isoformat()}


def cases(failures: list[Failure]) -> list[tuple[str, str, int]]:
    return [(failure.case, failure.reason, failure.retried) for failure in failures]


def by_run(failures: list[Failure]) -> dict[str, list[Failure]]:
    runs: dict[str, list[Failure]] = {}
    for failure in failures:
        runs.setdefault(failure.run.run_id, []).append(failure)
    return runs


async def test_each_failure_is_told_as_its_run_tells_it(adapter: Callable[..., Any]) -> None:
    async with adapter("v2") as service:
        found = await service.list_failures(RunQuery(), 2_000)
        runs = by_run(found.failures)
        listed = await service.list_runs(RunQuery(), 200)
        whole = {run.run_id: run for run in listed.runs}
        outcomes: Counter[str] = Counter()
        for run_id in [*list(runs)[::12], *(f.run.run_id for f in found.failures if f.retried or not f.case)]:
            (told,) = await service.get_failures(run_id.partition(":")[2])
            wanted = [(case.case, case.reason, case.attempts - 1) for case in told.cases]
            assert cases(runs[run_id]) == (wanted or [("", told.reason, 0)])
            outcomes[told.outcome] += 1
    assert (found.runs, found.more, found.unread) == (len(runs), False, 0)
    assert set(outcomes) == {"fail", "error", "stopped"}
    assert min(outcomes.values()) > 3
    starts = [failures[0].run.started_at for failures in runs.values()]
    assert starts == sorted(starts, reverse=True)
    for failure in found.failures:
        if failure.run.run_id in whole:
            assert failure.run == whole[failure.run.run_id].model_copy(update={"position": ""})
        assert failure.revision


async def test_two_thousand_failures_take_few_requests(factory: Factory, adapter: Callable[..., Any]) -> None:
    failing = [phase(f"step {n}", "FAIL", measurements=[measurement(5.2 + n)]) for n in range(8)]
    for n in range(140):
        factory.record(factory.serial(), outcome="FAIL", phases=failing, **times(DAY + timedelta(minutes=n)))
    factory.clear()
    async with adapter("v2") as service:
        found = await service.list_failures(RunQuery(), 2_000)
    assert len(found.failures) > 2_000
    assert (found.runs > 1_000, found.more, found.unread) == (True, False, 0)
    asked = {noun: factory.asked("GET", f"/api/v2/{noun}") for noun in ("runs", "phases", "measurements", "logs")}
    assert factory.asked("GET", "/api/v2/runs/") == 0
    assert factory.asked("GET", "/") == sum(asked.values()) < 80


async def test_no_more_runs_are_read_than_are_asked_for(factory: Factory, adapter: Callable[..., Any]) -> None:
    async with adapter("v2") as service:
        factory.clear()
        few = await service.list_failures(RunQuery(), 3)
        assert factory.asked("GET", "/api/v2/runs") == 1
        assert factory.asked("GET", "/") < 10
        many = await service.list_failures(RunQuery(), 250)
    assert (few.runs, few.more) == (3, True)
    assert (many.runs, many.more) == (250, True)
    assert len(by_run(few.failures)) == 3
    assert list(by_run(few.failures)) == list(by_run(many.failures))[:3]


async def test_a_phase_that_passed_in_the_end_is_no_failure(factory: Factory, adapter: Callable[..., Any]) -> None:
    serial = factory.serial()
    flashed = [phase("flash", "FAIL", 0, 1, measurements=[measurement(9)]), phase("flash", "PASS", 1, 2)]
    swept = [phase("sweep", "FAIL", n, 5 + n, measurements=[measurement(5.3 + n)]) for n in range(3)]
    factory.record(serial, outcome="FAIL", phases=[*flashed, *swept], **times())
    async with adapter("v2") as service:
        found = await service.list_failures(RunQuery(unit=serial), 10)
    assert cases(found.failures) == [("sweep", "rail 7.3 V is above 5.15 V", 2)]


@pytest.mark.parametrize("outcome", ["FAIL", "ERROR", "TIMEOUT", "ABORTED"])
async def test_a_run_without_a_failing_phase_is_told_once_with_its_notes(
    outcome: str, factory: Factory, adapter: Callable[..., Any]
) -> None:
    serial = factory.serial()
    fields = {"docstring": "fixture\u202e open", "procedure_version": "9.1", "phases": [phase("power", "PASS")]}
    run = factory.record(serial, outcome=outcome, **fields, **times())
    factory.record(serial, **times(DAY + timedelta(hours=1)))
    async with adapter("v2") as service:
        (failure,) = (await service.list_failures(RunQuery(unit=serial), 10)).failures
    ours = {"FAIL": "fail", "ABORTED": "stopped"}.get(outcome, "error")
    assert (failure.run.run_id, failure.run.outcome) == (f"factory:{run}", ours)
    assert (failure.case, failure.reason, failure.revision, failure.retried) == ("", "fixture open", "9.1", 0)


async def test_what_no_measurement_explains_the_log_does(factory: Factory, adapter: Callable[..., Any]) -> None:
    serial = factory.serial()

    def line(level: str, message: str) -> dict[str, Any]:
        at = "2031-03-01T08:00:09Z"
        return {"level": level, "message": message, "timestamp": at, "source_file": "a.py", "line_number": 1}

    logs = [line("ERROR", "first"), line("ERROR", "\x1b[31mDMM not responding"), line("WARNING", "then")]
    phases = [phase("dmm", "ERROR"), phase("rails", "FAIL", 0, 2, measurements=[measurement(5.3)])]
    factory.record(serial, outcome="ERROR", logs=logs, phases=phases, docstring="not this", **times())
    async with adapter("v2") as service:
        found = await service.list_failures(RunQuery(unit=serial), 10)
    assert cases(found.failures) == [("dmm", "DMM not responding", 0), ("rails", "rail 5.3 V is above 5.15 V", 0)]


async def test_namesakes_in_two_sequences_are_told_apart_and_series_have_no_value(
    factory: Factory, adapter: Callable[..., Any]
) -> None:
    serial = factory.serial()
    flag = measurement(False, name="link", units=None, validators=None)
    text = measurement("1.4.1", name="version", units=None, validators=[{"operator": "==", "expected_value": "1.4.2"}])
    curve = measurement({"a": 1}, name="curve")
    left = phase("power", "FAIL", 0, 1, sequence_path="left", measurements=[measurement(5.3), flag])
    right = phase("power", "FAIL", 0, 2, sequence_path="right", measurements=[text, curve])
    factory.record(serial, outcome="FAIL", phases=[right, left], **times())
    async with adapter("v2") as service:
        found = await service.list_failures(RunQuery(unit=serial), 10)
    assert cases(found.failures) == [
        ("power", "rail 5.3 V is above 5.15 V; link is False", 0),
        ("power", "version is 1.4.1, expected 1.4.2; curve does not keep its limits", 0),
    ]


async def test_the_question_restricts_the_failures(factory: Factory, adapter: Callable[..., Any]) -> None:
    serial, part = factory.serial(), f"PN-{factory.serial()}"
    factory.record(serial, outcome="FAIL", part_number=part, **times(SEEDED - timedelta(days=1)))
    async with adapter("v2") as service:
        all_of_them = (await service.list_failures(RunQuery(until=SEEDED), 2_000)).failures
        middle = all_of_them[len(all_of_them) // 2].run.started_at

        async def some(**query: Any) -> list[Failure]:
            found = await service.list_failures(RunQuery(**{"until": SEEDED, **query}), 2_000)
            assert found.failures
            assert found.runs == len(by_run(found.failures)) < len(by_run(all_of_them))
            return found.failures

        assert {f.run.outcome for f in await some(outcome="fail")} == {"fail"}
        assert {f.run.outcome for f in await some(outcome="error")} == {"error"}
        assert {f.run.station for f in await some(station="FVT-03")} == {"FVT-03"}
        assert {f.run.test for f in await some(test="Main board FCT")} == {"Main board FCT"}
        assert {(f.run.part, f.run.unit) for f in await some(part=part)} == {(part, serial)}
        assert all("STB4K-0011" in f.run.unit for f in await some(text="STB4K-0011"))
        later, earlier = await some(since=middle), await some(until=middle - timedelta(milliseconds=1))
        assert len(later) + len(earlier) == len(all_of_them)
        samples = {f.run.sample for f in await some(unit="STB4K-F00001")}
        assert samples == {"failing"}
        with pytest.raises(NotFound, match="no station of that name"):
            await some(station="FVT-99")


async def test_nothing_failed_is_an_empty_answer_and_an_outage_is_not(
    factory: Factory, adapter: Callable[..., Any], no_backoff: None
) -> None:
    serial = factory.serial()
    factory.record(serial, **times())
    async with adapter("v2") as service:
        assert await service.list_failures(RunQuery(unit=serial), 10) == ([], 0, False, 0)
        assert await service.list_failures(RunQuery(job="x"), 10) == ([], 0, False, 0)
        for path in ("runs", "phases", "measurements", "logs"):
            factory.clear()
            factory.fault(status=500, path_prefix=f"/api/v2/{path}", times=0)
            with pytest.raises(ServiceDown):
                await service.list_failures(RunQuery(outcome="error", until=SEEDED), 30)


async def test_runs_beyond_the_allowance_are_counted_and_told_without_their_cases(
    adapter: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fct = RunQuery(test="Main board FCT", until=SEEDED)
    async with adapter("v2") as service:
        whole = by_run((await service.list_failures(fct, 2_000)).failures)
        monkeypatch.setattr("testlab_tools.adapters.tofupilot.v2_failures.MAX_PAGES", 3)
        found = await service.list_failures(fct, 2_000)
        cut = by_run(found.failures)
        monkeypatch.setattr("testlab_tools.adapters.tofupilot.v2_failures.MAX_PAGES", 0)
        none = await service.list_failures(fct, 50)
    assert list(cut) == list(whole)
    assert 50 < found.unread < found.runs == len(whole)
    read, unread = list(cut)[: -found.unread], list(cut)[-found.unread :]
    assert all(cut[run] == whole[run] for run in read)
    assert all(cases(cut[run]) == [("", "", 0)] for run in unread)
    assert (none.unread, none.runs, {f.case for f in none.failures}) == (50, 50, {""})


async def test_logs_beyond_the_allowance_are_said(adapter: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testlab_tools.adapters.tofupilot.v2_failures.MAX_LOG_PAGES", 0)
    async with adapter("v2") as service:
        found = await service.list_failures(RunQuery(outcome="error", until=SEEDED), 5)
    assert {f.reason for f in found.failures} == {"Not known: the logs hold more errors than are read for one question"}
    assert all(f.case for f in found.failures)
    assert found.unread == 0


async def test_v1_which_cannot_list_runs_does_not_offer_it(adapter: Callable[..., Any]) -> None:
    async with adapter("v1") as old, adapter("v2") as new:
        assert isinstance(new, FailureArchive)
        assert not isinstance(old, FailureArchive)
