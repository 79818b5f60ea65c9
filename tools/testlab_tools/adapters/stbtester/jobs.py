"""Stb-tester as a runner of jobs: "Running tests" of its REST API.

Of the operations that exist by job and by node, those by node are read only: stopping or awaiting whatever a node
runs by then could hit somebody else's next job, so both go by the job found there. No endpoint says who started a job;
what the portal keeps of nodes and results can prove it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from testlab_tools.adapters.stbtester.models import (
    JobStatus,
    NodeStatus,
    ResultDetail,
    ResultRow,
    node_of,
    path_of,
)
from testlab_tools.adapters.stbtester.nodes import Nodes
from testlab_tools.adapters.stbtester.test_pack import Pack, body_of
from testlab_tools.capabilities import JobOwner, JobRunner
from testlab_tools.errors import AnswerLost, BadInput, BadReply, Conflict, LabError, NotFound, Refused
from testlab_tools.http import Reply, ServiceClient
from testlab_tools.http.errors import lost, unlisted
from testlab_tools.http.policy import look_up
from testlab_tools.http.response import decode
from testlab_tools.models.jobs import Job
from testlab_tools.models.requests import TestOrder
from testlab_tools.untrusted import login_of


def starter(node: NodeStatus, job_uid: str) -> str:
    """Who started the node's job, if nobody has used the node since: starting a job is a use ("last_used_by")."""
    job = node.job
    if job is None or job.job_uid != job_uid or not _began_before(node.last_used_time, job):
        return ""
    return node.last_used_by or ""


def _began_before(moment: datetime | None, job: JobStatus) -> bool:
    return moment is not None and job.start_time is not None and moment <= job.start_time


HOLD_SECONDS = 70.0
"""The portal lets go of a long poll with 202 after 55 seconds ("Wait for a job to finish")."""

STARTS, STOPS = frozenset({200, 400, 401, 403, 404, 409, 429, 503}), frozenset({200, 202, 401, 403, 404, 429})
"""The "Status Codes" of "Run tests" and "Stop a job in progress", and HTTP's own word for a token that is not taken."""


class Sent(NamedTuple):
    """An order on its way, with the node's last job `before` it."""

    node_id: str
    order: TestOrder
    before: str

    def could_be(self, job: JobStatus) -> bool:
        """Whether a job that began afterwards may be this one."""
        return self.order.soak or job.result_counts.total in (0, len(self.order.test_cases))


class Jobs(Nodes, Pack, JobRunner):
    """Starts jobs, follows and stops them. Remembers those that were started here, and finds out about others."""

    def __init__(self, name: str, client: ServiceClient) -> None:
        super().__init__(name, client)
        self._started_here: set[str] = set()
        self._account = ""

    async def run_tests(self, node_id: str, order: TestOrder) -> Job:
        body = body_of(node_id, order)
        before = await self._status_on(node_id)
        sent = Sent(node_id, order, before.job_uid if before else "")
        answer: Reply | AnswerLost | BadReply
        try:
            answer = await self.change("POST", "/api/v2/run_tests", STARTS, body)
            if answer.status == 200:
                started = decode(answer, JobStatus)
                if started.node_id == node_id and started.job_uid != sent.before:
                    self._started_here.add(started.job_uid)
                    return self._make_job(started)
                answer = unlisted(self.name, answer.status, "an order of tests with another job, and")
        except (AnswerLost, BadReply) as unanswered:
            answer = unanswered
        return await self._look_up_started(sent, answer)

    async def get_job(self, job_uid: str, patient: bool = True) -> Job:
        reply = await self.client.get(f"/api/v2/jobs{path_of(job_uid)}", retry=patient)
        return self._make_job(decode(await self._check_job(reply, job_uid), JobStatus))

    async def get_node_job(self, node_id: str) -> Job:
        status = await self._status_on(node_id)
        if status is None:
            raise NotFound(f"Node {self.handle(node_id)!r} has never run a job", "", "run_tests starts one.")
        return self._make_job(status)

    async def await_job(self, job_uid: str) -> bool:
        reply = await self.client.poll(f"/api/v2/jobs{path_of(job_uid)}/await_completion", HOLD_SECONDS)
        return (await self._check_job(reply, job_uid, later=True)).status == 200

    async def stop_job(self, job_uid: str) -> bool:
        try:
            reply = await self.client.poll(f"/api/v2/jobs{path_of(job_uid)}/stop", HOLD_SECONDS, "PUT")
        except BadReply as unread:
            raise lost(self.name, "PUT", unread.what) from None
        if reply.is_web_page or reply.status not in STOPS:
            raise lost(self.name, "PUT", f"HTTP {reply.status} does not say whether the job was stopped")
        if reply.status == 403:
            raise await self._not_stopped(reply, job_uid)
        if reply.status == 404 and await self.has_job(job_uid):
            raise self.contradiction(reply, "PUT")
        return (await self._check_job(reply, job_uid, later=True)).status == 200

    async def _check_job(self, reply: Reply, job_uid: str, *, later: bool = False) -> Reply:
        shown = "list_nodes shows each node's job; ids look like <service>:/<node>/<n>/<n>."
        return await self.check_found(reply, "job", shown, lambda: self.has_job(job_uid), about=job_uid, later=later)

    async def get_job_owner(self, job_uid: str) -> JobOwner:
        if job_uid in self._started_here:
            return JobOwner(True)
        node = await self.get_status(node_of(job_uid))
        held = node.reservation
        if held and node.job and node.job.job_uid == job_uid and _began_before(held.start_time, node.job):
            # "You can reserve a node so that other users can't start test jobs" ("Reservations").
            return JobOwner(held.reserved_by_you, login_of(held.username))
        login = starter(node, job_uid) or await self._username_of_results(job_uid)
        if not login:
            return JobOwner(None)
        me = await self._login()
        return JobOwner(login == me if me else None, login_of(login))

    async def is_own_job(self, job_uid: str) -> bool:
        return bool((await self.get_job_owner(job_uid)).yours)

    async def _username_of_results(self, job_uid: str) -> str:
        """ "Get detailed information about a test run": `username` is "the user who started the test-job"."""
        reply = await self.client.get("/api/v2/results", {"filter": f"job:{job_uid}", "sort": "date:asc"})
        rows = decode(self.check(reply, "list of the job's results"), list[ResultRow])
        for row in rows[:1]:
            detail = await self.client.get(f"/api/v2/results{path_of(row.result_id)}")
            return decode(self.check(detail, "result"), ResultDetail).username or ""
        return ""

    async def _login(self) -> str:
        """Who we are to the portal; empty for one that does not say (`GET /api/v2/user` is not documented)."""
        self._account = self._account or (await self.probe()).account
        return self._account

    def owns_job(self, job_uid: str) -> bool:
        return job_uid.startswith("/")

    async def _status_on(self, node_id: str) -> JobStatus | None:
        """The node's current job or its last. 404 is an unknown node, or one that has never run a job."""
        reply = await self.client.get(f"{self.node_path(node_id)}/job")
        if reply.status == 404:
            return (await self.get_status(node_id)).job
        return decode(self.check(reply, "job of a node"), JobStatus)

    async def _look_up_started(self, sent: Sent, answer: Reply | AnswerLost | BadReply) -> Job:
        """What became of an order that was not answered with its job: told by the node, and never sent again. A refusal
        is asked about once: a proxy can answer with any status after the work."""
        node, refused = self.handle(sent.node_id), isinstance(answer, Reply)

        async def look() -> Job | None:
            return await self._find_begun(sent, self.looks[:1])

        try:
            found = await self._find_begun(sent, self.looks[:1] if refused else self.looks, certainly=refused)
        except Conflict:
            raise
        except LabError as error:
            raise AnswerLost(
                self.name,
                f"Whether the tests were started on node {node!r} is not known: the answer was lost",
                f"Its job could not be looked up either: {error}",
                f"get_job(node_id={node!r}) shows what runs; do not call run_tests again before.",
                look,
            ) from None
        if found is not None:
            return found
        if isinstance(answer, Reply):
            raise await self._not_started(answer, sent)
        raise self.not_begun(node, answer, look)

    def not_begun(
        self, node: str, answer: AnswerLost | BadReply, look: Callable[[], Awaitable[Job | None]] | None
    ) -> AnswerLost:
        """An order of which nothing is seen on its node."""
        return AnswerLost(
            self.name,
            f"The answer was lost, and no job was started on node {node!r} so far: its last is the one before",
            answer.why,
            "It is safe to call run_tests again with the same arguments.",
            look,
        )

    async def _find_begun(self, sent: Sent, looks: Sequence[float], certainly: bool = False) -> Job | None:
        """The job that has begun on the node since the order was sent; `certainly`: only one that is certainly ours.
        Otherwise raises Conflict when it is certainly another's."""
        found = await look_up(lambda: self._find_newer_job(sent), looks)
        if found is None:
            return None
        if found.job_uid in self._started_here:  # another call was told that it is its own
            if certainly or found.status == "exited":
                return None
            raise await self.conflict([sent.node_id])
        owner = await self.get_job_owner(found.job_uid)
        if certainly and not (owner.yours and sent.could_be(found)):
            return None
        if owner.yours is False or not sent.could_be(found):
            raise await self.conflict([sent.node_id])
        note = "The answer was lost; this is the job that has begun on the node since. Nothing was sent twice."
        if owner.yours:
            self._started_here.add(found.job_uid)
        else:
            note += " That it is yours is not certain."
        return self._make_job(found).model_copy(update={"note": note})

    async def _find_newer_job(self, sent: Sent) -> JobStatus | None:
        status = await self._status_on(sent.node_id)
        return status if status is not None and status.job_uid != sent.before else None

    async def _not_started(self, reply: Reply, sent: Sent) -> LabError:
        """What a refused `run_tests` means: 403 and 404 have two meanings each, told apart by asking for the node."""
        node_id, node = sent.node_id, self.handle(sent.node_id)
        match reply.status:
            case 400:
                return BadInput(
                    f"{self.name} does not accept the order",
                    "The remote control, the category or a tag is wrong, or none was given",
                    "remote_control is needed unless the test pack sets a default.",
                )
            case 403:
                status = await self.get_status(node_id)
                if status.licence_expired:
                    return Refused(f"The licence of node {node!r} has expired", "", _USABLE)
                return Refused(f"{self.name} does not let this user run tests on node {node!r}", "", _USABLE)
            case 404:
                await self.get_status(node_id)
                await self.list_test_cases(sent.order.test_pack_revision)
                return self.not_begun(node, self.contradiction(reply, "POST"), None)
            case 409:
                return await self.conflict([node_id])
            case 503:
                return await self.not_answering(node_id, "No job was started")
            case _:
                return self.failure(reply, "the order")

    async def _not_stopped(self, reply: Reply, job_uid: str) -> LabError:
        """403 is a bad token, with which the node is refused as well, or somebody else's reservation."""
        status = await self.get_status(node_of(job_uid))
        held = status.reservation
        if held is None or held.reserved_by_you:
            return self.failure(reply, "stopping the job")
        return Refused(
            f"Node {self.handle(status.node_id)!r} is reserved by {login_of(held.username)}",
            "Others cannot stop the jobs on it",
            "Ask them, or wait: list_nodes shows until when.",
        )

    def _make_job(self, status: JobStatus) -> Job:
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


_USABLE = "list_nodes(available=true) shows nodes that can be used."
