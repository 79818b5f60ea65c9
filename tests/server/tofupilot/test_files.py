"""Files to TofuPilot: kept with a run, or read as reports, by way of presigned URLs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.tofupilot.recorder import MAX_BYTES
from testlab_tools.errors import AnswerLost, BadInput, BadReply, LabError, RateLimited, Refused, ServiceDown

if TYPE_CHECKING:
    from tests.server.tofupilot.conftest import Factory

VERSIONS = ("v1", "v2")
SAMPLES = Path(__file__).parents[2] / "samples"
REPORT = SAMPLES / "openhtf_lot" / "SN-0000.1.json"
ANNOUNCE = {"v1": "/api/v1/uploads/initialize", "v2": "/api/v2/attachments"}
IMPORT = {"v1": "/api/v1/import", "v2": "/api/v2/imports/structured"}


def attachments(factory: Factory, run_id: str) -> list[tuple[str, int]]:
    return [(file["name"], file["size"]) for file in factory.get(f"/v2/runs/{run_id}")["attachments"]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "data"), [("scope.png", b"\x89PNG" * 100), ("empty.txt", b""), ("a b/ü.csv", b"1,2")])
async def test_a_file_is_kept_with_a_run(
    version: str, name: str, data: bytes, factory: Factory, adapter: Callable[..., Any]
) -> None:
    serial = factory.serial()
    run_id = factory.record(serial)
    async with adapter(version) as service:
        await service.attach(run_id if version == "v2" else f"{serial}/{run_id}", name, data)
    assert attachments(factory, run_id) == [(name, len(data))]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_file_too_large_is_refused_before_anything_is_sent(
    version: str, factory: Factory, adapter: Callable[..., Any]
) -> None:
    async with adapter(version) as service:
        with pytest.raises(BadInput, match="larger than TofuPilot takes"):
            await service.attach("x", "big.bin", bytes(MAX_BYTES + 1))
    assert factory.asked("POST", f"/api/{version}") == 0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("fault", [{"status": 403}, {"action": "reset"}, {"action": "reset-after"}])
async def test_a_url_that_has_ended_or_a_lost_answer_leads_to_a_second_upload(
    version: str, fault: dict[str, Any], factory: Factory, adapter: Callable[..., Any]
) -> None:
    run_id = factory.record(factory.serial())
    factory.fault(method="PUT", path_prefix="/storage/", times=1, **fault)
    async with adapter(version) as service:
        await service.attach(run_id, "a.txt", b"abc")
    assert ("a.txt", 3) in attachments(factory, run_id)
    assert factory.asked("PUT", "/storage/") == 2


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("status", "error"), [(403, Refused), (413, BadInput), (429, RateLimited), (503, ServiceDown), (418, BadReply)]
)
async def test_a_store_that_refuses_is_told_without_its_words_or_its_address(
    version: str, status: int, error: type[LabError], factory: Factory, adapter: Callable[..., Any]
) -> None:
    run_id = factory.record(factory.serial())
    body = "<Error><Code>AccessDenied</Code><Host>secret-bucket</Host></Error>"
    factory.fault(status=status, body=body, method="PUT", path_prefix="/storage/", times=0)
    async with adapter(version) as service:
        with pytest.raises(error) as told:
            await service.attach(run_id, "a.txt", b"abc")
    assert f"(HTTP {status})" in str(told.value)
    for secret in ("AccessDenied", "secret-bucket", "signature", "storage/", "127.0.0.1"):
        assert secret not in str(told.value)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_token_does_not_go_to_the_store(
    version: str, factory: Factory, adapter: Callable[..., Any], sniffed: Any
) -> None:
    run_id = factory.record(factory.serial())
    async with adapter(version) as service:
        seen = sniffed(service)
        await service.attach(run_id, "a.txt", b"abc")
    stored = [headers for method, headers in seen if method == "PUT"]
    assert len(stored) == 1
    assert "authorization" not in stored[0]
    assert all("authorization" in headers for method, headers in seen if method == "POST")


@pytest.fixture
def sniffed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Method and header names of every request that a service's client sends from now on."""

    def watch(service: Any) -> list[tuple[str, set[str]]]:
        seen: list[tuple[str, set[str]]] = []
        pool = service.client._client()
        send = pool.send

        async def noted(request: Any, **more: Any) -> Any:
            seen.append((request.method, {name.lower() for name in request.headers}))
            return await send(request, **more)

        monkeypatch.setattr(pool, "send", noted)
        return seen

    return watch


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_report_becomes_a_run(version: str, factory: Factory, adapter: Callable[..., Any]) -> None:
    before = len(factory.runs("SN-0000"))
    data = REPORT.read_bytes().replace(b"SN-0000", f"SN-{version}".encode())
    async with adapter(version) as service:
        (run_id,) = await service.import_file("report.json", data, "OPENHTF", f"SN-{version}")
        detail = await service.get_run(run_id)
    assert detail.run.unit == f"SN-{version}"
    assert [row["id"] for row in factory.runs(f"SN-{version}")] == [run_id.rpartition("/")[2]]
    assert len(factory.runs("SN-0000")) == before


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_stdf_file_is_read_by_its_importer(version: str, factory: Factory, adapter: Callable[..., Any]) -> None:
    async with adapter(version) as service:
        assert "STDF" in service.importers
        runs = await service.import_file("lot.stdf", (SAMPLES / "stdf" / "two_parts.stdf").read_bytes(), "STDF")
    assert len(runs) == (2 if version == "v2" else 1)
    assert all(factory.status(f"/v2/runs/{run}") == 200 for run in runs)


async def test_v1_says_that_a_run_without_its_serial_number_cannot_be_found(adapter: Callable[..., Any]) -> None:
    async with adapter("v1") as service:
        (run_id,) = await service.import_file("lot.stdf", (SAMPLES / "stdf" / "two_parts.stdf").read_bytes(), "STDF")
        with pytest.raises(BadInput, match="finds runs only by serial number"):
            await service.get_run(run_id)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("importer", ["OPENHTF", "WATS", "WSXF", "ATML", "TESTSTAND", "STDF", "ATDF"])
async def test_a_report_that_cannot_be_read_is_refused(
    version: str, importer: str, adapter: Callable[..., Any]
) -> None:
    async with adapter(version) as service:
        assert importer in service.importers
        with pytest.raises(BadInput, match=f"Is it one that {importer} reads"):
            await service.import_file("report", b"no report", importer)


async def test_v2_imports_the_same_content_once_even_when_the_answer_is_lost(
    factory: Factory, adapter: Callable[..., Any]
) -> None:
    data = REPORT.read_bytes().replace(b"SN-0000", b"SN-TWICE")
    factory.fault(action="reset-after", method="POST", path_prefix=IMPORT["v2"], times=1)
    async with adapter("v2") as service:
        first = await service.import_file("report.json", data, "OPENHTF")
        assert await service.import_file("report.json", data, "OPENHTF") == first
    assert [row["id"] for row in factory.runs("SN-TWICE")] == first


async def test_v1_does_not_send_an_import_again(factory: Factory, adapter: Callable[..., Any]) -> None:
    data = REPORT.read_bytes().replace(b"SN-0000", b"SN-ONCE")
    factory.fault(action="reset-after", method="POST", path_prefix=IMPORT["v1"], times=1)
    async with adapter("v1") as service:
        with pytest.raises(AnswerLost, match="look before you try again"):
            await service.import_file("report.json", data, "OPENHTF")
    assert factory.asked("POST", IMPORT["v1"]) == 1
    assert len(factory.runs("SN-ONCE")) == 1
