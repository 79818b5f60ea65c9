"""What a service can offer. A tool asks for one of these; an adapter class inherits those it implements.

Ids going in are native; ids in what comes out are handles (`Service.handle`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple

from testlab_tools.http import ServiceClient
from testlab_tools.models import CreatedRun, FailedRun, Job, Node, Reservation, Run, Unit
from testlab_tools.questions import NewRun, RunQuery, TestOrder, UnitChange
from testlab_tools.records import RunDetail

DETAILED_FAILURES = 20
"""How many failed runs of a job are read one by one, to bound the requests of one call."""


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


class JobOwner(NamedTuple):
    """Who started a job: `yours` is None when it cannot be told, `login` empty when no name is known."""

    yours: bool | None
    login: str = ""


class KeptFile(NamedTuple):
    """A file that a run kept, with its name as the service has it: it may hold anything. `size` is in bytes."""

    name: str
    size: int | None = None


class Download(NamedTuple):
    """A file as it comes, to be read once, within the context that gave it."""

    chunks: AsyncIterator[bytes]


class Export(NamedTuple):
    """What was written: `runs` in the report, of `listed` that the service lists, asked for in `pages`."""

    runs: int
    listed: int
    pages: int


class RunArchive(Service):
    """Holds runs: list them, tell of one, and say what failed in it."""

    @abstractmethod
    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        """Up to `limit` runs that match, in the query's order, resuming after the run whose `position` is `after`."""

    @abstractmethod
    async def failures(self, run_id: str) -> list[FailedRun]:
        """The run with its failed cases (none when it passed); for a job's id, its runs that did not pass, oldest
        first, of which DETAILED_FAILURES with traceback and artifacts."""

    @abstractmethod
    async def get_run(self, run_id: str) -> RunDetail:
        """All that the service tells of one run."""

    def owns_run(self, run_id: str) -> bool:
        """Whether a bare id has the shape of this service's run ids."""
        return bool(run_id)


class LogKeeper(Service):
    """Keeps the logs of runs."""

    @abstractmethod
    def open_log(self, run_id: str, tz: str) -> AbstractAsyncContextManager[Download]:
        """A run's log, UTF-8 lines; `tz` is the Olson name of the zone for its timestamps."""


class ArtifactKeeper(Service):
    """Keeps files that runs made."""

    @abstractmethod
    async def list_artifacts(self, run_id: str) -> list[KeptFile]:
        """The files a run kept, by name."""

    @abstractmethod
    def open_artifact(self, run_id: str, name: str) -> AbstractAsyncContextManager[Download]:
        """One of these files, named as `list_artifacts` does."""


class RunExport(Service):
    """Writes reports of many runs."""

    @abstractmethod
    async def export_runs(
        self, query: RunQuery, form: Literal["csv", "junit"], write: Callable[[bytes], Awaitable[None]]
    ) -> Export:
        """Write all runs that match, newest first, none twice: a CSV table or one JUnit XML document."""


class RunSink(Service):
    """Takes production runs."""

    @abstractmethod
    async def create_run(self, run: NewRun) -> CreatedRun:
        """Record a finished run; the service creates the unit when it does not know it.

        An answer that was lost is looked up; a run of the same `ref` is recorded once where the service can tell.
        """

    @abstractmethod
    async def find_created(self, run: NewRun) -> CreatedRun | None:
        """The run as it was recorded before, if it was: of that serial number, procedure and start time."""

    def foresee(self, run: NewRun) -> list[str]:
        """What the service would not keep of a run, in our words, without asking it.

        Raises BadInput for a run it would refuse by its form.
        """
        return []


class AttachmentSink(Service):
    """Takes files to keep with runs."""

    most_bytes: int
    """How large a file may be."""

    @abstractmethod
    async def attach(self, run_id: str, name: str, data: bytes) -> None:
        """Keep a file with a run. Raises BadInput when it is too large."""


class RunContents(NamedTuple):
    """A run and what goes with it when it is deleted; `attachments` is None where the service does not say."""

    run: Run
    phases: int
    measurements: int
    attachments: int | None = None


class RunEraser(Service):
    """Deletes runs, for good."""

    @abstractmethod
    async def run_contents(self, run_id: str) -> RunContents:
        """What deleting the run would take with it, as it stands now."""

    @abstractmethod
    async def delete_run(self, run_id: str) -> None:
        """Delete a run with its phases, measurements and attachments."""


class UnitArchive(RunArchive):
    """Finds the runs of a unit: its `list_runs` goes by serial number (`RunQuery.unit`)."""


class UnitRegistry(Service):
    """Keeps units, and what is built into them."""

    @abstractmethod
    async def get_unit(self, serial_number: str) -> Unit:
        """A unit as the service knows it. Raises NotFound when it knows none."""

    @abstractmethod
    async def update_unit(self, serial_number: str, change: UnitChange) -> Unit:
        """Change what `change` names, and nothing else; the unit as it is then."""

    @abstractmethod
    async def count_runs(self, serial_number: str) -> tuple[int, bool]:
        """How many runs a unit has, and whether that is all: False when there are more than were counted."""

    @abstractmethod
    async def delete_unit(self, serial_number: str) -> None:
        """Delete a unit with all its runs."""


class ReportImporter(Service):
    """Reads report files of test frameworks by itself."""

    importers: frozenset[str]
    """Names of its importers, as the service spells them: `OPENHTF`, `WATS`, ..."""

    @abstractmethod
    async def import_file(self, name: str, data: bytes, importer: str, serial_number: str = "") -> list[str]:
        """Upload a report and have one of `importers` read it; native ids of the runs it became.

        `serial_number`, where it is known, becomes part of ids that need it. Raises BadInput when the service cannot
        read the report, Unsupported when it has no such importer.
        """


class NodeFarm(Service):
    """Has nodes to look at and to reserve."""

    @abstractmethod
    async def list_nodes(self) -> list[Node]:
        """Every node of the farm, whatever its state."""

    @abstractmethod
    async def get_node(self, node_id: str, detail: bool = False) -> Node:
        """One node; `detail` adds its configuration."""

    @abstractmethod
    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int | None) -> list[Reservation]:
        """Hold all the nodes or none; without a duration, until ended. Raises Conflict when one is busy or held."""

    @abstractmethod
    async def reservation(self, reservation_id: str) -> Reservation:
        """A reservation as it stands. Raises NotFound when it has ended or never was."""

    @abstractmethod
    async def extend_reservation(self, reservation_id: str, seconds: int) -> Reservation:
        """Move its expiry by so many seconds. Raises Refused when somebody else holds it."""

    @abstractmethod
    async def interrupt_reservation(self, reservation_id: str, message: str) -> None:
        """End somebody else's reservation; they are shown the message."""

    @abstractmethod
    async def end_reservation(self, reservation_id: str) -> None:
        """Give the node back. Raises Refused when somebody else holds it."""

    @abstractmethod
    async def screenshot(self, node_id: str, thumbnail: bool = False) -> Image:
        """What the device under test shows now."""

    @abstractmethod
    async def run_screenshot(self, run_id: str, thumbnail: bool = False) -> Image:
        """What it showed at the end of a run."""


class RemoteControl(Service):
    """Presses keys of a device's remote control."""

    @abstractmethod
    async def press_key(self, node_id: str, key: str, remote_control: str, test_pack_revision: str) -> None:
        """Press one key. Raises Conflict when the node is busy or held by another."""


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
