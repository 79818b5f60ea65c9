"""A StandCloud whose manners a test chooses, on the scriptable server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from testlab_tools.adapters.standcloud.adapter import StandCloud
from testlab_tools.http import ServiceClient

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

START = datetime(2026, 11, 20, tzinfo=UTC)
OWN = ("status", "serial_number", "part_number", "test_plan_name", "test_stand_name", "batch_number")


def row(number: int, **fields: Any) -> dict[str, Any]:
    """A test run that began `number` minutes after START."""
    began = START + timedelta(minutes=number)
    return {
        "test_run_id": str(UUID(int=number)),
        "test_plan_name": "FCT",
        "number_of_attempt": 1,
        "status": "fail" if number % 3 == 0 else "pass",
        "start_time": began.isoformat(),
        "finish_time": (began + timedelta(seconds=50)).isoformat(),
        "duration": "PT50S",
        "serial_number": f"SN-{number:05}",
        "part_number": "PSU",
        "batch_number": None,
        "dut_info": {"manufacturer": "ABC" if number % 2 else "XYZ"},
        "test_stand_hw_id": "TS-1",
        "test_stand_name": "Stand 1",
        "test_stand_info": {},
        **fields,
    }


@dataclass
class Server:
    """Answers `GET …/test_run`. `limits`, `offsets`, `filters`: whether it looks at these; `cap` the longest page,
    `unasked` the longest list where no limit is sent."""

    rows: list[dict[str, Any]]
    limits: bool = True
    offsets: bool = True
    filters: bool = True
    cap: int = 10_000
    unasked: int = 10_000
    refuse_over: int = 10_000
    limit_is_a_filter: bool = False
    shrinks: bool = False
    asked: list[dict[str, str]] = field(default_factory=lambda: list[dict[str, str]]())

    async def __call__(self, request: Any) -> bytes:
        query = {key: values[0] for key, values in parse_qs(urlsplit(request.target).query).items()}
        self.asked.append(query)
        if self.shrinks and len(self.asked) > 1:
            self.rows = self.rows[7:]
        limit, offset = int(query.get("limit", self.unasked)), int(query.get("offset", 0))
        if limit > self.refuse_over and "limit" in query:
            return request.reply(422, {"detail": "limit"})
        if self.limit_is_a_filter and "limit" in query:
            return request.reply(200, [])
        rows = [one for one in self.rows if not self.filters or self._matches(one, query)]
        if self.offsets:
            rows = rows[offset:]
        if self.limits:
            rows = rows[: min(limit, self.cap)]
        return request.reply(200, rows)

    @staticmethod
    def _matches(one: dict[str, Any], query: dict[str, str]) -> bool:
        filters = {key: value for key, value in query.items() if key not in ("limit", "offset")}
        told = {**(one["dut_info"] or {}), **one}
        return all(str(told.get(key)).casefold() == value.casefold() for key, value in filters.items())


@pytest.fixture
def stand_cloud(origin: Origin, client_of: Callable[..., ServiceClient]) -> Callable[..., StandCloud]:
    """A StandCloud adapter in front of a `Server`, or of whatever `origin` answers."""

    def made(server: Server | None = None, **endpoint: Any) -> StandCloud:
        if server is not None:

            async def answer(request: Any) -> bytes:
                request.reply = origin.reply
                return await server(request)

            origin.answer = answer
        return StandCloud("portal", client_of(origin.url, **endpoint))

    return made


@pytest.fixture
def row_of() -> Callable[..., dict[str, Any]]:
    """A test run as StandCloud's lists give it: `row_of(7)` began seven minutes after midnight."""
    return row


@pytest.fixture
def server_of() -> Callable[..., Server]:
    """A server of so many runs, newest first, or of the rows given."""

    def made(rows: int | list[dict[str, Any]], **manners: Any) -> Server:
        listed = [row(n) for n in range(rows, 0, -1)] if isinstance(rows, int) else rows
        return Server(listed, **manners)

    return made
