"""Every tool that looks, with each field left out of what its service answers, and with a clock that disagrees: what
is not known is not told as something else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from tests.fixture_types import Connect
from tests.service_samples import SERVICE_SAMPLES

if TYPE_CHECKING:
    from tests.server.faults.conftest import Judge, Plant
    from tests.server.faults.tools.conftest import Round

WORDS = {"note", "next", "why", "untrusted", "text", "reason", "reasons", "unknown", "missing", "log", "error"}
"""What is written for a reader: it may say more, or less."""
LESS = {"unavailable", "do not ship", "licence expired", "not told", "unknown"}
"""What is said where nothing better is known; by a portal's own clock, a licence may have expired."""
LOOKING = {
    *("list_runs", "get_run", "get_failed_cases", "get_unit", "list_catalog"),
    *("list_nodes", "get_job", "list_test_cases"),
}
"""The tools that tell what they read; others make something of it."""
LANE = "left-out"
KNOWN = {
    ("bench", "serial_number"): "tests that name no unit are of none that is known",
    ("cloud", "start_time"): "a run that does not say when it began is placed where it ended",
    ("cloud", "test_stand_name"): "a stand without a name is told by its hardware id",
    ("factory", "phases"): "the document has it as optional: a run without phases failed in none of them",
    ("old", "data"): "v1 lists runs under any of three names",
    ("old", "result"): "v1 lists runs under any of three names",
}
"""What is told otherwise without a field, and why that is right."""
CLOCKS: dict[str, dict[str, object]] = {
    "a year ahead": {"action": "clock", "seconds": 400.0 * 86_400},
    "a year behind": {"action": "clock", "seconds": -400.0 * 86_400},
    "an hour ahead": {"action": "clock", "seconds": 3_600.0},
    "an hour behind": {"action": "clock", "seconds": -3_600.0},
    "not told": {"action": "no-clock"},
}


def differences(whole: Any, told: Any, at: str = "") -> Iterator[str]:
    """Where an answer says something else than the whole one: what it leaves out, it does not say."""
    if isinstance(whole, dict) and isinstance(told, dict):
        if told.get("error"):
            return  # it says itself that it failed
        for name in told.keys() - WORDS:
            yield from differences(whole.get(name), told[name], f"{at}.{name}")
    elif isinstance(whole, list) and isinstance(told, list):
        if len(whole) != len(told):
            yield f"{at} has {len(told)} entries for {len(whole)}"
        for n, (one, other) in enumerate(zip(whole, told, strict=False)):
            yield from differences(one, other, f"{at}[{n}]")
    elif told not in (None, "", whole) and not (isinstance(told, str) and (whole is None or told in LESS)):
        yield f"{at} is {told!r:.60} for {whole!r:.60}"


def fields(body: Any) -> Iterator[str]:
    """The names of all members of a JSON value, at every depth."""
    if isinstance(body, list):
        for member in body:
            yield from fields(member)
    elif isinstance(body, dict):
        for name, member in body.items():
            if re.fullmatch(r"[a-z_]+", name):
                yield name
            yield from fields(member)


class Looks:
    """The tools that look at one service, and what they answer while nothing is wrong."""

    def __init__(self, rows: list[Any], judge: Judge, client: Client) -> None:
        self._rows = rows
        self._judge = judge
        self._client = client
        self._whole: list[Any] = []

    async def remember(self) -> None:
        for row in self._rows:
            answer = await self._judge.call(self._client, row.tool, row.arguments)
            assert not answer.is_error, self._judge.text_of(answer)
            self._whole.append(answer.structured_content)

    async def compare(self, what: str, allowed: frozenset[str]) -> list[str]:
        """What is wrong with the answers now."""
        wrong: list[str] = []
        for row, whole in zip(self._rows, self._whole, strict=True):
            answer = await self._judge.call(self._client, row.tool, row.arguments)
            self._judge.cell()
            wrong += self._judge.words(row.tool, row.service, answer)
            named = f"{what}: {row.tool} of {row.service} {sorted(row.arguments)}"
            if (kind := self._judge.class_of(answer)) not in allowed:
                wrong.append(f"{named} is {kind}: {self._judge.text_of(answer)[:200]}")
            elif not answer.is_error:
                wrong += [f"{named}: {found}" for found in differences(whole, answer.structured_content)]
        return wrong


@pytest.fixture
def looking(tools: Round, judge: Judge, plant: Plant, connect: Connect, tmp_path: Path) -> Any:
    """A client, and the tools that look at one service: while no job runs, two answers are alike."""

    async def made(client: Client, service: str) -> Looks:
        rows = await tools.rows(f"looks-{service}")
        plant.clear(reservations=False)
        looks = [row for row in rows if row.service == service and row.tool in LOOKING]
        made = Looks(looks, judge, client)
        await made.remember()
        return made

    return made


def bodies(service: str, plant: Plant) -> Iterator[Any]:
    """What a service answers where the tools ask it."""
    if service == "portal":
        node = plant.nodes()[2]
        rows = plant.portal.get("/results", params={"filter": "result:fail"}).json()
        yield from (plant.nodes(), rows[0], plant.portal.get(f"/results{rows[0]['result_id']}").json())
        yield plant.portal.get(f"/jobs{node['job']['job_uid']}").json()
    elif service == "factory":
        runs = plant.factory.get("/runs", params={"outcomes": "FAIL", "limit": 20}).json()
        yield from (runs, plant.factory.get(f"/runs/{runs['data'][0]['id']}").json())
        yield from (plant.unit(runs["data"][0]["unit"]["serial_number"]), plant.factory.get("/procedures").json())
        yield plant.factory.get("/stations").json()
    elif service == "old":
        url = str(plant.factory.base_url).replace("/v2", "/v1")
        serial = plant.factory.get("/runs", params={"outcomes": "FAIL"}).json()["data"][0]["unit"]["serial_number"]
        yield plant.factory.get(f"{url}runs", params={"serial_number": serial}).json()
    elif service == "bench":
        told = plant.bench.get("/json_data").json()
        document = next(row["doc"] for row in told["rows"] if row["doc"]["status"] == "failed")
        yield {**told, "rows": [{**told["rows"][0], "doc": {**document, "modules": {}}}]}
        for module in document["modules"].values():
            yield from ({**module, "cases": {}}, list(module["cases"].values()))
        yield (plant.bench.get("/status").json(), plant.bench.get("/manual_collect_mode").json())
    else:
        listed = plant.cloud.get("/test_run", params={"limit": 50}).json()
        runs = [run for run in listed if run["status"] not in ("pass", "skip")]
        yield from (runs, plant.cloud.get(f"/test_run/{runs[0]['test_run_id']}").json())
        yield plant.cloud.get(f"/test_run/{runs[0]['test_run_id']}/failed_case").json()


@pytest.mark.parametrize("service", SERVICE_SAMPLES)
async def test_a_field_that_is_left_out_is_told_as_unknown_or_as_missing(
    service: str, looking: Any, plant: Plant, connect: Connect, tmp_path: Path
) -> None:
    sample = SERVICE_SAMPLES[service]
    names = sorted({name for body in bodies(service, plant) for name in fields(body)})
    assert len(names) > 10
    wrong: list[str] = []
    async with connect(plant.config(f"{plant.root}/_lane/{LANE}", str(tmp_path), only=service)) as client:
        looks = await looking(client, service)
        for name in (name for name in names if (service, name) not in KNOWN):
            plant.disturb(LANE, action="missing-field", field=name, service=sample.kind, path_prefix=sample.path)
            wrong += await looks.compare(f"without {name}", frozenset({"ok", "BadReply"}))
            plant.calm(LANE)
    assert not wrong, "\n".join([f"{len(wrong)} cells are wrong", *wrong])


@pytest.mark.parametrize("service", SERVICE_SAMPLES)
async def test_a_clock_that_disagrees_changes_no_answer(
    service: str, looking: Any, plant: Plant, connect: Connect, tmp_path: Path
) -> None:
    wrong: list[str] = []
    async with connect(plant.config(f"{plant.root}/_lane/{LANE}", str(tmp_path), only=service)) as client:
        looks = await looking(client, service)
        for clock, fault in CLOCKS.items():
            plant.disturb(LANE, **fault)
            wrong += await looks.compare(clock, frozenset({"ok"}))
            plant.calm(LANE)
    assert not wrong, "\n".join([f"{len(wrong)} cells are wrong", *wrong])
