"""Tools about nodes: their state and screens, reservations, and keys of a remote control."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from testlab_tools.capabilities import (
    NodeInventory,
    NodeQueue,
    NodeReservations,
    RemoteControl,
    RunScreenshots,
    Screenshots,
)
from testlab_tools.cursors import decode_cursor, encode_cursor
from testlab_tools.errors import BadInput, Conflict, LabError, NotFound, Refused, Unsupported
from testlab_tools.fanout import ask_all, ask_each, gather_all
from testlab_tools.files.pictures import prepare_picture
from testlab_tools.late_module import LateModule
from testlab_tools.models.lab import UNKNOWN, Ended, Node, NodeList, Pressed, Reservation, Reservations, ServiceShare
from testlab_tools.registry import ADD, DESTROY, END, LOOK, Call, Picture, Question, tool
from testlab_tools.tools.arguments import NodeId
from testlab_tools.tools.line import (
    TICKET,
    Wanted,
    choose_free,
    find_of_type,
    leave_line,
    note_ended,
    queued,
    read_faults,
    refuse_ticket,
    stand_in_line,
)
from testlab_tools.untrusted import quote

if TYPE_CHECKING:
    from testlab_tools.node_queue import fitness
    from testlab_tools.node_queue import queue as node_queue
else:
    node_queue = LateModule("testlab_tools.node_queue.queue")


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
ReservationId = Annotated[str, Field(min_length=1)]
LONGEST_MINUTES = 1440
FOREVER = 0
_ENDS = (
    "Also ends when this server's process does, and `testlab-mcp call` is a process of its own: "
    "[server] release_on_exit = false keeps it."
)
_OUR_LINE = "wait_minutes waits in a line of this server, where [durable] is on; list_nodes shows who has which."
_STAYS = "Holds until its end or end_reservation, also when this server's process ends."
_SAME = "This is the order given before, whose answer was not heard: nothing was reserved twice."


@tool(toolset="nodes", access="operate", needs=NodeReservations, hints=ADD)
async def reserve_nodes(
    call: Call,
    *,
    node_ids: Annotated[list[str], Field(description="All are reserved, or none")] = [],
    device_type: Annotated[str, Field(description="Or: count of this type")] = "",
    count: Annotated[int, Field(ge=1)] = 1,
    message: Annotated[str, Field(min_length=1, max_length=1000, description="Why; colleagues see it")],
    duration_minutes: Annotated[int, Field(ge=0, le=LONGEST_MINUTES)],
    wait_seconds: Annotated[
        int, Field(ge=0, le=45, description="If taken, stand in line; with wait_minutes, 0 is the longest")
    ] = 0,
    wait_minutes: Annotated[int, Field(ge=0, le=LONGEST_MINUTES, description="Also after this call")] = 0,
) -> Reservations:
    """Reserve nodes, so that nobody else starts or stops tests on them.

    Ends after duration_minutes, and with this server unless note says otherwise; call end_reservation when done. If
    one is taken, says by whom and which are free.
    """
    if duration_minutes == FOREVER and call.access != "admin":
        raise Refused(f"A reservation without end needs {call.admin_setting}", "", "Give duration_minutes.")
    if bool(node_ids) == bool(device_type):
        raise BadInput("Give either node_ids or device_type", "", "device_type with count takes any that are free.")
    every: Mapping[str, Node] = {}
    what = (device_type.strip().casefold(), count) if device_type else tuple(node_ids)
    prefix = (
        node_queue.ticket_prefix(call.caller, what, message, duration_minutes, wait_minutes) if wait_minutes else ""
    )
    if device_type:
        wanted, every = await find_of_type(call, device_type, count, prefix)
    else:
        wanted = await _find_named(call, node_ids)
    farm = wanted.farm

    def remember(made: list[Reservation]) -> None:
        for one in made:
            ids = call.lab.native(one.reservation_id), call.lab.native(one.node_id)
            until = one.expires_at.timestamp() if isinstance(one.expires_at, datetime) else None
            call.lab.reservations.add(farm, *ids, call.caller, until)

    faults = await read_faults(call, farm)
    if wait_minutes:
        made, ticket = await stand_in_line(call, wanted, message, duration_minutes, wait_minutes, wait_seconds, prefix)
        if not made:
            return await queued(call, farm, ticket)
        remember(made)
        return _made(call, made, faults)
    what = (device_type, count) if device_type else tuple(sorted(wanted.nodes))
    given = await call.lab.orders.run(
        ("reserve_nodes", call.caller, farm.name, what, message, duration_minutes),
        lambda: _reserve_in_turn(
            farm,
            choose_free(wanted, every, faults) if device_type else wanted.nodes,
            message,
            duration_minutes * 60 or None,
            wait_seconds,
        ),
        remember,
    )
    return _made(call, given.value, faults, given.again)


def _made(call: Call, made: list[Reservation], faults: fitness.Faults, again: bool = False) -> Reservations:
    told = {**faults.share, **faults.last}
    until = _ENDS if not call.lab.reservations.stay else _STAYS
    return Reservations(
        reservations=made,
        doubts={one.node_id: why for one in made if (why := told.get(call.lab.native(one.node_id)))},
        note=f"{_SAME} {until}" if again else until,
        next="run_tests on the node, then end_reservation.",
    )


async def _find_named(call: Call, node_ids: list[str]) -> Wanted:
    """The nodes named, which must be of one service."""
    owners = await gather_all(*(call.lab.node_owner(node_id, NodeReservations) for node_id in node_ids))
    owned = list(dict.fromkeys(owners))
    farm = owned[0][0]
    if any(other is not farm for other, _ in owned):
        raise BadInput("node_ids are of several services", "", "Reserve those of each service in a call of its own.")
    return Wanted(farm, [native for _, native in owned], "", len(owned))


async def _reserve_in_turn(
    farm: NodeReservations, nodes: Sequence[str], message: str, duration_s: int | None, wait_seconds: int
) -> list[Reservation]:
    """Reserve them, or stand in line for the one that is taken."""
    if wait_seconds and not isinstance(farm, NodeQueue):
        raise Unsupported(f"{farm.name} keeps no line of those who wait", "", _OUR_LINE)
    if wait_seconds and len(nodes) > 1:
        raise BadInput("One can stand in line for one node only", "Two who hold one each wait forever", "Name one.")
    try:
        return await farm.reserve(nodes, message, duration_s)
    except Conflict as error:
        if error.own:
            raise
        if not wait_seconds or not isinstance(farm, NodeQueue):
            step = f"{error.next_step} wait_minutes stands in line for {'it' if len(nodes) == 1 else 'them'}."
            raise Conflict(error.what, error.why, step, error.details) from None
        turn = await farm.await_turn(nodes[0], wait_seconds)
        if not turn.come:
            line = f"You stand in line, {turn.ahead} before you"
            again = "The same call within a minute keeps your place."
            raise Conflict(error.what, line, again, error.details) from None
    return await farm.reserve(nodes, message, duration_s)


@tool(toolset="nodes", access="operate", needs=NodeReservations, hints=ADD)
async def extend_reservation(
    call: Call, reservation_id: ReservationId, minutes: Annotated[int, Field(ge=1, le=LONGEST_MINUTES)]
) -> Reservation:
    """Extend a reservation of yours, before it expires. Returns its new end."""
    refuse_ticket(reservation_id)
    farm, native = await call.lab.reservation_owner(reservation_id)
    order = ("extend_reservation", call.caller, farm.name, native, minutes)
    given = await call.lab.orders.run(order, lambda: farm.extend_reservation(native, minutes * 60))
    return given.value


@tool(toolset="nodes", access="operate", needs=NodeReservations, hints=END)
async def end_reservation(call: Call, reservation_id: ReservationId) -> Ended:
    """End a reservation of yours, so that others can use the node, or leave the line."""
    if TICKET.fullmatch(reservation_id):
        return await leave_line(call, reservation_id)
    farm, native = await call.lab.reservation_owner(reservation_id)
    ended = await farm.end_reservation(native)
    call.lab.reservations.remove(farm, native)
    await note_ended(call, farm, native)
    before = "" if ended else "It held nothing any more: it had ended before. list_nodes shows who has which node."
    return Ended(reservation_id=farm.handle(native), ended=ended, next=before)


async def _ask_before_interrupting(call: Call, reservation_id: str, message: str, confirm: str) -> Question:
    """Whom it would interrupt, as it stands now."""
    farm, native = await call.lab.reservation_owner(reservation_id)
    held = await farm.get_reservation(native)
    if held.yours:
        raise BadInput("This reservation is yours", "", "end_reservation ends it.")
    return Question(
        f"End reservation {held.reservation_id!r} of node {held.node_id!r}, which another user holds, {held.until}?",
        target=held.node_id,
        quoted=f"\nHolder: {quote(held.holder)}\nTheir message: {quote(held.message)}\n"
        f"They will read: {quote(message, 1000)}",
    )


@tool(toolset="nodes", access="admin", needs=NodeReservations, hints=DESTROY, asks=_ask_before_interrupting)
async def interrupt_reservation(
    call: Call,
    reservation_id: ReservationId,
    message: Annotated[str, Field(min_length=1, max_length=1000, description="Why; its holder reads it")],
    confirm: Annotated[str, Field(description="If the client cannot ask: the node's id")] = "",
) -> Ended:
    """Interrupt somebody else's reservation: their node is taken from them, and they read message.

    A person is asked first. Look for a free one before.
    """
    farm, native = await call.lab.reservation_owner(reservation_id)
    await farm.interrupt_reservation(native, message)
    return Ended(reservation_id=farm.handle(native), ended=True, next="reserve_nodes takes the node.")


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
