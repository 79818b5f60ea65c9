"""What is measured: calls, requests to services, and how much is held, watched and listened to.

By OpenTelemetry's API, which does nothing until an SDK is set up. Nothing here carries an argument, a token, a path or
text of the lab: names of tools, services and error classes, methods and statuses, counts and times.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, StatusCode

from testlab_tools.errors import LabError

TRACER = trace.get_tracer("testlab-mcp")
_METER = metrics.get_meter("testlab-mcp")
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0)

CALLS = _METER.create_counter("testlab.calls", description="Calls of tools, by tool and outcome")
ERRORS = _METER.create_counter("testlab.errors", description="Calls that failed, by tool and kind of error")
CALL_DURATION = _METER.create_histogram(
    "testlab.call.duration", "s", "Time to answer a call, by tool", explicit_bucket_boundaries_advisory=SECONDS
)
REQUEST_DURATION = _METER.create_histogram(
    "testlab.request.duration",
    "s",
    "Time until a service has answered one try of a request, by service, method and class of status",
    explicit_bucket_boundaries_advisory=SECONDS,
)
RETRIES = _METER.create_counter("testlab.request.retries", description="Further tries of requests, by service")
RESERVATIONS = _METER.create_up_down_counter("testlab.reservations", description="Reservations made here and not ended")
JOBS = _METER.create_up_down_counter("testlab.jobs.watched", description="Jobs that are polled for those who wait")
LISTENERS = _METER.create_up_down_counter("testlab.subscriptions", description="Subscriptions to resources")


_on = False


def switch_on() -> None:
    """Measure requests: somebody is told. Before that, measuring one costs next to nothing."""
    global _on
    _on = True


@dataclass
class CallFacts:
    """What becomes known of a call while it is answered; `error` is a class's name, empty without one."""

    outcome: str = ""
    error: str = ""
    services: set[str] = field(default_factory=set[str])


_facts: ContextVar[CallFacts | None] = ContextVar("testlab_call_facts", default=None)


@contextmanager
def collect_facts() -> Generator[CallFacts]:
    """The facts of what is done meanwhile, by tasks begun meanwhile too."""
    facts = CallFacts()
    token = _facts.set(facts)
    try:
        yield facts
    finally:
        _facts.reset(token)


def note_outcome(outcome: str, error: str) -> None:
    """A call of a tool has ended."""
    if (facts := _facts.get()) is not None:
        facts.outcome, facts.error = outcome, error


def note_service(service: str) -> None:
    """A service is asked for the call, though another call's request may bring the answer."""
    if (facts := _facts.get()) is not None:
        facts.services.add(service)


@dataclass
class _Request:
    held: bool
    tries: int = 0
    status: int = 0


_request: ContextVar[_Request | None] = ContextVar("testlab_request", default=None)


@contextmanager
def measure_request(service: str, method: str, url: str = "", held: bool = False) -> Generator[None]:
    """A request with all its tries, as a span. `held` is one that the service answers late on purpose: its time tells
    nothing, and is not measured."""
    if not _on:
        yield
        return
    attributes = {"testlab.service": service, "http.request.method": method}
    if host := urlsplit(url).hostname:
        attributes["server.address"] = host
    request = _Request(held)
    token = _request.set(request)
    try:
        with TRACER.start_as_current_span(
            method, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except LabError as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise
            finally:
                if request.tries > 1:
                    span.set_attribute("http.request.resend_count", request.tries - 1)
                    RETRIES.add(request.tries - 1, {"service": service})
                if request.status:
                    span.set_attribute("http.response.status_code", request.status)
    finally:
        _request.reset(token)


class Try:
    """One try of a request, with the status that was answered; 0 before there is one."""

    status = 0


@contextmanager
def measure_try(service: str, method: str) -> Generator[Try]:
    """The time of one try, until its answer has been read or has failed to come."""
    tried, begun, request = Try(), time.monotonic(), _request.get()
    if not _on:
        yield tried
        return
    try:
        yield tried
    finally:
        if request is not None:
            request.tries += 1
            request.status = tried.status
        if request is None or not request.held:
            status = f"{tried.status // 100}xx" if 100 <= tried.status < 600 else "none"
            labels = {"service": service, "method": method, "status": status}
            REQUEST_DURATION.record(time.monotonic() - begun, labels)
