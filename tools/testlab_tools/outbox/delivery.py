"""Delivers one run with its files, or one report: tries, pauses and tries again until the service has it or refuses it
for good. Each delivery is a workflow of the engine, with one step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from testlab_tools.capabilities import AttachmentSink, ReportImporter, RunSink, Service
from testlab_tools.durable.engine import WorkflowFailed
from testlab_tools.errors import AnswerLost, ConfigError, Conflict, LabError, Unsupported
from testlab_tools.http.policy import Backoff, asked_by
from testlab_tools.models.lab import CreatedRun
from testlab_tools.outbox.payload import (
    OPERATOR,
    PASSING_OR_OPERATOR,
    REFUSALS,
    Contents,
    Failure,
    OnProgress,
    Payload,
    Progress,
    ReportPayload,
    RunPayload,
    decode,
    run_adapter,
)

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun
    from testlab_tools.outbox.store import Store


WORKFLOW = "deliver"
PROGRESS = "progress"
MAX_AT_ONCE = 4

logger = logging.getLogger("testlab_tools")


async def send_report(
    service: Service, payload: ReportPayload, contents: Contents, now: Progress, on_progress: OnProgress
) -> None:
    """Try once to have the service read a report. `now` is changed as the try proceeds: a report may have been imported
    only once it was uploaded.

    Raises:
        LabError: the report was not imported, or it is not known whether it was.
    """
    if not isinstance(service, ReportImporter):
        raise Unsupported(f"Service {service.name} reads no reports", "", "")
    if now.unsure and await _find_imported(service, payload, now):
        return
    now.attempts += 1
    begun = False

    async def importing() -> None:
        nonlocal begun
        begun = True
        await on_progress(now.sending())

    data = await contents(0)
    try:
        ids = await service.import_file(payload.name, data, payload.importer, payload.serial_number, importing)
    except REFUSALS:
        raise
    except Exception:
        now.unsure = now.unsure or begun
        raise
    now.run_ids = [service.handle(native) for native in ids]


async def _find_imported(service: ReportImporter, payload: ReportPayload, now: Progress) -> bool:
    """Whether the report has arrived after all. Raises Conflict when neither the service nor a person has said so."""
    earlier = [service.native(handle) for handle in payload.earlier]
    found = await service.find_imported(earlier, payload.serial_number, payload.started_at)
    if found is None and not (payload.checked and now.attempts == 0):
        raise Conflict(
            f"Whether {service.name} has imported the report is not known: the answer was lost",
            "It would import it twice, and the report does not tell us whose run it is, and when it began",
            "See in list_runs(unit=…) whether its run is there. If it is not, release the delivery; if it is, leave "
            "it parked.",
        )
    now.run_ids = [service.handle(native) for native in found or ()]
    now.unsure = False
    return bool(found)


async def send_run(
    service: Service, payload: RunPayload, contents: Contents, now: Progress, on_progress: OnProgress
) -> None:
    """Try once to send what the service lacks of a run and its files. `now` is changed as the try proceeds.

    Raises:
        LabError: the run or a file did not arrive. After a file that was refused for good, the others were still tried.
    """
    if not isinstance(service, RunSink):
        raise Unsupported(f"Service {service.name} takes no runs", "", "")
    if now.created is None:
        now.created = await _find_or_create(service, payload, now, on_progress)
    else:
        now.attempts += 1
    if len(now.sent) < len(payload.files):
        await _send_files(service, payload, contents, now, on_progress)


async def _find_or_create(sink: RunSink, payload: RunPayload, now: Progress, on_progress: OnProgress) -> CreatedRun:
    """The run as the service has it, recorded now or in an earlier try."""
    run = run_adapter().validate_python(payload.run)
    if now.unsure and (found := await sink.find_created(run)) is not None:
        if payload.earlier is None:
            return found
        now.sent, now.doubtful = list(payload.sent), list(payload.doubtful)
        return payload.earlier
    now.attempts += 1
    await on_progress(now.sending())
    try:
        return await sink.create_run(run)
    except REFUSALS:
        raise
    except Exception:
        now.unsure = True
        raise


async def _send_files(
    sink: RunSink, payload: RunPayload, contents: Contents, now: Progress, on_progress: OnProgress
) -> None:
    """Send the files that the run lacks. A file that may have arrived is looked for first."""
    assert now.created is not None
    if not isinstance(sink, AttachmentSink):
        raise Unsupported(f"Service {sink.name} keeps no files with runs", "", "")
    run_id = sink.native(now.created.run_id)
    refused: LabError | None = None
    for number, file in enumerate(payload.files):
        if number in now.sent:
            continue

        async def keeping(number: int = number) -> None:
            now.doubtful = sorted({*now.doubtful, number})
            await on_progress(now.sending())

        try:
            if number not in now.doubtful or not await _has_file(sink, run_id, payload, now, number):
                await sink.attach(run_id, file.name, await contents(number), keeping)
        except PASSING_OR_OPERATOR:
            raise
        except LabError as error:
            refused = refused or error
        else:
            now.sent.append(number)
            now.doubtful = [other for other in now.doubtful if other != number]
    if refused is not None:
        raise refused


async def _has_file(sink: AttachmentSink, run_id: str, payload: RunPayload, now: Progress, number: int) -> bool:
    """Whether a file that may have arrived is with the run. Raises Conflict where the service lists no files."""
    attached = await sink.list_attached(run_id)
    if attached is None:
        raise Conflict(
            f"Whether {sink.name} keeps a file with the run is not known: the answer was lost",
            "It does not tell a run's files, and would keep it twice",
            "Look at the run there. Release the delivery to send it again; if it is there, leave it parked.",
        )
    file = payload.files[number]
    like = [n for n in now.sent if (payload.files[n].name, payload.files[n].size) == (file.name, file.size)]
    return sum(known.name == file.name and known.size in (None, file.size) for known in attached) > len(like)


@dataclass(frozen=True)
class RetrySchedule:
    """Pauses between tries, in seconds: doubling from the first to the longest, half of each random.

    `settle_s` is the least pause after a lost answer, before the service is asked whether the run arrived.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    settle_s: float = 5.0

    def pause(self, attempts: int, error: LabError) -> float:
        """Seconds until the next try, after so many tries."""
        if isinstance(error, OPERATOR):
            return self.longest_s
        pause = min(self.longest_s, Backoff(self.first_s, self.longest_s).pause(attempts, asked_by(error)))
        return max(pause, self.settle_s) if isinstance(error, AnswerLost) else pause


class Deliverer:
    """Sends to the services of one config, MAX_AT_ONCE deliveries to each at a time."""

    def __init__(self, services: Mapping[str, Service], schedule: RetrySchedule) -> None:
        self._services = services
        self._schedule = schedule
        self._slots = {name: asyncio.Semaphore(MAX_AT_ONCE) for name in services}

    async def deliver(
        self, service: str, payload: Payload, contents: Contents, before: Progress, on_progress: OnProgress
    ) -> Progress:
        """Try until the payload is delivered or parked, and return how it went. `before` is the progress noted last, by
        this process or another."""
        now = before.model_copy(deep=True)
        if now.state == "sending":
            now.unsure = True
            await asyncio.sleep(self._schedule.settle_s)
        while True:
            try:
                await self._send(service, payload, contents, now, on_progress)
                return now.model_copy(update={"state": "delivered", "failure": None, "next_try_at": None})
            except LabError as error:
                now = self._note_failure(error, now)
            except Exception:
                logger.exception("a delivery to %s failed in a way nobody foresaw", service)
                error = LabError("Something went wrong inside this server", "", "Its log has it.")
                now = self._note_failure(error, now)
            if now.state == "parked":
                return now
            await on_progress(now)
            assert now.next_try_at is not None
            await asyncio.sleep(max(0.0, (now.next_try_at - datetime.now(UTC)).total_seconds()))

    async def _send(
        self, name: str, payload: Payload, contents: Contents, now: Progress, on_progress: OnProgress
    ) -> None:
        service = self._services.get(name)
        if service is None:
            raise ConfigError(
                f"No service {name} is configured",
                "It was renamed or taken out of the config since the delivery was given",
                f"A table [services.{name}] in the config takes it up again.",
            )
        async with self._slots[name]:
            if isinstance(payload, RunPayload):
                await send_run(service, payload, contents, now, on_progress)
            else:
                await send_report(service, payload, contents, now, on_progress)

    def _note_failure(self, error: LabError, now: Progress) -> Progress:
        """The progress after an error: queued for another try, or parked."""
        attempts = max(1, now.attempts)
        waits = isinstance(error, PASSING_OR_OPERATOR)
        pause = timedelta(seconds=self._schedule.pause(attempts, error))
        changes = {
            "state": "queued" if waits else "parked",
            "attempts": attempts,
            "failure": Failure.from_error(error),
            "next_try_at": datetime.now(UTC) + pause if waits else None,
        }
        return now.model_copy(update=changes)


class Parked(WorkflowFailed):
    """Ends the workflow of a delivery that is parked; DBOS stores the name of the class."""


class DeliveryWorker:
    """Delivers to services that it closes at its end."""

    def __init__(self, store: Store, services: Iterable[Service], schedule: RetrySchedule) -> None:
        self._store = store
        self._services = {service.name: service for service in services}
        self._deliverer = Deliverer(self._services, schedule)

    async def run(self, workflow: WorkflowRun, *inputs: Any) -> dict[str, Any]:
        """Deliver what the inputs say; returns how it went. Raises Parked."""
        service, *content = inputs
        progress = await workflow.step("send", self._send, workflow, service, content)
        if len(content) > 1:  # it may have files
            await asyncio.to_thread(self._store.delete_files, parse_delivery_id(workflow.workflow_id))
        return progress

    async def aclose(self) -> None:
        for service in self._services.values():
            await service.aclose()

    async def _send(self, workflow: WorkflowRun, service: str, content: Sequence[Any]) -> dict[str, Any]:
        delivery_id = parse_delivery_id(workflow.workflow_id)

        async def read_file(number: int) -> bytes:
            return await asyncio.to_thread(self._store.blobs.read, delivery_id, number)

        async def note(progress: Progress) -> None:
            await workflow.set_event(PROGRESS, progress.model_dump(mode="json"))

        before = await asyncio.to_thread(self._store.last_progress, workflow.workflow_id)
        done = await self._deliverer.deliver(service, decode(content), read_file, before, note)
        if done.state == "parked":
            await note(done)
            raise Parked(str(done.failure))
        return done.model_dump(mode="json")


def parse_delivery_id(workflow_id: str) -> str:
    """The delivery that a workflow is a generation of."""
    return workflow_id.rpartition(".")[0]
