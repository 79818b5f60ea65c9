"""What a service can offer. A tool asks for one of these; an adapter class inherits those it implements.

Ids going in are native; ids in what comes out are handles (`Service.handle`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from testlab_tools.http import ServiceClient
from testlab_tools.models import CreatedRun, FailedRun, Job, Node, Reservation, Run
from testlab_tools.questions import NewRun, RunQuery, TestOrder


class Service(ABC):
    """A configured instance of one kind of service."""

    kind: str

    def __init__(self, name: str, client: ServiceClient) -> None:
        self.name = name
        self.client = client

    def handle(self, native: str) -> str:
        """The handle of one of this service's native ids."""
        return f"{self.name}:{native}"

    @abstractmethod
    async def probe(self) -> Health:
        """Ask the cheapest question that needs the token, and say who we are to the service."""

    async def aclose(self) -> None:
        """Release the connections."""
        await self.client.aclose()


class Health(NamedTuple):
    """A service that answered: `account` as it knows us, `clock_skew_s` its clock ahead of ours (None: not said)."""

    account: str
    clock_skew_s: float | None = None


class Runs(NamedTuple):
    """A stretch of runs. `total` is None where the service does not say; `more` tells whether others follow."""

    runs: list[Run]
    more: bool
    total: int | None = None
    at_least: bool = False


class Image(NamedTuple):
    """A picture as the service sent it."""

    data: bytes
    media_type: str


class RunArchive(Service):
    """Holds runs: list them, and say what failed in one."""

    @abstractmethod
    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        """Up to `limit` runs that match, in the query's order, resuming after the run whose `position` is `after`."""

    @abstractmethod
    async def failures(self, run_id: str) -> list[FailedRun]:
        """The run with its failed cases (none when it passed); for a job's id, its runs that did not pass."""

    def owns_run(self, run_id: str) -> bool:
        """Whether a bare id has the shape of this service's run ids."""
        return bool(run_id)


class RunSink(Service):
    """Takes production runs."""

    @abstractmethod
    async def create_run(self, run: NewRun) -> CreatedRun:
        """Record a finished run; the service creates the unit when it does not know it."""


class NodeFarm(Service):
    """Has nodes to look at and to reserve."""

    @abstractmethod
    async def list_nodes(self) -> list[Node]:
        """Every node of the farm, whatever its state."""

    @abstractmethod
    async def get_node(self, node_id: str, detail: bool = False) -> Node:
        """One node; `detail` adds its configuration."""

    @abstractmethod
    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int) -> list[Reservation]:
        """Hold all the nodes or none. Raises Conflict when one is busy or held."""

    @abstractmethod
    async def end_reservation(self, reservation_id: str) -> None:
        """Give the node back. Raises Refused when somebody else holds it."""

    @abstractmethod
    async def screenshot(self, node_id: str, thumbnail: bool = False) -> Image:
        """What the device under test shows now."""

    @abstractmethod
    async def run_screenshot(self, run_id: str, thumbnail: bool = False) -> Image:
        """What it showed at the end of a run."""


class JobRunner(Service):
    """Runs test jobs on nodes."""

    @abstractmethod
    async def run_tests(self, node_id: str, order: TestOrder) -> Job:
        """Start a job and return at once. Raises Conflict when the node is busy or held by another."""

    @abstractmethod
    async def get_job(self, job_uid: str) -> Job:
        """The job as it stands."""

    @abstractmethod
    async def node_job(self, node_id: str) -> Job:
        """The node's current job, or its last."""

    def owns_job(self, job_uid: str) -> bool:
        """Whether a bare id has the shape of this service's job ids."""
        return bool(job_uid)

    @abstractmethod
    async def await_job(self, job_uid: str) -> bool:
        """Hold until the job ends or the service lets go; True when it has ended."""
