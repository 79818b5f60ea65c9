"""Nodes, remote controls, jobs and test packs behind a fence."""

from __future__ import annotations

from collections.abc import Sequence

from testlab_mcp.access.fence import Fence, within
from testlab_tools.capabilities import Image, JobOwner, JobRunner, NodeFarm, RemoteControl, Service, TestPack
from testlab_tools.errors import Conflict, NotFound, Refused
from testlab_tools.models import Job, Node, Reservation
from testlab_tools.questions import TestOrder


class FencedNodes(Fence, NodeFarm):
    """Allowed nodes only; of the reservations, only its own can be extended and ended."""

    async def list_nodes(self) -> list[Node]:
        nodes = await self.as_(NodeFarm).list_nodes()
        return [self._seen(node) for node in nodes if self.allows(self.native(node.node_id))]

    async def get_node(self, node_id: str, detail: bool = False) -> Node:
        self.check(node_id)
        return self._seen(await self.as_(NodeFarm).get_node(node_id, detail))

    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int | None) -> list[Reservation]:
        for node in node_ids:
            self.check(node)
        try:
            made = await self.as_(NodeFarm).reserve(node_ids, message, duration_s)
        except Conflict as error:
            raise within(error) from None
        for held in made:
            self.ledger.took(self.native(held.reservation_id), self.native(held.node_id), self.caller.name)
        return made

    async def reservation(self, reservation_id: str) -> Reservation:
        held = await self.as_(NodeFarm).reservation(reservation_id)
        self.check(self.native(held.node_id))
        return self._judged(held)

    async def extend_reservation(self, reservation_id: str, seconds: int) -> Reservation:
        await self._check_own(reservation_id)
        return await self.as_(NodeFarm).extend_reservation(reservation_id, seconds)

    async def end_reservation(self, reservation_id: str) -> None:
        await self._check_own(reservation_id)
        await self.as_(NodeFarm).end_reservation(reservation_id)
        self.ledger.ended(reservation_id)

    async def interrupt_reservation(self, reservation_id: str, message: str) -> None:
        await self.reservation(reservation_id)
        await self.as_(NodeFarm).interrupt_reservation(reservation_id, message)
        self.ledger.ended(reservation_id)

    async def screenshot(self, node_id: str, thumbnail: bool = False) -> Image:
        self.check(node_id)
        return await self.as_(NodeFarm).screenshot(node_id, thumbnail)

    async def run_screenshot(self, run_id: str, thumbnail: bool = False) -> Image:
        await self.check_run(run_id)
        return await self.as_(NodeFarm).run_screenshot(run_id, thumbnail)

    async def _check_own(self, reservation_id: str) -> None:
        if self.ledger.holder(reservation_id) not in ("", self.caller.name):
            raise Refused(
                "This reservation was made by another caller of this server",
                "Only who made it can extend or end it",
                "Wait: list_nodes shows until when it holds.",
            )
        if self.caller.nodes is not None:
            try:
                await self.reservation(reservation_id)
            except NotFound:
                return

    def _seen(self, node: Node) -> Node:
        """To the service it may be ours and is another caller's all the same."""
        if node.reservation is None:
            return node
        held = self._judged(node.reservation)
        theirs = node.reservation.yours and not held.yours and node.state == "reserved by you"
        return node.model_copy(update={"reservation": held, "state": "reserved" if theirs else node.state})

    def _judged(self, held: Reservation) -> Reservation:
        theirs = self.ledger.holder(self.native(held.reservation_id)) not in ("", self.caller.name)
        return held.model_copy(update={"yours": False}) if theirs else held


class FencedRemote(Fence, RemoteControl):
    """Keys of allowed nodes."""

    async def press_key(self, node_id: str, key: str, remote_control: str, test_pack_revision: str) -> None:
        self.check(node_id)
        await self.check_held(node_id)
        try:
            await self.as_(RemoteControl).press_key(node_id, key, remote_control, test_pack_revision)
        except Conflict as error:
            raise within(error) from None


class FencedJobs(Fence, JobRunner):
    """Jobs on allowed nodes; those that another caller started are another's."""

    async def run_tests(self, node_id: str, order: TestOrder) -> Job:
        self.check(node_id)
        await self.check_held(node_id)
        try:
            job = await self.as_(JobRunner).run_tests(node_id, order)
        except Conflict as error:
            raise within(error) from None
        self.ledger.started(self.native(job.job_uid), self.caller.name)
        return job

    async def get_job(self, job_uid: str, patient: bool = True) -> Job:
        job = await self.as_(JobRunner).get_job(job_uid, patient)
        self.check(self.native(job.node_id))
        return job

    async def node_job(self, node_id: str) -> Job:
        self.check(node_id)
        return await self.as_(JobRunner).node_job(node_id)

    def owns_job(self, job_uid: str) -> bool:
        return self.as_(JobRunner).owns_job(job_uid)

    async def await_job(self, job_uid: str) -> bool:
        await self.check_job(job_uid)
        return await self.as_(JobRunner).await_job(job_uid)

    async def stop_job(self, job_uid: str) -> bool:
        await self.check_job(job_uid)
        return await self.as_(JobRunner).stop_job(job_uid)

    async def job_owner(self, job_uid: str) -> JobOwner:
        await self.check_job(job_uid)
        starter = self.ledger.starter(job_uid)
        if starter:
            return JobOwner(starter == self.caller.name)
        return await self.as_(JobRunner).job_owner(job_uid)


class FencedPack(Fence, TestPack):
    """Test packs have no nodes."""

    async def list_test_cases(self, revision: str) -> list[str]:
        return await self.as_(TestPack).list_test_cases(revision)


NODE_FENCES: dict[type[Service], type[Fence]] = {
    NodeFarm: FencedNodes,
    RemoteControl: FencedRemote,
    JobRunner: FencedJobs,
    TestPack: FencedPack,
}
