"""Triage over archives in memory: counts, order, what is new, what is down, and its size."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from testlab_mcp.commands.tools import count_tokens
from testlab_mcp.protocol.results import to_result
from testlab_tools.deadline import LONGEST_WAIT_S, RESERVE
from testlab_tools.errors import BadInput, NotFound, ServiceDown, Unsupported
from testlab_tools.registry import Call
from testlab_tools.tools.analysis import triage
from testlab_tools.triage.collect import MAX_FAILED_RUNS, MAX_PASSED_RUNS

if TYPE_CHECKING:
    from tests.tools.analysis.conftest import Bench, Ledger

if TYPE_CHECKING:
    from tests.tools.analysis.conftest import Bench, Ledger, Mute
    from tests.tools.conftest import Hurried


@pytest.fixture
def ask(call_on: Callable[..., Call]) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Call the tool over some services, and return its structured answer."""

    async def asked(*services: Any, **arguments: Any) -> dict[str, Any]:
        answer = await triage.handler(call_on(*services), **arguments)
        data = to_result(answer).structured_content
        assert data is not None
        return data

    return asked


def shares(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {share["service"]: share for share in answer["services"]}


async def test_failures_of_all_services_are_grouped_by_cause_the_most_runs_first(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    rail = [lately.failure(h, f"rail_5v 5.{h} V is above 5.1 V", unit=f"U{h}", station=f"S{h % 2}") for h in (9, 2, 5)]
    twice = [lately.failure(3, "took 2.64 s", service="cloud"), lately.failure(4, "took 2.71 s", service="cloud")]
    answer = await ask(ledger("factory", failures=rail), ledger("cloud", failures=twice))
    assert answer["totals"] | {"failures": 5, "runs": 5, "causes": 2, "new": 2} == answer["totals"]
    first, second = answer["groups"]
    assert (first["service"], first["failures"], first["runs"], first["units"]) == ("factory", 3, 3, 3)
    assert first["unit_names"] == ["U2", "U5", "U9"]
    assert first["by_station"] == {"S1": 2, "S0": 1}
    assert "more_stations" not in first
    assert first["run_id"] == rail[1].run.run_id
    assert first["reason"] == "rail_5v 5.2 V is above 5.1 V"
    assert first["first_seen"] == rail[0].run.started_at.strftime("%Y-%m-%dT%H:%MZ")
    assert first["last_seen"] == rail[1].run.started_at.strftime("%Y-%m-%dT%H:%MZ")
    assert (second["service"], second["failures"], second["last_seen"]) == (
        "cloud",
        2,
        twice[0].run.started_at.strftime("%Y-%m-%dT%H:%MZ"),
    )
    assert {name: share["failures"] for name, share in shares(answer).items()} == {"factory": 3, "cloud": 2}
    assert {"test", "case", "reason", "unit_names", "by_station"} <= set(answer["untrusted"])


async def test_the_test_of_a_cause_at_several_tests_is_a_name_and_all_of_them_are_counted(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    dark = [lately.failure(hours, "NoVideo", test=test) for hours, test in enumerate(("zap", "epg", "zap", "boot"), 2)]
    alone = [lately.failure(9, "rail_5v is above its limit", test="rails")]
    several, single = (await ask(ledger(failures=[*dark, *alone])))["groups"]
    assert (several["test"], several["tests"]) == ("zap", 3), "`test` is a name that list_runs finds"
    assert single["test"] == "rails"


async def test_stations_that_are_left_out_are_counted(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    failures = [lately.failure(hour, station=f"S{hour}") for hour in range(1, 9)]
    (group,) = (await ask(ledger(failures=failures)))["groups"]
    assert (len(group["by_station"]), group["more_stations"]) == (6, 2)


async def test_two_cases_of_one_run_with_one_message_are_two_failures_of_one_cause(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    one = lately.failure(2)
    answer = await ask(ledger(failures=[one, one._replace(case="other")]))
    assert (answer["totals"]["failures"], answer["totals"]["runs"], answer["totals"]["causes"]) == (2, 1, 1)


async def test_new_is_what_was_never_seen_before_the_window_and_first_seen_reaches_before_it(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    seen = [lately.failure(h, "took 2 s", case="seen") for h in (2, 30)]
    long_ago = [lately.failure(h, "ended", case="long ago") for h in (3, 60)]
    never = [lately.failure(4, "broken", case="never")]
    answer = await ask(ledger(failures=[*seen, *long_ago, *never]))
    told = [(g["case"], g.get("new", False), g["first_seen"]) for g in answer["groups"]]
    first = [f.run.started_at.strftime("%Y-%m-%dT%H:%MZ") for f in (seen[1], long_ago[1], never[0])]
    assert told == [("seen", False, first[0]), ("long ago", False, first[1]), ("never", True, first[2])]
    since = (lately.now - timedelta(days=8)).date().isoformat()
    assert f"Looked back to {since}, before since, for first_seen, new and evidence." in answer["note"]


async def test_when_a_test_broke_is_looked_for_before_the_window(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    at_night = {"station": "N1", "case": "FCT"}
    failures = [lately.failure(24 * day + 2, "EPG is empty", revision="r2", **at_night) for day in range(30)]
    passes = [lately.run(24 * day + 2, station="N1", revision="r1") for day in range(30, 40)]
    archive = ledger(failures=failures, passes=passes)
    (group,) = (await ask(archive))["groups"]
    broke = group["broke"]
    assert broke["last_pass"]["run_id"] == passes[0].run_id
    assert broke["first_failure"] == {
        "run_id": failures[-1].run.run_id,
        "started_at": failures[-1].run.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "revision": "r2",
    }
    assert [query.outcome for query in archive.looked_up] == ["pass", ""]


@pytest.mark.parametrize("passed", [3, 40], ids=["within what is compared", "looked up"])
async def test_each_cause_of_a_test_broke_with_its_own_first_failure(
    passed: int, ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    at_night = {"station": "N1", "case": "FCT"}
    days = range(passed)
    failures = [lately.failure(24 * day + 2, "EPG is empty" if day else "No audio", **at_night) for day in days]
    failures.append(lately.failure(3, "No audio", **at_night))
    archive = ledger(failures=failures, passes=[lately.run(24 * passed + 2, station="N1")])
    groups = (await ask(archive, since="2d"))["groups"]
    first = {group["reason"]: group["broke"]["first_failure"]["run_id"] for group in groups}
    assert first == {"EPG is empty": failures[passed - 1].run.run_id, "No audio": failures[-1].run.run_id}
    assert all("note" not in group["broke"] for group in groups)


async def test_where_rows_have_no_message_the_first_that_was_read_may_not_be_the_first(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    failures = [lately.failure(24 * day + 2, station="N1", in_rows=False) for day in range(30)]
    (group,) = (await ask(ledger(failures=failures)))["groups"]
    assert group["broke"]["first_failure"]["run_id"] == failures[7].run.run_id
    assert "Perhaps earlier" in group["broke"]["note"]


async def test_a_test_that_has_never_passed_says_how_far_back_was_looked(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    failures = [lately.failure(24 * day + 2, "EPG is empty", station="N1") for day in range(120)]
    (group,) = (await ask(ledger(failures=failures)))["groups"]
    assert group["broke"]["first_failure"]["run_id"] == failures[90].run.run_id
    assert "last_pass" not in group["broke"]
    assert group["broke"]["note"] == "No pass in the 90 days before."


async def test_a_test_that_others_pass_broke_at_its_station(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    failures = [lately.failure(hour, "EPG is empty", station="N1") for hour in (1, 2, 3)]
    passes = [lately.run(hour / 2, station=station) for hour in range(1, 20) for station in ("N1", "N2")]
    passes = [run for run in passes if run.station == "N2" or run.started_at < failures[-1].run.started_at]
    (group,) = (await ask(ledger(failures=failures, passes=passes)))["groups"]
    newest = max((run for run in passes if run.station == "N1"), key=lambda run: run.started_at)
    assert group["broke"]["last_pass"]["run_id"] == newest.run_id
    assert group["broke"]["first_failure"]["run_id"] == failures[-1].run.run_id
    assert group["broke"]["note"] == "At its station; others pass."


async def test_only_failures_with_all_words_in_their_message_count(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    said = ["rail_5v 5.2 V is above 5.1 V", "rail_5v 5.2 V is above 5.1 V; rail_3v3 3 V is below 3.2 V", "EPG is empty"]
    failures = [lately.failure(n + 1, message, station=f"S{n}") for n, message in enumerate(said)]
    answer = await ask(ledger(failures=failures), reason="RAIL_5V above")
    assert answer["totals"] | {"failures": 2, "runs": 2, "causes": 2} == answer["totals"]
    assert shares(answer)["factory"]["failures"] == 2


async def test_all_causes_come_page_by_page_in_the_window_of_the_first(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    names = [f"{a}{b}" for a, b in product("abcdefgh", repeat=2)]
    failures = [lately.failure(1 + n / 10, f"broken {name}", case=name) for n, name in enumerate(names)]
    archive = ledger(failures=failures)
    found: list[str] = []
    answer: dict[str, Any] = {"cursor": ""}
    while "cursor" in answer:
        answer = await ask(archive, sort="newest", limit=50, cursor=answer["cursor"])
        found += [group["case"] for group in answer["groups"]]
    assert found == names
    assert len({query.until for query in archive.asked if query.until and query.since}) <= 3
    page = await ask(archive, limit=3)
    assert page["note"].startswith("61 more causes with 61 runs: pass cursor (limit ended this page).")
    with pytest.raises(BadInput, match="other arguments"):
        await ask(archive, limit=3, sort="newest", cursor=page["cursor"])
    with pytest.raises(BadInput, match="not one this tool gave"):
        await ask(archive, cursor="x")


async def test_a_night_is_judged_by_the_failures_of_a_week_as_by_its_passes(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    nightly = [lately.failure(h, "EPG is empty", station="N1", revision="r1") for h in (2, 74, 122)]
    passes = [lately.run(h, station="N1", revision="r1") for h in (26, 50, 98, 146)]
    archive = ledger(failures=nightly, passes=passes)
    (group,) = (await ask(archive, since="24h"))["groups"]
    assert (group["failures"], group["class"]) == (1, "flaky")
    assert group["evidence"].endswith("4 passes, 3 failures (2 before), 5 changes.")
    now, before = archive.asked
    assert before.until == now.since
    assert [q.since for q in archive.compared] == [before.since]
    assert now.since
    assert before.since
    assert now.since - before.since == timedelta(days=7)


async def test_passes_older_than_the_failures_that_were_read_are_not_held_against_them(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    failures = [lately.failure(1 + n / 1_000, "took 2 s") for n in range(MAX_FAILED_RUNS + 5)]
    passes = [lately.run(h, station="S2") for h in (1.5, 9, 10, 11)]
    (group,) = (await ask(ledger(failures=failures, passes=passes)))["groups"]
    assert "1000 failed runs, 1 pass" in group["evidence"]


async def test_of_one_station_nothing_is_said_of_the_others(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    failures = [lately.failure(n, unit=f"U{n}", station="S3") for n in range(1, 9)]
    passes = [lately.run(n / 10, station="S3", unit=f"V{n}") for n in range(1, 4)]
    (group,) = (await ask(ledger(failures=failures, passes=passes), station="S3"))["groups"]
    assert group["class"] == "product"
    assert group["evidence"].endswith("Meanwhile 3 passes there; others were not compared.")


async def test_runs_of_which_no_case_was_read_are_not_called_one_cause(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    unread = [lately.failure(n, "", case="") for n in (1, 2, 3)]
    (group,) = (await ask(ledger(failures=unread, passes=[lately.run(2)], unread=3)))["groups"]
    assert group["class"] == "unclear"
    assert group["evidence"] == "What failed was not told or not read; causes may differ."


async def test_where_the_window_before_cannot_be_read_new_is_put_in_doubt(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    archive = ledger(failures=[lately.failure(2)], error_before=ServiceDown("factory", "down"))
    answer = await ask(archive)
    assert answer["groups"]
    assert "Of factory that time was not read whole" in answer["note"]


async def test_samples_and_stopped_runs_are_counted_apart(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    failures = [
        lately.failure(1, unit="G1", sample="golden"),
        lately.failure(2, unit="F1", sample="failing"),
        lately.failure(3, unit="U1"),
        lately.failure(4, unit="U2", outcome="stopped"),
    ]
    answer = await ask(ledger(failures=failures))
    assert answer["totals"] | {"failures": 1, "samples": 2, "stopped": 1} == answer["totals"]
    assert answer["groups"][0]["unit_names"] == ["U1"]
    assert "2 failures of golden, failing and ignored samples" in answer["note"]


async def test_a_service_that_fails_is_reported_and_hides_no_other(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    down = ledger("cloud", error=ServiceDown("cloud", "Service cloud cannot be reached", "refused", "Check its url."))
    unable = ledger("portal", error=NotFound("portal has no node of that name", "", "list_nodes shows all nodes."))
    answer = await ask(ledger(failures=[lately.failure(1)]), down, unable)
    assert len(answer["groups"]) == 1
    assert shares(answer)["cloud"]["error"] == "Service cloud cannot be reached. refused. Check its url."
    assert shares(answer)["portal"]["error"] == "portal has no node of that name"
    assert "Nothing of cloud, portal is in this" in answer["note"]


async def test_a_service_without_failures_says_none_and_one_that_failed_says_no_number(
    ledger: Callable[..., Ledger], ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    answer = await ask(ledger("quiet"), ledger("down", error=ServiceDown("down", "Service down cannot be reached")))
    quiet, down = shares(answer)["quiet"], shares(answer)["down"]
    assert (quiet["failures"], quiet["runs"]) == (0, 0)
    assert "failures" not in down


async def test_if_all_services_fail_the_one_in_trouble_is_the_error(
    ledger: Callable[..., Ledger], ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    with pytest.raises(ServiceDown, match="cannot be reached"):
        await ask(ledger("a", error=NotFound("none")), ledger("b", error=ServiceDown("b", "b cannot be reached")))


async def test_a_service_that_cannot_list_failures_is_named(
    ledger: Callable[..., Ledger], mute: Callable[[str], Mute], ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    answer = await ask(ledger("factory"), mute("old"))
    assert "Cannot list failures of many runs" in shares(answer)["old"]["cannot"]
    assert "Nothing of old is in this" in answer["note"]
    assert answer["totals"]["failures"] == 0
    with pytest.raises(Unsupported, match="Service old cannot do this"):
        await ask(ledger("factory"), mute("old"), service="old")
    assert "old" not in shares(await ask(ledger("factory"), mute("old"), service="factory"))


def test_a_hung_service_costs_its_time_once_and_hides_no_other(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]], hurried: Hurried
) -> None:
    async def timed() -> tuple[dict[str, Any], float]:
        answer = await ask(
            ledger("hung", hangs=True), ledger("hung2", hangs=True), ledger(failures=[lately.failure(1)])
        )
        return answer, asyncio.get_running_loop().time()

    answer, ended = hurried(_since_start(timed))
    assert LONGEST_WAIT_S * (1 - RESERVE) <= ended < LONGEST_WAIT_S
    assert len(answer["groups"]) == 1
    assert "did not tell its failures within" in shares(answer)["hung"]["error"]


def test_where_passes_do_not_come_in_time_the_failures_are_told_without(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]], hurried: Hurried
) -> None:
    async def timed() -> tuple[dict[str, Any], float]:
        answer = await ask(ledger(failures=[lately.failure(1), lately.failure(2)], compares=False))
        return answer, asyncio.get_running_loop().time()

    answer, ended = hurried(_since_start(timed))
    assert ended <= LONGEST_WAIT_S + 1
    (group,) = answer["groups"]
    assert group["failures"] == 2
    assert group["evidence"] == "Passes to compare with could not be read."
    assert "For 1 test passes could not be read" in answer["note"]


async def _since_start(timed: Callable[[], Awaitable[tuple[dict[str, Any], float]]]) -> tuple[dict[str, Any], float]:
    begun = asyncio.get_running_loop().time()
    answer, ended = await timed()
    return answer, ended - begun


async def test_filters_reach_every_service_and_passes_are_asked_by_them_too(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    archive = ledger(failures=[lately.failure(1, test="FCT")])
    await ask(archive, part="P", test="FCT", station="factory:S1")
    assert {(q.part, q.test, q.station, q.outcome) for q in archive.asked} == {("P", "FCT", "S1", "")}
    assert [(q.part, q.test, q.station, q.outcome) for q in archive.compared] == [("P", "FCT", "S1", "pass")]


async def test_passes_are_asked_once_for_each_test_that_is_shown(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    failures = [lately.failure(n, f"broken {t}", case=f"c{n}", test=t) for n, t in product(range(1, 5), "ABC")]
    archive = ledger(failures=failures)
    await ask(archive, limit=2)
    assert [q.test for q in archive.compared] == ["A", "B"]


async def test_how_many_passes_were_read_is_said_where_there_are_more(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    passes = [lately.run(n / 20) for n in range(MAX_PASSED_RUNS + 1)]
    answer = await ask(ledger(failures=[lately.failure(1)], passes=passes))
    assert f"For 1 test by the newest {MAX_PASSED_RUNS} passes only" in answer["note"]


async def test_more_runs_than_are_read_is_said(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    archive = ledger(failures=[lately.failure(n / 100) for n in range(MAX_FAILED_RUNS + 5)], unread=3)
    answer = await ask(archive)
    assert (
        shares(answer)["factory"] | {"at_least": True, "unread": 3, "runs": MAX_FAILED_RUNS}
        == shares(answer)["factory"]
    )
    assert "Of factory not all was read" in answer["note"]


async def test_one_message_at_many_tests_is_one_cause_and_the_heaviest(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    dark = [lately.failure(1 + n / 100, "No video", test=f"t{n}", case=f"t{n}", station="N4") for n in range(30)]
    other = [lately.failure(0.5 + n / 10, f"broken {'abc'[n]}", test="x", case="x") for n in range(3)]
    archive = ledger(failures=[*dark, *other])
    answer = await ask(archive, limit=4)
    assert [g["reason"] for g in answer["groups"]] == ["No video", "broken a", "broken b", "broken c"]
    heaviest = answer["groups"][0]
    assert (heaviest["runs"], heaviest["tests"], heaviest["by_station"]) == (30, 30, {"N4": 30})
    assert answer["totals"]["causes"] == 4
    newest = await ask(archive, sort="newest")
    assert [g["reason"] for g in newest["groups"]] == ["broken a", "broken b", "broken c", "No video"]
    assert len(archive.compared) == 8
    assert [g["runs"] for g in (await ask(archive, group_by="station"))["groups"]] == [30, 3]


@pytest.mark.parametrize(
    "words",
    [
        "Didn't find match for the {} banner within 10 seconds of pressing the key",
        "Спутниковый сигнал потерян: {} не отвечает на запрос состояния",
        "电源轨电压超出范围 {} 请检查测试夹具连接",
    ],
)
async def test_two_thousand_failures_fit_and_what_is_not_shown_adds_up(
    words: str, ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    names = ["".join(letters) for letters in product("abcdefgh", repeat=3)]
    failures = [
        lately.failure(
            n / 100,
            words.format(names[n % 400]),
            test=f"tests/{names[n % 40]}.py::test_that_{names[n % 40]}_appears_when_the_key_is_pressed",
            unit=f"STB4K-{n:06d}",
            station=f"stb-tester-00044b80f{n % 10:03d}",
            outcome="error",
            service=service,
        )
        for n, service in product(range(1_000), ("portal", "factory"))
    ]
    archives = [ledger(s, failures=[f for f in failures if f.run.run_id.startswith(s)]) for s in ("portal", "factory")]
    answer = await ask(*archives, limit=50)
    assert count_tokens(answer) <= 4_000
    shown = answer["groups"]
    assert 5 <= len(shown) <= 50
    assert answer["totals"] | {"failures": 2_000, "causes": 800} == answer["totals"]
    hidden = 2_000 - sum(g["failures"] for g in shown)
    assert f"{800 - len(shown)} more causes with {hidden} runs" in answer["note"]
    assert "the size of an answer, not limit, ended this page" in answer["note"]
    assert len((await ask(*archives, limit=3))["groups"]) == 3


@pytest.mark.parametrize(
    "letters",
    ["abcdefghijklmnopqrstuvwxyz", "ABCabc0123456789", "!#$%&*+-/:;<=>?@^_|~", "電源軌電壓超出範圍", "🤖🔥💥"],
)
async def test_whatever_names_the_lab_has_triage_fits(
    letters: str, ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    dice = random.Random(7)

    def name(size: int) -> str:
        return "".join(dice.choice(letters) for _ in range(size))

    failures = [
        lately.failure(1 + n / 100, name(200), test=name(150), case=name(150), unit=name(80), station=name(80))
        for n in range(40)
    ]
    answer = await ask(ledger(failures=failures), limit=50)
    assert count_tokens(answer) <= 4_000
    assert answer["groups"]
    assert "more causes" in answer["note"]


async def test_bad_times_are_told(ledger: Callable[..., Ledger], ask: Callable[..., Awaitable[dict[str, Any]]]) -> None:
    with pytest.raises(BadInput, match="since is empty"):
        await ask(ledger(), since="")
    with pytest.raises(BadInput, match="until is not after since"):
        await ask(ledger(), since="24h", until="48h")
    with pytest.raises(BadInput, match="since lies in the future"):
        await ask(ledger(), since="2999-01-01")


async def test_a_window_as_long_as_time_is_a_window(
    ledger: Callable[..., Ledger], lately: Bench, ask: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    archive = ledger(failures=[lately.failure(1)])
    assert (await ask(archive, since="0001-01-01"))["totals"]["failures"] == 1
    assert (await ask(archive, since="0500-01-01"))["totals"]["failures"] == 1
