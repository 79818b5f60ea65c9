"""The v2 SDK through a run's whole life. Arguments: server URL, API key, OpenHTF report, attachment, answer file."""

import json
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tofupilot.v2 import TofuPilot, errors

url, key, report, attachment, answer = sys.argv[1:]
sdk = TofuPilot(api_key=key, server_url=url)
results = {"whoami": sdk.identity.whoami().model_dump(mode="json")}

procedure = sdk.procedures.create(name="V2 client procedure").id
results["procedure"] = sdk.procedures.get(id=procedure).model_dump(mode="json")
results["procedures"] = [each.name for each in sdk.procedures.list(limit=100).data]

started = datetime(2026, 9, 21, 12, 0, 0, tzinfo=UTC)
voltage = {
    "name": "vdd_5v",
    "outcome": "FAIL",
    "measured_value": 5.31,
    "units": "V",
    "validators": [
        {"operator": ">=", "expected_value": 4.85, "outcome": "PASS"},
        {"operator": "<=", "expected_value": 5.15, "outcome": "FAIL"},
    ],
}
phases = [
    {"name": "flash", "outcome": "FAIL", "started_at": started, "ended_at": started, "retry_count": 0},
    {"name": "flash", "outcome": "PASS", "started_at": started, "ended_at": started, "retry_count": 1},
    {
        "name": "supply_voltage",
        "outcome": "FAIL",
        "started_at": started,
        "ended_at": started + timedelta(seconds=4),
        "measurements": [voltage],
    },
]


def create(serial_number, outcome="PASS", **fields):
    run = {
        "procedure_id": procedure,
        "serial_number": serial_number,
        "outcome": outcome,
        "part_number": "PCB01",
        "revision_number": "A",
        "started_at": started,
        "ended_at": started + timedelta(minutes=2),
    }
    return sdk.runs.create(**{**run, **fields}).id


sub_unit = create("V2-CLIENT-SUB-1")
failed = create(
    "V2-CLIENT-0000", "FAIL", phases=phases, sub_units=["V2-CLIENT-SUB-1"], client_run_ref="v2-client-station-1"
)
results["failed"] = failed
# The reference names the run: a second try after a lost answer must not make a second run.
results["sent_again"] = create("V2-CLIENT-0000", "FAIL", phases=phases, client_run_ref="v2-client-station-1")
passed = [create(f"V2-CLIENT-{number:04}") for number in range(1, 6)]
results["created"] = [sub_unit, failed, *passed]

results["attachment"] = sdk.runs.attachments.upload(failed, attachment)
sdk.attachments.finalize(id=results["attachment"])
run = sdk.runs.get(id=failed)
results["run"] = run.model_dump(mode="json", by_alias=True)
results["downloaded"] = sdk.runs.attachments.download(run.attachments[0], "downloaded").read_text(encoding="utf-8")

results["pages"] = []
cursor = None
while True:
    page = sdk.runs.list(procedure_ids=[procedure], limit=3, cursor=cursor)
    results["pages"].append([each.id for each in page.data])
    if not page.meta.has_more:
        break
    cursor = page.meta.next_cursor
chosen = sdk.runs.list(serial_numbers=["V2-CLIENT-0001", "V2-CLIENT-0002"], outcomes=["PASS"]).data
results["by_serial_numbers"] = sorted(each.unit.serial_number for each in chosen)

results["unit"] = sdk.units.get(serial_number="V2-CLIENT-0000").model_dump(mode="json", by_alias=True)
results["units"] = [each.serial_number for each in sdk.units.list(serial_numbers=["V2-CLIENT-0000"]).data]
for name, retries_hidden in (("phases_final", True), ("phases_all", False)):
    page = sdk.phases.list(procedure_id=procedure, names=["flash"], exclude_retries=retries_hidden)
    results[name] = [[each.outcome, each.retry_count] for each in page.data]
measured = sdk.measurements.list(procedure_id=procedure, measurement_name="vdd_5v").data
results["measurements"] = [each.model_dump(mode="json", by_alias=True) for each in measured]

upload = sdk.attachments.initialize(name=Path(report).name)
put = urllib.request.Request(upload.upload_url, Path(report).read_bytes(), method="PUT")
urllib.request.urlopen(put).close()
sdk.attachments.finalize(id=upload.id)
items = [{"upload_id": upload.id, "importer": "OPENHTF"}]
results["imports"] = [
    sdk.imports.structured(items=items).results[0].model_dump(mode="json", by_alias=True) for _ in range(2)
]


def refusal(call, **arguments):
    try:
        call(**arguments)
    except errors.TofuPilotError as error:
        return [type(error).__name__, error.status_code, error.message]
    return None


stranger = TofuPilot(api_key="a-key-nobody-has", server_url=url)
results["refusals"] = {
    "unknown run": refusal(sdk.runs.get, id="00000000-0000-4000-8000-000000000000"),
    "malformed run": refusal(sdk.runs.get, id="not-a-uuid"),
    "unknown procedure": refusal(
        create, serial_number="V2-CLIENT-9999", procedure_id="00000000-0000-4000-8000-000000000000"
    ),
    "bad key": refusal(stranger.runs.list),
}

results["deleted"] = sdk.runs.delete(ids=passed[:2]).id
results["refusals"]["deleted run"] = refusal(sdk.runs.get, id=passed[0])
results["left"] = [each.id for each in sdk.runs.list(ids=passed).data]

with open(answer, "w", encoding="utf-8") as file:
    json.dump(results, file)
