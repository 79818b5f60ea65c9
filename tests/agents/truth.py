"""The right answers, from what is planted in the simulated lab: its own objects are read, none of the server's code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from testlab_sim.production.records import Measurement, Run
from testlab_sim.stbtester.artifacts import log_lines
from testlab_sim.stbtester.jobs import Run as PortalRun
from testlab_sim.stbtester.nodes import BUSY, UNLICENSED
from testlab_sim.stbtester.test_pack import BROKEN, CURRENT, FLAKY_EPG, NO_VIDEO, REDESIGN, RELEASED
from testlab_sim.world import World

DAY = 86400.0
ENDLESS = "Rack 2, Node 1"
"""The node that is reserved without an end."""
ENDLESS_REASON = "Capture card comparison"
WAITING_SERIAL = "TRIAL-000900"
"""Of the run that waits for a service that does not take it."""
REPORT = "SN-0004.1.json"
NO_TEST = "tests/epg.py::test_that_epg_is_filled"
WRONG_NODE = "stb-tester-00044b80f204"
GAP_UNIT = "STB4K-003001"
NEW_UNIT = "TRIAL-000001"
NEW_RUN_SECONDS = 95


@dataclass(frozen=True)
class Answer:
    """`asked`: what fills the gaps in the question. `facts`: all must be in an answer, each in any of its wordings; a
    wording that ends in `*` may go on."""

    asked: Mapping[str, str]
    facts: list[list[str]]


def answers(world: World, sent: Sequence[float]) -> dict[str, Answer]:
    """The right answer to each question, by its name; `sent` are the moments between which the waiting run was."""
    return {name: answer(world) for name, answer in _ANSWERS.items()} | {"waiting": _waiting(world, sent)}


def _running_job(world: World) -> Answer:
    node = world.portal.named(BUSY)
    job = world.portal.busy(node.node_id)
    assert job is not None
    return Answer({}, [[node.node_id, BUSY], [job.username], [_clock(job.start)]])


def _endless_reservation(world: World) -> Answer:
    node = world.portal.named(ENDLESS)
    held = world.portal.reservations.on(node.node_id, world.clock.now())
    assert held is not None
    assert held.expires is None
    return Answer({"node": ENDLESS}, [[held.username], [held.message], ["end none"]])


def _device_types(world: World) -> Answer:
    nodes = world.portal.nodes.values()
    rokus = sum(node.device_type == "roku" for node in nodes)
    return Answer({}, [[f"rokus {rokus}"], *([node.node_id] for node in nodes if node.device_type is None)])


def _wrong_id(world: World) -> Answer:
    expired = world.portal.named(UNLICENSED)
    right = world.portal.named("Rack 1, Node 1")
    assert WRONG_NODE not in world.portal.nodes
    ids = [right.node_id, WRONG_NODE, expired.node_id]
    return Answer({"ids": ", ".join(ids)}, [[WRONG_NODE], [expired.node_id], _dates(expired.licence_expiry)])


def _outcomes_of_a_test(world: World) -> Answer:
    since, until = _days(world, 21)
    counts = Counter(run.outcome.result for run in _portal_runs(world, since, until) if run.test_case == FLAKY_EPG)
    facts = [[f"total {counts.total()}"], [f"passed {counts['pass']}"], [f"failed {counts['fail']}"]]
    return Answer({"test": FLAKY_EPG, **_span(since, until)}, [*facts, [f"errors {counts['error']}"]])


def _outcomes_at_a_station(world: World) -> Answer:
    since, until = _days(world, 14)
    station, part = "FVT-03", "STB-4K"
    runs = [
        run
        for run in _factory_runs(world, since, until)
        if run.station is not None and run.station.name == station and run.unit.part.part_number == part
    ]
    counts = Counter(run.outcome for run in runs)
    told = {
        "total": len(runs),
        "passed": counts["PASS"],
        "failed": counts["FAIL"],
        "errors": counts["ERROR"] + counts["TIMEOUT"],
        "aborted": counts["ABORTED"],
    }
    asked = {"station": station, "part": part, **_span(since, until)}
    return Answer(asked, [[f"{name} {count}"] for name, count in told.items()])


def _when_it_broke(world: World) -> Answer:
    runs = [run for run in _portal_runs(world, 0, world.clock.now()) if run.test_case == BROKEN]
    last = max((run for run in runs if run.outcome.failure is None), key=lambda run: run.start)
    first = min((run for run in runs if run.start > last.start), key=lambda run: run.start)
    facts = [_dates(_date(last.start)), [_clock(last.start)], _dates(_date(first.start)), [_clock(first.start)]]
    return Answer({"test": BROKEN}, [*facts, [f"{first.job.revision.sha[:7]}*"]])


def _heaviest_cause(world: World) -> Answer:
    since, until = _days(world, 7)
    runs = _portal_runs(world, since, until)
    failed = [run for run in runs if run.outcome.failure == NO_VIDEO]
    assert len(failed) > sum(run.outcome.failure is not None for run in runs) / 2
    (node_id,) = {run.job.node_id for run in failed}
    name = world.portal.nodes[node_id].friendly_name
    assert name is not None
    return Answer(_span(since, until), [[NO_VIDEO.message], [f"runs {len(failed)}"], [node_id, name]])


def _rail_too_high(world: World) -> Answer:
    since, until = _days(world, 14)
    at: Counter[str] = Counter()
    for run in _factory_runs(world, since, until):
        rail = _measured(world, run).get("rail_5v")
        if run.outcome == "FAIL" and rail is not None and rail.validators[-1].outcome == "FAIL":
            assert run.station is not None
            at[run.station.name] += 1
    return Answer(_span(since, until), [[f"runs {at.total()}"], *([f"{name} {count}"] for name, count in at.items())])


def _no_such_test(world: World) -> Answer:
    assert NO_TEST not in CURRENT.cases
    file = NO_TEST.partition("::")[0]
    held = sum(case.file == file for case in CURRENT.cases.values())
    return Answer({"test": NO_TEST, "file": file}, [["exists no"], [f"tests {held}"]])


def _unit_verdict(world: World) -> Answer:
    unit = world.production.find_unit(GAP_UNIT)
    assert unit is not None
    (missing,) = [p for p in world.production.procedures.values() if all(run.procedure is not p for run in unit.runs)]
    return Answer({"unit": GAP_UNIT}, [["ship no"], [missing.name, missing.short]])


def _run_written(world: World) -> Answer:
    assert world.production.find_unit(NEW_UNIT) is None
    since, _ = _days(world, 1)
    start = since + 9 * 3600
    first = next(iter(world.production.parts["STB-4K"].revisions.values()))
    asked = {
        "unit": NEW_UNIT,
        "part": "STB-4K",
        "procedure": "Main board FCT",
        "start": _iso(start),
        "seconds": f"{NEW_RUN_SECONDS}",
    }
    end = datetime.fromtimestamp(start + NEW_RUN_SECONDS, UTC).strftime("%H:%M:%S")
    return Answer(asked, [[f"revision {first.name}"], [f"end {end}"], ["unit new"]])


def _report_imported(world: World) -> Answer:
    text = (Path(__file__).parents[1] / "samples" / "openhtf_lot" / REPORT).read_text(encoding="utf-8")
    report = json.loads(text)
    failed = next(phase for phase in report["phases"] if phase["outcome"] == "FAIL")
    ((name, measured),) = failed["measurements"].items()
    start = _clock(report["start_time_millis"] / 1000)
    facts = [[report["dut_id"]], [failed["name"]], [name], [measured["measured_value"]], [f"start {start}"]]
    return Answer({"report": REPORT}, facts)


def _export(world: World) -> Answer:
    since, until = _days(world, 7)
    node = world.portal.named("Rack 1, Node 1")
    failed = [
        run
        for run in _portal_runs(world, since, until)
        if run.outcome.result == "fail" and run.job.node_id == node.node_id
    ]
    reason = ["column failure_reason", "column reason"]
    return Answer({"node": "Rack 1, Node 1", **_span(since, until)}, [[f"rows {len(failed)}"], reason])


def _which_service_can(world: World) -> Answer:
    """As the services' own documents have it."""
    return Answer({}, [_either("a", "factory", "portal"), ["b old"], ["c portal"]])


def _tests_compared(world: World) -> Answer:
    new = [name.partition("::")[2] for name in REDESIGN.cases if name not in RELEASED.cases]
    gone = RELEASED.cases.keys() - REDESIGN.cases.keys()
    assert not gone
    asked = {"old": "release/2.3", "new": "feature/epg/redesign"}
    return Answer(asked, [[f"added {len(new)}"], ["removed 0", "removed none"], *([name] for name in new)])


def _longest_run(world: World) -> Answer:
    since, until = _days(world, 7)
    longest = max(_portal_runs(world, since, until), key=lambda run: run.end - run.start)
    node = world.portal.nodes[longest.job.node_id]
    assert node.friendly_name is not None
    seconds = longest.end - longest.start
    near = [f"seconds {round(seconds)}", f"seconds {int(seconds)}", f"seconds {int(seconds)}.*"]
    name = longest.test_case.partition("::")[2]
    return Answer(_span(since, until), [[name], [node.node_id, node.friendly_name], [_clock(longest.start)], near])


def _failing_step(world: World) -> Answer:
    _, until = _days(world, 1)
    run = next(run for run in reversed(world.production.runs) if run.started < until and _is_one_sided(run))
    (measured,) = [m for m in _measured(world, run).values() if m.outcome == "FAIL"]
    (limit,) = measured.validators
    phase = next(p.name for p in world.production.detail(run).phases if p.outcome == "FAIL")
    value, upper = measured.value, limit.expected
    limits = [["lower none"], [f"upper {upper:g}", f"upper {float(upper)}"]]
    facts = [[phase], [measured.name], [f"{value:g}", f"{value:.2f}"], *limits]
    return Answer({"unit": run.unit.serial, "procedure": run.procedure.name, "day": _date(run.started)}, facts)


def _is_one_sided(run: Run) -> bool:
    """Whether the run failed at an upper limit alone, and its unit failed there that once."""
    failed = [other for other in run.unit.runs if other.outcome != "PASS" and other.procedure is run.procedure]
    return run.story is not None and run.story[0] == "emission_average" and run.outcome == "FAIL" and failed == [run]


def _last_match(world: World) -> Answer:
    since, until = _days(world, 2)
    test = "tests/epg.py::test_that_epg_scrolls_seven_days"
    node = world.portal.named("Rack 1, Node 1")
    runs = (r for r in _portal_runs(world, since, until) if r.test_case == test and r.job.node_id == node.node_id)
    run = max(runs, key=lambda run: run.start)
    last = [text for _, text in log_lines(run) if "Match found" in text][-1]
    image = last.partition("image='")[2].partition("'")[0]
    score = last.partition("first_pass_result=")[2].partition(",")[0]
    return Answer({"run": f"portal:{run.result_id}"}, [[image], [score]])


def _waiting(world: World, sent: Sequence[float]) -> Answer:
    assert world.production.find_unit(WAITING_SERIAL) is None
    return Answer({}, [["waiting 1"], [WAITING_SERIAL], ["old"], [_clock(moment) for moment in sent]])


_ANSWERS: Mapping[str, Callable[[World], Answer]] = {
    "running-job": _running_job,
    "endless-reservation": _endless_reservation,
    "device-types": _device_types,
    "wrong-id": _wrong_id,
    "outcomes-of-a-test": _outcomes_of_a_test,
    "outcomes-at-a-station": _outcomes_at_a_station,
    "when-it-broke": _when_it_broke,
    "heaviest-cause": _heaviest_cause,
    "rail-too-high": _rail_too_high,
    "no-such-test": _no_such_test,
    "unit-verdict": _unit_verdict,
    "run-written": _run_written,
    "report-imported": _report_imported,
    "export": _export,
    "which-service-can": _which_service_can,
    "tests-compared": _tests_compared,
    "longest-run": _longest_run,
    "failing-step": _failing_step,
    "last-match": _last_match,
}


def _either(label: str, one: str, other: str) -> list[str]:
    """Two names in any order, with or without "and" between them."""
    return [f"{label} {a}{between}{b}" for a, b in ((one, other), (other, one)) for between in (" ", " and ")]


def _days(world: World, count: int) -> tuple[float, float]:
    """The last `count` whole days: nothing that a trial does falls into them."""
    now = world.clock.now()
    midnight = now - now % DAY
    return midnight - count * DAY, midnight


def _span(since: float, until: float) -> dict[str, str]:
    return {"since": _iso(since), "until": _iso(until)}


def _portal_runs(world: World, since: float, until: float) -> list[PortalRun]:
    return [run for run in world.portal.runs() if since <= run.start < until]


def _factory_runs(world: World, since: float, until: float) -> list[Run]:
    return [run for run in world.production.runs if since <= run.started < until]


def _measured(world: World, run: Run) -> dict[str, Measurement]:
    """By name, the last attempt's."""
    return {m.name: m for phase in world.production.detail(run).phases for m in phase.measurements}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _clock(seconds: float) -> str:
    """To the minute; seconds may follow."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M")


def _dates(day: str) -> list[str]:
    """The ways to write a date; a time may follow an ISO date."""
    date = datetime.fromisoformat(day)
    names = [f"{date.day} {date:%B}", f"{date:%B} {date.day}", f"{date.day} {date:%b}", f"{date:%b} {date.day}"]
    return [f"{day}*", *names]
