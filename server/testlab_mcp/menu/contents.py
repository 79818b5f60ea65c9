"""What is behind each kind of resource: the answer of the tool of the same right, as contents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp_types import TextContent

from testlab_mcp.menu.files import UNTRUSTED, artifact, log
from testlab_mcp.menu.offer import GET_RUN, GRAB_SCREENSHOT, LIST_NODES, LIST_RUNS, Offer
from testlab_mcp.results import result_of
from testlab_tools.catalog import all_tools
from testlab_tools.models import Noun
from testlab_tools.records import RunDetail
from testlab_tools.registry import Picture

JSON = "application/json"
Contents = list[ReadResourceContents]


async def run(offer: Offer, given: Mapping[str, str]) -> Contents:
    """A run with its cases, and of the measurements those that failed."""
    included = ["cases", "measurements", "artifacts"]
    detail: RunDetail = await offer.call(GET_RUN, run_id=given["handle"], include=included)
    cases = [
        case.model_copy(update={"measurements": [m for m in case.measurements if m.outcome == "fail"]})
        for case in detail.cases
    ]
    held_back = sum(len(case.measurements) for case in detail.cases) - sum(len(case.measurements) for case in cases)
    note = f"{held_back} measurements that did not fail are left out." if held_back else ""
    return _json(detail.model_copy(update={"cases": cases, "note": f"{detail.note} {note}".strip()}))


async def log_of_run(offer: Offer, given: Mapping[str, str]) -> Contents:
    """The end of a run's log."""
    return await log(offer, given["handle"])


async def artifact_of_run(offer: Offer, given: Mapping[str, str]) -> Contents:
    """A file that a run kept."""
    return await artifact(offer, given["handle"], given["name"])


async def runs_of_test(offer: Offer, given: Mapping[str, str]) -> Contents:
    """The newest runs of a test."""
    return _json(await offer.call(LIST_RUNS, test=given["test"]))


async def node(offer: Offer, given: Mapping[str, str]) -> Contents:
    """One node with its configuration."""
    return _json(await offer.call(LIST_NODES, node_ids=[given["node_id"]], detail=True))


async def screen(offer: Offer, given: Mapping[str, str]) -> Contents:
    """What a node's device shows now, and the picture's scale."""
    picture: Picture = await offer.call(GRAB_SCREENSHOT, node_id=given["node_id"])
    return [
        ReadResourceContents(picture.image.data, picture.image.media_type, UNTRUSTED),
        ReadResourceContents(picture.facts, "text/plain"),
    ]


def services(offer: Offer) -> Contents:
    """The configured services, and which exposed tools each answers; no address and no secret."""
    tools = [tool for tool in all_tools() if offer.has(tool.name)]
    rows: list[dict[str, Any]] = [
        {
            "service": service.name,
            "kind": service.kind,
            "tools": [tool.name for tool in tools if isinstance(service, tool.needs)],
        }
        for service in offer.lab.services.values()
    ]
    return [ReadResourceContents(json.dumps({"services": rows}, separators=(",", ":")), JSON)]


def _json(noun: Noun) -> Contents:
    """As the tool's answer has it, `untrusted` included."""
    text = result_of(noun).content[0]
    assert isinstance(text, TextContent), "a noun's answer is text"
    return [ReadResourceContents(text.text, JSON)]
