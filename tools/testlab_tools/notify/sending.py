"""One request to a receiver: signed, to an address that was judged; no redirect is followed, and little is read."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

import httpx2

from testlab_tools.http.ssrf import UnsafeUrl, pin_receiver
from testlab_tools.notify.receivers import Receiver

TIMEOUT_S = 10.0
LONGEST_S = 15.0
MAX_REPLY = 4096
GONE = 410
MAX_ASKED_S = 3600.0
"""The longest pause that a receiver may ask for."""


class Outcome(NamedTuple):
    """Whether a message has arrived, and if not why, whether it never will, and the pause that was asked for."""

    arrived: bool
    why: str = ""
    final: bool = False
    pause_s: float = 0.0


def sign(key: bytes, notice_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`. Standard Webhooks, "Signature scheme": HMAC-SHA256 of `id.timestamp.payload`."""
    signed = f"{notice_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


async def send(receiver: Receiver, notice_id: str, body: bytes, timestamp: int) -> Outcome:
    """Post a message once. Raises ConfigError where the receiver's settings are wrong."""
    url, key = receiver.read_url(), receiver.read_secret()
    headers = {"Content-Type": "application/json", "User-Agent": "testlab-mcp", "Accept-Encoding": "identity"}
    headers |= {"webhook-id": notice_id, "webhook-timestamp": str(timestamp)}
    if key:
        headers["webhook-signature"] = sign(key, notice_id, timestamp, body)
    try:
        async with asyncio.timeout(LONGEST_S):
            place = await pin_receiver(url, receiver.allow_private)
            async with (
                httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client,
                client.stream(
                    "POST",
                    place.url,
                    content=body,
                    headers={**headers, **place.headers},
                    extensions=place.extensions,
                ) as response,
            ):
                reply = await _read_head(response)
    except UnsafeUrl as unsafe:
        return Outcome(False, f"Nothing is sent there: {unsafe}")
    except TimeoutError:
        return Outcome(False, f"It did not answer within {LONGEST_S:.0f} s: whether it arrived is not known")
    except (OSError, UnicodeError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        return Outcome(False, f"No answer came ({type(error).__name__})")
    return judge_reply(receiver, response.status_code, response.headers, reply)


def judge_reply(receiver: Receiver, status: int, headers: Mapping[str, str], reply: bytes) -> Outcome:
    """Whether an answer says that the message has arrived."""
    if status == GONE:
        return Outcome(False, "It answered 410: it wants no more messages", final=True)
    if 300 <= status < 400:
        return Outcome(False, f"It answered {status}: redirects are not followed")
    if not 200 <= status < 300:
        asked = headers.get("retry-after", "")
        return Outcome(
            False, f"It answered {status}", pause_s=min(MAX_ASKED_S, float(asked)) if asked.isdecimal() else 0
        )
    if receiver.kind == "slack" and reply.strip() != b"ok":  # Slack, "Incoming webhooks": "HTTP/1.1 200 OK", body `ok`
        return Outcome(False, "Something else than Slack answered")
    if reply.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return Outcome(False, "A web page answered in its place, as a proxy or a sign-in page does")
    return Outcome(True)


async def _read_head(response: httpx2.Response) -> bytes:
    head = b""
    async for chunk in response.aiter_raw(MAX_REPLY):
        head += chunk
        if len(head) >= MAX_REPLY:
            break
    return head[:MAX_REPLY]
