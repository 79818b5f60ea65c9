"""`/metrics`: the same figures for Prometheus, and only for who may read them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from prometheus_client.parser import text_string_to_metric_families

from testlab_mcp.access.callers import digest_token
from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import ToolCaller
from tests.postgresql import fresh_database
from tests.server_processes import serve_over_http, start_server

if TYPE_CHECKING:
    from tests.server.telemetry.conftest import Collector

RUN = {"procedure_id": "Main board FCT", "part_number": "STB-4K", "outcome": "pass", "serial_number": "SN-metrics"}
Figures = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def figures_of(text: str) -> Figures:
    """Every sample of a page, by name and labels."""
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


async def read(url: str, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient() as http:
        return await http.get(url.replace("/mcp", "/metrics"), headers=headers)


def figure(figures: Figures, name: str, **labels: str) -> float | None:
    return figures.get((name, tuple(sorted(labels.items()))))


def write_config(folder: Path, lab: str, http: str = "metrics = true", more: str = "") -> Path:
    path = folder / "config.toml"
    path.write_text(f"[http]\n{http}\n{more}{lab}", encoding="utf-8")
    return path


async def test_the_page_has_the_figures_of_calls_requests_and_what_is_held(
    fresh_sim: SimLab, tmp_path: Path, ask: ToolCaller
) -> None:
    with serve_over_http(write_config(tmp_path, fresh_sim.config_toml())) as url:
        async with Client(url, mode="2026-07-28") as client:
            node = (await ask(client, "list_nodes", available=True))["nodes"][0]["node_id"]
            uri = f"testlab://nodes/{quote(node, safe='')}"
            async with client.listen(resource_subscriptions=[uri]):
                made = await ask(client, "reserve_nodes", node_ids=[node], message="m", duration_minutes=5)
                page = await read(url)
            reservation = made["reservations"][0]["reservation_id"]
            await ask(client, "end_reservation", reservation_id=reservation)
            after = figures_of((await read(url)).text)
    assert page.headers["content-type"].startswith("text/plain")
    figures = figures_of(page.text)
    assert figure(figures, "testlab_calls_total", tool="list_nodes", outcome="ok") == 1
    assert figure(figures, "testlab_call_duration_seconds_count", tool="reserve_nodes") == 1
    timed = {"service": "portal", "method": "GET", "status": "2xx"}
    assert (figure(figures, "testlab_request_duration_seconds_count", **timed) or 0) >= 1
    assert figure(figures, "testlab_reservations") == 1
    assert figure(figures, "testlab_subscriptions") == 1
    assert figure(figures, "testlab_deliveries", state="waiting") == 0
    assert figure(after, "testlab_reservations") == 0
    assert figure(after, "testlab_subscriptions") == 0
    assert node not in page.text
    assert node.partition(":")[2] not in page.text


async def test_jobs_that_are_waited_for_are_counted_while_they_are(
    fresh_sim: SimLab, tmp_path: Path, ask: ToolCaller
) -> None:
    import anyio

    with serve_over_http(write_config(tmp_path, fresh_sim.config_toml())) as url:
        async with Client(url) as client:
            nodes = (await ask(client, "list_nodes"))["nodes"]
            busy = next(node["node_id"] for node in nodes if node["state"] == "busy")
            begun = anyio.Event()

            async def progress(progress: float, total: float | None, message: str | None) -> None:
                begun.set()

            async def wait() -> None:
                await client.call_tool("get_job", {"node_id": busy, "wait_seconds": 45}, progress_callback=progress)

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await begun.wait()
                watched = figure(figures_of((await read(url)).text), "testlab_jobs_watched")
                group.cancel_scope.cancel()
    assert watched == 1


@pytest.fixture(params=["sqlite", "postgresql"])
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where deliveries are written down."""
    if request.param == "sqlite":
        yield f"path = '{tmp_path / 'deliveries.sqlite'}'"
    else:
        with fresh_database() as url:
            yield f"database_url = '{url}'"


async def test_deliveries_are_counted_as_they_stand_in_the_database(
    durable: str, fresh_sim: SimLab, tmp_path: Path, ask: ToolCaller
) -> None:
    control = fresh_sim.services()["tofupilot"]["url"].rpartition("/")[0]
    table = f"[durable]\n{durable}\nanswer_within_seconds = 0.1\n"
    lab = re.sub(r"\[durable\]\npath = .*\n", table, fresh_sim.config_toml())
    with serve_over_http(write_config(tmp_path, lab)) as url:
        async with Client(url) as client, httpx2.AsyncClient(base_url=control) as sim:
            await sim.post("/_sim/faults", json={"service": "tofupilot", "status": 503, "times": 0})
            assert figure(figures_of((await read(url)).text), "testlab_deliveries", state="waiting") == 0
            assert (await ask(client, "create_run", service="factory", **RUN))["queued"]
            figures = figures_of((await read(url)).text)
    assert figure(figures, "testlab_deliveries", state="waiting") == 1
    assert figure(figures, "testlab_deliveries", state="parked") == 0


async def test_what_is_not_known_is_left_out(sim: SimLab, tmp_path: Path, dead_url: str) -> None:
    table = f"[durable]\ndatabase_url = '{dead_url.replace('http', 'postgresql')}/none'\n"
    lab = re.sub(r"\[durable\]\npath = .*\n", table, sim.config_toml())
    with serve_over_http(write_config(tmp_path, lab)) as url:
        figures = figures_of((await read(url)).text)
    assert not [name for name, _ in figures if name == "testlab_deliveries"]


async def test_what_clients_invent_makes_no_new_series(fresh_sim: SimLab, tmp_path: Path) -> None:
    with serve_over_http(write_config(tmp_path, fresh_sim.config_toml())) as url:
        async with Client(url) as client:
            for number in range(20):
                with pytest.raises(MCPError):
                    await client.call_tool(f"invented_{number}", {})
        page = (await read(url)).text
    calls = {labels for name, labels in figures_of(page) if name == "testlab_calls_total"}
    assert calls == {(("outcome", "error"), ("tool", "unknown"))}


async def test_an_exporter_and_the_page_have_the_same_figures(
    fresh_sim: SimLab, tmp_path: Path, collector: Collector, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    with serve_over_http(write_config(tmp_path, fresh_sim.config_toml())) as url:
        async with Client(url) as client:
            await ask(client, "list_nodes")
            await ask(client, "list_runs")
        figures = figures_of((await read(url)).text)
    for point in collector.metrics["testlab.calls"]:
        labels = {key: value for key, value in point.items() if key != "value"}
        assert figure(figures, "testlab_calls_total", **labels) == point["value"]
    for point in collector.metrics["testlab.request.duration"]:
        labels = {key: value for key, value in point.items() if key != "value"}
        assert figure(figures, "testlab_request_duration_seconds_count", **labels) == point["value"]


async def test_without_sign_in_it_is_read_under_this_machines_names_only(sim: SimLab, tmp_path: Path) -> None:
    with serve_over_http(write_config(tmp_path, sim.config_toml())) as url:
        assert (await read(url)).status_code == 200
        assert (await read(url, Host="lab.example.com")).status_code == 421
        assert (await read(url, Origin="https://evil.example.com")).status_code == 403


async def test_where_callers_sign_in_it_takes_a_token_of_its_own(sim: SimLab, tmp_path: Path, ask: ToolCaller) -> None:
    caller = f'[callers.alice]\ntoken_sha256 = "{digest_token("tlm_alice")}"\naccess = "operate"\n'
    http = f'metrics = true\nmetrics_token_sha256 = "{digest_token("tlm_scraper")}"'
    with serve_over_http(write_config(tmp_path, sim.config_toml(), http, caller)) as url:
        async with (
            httpx2.AsyncClient(headers={"Authorization": "Bearer tlm_alice"}) as signed,
            Client(streamable_http_client(url, http_client=signed)) as client,
        ):
            await ask(client, "list_nodes")
        for wrong in ({}, {"Authorization": "Bearer tlm_alice"}, {"Authorization": "Basic tlm_scraper"}):
            refused = await read(url, **wrong)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert "list_nodes" not in refused.text
        page = await read(url, Authorization="Bearer tlm_scraper", Host="10.0.0.7:8000")
    assert figure(figures_of(page.text), "testlab_calls_total", tool="list_nodes", outcome="ok") == 1
    assert "alice" not in page.text


async def test_there_is_no_page_unless_the_config_has_one(sim: SimLab, tmp_path: Path) -> None:
    with serve_over_http(write_config(tmp_path, sim.config_toml(), "metrics = false")) as url:
        assert (await read(url)).status_code == 404


def test_a_page_that_anybody_could_read_beside_callers_who_sign_in_is_refused(sim: SimLab, tmp_path: Path) -> None:
    caller = f'[callers.alice]\ntoken_sha256 = "{digest_token("tlm_alice")}"\n'
    path = write_config(tmp_path, sim.config_toml(), more=caller)
    with start_server("serve", "--config", str(path), "--http", "127.0.0.1:0", stderr=subprocess.PIPE) as process:
        assert process.stderr
        said = process.stderr.read()
        assert process.wait(timeout=10) == 2
    assert "Set [http] metrics_token_sha256" in said
    assert said.count("\n") == 1
