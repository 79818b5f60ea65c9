"""One list of runs over several archives: every run once, in order, and no outage in silence."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testlab_tools import paging
from testlab_tools.capabilities import Health, RunArchive, Runs
from testlab_tools.cursors import encode_cursor
from testlab_tools.deadline import Deadline
from testlab_tools.errors import BadInput, NotFound, RateLimited, ServiceDown, Unsupported
from testlab_tools.http import ServiceClient
from testlab_tools.models.lab import FailedRun, Run, RunPage
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import RunDetail
from testlab_tools.paging import Progress, RunCursor, count_runs, list_merged

START = datetime(2026, 11, 20, tzinfo=UTC)
ClientOf = Callable[..., ServiceClient]


class Shelf(RunArchive):
    """Runs at given minutes, newest first; answers after `turns` of the loop, or fails while `down` or `unable`."""

    kind = "shelf"

    def __init__(self, name: str, minutes: list[int], turns: int = 0) -> None:
        super().__init__(name)
        self.minutes = minutes
        self.turns = turns
        self.down = self.unable = False
        self.in_order = True
        self.total: int | None = len(minutes)
        self.at_least = False
        self.queries: list[RunQuery] = []

    async def probe(self) -> Health:
        return Health(self.name)

    async def get_run(self, run_id: str) -> RunDetail:
        raise NotFound(self.name)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        return []

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        self.queries.append(query)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.unable:
            raise Unsupported(f"{self.name} cannot find runs by serial number")
        if self.down:
            raise ServiceDown(self.name, f"Service {self.name} cannot be reached")
        minutes = sorted(self.minutes, reverse=not query.oldest_first) if self.in_order else self.minutes
        runs = [self._run(n, minute) for n, minute in enumerate(minutes)]
        rest = runs[int(after or 0) :]
        return Runs(rest[:limit], more=len(rest) > limit, total=self.total, at_least=self.at_least)

    def _run(self, n: int, minute: int) -> Run:
        return Run(
            run_id=self.handle(f"{minute}-{n}"),
            outcome="pass",
            test="t",
            started_at=START + timedelta(minutes=minute),
            position=str(n + 1),
        )


@pytest.fixture
def shelves() -> list[Shelf]:
    """Three archives of different sizes and speeds, with runs at the same minutes among them."""
    return [
        Shelf("portal", list(range(0, 40, 2)), turns=0),
        Shelf("factory", [*range(10, 25), 17, 17], turns=7),
        Shelf("cloud", [3, 12, 39], turns=2),
    ]


async def paginate(shelves: list[Shelf], query: RunQuery, limit: int, cursor: str = "", question: str = "q") -> RunPage:
    return await list_merged(shelves, query, limit, cursor, question)


async def pages_of(shelves: list[Shelf], query: RunQuery, limit: int) -> list[RunPage]:
    pages = [await paginate(shelves, query, limit)]
    while pages[-1].cursor:
        assert len(pages) < 100, "the pages have no end"
        pages.append(await paginate(shelves, query, limit, pages[-1].cursor))
    return pages


def ids(pages: list[RunPage]) -> list[str]:
    return [run.run_id for page in pages for run in page.runs]


def all_ids(shelves: list[Shelf]) -> list[str]:
    return sorted(f"{s.name}:{m}-{n}" for s in shelves for n, m in enumerate(sorted(s.minutes, reverse=True)))


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 39, 40, 41, 200])
async def test_pages_visit_every_run_exactly_once_newest_first(limit: int, shelves: list[Shelf]) -> None:
    pages = await pages_of(shelves, RunQuery(), limit)
    times = [run.started_at for page in pages for run in page.runs]

    assert sorted(ids(pages)) == all_ids(shelves)
    assert times == sorted(times, reverse=True)
    assert {len(page.runs) for page in pages[:-1]} <= {limit}
    assert len(pages) == -(-40 // limit)


@pytest.mark.parametrize("limit", [1, 7, 200])
async def test_oldest_first_is_the_same_the_other_way_round(limit: int, shelves: list[Shelf]) -> None:
    pages = await pages_of(shelves, RunQuery(oldest_first=True), limit)
    times = [run.started_at for page in pages for run in page.runs]

    assert len(set(ids(pages))) == 40
    assert times == sorted(times)


async def test_a_page_says_what_each_service_gave_and_has(shelves: list[Shelf]) -> None:
    shelves[1].total = None
    shelves[0].at_least = True
    page = await paginate(shelves, RunQuery(), 10)

    assert [(s.service, s.shown, s.total, s.at_least) for s in page.services] == [
        ("portal", 8, 20, True),
        ("factory", 1, None, False),
        ("cloud", 1, 3, False),
    ]
    assert page.note == (
        "More follow: pass cursor, with the same arguments. How many match in all, factory does not say. "
        "portal: the counts are lower bounds (at_least). limit=0 counts them."
    )


async def test_the_totals_stay_those_of_the_first_page(shelves: list[Shelf]) -> None:
    first = await paginate(shelves, RunQuery(), 10)
    for shelf in shelves:
        shelf.total = 1
    second = await paginate(shelves, RunQuery(), 10, first.cursor)

    assert [share.total for share in second.services] == [20, 17, 3]


@pytest.mark.parametrize("limit", [3, 7, 39, 200])
async def test_totals_that_were_bounds_or_unsaid_are_exact_once_all_is_read(limit: int, shelves: list[Shelf]) -> None:
    shelves[0].total, shelves[0].at_least = 6, True
    shelves[1].total = None
    pages = await pages_of(shelves, RunQuery(), limit)

    for page in pages[:-1]:
        share = page.services[0]
        assert share.total is not None
        assert 6 <= share.total <= 20
        assert share.at_least or share.total == 20
    assert [(share.total, share.at_least) for share in pages[-1].services] == [(20, False), (17, False), (3, False)]
    assert pages[-1].note == ""


async def test_a_bound_is_never_below_what_was_given(shelves: list[Shelf]) -> None:
    shelves[0].total, shelves[0].at_least = 2, True
    first = await paginate(shelves[:1], RunQuery(), 5)
    second = await paginate(shelves[:1], RunQuery(), 5, first.cursor)

    assert [(page.services[0].total, page.services[0].at_least) for page in (first, second)] == [(5, True), (10, True)]


async def test_the_last_page_has_no_cursor_and_no_note(shelves: list[Shelf]) -> None:
    page = await paginate(shelves, RunQuery(), 200)

    assert (page.cursor, page.note) == ("", "")


async def test_nothing_found_is_an_empty_page_with_every_service() -> None:
    page = await paginate([Shelf("portal", []), Shelf("cloud", [])], RunQuery(), 20)

    assert (page.runs, page.cursor) == ([], "")
    assert [(s.service, s.shown, s.total) for s in page.services] == [("portal", 0, 0), ("cloud", 0, 0)]


async def test_an_outage_is_told_even_where_another_service_cannot_do_it(shelves: list[Shelf]) -> None:
    shelves[0].unable = True
    shelves[1].down = shelves[2].down = True

    with pytest.raises(ServiceDown, match="factory cannot be reached"):
        await paginate(shelves, RunQuery(unit="SN-1"), 10)


async def test_a_service_that_was_read_to_its_end_is_not_asked_again(shelves: list[Shelf]) -> None:
    await pages_of(shelves, RunQuery(), 7)

    assert len(shelves[0].queries) == 6
    assert len(shelves[1].queries) <= 5


async def test_all_services_are_asked_at_once() -> None:
    everybody = asyncio.Barrier(3)

    class Meeting(Shelf):
        async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
            async with asyncio.timeout(5):
                await everybody.wait()
            return Runs([], more=False, total=0)

    page = await paginate([Meeting(name, []) for name in ("a", "b", "c")], RunQuery(), 20)

    assert len(page.services) == 3


async def test_a_service_that_fails_is_told_and_the_others_are_listed(shelves: list[Shelf]) -> None:
    shelves[1].down = True
    page = await paginate(shelves, RunQuery(), 10)

    assert {run.run_id.partition(":")[0] for run in page.runs} == {"portal", "cloud"}
    assert [(s.service, s.error) for s in page.services if s.error] == [
        ("factory", "Service factory cannot be reached.")
    ]
    assert page.services[1].total is None
    assert page.note == ("More follow: pass cursor, with the same arguments. Not in this list: factory (see services).")


async def test_with_one_service_failing_pages_visit_all_runs_of_the_others_and_end(shelves: list[Shelf]) -> None:
    shelves[1].down = True
    pages = await pages_of(shelves, RunQuery(), 7)

    assert sorted(ids(pages)) == all_ids([shelves[0], shelves[2]])
    assert all("factory" in page.note for page in pages)


@pytest.mark.parametrize("back_after", [1, 2, 3])
async def test_a_service_that_comes_back_gives_all_its_runs(back_after: int, shelves: list[Shelf]) -> None:
    shelves[1].down = True
    pages = [await paginate(shelves, RunQuery(), 5)]
    while pages[-1].cursor:
        shelves[1].down = len(pages) < back_after
        pages.append(await paginate(shelves, RunQuery(), 5, pages[-1].cursor))

    assert sorted(ids(pages)) == all_ids(shelves)


async def test_a_service_that_fails_in_between_goes_on_where_it_was(shelves: list[Shelf]) -> None:
    pages = [await paginate(shelves, RunQuery(), 5)]
    while pages[-1].cursor:
        shelves[0].down = len(pages) == 2
        pages.append(await paginate(shelves, RunQuery(), 5, pages[-1].cursor))

    assert sorted(ids(pages)) == all_ids(shelves)
    assert [bool(page.services[0].error) for page in pages].count(True) == 1


async def test_when_all_fail_it_is_an_error_and_no_empty_list(shelves: list[Shelf]) -> None:
    first = await paginate(shelves, RunQuery(), 5)
    for shelf in shelves:
        shelf.down = True

    with pytest.raises(ServiceDown, match="Service portal cannot be reached"):
        await paginate(shelves, RunQuery(), 5)
    with pytest.raises(ServiceDown):
        await paginate(shelves, RunQuery(), 5, first.cursor)


async def test_when_the_only_ones_left_fail_it_is_an_error(shelves: list[Shelf]) -> None:
    pages = [await paginate(shelves, RunQuery(), 39)]
    for shelf in shelves:
        shelf.down = True

    with pytest.raises(ServiceDown, match="portal"):
        await paginate(shelves, RunQuery(), 39, pages[-1].cursor)


async def test_the_kind_of_error_is_kept() -> None:
    class Limited(Shelf):
        async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
            raise RateLimited(self.name, "Service portal is limiting requests", retry_after=30)

    with pytest.raises(RateLimited) as error:
        await paginate([Limited("portal", [])], RunQuery(), 5)
    assert error.value.retry_after == 30


@pytest.mark.parametrize("seed", range(5))
async def test_a_service_that_orders_its_runs_oddly_loses_none_of_them(seed: int, shelves: list[Shelf]) -> None:
    random.Random(seed).shuffle(shelves[1].minutes)
    shelves[1].in_order = False
    pages = await pages_of(shelves, RunQuery(), 4)

    assert len(ids(pages)) == 40
    assert len(set(ids(pages))) == 40


async def test_a_span_back_from_now_stays_the_same_on_every_page(shelves: list[Shelf]) -> None:
    since, until = START, START + timedelta(days=1)
    first = await paginate(shelves, RunQuery(since=since, until=until), 5)
    later = replace(RunQuery(), since=since + timedelta(minutes=9), until=None)
    await paginate(shelves, later, 5, first.cursor)

    assert [(query.since, query.until) for query in shelves[0].queries] == [(since, until)] * 2


async def test_a_cursor_belongs_to_its_arguments(shelves: list[Shelf]) -> None:
    cursor = (await paginate(shelves, RunQuery(), 5, question="outcome=fail")).cursor

    with pytest.raises(BadInput, match=r"The cursor belongs to other arguments\. Repeat them"):
        await paginate(shelves, RunQuery(), 5, cursor, question="outcome=pass")


async def test_a_cursor_shows_nothing_of_the_arguments(shelves: list[Shelf]) -> None:
    cursor = (await paginate(shelves, RunQuery(), 5, question="serial=SN-SECRET")).cursor

    assert b"SN-SECRET" not in base64.urlsafe_b64decode(cursor + "==")


@pytest.mark.parametrize("cursor", ["x", "abc", "ü", "null", "e30", "W10", "bnVsbA", "=" * 8, "A" * 100_000, "🎉"])
async def test_what_is_no_cursor_is_refused(cursor: str, shelves: list[Shelf]) -> None:
    with pytest.raises(BadInput, match=r"The cursor is not one this tool gave\. Leave it out"):
        await paginate(shelves, RunQuery(), 5, cursor)
    assert shelves[0].queries == []


async def test_a_cursor_that_was_cut_or_altered_is_refused(shelves: list[Shelf]) -> None:
    cursor = (await paginate(shelves, RunQuery(), 5)).cursor
    altered = [cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(len(cursor) - 1)]
    cut = [cursor[:-n] for n in (1, 2, 5, 50)]

    for wrong in altered + cut:
        with pytest.raises(BadInput):
            await paginate(shelves, RunQuery(), 5, wrong)


@pytest.mark.parametrize(
    "places",
    [
        {"portal": ["", 0, "x", 0, 0]},
        {"portal": ["", 0, None, 0, 1e400]},
        {"portal": ["", 0, None, 0]},
        {"portal": [["deep"], 0, None, 0, 0]},
        {"portal": None},
        ["portal"],
        7,
    ],
)
def test_a_forged_cursor_is_refused_in_a_sentence(places: object) -> None:
    forged = encode_cursor("question", ["", "", places])

    with pytest.raises(BadInput, match="The cursor is not one this tool gave"):
        RunCursor.decode(forged, "question")


@pytest.mark.parametrize("error", [ValueError, TypeError, OverflowError])
async def test_a_position_that_its_archive_did_not_write_is_no_cursor(error: type[Exception]) -> None:
    class Puzzled:
        name = "portal"

        async def list_runs(self, *_: object) -> object:
            raise error("not mine")

    cursor = RunCursor(services={"portal": Progress("forged")}).encode("question")
    puzzled: Any = [Puzzled()]
    with pytest.raises(BadInput, match="The cursor is not one this tool gave"):
        await list_merged(puzzled, RunQuery(), 5, cursor, "question")
    with pytest.raises(error):
        await list_merged(puzzled, RunQuery(), 5, "", "question")


class Stalling(Shelf):
    """Answers the first page, and no further one; or not even that."""

    def __init__(self, minutes: list[int], pages: int) -> None:
        super().__init__("factory", minutes)
        self.pages = pages

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        if not self.pages:
            await asyncio.Event().wait()
        self.pages -= 1
        return await super().list_runs(query, limit, after)


async def test_runs_are_counted_page_by_page_where_the_service_has_no_count(
    shelves: list[Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shelf, "count_page", 4)
    page = await count_runs(shelves, RunQuery(), Deadline())

    assert (page.runs, page.cursor, page.note) == ([], "", "")
    assert [(s.total, s.at_least, s.by_outcome) for s in page.services] == [
        (20, False, {"pass": 20}),
        (17, False, {"pass": 17}),
        (3, False, {"pass": 3}),
    ]


async def test_the_counts_of_a_service_that_is_read_whole_stay_on_later_pages() -> None:
    shelves = [Shelf("portal", list(range(40))), Shelf("cloud", [41, 42, 43])]
    first = await list_merged(shelves, RunQuery(), 10, "", "q")
    second = await list_merged(shelves, RunQuery(), 10, first.cursor, "q")
    for page in (first, second):
        assert [share.by_outcome for share in page.services] == [{}, {"pass": 3}]


async def test_a_count_that_was_stopped_at_its_bound_is_a_lower_bound(
    shelves: list[Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shelf, "count_page", 4)
    monkeypatch.setattr(paging, "MAX_COUNTED", 8)
    page = await count_runs(shelves[:1], RunQuery(), Deadline())

    share = page.services[0]
    assert (share.total, share.at_least, share.by_outcome) == (8, True, {"pass": 8})
    assert page.note == "portal: the counts are lower bounds (at_least). Narrow since or test."
    assert share.note == "Counted no further: at most 8 are counted."


async def test_a_count_that_takes_too_long_is_a_lower_bound_and_none_is_an_error(
    shelves: list[Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shelf, "count_page", 4)
    begun = await count_runs([Stalling(list(range(9)), pages=1)], RunQuery(), Deadline(0.05))
    silent = await count_runs([Stalling(list(range(9)), pages=0), shelves[2]], RunQuery(), Deadline(0.05))

    assert (begun.services[0].total, begun.services[0].at_least) == (4, True)
    assert begun.services[0].note == "Counted no further: factory did not count its runs in time."
    assert "did not count its runs in time" in silent.services[0].error
    assert (silent.services[0].total, silent.services[0].by_outcome) == (None, {})
    assert silent.services[1].total == 3
