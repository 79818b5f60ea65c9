"""What a node's record proves of who started its job, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.stbtester.adapter import StbTester
from testlab_tools.adapters.stbtester.jobs import starter
from testlab_tools.adapters.stbtester.models import NodeStatus
from testlab_tools.capabilities import JobOwner
from testlab_tools.errors import ServiceDown
from testlab_tools.http import ServiceClient

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

UID = "/stb-tester-abcdef123456/0000/319"
BEFORE, START, AFTER = (f"2023-02-18T21:5{n}:00.000000+00:00" for n in range(3))


def node(**fields: Any) -> dict[str, Any]:
    job = {
        "job_uid": UID,
        "status": "running",
        "start_time": START,
        "end_time": None,
        "result_counts": {"pass": 0, "fail": 0, "error": 0, "total": 1},
    }
    return {"node_id": "stb-tester-abcdef123456", "available": False, "online": True, "job": job, **fields}


@pytest.mark.parametrize(
    ("fields", "login"),
    [
        ({"last_used_by": "johnsmith", "last_used_time": START}, "johnsmith"),
        ({"last_used_by": "johnsmith", "last_used_time": BEFORE}, "johnsmith"),
        ({"last_used_by": "johnsmith", "last_used_time": AFTER}, ""),
        ({"last_used_by": "johnsmith", "last_used_time": None}, ""),
        ({"last_used_by": None, "last_used_time": START}, ""),
        ({"last_used_by": "johnsmith", "last_used_time": START, "job": None}, ""),
    ],
)
def test_the_last_use_proves_who_started_the_job_only_if_nobody_came_after(fields: Any, login: str) -> None:
    assert starter(NodeStatus.model_validate(node(**fields)), UID) == login


def test_another_job_of_the_node_proves_nothing() -> None:
    status = NodeStatus.model_validate(node(last_used_by="johnsmith", last_used_time=START))
    assert starter(status, "/stb-tester-abcdef123456/0000/318") == ""


def reservation(begun: str, yours: bool) -> dict[str, Any]:
    who = "you" if yours else "johnsmith"
    entry = {"reservation_id": 6, "node_id": "n", "username": who, "reserved_by_you": yours, "start_time": begun}
    return {"reservation": entry, "last_used_by": "somebody", "last_used_time": AFTER}


DETAIL = {"result_id": f"{UID}/x", "job_uid": UID, "start_time": START, "test_case": "a.py::b", "result": "pass"}


@pytest.mark.parametrize(
    ("answers", "owner"),
    [
        ({"nodes": node(**reservation(BEFORE, True))}, JobOwner(True, "you")),
        ({"nodes": node(**reservation(BEFORE, False))}, JobOwner(False, "johnsmith")),
        ({"nodes": node(**reservation(AFTER, True)), "results": []}, JobOwner(None)),
        ({"nodes": node(last_used_by="you", last_used_time=START), "user": {"login": "you"}}, JobOwner(True, "you")),
        (
            {"nodes": node(last_used_by="<b>x</b>", last_used_time=START), "user": {"login": "you"}},
            JobOwner(False, "another user"),
        ),
        ({"nodes": node(last_used_by="you", last_used_time=START)}, JobOwner(None, "you")),
        (
            {"nodes": node(), "results": [DETAIL], "result": {**DETAIL, "username": "you"}, "user": {"login": "you"}},
            JobOwner(True, "you"),
        ),
        ({"nodes": node(), "results": [DETAIL], "result": DETAIL}, JobOwner(None)),
    ],
)
async def test_the_owner_is_told_from_reservation_last_use_or_results(
    answers: dict[str, Any], owner: JobOwner, origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    async def answer(asked: Any) -> bytes:
        what = asked.target.removeprefix("/api/v2/").partition("?")[0]
        if what == "nodes":
            return origin.reply(200, [])
        what = "result" if what.startswith("results/") else what.partition("/")[0]
        return origin.reply(200, answers[what]) if what in answers else origin.reply(404)

    origin.answer = answer
    portal = StbTester("portal", client_of(origin.url))
    assert await portal.get_job_owner(UID) == owner


async def test_an_outage_is_not_taken_for_not_knowing(origin: Origin, client_of: Callable[..., ServiceClient]) -> None:
    origin.answers(origin.reply(500))
    with pytest.raises(ServiceDown):
        await StbTester("portal", client_of(origin.url)).get_job_owner(UID)
