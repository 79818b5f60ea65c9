"""Tools about jobs: start tests on a node, and follow them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from testlab_tools.capabilities import JobRunner
from testlab_tools.catalog.arguments import NodeId, Wait
from testlab_tools.errors import BadInput
from testlab_tools.models import Job
from testlab_tools.questions import TestOrder
from testlab_tools.registry import ADD, LOOK, Call, tool
from testlab_tools.watch import watch


@tool(toolset="jobs", access="operate", needs=JobRunner, hints=ADD)
async def run_tests(
    call: Call,
    node_id: NodeId,
    test_pack_revision: Annotated[str, Field(min_length=1, description="Branch, tag or commit SHA")],
    test_cases: Annotated[list[str], Field(min_length=1, description="As tests/menu.py::test_name")],
    remote_control: Annotated[str, Field(description="Empty: the test pack's default")] = "",
    category: Annotated[str, Field(description="Groups the results")] = "",
    soak: Literal["run once", "run forever"] = "run once",
    shuffle: bool = False,
    tags: dict[str, str] = {},
    wait_seconds: Wait = 0,
) -> Job:
    """Run tests on a node. Returns its job_uid at once, or after wait_seconds with the counts so far.

    The node must be free or reserved by you. Gives counts, not failures: get_job waits on, get_failed_cases(job_uid)
    explains.
    """
    runner, native = call.lab.owner(node_id, JobRunner)
    order = TestOrder(
        test_pack_revision,
        tuple(test_cases),
        remote_control,
        category,
        soak == "run forever",
        shuffle,
        tuple(tags.items()),
    )
    job = await runner.run_tests(native, order)
    return await watch(runner, job, wait_seconds, call.progress)


@tool(toolset="jobs", access="observe", needs=JobRunner, hints=LOOK)
async def get_job(
    call: Call,
    job_uid: Annotated[str, Field(description="From run_tests")] = "",
    node_id: Annotated[str, Field(description="Or: this node's current or last job")] = "",
    wait_seconds: Wait = 0,
) -> Job:
    """Get a test job's state and counts, holding up to wait_seconds for its end and reporting progress meanwhile.

    finished=false: call again with the same job_uid. Cancelling stops the waiting, not the job.
    get_failed_cases(job_uid) explains what failed.
    """
    if bool(job_uid) == bool(node_id):
        raise BadInput("Give either job_uid or node_id", "", "job_uid as run_tests returned it.")
    if job_uid:
        runner, native = call.lab.owner(job_uid, JobRunner, lambda farm, job: farm.owns_job(job))
        job = await runner.get_job(native)
    else:
        runner, native = call.lab.owner(node_id, JobRunner)
        job = await runner.node_job(native)
    return await watch(runner, job, wait_seconds, call.progress)
