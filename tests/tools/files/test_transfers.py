"""A file on its way outlives the call that began it, and is one however many wait on it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testlab_tools.errors import Conflict, ServiceDown
from testlab_tools.files.io import Writer
from testlab_tools.files.transfers import Transfers


class Work:
    """Writes a byte, waits to be let on, and writes another; or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.may = asyncio.Event()
        self.begun = asyncio.Event()
        self.times = 0

    async def __call__(self, out: Writer) -> str:
        self.times += 1
        await out.write(b"1")
        self.begun.set()
        await self.may.wait()
        if self.error:
            raise self.error
        await out.write(b"2")
        return "facts"


async def unseen(size: int) -> None:
    return None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


async def test_a_file_done_in_time_is_given_with_what_the_work_found(path: Path) -> None:
    work = Work()
    work.may.set()

    assert await Transfers().run(path, "key", work, unseen, 5) == (True, 2, "facts")
    assert path.read_bytes() == b"12"


async def test_callers_with_the_same_key_share_one(path: Path) -> None:
    transfers, work = Transfers(), Work()
    callers = [asyncio.ensure_future(transfers.run(path, "key", work, unseen, 5)) for _ in range(3)]
    await work.begun.wait()
    with pytest.raises(Conflict, match="Another file"):
        await transfers.run(path, "other", work, unseen, 5)
    callers[0].cancel()
    work.may.set()

    assert [saved.facts for saved in await asyncio.gather(*callers[1:])] == ["facts", "facts"]
    assert work.times == 1


async def test_a_file_goes_on_after_a_call_and_the_next_gets_it(path: Path) -> None:
    transfers, work = Transfers(), Work()

    assert await transfers.run(path, "key", work, unseen, 0.05) == (False, 1, None)
    work.may.set()
    assert await transfers.run(path, "key", work, unseen, 5) == (True, 2, "facts")
    assert work.times == 1


async def test_its_failure_is_told_to_the_next_call_and_then_it_can_be_tried_again(path: Path) -> None:
    transfers, work = Transfers(), Work(ServiceDown("portal", "broke off"))
    await transfers.run(path, "key", work, unseen, 0.05)
    work.may.set()

    for times in (1, 2):
        with pytest.raises(ServiceDown):
            await transfers.run(path, "key", work, unseen, 5)
        assert work.times == times
    assert list(path.parent.iterdir()) == []


async def test_the_last_caller_who_is_cancelled_gives_it_up(path: Path) -> None:
    transfers, work = Transfers(), Work()
    caller = asyncio.ensure_future(transfers.run(path, "key", work, unseen, 5))
    await work.begun.wait()
    (task,) = (task for task in asyncio.all_tasks() if task not in (caller, asyncio.current_task()))
    caller.cancel()
    await asyncio.wait([caller, task])

    assert caller.cancelled()
    assert task.cancelled()
    assert list(path.parent.iterdir()) == []


async def test_the_size_is_told_while_it_grows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testlab_tools.files.transfers.LOOK_EVERY_S", 0.01)
    work, sizes = Work(), list[int]()

    async def watch(size: int) -> None:
        sizes.append(size)
        work.may.set()

    await Transfers().run(path, "key", work, watch, 5)
    assert sizes[0] == 1
