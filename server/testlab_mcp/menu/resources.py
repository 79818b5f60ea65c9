"""Which resources there are, and reading them: each is what a tool of the same right answers.

Ids and names stand percent-encoded in a URI, as RFC 6570 expands `{…}`: a handle holds `:` and `/`. What was not
written by this server is marked: JSON lists its fields under `untrusted`, as tools do; a log, an artifact and a screen
carry `testlab/untrusted` in `_meta` and words of ours, a log in its first line, the others in a second content, so that
an artifact stays what it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.shared.exceptions import MCPError
from mcp.shared.uri_template import UriTemplate
from mcp_types import INVALID_PARAMS, Resource, ResourceTemplate

from testlab_mcp.menu.contents import (
    JSON,
    Contents,
    artifact_of_run,
    log_of_run,
    node,
    run,
    runs_of_test,
    screen,
    services,
)
from testlab_mcp.menu.offer import (
    GET_ARTIFACT,
    GET_RUN,
    GRAB_SCREENSHOT,
    LIST_NODES,
    LIST_RUNS,
    READ_LOG,
    Offer,
    told,
)

SERVICES = "testlab://services"


@dataclass(frozen=True)
class Shelf:
    """A resource template, the tool whose right it needs, and how it is read from the values in its URI."""

    uri: str
    name: str
    title: str
    description: str
    mime_type: str
    tool: str
    read: Callable[[Offer, Mapping[str, str]], Awaitable[Contents]]

    @cached_property
    def template(self) -> UriTemplate:
        """The URI, to be matched."""
        return UriTemplate.parse(self.uri)

    def listed(self) -> ResourceTemplate:
        """The template as clients get it. Without a MIME type where resources of it differ."""
        return ResourceTemplate(
            uri_template=self.uri,
            name=self.name,
            title=self.title,
            description=self.description,
            mime_type=self.mime_type or None,
        )


SHELVES = (
    Shelf(
        "testlab://runs/{handle}",
        "run",
        "Run",
        "One run: outcome, reason, cases, measurements that failed, names of artifacts.",
        JSON,
        GET_RUN,
        run,
    ),
    Shelf(
        "testlab://runs/{handle}/log",
        "run_log",
        "Log of a run",
        "The last lines of a run's log, numbered; says how many there are.",
        "text/plain",
        READ_LOG,
        log_of_run,
    ),
    Shelf(
        "testlab://runs/{handle}/artifacts/{name}",
        "run_artifact",
        "Artifact of a run",
        "A file that a run kept: the beginning of a text, an image, or a small file of another kind.",
        "",
        GET_ARTIFACT,
        artifact_of_run,
    ),
    Shelf(
        "testlab://tests/{test}",
        "test_runs",
        "Runs of a test",
        "The newest runs of a test case, procedure or test plan over all services.",
        JSON,
        LIST_RUNS,
        runs_of_test,
    ),
    Shelf(
        "testlab://nodes/{node_id}",
        "node",
        "Node",
        "A node: state, who holds it until when and why, what runs, its configuration.",
        JSON,
        LIST_NODES,
        node,
    ),
    Shelf(
        "testlab://nodes/{node_id}/screen",
        "node_screen",
        "Screen of a node",
        "What the device shows now, as a JPEG of at most 1024 px.",
        "image/jpeg",
        GRAB_SCREENSHOT,
        screen,
    ),
)


def resources() -> list[Resource]:
    """Those with a URI of their own."""
    return [
        Resource(
            uri=SERVICES,
            name="services",
            title="Services",
            description="Which services are configured, and which tools each answers.",
            mime_type=JSON,
        )
    ]


def templates(offer: Offer) -> list[ResourceTemplate]:
    """The templates whose tool is exposed."""
    return [shelf.listed() for shelf in SHELVES if offer.has(shelf.tool)]


def tool_behind(uri: str) -> str:
    """The tool whose right a resource needs; empty where it needs none, or there is no such."""
    return next((shelf.tool for shelf in SHELVES if shelf.template.match(uri) is not None), "")


async def read(offer: Offer, uri: str) -> Iterable[ReadResourceContents]:
    """The contents behind a URI. Raises MCPError when it is none of ours, not allowed, or cannot be read."""
    if uri == SERVICES:
        return services(offer)
    for shelf in SHELVES:
        if (given := shelf.template.match(uri)) is not None:
            async with told({"uri": uri}), offer.reading(shelf.tool, uri):
                return await shelf.read(offer, {name: str(value) for name, value in given.items()})
    shapes = ", ".join([SERVICES, *(shelf.uri for shelf in SHELVES if offer.has(shelf.tool))])
    told_why = f"There is no such resource. There are: {shapes}; ids and names in them are percent-encoded, / as %2F."
    raise MCPError(INVALID_PARAMS, told_why, {"uri": uri})
