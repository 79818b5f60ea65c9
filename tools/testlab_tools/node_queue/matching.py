"""Which nodes a request is for, which of them it can take, and which it passes over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from testlab_tools.errors import BadInput, Refused
from testlab_tools.models.lab import UNKNOWN
from testlab_tools.models.nodes import Node
from testlab_tools.node_queue.fitness import Faults, out_of_service
from testlab_tools.node_queue.granting import Claim
from testlab_tools.node_queue.tickets import NodeRequest, Ticket
from testlab_tools.untrusted import quote


def make_claim(ticket: Ticket, nodes: Mapping[str, Node], faults: Faults) -> Claim:
    """What a ticket could take of these nodes: named ones whatever failed on them, others only where they are fit."""
    request = ticket.request
    if request.node_ids:
        return Claim(ticket.ticket_id, tuple(dict.fromkeys(request.node_ids)), request.count)
    return Claim(ticket.ticket_id, tuple(_fit(request, nodes, faults)), request.count)


def _fit(request: NodeRequest, nodes: Mapping[str, Node], faults: Faults) -> list[str]:
    return choose_fit(fitting(request, nodes), nodes, faults, request.count)


def choose_fit(names: Iterable[str], nodes: Mapping[str, Node], faults: Faults, count: int) -> list[str]:
    """Those that work; with those that fail in a share of their runs where the others are too few: a share alone never
    empties a line."""
    sound = [name for name in names if name not in faults.last]
    fit = [name for name in sound if name not in faults.share]
    return fit if sum(not out_of_service(nodes[name]) for name in fit) >= max(1, count) else sound


def fitting(request: NodeRequest, nodes: Mapping[str, Node]) -> list[str]:
    """The nodes that a request is for, whatever state they are in."""
    if request.node_ids:
        return [name for name in request.node_ids if name in nodes]
    wanted = request.device_type.casefold()
    return [
        name
        for name, node in nodes.items()
        if (not wanted or (node.device_type != UNKNOWN and node.device_type.casefold() == wanted))
        and (request.allowed is None or name in request.allowed)
    ]


def is_licensed(node: Node) -> bool:
    """Whether a node can be had some time: without a licence none is, however long one waits."""
    return node.state != "licence expired"


def no_licence(device_type: str, nodes: Iterable[Node]) -> BadInput:
    """The refusal of a type that only nodes with an expired licence are of; `nodes` are all there are."""
    others = sorted({node.device_type for node in nodes if is_licensed(node)} - {UNKNOWN})
    named = ", ".join(quote(name, 60) for name in others[:5])
    step = f"Types with a licence: {named}." if named else "No other type has one."
    what = "The licence of every node of that device type has expired"
    return BadInput(what, "One would wait for ever", step).naming(device_type)


def check_licence(node: Node) -> None:
    """Raises Refused for a node that is asked for by its id and has no licence."""
    if not is_licensed(node):
        step = "Take another: list_nodes(available=true)."
        raise Refused("The licence of that node has expired", "One would wait for ever", step).naming(node.node_id)


def passed_over(
    request: NodeRequest, nodes: Mapping[str, Node], faults: Faults
) -> tuple[dict[str, str], dict[str, str]]:
    """Nodes that a request is for and that are not taken now, and nodes that it takes in spite of what failed there."""
    ours = fitting(request, nodes)
    passed = {name: why for name in ours if (why := out_of_service(nodes[name]))}
    told = {**faults.share, **faults.last}
    faulty = {name: told[name] for name in ours if name in told and name not in passed}
    passed |= {name: "there is no such node now" for name in request.node_ids if name not in nodes}
    taken = ours if request.node_ids else _fit(request, nodes, faults)
    doubts = {name: why for name, why in faulty.items() if name in taken}
    return passed | {name: why for name, why in faulty.items() if name not in taken}, doubts
