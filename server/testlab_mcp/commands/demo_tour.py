"""The steps of the demo: what an agent asks, and the answers as a person reads them."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from mcp import Client
from mcp_types import CallToolResult, ImageContent, TextContent

from testlab_mcp.commands.terminal import ProgressBar, paint, table
from testlab_tools.errors import LabError
from testlab_tools.models.requests import NewRun
from testlab_tools.reports.arguments import build_create_run_arguments

Answer = dict[str, Any]
TESTS = 8
CALL_SECONDS = 60


class Agent:
    """An MCP client that says what it asks. An error ends the demo: it is the demo that is wrong then."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._step = 0

    async def ask(self, why: str, tool: str, bar: ProgressBar | None = None, **arguments: object) -> Answer:
        """Call a tool and return its structured answer."""
        self.announce(why, tool, arguments)
        return await self.quietly(tool, bar, **arguments)

    async def quietly(self, tool: str, bar: ProgressBar | None = None, **arguments: object) -> Answer:
        """The structured answer of a call that is not announced."""
        return cast(Answer, (await self.call(tool, arguments, bar)).structured_content)

    def announce(self, why: str, tool: str, arguments: Mapping[str, object]) -> None:
        """Print the step's heading and the call."""
        self._step += 1
        shown = ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())
        print(f"\n{paint(f'{self._step}. {why}', 'bold')}\n   {paint(f'{tool}({shown})', 'dim')}\n")

    async def call(self, tool: str, arguments: Mapping[str, object], bar: ProgressBar | None = None) -> CallToolResult:
        """Call a tool quietly. Raises LabError with the tool's own words when it fails."""

        async def show(progress: float, total: float | None, message: str | None) -> None:
            if bar:
                bar.show(progress, total or 0, message or "")

        result = await self._client.call_tool(
            tool, dict(arguments), read_timeout_seconds=CALL_SECONDS, progress_callback=show if bar else None
        )
        if bar:
            bar.end()
        if result.is_error:
            raise LabError("; ".join(block.text for block in result.content if isinstance(block, TextContent)))
        return result


class Tour:
    """The six operations, as an agent would use them one after another."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def run(self) -> None:
        """Walk through them; the node is given back whatever happens."""
        await self._what_ran()
        tests = await self._recent_tests()
        node = await self._free_node()
        held = await self._agent.ask(
            "Take it, so that nobody gets in the way",
            "reserve_nodes",
            node_ids=[node],
            message="testlab-mcp demo",
            duration_minutes=10,
        )
        reservation = held["reservations"][0]
        print(f"   held until {reservation['expires_at']}, reservation {reservation['reservation_id']}")
        try:
            await self._run_tests(node, tests)
            await self._screenshot(node)
        finally:
            await self._agent.ask("Give it back", "end_reservation", reservation_id=reservation["reservation_id"])
            print("   free again")
        await self._record()

    async def _what_ran(self) -> None:
        page = await self._agent.ask("What ran lately, in all three services?", "list_runs", limit=12)
        print(runs_table(page["runs"]))
        shares = (f"{s['service']} {s['shown']} of {_total(s)}" for s in page["services"])
        print(f"\n   {', '.join(shares)}")

    async def _recent_tests(self) -> list[str]:
        """Those that failed most often lately, and others up to TESTS."""
        failed = await self._agent.quietly("list_runs", service="portal", outcome="fail", limit=200)
        every = await self._agent.quietly("list_runs", service="portal", limit=100)
        often = Counter(run["test"] for run in failed["runs"]).most_common(TESTS // 2)
        return list(dict.fromkeys([*(name for name, _ in often), *(run["test"] for run in every["runs"])]))[:TESTS]

    async def _free_node(self) -> str:
        answer = await self._agent.ask("Which node is free?", "list_nodes")
        rows = [
            (n["node_id"], n["state"], n.get("device_type", ""), n.get("name", ""), _holding(n))
            for n in answer["nodes"]
        ]
        print(table(("node", "state", "device", "name", "who, until when"), rows, indent=3))
        print(f"\n   {answer['free']} of {answer['total']} free")
        return next(n["node_id"] for n in answer["nodes"] if n["state"] == "free")

    async def _run_tests(self, node: str, tests: Sequence[str]) -> None:
        job = await self._agent.ask(
            f"Run {len(tests)} tests on it and watch",
            "run_tests",
            ProgressBar(),
            node_id=node,
            test_pack_revision="main",
            test_cases=list(tests),
            category="demo",
            wait_seconds=45,
        )
        while not job["finished"]:
            job = await self._agent.quietly("get_job", ProgressBar(), job_uid=job["job_uid"], wait_seconds=45)
        counts = f"{job['passed']} passed, {job['failed']} failed, {job['errored']} errors of {job['total']}"
        print(f"\n   {job['job_uid']}: {counts}")
        if job["failed"] or job["errored"]:
            answer = await self._agent.ask("What failed, and why?", "get_failed_cases", run_id=job["job_uid"])
            print(failures(answer))

    async def _screenshot(self, node: str) -> None:
        asked = {"node_id": node, "save_to": f"screen-{datetime.now():%Y%m%d-%H%M%S}.png"}
        self._agent.announce("What does its screen show?", "grab_screenshot", asked)
        result = await self._agent.call("grab_screenshot", asked)
        image = next(block for block in result.content if isinstance(block, ImageContent))
        facts = next(block.text for block in result.content if isinstance(block, TextContent))
        size = len(base64.b64decode(image.data)) // 1024
        print(f"   {facts}\n   The model sees {image.mime_type}, {size} kB.")

    async def _record(self) -> None:
        created = await self._agent.ask(
            "Record a production run",
            "create_run",
            service="factory",
            procedure_id="Main board FCT",
            serial_number="DEMO-0001",
            part_number="STB-4K",
            revision="B",
            outcome="fail",
            phases=[
                {
                    "name": "power_rails",
                    "outcome": "fail",
                    "duration_s": 2.5,
                    "measurements": [
                        {"name": "rail_5v", "value": 5.31, "units": "V", "limits": "4.85 <= x <= 5.15"},
                        {"name": "rail_3v3", "value": 3.31, "units": "V", "limits": "3.2 <= x <= 3.4"},
                    ],
                },
            ],
        )
        print(f"   {created['run_id']}")
        answer = await self._agent.ask("Read it back", "get_failed_cases", run_id=created["run_id"])
        print(failures(answer))


class ReportTour:
    """A report that real OpenHTF wrote: recorded, listed back, explained."""

    def __init__(self, agent: Agent, run: NewRun) -> None:
        self._agent = agent
        self._run = run

    async def run(self) -> None:
        """Walk through it."""
        arguments = {**build_create_run_arguments(self._run), "service": "factory"}
        created = await self._agent.ask("Record the OpenHTF report", "create_run", None, **arguments)
        print(f"   {created['run_id']}")
        page = await self._agent.ask(
            "List the unit's runs", "list_runs", service="factory", unit=self._run.serial_number
        )
        print(runs_table(page["runs"]))
        answer = await self._agent.ask("Explain it", "get_failed_cases", run_id=created["run_id"])
        print(failures(answer))


def runs_table(runs: Sequence[Answer]) -> str:
    """Runs, newest first."""
    rows = [
        (r["started_at"], r["outcome"], r["test"], r.get("unit", ""), r.get("station", ""), r["run_id"].split(":")[0])
        for r in runs
    ]
    return table(("started", "outcome", "test", "unit", "station", "service"), rows, indent=3)


def failures(answer: Answer) -> str:
    """Each failed run with its cases, failing measurements beside their limits."""
    if not answer["runs"]:
        return f"   {answer.get('note', 'nothing failed')}"
    return "\n\n".join(_failed_run(run) for run in answer["runs"])


def _failed_run(run: Answer) -> str:
    lines = [f"   {paint(run['outcome'], run['outcome'])} {run['test']} {run.get('unit', '')}".rstrip()]
    for case in run["cases"]:
        attempts = f" after {case['attempts']} attempts" if case.get("attempts", 1) > 1 else ""
        lines.append(f"     {case['case']}{attempts}: {case.get('reason', 'no reason given')}")
        if failing := [m for m in case.get("measurements", []) if m["outcome"] == "fail"]:
            rows = [(m["name"], m.get("value", ""), m.get("units", ""), _limits(m), m["outcome"]) for m in failing]
            lines.append(table(("measurement", "value", "unit", "limits", ""), rows, indent=7))
        if last := case.get("traceback", "").strip().splitlines()[-2:]:
            lines += [f"       {paint(line.strip(), 'dim')}" for line in last]
    return "\n".join(lines)


def _limits(m: Answer) -> str:
    low, high = m.get("lower"), m.get("upper")
    if low is None and high is None:
        return str(m.get("expected", ""))
    return " ".join(
        part for part in (f"{low} <=" if low is not None else "", "x", f"<= {high}" if high is not None else "") if part
    )


def _holding(node: Answer) -> str:
    if held := node.get("reservation"):
        return f"{held.get('holder', 'you')} until {held.get('expires_at', 'ended')}: {held.get('message', '')}"
    if (job := node.get("job")) and not job["finished"]:
        return f"job {job['done']} of {job['total']} tests"
    return f"idle since {node['last_used_at']}" if node.get("last_used_at") else ""


def _total(share: Answer) -> str:
    if "total" not in share:
        return "a number it does not say"
    return f"{'at least ' if share.get('at_least') else ''}{share['total']}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
