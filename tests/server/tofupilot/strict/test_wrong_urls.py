"""What answers at a wrong url is not the service: nothing is known from it, and no unit is fit to ship by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_mcp.commands.main import main
from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.tofupilot.strict.conftest import Strict

PAGE = "<!DOCTYPE html><html><body>404: This page could not be found.</body></html>"
OTHERS: dict[str, tuple[int, Any]] = {
    "a web page": (404, PAGE),
    "a web page with 200": (200, PAGE),
    "another's JSON": (404, {"error": "Not Found"}),
    "a host's JSON": (404, {"error": {"code": "404", "message": "The page could not be found"}}),
    "a framework's JSON": (404, {"detail": "Not Found"}),
    "a portal's JSON": (404, {"message": "no such the account"}),
    "nothing": (404, ""),
    "nothing with 200": (200, ""),
    "another's success": (200, {"status": "ok"}),
    "another's list": (200, {"items": []}),
    "a gateway's refusal": (403, {"message": "Forbidden"}),
    "a gateway's complaint": (400, PAGE),
}
VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])
ANSWERS = pytest.mark.parametrize("answer", list(OTHERS.values()), ids=list(OTHERS))
HANDLE = {"v1": "factory:SN-1/005f1ec0", "v2": "factory:0196434d-e8f7-7ce1-81f7-e16f20487494"}


@ANSWERS
@VERSIONS
async def test_nothing_is_told_of_a_unit_by_another_server(
    version: str, answer: tuple[int, Any], strict: Strict, connect: Connect, refused: RefusedCaller
) -> None:
    strict.record("SN-1", passed=False)
    strict.answers_all = answer
    async with connect(strict.config(version)) as client:
        for tool, arguments in (
            ("get_unit", {"serial_number": "SN-1"}),
            ("list_runs", {"unit": "SN-1"}),
            ("get_run", {"run_id": HANDLE[version]}),
            ("get_failed_cases", {"run_id": HANDLE[version]}),
        ):
            told = await refused(client, tool, **arguments)
            assert "no such" not in told
            assert "No service knows" not in told
            assert "doctor" in told


@VERSIONS
async def test_a_path_too_many_in_the_url_is_told(
    version: str, strict: Strict, connect: Connect, refused: RefusedCaller
) -> None:
    strict.record("SN-1", passed=False)
    async with connect(strict.config(version, path="/wrong")) as client:
        told = await refused(client, "get_unit", serial_number="SN-1")
    assert f"What answers for service factory is not TofuPilot with API {version} (HTTP 404" in told
    assert "Check [services.factory] url" in told


@ANSWERS
@VERSIONS
async def test_a_unit_that_passed_elsewhere_is_not_shipped_on_the_word_of_another_server(
    version: str, answer: tuple[int, Any], strict: Strict, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    strict.answers_all = answer
    async with connect(sim.config_toml()) as client:
        run = (await ask(client, "list_runs", service="cloud", outcome="pass", limit=1))["runs"][0]
    lab = strict.config(version).replace("factory", "other").partition("[services")
    async with connect(f"{sim.config_toml()}\n[services{lab[2]}") as client:
        told = await ask(client, "get_unit", serial_number=run["unit"])
    assert told["ship"] == "do not ship"
    assert "other did not answer (see services)." in told["unknown"]


@ANSWERS
@VERSIONS
def test_doctor_says_that_it_is_another_server(
    version: str, answer: tuple[int, Any], strict: Strict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict.answers_all = answer
    config = tmp_path / "config.toml"
    config.write_text(strict.config(version), encoding="utf-8")
    assert main(["doctor", "--config", str(config)]) == 1
    said = capsys.readouterr().out
    assert any(words in said for words in ("is not TofuPilot with API", "is not JSON", "cannot be read"))


@VERSIONS
def test_doctor_finds_nothing_wrong_with_the_service_as_documented(
    version: str, strict: Strict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(strict.config(version), encoding="utf-8")
    assert main(["doctor", "--config", str(config)]) == 0, capsys.readouterr().out


@VERSIONS
async def test_what_the_service_itself_does_not_know_is_said_so(
    version: str, strict: Strict, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(strict.config(version)) as client:
        assert "No service knows a unit" in await refused(client, "get_unit", serial_number="SN-1")
        assert (await ask(client, "list_runs", unit="SN-1"))["runs"] == []
        assert "has no such run" in await refused(client, "get_run", run_id=HANDLE[version])
