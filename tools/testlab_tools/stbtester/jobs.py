"""Stb-tester as a runner of jobs: "Running tests" of its REST API.

Of the operations that exist by job and by node, those by node are read only: stopping or awaiting whatever a node
runs by then could hit somebody else's next job, so both go by the job found there.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from urllib.parse import quote

from testlab_tools.capabilities import JobRunner
from testlab_tools.errors import AnswerLost, BadInput, BadReply, LabError, NotFound, Refused, ServiceDown
from testlab_tools.http import Reply
from testlab_tools.models import Job
from testlab_tools.questions import TestOrder
from testlab_tools.stbtester.models import JobStatus
from testlab_tools.stbtester.nodes import login_of
from testlab_tools.stbtester.orders import body_of
from testlab_tools.stbtester.ownership import Ownership
from testlab_tools.stbtester.portal import path_of
from testlab_tools.stbtester.test_pack import no_revision
from testlab_tools.wire import decode

HOLD_SECONDS = 70.0
"""The portal lets go of a long poll with 202 after 55 seconds ("Wait for a job to finish")."""

LOST_LOOKS, LOST_PAUSE_S = 3, 1.0
"""How often, and how far apart, a node is looked at for a job whose order's answer was lost."""


class Jobs(Ownership, JobRunner):
    """Starts jobs, follows and stops them."""

    async def run_tests(self, node_id: str, order: TestOrder) -> Job:
        body = body_of(node_id, order)
        before = await self._status_on(node_id)
        try:
            reply = await self.client.send("POST", "/api/v2/run_tests", body=body)
            if reply.status != 200:
                raise await self._not_started(reply, node_id)
            started = decode(reply, JobStatus)
        except (AnswerLost, BadReply) as lost:
            return await self._started_after_all(node_id, before.job_uid if before else "", lost)
        self._started_here.add(started.job_uid)
        return self._job_noun(started)

    async def get_job(self, job_uid: str, patient: bool = True) -> Job:
        reply = await self.client.get(f"/api/v2/jobs{path_of(job_uid)}", retry=patient)
        return self._job_noun(decode(self.checked(reply, "job", _JOBS_ARE), JobStatus))

    async def node_job(self, node_id: str) -> Job:
        status = await self._status_on(node_id)
        if status is None:
            raise NotFound(f"Node {self.handle(node_id)} has never run a job", "", "run_tests starts one.")
        return self._job_noun(status)

    async def await_job(self, job_uid: str) -> bool:
        reply = await self.client.poll(f"/api/v2/jobs{path_of(job_uid)}/await_completion", HOLD_SECONDS)
        return self.checked(reply, "job", _JOBS_ARE, later=True).status == 200

    async def stop_job(self, job_uid: str) -> bool:
        reply = await self.client.poll(f"/api/v2/jobs{path_of(job_uid)}/stop", HOLD_SECONDS, "PUT")
        if reply.status == 403:
            raise await self._not_stopped(reply, job_uid)
        return self.checked(reply, "job", _JOBS_ARE, later=True).status == 200

    def owns_job(self, job_uid: str) -> bool:
        return job_uid.startswith("/")

    async def _status_on(self, node_id: str) -> JobStatus | None:
        """The node's current job or its last. 404 is an unknown node, or one that has never run a job."""
        reply = await self.client.get(f"/api/v2/nodes/{quote(node_id, safe='')}/job")
        if reply.status == 404:
            return (await self.node_status(node_id)).job
        return decode(self.checked(reply, "job of a node"), JobStatus)

    async def _started_after_all(self, node_id: str, before: str, lost: AnswerLost | BadReply) -> Job:
        """What became of an order whose answer was lost: told by the node, and never sent again."""
        node = self.handle(node_id)
        try:
            found = await self._newer_job(node_id, before)
            owner = await self.job_owner(found.job_uid) if found else None
        except LabError as error:
            raise AnswerLost(
                self.name,
                f"Whether the tests were started on node {node} is not known: the answer was lost",
                f"Its job could not be looked up either: {error}",
                f"get_job(node_id={node!r}) shows what runs; do not call run_tests again before.",
            ) from None
        if found is None or owner is None:
            raise AnswerLost(
                self.name,
                f"The answer was lost, and no job was started on node {node}: its last is the one before",
                lost.why,
                "It is safe to call run_tests again.",
            )
        if owner.yours is False:
            raise await self.conflict([node_id])
        note = "The answer was lost; this is the job that has begun on the node since. Nothing was sent twice."
        if owner.yours:
            self._started_here.add(found.job_uid)
        else:
            note += " That it is yours is not certain."
        return self._job_noun(found).model_copy(update={"note": note})

    async def _newer_job(self, node_id: str, before: str) -> JobStatus | None:
        for look in range(LOST_LOOKS):
            await asyncio.sleep(LOST_PAUSE_S if look else 0)
            status = await self._status_on(node_id)
            if status is not None and status.job_uid != before:
                return status
        return None

    async def _not_started(self, reply: Reply, node_id: str) -> LabError:
        """What a refused `run_tests` means: 403 and 404 have two meanings each, told apart by asking for the node."""
        node = self.handle(node_id)
        match reply.status:
            case 400:
                return BadInput(
                    f"{self.name} does not accept the order",
                    "The remote control, the category or a tag is wrong, or none was given",
                    "remote_control is needed unless the test pack sets a default.",
                )
            case 403:
                status = await self.node_status(node_id)
                if status.licence_expired(datetime.now(UTC)):
                    return Refused(f"The licence of node {node} has expired", "", _USABLE)
                return Refused(f"{self.name} does not let this user run tests on node {node}", "", _USABLE)
            case 404:
                await self.node_status(node_id)
                return no_revision()
            case 409:
                return await self.conflict([node_id])
            case 503:
                return ServiceDown(self.name, f"Node {node} is offline", "", _USABLE)
            case status if status >= 500:
                return AnswerLost(self.name, f"{self.name} failed over the order", f"It answered HTTP {status}")
            case _:
                return self.failure(reply, "node to run tests on")

    async def _not_stopped(self, reply: Reply, job_uid: str) -> LabError:
        """403 is a bad token, with which the node is refused as well, or somebody else's reservation."""
        status = await self.node_status(job_uid.strip("/").partition("/")[0])
        held = status.reservation
        if held is None or held.reserved_by_you:
            return self.failure(reply, "stopping the job")
        return Refused(
            f"Node {self.handle(status.node_id)} is reserved by {login_of(held.username)}",
            "Others cannot stop the jobs on it",
            "Ask them, or wait: list_nodes shows until when.",
        )

    def _job_noun(self, status: JobStatus) -> Job:
        counts = status.result_counts
        return Job(
            job_uid=self.handle(status.job_uid),
            node_id=self.handle(status.node_id),
            finished=status.status == "exited",
            passed=counts.passed,
            failed=counts.fail,
            errored=counts.error,
            total=counts.total,
            started_at=status.start_time,
            ended_at=status.end_time,
        )


_JOBS_ARE = "list_nodes shows each node's job; ids look like <service>:/<node>/<n>/<n>."
_USABLE = "list_nodes(available=true) shows nodes that can be used."
