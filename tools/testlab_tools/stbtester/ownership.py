"""Whose a running job is. No endpoint says so; what the portal keeps of nodes and results can prove it."""

from __future__ import annotations

from datetime import datetime

from testlab_tools.capabilities import JobOwner
from testlab_tools.errors import NotFound
from testlab_tools.http import ServiceClient
from testlab_tools.stbtester.models import JobStatus, NodeStatus, ResultDetail, ResultRow
from testlab_tools.stbtester.nodes import Nodes, login_of
from testlab_tools.stbtester.portal import path_of
from testlab_tools.wire import decode


class Ownership(Nodes):
    """Remembers the jobs started here, and finds out about others."""

    def __init__(self, name: str, client: ServiceClient) -> None:
        super().__init__(name, client)
        self._started_here: set[str] = set()
        self._account = ""

    async def job_owner(self, job_uid: str) -> JobOwner:
        if job_uid in self._started_here:
            return JobOwner(True)
        node = await self.node_status(job_uid.strip("/").partition("/")[0])
        held = node.reservation
        if held and node.job and node.job.job_uid == job_uid and _began_before(held.start_time, node.job):
            # "You can reserve a node so that other users can't start test jobs" ("Reservations").
            return JobOwner(held.reserved_by_you, login_of(held.username))
        login = starter(node, job_uid) or await self._username_of_results(job_uid)
        if not login:
            return JobOwner(None)
        me = await self._login()
        return JobOwner(login == me if me else None, login_of(login))

    async def _username_of_results(self, job_uid: str) -> str:
        """ "Get detailed information about a test run": `username` is "the user who started the test-job"."""
        reply = await self.client.get("/api/v2/results", {"filter": f"job:{job_uid}", "sort": "date:asc"})
        rows = decode(self.checked(reply, "list of the job's results"), list[ResultRow])
        for row in rows[:1]:
            detail = await self.client.get(f"/api/v2/results{path_of(row.result_id)}")
            return decode(self.checked(detail, "result"), ResultDetail).username or ""
        return ""

    async def _login(self) -> str:
        """Who we are to the portal; empty for one that does not say (`GET /api/v2/user` is not documented)."""
        try:
            self._account = self._account or (await self.probe()).account
        except NotFound:
            return ""
        return self._account


def starter(node: NodeStatus, job_uid: str) -> str:
    """Who started the node's job, if nobody has used the node since: starting a job is a use ("last_used_by")."""
    job = node.job
    if job is None or job.job_uid != job_uid or not _began_before(node.last_used_time, job):
        return ""
    return node.last_used_by or ""


def _began_before(moment: datetime | None, job: JobStatus) -> bool:
    return moment is not None and job.start_time is not None and moment <= job.start_time
