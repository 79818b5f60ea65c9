"""`testlab-mcp demo`: an agent's whole job on the simulated lab, through a real MCP client and real HTTP.

The part of the demo that asks all services at once: what fails, why one run did, and whether its unit may ship.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from testlab_mcp.commands.demo_tour import Agent, Answer, ReportTour, Tour, failures
from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.commands.terminal import paint, table
from testlab_tools.errors import BadInput, LabError
from testlab_tools.models.requests import NewRun
from testlab_tools.reports.openhtf import read_openhtf_run

SPAN = "7d"
LOG_LINES = 4


class InsightTour:
    """Morning triage, as an agent would do it."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def run(self) -> None:
        """Walk through it."""
        answer = await self._agent.ask("What fails this week, and whose fault is it?", "triage", since=SPAN, limit=10)
        print(causes(answer))
        groups = answer["groups"]
        chosen = next((g for g in groups if g["class"] == "product" and g.get("units")), groups[0])
        told = await self._agent.ask(
            "Tell all around one failure of the product", "explain_failure", run_id=chosen["run_id"]
        )
        print(explanation(told))
        if unit := told["run"].get("unit"):
            passport = await self._agent.ask("May that unit ship?", "get_unit", serial_number=unit)
            print(verdict(passport))


def causes(answer: Answer) -> str:
    """The groups of a triage, newest first."""
    rows = [
        (
            g["class"],
            g["failures"],
            f"{g.get('stations', 0)} st.",
            "new" if g.get("new") else "",
            g.get("case") or g["test"].rpartition("::")[2],
            g.get("reason", "")[:70],
        )
        for g in answer["groups"]
    ]
    heads = ("class", "failures", "at", "", "case", "reason")
    totals = answer["totals"]
    summed = f"{totals['failures']} failures of {totals['causes']} causes in {SPAN}, {totals.get('new', 0)} of them new"
    return f"{table(heads, rows, indent=3)}\n\n   {summed}"


def explanation(told: Answer) -> str:
    """A failed run with the end of its log, and what became of its unit and of others."""
    run = told["run"]
    lines = [failures({"runs": [run]}), ""]
    lines += [f"       {paint(line, 'dim')}" for line in run.get("log", "").splitlines()[-LOG_LINES:]]
    if elsewhere := told.get("elsewhere"):
        alike, of, stations = (elsewhere.get(name, 0) for name in ("alike", "failed", "stations"))
        lines += ["", f"     {alike} of {of} other failed runs of the test failed alike, at {stations} stations"]
    if past := run.get("history"):
        after = "passed later" if past.get("passed_later") else "has not passed since"
        lines.append(f"     attempt {past.get('attempt', 1)} of {past.get('attempts', 1)}; the unit {after}")
    return "\n".join(lines)


def verdict(passport: Answer) -> str:
    """Whether a unit may ship, why not, and how it went through the line."""
    ship = passport["ship"]
    rows = [
        (p["service"], p["test"], p.get("unit", ""), p["first"], p["last"], p["attempts"])
        for p in passport["procedures"]
    ]
    heads = ("service", "procedure", "sub-unit", "first", "last", "runs")
    reasons = [f"     {reason}" for reason in passport.get("reasons", [])]
    return "\n".join(
        [table(heads, rows, indent=3), "", f"   {paint(ship, 'pass' if ship == 'ship' else 'fail')}", *reasons]
    )


def demo(report: str, save_to: str) -> int:
    """Run the tour, and the report's if one is given. 0 when every step worked.

    Raises:
        BadInput: the report cannot be read; nothing was started.
    """
    run = _read(report) if report else None
    folder = Path(save_to).resolve()
    with SimLab() as sim, tempfile.TemporaryDirectory(prefix="testlab-demo-") as temporary:
        config = Path(temporary) / "config.toml"
        config.write_text(sim.config_toml(str(folder), answer_within_seconds=30), encoding="utf-8")
        print(f"{paint('testlab-mcp demo', 'bold')}: an agent's job in a test lab, over real HTTP\n")
        for kind, service in sim.services().items():
            print(f"  {kind:<11} {service['url']}")
        try:
            return anyio.run(_tour, config, run)
        except* LabError as group:
            print(f"\n{paint('The demo stopped', 'fail')}: {_first(group)}", file=sys.stderr)
        return 1


async def _tour(config: Path, run: NewRun | None) -> int:
    server = StdioServerParameters(command=sys.executable, args=["-m", "testlab_mcp", "serve", "--config", str(config)])
    async with Client(server) as client:
        listed = await client.list_tools()
        about = f"MCP {client.protocol_version} over stdio, {len(listed.tools)} tools"
        print(f"  {'server':<11} a process of its own, {about}")
        agent = Agent(client)
        await InsightTour(agent).run()
        await Tour(agent).run()
        if run is not None:
            await ReportTour(agent, run).run()
    print(f"\n{paint('Done.', 'pass')} Give it to your IDE: testlab-mcp client-config claude-code --demo")
    return 0


def _first(group: BaseExceptionGroup[LabError]) -> BaseException:
    """The one error inside the client's task groups."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _read(report: str) -> NewRun:
    try:
        content = Path(report).expanduser().read_bytes()
    except OSError as error:
        raise BadInput(f"{report} cannot be read ({error.strerror or type(error).__name__})") from None
    return read_openhtf_run(content)
