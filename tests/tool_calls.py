"""What a sample of a tool is, and how its calls are filled with the names of a lab's things."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from testlab_tools.registry import Access, Toolset

Arguments = Mapping[str, Any]

PORTAL, FACTORY, OLD, CLOUD, BENCH = "portal", "factory", "old", "cloud", "bench"
"""The services of these tests' labs; `old` is the factory by v1 of its API."""
RACK = "rack"
"""labgrid, which has no simulated counterpart: the real one is tried in tests/server/labgrid/."""
RACK_TABLE = f'[services.{RACK}]\nkind = "labgrid"\ncoordinator = "127.0.0.1:1"\n'
"""Of a coordinator that is not there."""
UUID = "0196434d-e8f7-7ce1-81f7-e16f20487494"


class Call(NamedTuple):
    """Arguments, and the services that are asked with them: all that have the tool, unless some are named."""

    arguments: Arguments
    services: tuple[str, ...] = ()


class Row(NamedTuple):
    """A call of a tool that asks one service; `changes` says whether it changes anything there."""

    tool: str
    service: str
    arguments: dict[str, Any]
    changes: bool


@dataclass(frozen=True)
class ToolSample:
    """What tests about all tools know of a tool.

    `services`: those that have it; none if it asks only this server's own database. RACK alone is in no lab.
    `call`: well-formed arguments; `besides`: what a service needs besides these.
    `faults`: the calls of the fault matrix, which succeed on the simulated lab.
    `hostile`: the calls whose answers hold the hostile corpus.
    `other_node`: calls that lead to `{node}` and what is on it, which a caller without that node must be refused; none
    for a tool that has nothing to do with nodes.
    `queued`: while its service is down, it answers that the run is queued.
    """

    tool: str
    toolset: Toolset
    access: Access
    services: tuple[str, ...]
    call: Arguments
    besides: Mapping[str, Arguments] = field(default_factory=dict)
    faults: Sequence[Call] = ()
    """`call`, unless given."""
    hostile: Sequence[Call] = ()
    """As `faults`, unless given."""
    other_node: Sequence[Arguments] | None = None
    """`call`, unless given."""
    queued: bool = False
    beside: tuple[str, ...] = (FACTORY,)
    """Of a tool that asks only this server's database: the services with each of which it comes."""

    @property
    def changes(self) -> bool:
        """Whether it changes anything in the lab."""
        return self.access != "observe"

    def fault_rows(self, names: Mapping[str, Mapping[str, str]]) -> Iterator[Row]:
        """The calls of the fault matrix about `names`, which are each service's."""
        return self._rows(self.faults or [Call(self.call)], names)

    def hostile_rows(self, names: Mapping[str, Mapping[str, str]]) -> Iterator[Row]:
        """The calls whose answers hold the hostile corpus, about `names`, which are each service's."""
        return self._rows(self.hostile or self.faults or [Call(self.call)], names)

    def calls_to_other_node(self) -> Sequence[Arguments]:
        """The calls that a caller without `{node}` must be refused."""
        return [self.call] if self.other_node is None else self.other_node

    def fictional_call(self, service: str = "") -> dict[str, Any]:
        """A well-formed call that asks `service`, by default the first that has it, about things that are nowhere."""
        service = service or next(iter(self.services), "")
        return fill({**self.call, **self.besides.get(service, {})}, fictional_names(service))

    def _rows(self, calls: Iterable[Call], names: Mapping[str, Mapping[str, str]]) -> Iterator[Row]:
        for call in calls:
            for service in call.services or self.services:
                arguments = fill(call.arguments, {"service": service, **names.get(service, {})})
                yield Row(self.tool, service, arguments, self.changes)


def fill(value: Any, names: Mapping[str, str]) -> Any:
    """`value` with each `{name}` of `names` replaced; other braces stay."""
    if isinstance(value, Mapping):
        return {key: fill(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, names) for item in value]
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
    return value


def fictional_names(service: str) -> dict[str, str]:
    """Names of things that are nowhere, each as its service would name it: enough where no service answers."""
    job = "/stb-tester-000000000001/0a23/972"
    run = {PORTAL: f"{job}/2026-01-01_00.00.00", OLD: "SN-1/1", BENCH: "1795230917000"}.get(service, UUID)
    job = "1795230917" if service == BENCH else job
    nodes = ("node", "free_node", "idle_node", "busy_node", "their_node")
    reservations = ("reservation", "ending_reservation", "their_reservation")
    return {
        "service": service,
        "job": job,
        "case": "tests/a.py::b",
        "dialog": f"{service}:{UUID}",
        "revision": "current" if service == BENCH else "main",
        "artifact": "video.mp4",
        "procedure": "FVT1",
        "part": "SN-2",
        **dict.fromkeys(("serial", "unit", "new_unit", "agreed"), "SN-1"),
        **dict.fromkeys(nodes, "bench" if service == BENCH else "stb-tester-000000000001"),
        **dict.fromkeys(reservations, "6"),
        **dict.fromkeys(("run", "own_run"), f"{service}:{run}"),
    }
