"""Tools about nodes: which there are, and what their screens show."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from pydantic import Field

from testlab_tools.capabilities import NodeFarm, RunArchive
from testlab_tools.errors import BadInput, LabError
from testlab_tools.models import Node, NodeList, ServiceShare
from testlab_tools.pictures import shown
from testlab_tools.registry import LOOK, Call, Picture, tool


@tool(toolset="nodes", access="observe", needs=NodeFarm, hints=LOOK)
async def list_nodes(
    call: Call,
    available: Annotated[bool, Field(description="Only those free to reserve")] = False,
    text: Annotated[str, Field(description="Part of id, name or device type")] = "",
    node_ids: list[str] = [],
    detail: Annotated[bool, Field(description="Add configuration, address, licence, last user and job")] = False,
) -> NodeList:
    """List the lab's nodes in one table to decide from: state, who holds each until when and why, what runs, since
    when idle.

    detail is for a few nodes. reserve_nodes takes one; grab_screenshot shows its screen.
    """
    if node_ids:
        every, shares = await _named(call, node_ids, detail), []
    else:
        every, shares = await _all(call)
    chosen = [node for node in every if _fits(node, available, text)]
    if detail and not node_ids:
        chosen = await _named(call, [node.node_id for node in chosen], detail)
    free = sum(node.state == "free" for node in every)
    return NodeList(nodes=chosen, shown=len(chosen), total=len(every), free=free, services=shares)


@tool(toolset="nodes", access="observe", needs=NodeFarm, hints=LOOK)
async def grab_screenshot(
    call: Call,
    node_id: Annotated[str, Field(description="Show its screen now")] = "",
    run_id: Annotated[str, Field(description="Or: the screen at the end of this run")] = "",
    size: Annotated[
        Literal["model", "thumbnail", "full"], Field(description="model: JPEG, long side 1024 px; full: PNG as sent")
    ] = "model",
    save_to: Annotated[str, Field(description="Also write the original to this new file")] = "",
) -> Picture:
    """Grab a node's screen as an image, or the screen saved when a run ended.

    Give node_id or run_id. Says its size and scale.
    """
    if bool(node_id) == bool(run_id):
        raise BadInput("Give either node_id or run_id", "", "node_id for the screen now, run_id for the end of a run.")
    if node_id:
        farm, native = call.lab.owner(node_id, NodeFarm)
        image = await farm.screenshot(native, thumbnail=size == "thumbnail")
        return await asyncio.to_thread(
            shown, image, f"Screen of {farm.handle(native)} now", size, call.files.to_write(save_to)
        )
    farm, native = call.lab.owner(run_id, NodeFarm, _has_runs_like)
    image = await farm.run_screenshot(native, thumbnail=size == "thumbnail")
    return await asyncio.to_thread(
        shown, image, f"Screen at the end of {farm.handle(native)}", size, call.files.to_write(save_to)
    )


async def _named(call: Call, node_ids: list[str], detail: bool) -> list[Node]:
    """Those nodes alone, each asked for by itself."""
    owned = [call.lab.owner(node_id, NodeFarm) for node_id in dict.fromkeys(node_ids)]
    return await asyncio.gather(*(farm.get_node(native, detail) for farm, native in owned))


async def _all(call: Call) -> tuple[list[Node], list[ServiceShare]]:
    """Every node of every farm that answers, and which do not; if none does, the first error is raised."""
    farms = call.lab.offering(NodeFarm)
    answers = await asyncio.gather(*(_nodes_of(farm) for farm in farms))
    errors = [(farm, a) for farm, a in zip(farms, answers, strict=True) if isinstance(a, LabError)]
    if len(errors) == len(answers):
        raise errors[0][1]
    shares = [ServiceShare(service=farm.name, shown=0, error=str(error)) for farm, error in errors]
    return [node for answer in answers if not isinstance(answer, LabError) for node in answer], shares


async def _nodes_of(farm: NodeFarm) -> list[Node] | LabError:
    try:
        return await farm.list_nodes()
    except LabError as error:
        return error


def _fits(node: Node, available: bool, text: str) -> bool:
    words = f"{node.node_id} {node.name} {node.device_type}".casefold()
    return (not available or node.state == "free") and text.casefold() in words


def _has_runs_like(farm: NodeFarm, run_id: str) -> bool:
    return isinstance(farm, RunArchive) and farm.owns_run(run_id)
