"""`testlab-mcp demo`: what an agent does in a test lab, the simulated one, through a real MCP client and real HTTP."""

from __future__ import annotations

import base64
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import CallToolResult, ImageContent, TextContent

from testlab_mcp.commands import demo_output as output
from testlab_mcp.commands.console import ProgressBar, paint
from testlab_mcp.commands.demo_output import Answer
from testlab_mcp.commands.simlab import SimLab
from testlab_tools.errors import BadInput, LabError, Unsupported
from testlab_tools.extra import require_statistics
from testlab_tools.models.requests import NewRun
from testlab_tools.reports.arguments import build_create_run_arguments
from testlab_tools.reports.openhtf import read_openhtf_run

SPAN = "7d"
TESTS = 8
CALL_SECONDS = 60
PHASES = [
    {
        "name": "power_rails",
        "outcome": "fail",
        "duration_s": 2.5,
        "measurements": [
            {"name": "rail_5v", "value": 5.31, "units": "V", "limits": "4.85 <= x <= 5.15"},
            {"name": "rail_3v3", "value": 3.31, "units": "V", "limits": "3.2 <= x <= 3.4"},
        ],
    }
]


def demo(report: str, save_to: str) -> int:
    """Run the demo, with the OpenHTF report if one is given. Returns 0 when every step worked.

    Raises:
        BadInput: the report cannot be read; nothing was started.
    """
    run = _read_report(report) if report else None
    folder = Path(save_to).resolve()
    with SimLab() as sim, tempfile.TemporaryDirectory(prefix="testlab-demo-") as temporary:
        config = Path(temporary) / "config.toml"
        own = sim.config_toml(str(folder), answer_within_seconds=30, archive=True)
        config.write_text(f'[server]\ntoolsets = ["default", "statistics"]\n{own}', encoding="utf-8")
        print(f"{paint('testlab-mcp demo', 'bold')}: an agent's job in a test lab, over real HTTP\n")
        for kind, service in sim.services().items():
            print(f"  {kind:<11} {service['url']}")
        try:
            return anyio.run(_run_steps, config, run)
        except* LabError as group:
            print(f"\n{paint('The demo stopped', 'fail')}: {_first_error(group)}", file=sys.stderr)
        return 1


async def _run_steps(config: Path, run: NewRun | None) -> int:
    server = StdioServerParameters(command=sys.executable, args=["-m", "testlab_mcp", "serve", "--config", str(config)])
    async with Client(server) as client:
        listed = await client.list_tools()
        about = f"MCP {client.protocol_version} over stdio, {len(listed.tools)} tools"
        print(f"  {'server':<11} a process of its own, {about}")
        agent = Agent(client)
        await _triage(agent)
        await _compare_stations(agent)
        await _test_on_a_node(agent)
        await _record_run(agent)
        if run is not None:
            await _record_report(agent, run)
    print(f"\n{paint('Done.', 'pass')} Give it to your IDE: testlab-mcp client-config claude-code --demo")
    return 0


class Agent:
    """An MCP client that prints what it asks. An error of a tool ends the demo."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._step = 0

    async def ask(self, why: str, tool: str, bar: ProgressBar | None = None, **arguments: object) -> Answer:
        """Print the step and its call, and return the tool's structured answer."""
        self.announce(why, tool, arguments)
        return await self.ask_silently(tool, bar, **arguments)

    async def ask_silently(self, tool: str, bar: ProgressBar | None = None, **arguments: object) -> Answer:
        """Call a tool without printing the call, and return its structured answer."""
        return cast(Answer, (await self.call(tool, arguments, bar)).structured_content)

    def announce(self, why: str, tool: str, arguments: Mapping[str, object]) -> None:
        """Print the step's heading and the call."""
        self._step += 1
        shown = ", ".join(f"{name}={output.shorten(value)}" for name, value in arguments.items())
        print(f"\n{paint(f'{self._step}. {why}', 'bold')}\n   {paint(f'{tool}({shown})', 'dim')}\n")

    async def call(self, tool: str, arguments: Mapping[str, object], bar: ProgressBar | None = None) -> CallToolResult:
        """Call a tool. Raises LabError with the tool's own words when it fails."""

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


async def _triage(agent: Agent) -> None:
    """Ask all services at once: what fails, why one run failed, and whether its unit may ship."""
    answer = await agent.ask("What fails this week, and whose fault is it?", "triage", since=SPAN, limit=10)
    print(output.show_causes(answer, SPAN))
    groups = answer["groups"]
    chosen = next((g for g in groups if g["class"] == "product" and g.get("units")), groups[0])
    explained = await agent.ask("Explain one failure of the product", "explain_failure", run_id=chosen["run_id"])
    print(output.show_explanation(explained))
    if unit := explained["run"].get("unit"):
        passport = await agent.ask("May that unit ship?", "get_unit", serial_number=unit)
        print(output.show_passport(passport))


async def _compare_stations(agent: Agent) -> None:
    """Compute a yield by station, with its uncertainty and a chart. Without the extra that computes it, say so."""
    try:
        require_statistics()
    except Unsupported:
        print(f"\n   {paint('Yields and charts need', 'dim')} pip install 'testlab-mcp[statistics]'")
        return
    asked: Answer = {"metric": "first_pass_yield", "group_by": "station", "test": "Main board FCT", "chart": True}
    asked["save_to"] = f"yield-{datetime.now():%Y%m%d-%H%M%S}.svg"
    agent.announce("Is a station worse than the others?", "summarize_runs", asked)
    result = await agent.call("summarize_runs", asked)
    print(output.show_yields(cast(Answer, result.structured_content)))
    image = next(block for block in result.content if isinstance(block, ImageContent))
    print(f"   The model sees {image.mime_type}, {len(base64.b64decode(image.data)) // 1024} kB.")


async def _test_on_a_node(agent: Agent) -> None:
    """Reserve a free node, run tests on it, look at its screen, and end the reservation whatever happens."""
    page = await agent.ask("What ran lately, in all three services?", "list_runs", limit=12)
    print(f"{output.show_runs(page['runs'])}\n\n   {output.show_shares(page['services'])}")
    tests = await _recent_tests(agent)
    listed = await agent.ask("Which node is free?", "list_nodes")
    print(output.show_nodes(listed))
    node = next(n["node_id"] for n in listed["nodes"] if n["state"] == "free")
    why = "Reserve it, so that nobody else uses it meanwhile"
    terms: Answer = {"node_ids": [node], "message": "testlab-mcp demo", "duration_minutes": 10}
    reservation = (await agent.ask(why, "reserve_nodes", **terms))["reservations"][0]
    print(f"   held until {reservation['expires_at']}, reservation {reservation['reservation_id']}")
    try:
        await _run_tests(agent, node, tests)
        await _grab_screenshot(agent, node)
    finally:
        await agent.ask("End the reservation", "end_reservation", reservation_id=reservation["reservation_id"])
        print("   free again")


async def _recent_tests(agent: Agent) -> list[str]:
    """The tests that failed most often lately, and others up to TESTS."""
    failed = await agent.ask_silently("list_runs", service="portal", outcome="fail", limit=200)
    every = await agent.ask_silently("list_runs", service="portal", limit=100)
    often = Counter(run["test"] for run in failed["runs"]).most_common(TESTS // 2)
    return list(dict.fromkeys([*(name for name, _ in often), *(run["test"] for run in every["runs"])]))[:TESTS]


async def _run_tests(agent: Agent, node: str, tests: Sequence[str]) -> None:
    order = {"test_pack_revision": "main", "test_cases": list(tests), "category": "demo", "wait_seconds": 45}
    job = await agent.ask(f"Run {len(tests)} tests on it and watch", "run_tests", ProgressBar(), node_id=node, **order)
    while not job["finished"]:
        job = await agent.ask_silently("get_job", ProgressBar(), job_uid=job["job_uid"], wait_seconds=45)
    counts = f"{job['passed']} passed, {job['failed']} failed, {job['errored']} errors of {job['total']}"
    print(f"\n   {job['job_uid']}: {counts}")
    if job["failed"] or job["errored"]:
        print(output.show_failures(await agent.ask("What failed, and why?", "get_failed_cases", run_id=job["job_uid"])))


async def _grab_screenshot(agent: Agent, node: str) -> None:
    asked = {"node_id": node, "save_to": f"screen-{datetime.now():%Y%m%d-%H%M%S}.png"}
    agent.announce("What does its screen show?", "grab_screenshot", asked)
    result = await agent.call("grab_screenshot", asked)
    image = next(block for block in result.content if isinstance(block, ImageContent))
    facts = next(block.text for block in result.content if isinstance(block, TextContent))
    size = len(base64.b64decode(image.data)) // 1024
    print(f"   {facts}\n   The model sees {image.mime_type}, {size} kB.")


async def _record_run(agent: Agent) -> None:
    """Record a run with failing measurements, and read it back."""
    unit = {"serial_number": "DEMO-0001", "part_number": "STB-4K", "revision": "B"}
    run = {"service": "factory", "procedure_id": "Main board FCT", **unit, "outcome": "fail", "phases": PHASES}
    created = await agent.ask("Record a production run", "create_run", None, **run)
    print(f"   {created['run_id']}")
    print(output.show_failures(await agent.ask("Read it back", "get_failed_cases", run_id=created["run_id"])))


async def _record_report(agent: Agent, run: NewRun) -> None:
    """Record the run of an OpenHTF report, list it, and explain it."""
    arguments = {**build_create_run_arguments(run), "service": "factory"}
    created = await agent.ask("Record the OpenHTF report", "create_run", None, **arguments)
    print(f"   {created['run_id']}")
    page = await agent.ask("List the unit's runs", "list_runs", service="factory", unit=run.serial_number)
    print(output.show_runs(page["runs"]))
    print(output.show_failures(await agent.ask("Explain it", "get_failed_cases", run_id=created["run_id"])))


def _first_error(group: BaseExceptionGroup[LabError]) -> BaseException:
    """The error inside the groups of the client's tasks."""
    inner = group.exceptions[0]
    return _first_error(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _read_report(report: str) -> NewRun:
    try:
        content = Path(report).expanduser().read_bytes()
    except OSError as error:
        raise BadInput(f"{report} cannot be read ({error.strerror or type(error).__name__})") from None
    return read_openhtf_run(content)
