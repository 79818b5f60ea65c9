"""Deliveries as the engine runs them: one workflow each, whose only step tries until it is delivered or parked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from testlab_tools.capabilities import Service
from testlab_tools.durable.engine import WorkflowFailed, WorkflowRun
from testlab_tools.outbox.delivery import Deliverer, RetrySchedule
from testlab_tools.outbox.payload import Progress, decode

if TYPE_CHECKING:
    from testlab_tools.outbox.store import Store

WORKFLOW = "deliver"
PROGRESS = "progress"


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
            await asyncio.to_thread(self._store.delete_files, delivery_id_of(workflow.workflow_id))
        return progress

    async def aclose(self) -> None:
        for service in self._services.values():
            await service.aclose()

    async def _send(self, workflow: WorkflowRun, service: str, content: Sequence[Any]) -> dict[str, Any]:
        delivery_id = delivery_id_of(workflow.workflow_id)

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


def delivery_id_of(workflow_id: str) -> str:
    """The delivery that a workflow is a generation of."""
    return workflow_id.rpartition(".")[0]
