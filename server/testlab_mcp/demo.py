"""`testlab-mcp demo`: an agent's whole job on the simulated lab, through a real MCP client and real HTTP."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from testlab_mcp.demo_insight import InsightTour
from testlab_mcp.demo_tour import Agent, ReportTour, Tour
from testlab_mcp.simlab import SimLab
from testlab_mcp.terminal import paint
from testlab_tools.errors import BadInput, LabError
from testlab_tools.questions import NewRun
from testlab_tools.reports.openhtf import read_openhtf


def demo(report: str, save_to: str) -> int:
    """Run the tour, and the report's if one is given. 0 when every step worked.

    Raises:
        BadInput: the report cannot be read; nothing was started.
    """
    run = _read(report) if report else None
    folder = Path(save_to).resolve()
    with SimLab() as sim, tempfile.TemporaryDirectory(prefix="testlab-demo-") as temporary:
        config = Path(temporary) / "config.toml"
        config.write_text(sim.config_toml(save_to=str(folder)), encoding="utf-8")
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
    return read_openhtf(content)
