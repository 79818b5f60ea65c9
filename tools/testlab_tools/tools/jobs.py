"""Tools about jobs: find test cases, start them on a node, wait for a job and stop it."""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Iterable
from typing import Annotated, Literal

from pydantic import Field

from testlab_tools.capabilities import JobRunner, TestPack
from testlab_tools.cursors import paginate
from testlab_tools.errors import BadInput, nearest
from testlab_tools.fanout import gather_all
from testlab_tools.job_report import describe_job
from testlab_tools.jobs import check_owner, describe_stopped, stop_and_watch
from testlab_tools.models.jobs import Job, StoppedJob, TestCases
from testlab_tools.models.requests import TestOrder
from testlab_tools.registry import ADD, DESTROY, LOOK, Call, Question, tool
from testlab_tools.times import iso
from testlab_tools.tools.arguments import Limit, NodeId, Wait
from testlab_tools.untrusted import quote

_CANDIDATES = 50
"""Comparing a name letter by letter with all of a large test pack would hold up every other call for a second."""

_SHOWN = 3
_PLAIN = re.compile(r"[\w./-]{1,100}::\w{1,100}", re.ASCII)


def match_names(names: Iterable[str], search: str) -> list[str]:
    """The names that contain every word of `search`, in any case."""
    words = search.casefold().split()
    return [name for name in names if all(word in name.casefold() for word in words)]


def find_nearest_cases(name: str, known: Iterable[str], count: int = _SHOWN) -> list[str]:
    """The known names that are written most like this one, best first; none when nothing is alike. A name without its
    file is held against names without theirs."""
    words = _words(name)
    likely = heapq.nlargest(_CANDIDATES, known, key=lambda other: len(words & _words(other)))
    plain = {other if "::" in name else other.partition("::")[2]: other for other in filter(_PLAIN.fullmatch, likely)}
    return [plain[near] for near in nearest(name, plain, count)]


def check_names(asked: Collection[str], known: Collection[str]) -> None:
    """Raises BadInput when a name is not known; it gives the nearest ones."""
    names = set(known)
    unknown = [name for name in dict.fromkeys(asked) if name not in names]
    if not unknown:
        return
    each = _SHOWN if len(unknown) == 1 else 1
    described = [_describe_unknown(name, known, each) for name in unknown[:_SHOWN]]
    more = [f"and {len(unknown) - _SHOWN} more"] if len(unknown) > _SHOWN else []
    raise BadInput(
        f"The test pack has no such test case at this revision: {'; '.join(described + more)}",
        "Nothing was started",
        "list_test_cases(revision=…, search=…) finds names.",
    )


def _describe_unknown(name: str, known: Iterable[str], count: int) -> str:
    shown = name if _PLAIN.fullmatch(name) else "(a name not shown: they look like tests/menu.py::test_name)"
    near = find_nearest_cases(name, known, count)
    return f"{shown} (nearest: {', '.join(near)})" if near else shown


def _words(name: str) -> set[str]:
    return set(re.split(r"[\W_]+", name.casefold()))


SAME = "This is the order given before, whose answer was not heard: nothing was started twice."
MORE = "More follow: pass cursor, with the same arguments. "


@tool(toolset="jobs", access="observe", needs=TestPack, hints=LOOK)
async def list_test_cases(
    call: Call,
    revision: Annotated[str, Field(min_length=1, description="Branch, tag or commit SHA")],
    search: Annotated[str, Field(description="Words the names must contain")] = "",
    compare_to: Annotated[str, Field(description="Lists what revision added to this one, and removed")] = "",
    service: str = "",
    limit: Limit = 50,
    cursor: str = "",
) -> TestCases:
    """List the test cases that a revision of the test pack holds, by name.

    How they fared: list_runs(test=…).
    """
    pack = call.lab.one(TestPack, service)
    if compare_to:
        lists = await gather_all(pack.list_test_cases(revision), pack.list_test_cases(compare_to))
        new, old = [match_names(names, search) for names in lists]
        return _compare(new, old, limit, cursor)
    names = await pack.list_test_cases(revision)
    found = match_names(names, search)
    page = paginate(found, limit, cursor)
    near = [] if found else find_nearest_cases(search, names)
    fewer = "Search with fewer words." if len(search.split()) > 1 else "Search for a part of the name."
    fewer = "nearest has names written alike." if near else fewer
    runs = "run_tests runs them; test_pack_revision is this revision." if found else fewer
    return TestCases(
        test_cases=page.items,
        total=len(found),
        nearest=near,
        cursor=page.cursor,
        next=(MORE if page.cursor else "") + runs,
    )


def _compare(new: list[str], old: list[str], limit: int, cursor: str) -> TestCases:
    """What one list has that the other lacks; a page can hold some of both."""
    before, after = set(old), set(new)
    added, removed = [n for n in new if n not in before], [n for n in old if n not in after]
    page = paginate([*(f"+{name}" for name in added), *(f"-{name}" for name in removed)], limit, cursor)
    counts = f"{len(added)} are added and {len(removed)} removed in all."
    return TestCases(
        added=[item[1:] for item in page.items if item[0] == "+"],
        removed=[item[1:] for item in page.items if item[0] == "-"],
        total=len(added) + len(removed),
        cursor=page.cursor,
        next=f"{MORE if page.cursor else ''}{counts}",
    )


@tool(toolset="jobs", access="operate", needs=JobRunner, hints=ADD)
async def run_tests(
    call: Call,
    node_id: NodeId,
    test_pack_revision: Annotated[str, Field(min_length=1, description="Branch, tag or commit SHA")],
    test_cases: Annotated[list[str], Field(min_length=1)],
    remote_control: Annotated[str, Field(description="Empty: the test pack's default")] = "",
    category: Annotated[str, Field(description="Groups the results")] = "",
    soak: Literal["run once", "run forever"] = "run once",
    shuffle: bool = False,
    tags: dict[str, str] = {},
    wait_seconds: Wait = 0,
) -> Job:
    """Run tests on a node. Returns its job_uid at once, or after wait_seconds with the counts so far.

    The node must be free or reserved by you. get_job waits on, and says why runs failed.
    """
    runner, native = await call.lab.node_owner(node_id, JobRunner)
    forever = soak == "run forever"
    order = TestOrder(
        test_pack_revision, tuple(test_cases), remote_control, category, forever, shuffle, tuple(tags.items())
    )

    async def start() -> Job:
        if isinstance(runner, TestPack):
            check_names(test_cases, await runner.list_test_cases(test_pack_revision))
        return await runner.run_tests(native, order)

    given = await call.lab.orders.run(("run_tests", call.caller, runner.name, native, order), start)
    started, note = given.value, f"{given.value.note} {SAME if given.again else ''}"
    uid, known = call.lab.native(started.job_uid), started.model_copy(update={"note": ""})
    left = wait_seconds - call.deadline.spent_s
    job = await call.lab.job_poller.wait(runner, uid, left, call.progress, known=known, soak=forever)
    if job.finished:
        job = await describe_job(runner, job, call.deadline)
    return job.model_copy(update={"note": " ".join(f"{note} {job.note}".split())})


@tool(toolset="jobs", access="observe", needs=JobRunner, hints=LOOK)
async def get_job(
    call: Call,
    job_uid: str = "",
    node_id: Annotated[str, Field(description="Or: this node's current or last job")] = "",
    wait_seconds: Wait = 0,
) -> Job:
    """Get a test job's state and counts: while it runs, who started it; at its end, why its runs failed.

    finished=false: call again. get_failed_cases(run_id=job_uid) has tracebacks.
    """
    runner, native, known = await _find_job(call, job_uid, node_id)
    left = wait_seconds - call.deadline.spent_s
    job = await call.lab.job_poller.wait(runner, native, left, call.progress, known=known)
    return await describe_job(runner, job, call.deadline)


async def _ask_before_stopping(call: Call, job_uid: str, node_id: str, confirm: str) -> Question | None:
    """Whose job it is; nothing is asked about one's own, nor where another's is refused anyway."""
    runner, native, known = await _find_job(call, job_uid, node_id)
    job = known or await runner.get_job(native)
    if job.finished or call.access != "admin":
        return None
    owner = await runner.get_job_owner(call.lab.native(job.job_uid))
    if owner.yours:
        return None
    whose = "another user started" if owner.yours is False else "cannot be shown to be yours"
    begun = f" at {iso(job.started_at)}" if job.started_at and owner.yours is False else ""
    return Question(
        f"Stop job {job.job_uid!r}, which {whose}{begun}?",
        target=job.job_uid,
        quoted=f"\nStarted by: {quote(owner.login)}" if owner.login else "",
    )


@tool(toolset="jobs", access="operate", needs=JobRunner, hints=DESTROY, asks=_ask_before_stopping)
async def stop_job(
    call: Call,
    job_uid: str = "",
    node_id: Annotated[str, Field(description="Or: this node's current job")] = "",
    confirm: Annotated[str, Field(description="If the client cannot ask: its job_uid")] = "",
) -> StoppedJob:
    """Stop a test job, and hold up to 40 s until it has stopped.

    Stops only jobs you started; with admin access anybody's, once a person has agreed. One that has ended is no error.
    """
    runner, native, known = await _find_job(call, job_uid, node_id)
    job = known or await runner.get_job(native)
    if job.finished:
        return describe_stopped(job, True, "It had ended before.")
    if call.access != "admin":
        await check_owner(runner, job, call.admin_setting)
    return await stop_and_watch(runner, job, call.deadline)


async def _find_job(call: Call, job_uid: str, node_id: str) -> tuple[JobRunner, str, Job | None]:
    """The runner and native id of the job that the arguments name, and the job where it had to be read for that."""
    if bool(job_uid) == bool(node_id):
        raise BadInput("Give either job_uid or node_id", "", "job_uid as run_tests returned it.")
    if job_uid:
        runner, native = call.lab.owner(job_uid, JobRunner, lambda farm, job: farm.owns_job(job))
        return runner, native, None
    runner, node = await call.lab.node_owner(node_id, JobRunner)
    job = await runner.get_node_job(node)
    return runner, call.lab.native(job.job_uid), job
