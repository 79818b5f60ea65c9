"""TofuPilot API v1: `/api/v1/…`, as its document describes it; older self-hosted servers speak only this.

It finds runs by serial number alone, and has no units of their own: they are read from their runs.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import cast
from urllib.parse import quote, unquote

from testlab_tools.adapters.tofupilot.cases import OUTCOMES, cases, describe_failed, failed, v1_detail
from testlab_tools.adapters.tofupilot.client import SUCCESSES, TofuPilotApi, unit_segment, unknown_change
from testlab_tools.adapters.tofupilot.models import Named
from testlab_tools.adapters.tofupilot.v1_models import Key, V1Done, V1Run
from testlab_tools.capabilities import Health, RunContents, RunEraser, Runs, UnitArchive, UnitRegistry
from testlab_tools.errors import AnswerLost, BadInput, BadReply, Conflict, NotFound, Unsupported
from testlab_tools.http import Reply, clock_skew
from testlab_tools.http.response import decode_value
from testlab_tools.models.lab import FailedRun, Outcome, Run, Unit
from testlab_tools.models.requests import RunQuery, UnitChange, refuse_filters, refuse_outcome
from testlab_tools.models.results import RunDetail

MAX_SERIAL = 100
"""TofuPilot takes 60 characters ("Create a run"). It stands in the ids of its runs, which so have an end as well."""
_NAMES: dict[str, Outcome] = {
    "pass": "pass",
    "passed": "pass",
    "fail": "fail",
    "failed": "fail",
    "error": "error",
    "timeout": "error",
    "aborted": "stopped",
    "stopped": "stopped",
    "running": "running",
}
_CATEGORIES: dict[str, Outcome] = {"successful": "pass", "failed": "fail"}
_FILTERS = frozenset({"unit", "outcome", "since", "until"})
_INSTEAD = "Ask by unit, outcome, since and until, and look at each run; services with api_version v2 take these."
_GIVEN = ("pass", "fail", "error", "stopped")
_PROBE = "testlab-mcp-doctor"
_SHOWN = "list_runs(unit=…) shows the runs of a unit."
_UNKNOWN = "list_runs(unit=…) shows a unit's runs; a serial number must be exact."


class V1Runs(TofuPilotApi, UnitArchive, RunEraser, UnitRegistry):
    """Runs of a unit, read and deleted, and units as far as their runs tell them.

    v1 finds runs only by serial number, so a run's native id is `<serial>/<key>`: `SN-1/005f1ec0-…`, or what else names
    it (`Key`) where the server sends no id.
    """

    version = "v1"
    limits = "API v1: lists runs only by unit"

    def is_own_error(self, reply: Reply) -> bool:
        """`{"error": {"message"}}`, as the vendor's clients 1.12.1 and 2.26.1 read it; the document shows none. Hosts
        and gateways put a `code` beside the message."""
        error: object = reply.members.get("error")
        return isinstance(error, dict) and list(cast("dict[str, object]", error)) == ["message"]

    async def rows(self, serial: str, *, retry: bool = True) -> list[V1Run] | None:
        """All runs of a unit; None when the service knows no such unit."""
        return (await self.list_rows(serial, retry=retry))[1]

    async def list_rows(self, serial: str, *, retry: bool = True) -> tuple[Reply, list[V1Run] | None]:
        """As `rows`, with the reply they came in.

        Raises:
            BadReply: it is neither a list of runs nor what the service says of a unit it does not know.
        """
        if len(serial) > MAX_SERIAL:
            raise BadInput("That is no serial number", f"It has {len(serial)} characters", f"At most {MAX_SERIAL}.")
        reply = await self.client.get("/api/v1/runs", {"serial_number": serial}, retry=retry)
        if reply.status == 404 and self.is_own_error(reply):
            return reply, None
        return reply, _decode_rows(self.check(reply, "list of runs", listing=True))

    def owns_run(self, run_id: str) -> bool:
        serial, slash, key = run_id.partition("/")
        return bool(serial and slash and key)

    async def probe(self) -> Health:
        """v1 has no account endpoint: asking for the runs of a serial number that does not exist needs the key too."""
        reply, _ = await self.list_rows(_PROBE)
        return Health("", clock_skew(reply.headers))

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        if not query.unit:
            raise Unsupported(
                f"{self.name} lists runs only by serial number",
                "It speaks TofuPilot API v1",
                "Give unit=<serial number>.",
            )
        refuse_filters(self.name, query, _FILTERS, "It speaks TofuPilot API v1, which tells none of these", _INSTEAD)
        refuse_outcome(self.name, query, _GIVEN)
        runs = [self._run(query.unit, row) for row in await self.rows(query.unit) or ()]
        found = [run for run in runs if query.outcome in ("", run.outcome) and query.contains(run.started_at)]
        found.sort(key=lambda run: run.started_at, reverse=not query.oldest_first)
        if query.longest_first:
            found.sort(key=lambda run: run.duration_s, reverse=True)
        skip = int(after or 0)
        page = found[skip : skip + limit]
        for n, run in enumerate(page):
            run.position = str(skip + n + 1)
        counts = Counter[Outcome](run.outcome for run in found)
        return Runs(page, more=len(found) > skip + limit, total=len(found), by_outcome=counts)

    async def get_run(self, run_id: str) -> RunDetail:
        run, row = await self._row(run_id)
        return v1_detail(run, row)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        run, row = await self._row(run_id)
        every = cases(row.phases)
        return [FailedRun(**run.model_dump(exclude={"reason"}), cases=failed(every), cases_run=len(every))]

    async def get_run_contents(self, run_id: str) -> RunContents:
        """v1 does not tell of attachments."""
        deletable(self.name, run_id)
        run, row = await self._row(run_id)
        measurements = sum(len(phase.measurements) for phase in row.phases)
        return RunContents(run, len(row.phases), measurements)

    async def delete_run(self, run_id: str) -> None:
        path = f"/api/v1/runs/{deletable(self.name, run_id)}"
        await self.delete(path, V1Done, "run", _SHOWN, partial(self._row, run_id), run_id)

    async def _row(self, run_id: str) -> tuple[Run, V1Run]:
        """A run, as it is called in `run_id`.

        Raises:
            NotFound: its unit has no such run, or there is no such unit.
            Conflict: it is one of several that nothing tells apart.
        """
        quoted_serial, text = split(run_id)
        serial = unquote(quoted_serial)
        try:
            return self.find_row(serial, Key.parse(text), await self.rows(serial) or [])
        except NotFound as missing:
            raise missing.naming(run_id) from None

    def find_row(self, serial: str, key: Key, rows: list[V1Run]) -> tuple[Run, V1Run]:
        """As `_row`, in the list of its unit's runs."""
        found = key.among(rows)
        if not found:
            raise NotFound(f"{self.name} has no such run", "", _SHOWN)
        if len(found) > 1:
            raise Conflict(
                f"{self.name} has {len(found)} runs of the unit that began then, and the id does not say which",
                "It tells no ids of runs",
                "list_runs(unit=…) tells them apart, as far as that can be done.",
            )
        return self._run(serial, found[0], key.id), found[0]

    def _run(self, serial: str, row: V1Run, told: str = "") -> Run:
        return Run(
            run_id=self.handle(f"{quote_id(serial)}/{Key.of(row, told)}"),
            outcome=self._outcome(row),
            test=row.procedure.name if isinstance(row.procedure, Named) else row.procedure or "",
            started_at=row.started_at,
            duration_s=round(row.duration or 0, 1),
            unit=serial,
            reason=describe_failed(failed(cases(row.phases))),
        )

    def _outcome(self, row: V1Run) -> Outcome:
        """Client 1.12.1 types an outcome; the document says passed or not: then a run that did not pass, and has
        erroneous phases but no failed one, is an error.

        Raises:
            BadReply: how the run ended is not told.
        """
        if row.outcome is not None:
            return OUTCOMES[row.outcome]
        ended = {case.outcome for case in cases(row.phases)}
        said = _said(row) or ("fail" if ended & {"fail", "error"} else None)
        if said is None:
            raise BadReply(
                self.name,
                f"{self.name} does not tell how a run of the unit ended",
                "",
                "Look at the unit in TofuPilot itself.",
            )
        return "error" if said == "fail" and "error" in ended and "fail" not in ended else said

    async def get_unit(self, serial_number: str) -> Unit:
        """What its last run tells: v1 has no operation for a unit."""
        rows = await self.rows(serial_number)
        if not rows:
            raise NotFound(
                f"{self.name} has no such unit", "v1 tells units by their runs, and has none", _UNKNOWN
            ).naming(serial_number)
        told = [row.unit for row in sorted(rows, key=lambda row: row.started_at) if row.unit]
        unit, revision = (told[-1], told[-1].revision) if told else (None, None)
        return Unit(
            service=self.name,
            serial_number=unit.serial_number if unit else serial_number,
            part=revision.component.part_number if revision and revision.component else "",
            revision=revision.identifier if revision else "",
            batch=unit.batch.number if unit and unit.batch else "",
            note="TofuPilot v1 does not tell sub-units, parent or sample.",
        )

    async def update_unit(self, serial_number: str, change: UnitChange) -> Unit:
        """v1 does not tell what is built into a unit. Adding what is there already does no harm, so a lost answer is
        asked for once more; but then only a success says what is there."""
        if change.remove or change.batch_number or change.sample:
            raise Unsupported(f"{self.name} speaks TofuPilot API v1, which only adds sub-units")
        path = f"/api/v1/units/{unit_segment(serial_number)}"
        body = {"sub_units": [{"serial_number": child} for child in change.add]}
        try:
            reply = await self.change("PATCH", path, V1Done, body=body)
        except AnswerLost:
            try:
                reply = await self.change("PATCH", path, V1Done, body=body)
            except AnswerLost as lost:
                raise unknown_change(lost) from None
            if reply.status not in SUCCESSES:
                again = AnswerLost(self.name, "", f"Asked once more, it refused (HTTP {reply.status})")
                raise unknown_change(again) from None
        hint = "It, or one of sub_units, is not known there; or is part of another unit."
        self.check(reply, "unit", hint, about=serial_number)
        return Unit(
            service=self.name,
            serial_number=serial_number,
            sub_units=list(change.add),
            note="Added; TofuPilot v1 does not tell whether it has others.",
        )

    async def list_unit_runs(self, serial_number: str) -> tuple[list[str], bool]:
        rows = await self.rows(serial_number)
        if rows is None:
            raise NotFound(f"{self.name} has no such unit", "", _UNKNOWN).naming(serial_number)
        return [f"{quote_id(serial_number)}/{Key.of(row)}" for row in rows], True

    async def delete_unit(self, serial_number: str) -> None:
        async def find() -> None:
            rows = await self.rows(serial_number)
            if rows is None:
                raise NotFound(f"{self.name} has no such unit")
            if not rows:
                raise Unsupported("it has no runs, and v1 tells units only by their runs")

        await self.delete(f"/api/v1/units/{unit_segment(serial_number)}", V1Done, "unit", _UNKNOWN, find, serial_number)


def quote_id(serial: str) -> str:
    """A serial number as a part of a run's native id."""
    return quote(serial, safe="")


def split(run_id: str) -> tuple[str, str]:
    """Serial number (as quoted) and key of a native id. Raises BadInput when it holds no serial number."""
    serial, _, key = run_id.rpartition("/")
    if not serial:
        raise BadInput(
            "The run's id does not say whose run it is",
            "TofuPilot v1 finds runs only by serial number",
            "list_runs(unit=…) gives ids that do.",
        )
    return serial, key


def deletable(service: str, run_id: str) -> str:
    """The id that `DELETE /v1/runs/{run_id}` takes. Raises Unsupported for a run the server sent no id of."""
    return quote(told_id(service, run_id, "it cannot be deleted"), safe="")


def told_id(service: str, run_id: str, without: str) -> str:
    """The run's own id. Raises Unsupported for a run the server sent no id of, which is named by its start."""
    key = Key.parse(run_id.rpartition("/")[2]).id
    if ":" in key or key in ("", ".", ".."):
        raise Unsupported(f"{service} does not tell this run's id, without which {without}")
    return key


def _decode_rows(reply: Reply) -> list[V1Run]:
    """Three shapes: `{"data": […]}` (the document), `{"result": […]}` (client 1.12.1), a bare list (2.26.1)."""
    body: object = reply.json()
    if isinstance(body, dict):
        shapes = cast(dict[str, object], body)
        body = next((shapes[name] for name in ("data", "result") if shapes.get(name) is not None), None)
    return decode_value(reply, body, list[V1Run])


def _said(row: V1Run) -> Outcome | None:
    if row.status is not None and (row.status.name or row.status.category):
        name, category = ((word or "").casefold() for word in (row.status.name, row.status.category))
        return _NAMES.get(name) or _CATEGORIES.get(category)
    return None if row.run_passed is None else "pass" if row.run_passed else "fail"
