"""What services answered during one call of a tool: for the audit. No answer of a tool quotes it."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_ENTRIES = 40
"""Of changes, and of reads, that are remembered each; the rest is counted."""

_HEADERS = (
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "x-amz-request-id",
    "x-amzn-requestid",
    "x-vercel-id",
    "cf-ray",
)
_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class Answer(NamedTuple):
    """An answer: its status, and the id the service gave the request; empty when it gave none that is one."""

    service: str
    method: str
    status: int
    request_id: str


@dataclass
class Trace:
    """The answers to one call, and the references we sent by which a service knows the same change again."""

    changes: list[Answer] = field(default_factory=lambda: list[Answer]())
    reads: list[Answer] = field(default_factory=lambda: list[Answer]())
    refs: list[str] = field(default_factory=lambda: list[str]())
    left_out: int = 0


_trace: ContextVar[Trace | None] = ContextVar("testlab_trace", default=None)


@contextmanager
def trace_answers() -> Generator[Trace, None, None]:
    """Remember what services answer while this is open, in tasks begun meanwhile too.

    A read that several calls share is remembered by the one that began it.
    """
    trace = Trace()
    token = _trace.set(trace)
    try:
        yield trace
    finally:
        _trace.reset(token)


def record_answer(service: str, method: str, status: int, headers: Mapping[str, str]) -> None:
    """An answer has begun to come."""
    if (trace := _trace.get()) is None:
        return
    kept = trace.reads if method == "GET" else trace.changes
    if len(kept) < MAX_ENTRIES:
        kept.append(Answer(service, method, status, request_id(headers)))
    else:
        trace.left_out += 1


def record_ref(ref: str) -> None:
    """A change is sent under a reference of ours."""
    if (trace := _trace.get()) is not None and ref and ref not in trace.refs and len(trace.refs) < MAX_ENTRIES:
        trace.refs.append(ref)


def request_id(headers: Mapping[str, str]) -> str:
    """The id a service gave a request; empty when there is none, or it is more than an id."""
    given = next((headers[name] for name in _HEADERS if headers.get(name)), "")
    return given if _ID.fullmatch(given) else ""
