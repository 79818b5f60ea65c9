"""A run that was deleted at the service is recorded anew; and what an earlier version wrote down is delivered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

from testlab_tools.durable.database import SCHEMA, SqliteDatabase
from testlab_tools.durable.workflows import apply_patches

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window

VERSIONS = pytest.mark.parametrize("version", ["v2", "v1"])
OPENHTF = Path(__file__).parents[2] / "samples" / "openhtf_lot" / "SN-0000.1.json"


@VERSIONS
def test_a_delivered_report_whose_run_was_deleted_is_recorded_anew_with_its_files(
    version: str, plant: Plant, open_window: Callable[[str], Window], durable: str, folder: Path
) -> None:
    (folder / "r.json").write_bytes(OPENHTF.read_bytes())
    window = open_window(plant.config(durable, version))
    first = window.call("import_report", path="r.json", serial_number="SN-1")
    assert window.call("import_report", path="r.json", serial_number="SN-1")["run_ids"] == first["run_ids"]
    plant.delete("SN-1")
    anew = window.call("import_report", path="r.json", serial_number="SN-1")
    assert anew["run_ids"] != first["run_ids"]
    (run,) = plant.runs("SN-1")
    assert anew["run_ids"][0].endswith(run["id"])
    assert [name for name, _ in plant.files("SN-1")] == ["trace.csv"]
    assert window.call("list_deliveries")["delivered"] == 1


def test_a_delivered_report_given_again_in_an_outage_is_neither_recorded_nor_given_its_files_twice(
    plant: Plant, open_window: Callable[[str], Window], durable: str, folder: Path, until: Callable[..., Any]
) -> None:
    (folder / "r.json").write_bytes(OPENHTF.read_bytes())
    window = open_window(plant.config(durable))
    first = window.call("import_report", path="r.json", serial_number="SN-1")
    plant.trouble(action="reset")
    window.close()
    window = open_window(plant.config(durable, answer_within=1))
    assert window.call("import_report", path="r.json", serial_number="SN-1")["queued"]
    plant.calm()
    (done,) = until(lambda: window.call("list_deliveries", state="delivered")["deliveries"])
    assert [done["run_id"]] == first["run_ids"]
    assert [name for name, _ in plant.files("SN-1")] == ["trace.csv"]


def test_runs_that_an_earlier_version_wrote_down_are_delivered(
    plant: Plant, open_window: Callable[[str], Window], durable: str, until: Callable[..., Any], tmp_path: Path
) -> None:
    """It wrote the service's name and the run, and knew nothing of files."""
    url = SqliteDatabase(tmp_path / "deliveries.sqlite").url
    apply_patches()
    DBOS.migrate(url, schema=SCHEMA)
    client = DBOSClient(
        system_database_url=url,
        dbos_system_schema=SCHEMA,
        application_name="testlab-deliveries",
        serializer=DBOSPortableJSONSerializer(),
    )
    client.register_queue("deliver", polling_interval_sec=0.2)
    run = {key: plant.run("SN-OLD")[key] for key in ("procedure_id", "serial_number", "outcome", "part_number")}
    times = {"started_at": "2001-01-01T00:00:00Z", "ended_at": "2001-01-01T00:01:00Z"}
    options: Any = {"workflow_name": "deliver", "queue_name": "deliver", "workflow_id": f"{uuid4()}.0"}
    client.enqueue(options, "factory", {**run, **times, "ref": str(uuid4())})
    client.destroy()
    window = open_window(plant.config(durable))
    (done,) = until(lambda: window.call("list_deliveries", state="delivered")["deliveries"])
    assert (done["kind"], done["unit"]) == ("run", "SN-OLD")
    assert plant.serials() == ["SN-OLD"]
