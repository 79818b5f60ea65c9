"""A dry run says what the service would refuse, and what could not be asked; nothing is recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from testlab_tools.reports.formats import Format
from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.production.conftest import Factory

FORM: Format = "hardpy"


def hardpy(samples: Path, **changes: Any) -> str:
    report = json.loads(next((samples / "hardpy").glob("*.json")).read_bytes())
    report["dut"] |= changes.pop("dut", {})
    return json.dumps(report | changes)


async def dry(client: Client, ask: ToolCaller, content: str, **given: Any) -> dict[str, Any]:
    about = {"procedure_id": "Main board FCT", **given}
    return await ask(client, "import_report", content=content, dry_run=True, **about)


async def test_what_v2_would_refuse_is_said_beforehand(
    factory: Factory, samples: Path, connect: Connect, ask: ToolCaller
) -> None:
    start = (datetime.now(UTC) + timedelta(days=2)).timestamp()
    future = hardpy(samples, start_time=int(start), stop_time=int(start) + 5)
    async with connect(factory.config()) as client:
        unknown = await dry(client, ask, hardpy(samples), procedure_id="no such one")
        assert any("no such procedure" in told for told in unknown["refused"])
        assert "Correct what would be refused" in unknown["next"]
        late = await dry(client, ask, future, procedure_id=unknown["plan"]["procedure"] and "FVT1")
        assert any("in the future" in told for told in late["refused"])
        part = await dry(client, ask, hardpy(samples), part_number="NO-SUCH-PART")
        assert any("NO-SUCH-PART is not there" in told for told in part["unchecked"])


@pytest.mark.parametrize("version", ["v1"])
async def test_what_v1_does_not_tell_is_listed_as_not_checked(
    version: str, factory: Factory, samples: Path, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(factory.config(version)) as client:
        said = await dry(client, ask, hardpy(samples))
    assert "refused" not in said
    assert any("procedure" in told for told in said["unchecked"])


async def test_a_service_that_is_down_was_not_checked(
    dead_url: str, samples: Path, connect: Connect, ask: ToolCaller
) -> None:
    config = f'[services.factory]\nkind = "tofupilot"\nurl = "{dead_url}"\ntoken = "t"\n'
    async with connect(config) as client:
        said = await dry(client, ask, hardpy(samples))
    assert "refused" not in said
    assert any("cannot be reached" in told for told in said["unchecked"])
