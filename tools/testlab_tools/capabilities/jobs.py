"""Services that run test jobs on nodes, and know which test cases can be run."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from testlab_tools.capabilities.nodes import NodeInventory, NodeReservations
from testlab_tools.capabilities.runs import RunArchive
from testlab_tools.capabilities.service import Service
from testlab_tools.models.jobs import Job
from testlab_tools.models.requests import TestOrder


class JobOwner(NamedTuple):
    """Who started a job: `yours` is None when it cannot be told, `login` empty when no name is known."""

    yours: bool | None
    login: str = ""


class JobRunner(Service):
    """Runs test jobs on nodes."""

    @abstractmethod
    async def run_tests(self, node_id: str, order: TestOrder) -> Job:
        """Start a job and return at once.

        The adapter looks up an order whose answer was lost on its node, and never sends it again.

        Raises:
            Conflict: the node is busy or held by another.
            AnswerLost: whether the job was started is not known; `look` finds it later.
        """

    @abstractmethod
    async def get_job(self, job_uid: str, patient: bool = True) -> Job:
        """Return the job as it stands; asked once, without retries, by a caller that is not `patient`."""

    @abstractmethod
    async def get_node_job(self, node_id: str) -> Job:
        """Return the node's current job, or its last. Raises NotFound when it has never run one."""

    def owns_job(self, job_uid: str) -> bool:
        """Whether a bare id has the shape of this service's job ids."""
        return bool(job_uid)

    async def await_job(self, job_uid: str) -> bool:
        """Hold until the job ends or the service lets go; True when it has ended. Asked once, without retries.

        A service that cannot hold a request answers at once, and is polled.
        """
        return (await self.get_job(job_uid, patient=False)).finished

    @abstractmethod
    async def stop_job(self, job_uid: str) -> bool:
        """Stop the job and hold until it has or the service lets go; True when it has stopped.

        To stop a job again, or one that has ended, is no error: callers repeat the request until it has stopped, and
        look the job up themselves when an answer was lost. Raises Refused when somebody else holds the node.
        """

    async def get_job_owner(self, job_uid: str) -> JobOwner:
        """Return who started a running job, as far as the service's own records prove it."""
        return JobOwner(None)


class JobFarm(RunArchive, NodeInventory, NodeReservations, JobRunner):
    """Runs jobs on nodes that can be reserved, and keeps their runs: what a campaign needs."""


class TestPack(Service):
    """Holds the test cases that jobs can run."""

    __test__ = False

    @abstractmethod
    async def list_test_cases(self, revision: str) -> list[str]:
        """Return the names of all test cases of a revision, in the service's order.

        Raises NotFound when there is no such revision.
        """
