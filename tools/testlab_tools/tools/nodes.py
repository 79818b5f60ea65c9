"""Tools about nodes: their state and screens, and keys of a remote control."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from testlab_tools.capabilities import (
    NodeInventory,
    RemoteControl,
    RunScreenshots,
    Screenshots,
)
from testlab_tools.cursors import decode_cursor, encode_cursor
from testlab_tools.errors import BadInput, LabError, NotFound
from testlab_tools.fanout import ask_all, ask_each
from testlab_tools.files.pictures import prepare_picture
from testlab_tools.models.lab import UNKNOWN, ServiceShare
from testlab_tools.models.nodes import Node, NodeList, Pressed
from testlab_tools.registry import ADD, LOOK, Call, Picture, tool
from testlab_tools.tools.arguments import NodeId
from testlab_tools.untrusted import quote


@tool(toolset="nodes", access="observe", needs=NodeInventory, hints=LOOK)
async def list_nodes(
    call: Call,
    available: Annotated[bool, Field(description="Only free ones")] = False,
    text: Annotated[str, Field(description="Part of id, name or device type")] = "",
    node_ids: list[str] = [],
    detail: Annotated[bool, Field(description="Add configuration, licence, last job")] = False,
    addresses: Annotated[bool, Field(description="Also IP addresses and city")] = False,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    cursor: str = "",
) -> NodeList:
    """List the lab's nodes: state, who holds each until when and why, what runs, who started it, since when idle.

    detail is for a few nodes. total counts all, or node_ids; matching and free those that text and available leave.
    """
    wrong, failed = "", dict[str, LabError]()
    if node_ids:
        every, wrong = await _get_nodes(call, node_ids, detail, addresses)
    else:
        every, failed = await _list_every_node(call)
    matching = [node for node in every if _matches(node, available, text)]
    untyped = [
        n for n in every if n.device_type == UNKNOWN and _matches(n, available) and not _matches(n, available, text)
    ]
    page, more = _take_page(every, matching, limit, cursor, "\n".join((str(available), text, *node_ids)), failed)
    if (detail or addresses) and not node_ids:
        page, wrong = await _get_nodes(call, [node.node_id for node in page], detail, addresses)
    return NodeList(
        nodes=page,
        shown=len(page),
        matching=len(matching) if more or cursor or available or text else None,
        total=len(every),
        free=sum(node.state == "free" for node in matching),
        services=[ServiceShare(service=name, shown=0, error=str(error)) for name, error in failed.items()],
        note=" ".join(filter(None, (wrong, _note_untyped(untyped) if text else "", MORE if more else ""))),
        cursor=more,
    )


@tool(toolset="nodes", access="observe", needs=(Screenshots, RunScreenshots), hints=LOOK)
async def grab_screenshot(
    call: Call,
    node_id: Annotated[str, Field(description="Its screen now")] = "",
    run_id: Annotated[str, Field(description="Or: the screen at the end of this run")] = "",
    size: Annotated[
        Literal["model", "thumbnail", "full"], Field(description="model: JPEG, long side 1280 px; full: as sent")
    ] = "model",
    save_to: Annotated[str, Field(description="Write the original here")] = "",
) -> Picture:
    """Grab a node's screen as an image, or the screen saved when a run ended."""
    if bool(node_id) == bool(run_id):
        raise BadInput("Give either node_id or run_id", "", "node_id for the screen now, run_id for the end of a run.")
    target = call.files.to_write(save_to)
    if node_id:
        farm, native = await call.lab.node_owner(node_id, Screenshots)
        image = await farm.grab_screenshot(native, thumbnail=size == "thumbnail")
        what = f"Screen of {farm.handle(native)!r} now"
    else:
        keeper, native = call.lab.run_owner(run_id, RunScreenshots)
        image = await keeper.get_run_screenshot(native, thumbnail=size == "thumbnail")
        what = f"Screen at the end of {keeper.handle(native)!r}"
    await call.files.make_room(target, len(image.data))
    return await asyncio.to_thread(prepare_picture, image, what, size, target)


def _take_page(
    every: list[Node],
    matching: list[Node],
    limit: int,
    cursor: str,
    made_for: str,
    failed: Mapping[str, LabError],
) -> tuple[list[Node], str]:
    """The nodes from where `cursor` says, and the next cursor: it goes on behind a node, whether that still matches or
    not. Raises BadInput where that node is gone, and the error of its service where that does not answer."""
    if cursor:
        last = str(decode_cursor(cursor, made_for))
        places = {node.node_id: place for place, node in enumerate(every)}
        if (trouble := failed.get(last.partition(":")[0])) is not None:
            raise trouble
        if last not in places:
            raise BadInput("The node that the page before ended with is gone", "", "Ask again without cursor.")
        matching = [node for node in matching if places[node.node_id] > places[last]]
    page = matching[:limit]
    return page, encode_cursor(made_for, page[-1].node_id) if len(matching) > limit else ""


async def _get_nodes(call: Call, node_ids: list[str], detail: bool, addresses: bool) -> tuple[list[Node], str]:
    """Those nodes alone, each asked for by itself; and which are none, where not all are."""

    async def get(node_id: str) -> Node:
        farm, native = await call.lab.node_owner(node_id, NodeInventory)
        node = await farm.get_node(native, detail, addresses)
        if not detail:  # with it, a node says more
            call.lab.watcher.saw_nodes([(farm, node)])
        return node

    answers = await ask_each(dict.fromkeys(node_ids), get)
    wrong = _and_more([f"{quote(node_id, 60)}: {error.what}." for node_id, error in answers.failed.items()])
    if len(answers.failed) > 1 and all(isinstance(answers.of(node_id), NotFound) for node_id in node_ids):
        raise NotFound("None of these is a node that can be shown", wrong, "list_nodes shows all nodes.")
    answers.require_any()
    return list(answers.given.values()), wrong


def _note_untyped(nodes: list[Node]) -> str:
    """What a text may have missed."""
    if not nodes:
        return ""
    named = _and_more([repr(node.node_id) for node in nodes], ", ")
    return f"Not among these, and of unknown device type: {len(nodes)} ({named})."


def _and_more(texts: list[str], between: str = " ") -> str:
    more = [f"and {len(texts) - NAMED} more"] if len(texts) > NAMED else []
    return between.join([*texts[:NAMED], *more])


async def _list_every_node(call: Call) -> tuple[list[Node], dict[str, LabError]]:
    """Every node of every farm that answers, and the errors of those that do not."""
    farms = call.lab.offering(NodeInventory)
    answers = await ask_all(farms, lambda farm: farm.list_nodes())
    answers.require_any()
    call.lab.watcher.saw_nodes((farm, node) for farm in farms for node in answers.given.get(farm.name, ()))
    return [node for nodes in answers.given.values() for node in nodes], answers.failed


def _matches(node: Node, available: bool, text: str = "") -> bool:
    words = f"{node.node_id} {node.name} {node.device_type}".casefold()
    return (not available or node.state == "free") and text.casefold() in words


NAMED = 5
MORE = "More follow: pass cursor, with the same arguments; or narrow by text or available."


@tool(toolset="nodes", access="operate", needs=RemoteControl, hints=ADD)
async def press_key(
    call: Call,
    node_id: NodeId,
    key: Annotated[str, Field(min_length=1, description="As KEY_OK, KEY_MENU")],
    remote_control: Annotated[str, Field(description="Empty: the test pack's default")] = "",
    test_pack_revision: str = "",
) -> Pressed:
    """Press one key of the device's remote control; the node must be free or reserved by you.

    grab_screenshot shows what happened. For many steps, run_tests.
    """
    remote, native = await call.lab.node_owner(node_id, RemoteControl)
    order = ("press_key", call.caller, remote.name, native, key, remote_control, test_pack_revision)
    pressed = await call.lab.orders.run(
        order, lambda: remote.press_key(native, key, remote_control, test_pack_revision), join=False
    )
    again = "It was pressed once, by the call before, whose answer was not heard. " if pressed.again else ""
    return Pressed(node_id=remote.handle(native), key=key, next=f"{again}grab_screenshot shows what the device did.")
