"""The stand as a node: free, at its tests, or taken by somebody who chooses tests on the panel."""

from __future__ import annotations

from typing import Any

from testlab_tools.adapters.hardpy.dialogs import Dialogs
from testlab_tools.adapters.hardpy.models import StateDocument
from testlab_tools.adapters.hardpy.runs import uid_of
from testlab_tools.adapters.hardpy.store import Store, to_moment
from testlab_tools.capabilities import NodeInventory
from testlab_tools.errors import Conflict, Unsupported
from testlab_tools.http.response import Wire, decode
from testlab_tools.models.lab import NOT_TOLD, UNKNOWN
from testlab_tools.models.nodes import JobBrief, Node, Taken

CHOOSING = "somebody chooses tests on the panel"
COUNTED = ("pass", "fail", "error")
NO_STORE = "its panel keeps what it runs in CouchDB, and does not tell it"


class _Mode(Wire):
    manual_collect_mode: bool


class Stand(Dialogs, NodeInventory):
    """The one node of a panel."""

    async def list_nodes(self) -> list[Node]:
        return [await self._node()]

    async def get_node(self, node_id: str, detail: bool = False, addresses: bool = False) -> Node:
        self.check_node(node_id)
        return await self._node(detail)

    async def is_choosing(self) -> bool:
        """Whether somebody chooses tests on the panel: until they have, it starts and stops none."""
        reply = await self.client.get("/api/manual_collect_mode")
        return decode(self.check(reply, "its mode"), _Mode).manual_collect_mode

    async def conflict(self, *, choosing: bool = False) -> Conflict:
        """Why the stand takes no order now. Whose tests run, the panel does not tell."""
        node = await self._node()
        if choosing:
            return Conflict(
                f"The tests of {self.node!r} are being chosen on its panel",
                "It starts and stops none meanwhile",
                "Ask whoever stands there, or wait: list_nodes shows when it is free.",
                Taken(taken=[node]),
            )
        waits = " and waits for its operator" if node.waiting_for else ""
        return Conflict(
            f"{self.node!r} runs tests{waits}",
            "Whose they are the panel does not tell",
            f"get_job(node_id={self.node!r}) shows them.",
            Taken(taken=[node]),
        )

    async def _node(self, detail: bool = False) -> Node:
        busy = await self.is_busy()
        choosing = not busy and await self.is_choosing()
        why, store = CHOOSING if choosing else "", Store()
        try:
            store = await self.read_store(fresh=busy)
        except Unsupported:
            why = why or NO_STORE
        live = store.live
        return Node(
            node_id=self.node,
            state="busy" if busy else "unavailable" if choosing else "free",
            name=self._name(store),
            device_type=UNKNOWN,
            job=self._job(live) if live and busy and store.of_job(uid_of(live)) is None else None,
            last_used_at=None if busy or not store.runs else store.runs[0].began,
            why=why,
            waiting_for=self.dialogs_of(live) if live and busy else [],
            detail=_details(live) if live and detail else {},
        )

    def _name(self, store: Store) -> str:
        """The stand's, as its tests have said; else the tests folder's."""
        return (store.live.test_stand.name or store.live.name) if store.live else ""

    def _job(self, live: StateDocument) -> JobBrief | None:
        """None before its first test has begun."""
        if live.start_time is None:
            return None
        done = sum(case.outcome in COUNTED for _, case in live.cases.values())
        return JobBrief(
            job_uid=self.handle(uid_of(live)),
            finished=False,
            done=done,
            total=len(live.cases),
            started_by=NOT_TOLD,
            started_at=to_moment(live.start_time),
        )


def _details(live: StateDocument) -> dict[str, Any]:
    stand = live.test_stand
    told: dict[str, Any] = {
        "tests": live.name,
        "location": stand.location,
        "revision": stand.revision,
        "number": stand.number,
        "timezone": stand.timezone,
        "instruments": stand.instruments,
        "info": stand.info,
        "process": live.process.name,
        "unit": live.dut.serial_number,
        "alert": live.alert,
    }
    return {name: value for name, value in told.items() if value}
