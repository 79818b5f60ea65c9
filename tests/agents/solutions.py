"""How each question can be answered today, with the server's tools alone: no model, and no guess.

Each solution is given the question's gaps and calls tools until it can write its answer. What it has to go round about
shows where the server could do better: `calls` in `questions.toml` counts it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol


class Caller(Protocol):
    """Calls a tool: the structure that it answers with, be it an error's."""

    async def __call__(self, tool: str, **arguments: object) -> dict[str, Any]: ...


Gaps = Mapping[str, str]
Solution = Callable[[Caller, Gaps], Awaitable[str]]


async def _running_job(call: Caller, gaps: Gaps) -> str:
    nodes = (await call("list_nodes"))["nodes"]
    (node,) = [node for node in nodes if node["state"] == "busy"]
    return f"On {node['name']}, started by {node['job']['started_by']} at {node['job']['started_at']}"


async def _endless_reservation(call: Caller, gaps: Gaps) -> str:
    (node,) = (await call("list_nodes", text=gaps["node"]))["nodes"]
    held = node["reservation"]
    return f"{held['holder']}, for {held['message']}, end {held['expires_at'].replace('no end', 'none')}"


async def _device_types(call: Caller, gaps: Gaps) -> str:
    found = await call("list_nodes", text="roku")
    rokus = sum(node["device_type"] == "roku" for node in found["nodes"])
    unknown = re.findall("'(.*?)'", found["note"])
    return f"rokus {rokus}, unknown {', '.join(unknown)}"


async def _wrong_id(call: Caller, gaps: Gaps) -> str:
    ids = gaps["ids"].split(", ")
    found = await call("list_nodes", node_ids=ids)
    (wrong,) = [node_id for node_id in ids if node_id in found["note"]]
    (expired,) = [node for node in found["nodes"] if node["state"] == "licence expired"]
    return f"{wrong} is none; {expired['node_id']} expired on {expired['licence_expiry']}"


async def _outcomes_of_a_test(call: Caller, gaps: Gaps) -> str:
    counts = (await call("list_runs", service="portal", limit=0, **gaps))["services"][0]
    by = Counter(counts["by_outcome"])
    return f"total {counts['total']}, passed {by['pass']}, failed {by['fail']}, errors {by['error']}"


async def _outcomes_at_a_station(call: Caller, gaps: Gaps) -> str:
    counts = (await call("list_runs", service="factory", limit=0, **gaps))["services"][0]
    by = Counter(counts["by_outcome"])
    told = f"total {counts['total']}, passed {by['pass']}, failed {by['fail']}, errors {by['error']}"
    return f"{told}, aborted {by['stopped']}"


async def _when_it_broke(call: Caller, gaps: Gaps) -> str:
    group, *_ = (await call("triage", service="portal", test=gaps["test"], since="7d"))["groups"]
    broke = group["broke"]
    passed, failed = broke["last_pass"], broke["first_failure"]
    return f"Passed {passed['started_at']}, failed {failed['started_at']} with {failed['revision'][:7]}"


async def _heaviest_cause(call: Caller, gaps: Gaps) -> str:
    heaviest = (await call("triage", since=gaps["since"], until=gaps["until"], limit=1))["groups"][0]
    return f"{heaviest['reason']}, runs {heaviest['runs']}, at {', '.join(heaviest['by_station'])}"


async def _rail_too_high(call: Caller, gaps: Gaps) -> str:
    """Two measurements that failed together are a cause of their own."""
    found = await call("triage", service="factory", reason="rail_5v above", **gaps)
    at: Counter[str] = Counter()
    for group in found["groups"]:
        at.update(group["by_station"])
    return f"runs {found['totals']['runs']}: " + ", ".join(f"{name} {count}" for name, count in at.items())


async def _no_such_test(call: Caller, gaps: Gaps) -> str:
    names = (await call("list_test_cases", revision="main", search=gaps["file"], limit=200))["test_cases"]
    return f"exists {'yes' if gaps['test'] in names else 'no'}, tests {len(names)}"


async def _unit_verdict(call: Caller, gaps: Gaps) -> str:
    passport = await call("get_unit", serial_number=gaps["unit"])
    first = passport["reasons"][0]
    return f"ship {'yes' if passport['ship'] == 'ship' else 'no'}: {first['kind']}, {first['test']}"


async def _run_written(call: Caller, gaps: Gaps) -> str:
    """What was stored is said back."""
    end = datetime.fromisoformat(gaps["start"]) + timedelta(seconds=int(gaps["seconds"]))
    names = {"serial_number": gaps["unit"], "part_number": gaps["part"], "procedure_id": gaps["procedure"]}
    times = {"started_at": gaps["start"], "ended_at": end.isoformat()}
    stored = (await call("create_run", service="factory", outcome="pass", **names, **times))["run"]
    ended = datetime.fromisoformat(stored["started_at"]) + timedelta(seconds=stored["duration_s"])
    return f"revision {stored['part_revision']}, end {ended:%H:%M:%S}, unit {stored['unit_is']}"


async def _report_imported(call: Caller, gaps: Gaps) -> str:
    """What was stored is said back, with the step that failed."""
    (stored,) = (await call("import_report", path=gaps["report"], service="factory"))["runs"]
    start = datetime.fromisoformat(stored["started_at"])
    return f"{stored['unit']}: {stored['reason']}, start {start:%H:%M}"


async def _export(call: Caller, gaps: Gaps) -> str:
    """The columns are told, so that whoever cannot read the file knows them."""
    span = {"since": gaps["since"], "until": gaps["until"]}
    which = {"service": "portal", "outcome": "fail", "station": gaps["node"]}
    done = await call("export_runs", save_to="failed.csv", **which, **span)
    (column,) = [name for name in done["columns"] if "reason" in name]
    return f"rows {done['runs']}, column {column}"


async def _which_service_can(call: Caller, gaps: Gaps) -> str:
    """Nothing says it before a refusal does."""
    told = (await call("read_log", run_id="cloud:1"))["error"]["next"]
    logs = sorted(name for name in ("portal", "factory", "old", "cloud") if name in told)
    every = (await call("list_runs", limit=1))["services"]
    only = [one["service"] for one in every if "only by serial number" in one.get("cannot", "")]
    every = (await call("list_runs", unit="STB4K-000001", limit=1))["services"]
    never = [one["service"] for one in every if "cannot find runs by serial number" in one.get("cannot", "")]
    return f"a: {', '.join(logs)}; b: {', '.join(only)}; c: {', '.join(never)}"


async def _tests_compared(call: Caller, gaps: Gaps) -> str:
    told = await call("list_test_cases", revision=gaps["new"], compare_to=gaps["old"])
    added, removed = told["added"], told["removed"]
    return f"added {len(added)}, removed {len(removed)}: {', '.join([*added, *removed])}"


async def _longest_run(call: Caller, gaps: Gaps) -> str:
    (longest,) = (await call("list_runs", service="portal", sort="longest", limit=1, **gaps))["runs"]
    where = f"{longest['test']} on {longest['station']} at {longest['started_at']}"
    return f"{where}, seconds {round(longest['duration_s'])}"


async def _failing_step(call: Caller, gaps: Gaps) -> str:
    """Rows of this service tell no reason."""
    rows = (await call("list_runs", service="factory", unit=gaps["unit"], outcome="fail"))["runs"]
    (row,) = [row for row in rows if row["test"] == gaps["procedure"] and row["started_at"].startswith(gaps["day"])]
    (run,) = (await call("get_failed_cases", run_id=row["run_id"]))["runs"]
    (case,) = run["cases"]
    (measured,) = [m for m in case["measurements"] if m["outcome"] == "fail"]
    limits = ", ".join(f"{side} {measured.get(side, 'none')}".removesuffix(".0") for side in ("lower", "upper"))
    return f"{case['case']}: {measured['name']} read {measured['value']}, {limits}"


async def _last_match(call: Caller, gaps: Gaps) -> str:
    return (await call("read_log", run_id=gaps["run"], search="Match found", last=1, context=0))["lines"]


async def _waiting(call: Caller, gaps: Gaps) -> str:
    told = await call("list_deliveries", state="waiting")
    (one,) = told["deliveries"]
    return f"waiting {told['waiting']}: {one['unit']} for {one['service']}, since {one['written_at']}"


async def _all_runs(call: Caller, **arguments: str) -> list[dict[str, Any]]:
    """All that match, page by page."""
    runs: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        page = await call("list_runs", **arguments, **more, limit=200)
        runs += page["runs"]
        if "cursor" not in page:
            return runs
        more = {"cursor": page["cursor"]}


SOLUTIONS: Mapping[str, Solution] = {
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
    "waiting": _waiting,
}
