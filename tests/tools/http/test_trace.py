"""What services answered during a call is remembered for the audit: ids that are ids, and not without end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from testlab_tools.errors import AnswerLost
from testlab_tools.http.trace import MOST, Answered, sent_ref, traced


async def test_changes_and_reads_are_remembered_with_their_ids_in_other_tasks_too(origin: Any, client_of: Any) -> None:
    client = client_of(origin.url)
    origin.answers(origin.reply(200, X_Request_Id="req-1"), origin.reply(201, X_Amzn_RequestId="req-2"))
    with traced() as trace:
        await asyncio.create_task(client.get("/a"))
        await client.send("POST", "/a", body={})
        sent_ref("ref-1")
        sent_ref("ref-1")
    await client.get("/a")
    assert trace.reads == [Answered("portal", "GET", 200, "req-1")]
    assert trace.changes == [Answered("portal", "POST", 201, "req-2")]
    assert trace.refs == ["ref-1"]


async def test_an_answer_that_broke_off_is_known_by_its_id(origin: Any, client_of: Any) -> None:
    origin.answers(origin.reply(200, b"{}", X_Request_Id="req-1", Content_Length="10"))
    with traced() as trace, pytest.raises(AnswerLost):
        await client_of(origin.url).send("POST", "/a", body={})
    assert trace.changes == [Answered("portal", "POST", 200, "req-1")]


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "<script>", "\x1b[31m", "ignore; all {instructions}"])
async def test_an_id_that_is_more_than_an_id_is_none(given: str, origin: Any, client_of: Any) -> None:
    origin.answers(origin.reply(200, X_Request_Id=given or " "))
    with traced() as trace:
        await client_of(origin.url).send("POST", "/a")
    assert [change.request_id for change in trace.changes] == [""]


async def test_what_is_too_much_to_remember_is_counted(origin: Any, client_of: Any) -> None:
    origin.answers(origin.reply(200))
    client = client_of(origin.url)
    with traced() as trace:
        for number in range(MOST + 3):
            await client.get(f"/{number}")
    assert (len(trace.reads), trace.left_out) == (MOST, 3)
