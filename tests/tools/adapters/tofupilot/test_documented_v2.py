"""Bodies with only what v2's shapes promise (client 2.26.1), and the rest left out or null."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.tofupilot.adapter import TofuPilotV2
from testlab_tools.errors import BadInput, BadReply, Conflict, LabError, NotFound, Refused
from testlab_tools.http import ServiceClient
from testlab_tools.models.requests import NewRun, RunQuery

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

UUID = "0196434d-e8f7-7ce1-81f7-e16f20487494"
AT = "2024-09-05T08:38:17.115Z"
LAST = {"has_more": False, "next_cursor": None}
PART = {"id": "p", "number": "PCB01", "name": "PCB", "revision": {"id": "r", "number": "A"}}
HEAD = {
    "id": UUID,
    "created_at": AT,
    "started_at": AT,
    "ended_at": AT,
    "duration": "PT0S",
    "outcome": "FAIL",
    "execution_id": None,
    "slot_key": None,
    "slot_name": None,
    "procedure": {"id": UUID, "name": "FVT1", "version": None},
    "unit": {"id": "u", "serial_number": "SN-1", "sample": None, "part": PART},
}
OPTIONAL = ("docstring", "created_by_user", "created_by_station", "operated_by", "metadata", "sequences")
WHOLE = {**HEAD, "config": [], "secrets": []}
OF_WHOLE = (*OPTIONAL, "phases", "attachments", "logs", "sub_units")
MEASUREMENT = {"id": "m", "name": "rail", "outcome": "FAIL", "validators": None}
OF_MEASUREMENT = ("units", "aggregations", "measured_value", "data_series", "docstring")
PHASE = {
    "id": "h",
    "name": "power",
    "outcome": "FAIL",
    "started_at": AT,
    "ended_at": AT,
    "duration": "PT0S",
    "retry_count": 0,
    "sequence_path": None,
    "measurements": [MEASUREMENT],
}
UNIT = {"id": "u", "serial_number": "SN-1", "created_at": AT, "sample": None, "part": PART, "parent": None}
OF_UNIT = ("created_by_user", "created_by_station", "batch", "children", "created_during", "attachments", "metadata")


@pytest.fixture
def service(origin: Origin, client_of: Callable[..., ServiceClient]) -> TofuPilotV2:
    return TofuPilotV2("factory", client_of(origin.url))


NULL = pytest.mark.parametrize("null", [True, False], ids=["null", "missing"])


def bare(row: dict[str, Any], optional: tuple[str, ...], null: bool) -> dict[str, Any]:
    return row | dict.fromkeys(optional) if null else row


@NULL
async def test_runs_are_listed_with_what_is_promised(null: bool, service: TofuPilotV2, origin: Origin) -> None:
    origin.answers(origin.reply(200, {"data": [bare(HEAD, OPTIONAL, null)], "meta": LAST}))
    (run,) = (await service.list_runs(RunQuery(unit="SN-1"), 5)).runs
    assert (run.outcome, run.test, run.part, run.station) == ("fail", "FVT1", "PCB01", "")


@NULL
async def test_a_run_is_told_with_what_is_promised(null: bool, service: TofuPilotV2, origin: Origin) -> None:
    phase = PHASE | {"measurements": [bare(MEASUREMENT, OF_MEASUREMENT, null)]}
    nameless = {"created_by_station": {"id": "s", "name": None}, "created_by_user": {"id": "u", "name": None}}
    people = {"operated_by": {"id": None, "name": None, "email": None}}
    rows = (bare(WHOLE, OF_WHOLE, null), WHOLE | {"phases": [phase]} | nameless | people)
    origin.answers(*(origin.reply(200, row) for row in rows for _ in range(2)))
    for cases in (0, 1):
        detail = await service.get_run(UUID)
        assert (detail.run.outcome, detail.run.station, detail.run.user) == ("fail", "", "")
        (failed,) = await service.get_failures(UUID)
        assert len(detail.cases) == len(failed.cases) == cases


async def test_a_file_whose_size_is_not_told_is_one(service: TofuPilotV2, origin: Origin) -> None:
    file = {"id": "a", "name": "scope.png", "size": None, "content_type": None, "is_report": False}
    origin.answers(origin.reply(200, WHOLE | {"attachments": [file]}))
    assert [(kept.name, kept.size) for kept in await service.list_attached(UUID) or []] == [("scope.png", None)]


@NULL
async def test_a_unit_is_told_with_what_is_promised(null: bool, service: TofuPilotV2, origin: Origin) -> None:
    origin.answers(origin.reply(200, bare(UNIT, OF_UNIT, null)))
    unit = await service.get_unit("SN-1")
    assert (unit.part, unit.revision, unit.batch, unit.parent, unit.sub_units) == ("PCB01", "A", "", "", [])


@pytest.mark.parametrize("kind", ["user", "station"])
async def test_whose_key_it_is_is_told(kind: str, service: TofuPilotV2, origin: Origin) -> None:
    who = {"station": None, "user": None} | {
        kind: {"id": "x", "name": "FVT-01"} if kind == "station" else {"id": "x", "email": "a@b.c", "name": None}
    }
    origin.answers(origin.reply(200, {"type": kind, **who, "organization": {"id": "o", "slug": "s", "name": "Acme"}}))
    health = await service.probe()
    assert health.account == ("FVT-01 of Acme" if kind == "station" else "a@b.c of Acme")


@pytest.mark.parametrize(
    "body", [{}, [], {"data": []}, {"data": None, "meta": LAST}, {"data": {}, "meta": LAST}, "none"]
)
async def test_a_success_of_another_shape_is_no_empty_list(body: Any, service: TofuPilotV2, origin: Origin) -> None:
    origin.answers(origin.reply(200, body))
    for asked in (service.list_runs(RunQuery(unit="X"), 5), service.get_unit("X"), service.probe()):
        with pytest.raises(BadReply):
            await asked


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "BAD_REQUEST", BadInput),
        (403, "FORBIDDEN", Refused),
        (404, "NOT_FOUND", NotFound),
        (409, "CONFLICT", Conflict),
        (422, "UNPROCESSABLE_CONTENT", BadInput),
    ],
)
async def test_an_error_is_the_services_own_by_the_code_of_its_status(
    status: int, code: str, error: type[LabError], service: TofuPilotV2, origin: Origin
) -> None:
    own = {"message": "m", "code": code}
    origin.answers(
        origin.reply(status, own),
        origin.reply(status, own | {"issues": [{"message": "m"}]}),
        origin.reply(status, own | {"code": "TEAPOT"}),
        origin.reply(status, {"code": code}),
    )
    for wanted in (error, error, BadReply, BadReply):
        with pytest.raises(wanted):
            await service.get_unit("SN-1")


async def test_a_list_that_the_server_does_not_know_is_no_empty_one(service: TofuPilotV2, origin: Origin) -> None:
    origin.answers(origin.reply(404, {"message": "m", "code": "NOT_FOUND", "issues": []}))
    at = datetime(2024, 9, 5, tzinfo=UTC)
    for asked in (
        service.list_runs(RunQuery(unit="X"), 5),
        service.create_run(NewRun("FVT1", "SN-1", "pass", at, at, "ref")),
    ):
        with pytest.raises(BadReply):
            await asked
