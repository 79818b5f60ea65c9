"""The tools' answers as the demo prints them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testlab_mcp.commands.console import paint, table

Answer = dict[str, Any]
LOG_LINES = 4


def show_causes(answer: Answer, span: str) -> str:
    """The groups of a triage, and how many failures there are in them."""
    rows = [
        (
            g["class"],
            g["failures"],
            f"{len(g.get('by_station', ())) + g.get('more_stations', 0)} st.",
            "new" if g.get("new") else "",
            g.get("case") or g["test"].rpartition("::")[2],
            g.get("reason", "")[:70],
        )
        for g in answer["groups"]
    ]
    heads = ("class", "failures", "at", "", "case", "reason")
    totals = answer["totals"]
    summed = f"{totals['failures']} failures of {totals['causes']} causes in {span}, {totals.get('new', 0)} of them new"
    return f"{table(heads, rows, indent=3)}\n\n   {summed}"


def show_explanation(answer: Answer) -> str:
    """A failed run with the end of its log, similar failures, and later runs of its unit."""
    run = answer["run"]
    lines = [_show_failed_run(run), ""]
    lines += [f"       {paint(line, 'dim')}" for line in run.get("log", "").splitlines()[-LOG_LINES:]]
    if elsewhere := answer.get("elsewhere"):
        alike, of, stations = (elsewhere.get(name, 0) for name in ("alike", "failed", "stations"))
        lines += ["", f"     {alike} of {of} other failed runs of the test failed alike, at {stations} stations"]
    if past := run.get("history"):
        after = "passed later" if past.get("passed_later") else "has not passed since"
        lines.append(f"     attempt {past.get('attempt', 1)} of {past.get('attempts', 1)}; the unit {after}")
    return "\n".join(lines)


def show_passport(passport: Answer) -> str:
    """A unit's procedures, whether it may ship, and why not."""
    ship = passport["ship"]
    rows = [
        (p["service"], p["test"], p.get("unit", ""), p["first"], p["last"], p["attempts"])
        for p in passport["procedures"]
    ]
    heads = ("service", "procedure", "sub-unit", "first", "last", "runs")
    against = [f"{r['kind']}: {r.get('test', '')} ({r['why']})" for r in passport.get("reasons", [])]
    said = (passport.get("why", ""), *against, *passport.get("unknown", []))
    reasons = [f"     {reason}" for reason in said if reason]
    verdict = f"   {paint(ship, 'pass' if ship == 'ship' else 'fail')}"
    return "\n".join([table(heads, rows, indent=3), "", verdict, *reasons])


def show_runs(runs: Sequence[Answer]) -> str:
    """Runs, newest first."""
    rows = [
        (r["started_at"], r["outcome"], r["test"], r.get("unit", ""), r.get("station", ""), r["run_id"].split(":")[0])
        for r in runs
    ]
    return table(("started", "outcome", "test", "unit", "station", "service"), rows, indent=3)


def show_shares(shares: Sequence[Answer]) -> str:
    """How many runs of each service are shown, of how many."""
    return ", ".join(f"{share['service']} {share['shown']} of {_show_total(share)}" for share in shares)


def show_yields(answer: Answer) -> str:
    """A rate by group with its n and interval, which groups differ, and where the chart is."""
    rows = [
        (
            row.get("group", ""),
            row["n"],
            f"{row['rate']:.1%}",
            " to ".join(f"{end:.1%}" for end in row["interval"]),
            row.get("differs", ""),
        )
        for row in answer["rows"]
    ]
    heads = ("station", "n", "yield", "95 % interval", "differs")
    return f"{table(heads, rows, indent=3)}\n\n   Saved to {answer['saved_to']}"


def show_nodes(answer: Answer) -> str:
    """Nodes with what they are doing, and how many are free."""
    rows = [
        (n["node_id"], n["state"], n.get("device_type", ""), n.get("name", ""), _show_use(n)) for n in answer["nodes"]
    ]
    nodes = table(("node", "state", "device", "name", "who, until when"), rows, indent=3)
    return f"{nodes}\n\n   {answer['free']} of {answer['total']} free"


def show_failures(answer: Answer) -> str:
    """Each failed run with its cases, failing measurements beside their limits."""
    if not answer["runs"]:
        return f"   {answer.get('note', 'nothing failed')}"
    return "\n\n".join(_show_failed_run(run) for run in answer["runs"])


def shorten(value: object) -> str:
    """An argument of at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _show_failed_run(run: Answer) -> str:
    lines = [f"   {paint(run['outcome'], run['outcome'])} {run['test']} {run.get('unit', '')}".rstrip()]
    for case in run["cases"]:
        attempts = f" after {case['attempts']} attempts" if case.get("attempts", 1) > 1 else ""
        lines.append(f"     {case['case']}{attempts}: {case.get('reason', 'no reason given')}")
        if failing := [m for m in case.get("measurements", []) if m["outcome"] == "fail"]:
            rows = [(m["name"], m.get("value", ""), m.get("units", ""), _show_limits(m), m["outcome"]) for m in failing]
            lines.append(table(("measurement", "value", "unit", "limits", ""), rows, indent=7))
        if last := case.get("traceback", "").strip().splitlines()[-2:]:
            lines += [f"       {paint(line.strip(), 'dim')}" for line in last]
    return "\n".join(lines)


def _show_limits(measurement: Answer) -> str:
    low, high = measurement.get("lower"), measurement.get("upper")
    if low is None and high is None:
        return str(measurement.get("expected", ""))
    below, above = "" if low is None else f"{low} <= ", "" if high is None else f" <= {high}"
    return f"{below}x{above}"


def _show_use(node: Answer) -> str:
    if held := node.get("reservation"):
        until = held["expires_at"] if held["expires_at"] == "no end" else f"until {held['expires_at']}"
        return f"{held.get('holder', 'you')} {until}: {held.get('message', '')}"
    if (job := node.get("job")) and not job["finished"]:
        return f"job {job['done']} of {job['total']} tests"
    return f"idle since {node['last_used_at']}" if node.get("last_used_at") else ""


def _show_total(share: Answer) -> str:
    if "total" not in share:
        return "a number it does not say"
    return f"{'at least ' if share.get('at_least') else ''}{share['total']}"
