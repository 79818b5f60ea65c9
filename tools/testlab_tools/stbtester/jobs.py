"""Stb-tester as a runner of jobs: "Running tests" of its REST API."""

from __future__ import annotations

from datetime import UTC, datetime

from testlab_tools.capabilities import JobRunner
from testlab_tools.errors import BadInput, LabError, NotFound, Refused, ServiceDown
from testlab_tools.http import Reply
from testlab_tools.models import Job
from testlab_tools.questions import TestOrder
from testlab_tools.stbtester.models import JobStatus
from testlab_tools.stbtester.nodes import Nodes
from testlab_tools.stbtester.portal import path_of
from testlab_tools.wire import decode

HOLD_SECONDS = 70.0
"""The portal lets go of a long poll with 202 after 55 seconds ("Wait for a job to finish")."""


class Jobs(Nodes, JobRunner):
    """Starts jobs and follows them."""

    async def run_tests(self, node_id: str, order: TestOrder) -> Job:
        body: dict[str, object] = {
            "node_id": node_id,
            "test_pack_revision": order.test_pack_revision,
            "test_cases": list(order.test_cases),
        }
        if order.remote_control:
            body["remote_control"] = order.remote_control
        if order.category:
            body["category"] = checked_category(order.category)
        if order.soak:
            body["soak"] = "run forever"
        if order.shuffle:
            body["shuffle"] = True
        if order.tags:
            body["tags"] = dict(order.tags)
        reply = await self.client.send("POST", "/api/v2/run_tests", body=body)
        if reply.status != 200:
            raise await self._not_started(reply, node_id)
        return self._job_noun(decode(reply, JobStatus))

    async def get_job(self, job_uid: str) -> Job:
        reply = await self.client.get(f"/api/v2/jobs{path_of(job_uid)}")
        return self._job_noun(decode(self.checked(reply, "job", _JOBS_ARE), JobStatus))

    async def node_job(self, node_id: str) -> Job:
        status = await self.node_status(node_id)
        if status.job is None:
            raise NotFound(f"Node {self.handle(node_id)} has never run a job", "", "run_tests starts one.")
        return self._job_noun(status.job)

    async def await_job(self, job_uid: str) -> bool:
        reply = await self.client.poll(f"/api/v2/jobs{path_of(job_uid)}/await_completion", HOLD_SECONDS)
        if reply.status in (429, 502, 503, 504):
            return False
        return self.checked(reply, "job", _JOBS_ARE).status == 200

    def owns_job(self, job_uid: str) -> bool:
        return job_uid.startswith("/")

    async def _not_started(self, reply: Reply, node_id: str) -> LabError:
        """What a refused `run_tests` means: 403 and 404 have two meanings each, told apart by asking for the node."""
        match reply.status:
            case 400:
                return BadInput(
                    f"{self.name} does not accept the order",
                    "A test case name, the remote control, the category or a tag is wrong, or none was given",
                    "remote_control is needed unless the test pack sets a default.",
                )
            case 403:
                status = await self.node_status(node_id)
                if status.licence_expired(datetime.now(UTC)):
                    return Refused(
                        f"The licence of node {self.handle(node_id)} has expired",
                        "",
                        "list_nodes(available=true) shows nodes that can be used.",
                    )
                return Refused(f"{self.name} does not let this user run tests on node {self.handle(node_id)}")
            case 404:
                await self.node_status(node_id)
                return NotFound(
                    "The test pack has no such revision", "", "Give a branch, tag or commit SHA of the test pack."
                )
            case 409:
                return await self.conflict([node_id])
            case 503:
                return ServiceDown(
                    self.name,
                    f"Node {self.handle(node_id)} is offline",
                    "",
                    "list_nodes(available=true) shows nodes that can be used.",
                )
            case _:
                return self.failure(reply, "node to run tests on")

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


def checked_category(category: str) -> str:
    """The category, if it keeps the rules of "Run tests": not empty, no `/ : $`, no control character, not led by
    `.` or `-`. Raises BadInput otherwise."""
    if any(c in "/:$" or ord(c) < 32 or 127 <= ord(c) < 160 for c in category) or category[:1] in (".", "-"):
        raise BadInput(
            "The category is not one Stb-tester takes",
            "It must not contain / : $ or control characters, nor begin with . or -",
            "Give another category, or none for 'default'.",
        )
    return category


_JOBS_ARE = "list_nodes shows each node's job; ids look like <service>:/<node>/<n>/<n>."
