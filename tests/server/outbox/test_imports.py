"""A report that the service itself reads reaches it once: through an outage, a kill, a lost answer, a refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window

VERSIONS = pytest.mark.parametrize("version", ["v2", "v1"])
STDF = Path(__file__).parents[2] / "samples" / "stdf" / "two_parts.stdf"
ATML = (
    '<tr:TestResults xmlns:tr="urn:IEEE-1636.1:2011:01:TestResults"><tr:ResultSet ID="1" name="Main" '
    'startDateTime="2001-01-01T00:00:00Z" endDateTime="2001-01-01T00:01:00Z"><tr:Outcome value="Passed"/>'
    '</tr:ResultSet><tr:UUT><c:SerialNumber xmlns:c="urn:c">SN-ATML</c:SerialNumber></tr:UUT></tr:TestResults>'
)
"""It tells its unit and its start, so its run can be looked up; that of an STDF file cannot."""


def importing(version: str) -> dict[str, str]:
    """The request that imports what has been uploaded."""
    return {"method": "POST", "path_prefix": "/api/v2/imports/" if version == "v2" else "/api/v1/import"}


@pytest.fixture
def reports(folder: Path) -> Path:
    """Both reports, to be read."""
    (folder / "lot.stdf").write_bytes(STDF.read_bytes())
    (folder / "one.xml").write_text(ATML, encoding="utf-8")
    return folder


def refusal(window: Any, tool: str, **arguments: object) -> str:
    result = window.answer(window.ask(tool, **arguments))["result"]
    assert result["isError"], result["content"]
    return result["content"][0]["text"]


@VERSIONS
@pytest.mark.parametrize(
    "fault", [{"action": "reset"}, {"status": 503}, {"status": 429, "retry_after": "1"}], ids=["down", "503", "429"]
)
def test_a_report_given_in_an_outage_is_queued_and_imported_once_by_a_later_server(
    fault: dict[str, Any],
    version: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    reports: Path,
    until: Callable[..., Any],
) -> None:
    plant.trouble(**fault)
    window = open_window(plant.config(durable, version, answer_within=1))
    answer = window.call("import_report", path="lot.stdf")
    (waiting,) = window.call("list_deliveries")["deliveries"]
    assert (waiting["delivery_id"], waiting["kind"], waiting["file"]) == (answer["queued"], "report", "lot.stdf")
    assert {"file", "unit", "procedure"} <= set(window.call("list_deliveries")["untrusted"])
    again = window.call("import_report", path="lot.stdf")
    assert again["queued"] == answer["queued"]
    window.kill()
    (reports / "lot.stdf").unlink()
    plant.calm()
    window = open_window(plant.config(durable, version))
    (done,) = until(lambda: window.call("list_deliveries", state="delivered")["deliveries"])
    assert len(done["run_ids"]) == (2 if version == "v2" else 1)
    assert (len(plant.runs("SN-0001")), len(plant.runs("SN-0002"))) == (1, 1)


def test_a_slow_service_ends_in_queued_within_the_calls_time_and_the_report_arrives_once(
    plant: Plant, open_window: Callable[[str], Window], durable: str, reports: Path, until: Callable[..., Any]
) -> None:
    plant.trouble(**importing("v2"), action="slow", seconds=4, times=2)
    window = open_window(plant.config(durable, answer_within=1).replace("token =", "timeout_seconds = 2\ntoken ="))
    answer = window.call("import_report", path="lot.stdf")
    assert answer.get("queued")
    until(lambda: window.call("list_deliveries", state="delivered")["deliveries"], seconds=60)
    assert (len(plant.runs("SN-0001")), len(plant.runs("SN-0002"))) == (1, 1)


@VERSIONS
def test_a_server_killed_between_upload_and_import_leaves_the_import_to_the_next(
    version: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    reports: Path,
    until: Callable[..., Any],
) -> None:
    finalize, store = {"method": "POST", "path_prefix": "/api/v2/attachments/"}, {"method": "PUT"}
    plant.trouble(**(finalize if version == "v2" else store), action="slow", seconds=1, times=1)
    window = open_window(plant.config(durable, version))
    window.ask("import_report", path="lot.stdf")
    until(plant.struck)
    window.kill()  # what was uploaded is never imported: nobody asks for it
    assert plant.runs("SN-0001") == []
    window = open_window(plant.config(durable, version))
    until(lambda: window.call("list_deliveries", state="delivered")["deliveries"])
    assert (len(plant.runs("SN-0001")), len(plant.runs("SN-0002"))) == (1, 1)


@pytest.mark.parametrize(("version", "path", "serial"), [("v2", "lot.stdf", "SN-0001"), ("v1", "one.xml", "SN-ATML")])
def test_a_server_killed_during_the_import_does_not_make_a_second_run(
    version: str,
    path: str,
    serial: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    reports: Path,
    until: Callable[..., Any],
) -> None:
    plant.trouble(**importing(version), action="slow", seconds=2, times=1)
    window = open_window(plant.config(durable, version))
    window.ask("import_report", path=path)
    until(plant.struck)
    window.kill()
    window = open_window(plant.config(durable, version))
    (done,) = until(lambda: window.call("list_deliveries", state="delivered")["deliveries"])
    (run,) = plant.runs(serial)
    assert run["id"] in {handle[-36:] for handle in done["run_ids"]}


@pytest.mark.parametrize(("version", "path", "serial"), [("v2", "lot.stdf", "SN-0001"), ("v1", "one.xml", "SN-ATML")])
def test_a_lost_answer_does_not_make_a_second_run(
    version: str,
    path: str,
    serial: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    reports: Path,
) -> None:
    plant.trouble(**importing(version), action="reset-after", times=2 if version == "v2" else 1)
    window = open_window(plant.config(durable, version))
    answer = window.call("import_report", path=path)
    (run,) = plant.runs(serial)
    assert run["id"] in {handle[-36:] for handle in answer["run_ids"]}


def test_an_import_that_nobody_can_look_up_is_parked_and_given_again_tells_to_release_it(
    plant: Plant, open_window: Callable[[str], Window], durable: str, reports: Path
) -> None:
    plant.trouble(**importing("v1"), action="reset", times=1)
    window = open_window(plant.config(durable, "v1"))
    told = refusal(window, "import_report", path="lot.stdf")
    assert "Whether factory has imported the report is not known" in told
    assert "list_runs" in told
    again = refusal(window, "import_report", path="lot.stdf")
    (parked,) = window.call("list_deliveries")["deliveries"]
    assert parked["state"] == "parked"
    assert parked["delivery_id"] in told
    assert f"parked as delivery {parked['delivery_id']}" in again
    assert "release_delivery" in again
    assert plant.runs("SN-0001") == []
    told = refusal(window, "release_delivery", delivery_id=parked["delivery_id"], procedure_id="FVT1")
    assert "none of its fields can be changed" in told
    released = window.call("release_delivery", delivery_id=parked["delivery_id"])
    assert released["state"] == "delivered"
    assert (len(plant.runs("SN-0001")), len(plant.runs("SN-0002"))) == (1, 1)


def test_a_released_import_whose_answer_is_lost_again_is_parked_again(
    plant: Plant, open_window: Callable[[str], Window], durable: str, reports: Path
) -> None:
    plant.trouble(**importing("v1"), action="reset", times=2)
    window = open_window(plant.config(durable, "v1"))
    refusal(window, "import_report", path="lot.stdf")
    (parked,) = window.call("list_deliveries")["deliveries"]
    assert window.call("release_delivery", delivery_id=parked["delivery_id"])["state"] == "parked"
    assert plant.runs("SN-0001") == []


@VERSIONS
def test_a_refused_report_is_parked_and_given_again_is_the_same_delivery_sent_anew(
    version: str, plant: Plant, open_window: Callable[[str], Window], durable: str, reports: Path
) -> None:
    plant.trouble(**importing(version), status=422, times=2)
    window = open_window(plant.config(durable, version))
    refused = [refusal(window, "import_report", path="lot.stdf") for _ in range(2)]
    (parked,) = window.call("list_deliveries")["deliveries"]
    assert all(parked["delivery_id"] in told for told in refused)
    assert "HTTP 422" in parked["reason"]
    assert window.call("import_report", path="lot.stdf")["run_ids"]
    assert (len(plant.runs("SN-0001")), len(plant.runs("SN-0002"))) == (1, 1)
    listed = window.call("list_deliveries")
    assert (listed["waiting"], listed["parked"], listed["delivered"]) == (0, 0, 1)


@pytest.mark.parametrize(("version", "path", "serial"), [("v2", "lot.stdf", "SN-0001"), ("v1", "one.xml", "SN-ATML")])
def test_a_delivered_report_given_again_is_its_run_as_long_as_that_is_there(
    version: str,
    path: str,
    serial: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    reports: Path,
) -> None:
    window = open_window(plant.config(durable, version))
    first = window.call("import_report", path=path)
    assert window.call("import_report", path=path)["run_ids"] == first["run_ids"]
    assert len(plant.runs(serial)) == 1
    for made in ("SN-0001", "SN-0002") if version == "v2" else (serial,):
        plant.delete(made)
    anew = window.call("import_report", path=path)
    assert not set(anew["run_ids"]) & set(first["run_ids"])
    (run,) = plant.runs(serial)
    assert run["id"] in {handle[-36:] for handle in anew["run_ids"]}
    assert window.call("list_deliveries")["delivered"] == 1


def test_where_the_service_cannot_be_asked_a_report_given_again_is_not_sent_until_its_unit_is_said(
    plant: Plant, open_window: Callable[[str], Window], durable: str, reports: Path
) -> None:
    window = open_window(plant.config(durable, "v1"))
    first = window.call("import_report", path="lot.stdf")
    again = window.call("import_report", path="lot.stdf")
    assert again["run_ids"] == first["run_ids"]
    assert "nothing was sent" in again["note"]
    there = window.call("import_report", path="lot.stdf", serial_number="SN-0001")
    assert [handle[-36:] for handle in there["run_ids"]] == [handle[-36:] for handle in first["run_ids"]]
    plant.delete("SN-0001")
    window.call("import_report", path="lot.stdf", serial_number="SN-0001")
    assert len(plant.runs("SN-0001")) == 1


def test_a_report_larger_than_the_service_reads_is_refused_and_not_written_down(
    plant: Plant, open_window: Callable[[str], Window], durable: str, reports: Path
) -> None:
    with (reports / "lot.stdf").open("ab") as file:
        file.truncate(10 * 2**20 + 1)
    window = open_window(plant.config(durable))
    assert "larger than 10 MiB" in refusal(window, "import_report", path="lot.stdf")
    listed = window.call("list_deliveries")
    assert (listed["waiting"], listed["parked"], listed["delivered"]) == (0, 0, 0)
