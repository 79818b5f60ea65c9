"""Pinboard

[services.wall]
kind = "pinboard"
url = "http://127.0.0.1:8080"
board = "lab"
token_env = "PINBOARD_TOKEN"
"""

from __future__ import annotations

from testlab_tools.pinboard.models import Pin

from testlab_tools.capabilities import Health, RunArchive, Runs
from testlab_tools.errors import AuthError, NotFound, ServiceDown
from testlab_tools.http import Reply, ServiceClient, clock_skew
from testlab_tools.models import Case, FailedRun, Outcome, Run
from testlab_tools.questions import RunQuery
from testlab_tools.records import KnownRun, RunDetail
from testlab_tools.settings import ServiceSettings
from testlab_tools.wire import decode

_OUTCOMES: dict[str, Outcome] = {"good": "pass", "bad": "fail"}


class Settings(ServiceSettings):
    """Keys of a `kind = "pinboard"` table."""

    board: str


class Pinboard(RunArchive):
    """The pins of one board."""

    kind = "pinboard"

    def __init__(self, name: str, client: ServiceClient, board: str) -> None:
        super().__init__(name, client)
        self._pins = f"/boards/{board}/pins"

    async def probe(self) -> Health:
        reply = self._checked(await self.client.get(self._pins))
        return Health("", clock_skew(reply.headers))

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        pins = [pin for pin in await self._all() if _matches(pin, query)]
        pins.sort(key=lambda pin: (pin.pinned_at, pin.id), reverse=not query.oldest_first)
        skip = int(after or 0)
        page = [self._run(pin, skip + n + 1) for n, pin in enumerate(pins[skip : skip + limit])]
        return Runs(page, more=len(pins) > skip + limit, total=len(pins))

    async def get_run(self, run_id: str) -> RunDetail:
        run = await self._one(run_id)
        return RunDetail(run=KnownRun(**run.model_dump(), cases_run=1), cases=[_case(run)])

    async def failures(self, run_id: str) -> list[FailedRun]:
        run = await self._one(run_id)
        cases = [] if run.outcome == "pass" else [_case(run)]
        return [FailedRun(**run.model_dump(), cases=cases, cases_run=1)]

    def owns_run(self, run_id: str) -> bool:
        return run_id.isdecimal()

    async def _one(self, run_id: str) -> Run:
        pin = next((pin for pin in await self._all() if str(pin.id) == run_id), None)
        if pin is None:
            raise NotFound(f"{self.name} has no such pin", "", "list_runs shows the runs there are.")
        return self._run(pin, 0)

    async def _all(self) -> list[Pin]:
        return decode(self._checked(await self.client.get(self._pins)), list[Pin])

    def _checked(self, reply: Reply) -> Reply:
        match reply.status:
            case 200:
                return reply
            case 401:
                raise AuthError(self.name, f"{self.name} does not accept the token")
            case status:
                raise ServiceDown(self.name, f"{self.name} failed (HTTP {status})")

    def _run(self, pin: Pin, position: int) -> Run:
        return Run(
            run_id=self.handle(str(pin.id)),
            outcome=_OUTCOMES[pin.verdict],
            test=pin.title,
            started_at=pin.pinned_at,
            unit=pin.serial,
            reason=pin.remark,
            position=str(position),
        )


def connect(name: str, settings: Settings) -> Pinboard:
    """The board named in the table."""
    return Pinboard(name, settings.client(name, "bearer"), settings.board)


def _case(run: Run) -> Case:
    return Case(case=run.test, outcome=run.outcome, reason=run.reason)


def _matches(pin: Pin, query: RunQuery) -> bool:
    return (not query.outcome or _OUTCOMES[pin.verdict] == query.outcome) and query.unit in ("", pin.serial)
