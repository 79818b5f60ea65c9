"""The client of a service, against a real server: its manners, and what it says when things go wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.errors import AnswerLost, BadReply, ConfigError, LabError, RateLimited, ServiceDown
from testlab_tools.http import Credentials, Endpoint, Reply, RetryPolicy, ServiceClient, Token, clock_skew

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

ClientOf = Callable[..., ServiceClient]
NOWHERE = "http://127.0.0.1:9"


def settles(reply: Reply) -> bool:
    """As a service would say of which answers its documentation tells what became of a change."""
    return reply.status < 300 or reply.status == 409


async def test_a_read_sends_the_token_and_its_parameters(origin: Origin, client_of: ClientOf, token: str) -> None:
    origin.answers(origin.reply(200, {"ok": True}))
    reply = await client_of(f"{origin.url}/prefix/").get("/api/v2/runs", {"limit": 50, "outcomes": ["FAIL", "ERROR"]})

    (asked,) = origin.asked
    assert (asked.method, asked.target) == ("GET", "/prefix/api/v2/runs?limit=50&outcomes=FAIL&outcomes=ERROR")
    assert asked.headers["authorization"] == f"Bearer {token}"
    assert (reply.status, reply.json()) == (200, {"ok": True})


async def test_a_change_sends_its_body_as_json(origin: Origin, client_of: ClientOf, token: str) -> None:
    origin.answers(origin.reply(201, {"id": "1"}))
    reply = await client_of(origin.url).send(
        "POST", "/runs", settled=settles, params={"dry": 1}, body={"serial": "SN-ü"}
    )

    (asked,) = origin.asked
    assert (asked.method, asked.target) == ("POST", "/runs?dry=1")
    assert (asked.headers["content-type"], json.loads(asked.body)) == ("application/json", {"serial": "SN-ü"})
    assert asked.headers["authorization"] == f"Bearer {token}"
    assert reply.status == 201


async def test_a_change_without_a_body_sends_none(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(204, b""))
    await client_of(origin.url).send("DELETE", "/reservations/1", settled=settles)

    assert "content-type" not in origin.asked[0].headers
    assert origin.asked[0].body == b""


async def test_an_upload_takes_no_credentials_along(origin: Origin, client_of: ClientOf, token: str) -> None:
    origin.answers(origin.reply(200, b""))
    await client_of(origin.url).upload(f"{origin.url}/bucket?signature=s", b"\x89PNG", "image/png")

    (asked,) = origin.asked
    assert (asked.method, asked.body, asked.headers["content-type"]) == ("PUT", b"\x89PNG", "image/png")
    assert token not in str(asked.headers)


async def test_a_client_that_was_closed_opens_again(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(200))
    client = client_of(origin.url)
    await client.get("/a")
    await client.aclose()

    assert (await client.get("/a")).status == 200


# Retries


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_read_is_asked_again_while_the_service_is_overloaded(
    status: int, origin: Origin, client_of: ClientOf, slept: list[float]
) -> None:
    origin.answers(origin.reply(status), origin.reply(status), origin.reply(200))

    assert (await client_of(origin.url).get("/a")).status == 200
    assert len(origin.asked) == 3
    assert slept == [0.5, 1.0]


@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 408, 409, 410, 500, 501])
async def test_any_other_answer_is_final(status: int, origin: Origin, client_of: ClientOf, slept: list[float]) -> None:
    origin.answers(origin.reply(status))

    assert (await client_of(origin.url).get("/a")).status == status
    assert len(origin.asked) == 1
    assert slept == []


async def test_a_status_the_caller_calls_final_is_not_retried(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(503))

    assert (await client_of(origin.url).get("/a", final=frozenset({503}))).status == 503
    assert len(origin.asked) == 1


async def test_a_read_whose_connection_breaks_is_asked_again(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(None, b"not http at all\r\n\r\n", origin.reply(200)[:-1], origin.reply(200))

    assert (await client_of(origin.url).get("/a")).status == 200
    assert len(origin.asked) == 4


async def test_reads_end_after_the_last_try_and_say_so(origin: Origin, client_of: ClientOf, slept: list[float]) -> None:
    origin.answers(origin.reply(503))

    with pytest.raises(ServiceDown, match=r"Service portal is not available \(HTTP 503\)") as error:
        await client_of(origin.url).get("/a")
    assert error.value.service == "portal"
    assert len(origin.asked) == 4
    assert slept == [0.5, 1.0, 2.0]


async def test_a_service_that_is_not_there_is_down(client_of: ClientOf, slept: list[float]) -> None:
    with pytest.raises(ServiceDown, match=r"Service portal cannot be reached\. The connection was refused"):
        await client_of(NOWHERE).get("/a")
    assert len(slept) == 3


async def test_a_service_that_does_not_answer_in_time_is_down_and_not_asked_again(
    origin: Origin, client_of: ClientOf
) -> None:
    async def never(_: object) -> bytes:
        await asyncio.Event().wait()
        return b""

    origin.answer = never
    client = client_of(origin.url, timeout_seconds=0.05, retry=RetryPolicy(attempts=2))

    with pytest.raises(ServiceDown, match="It took too long to answer"):
        await client.get("/a")
    assert len(origin.asked) == 1


async def test_a_web_page_in_place_of_the_services_answer_leaves_a_change_in_doubt(
    origin: Origin, client_of: ClientOf
) -> None:
    origin.answers(origin.reply(200, b"<html>Sign in</html>", Content_Type="text/html; charset=utf-8"))
    with pytest.raises(AnswerLost, match="A web page answered in its place"):
        await client_of(origin.url).send("DELETE", "/reservations/1", settled=settles)
    assert len(origin.asked) == 1
    origin.answers(origin.reply(200, b"", Content_Type="text/html; charset=utf-8"))
    assert (await client_of(origin.url).send("DELETE", "/reservations/1", settled=settles)).status == 200


async def test_an_answer_that_trickles_for_ever_is_given_up(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(200, b"", Content_Length="1000000"))
    origin.trickle = (0.05, b" ")

    async with asyncio.timeout(5):
        with pytest.raises(ServiceDown, match="It took too long to answer"):
            await client_of(origin.url, timeout_seconds=0.3, retry=RetryPolicy(attempts=1)).get("/a")


async def test_the_service_is_waited_for_as_long_as_it_asks(
    origin: Origin, client_of: ClientOf, slept: list[float]
) -> None:
    origin.answers(origin.reply(429, Retry_After="7"), origin.reply(200))

    assert (await client_of(origin.url).get("/a")).status == 200
    assert slept == [7]


async def test_a_retry_after_with_a_date_is_honoured(origin: Origin, client_of: ClientOf, slept: list[float]) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=6), usegmt=True)
    origin.answers(origin.reply(503, Retry_After=moment), origin.reply(200))

    assert (await client_of(origin.url).get("/a")).status == 200
    assert slept == [pytest.approx(5.5, abs=0.6)]


async def test_a_service_that_asks_for_more_than_a_call_may_take_is_not_waited_for(
    origin: Origin, client_of: ClientOf, slept: list[float]
) -> None:
    origin.answers(origin.reply(429, Retry_After="120"))

    with pytest.raises(RateLimited) as error:
        await client_of(origin.url).get("/a")
    assert str(error.value) == ("Service portal is limiting requests. It asks to wait 120 s. Call again in 120 s.")
    assert error.value.retry_after == 120
    assert (len(origin.asked), slept) == (1, [])


async def test_an_outage_that_says_how_long_is_told_with_it(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(503, Retry_After="3600"))

    with pytest.raises(ServiceDown, match="It asks to wait 3600 s"):
        await client_of(origin.url).get("/a")
    assert len(origin.asked) == 1


async def test_the_bound_is_on_all_waits_together(origin: Origin, client_of: ClientOf, slept: list[float]) -> None:
    origin.answers(origin.reply(429, Retry_After="6"))

    with pytest.raises(RateLimited):
        await client_of(origin.url).get("/a")
    assert slept == [6, 6]


@pytest.mark.parametrize("value", ["inf", "nan", "1e999", "soon"])
async def test_a_retry_after_that_means_nothing_is_as_none(
    value: str, origin: Origin, client_of: ClientOf, slept: list[float]
) -> None:
    origin.answers(origin.reply(429, Retry_After=value))

    with pytest.raises(RateLimited, match="Wait a few seconds and call again"):
        await client_of(origin.url).get("/a")
    assert slept == [0.5, 1.0, 2.0]


# Changes


@pytest.mark.parametrize("status", [200, 409])
async def test_a_change_that_is_answered_is_sent_once(
    status: int, origin: Origin, client_of: ClientOf, slept: list[float]
) -> None:
    origin.answers(origin.reply(status, Retry_After="1"))

    assert (await client_of(origin.url).send("POST", "/runs", settled=settles, body={})).status == status
    assert (len(origin.asked), slept) == (1, [])


LOST = re.compile(r"was sent the change \(POST\) and (did not answer|answered \d{3})")


@pytest.mark.parametrize(
    "answer", ["reset", "nothing", "half", "not http", "404", "429", "500", "502", "503", "504", "520"]
)
async def test_a_change_whose_answer_is_lost_says_that_it_may_have_happened(
    answer: str, origin: Origin, client_of: ClientOf, slept: list[float]
) -> None:
    whole = origin.reply(201, {"id": "1"})
    sent = {"reset": None, "nothing": b"", "half": whole[:-3], "not http": b"?\r\n\r\n"}
    origin.answers(sent[answer] if answer in sent else origin.reply(int(answer)))

    with pytest.raises(AnswerLost) as error:
        await client_of(origin.url).send("POST", "/runs", settled=settles, body={})
    assert LOST.search(str(error.value))
    assert "It may or may not have happened: look before you try again" in str(error.value)
    assert (len(origin.asked), slept) == (1, [])


async def test_a_change_that_times_out_may_have_happened(origin: Origin, client_of: ClientOf) -> None:
    async def never(_: object) -> bytes:
        await asyncio.Event().wait()
        return b""

    origin.answer = never

    with pytest.raises(AnswerLost, match="It took too long to answer"):
        await client_of(origin.url, timeout_seconds=0.05).send("POST", "/runs", settled=settles, body={})
    assert len(origin.asked) == 1


async def test_a_change_that_could_not_be_sent_did_not_happen(client_of: ClientOf, slept: list[float]) -> None:
    with pytest.raises(ServiceDown):
        await client_of(NOWHERE).send("POST", "/runs", settled=settles, body={})
    assert slept == []


# Many at once


class Held:
    """Answers that wait for a word."""

    def __init__(self, content: bytes) -> None:
        self.go = asyncio.Event()
        self._content = content

    async def __call__(self, _: object) -> bytes:
        await self.go.wait()
        return self._content


async def test_no_more_requests_are_open_than_the_limit(origin: Origin, client_of: ClientOf) -> None:
    origin.answer = held = Held(origin.reply(200))
    client = client_of(origin.url, max_concurrency=3)
    calls = [asyncio.create_task(client.get(f"/{n}")) for n in range(12)]
    calls += [asyncio.create_task(client.send("POST", f"/{n}", settled=settles)) for n in range(4)]
    await origin.until(lambda: origin.open == 3)
    held.go.set()

    assert {reply.status for reply in await asyncio.gather(*calls)} == {200}
    assert (origin.most_open, len(origin.asked)) == (3, 16)


async def test_waiting_to_retry_holds_no_place(origin: Origin, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTLAB_TOKEN", token)
    asleep, wake = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        asleep.set()
        await wake.wait()

    origin.answers(origin.reply(503), origin.reply(200))
    endpoint = Endpoint("portal", origin.url, max_concurrency=1)
    client = ServiceClient(endpoint, Credentials("portal", "bearer", Token(env="TESTLAB_TOKEN")), sleep=sleep)
    retried = asyncio.create_task(client.get("/a"))
    await asleep.wait()

    assert (await client.get("/b")).status == 200
    wake.set()
    assert (await retried).status == 200
    await client.aclose()


async def test_identical_reads_are_one_request(origin: Origin, client_of: ClientOf) -> None:
    origin.answer = held = Held(origin.reply(200, {"n": 1}))
    client = client_of(origin.url)
    calls = [asyncio.create_task(client.get("/a", {"x": 1, "y": ["b"]})) for _ in range(50)]
    calls.append(asyncio.create_task(client.get("/a", {"y": ["b"], "x": 1})))
    await origin.until(lambda: origin.open == 1)
    held.go.set()

    assert [reply.json() for reply in await asyncio.gather(*calls)] == [{"n": 1}] * 51
    assert len(origin.asked) == 1


async def test_reads_that_differ_are_not_shared(origin: Origin, client_of: ClientOf) -> None:
    origin.answer = held = Held(origin.reply(200))
    client = client_of(origin.url)
    calls = [asyncio.create_task(client.get("/a", params)) for params in ({}, {"x": 1}, {"x": 2}, {"x": ["1", "2"]})]
    await origin.until(lambda: origin.open == 4)
    held.go.set()

    assert len(await asyncio.gather(*calls)) == 4


async def test_identical_changes_are_never_shared(origin: Origin, client_of: ClientOf) -> None:
    origin.answer = held = Held(origin.reply(200))
    client = client_of(origin.url)
    calls = [asyncio.create_task(client.send("POST", "/a", settled=settles)) for _ in range(3)]
    await origin.until(lambda: origin.open == 3)
    held.go.set()

    assert len(await asyncio.gather(*calls)) == 3


async def test_one_reader_who_goes_leaves_the_others_their_answer(origin: Origin, client_of: ClientOf) -> None:
    origin.answer = held = Held(origin.reply(200))
    client = client_of(origin.url)
    first, *others = [asyncio.create_task(client.get("/a")) for _ in range(3)]
    await origin.until(lambda: origin.open == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    held.go.set()

    assert [reply.status for reply in await asyncio.gather(*others)] == [200, 200]


async def test_the_last_reader_who_goes_hangs_up(origin: Origin, client_of: ClientOf) -> None:
    origin.answer = Held(origin.reply(200))
    client = client_of(origin.url, max_concurrency=1)
    calls = [asyncio.create_task(client.get("/a")) for _ in range(3)]
    await origin.until(lambda: origin.open == 1)
    for call in calls:
        call.cancel()
    await origin.until(lambda: origin.open == 0)

    origin.answers(origin.reply(200))
    assert (await client.get("/a")).status == 200


async def test_long_polls_are_shared_and_take_no_place(origin: Origin, client_of: ClientOf) -> None:
    held = Held(origin.reply(202))

    async def answer(asked: Any) -> bytes:
        return await held(asked) if asked.target.startswith("/poll") else origin.reply(200)

    origin.answer = answer
    client = client_of(origin.url, max_concurrency=1)
    polls = [asyncio.create_task(client.poll("/poll/1", 30)) for _ in range(50)]
    polls += [asyncio.create_task(client.poll("/poll/2", 30)) for _ in range(50)]
    await origin.until(lambda: origin.open == 2)

    assert (await client.get("/a")).status == 200
    held.go.set()
    assert {reply.status for reply in await asyncio.gather(*polls)} == {202}
    assert sorted(asked.target for asked in origin.asked) == ["/a", "/poll/1", "/poll/2"]


async def test_a_long_poll_may_hold_longer_than_other_reads(origin: Origin, client_of: ClientOf) -> None:
    async def slowly(_: object) -> bytes:
        await asyncio.sleep(0.15)
        return origin.reply(202)

    origin.answer = slowly
    client = client_of(origin.url, timeout_seconds=0.05)

    assert (await client.poll("/poll/1", 5)).status == 202
    with pytest.raises(ServiceDown):
        await client.poll("/poll/1", 0.05)


async def test_a_long_poll_is_not_asked_again_by_itself(
    origin: Origin, client_of: ClientOf, slept: list[float]
) -> None:
    origin.answers(origin.reply(503))

    assert (await client_of(origin.url).poll("/poll/1", 5)).status == 503
    assert (len(origin.asked), slept) == (1, [])


# Answers that are none


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_redirect_is_refused_and_takes_nothing_along(
    method: str, status: int, origin: Origin, other_origin: Origin, client_of: ClientOf
) -> None:
    other_origin.answers(other_origin.reply(200))
    origin.answers(origin.reply(status, Location=f"{other_origin.url}/{method}"))
    client = client_of(origin.url)

    with pytest.raises(LabError, match=rf"answered with a redirect \({status}\)") as error:
        await (client.get("/a") if method == "GET" else client.send(method, "/a", settled=settles, body={}))
    assert other_origin.asked == []
    assert other_origin.url not in str(error.value)
    assert isinstance(error.value, BadReply if method == "GET" else AnswerLost)


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_without_end_is_cut_off(
    packed: bool, origin: Origin, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.http.client.MAX_BODY_BYTES", 2**20)
    body = b"\0" * (2**20 + 1)
    origin.answers(
        origin.reply(200, gzip.compress(body), Content_Encoding="gzip") if packed else origin.reply(200, body)
    )

    with pytest.raises(BadReply, match="Service portal sent more than 1 MB"):
        await client_of(origin.url).get("/a")


async def test_a_body_of_the_largest_size_is_read(
    origin: Origin, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.http.client.MAX_BODY_BYTES", 2**20)
    origin.answers(origin.reply(200, b"\0" * 2**20))

    assert len((await client_of(origin.url).get("/a")).body) == 2**20


async def test_damaged_compression_is_an_outage_of_a_read(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(200, b"not gzip", Content_Encoding="gzip"))

    with pytest.raises(ServiceDown, match="compression is damaged"):
        await client_of(origin.url).get("/a")


async def test_what_is_not_json_is_told_with_the_remedy(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(200, b"<html>Please sign in</html>", Content_Type="text/html"))
    reply = await client_of(origin.url).get("/a")

    with pytest.raises(BadReply, match="something that is not JSON") as error:
        reply.json()
    assert "Please sign in" not in str(error.value)
    assert "Check that url" in error.value.next_step


async def test_an_address_that_is_none_is_an_error_of_the_config(client_of: ClientOf) -> None:
    with pytest.raises(ConfigError, match="Service portal's url is not a URL"):
        await client_of("http://[::1").get("/a")


# Secrets


async def _fails(name: str, origin: Origin, client: ServiceClient) -> None:
    match name:
        case "refused":
            await client.get("/a")
        case "reset":
            origin.answers(None)
            await client.send("POST", "/a", settled=settles, body={})
        case "redirect":
            origin.answers(origin.reply(302, Location="/b"))
            await client.get("/a")
        case "limited":
            origin.answers(origin.reply(429, Retry_After="99"))
            await client.get("/a")
        case "not http":
            origin.answers(b"?\r\n\r\n")
            await client.poll("/a", 1)
        case _:
            origin.answers(origin.reply(200, b"-"))
            (await client.get("/a")).json()


@pytest.mark.parametrize("name", ["refused", "reset", "redirect", "limited", "not http", "not json"])
async def test_no_failure_shows_the_token(
    name: str, origin: Origin, client_of: ClientOf, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_of(NOWHERE if name == "refused" else origin.url)

    with pytest.raises(LabError) as error:
        await _fails(name, origin, client)

    told = "".join(traceback.format_exception(error.value))
    assert token not in told + str(error.value) + repr(error.value) + caplog.text
    assert token not in f"{client!r} {client.endpoint!r} {vars(client)!r}"


async def test_the_address_of_an_upload_stays_out_of_errors(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(None)
    signature = token_hex()

    with pytest.raises(AnswerLost) as error:
        await client_of(origin.url).upload(f"{origin.url}/bucket?signature={signature}", b"", "image/png")
    assert signature not in "".join(traceback.format_exception(error.value))


async def test_a_missing_token_is_told_before_anything_is_sent(origin: Origin) -> None:
    client = ServiceClient(Endpoint("portal", origin.url), Credentials("portal", "bearer", Token()))
    calls: list[Awaitable[object]] = [
        client.get("/a"),
        client.poll("/a", 1),
        client.send("POST", "/a", settled=settles),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="Service portal has no token"):
            await call
    assert origin.asked == []


# Clocks


def test_the_skew_of_a_clock_is_told_by_its_date() -> None:
    ahead = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert clock_skew({"date": ahead}) == pytest.approx(90, abs=2)
    assert clock_skew({}) is None
    assert clock_skew({"date": "soon"}) is None
