"""Runs given to be delivered, each to a service of its own that answers wrongly: each is there once in the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from tests.fixture_types import Connect

if TYPE_CHECKING:
    from tests.server.faults.conftest import Judge, Plant

LATER = "2026-11-20T08:00:00Z"
VERSIONS = ("v2", "v1")
PATIENT_S = 300


def table(plant: Plant, name: str, version: str) -> str:
    """A service whose requests go through a lane of its own."""
    return (
        f'[services.{name}]\nkind = "tofupilot"\napi_version = "{version}"\ntoken = "{plant.tokens[1]}"\n'
        f'url = "{plant.root}/_lane/{name}/tofupilot"\n'
    )


def config(plant: Plant, folder: Path, names: dict[str, str]) -> str:
    tables = "".join(table(plant, name, version) for name, version in names.items())
    durable = f"[durable]\nlongest_pause_seconds = 1\npath = '{folder / 'deliveries.sqlite'}'\n"
    rights = '[server]\naccess = "admin"\ntoolsets = ["all"]\n[audit]\nenabled = false\n'
    return f"{rights}{durable}[files]\nread_from = ['{folder}']\n{tables}"


async def delivered(client: Client) -> None:
    """Until nothing waits."""
    async with asyncio.timeout(PATIENT_S):
        while (await client.call_tool("list_deliveries", {"limit": 1})).structured_content["waiting"]:
            await asyncio.to_thread(threading.Event().wait, 0.3)


@pytest.mark.parametrize("when", ["before", "after", "after, once"])
async def test_a_run_whose_service_answers_wrongly_is_there_once_in_the_end(
    when: str,
    every_answer: Sequence[Any],
    plant: Plant,
    connect: Connect,
    judge: Judge,
    tmp_path: Path,
    impatient: None,
) -> None:
    names: dict[str, str] = {}
    for version in VERSIONS:
        for number, faults in enumerate(every_answer):
            if when in faults:
                name = f"{version}x{number}x{''.join(filter(str.isalpha, when))}"
                names[name] = version
                plant.disturb(name, method="POST", **faults[when])
    calls = [
        {"serial_number": f"SN-{name}", "procedure_id": plant.procedure, "part_number": "UT", "outcome": "pass"}
        | {"started_at": LATER, "service": name}
        for name in names
    ]
    async with connect(config(plant, tmp_path, names)) as client:
        answers = await asyncio.gather(*(judge.call(client, "create_run", arguments) for arguments in calls))
        judge.cell(len(calls))
        for name in names:
            plant.calm(name)
        await delivered(client)
    there = {name: len(plant.runs(f"SN-{name}")) for name in names}
    failed = {n: judge.text_of(a) for n, a in zip(names, answers, strict=True) if a.is_error}
    assert ({name: n for name, n in there.items() if n != 1}, failed) == ({}, {})
