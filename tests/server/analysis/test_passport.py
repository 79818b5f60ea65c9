"""get_unit over real HTTP: the verdict on units of the simulated lab, against one worked out from its own data."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from testlab_sim.production import effects as fx
from testlab_sim.production.plant import BURN_IN, PSU_FCT
from tests.fixture_types import Connect, ToolCaller
from tests.lab_processes import LabProcess
from tests.server.analysis.histories import known_history

if TYPE_CHECKING:
    from testlab_sim.production.stands import TestRow

NAMES = {"FVT1": "Main board FCT", "EOL1": "Assembly end-of-line", "EMC1": "Conducted emissions"}
CHOSEN = random.Random(20_261_121).sample(range(200, fx.UNITS - 100), 30)


@pytest.fixture(scope="module")
def lab() -> Iterator[SimLab]:
    with LabProcess() as sim:
        sim.services()
        yield sim


@pytest.fixture
def control(lab: SimLab) -> Iterator[httpx2.Client]:
    """The lab's control plane; what it was told is forgotten afterwards."""
    root = lab.services()["tofupilot"]["url"].rpartition("/")[0]
    with httpx2.Client(base_url=f"{root}/_sim", trust_env=False) as client:
        yield client
        client.delete("/faults").raise_for_status()


@cache
def rows_by_serial() -> dict[str | None, list[TestRow]]:
    """The rows of the burn-in's stands, by unit."""
    found: dict[str | None, list[TestRow]] = {}
    for row in known_history().stands.rows:
        found.setdefault(row.serial, []).append(row)
    return found


def procedures(serial: str) -> dict[str, list[tuple[float, str]]]:
    """Start and outcome of a unit's runs per procedure, in order of time, from the lab's own records."""
    found: dict[str, list[tuple[float, str]]] = {}
    unit = known_history().units.get(serial)
    for run in sorted(unit.runs if unit else (), key=lambda run: run.started):
        found.setdefault(run.procedure.name, []).append((run.started, run.outcome.lower()))
    for row in rows_by_serial().get(serial, []):
        found.setdefault(row.plan, []).append((row.started, row.status))
    return found


def truth(serial: str) -> set[tuple[str, str, str]]:
    """(kind, procedure, sub-unit) of all that speaks against a unit of the box."""
    own, psu = procedures(serial), serial.replace("STB4K", "PSU12")
    usual = [*NAMES.values(), BURN_IN.name]
    found = {("open failure", name, "") for name, runs in own.items() if runs[-1][1] != "pass"}
    found |= {("gap", name, "") for name in usual if name not in own}
    begun = [name for name in usual if name in own]
    found |= {
        ("out of order", late, "")
        for place, early in enumerate(begun)
        for late in begun[place + 1 :]
        if own[late][0][0] < own[early][0][0]
    }
    inside = procedures(psu)
    found |= {("open failure", name, psu) for name, runs in inside.items() if runs[-1][1] != "pass"}
    return found | ({("gap", PSU_FCT.name, psu)} if PSU_FCT.name not in inside else set())


def told_of(answer: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(f["kind"], f["test"], f.get("unit", "")) for f in answer.get("reasons", []) if f["kind"] != "sample"}


async def test_thirty_ordinary_units_have_the_verdict_worked_out_from_the_labs_data(
    lab: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(lab.config_toml()) as client:
        for number in CHOSEN:
            serial = f"STB4K-{number:06d}"
            answer = await ask(client, "get_unit", serial_number=serial)
            assert told_of(answer) == truth(serial), serial
            assert answer["ship"] == ("do not ship" if truth(serial) else "ship"), serial


async def test_units_that_left_the_line_or_failed_last_are_not_shipped(
    lab: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    serials = [unit.serial for unit in known_history().units.values() if unit.children and not unit.sample]
    bad = [s for s in serials if s not in fx.GAPS and any(k == "open failure" for k, *_ in truth(s))][:6]
    assert len(bad) == 6
    async with connect(lab.config_toml()) as client:
        for serial in bad:
            answer = await ask(client, "get_unit", serial_number=serial)
            assert answer["ship"] == "do not ship"
            assert told_of(answer) == truth(serial), serial


@pytest.mark.parametrize(("serial", "short"), fx.GAPS.items())
async def test_a_planted_gap_is_found_with_the_sample_it_was_worked_out_from(
    serial: str, short: str, lab: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(lab.config_toml()) as client:
        answer = await ask(client, "get_unit", serial_number=serial.lower())
    assert answer["ship"] == "do not ship"
    assert told_of(answer) == truth(serial) >= {("gap", NAMES[short], "")}
    gap = answer["reasons"][0]
    assert (gap["kind"], gap["test"]) == ("gap", NAMES[short])
    passed, _, count, *words = gap["why"].split()
    assert 20 <= int(passed) <= int(count)
    assert " ".join(words).startswith("other units of the part passed it")
    compared = answer["compared_with"]
    assert (compared["part"], compared["units"], compared["services"]) == ("STB-4K", int(count), ["cloud", "factory"])
    assert compared["since"] < compared["until"]


@pytest.mark.parametrize("serial", fx.OUT_OF_ORDER)
async def test_a_planted_step_out_of_order_is_found(
    serial: str, lab: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(lab.config_toml()) as client:
        answer = await ask(client, "get_unit", serial_number=serial)
    assert answer["ship"] == "do not ship"
    assert told_of(answer) == truth(serial) >= {("out of order", NAMES["EOL1"], "")}
    (early,) = [f for f in answer["reasons"] if f["kind"] == "out of order"]
    assert early["before"] == NAMES["FVT1"]
    first = next(run for run in answer["runs"] if run["test"] == NAMES["EOL1"])
    assert early["run_id"] == first["run_id"]


@pytest.mark.parametrize(("serial", "sample"), fx.SAMPLES.items())
async def test_a_sample_is_not_a_production_unit(
    serial: str, sample: str, lab: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(lab.config_toml()) as client:
        answer = await ask(client, "get_unit", serial_number=serial, limit=5)
    assert answer["ship"] == "do not ship"
    assert answer["reasons"][0]["why"] == f"It is not a production unit (sample: {sample})"
    known = known_history().units[serial].runs
    assert len(answer["runs"]) == 5
    assert f"The last 5 of {len(known)} runs" in answer["note"]
    assert answer["procedures"][0]["attempts"] == len(known)


async def test_the_story_is_every_run_of_the_unit_and_its_sub_unit_oldest_first(
    lab: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    serial = next(
        s for s in (f"STB4K-{n:06d}" for n in range(500, 900)) if len(procedures(s).get(NAMES["EOL1"], [])) == 2
    )
    psu = serial.replace("STB4K", "PSU12")
    async with connect(lab.config_toml()) as client:
        answer = await ask(client, "get_unit", serial_number=serial)
    both = [(at, test, outcome) for s in (serial, psu) for test, runs in procedures(s).items() for at, outcome in runs]
    outcomes = {"aborted": "stopped", "timeout": "error", "stop": "stopped"}
    story = [(test, outcomes.get(outcome, outcome)) for _, test, outcome in sorted(both)]
    assert [(run["test"], run["outcome"]) for run in answer["runs"]] == story
    assert {row["test"]: (row["attempts"], row["last"]) for row in answer["procedures"] if "unit" not in row} == {
        test: (len(runs), outcomes.get(runs[-1][1], runs[-1][1])) for test, runs in procedures(serial).items()
    }
    assert [(unit["serial_number"], unit["part"]) for unit in answer["units"]] == [(serial, "STB-4K"), (psu, "PSU-12")]
    assert {"test", "before", "unit", "station"} <= set(answer["untrusted"])


async def test_with_a_service_dead_nothing_is_shipped_and_the_rest_is_told(
    lab: SimLab, connect: Connect, ask: ToolCaller, dead_url: str, no_backoff: None
) -> None:
    good = next(f"STB4K-{n:06d}" for n in CHOSEN if not truth(f"STB4K-{n:06d}"))
    config = lab.config_toml().replace(lab.services()["standcloud"]["url"], dead_url)
    async with connect(config) as client:
        answer = await ask(client, "get_unit", serial_number=good)
    assert answer["ship"] == "do not ship"
    assert "reasons" not in answer
    assert answer["unknown"] == ["cloud did not answer (see services)."]
    shares = {share["service"]: share for share in answer["services"]}
    assert "cannot be reached" in shares["cloud"]["error"]
    assert shares["factory"]["total"] == len(known_history().units[good].runs)
    assert "error" not in shares["factory"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"service": "tofupilot", "path_prefix": "/api/v2/runs", "status": 500, "times": 0}, "factory did not answer"),
        (
            {"service": "tofupilot", "path_prefix": "/api/v2/units/", "status": 500, "times": 0},
            "factory did not answer",
        ),
        ({"service": "tofupilot", "path_prefix": "/api/v2/units/", "action": "garbage", "times": 0}, "factory did not"),
        ({"service": "standcloud", "action": "missing-field", "field": "status", "times": 0}, "cloud did not answer"),
    ],
)
async def test_a_service_that_fails_over_a_part_of_the_question_is_named_and_nothing_is_shipped(
    fault: dict[str, Any],
    reason: str,
    lab: SimLab,
    control: httpx2.Client,
    connect: Connect,
    ask: ToolCaller,
    no_backoff: None,
) -> None:
    good = next(f"STB4K-{n:06d}" for n in CHOSEN if not truth(f"STB4K-{n:06d}"))
    control.post("/faults", json=fault).raise_for_status()
    async with connect(lab.config_toml()) as client:
        answer = await ask(client, "get_unit", serial_number=good)
    assert answer["ship"] == "do not ship"
    assert any(one.startswith(reason) for one in answer["unknown"])


async def test_asking_one_service_alone_never_ships(lab: SimLab, connect: Connect, ask: ToolCaller) -> None:
    good = next(f"STB4K-{n:06d}" for n in CHOSEN if not truth(f"STB4K-{n:06d}"))
    async with connect(lab.config_toml()) as client:
        answer = await ask(client, "get_unit", serial_number=good, service="factory")
    assert answer["ship"] == "do not ship"
    assert answer["unknown"] == ["cloud was not asked: call without service."]
    assert {run["run_id"].partition(":")[0] for run in answer["runs"]} == {"factory"}


async def test_one_factory_configured_twice_counts_each_run_once(
    lab: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    good = next(f"STB4K-{n:06d}" for n in CHOSEN if not truth(f"STB4K-{n:06d}"))
    service = lab.services()["tofupilot"]
    twice = f'[services.again]\nkind = "tofupilot"\nurl = "{service["url"]}"\ntoken = "{service["token"]}"\n'
    old = f'{twice}api_version = "v1"\n'.replace("again", "old")
    async with connect(lab.config_toml() + twice + old) as client:
        answer = await ask(client, "get_unit", serial_number=good)
    runs = len(known_history().units[good].runs)
    assert answer["ship"] == "ship", answer
    assert sum(row["attempts"] for row in answer["procedures"] if row["service"] == "factory") == runs
    assert {row["service"] for row in answer["procedures"]} == {"factory", "cloud"}
    assert f"{2 * runs} of the runs are kept by several services, and counted once." in answer["note"]


async def test_what_is_built_into_a_sub_unit_is_told_too(fresh_sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    service = fresh_sim.services()["tofupilot"]
    first, second, third = "STB4K-000900", "STB4K-000901", "STB4K-000902"
    with httpx2.Client(base_url=service["url"], headers={"Authorization": f"Bearer {service['token']}"}) as api:
        for parent, child in ((first, second), (second, third)):
            path = f"/api/v2/units/{parent}/children"
            api.put(path, json={"child_serial_number": child}).raise_for_status()
    async with connect(fresh_sim.config_toml()) as client:
        answer = await ask(client, "get_unit", serial_number=first, limit=200)
    told = [unit["serial_number"] for unit in answer["units"]]
    psus = [serial.replace("STB4K", "PSU12") for serial in (first, second, third)]
    assert sorted(told) == sorted([first, second, third, *psus])
    runs = sum(len(found) for serial in told for found in procedures(serial).values())
    assert len({run["run_id"] for run in answer["runs"]}) == len(answer["runs"]) == runs
