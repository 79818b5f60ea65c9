"""A fourth kind of service is one new folder: `fourth_service/pinboard`, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import testlab_tools
from testlab_tools.capabilities import Service
from testlab_tools.catalog.runs import get_failed_cases, get_run, list_runs
from testlab_tools.errors import AuthError, ConfigError, NotFound
from testlab_tools.kinds import known_kinds, load_kind
from testlab_tools.registry import Call

PINS = [
    {
        "id": 7,
        "title": "Drop test",
        "verdict": "bad",
        "pinned_at": "2026-11-20T09:00:00Z",
        "serial": "SN-1",
        "remark": "\u001b[31mcase cracked\u001b[0m",
    },
    {"id": 8, "title": "Smoke test", "verdict": "good", "pinned_at": "2026-11-20T11:00:00Z", "colour": "yellow"},
]
TEST_RUNS = [
    {
        "test_run_id": "a1",
        "test_plan_name": "End of line",
        "status": "pass",
        "start_time": "2026-11-20T10:00:00Z",
        "serial_number": "SN-1",
    },
    {"test_run_id": "a2", "test_plan_name": "End of line", "status": "fail", "start_time": "2026-11-20T12:00:00Z"},
]


@pytest.fixture
def with_pinboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder `pinboard`, as if it lay in the package beside the other kinds."""
    monkeypatch.setattr(
        testlab_tools, "__path__", [*testlab_tools.__path__, str(Path(__file__).parent / "fourth_service")]
    )
    yield
    for name in [name for name in sys.modules if name.startswith("testlab_tools.pinboard")]:
        del sys.modules[name]
    if hasattr(testlab_tools, "pinboard"):
        delattr(testlab_tools, "pinboard")


def connected(name: str, table: dict[str, object]) -> Service:
    """The service of a `[services.NAME]` table, made as the server makes it."""
    kind = load_kind(str(table["kind"]))
    return kind.connect(name, kind.Settings.model_validate(table))


@pytest.fixture
async def call(
    with_pinboard: None, origin: Any, other_origin: Any, call_on: Callable[..., Call]
) -> AsyncIterator[Call]:
    """A call on a lab of a pinboard and a StandCloud."""
    origin.answers(origin.reply(200, PINS))
    other_origin.answers(other_origin.reply(200, TEST_RUNS))
    call = call_on(
        connected("wall", {"kind": "pinboard", "url": origin.url, "board": "lab", "token": "pin-token"}),
        connected("cloud", {"kind": "standcloud", "url": other_origin.url, "token": "cloud-token"}),
    )
    yield call
    await call.lab.aclose()


def test_the_folder_is_a_kind_by_being_there(with_pinboard: None) -> None:
    assert "pinboard" in known_kinds()
    assert set(known_kinds()) > {"standcloud", "stbtester", "tofupilot"}


def test_a_mistyped_kind_is_answered_with_the_nearest_one(with_pinboard: None) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'pinboard'"):
        load_kind("pin-board")


def test_without_the_folder_there_is_no_such_kind() -> None:
    with pytest.raises(
        ConfigError, match=r"no kind of service 'zzz'\. Known kinds: standcloud, stbtester, tofupilot\."
    ):
        load_kind("zzz")
    assert "pinboard" not in known_kinds()


def test_its_table_takes_its_own_keys_and_those_of_every_service(with_pinboard: None) -> None:
    settings = load_kind("pinboard").Settings
    table = {"kind": "pinboard", "url": "http://127.0.0.1:1/", "board": "lab", "token_env": "T", "max_concurrency": 2}

    read = settings.model_validate(table)
    assert (read.url, read.max_concurrency) == ("http://127.0.0.1:1", 2)
    with pytest.raises(ValidationError, match="board"):
        settings.model_validate({"kind": "pinboard", "url": "http://127.0.0.1:1"})
    with pytest.raises(ValidationError, match="shelf"):
        settings.model_validate({**table, "shelf": "x"})


async def test_its_runs_stand_in_one_list_beside_another_services(call: Call, origin: Any) -> None:
    page = await list_runs.handler(call)

    assert [(run.run_id, run.outcome, run.test) for run in page.runs] == [
        ("cloud:a2", "fail", "End of line"),
        ("wall:8", "pass", "Smoke test"),
        ("cloud:a1", "pass", "End of line"),
        ("wall:7", "fail", "Drop test"),
    ]
    assert [(s.service, s.shown, s.total) for s in page.services] == [("wall", 2, 2), ("cloud", 2, 2)]
    assert origin.asked[0].target == "/boards/lab/pins"
    assert origin.asked[0].headers["authorization"] == "Bearer pin-token"


async def test_its_runs_are_paged_with_the_others(call: Call) -> None:
    first = await list_runs.handler(call, limit=3)
    second = await list_runs.handler(call, limit=3, cursor=first.cursor)

    assert [run.run_id for run in first.runs + second.runs] == ["cloud:a2", "wall:8", "cloud:a1", "wall:7"]
    assert second.cursor == ""


async def test_a_question_reaches_it_in_the_labs_words(call: Call) -> None:
    page = await list_runs.handler(call, service="wall", outcome="fail", unit="SN-1")

    assert [run.run_id for run in page.runs] == ["wall:7"]


@pytest.mark.parametrize("run_id", ["wall:7", "7"])
async def test_what_failed_is_explained_by_handle_or_bare_id(run_id: str, call: Call, other_origin: Any) -> None:
    if run_id == "7":
        call.lab.services.pop("cloud")
    told = await get_failed_cases.handler(call, run_id=run_id)

    (run,) = told.runs
    (case,) = run.cases
    assert (run.run_id, case.case, case.outcome, case.reason) == ("wall:7", "Drop test", "fail", "case cracked")
    assert other_origin.asked == []


async def test_a_run_is_told_with_its_case(call: Call) -> None:
    told = await get_run.handler(call, run_id="wall:8", include=["cases"])

    assert (told.run.run_id, told.run.test, told.run.outcome) == ("wall:8", "Smoke test", "pass")
    assert [(case.case, case.outcome) for case in told.cases] == [("Smoke test", "pass")]


async def test_a_run_that_passed_has_nothing_to_explain(call: Call) -> None:
    told = await get_failed_cases.handler(call, run_id="wall:8")

    assert told.runs == []
    assert "Nothing failed" in told.note


async def test_its_outage_is_told_beside_the_others_runs(call: Call, origin: Any) -> None:
    origin.answers(origin.reply(500))
    page = await list_runs.handler(call)

    assert [run.run_id for run in page.runs] == ["cloud:a2", "cloud:a1"]
    assert [s.error for s in page.services] == ["wall failed (HTTP 500).", ""]


async def test_a_run_it_does_not_have_is_not_found(call: Call) -> None:
    with pytest.raises(NotFound, match="wall has no such pin"):
        await get_failed_cases.handler(call, run_id="wall:9")


async def test_its_token_refused_is_an_error_of_that_service(call: Call, origin: Any) -> None:
    origin.answers(origin.reply(401))

    with pytest.raises(AuthError) as error:
        await get_failed_cases.handler(call, run_id="wall:7")
    assert error.value.service == "wall"
