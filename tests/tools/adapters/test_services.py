"""A further kind of service is one new folder, and nothing else: here the one that `./do new-service` makes."""

from __future__ import annotations

import runpy
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from testlab_tools import adapters
from testlab_tools.capabilities import Service
from testlab_tools.errors import AuthError, ConfigError, NotFound
from testlab_tools.registry import Call
from testlab_tools.services import known_kinds, load_kind
from testlab_tools.tools.runs import get_failed_cases, get_run, list_runs

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

ROOT = Path(__file__).parents[3]
A1, A2 = "0196434d-e8f7-7ce1-81f7-000000000001", "0196434d-e8f7-7ce1-81f7-000000000002"
PINS = [
    {
        "id": "run-7",
        "test": "Drop test",
        "node": "bench",
        "result": "failed",
        "started": "2026-11-20T09:00:00Z",
        "message": "\u001b[31mcase cracked\u001b[0m",
    },
    {
        "id": "run-8",
        "test": "Smoke test",
        "node": "bench",
        "result": "passed",
        "started": "2026-11-20T11:00:00Z",
        "colour": "yellow",
    },
]
TEST_RUNS = [
    {
        "test_run_id": A1,
        "test_plan_name": "End of line",
        "status": "pass",
        "start_time": "2026-11-20T10:00:00Z",
        "serial_number": "SN-1",
    },
    {"test_run_id": A2, "test_plan_name": "End of line", "status": "fail", "start_time": "2026-11-20T12:00:00Z"},
]

if TYPE_CHECKING:
    from tests.tools.conftest import Origin


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the files of a new service `pinboard` were written."""
    folder = tmp_path_factory.mktemp("repository")
    write_service = runpy.run_path(str(ROOT / "tools" / "scaffold" / "new_service.py"))["write_service"]
    write_service("pinboard", folder)
    return folder / "tools" / "testlab_tools" / "adapters"


@pytest.fixture
def with_pinboard(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder `pinboard`, as if it lay in the package beside the other kinds."""
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(made)])
    yield
    for name in [name for name in sys.modules if name.startswith("testlab_tools.adapters.pinboard")]:
        del sys.modules[name]
    if hasattr(adapters, "pinboard"):
        delattr(adapters, "pinboard")


def connected(name: str, table: dict[str, object]) -> Service:
    """The service of a `[services.NAME]` table, made as the server makes it."""
    kind = load_kind(str(table["kind"]))
    return kind.connect(name, kind.Settings.model_validate(table))


@pytest.fixture
async def call(
    with_pinboard: None, origin: Origin, other_origin: Origin, call_on: Callable[..., Call]
) -> AsyncIterator[Call]:
    """A call on a lab of a pinboard and a StandCloud."""
    origin.answers(origin.reply(200, PINS))
    other_origin.answers(other_origin.reply(200, TEST_RUNS))
    call = call_on(
        connected("wall", {"kind": "pinboard", "url": origin.url, "token": "pin-token"}),
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
    with pytest.raises(ConfigError, match=rf"no kind of service 'zzz'\. Known kinds: {', '.join(known_kinds())}\."):
        load_kind("zzz")
    assert "pinboard" not in known_kinds()


def test_its_table_takes_the_keys_of_every_service_and_no_others(with_pinboard: None) -> None:
    settings = load_kind("pinboard").Settings
    table = {"kind": "pinboard", "url": "http://127.0.0.1:1/", "token_env": "T", "max_concurrency": 2}

    read: Any = settings.model_validate(table)
    assert (read.url, read.max_concurrency) == ("http://127.0.0.1:1", 2)
    with pytest.raises(ValidationError, match="url"):
        settings.model_validate({"kind": "pinboard"})
    with pytest.raises(ValidationError, match="shelf"):
        settings.model_validate({**table, "shelf": "x"})


async def test_its_runs_stand_in_one_list_beside_another_services(call: Call, origin: Origin) -> None:
    page = await list_runs.handler(call)

    assert [(run.run_id, run.outcome, run.test) for run in page.runs] == [
        (f"cloud:{A2}", "fail", "End of line"),
        ("wall:run-8", "pass", "Smoke test"),
        (f"cloud:{A1}", "pass", "End of line"),
        ("wall:run-7", "fail", "Drop test"),
    ]
    assert [(s.service, s.shown, s.total) for s in page.services] == [("wall", 2, 2), ("cloud", 2, 2)]
    assert origin.asked[0].target == "/api/runs"
    assert origin.asked[0].headers["authorization"] == "Bearer pin-token"


async def test_its_runs_are_paged_with_the_others(call: Call) -> None:
    first = await list_runs.handler(call, limit=3)
    second = await list_runs.handler(call, limit=3, cursor=first.cursor)

    assert [run.run_id for run in first.runs + second.runs] == [
        f"cloud:{A2}",
        "wall:run-8",
        f"cloud:{A1}",
        "wall:run-7",
    ]
    assert second.cursor == ""


async def test_a_question_reaches_it_in_the_labs_words(call: Call) -> None:
    page = await list_runs.handler(call, service="wall", outcome="fail", station="bench")

    assert [run.run_id for run in page.runs] == ["wall:run-7"]


@pytest.mark.parametrize("run_id", ["wall:run-7", "run-7"])
async def test_what_failed_is_explained_by_handle_or_bare_id(run_id: str, call: Call, other_origin: Origin) -> None:
    if run_id == "run-7":
        call.lab.services.pop("cloud")
    told = await get_failed_cases.handler(call, run_id=run_id)

    (run,) = told.runs
    (case,) = run.cases
    assert (run.run_id, case.case, case.outcome, case.reason) == ("wall:run-7", "Drop test", "fail", "case cracked")
    assert other_origin.asked == []


async def test_a_run_is_told_with_its_case(call: Call) -> None:
    told = await get_run.handler(call, run_id="wall:run-8", include=["cases"])

    assert (told.run.run_id, told.run.test, told.run.outcome) == ("wall:run-8", "Smoke test", "pass")
    assert [(case.case, case.outcome) for case in told.cases] == [("Smoke test", "pass")]


async def test_a_run_that_passed_has_nothing_to_explain(call: Call) -> None:
    told = await get_failed_cases.handler(call, run_id="wall:run-8")

    assert told.runs == []
    assert "Nothing failed" in told.note


async def test_its_outage_is_told_beside_the_others_runs(call: Call, origin: Origin) -> None:
    origin.answers(origin.reply(500))
    page = await list_runs.handler(call)

    assert [run.run_id for run in page.runs] == [f"cloud:{A2}", f"cloud:{A1}"]
    assert [s.error for s in page.services] == ["wall failed (HTTP 500). Call again later.", ""]


async def test_a_run_it_does_not_have_is_not_found(call: Call) -> None:
    with pytest.raises(NotFound, match="wall has no such run"):
        await get_failed_cases.handler(call, run_id="wall:run-9")


async def test_its_token_refused_is_an_error_of_that_service(call: Call, origin: Origin) -> None:
    origin.answers(origin.reply(401))

    with pytest.raises(AuthError) as error:
        await get_failed_cases.handler(call, run_id="wall:run-7")
    assert error.value.service == "wall"
