"""Services that run test jobs on nodes."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.models import Job
from testlab_tools.questions import TestOrder


class JobOwner(NamedTuple):
    """Who started a job: `yours` is None when it cannot be told, `login` empty when no name is known."""

    yours: bool | None
    login: str = ""


class JobRunner(Service):
    """Runs test jobs on nodes."""

    @abstractmethod
    async def run_tests(self, node_id: str, order: TestOrder) -> Job:
        """Start a job and return at once. Raises Conflict when the node is busy or held by another."""

    @abstractmethod
    async def get_job(self, job_uid: str, patient: bool = True) -> Job:
        """The job as it stands; asked once, without retries, by a caller that is not `patient`."""

    @abstractmethod
    async def node_job(self, node_id: str) -> Job:
        """The node's current job, or its last."""

    def owns_job(self, job_uid: str) -> bool:
        """Whether a bare id has the shape of this service's job ids."""
        return bool(job_uid)

    @abstractmethod
    async def await_job(self, job_uid: str) -> bool:
        """Hold until the job ends or the service lets go; True when it has ended. Asked once, without retries."""

    @abstractmethod
    async def stop_job(self, job_uid: str) -> bool:
        """Stop the job and hold until it has or the service lets go; True when it has stopped.

        Asking again does no harm. Raises Refused when somebody else holds the node.
        """

    @abstractmethod
    async def job_owner(self, job_uid: str) -> JobOwner:
        """Who started a running job, as far as the service's own records prove it."""


class TestPack(Service):
    """Holds the test cases that jobs can run."""

    __test__ = False

    @abstractmethod
    async def list_test_cases(self, revision: str) -> list[str]:
        """Names of all test cases of a revision, in the service's order. Raises NotFound when there is no such."""
