"""`testlab-mcp call run_tests … --wait`: the node is reserved, the job watched to its end, and the node given back
whatever happens."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from testlab_mcp.commands.call import Options, has_failed, print_answer
from testlab_mcp.commands.call_session import Answer, Session
from testlab_tools.capabilities import RunExport
from testlab_tools.errors import LabError, Unsupported
from testlab_tools.models.requests import RunQuery

HELD_MINUTES = 60
"""A reservation is made for so long, and extended by as much while the job runs: it ends by itself if this dies."""
EXTEND_S = HELD_MINUTES * 60 / 2
WAIT_SECONDS = 45
RETRY_S = 10.0
MAX_OUTAGE_S = 900.0
"""A service may be away for so long while a job runs, before the watch ends and says so."""
MESSAGE = "testlab-mcp call run_tests"


async def run_watched(
    session: Session, arguments: Mapping[str, Any], options: Options, scope: anyio.CancelScope
) -> int:
    """Reserve the node, run the tests, wait for their end, write the JUnit file. Returns 0 when all passed, else 1.

    Where `scope` is cancelled the job is stopped; the node is given back in any case.
    """
    node_id = str(arguments["node_id"])
    async with session, _reserved(session, node_id) as held:
        answer = held if held.failed else await _run_to_end(session, arguments, _reservation_id(held), scope)
        if answer is None:
            return 1
        shown = {name: value for name, value in answer.structure.items() if name != "next"}
        print_answer(shown, answer.texts, answer.failed, options)
        if answer.failed:
            return 1
        if options.junit:
            try:
                await _write_junit(session, str(answer.structure["job_uid"]), options.junit)
            except LabError as error:
                print_answer({}, [str(error)], True, Options())
                return 1
        return 1 if has_failed(answer.structure) else 0


async def _run_to_end(
    session: Session, arguments: Mapping[str, Any], reservation: str, scope: anyio.CancelScope
) -> Answer | None:
    """The job at its end, or the answer that says why there is none. None where it was cancelled, and is stopped."""
    order = {**arguments, "wait_seconds": 0}
    started: Answer | None = None
    asked = False
    with scope:
        await anyio.lowlevel.checkpoint()
        asked = True
        started = await session.call("run_tests", order)
        if started.failed:
            return started
        session.show_progress(f"job {started.structure['job_uid']}")
        return await _wait(session, str(started.structure["job_uid"]), reservation)
    if asked and started is None:
        # The order goes on although its answer is not waited for; given again it is the same order.
        started = await session.call("run_tests", order)
    if started is not None and not started.failed:
        stopped = await session.call("stop_job", {"job_uid": started.structure["job_uid"]})
        session.show_progress("; ".join(stopped.texts) if stopped.failed else "the job is stopped")
    return None


@asynccontextmanager
async def _reserved(session: Session, node_id: str) -> AsyncGenerator[Answer, None]:
    """The node reserved meanwhile, with the answer about it. One that is reserved by the user already stays so."""
    listed = await session.call("list_nodes", {"node_ids": [node_id]})
    nodes = listed.structure.get("nodes", [])
    if listed.failed or (nodes and nodes[0]["state"] == "reserved by you"):
        yield listed
        return
    terms = {"node_ids": [node_id], "message": MESSAGE, "duration_minutes": HELD_MINUTES}
    reserved = await session.call("reserve_nodes", terms)
    try:
        yield reserved
    finally:
        if reservation := _reservation_id(reserved):
            ended = await session.call("end_reservation", {"reservation_id": reservation})
            if ended.failed:
                session.show_progress("; ".join(ended.texts))


def _reservation_id(answer: Answer) -> str:
    """The reservation that was made here; empty where none was."""
    if answer.failed or "reservations" not in answer.structure:
        return ""
    return str(answer.structure["reservations"][0]["reservation_id"])


async def _wait(session: Session, uid: str, reservation: str) -> Answer:
    """The job at its end; or the last answer about it, where its service has been away too long."""
    extended = heard = anyio.current_time()
    while True:
        answer = await session.call("get_job", {"job_uid": uid, "wait_seconds": WAIT_SECONDS})
        now = anyio.current_time()
        if answer.failed:
            if now - heard > MAX_OUTAGE_S:
                return answer
            session.show_progress("; ".join(answer.texts))
            await anyio.sleep(RETRY_S)
            continue
        heard = now
        if answer.structure.get("finished"):
            return answer
        if reservation and now - extended > EXTEND_S:
            extended = now
            await session.call("extend_reservation", {"reservation_id": reservation, "minutes": HELD_MINUTES})


async def _write_junit(session: Session, uid: str, file_name: str) -> None:
    """Write the service's own JUnit report of the job, whole or not at all.

    Raises:
        LabError: the service has none, or the file cannot be written.
    """
    service = session.lab.services[uid.partition(":")[0]]
    if not isinstance(service, RunExport):
        raise Unsupported(f"{service.name} writes no JUnit report", "", "Leave --junit out.")
    path = Path(file_name)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:

            async def write(chunk: bytes) -> None:
                file.write(chunk)

            await service.export_runs(RunQuery(job=session.lab.native(uid)), "junit", write)
        partial.replace(path)
    except OSError as error:
        raise LabError(f"{path} cannot be written ({error.strerror})") from None
    finally:
        partial.unlink(missing_ok=True)
