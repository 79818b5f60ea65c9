"""A start is a GET that is sent once; what becomes of it is seen in the live state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2
import pytest

from testlab_sim.hardpy.documents import CASES, key_of
from testlab_tools.errors import AnswerLost, BadInput, BadReply, Conflict, NotFound
from testlab_tools.models.requests import TestOrder

if TYPE_CHECKING:
    from testlab_tools.adapters.hardpy.adapter import HardPy
    from tests.tools.adapters.hardpy.conftest import Panel

ONE = ("test_1_power::test_rail",)
EVERY = tuple(key_of(spec) for spec in CASES)
LED = ("test_3_operator::test_led",)


def order(*tests: str, **more: object) -> TestOrder:
    return TestOrder("current", tests or ONE, **more)  # type: ignore[arg-type]


async def test_exactly_the_order_runs_with_its_arguments_and_all_tests_are_selected_again(
    bench: HardPy, panel: Panel
) -> None:
    job = await bench.run_tests("bench", order(*ONE, tags=(("rail", "5=6"),)))
    assert (job.total, panel.count("/api/start"), panel.stand.arguments) == (1, 1, ["rail=5=6"])
    assert panel.stand.selected == []
    assert "now all tests are selected" in job.note
    assert (await bench.get_job_owner(bench.native(job.job_uid))).yours


async def test_a_selection_that_changes_nothing_to_be_seen_is_preceded_by_another(bench: HardPy, panel: Panel) -> None:
    job = await bench.run_tests("bench", order(*EVERY))
    assert job.total == len(EVERY)
    assert panel.count("/api/selected_tests") == 3


async def test_a_start_whose_answer_was_lost_is_found_and_never_sent_again(bench: HardPy, panel: Panel) -> None:
    panel.lose.append("/api/start")
    job = await bench.run_tests("bench", order(*LED))
    assert (panel.count("/api/start"), panel.stand.started) == (1, 1)
    assert "not certain" in job.note
    assert (await bench.get_job_owner(bench.native(job.job_uid))).yours is None


async def test_a_start_that_never_arrived_is_told_as_not_begun_and_not_sent_again(bench: HardPy, panel: Panel) -> None:
    panel.refuse.append("/api/start")
    with pytest.raises(AnswerLost, match="no tests have begun") as lost:
        await bench.run_tests("bench", order())
    assert (panel.count("/api/start"), panel.stand.started) == (1, 0)
    assert lost.value.look is not None
    assert await lost.value.look() is None


async def test_a_busy_stand_takes_no_order_and_says_that_its_owner_is_not_known(bench: HardPy, panel: Panel) -> None:
    panel.begin(*LED)
    with pytest.raises(Conflict, match="Whose they are the panel does not tell"):
        await bench.run_tests("bench", order())
    assert (panel.count("/api/start"), panel.count("/api/selected_tests")) == (0, 0)


async def test_somebody_quicker_is_a_conflict(bench: HardPy, panel: Panel) -> None:
    panel.before["/api/start"] = lambda: panel.begin(*LED)
    with pytest.raises(Conflict, match="runs tests"):
        await bench.run_tests("bench", order())
    assert panel.stand.started == 1


async def test_while_somebody_chooses_tests_on_the_panel_nothing_is_selected(bench: HardPy, panel: Panel) -> None:
    panel.stand.choosing = True
    with pytest.raises(Conflict, match="being chosen"):
        await bench.run_tests("bench", order())
    assert panel.count("/api/selected_tests") == 0
    (node,) = await bench.list_nodes()
    assert (node.state, node.why) == ("unavailable", "somebody chooses tests on the panel")


async def test_a_process_that_ends_before_its_first_test_is_no_job(
    bench: HardPy, panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel.stand, "start", lambda arguments, clock: True)
    with pytest.raises(BadReply, match="ended before the first"):
        await bench.run_tests("bench", order())


@pytest.mark.parametrize(
    "more", [{"soak": True}, {"shuffle": True}, {"category": "c"}, {"remote_control": "r"}, {"tags": (("a=b", "c"),)}]
)
async def test_what_a_panel_does_not_take_is_refused_before_anything_is_sent(
    more: dict[str, object], bench: HardPy, panel: Panel
) -> None:
    with pytest.raises(BadInput):
        await bench.run_tests("bench", order(**more))
    assert panel.asked == []


async def test_a_test_that_cannot_be_selected_starts_nothing(
    bench: HardPy, panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(bench), "collect_seconds", 0.2)
    with pytest.raises(Conflict, match="did not show the tests as selected"):
        await bench.run_tests("bench", order("test_9::test_none"))
    assert panel.count("/api/start") == 0


async def test_a_run_that_ended_is_never_stopped_for_the_one_that_follows(bench: HardPy, panel: Panel) -> None:
    """Until the next has begun, the live state is that of the last."""
    job = await bench.run_tests("bench", order())
    panel.clock.advance(60)
    panel.stand.advance(panel.clock)
    assert panel.stand.start([], panel.clock)
    assert await bench.stop_job(bench.native(job.job_uid))
    assert panel.count("/api/stop") == 0
    assert panel.stand.testing is not None


async def test_a_stop_is_sent_once(bench: HardPy, panel: Panel) -> None:
    panel.begin(*LED)
    job = await bench.get_node_job("bench")
    assert await bench.stop_job(bench.native(job.job_uid))
    assert await bench.stop_job(bench.native(job.job_uid))
    assert panel.count("/api/stop") == 1
    ended = await bench.get_job(bench.native(job.job_uid))
    assert ended.finished


async def test_a_job_that_a_restart_ended_has_no_result(bench: HardPy, panel: Panel) -> None:
    panel.begin(*LED)
    job = await bench.get_node_job("bench")
    panel.stand.testing = None
    ended = await bench.get_job(bench.native(job.job_uid))
    assert (ended.finished, ended.done) == (True, 0)
    assert "without a result" in ended.note
    panel.stand.collect([], panel.clock)
    panel.clock.advance(1)
    with pytest.raises(NotFound):
        await bench.get_job(bench.native(job.job_uid))


async def test_a_job_that_ended_since_the_last_reading_has_its_result(
    bench: HardPy, panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a panel with years of runs has answered is used for a while."""
    monkeypatch.setattr("testlab_tools.adapters.hardpy.store.PAUSE_SHARE", 1e6)
    job = await bench.run_tests("bench", order(*LED))
    uid = bench.native(job.job_uid)
    assert not (await bench.get_job(uid)).finished
    panel.stand.answer("passed")
    panel.stand.advance(panel.clock)
    ended = await bench.get_job(uid)
    assert (ended.finished, ended.done, ended.note) == (True, 1, "")


async def test_a_job_that_ended_since_the_last_reading_is_not_stopped_for_another(
    bench: HardPy, panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.adapters.hardpy.store.PAUSE_SHARE", 1e6)
    job = await bench.run_tests("bench", order(*LED))
    panel.stand.answer("passed")
    panel.stand.advance(panel.clock)
    panel.begin(*LED)
    assert await bench.stop_job(bench.native(job.job_uid))
    assert panel.count("/api/stop") == 0
    assert panel.stand.testing is not None


async def test_a_reading_that_is_under_way_is_no_fresh_one(bench: HardPy, panel: Panel) -> None:
    """It may have passed what has happened since it began, and a fresh one is to see."""
    reading, go_on = asyncio.Event(), asyncio.Event()
    rows = panel.stand.rows

    async def held(request: httpx2.Request) -> httpx2.Response:
        answer = await answer_at_once(request)
        if request.url.path.endswith("/api/json_data") and not reading.is_set():
            reading.set()
            await go_on.wait()
        return answer

    answer_at_once, panel.handle_async_request = panel.handle_async_request, held  # type: ignore[method-assign]
    before = len(rows()) - 1
    first = asyncio.create_task(bench.read_store())
    await reading.wait()
    panel.begin(*ONE)
    panel.clock.advance(60)
    panel.stand.advance(panel.clock)
    second = asyncio.create_task(bench.read_store(fresh=True))
    await asyncio.sleep(0)
    go_on.set()
    assert (len((await first).runs), len((await second).runs)) == (before, before + 1)
