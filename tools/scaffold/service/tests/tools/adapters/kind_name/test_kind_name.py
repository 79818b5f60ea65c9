"""KindName, through the tools, against its simulated counterpart."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from testlab_sim.kind_name.service import Bench
from testlab_sim.listening import HOST, listen
from testlab_sim.serving import LabServer
from testlab_tools.adapters.kind_name.adapter import KindName, Settings, connect
from testlab_tools.errors import AuthError, Conflict, NotFound, Refused
from testlab_tools.registry import Call
from testlab_tools.tools.nodes import list_nodes
from testlab_tools.tools.reservations import end_reservation, extend_reservation, reserve_nodes
from testlab_tools.tools.runs import get_failed_cases, get_run, list_runs

TOKEN = "kind-name-token"


class Served:
    """The simulated service, and its address on loopback."""

    def __init__(self, bench: Bench, url: str) -> None:
        self.bench = bench
        self.url = url

    def connect(self, token: str = TOKEN) -> KindName:
        """Connect the adapter as a config table would."""
        return connect("bench", Settings.model_validate({"kind": "kind_name", "url": self.url, "token": token}))


@pytest.fixture
def served() -> Iterator[Served]:
    bench, listener, ready = Bench(TOKEN), listen(), threading.Event()
    server = LabServer(bench.app(), ready.set)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    assert ready.wait(20)
    yield Served(bench, f"http://{HOST}:{listener.getsockname()[1]}")
    server.should_exit = True
    thread.join(5)
    listener.close()


@pytest.fixture
async def call(served: Served, call_on: Callable[..., Call]) -> AsyncIterator[Call]:
    call = call_on(served.connect())
    yield call
    await call.lab.aclose()


async def test_doctor_is_told_who_we_are(served: Served) -> None:
    service = served.connect()
    assert (await service.probe()).account == "you"
    await service.aclose()


async def test_a_token_that_is_refused_is_told_with_its_table(served: Served, call_on: Callable[..., Call]) -> None:
    call = call_on(served.connect("wrong"))
    with pytest.raises(AuthError, match=r"\[services\.bench\]"):
        await list_runs.handler(call)
    await call.lab.aclose()


async def test_runs_are_listed_newest_first_and_paged(call: Call) -> None:
    first = await list_runs.handler(call, limit=2)
    second = await list_runs.handler(call, limit=2, cursor=first.cursor)
    assert [run.run_id for run in first.runs] == ["bench:run-3", "bench:run-2"]
    assert [run.run_id for run in second.runs] == ["bench:run-1"]
    failed = await list_runs.handler(call, outcome="fail")
    assert [run.run_id for run in failed.runs] == ["bench:run-2"]


async def test_a_run_that_failed_is_explained(call: Call) -> None:
    told = await get_failed_cases.handler(call, run_id="bench:run-2")
    assert [(case.case, case.reason) for case in told.runs[0].cases] == [("zap", "Zapping took 2.6 s")]
    detail = await get_run.handler(call, run_id="bench:run-1")
    assert detail.run.outcome == "pass"
    with pytest.raises(NotFound, match="has no such run"):
        await get_run.handler(call, run_id="bench:run-9")


async def test_a_node_is_reserved_extended_and_given_back(call: Call, served: Served) -> None:
    made = await reserve_nodes.handler(call, node_ids=["bench:node-1"], message="soak", duration_minutes=5)
    (held,) = made.reservations
    assert (held.node_id, held.yours) == ("bench:node-1", True)
    longer = await extend_reservation.handler(call, reservation_id=held.reservation_id, minutes=5)
    assert longer.until > held.until
    assert (await end_reservation.handler(call, reservation_id=held.reservation_id)).ended
    assert not (await end_reservation.handler(call, reservation_id=held.reservation_id)).ended
    assert served.bench.changes == ["reserve", "extend", "end"]


async def test_a_change_whose_answer_is_lost_is_looked_up_and_not_sent_again(call: Call, served: Served) -> None:
    served.bench.lose_answers = True
    made = await reserve_nodes.handler(call, node_ids=["node-1", "node-2"], message="soak", duration_minutes=5)
    held = made.reservations[0].reservation_id
    await extend_reservation.handler(call, reservation_id=held, minutes=5)
    assert (await end_reservation.handler(call, reservation_id=held)).ended
    assert served.bench.changes == ["reserve", "extend", "end"]


async def test_a_node_that_somebody_else_holds_stays_theirs(call: Call, served: Served) -> None:
    held = served.bench.reserve("node-1", "a colleague", "mine")
    with pytest.raises(Conflict, match="Free nodes: bench:node-2"):
        await reserve_nodes.handler(call, node_ids=["bench:node-1"], message="soak", duration_minutes=5)
    with pytest.raises(Refused, match="held by somebody else"):
        await end_reservation.handler(call, reservation_id=f"bench:{held['id']}")
    nodes = await list_nodes.handler(call)
    assert [(node.node_id, node.state) for node in nodes.nodes] == [
        ("bench:node-1", "reserved"),
        ("bench:node-2", "free"),
    ]


async def test_a_node_that_is_not_there_is_not_found(call: Call) -> None:
    with pytest.raises(NotFound, match="has no such node"):
        await reserve_nodes.handler(call, node_ids=["bench:node-9"], message="soak", duration_minutes=5)
