"""The resources, and reading them: each is what a tool of the same right answers, as contents.

Ids and names stand percent-encoded in a URI, as RFC 6570 expands `{…}`: a handle holds `:` and `/`. What was not
written by this server is marked: JSON lists its fields under `untrusted`, as tools do; a log, an artifact and a screen
carry `testlab/untrusted` in `_meta` and a warning, a log in its first line, the others in a second content, so that
an artifact stays what it is.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.shared.exceptions import MCPError
from mcp.shared.uri_template import UriTemplate
from mcp_types import INVALID_PARAMS, Resource, ResourceTemplate

from testlab_mcp.protocol.availability import Availability, as_mcp_errors, find_tool
from testlab_mcp.protocol.file_contents import Contents, read_artifact, read_log, read_screen
from testlab_mcp.protocol.icons import draw_icon
from testlab_mcp.protocol.results import to_result
from testlab_mcp.protocol.skills import MARKDOWN, SCHEME, find_skill, list_skills
from testlab_mcp.protocol.tables import to_json
from testlab_tools.models.lab import ResultModel
from testlab_tools.models.results import RunDetail
from testlab_tools.tools import all_tools

JSON = "application/json"


async def read_run(available: Availability, given: Mapping[str, str]) -> Contents:
    """A run with its cases, and of the measurements those that failed."""
    included = ["cases", "measurements", "artifacts"]
    detail: RunDetail = await available.call("get_run", run_id=given["handle"], include=included)
    cases = [
        case.model_copy(update={"measurements": [m for m in case.measurements if m.outcome == "fail"]})
        for case in detail.cases
    ]
    held_back = sum(len(case.measurements) for case in detail.cases) - sum(len(case.measurements) for case in cases)
    note = f"{held_back} measurements that did not fail are left out." if held_back else ""
    return _to_json(detail.model_copy(update={"cases": cases, "note": f"{detail.note} {note}".strip()}))


async def read_runs_of_test(available: Availability, given: Mapping[str, str]) -> Contents:
    """The newest runs of a test."""
    return _to_json(await available.call("list_runs", test=given["test"]))


async def read_node(available: Availability, given: Mapping[str, str]) -> Contents:
    """One node with its configuration."""
    return _to_json(await available.call("list_nodes", node_ids=[given["node_id"]], detail=True))


async def read_job(available: Availability, given: Mapping[str, str]) -> Contents:
    """A job's state and counts; at its end, why its runs failed."""
    return _to_json(await available.call("get_job", job_uid=given["job_uid"]))


async def read_campaign(available: Availability, given: Mapping[str, str]) -> Contents:
    """A campaign's state, counts and first failures."""
    return _to_json(await available.call("get_campaign", campaign_id=given["campaign_id"]))


async def read_watch(available: Availability, given: Mapping[str, str]) -> Contents:
    """A watch, and what was last seen of its thing."""
    return _to_json(await available.call("watch", watch_id=given["watch_id"]))


def read_services(available: Availability) -> Contents:
    """The configured services, and which exposed tools each answers; no address and no secret."""
    tools = [tool for tool in all_tools() if available.has(tool.name)]
    rows: list[dict[str, Any]] = [
        {
            "service": service.name,
            "kind": service.kind,
            "tools": [tool.name for tool in tools if isinstance(service, tool.needs)],
        }
        for service in available.lab.services.values()
    ]
    return [ReadResourceContents(json.dumps({"services": rows}, separators=(",", ":")), JSON)]


def _to_json(value: ResultModel) -> Contents:
    """The JSON of a tool's answer, `untrusted` included."""
    return [ReadResourceContents(to_json(to_result(value).structured_content), JSON)]


SERVICES = "testlab://services"


@dataclass(frozen=True)
class ResourceSpec:
    """A resource template, the tool whose right it needs, and how it is read from the values in its URI; `stored` where
    it is kept in the database of `[durable]`."""

    uri: str
    name: str
    title: str
    description: str
    mime_type: str
    tool: str
    read: Callable[[Availability, Mapping[str, str]], Awaitable[Contents]]
    stored: bool = False

    @cached_property
    def parsed(self) -> UriTemplate:
        """The URI, to be matched."""
        return UriTemplate.parse(self.uri)

    def to_mcp(self) -> ResourceTemplate:
        """The template as clients get it. Without a MIME type where resources of it differ."""
        return ResourceTemplate(
            uri_template=self.uri,
            name=self.name,
            title=self.title,
            description=self.description,
            mime_type=self.mime_type or None,
            icons=draw_icon(find_tool(self.tool).toolset),
        )


TEMPLATES = (
    ResourceSpec(
        "testlab://runs/{handle}",
        "run",
        "Test run",
        "One run: outcome, reason, cases, measurements that failed, names of artifacts.",
        JSON,
        "get_run",
        read_run,
    ),
    ResourceSpec(
        "testlab://runs/{handle}/log",
        "run_log",
        "Log of a run",
        "The last lines of a run's log, numbered; says how many there are.",
        "text/plain",
        "read_log",
        read_log,
    ),
    ResourceSpec(
        "testlab://runs/{handle}/artifacts/{name}",
        "run_artifact",
        "Artifact of a run",
        "A file that a run kept: the beginning of a text, an image, or a small file of another kind.",
        "",
        "get_artifact",
        read_artifact,
    ),
    ResourceSpec(
        "testlab://tests/{test}",
        "test_runs",
        "Runs of a test",
        "The newest runs of a test case, procedure or test plan over all services.",
        JSON,
        "list_runs",
        read_runs_of_test,
    ),
    ResourceSpec(
        "testlab://nodes/{node_id}",
        "node",
        "Lab node",
        "A node: state, who holds it until when and why, what runs, its configuration.",
        JSON,
        "list_nodes",
        read_node,
    ),
    ResourceSpec(
        "testlab://jobs/{job_uid}",
        "job",
        "Test job",
        "A test job: state and counts; at its end, why its runs failed.",
        JSON,
        "get_job",
        read_job,
    ),
    ResourceSpec(
        "testlab://nodes/{node_id}/screen",
        "node_screen",
        "Screen of a node",
        "What the device shows now, as a JPEG of at most 1280 px.",
        "image/jpeg",
        "grab_screenshot",
        read_screen,
    ),
    ResourceSpec(
        "testlab://campaigns/{campaign_id}",
        "campaign",
        "Test campaign",
        "A campaign, soak or bisection: state, counts, nodes, first failures.",
        JSON,
        "get_campaign",
        read_campaign,
        stored=True,
    ),
    ResourceSpec(
        "testlab://watches/{watch_id}",
        "watch",
        "Watched thing",
        "What is watched for, whether it has happened, what was last seen.",
        JSON,
        "watch",
        read_watch,
        stored=True,
    ),
)


def list_resources(available: Availability) -> list[Resource]:
    """The resources that have a URI of their own: the services, and the skills whose tools are exposed."""
    return [
        Resource(
            uri=SERVICES,
            name="services",
            title="Configured services",
            description="Which services are configured, and which tools each answers.",
            mime_type=JSON,
            icons=draw_icon("services"),
        ),
        *(skill.to_mcp() for skill in list_skills(available)),
    ]


def list_templates(available: Availability) -> list[ResourceTemplate]:
    """The templates whose tool is exposed."""
    return [template.to_mcp() for template in _find_offered(available)]


def find_tool_behind(uri: str) -> str:
    """The tool whose right a resource needs; empty where it needs none, or there is no such."""
    return next((template.tool for template in TEMPLATES if template.parsed.match(uri) is not None), "")


async def read_resource(available: Availability, uri: str) -> Iterable[ReadResourceContents]:
    """The contents behind a URI. Raises MCPError when it does not exist, is not allowed, or cannot be read."""
    if uri == SERVICES:
        return read_services(available)
    if uri.startswith(SCHEME):
        return [ReadResourceContents(find_skill(available, uri).write(available), MARKDOWN)]
    template, given = find_template(available, uri)
    async with as_mcp_errors({"uri": uri}), available.reading(template.tool, uri):
        return await template.read(available, given)


def find_template(available: Availability, uri: str) -> tuple[ResourceSpec, dict[str, str]]:
    """The template of a URI, and the values in it. Raises MCPError when there is none."""
    for template in TEMPLATES:
        if (given := template.parsed.match(uri)) is not None:
            return template, {name: str(value) for name, value in given.items()}
    shapes = ", ".join([SERVICES, *(template.uri for template in _find_offered(available))])
    what = f"There is no such resource. There are: {shapes}; ids and names in them are percent-encoded, / as %2F."
    raise MCPError(INVALID_PARAMS, what, {"uri": uri})


def _find_offered(available: Availability) -> list[ResourceSpec]:
    stores = available.lab.work is not None
    return [one for one in TEMPLATES if available.has(one.tool) and (stores or not one.stored)]
