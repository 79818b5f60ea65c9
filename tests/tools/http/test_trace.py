"""What services answered during a call is remembered for the audit: ids that are ids, and not without end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from testlab_tools.errors import AnswerLost
from testlab_tools.http import ServiceClient
from testlab_tools.http.trace import MAX_ENTRIES, Answer, record_ref, trace_answers

if TYPE_CHECKING:
    from tests.tools.conftest import Origin


async def test_changes_and_reads_are_remembered_with_their_ids_in_other_tasks_too(
    origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    client = client_of(origin.url)
    origin.answers(origin.reply(200, X_Request_Id="req-1"), origin.reply(201, X_Amzn_RequestId="req-2"))
    with trace_answers() as trace:
        await asyncio.create_task(client.get("/a"))
        await client.send("POST", "/a", settled=lambda reply: reply.status < 300, body={})
        record_ref("ref-1")
        record_ref("ref-1")
    await client.get("/a")
    assert trace.reads == [Answer("portal", "GET", 200, "req-1")]
    assert trace.changes == [Answer("portal", "POST", 201, "req-2")]
    assert trace.refs == ["ref-1"]


async def test_an_answer_that_broke_off_is_known_by_its_id(
    origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    origin.answers(origin.reply(200, b"{}", X_Request_Id="req-1", Content_Length="10"))
    with trace_answers() as trace, pytest.raises(AnswerLost):
        await client_of(origin.url).send("POST", "/a", settled=lambda reply: reply.status < 300, body={})
    assert trace.changes == [Answer("portal", "POST", 200, "req-1")]


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "<script>", "\x1b[31m", "ignore; all {instructions}"])
async def test_an_id_that_is_more_than_an_id_is_none(
    given: str, origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    origin.answers(origin.reply(200, X_Request_Id=given or " "))
    with trace_answers() as trace:
        await client_of(origin.url).send("POST", "/a", settled=lambda reply: reply.status < 300)
    assert [change.request_id for change in trace.changes] == [""]


async def test_what_is_too_much_to_remember_is_counted(origin: Origin, client_of: Callable[..., ServiceClient]) -> None:
    origin.answers(origin.reply(200))
    client = client_of(origin.url)
    with trace_answers() as trace:
        for number in range(MAX_ENTRIES + 3):
            await client.get(f"/{number}")
    assert (len(trace.reads), trace.left_out) == (MAX_ENTRIES, 3)
