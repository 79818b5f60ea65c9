"""A station's key, the token and presigned URLs stay inside: no tool's result or error shows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from testlab_tools.adapters.tofupilot import models
from testlab_tools.http.response import Wire
from testlab_tools.models.requests import NewRun
from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.tofupilot.conftest import Factory

SECRET_FIELDS = {"api_key", "download_url", "secrets", "url_signature"}


@pytest.fixture
def station_key(factory: Factory) -> str:
    """The key of a station linked to a procedure, as the service hands it to whoever asks."""
    stations = factory.get("/v2/stations")["data"]
    station = next(s for s in stations if any(p["name"] == "Main board FCT" for p in s["procedures"]))
    key = factory.get(f"/v2/stations/{station['id']}")["api_key"]
    assert key
    return key


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("broken", [False, True])
async def test_no_tool_shows_a_key_or_a_presigned_url(
    version: str,
    broken: bool,
    factory: Factory,
    adapter: Callable[..., Any],
    station_key: str,
    new_run: Callable[..., NewRun],
    connect: Connect,
    no_backoff: None,
) -> None:
    async with adapter(version, station_key) as service:
        created = await service.create_run(new_run())
        await service.attach(created.run_id.partition(":")[2], "scope.png", b"PNG")
    serial = factory.get(f"/v2/runs/{created.run_id[-36:]}")["unit"]["serial_number"]
    if broken:
        body = {"message": f"{station_key} {factory.url}/storage/x?signature=abc", "issues": []}
        factory.fault(status=500, body=body, path_prefix="/api", times=0)
    everything = ["cases", "measurements", "tags", "artifacts"]
    run, unit = {"run_id": created.run_id}, {"serial_number": serial}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_runs", {"unit": serial}),
        ("list_runs", {"unit": serial, "station": "FVT-01"}),
        ("get_run", {**run, "include": everything}),
        ("get_failed_cases", run),
        ("read_log", run),
        ("get_unit", unit),
        *(("list_catalog", {"kind": kind}) for kind in ("procedures", "parts", "batches", "stations")),
        ("list_catalog", {"kind": "stations", "search": "FVT-01", "limit": 1}),
        ("update_unit", {**unit, "sub_units": [serial]}),
        ("delete_run", {**run, "confirm": "no"}),
        ("delete_unit", {**unit, "service": "factory", "confirm": "no"}),
        ("delete_run", {**run, "confirm": created.run_id}),
        ("delete_unit", {**unit, "service": "factory", "confirm": serial}),
    ]
    said = ""
    async with connect(factory.config(version, token=station_key)) as client:
        for tool, arguments in calls:
            result = await client.call_tool(tool, arguments)
            said += json.dumps(result.model_dump(mode="json"))
    for secret in (station_key, factory.token, "/storage/", "signature="):
        assert secret not in said


async def test_looking_for_a_station_reads_no_key(
    factory: Factory, station_key: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(factory.config("v2")) as client:
        found = await ask(client, "list_runs", station="FVT-01", limit=3)
    assert found["runs"]
    assert station_key not in json.dumps(found)
    assert factory.asked("GET", "/api/v2/stations/") == 1, "the test's own"


def shapes(base: type[Wire]) -> list[type[Wire]]:
    return [shape for child in base.__subclasses__() for shape in (child, *shapes(child))]


def test_no_shape_has_a_field_for_a_key_or_a_link() -> None:
    ours = [shape for shape in shapes(Wire) if shape.__module__.startswith("testlab_tools.adapters.tofupilot.")]
    assert len(ours) > 20
    assert {(s.__name__, f) for s in ours for f in s.model_fields if f in SECRET_FIELDS} == set()


def test_the_link_to_put_a_file_to_is_not_in_the_shapes_repr() -> None:
    upload = models.Upload.model_validate({"id": "u1", "upload_url": "https://store/x?signature=abc"})
    assert "signature" not in repr(upload)


async def test_a_link_that_has_ended_is_not_shown(factory: Factory, adapter: Callable[..., Any]) -> None:
    run = factory.record(factory.serial())
    async with adapter("v2") as service:
        await service.attach(run, "a.txt", b"abc")
    (file,) = factory.get(f"/v2/runs/{run}")["attachments"]
    factory.advance(61)
    assert httpx2.get(file["download_url"]).status_code == 403
