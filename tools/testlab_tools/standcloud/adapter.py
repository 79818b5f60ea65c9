"""StandCloud, https://everypin.github.io/hardpy/documentation/stand_cloud/

    [services.cloud]
    kind = "standcloud"
    url = "https://demo.standcloud.io"
    api = "integration"                # or "hardpy": the two documented path prefixes
    auth = "x-api-key"                 # or "bearer", which the vendor's own clients send
    token_env = "STANDCLOUD_API_KEY"

It is only read. `GET /test_run` has no documented order and no paging the vendor's client knows of, so a list is read
whole and put in order here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, cast
from urllib.parse import quote

from testlab_tools.capabilities import Health, Runs, UnitArchive
from testlab_tools.errors import AuthError, BadInput, LabError, NotFound, ServiceDown
from testlab_tools.http import Reply, ServiceClient, clock_skew
from testlab_tools.http.failures import limited, unlisted
from testlab_tools.limits import Limits
from testlab_tools.models import Case, FailedRun, Measurement, Outcome, Run
from testlab_tools.questions import RunQuery
from testlab_tools.records import KnownRun, RunDetail, labels
from testlab_tools.settings import ServiceSettings
from testlab_tools.standcloud.models import CaseMeasurement, FailedCaseRow, TestRunRow, outcome
from testlab_tools.times import utc
from testlab_tools.wire import decode_value

_STATUS: dict[str, str] = {"pass": "pass", "fail": "fail", "skip": "skip", "stopped": "stop"}
_EPOCH = datetime.min.replace(tzinfo=UTC)


class Settings(ServiceSettings):
    """Keys of a `kind = "standcloud"` table."""

    api: Literal["integration", "hardpy"] = "integration"
    auth: Literal["x-api-key", "bearer"] = "x-api-key"


class StandCloud(UnitArchive):
    """Test runs of an organisation, for reading."""

    kind = "standcloud"

    def __init__(self, name: str, client: ServiceClient, api: str = "integration") -> None:
        super().__init__(name, client)
        self._root = f"/{api}/api/v1"

    def owns_run(self, run_id: str) -> bool:
        return len(run_id) == 36 and run_id.count("-") == 4

    async def probe(self) -> Health:
        """No account endpoint is documented; a list that matches nothing needs the key as well."""
        reply = await self.client.get(f"{self._root}/test_run", {"serial_number": "testlab-mcp-doctor", "limit": 1})
        return Health("", clock_skew(self._checked(reply, "list of test runs").headers))

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        if query.job or query.outcome == "error":
            return Runs([], more=False, total=0)
        reply = await self.client.get(f"{self._root}/test_run", _params(query))
        rows = decode_value(reply, _listed(self._checked(reply, "list of test runs")), list[dict[str, Any]])
        keyed = sorted(((_key(row), row) for row in rows), key=lambda item: item[0], reverse=not query.oldest_first)
        inside = [(key, row) for key, row in keyed if _within(key[0], query)]
        rest = _past(inside, after, query.oldest_first)
        runs = [self._run(decode_value(reply, row, TestRunRow)) for _, row in rest[:limit]]
        return Runs(runs, more=len(rest) > limit, total=len(inside))

    async def get_run(self, run_id: str) -> RunDetail:
        row = await self._row(run_id)
        run = self._run(row)
        failed = [] if run.outcome == "pass" else await self._failed_cases(run_id)
        return RunDetail(
            run=KnownRun(**run.model_dump(), batch=row.batch_number or ""),
            tags=labels(row.dut_info or {}, row.test_stand_info or {}, row.test_run_artifact or {}),
            cases=failed,
            note="StandCloud tells only of failed cases, and keeps no files.",
        )

    async def failures(self, run_id: str) -> list[FailedRun]:
        run = self._run(await self._row(run_id))
        failed = [] if run.outcome == "pass" else await self._failed_cases(run_id)
        return [FailedRun(**run.model_dump(), cases=failed)]

    async def _row(self, run_id: str) -> TestRunRow:
        if not self.owns_run(run_id):
            raise NotFound(
                f"{self.name} has no such test run", "Its run ids are UUIDs", "list_runs shows the runs there are."
            )
        reply = self._checked(await self.client.get(self._path(run_id)), "test run")
        body = _listed(reply)
        if not body:
            raise NotFound(f"{self.name} has no such test run", "", "list_runs shows the runs there are.")
        return decode_value(reply, body[0], TestRunRow)

    async def _failed_cases(self, run_id: str) -> list[Case]:
        reply = self._checked(await self.client.get(f"{self._path(run_id)}/failed_case"), "test run's failed cases")
        return [_case(row) for row in decode_value(reply, _listed(reply), list[FailedCaseRow])]

    def _path(self, run_id: str) -> str:
        return f"{self._root}/test_run/{quote(run_id, safe='')}"

    def _run(self, row: TestRunRow) -> Run:
        length = row.duration.total_seconds() if row.duration else 0
        if not length and row.start_time and row.finish_time:
            length = (row.finish_time - row.start_time).total_seconds()
        started = row.start_time or row.finish_time or _EPOCH
        return Run(
            run_id=self.handle(row.test_run_id),
            outcome=outcome(row.status),
            test=row.test_plan_name,
            started_at=started,
            duration_s=round(length, 1),
            station=row.test_stand_name or row.test_stand_hw_id,
            unit=row.serial_number or "",
            part=row.part_number,
            attempt=row.number_of_attempt,
            position=f"{started.isoformat()} {row.test_run_id}",
        )

    def _checked(self, reply: Reply, what: str) -> Reply:
        if reply.status == 200:
            return reply
        raise self._failure(reply, what)

    def _failure(self, reply: Reply, what: str) -> LabError:
        """Error bodies are not documented; the vendor's client knows 401 and 404."""
        name = self.name
        match reply.status:
            case 400 | 422:
                return BadInput(f"{name} does not accept the arguments of the {what}", "", "Check filter and ids.")
            case 401 | 403:
                return AuthError(
                    name,
                    f"{name} does not accept the token (HTTP {reply.status})",
                    "It is missing, wrong or revoked, or sent in the wrong header",
                    f'Check the key, and auth = "x-api-key" or "bearer", under [services.{name}].',
                )
            case 404:
                return NotFound(
                    f"{name} has no such {what}",
                    "",
                    f'list_runs shows what is there; [services.{name}] api ("integration" or "hardpy") sets the path.',
                )
            case 429:
                return limited(name, reply.headers)
            case status if status >= 500:
                return ServiceDown(name, f"{name} failed over the {what} (HTTP {status})", "", "Call again later.")
            case status:
                return unlisted(name, status)


def connect(name: str, settings: Settings) -> StandCloud:
    """The organisation that the key belongs to."""
    return StandCloud(name, settings.client(name, settings.auth), settings.api)


def _params(query: RunQuery) -> dict[str, str]:
    """The query as filters of `GET /test_run`; `filter` holds more of them, as `key=value&key=value`."""
    params = {
        "status": _STATUS.get(query.outcome, ""),
        "serial_number": query.unit,
        "part_number": query.part,
        "test_plan_name": query.test,
        "test_stand_name": query.station,
    }
    for pair in filter(None, query.text.split("&")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadInput("filter is not key=value", "", "For example: batch_number=LOT-42&firmware=1.4.2")
        params[key.strip()] = value.strip()
    return {key: value for key, value in params.items() if value}


def _listed(reply: Reply) -> list[Any]:
    """A list, or the single object that HardPy's document shows for a list of one."""
    body: object = reply.json()
    return cast(list[Any], body) if isinstance(body, list) else [body] if body else []


def _key(row: dict[str, Any]) -> tuple[datetime, str]:
    try:
        started = utc(datetime.fromisoformat(str(row.get("start_time") or row.get("finish_time"))))
    except ValueError:
        started = _EPOCH
    return (started, str(row.get("test_run_id", "")))


def _within(started: datetime, query: RunQuery) -> bool:
    return (query.since is None or started >= query.since) and (query.until is None or started < query.until)


def _past(
    rows: list[tuple[tuple[datetime, str], dict[str, Any]]], after: str, ascending: bool
) -> list[tuple[tuple[datetime, str], dict[str, Any]]]:
    if not after:
        return rows
    moment, _, run_id = after.partition(" ")
    mark = (datetime.fromisoformat(moment), run_id)
    return [item for item in rows if (item[0] > mark if ascending else item[0] < mark)]


def _case(row: FailedCaseRow) -> Case:
    said = list(row.msg.values()) if isinstance(row.msg, dict) else row.msg if isinstance(row.msg, list) else [row.msg]
    ended: Outcome = outcome(row.status)
    return Case(
        case=row.name,
        outcome="fail" if ended == "pass" else ended,
        attempts=max(1, row.attempt),
        reason="; ".join(text for text in (row.assertion_msg, *said) if text),
        measurements=[_measurement(m) for m in row.measurements or []],
    )


def _measurement(m: CaseMeasurement) -> Measurement:
    kept = m.result if m.result is not None else Limits(m.lower_limit, m.upper_limit).allow(m.value)
    return Measurement(
        name=m.name,
        outcome="unset" if kept is None else "pass" if kept else "fail",
        value=m.value,
        units=m.unit or "",
        lower=m.lower_limit,
        upper=m.upper_limit,
        expected="" if m.comparison_value is None else str(m.comparison_value),
    )
