"""The v1 client as a test station uses it. Arguments: URL, API key, serial number, OpenHTF report, attachment,
answer file."""

import json
import sys
from datetime import UTC, datetime, timedelta

from tofupilot import TofuPilotClient

url, key, serial_number, report, attachment, answer = sys.argv[1:]
client = TofuPilotClient(api_key=key, url=url)
stranger = TofuPilotClient(api_key="a-key-nobody-has", url=url)

phases = [
    {
        "name": "supply_voltage",
        "outcome": "FAIL",
        "start_time_millis": 1_790_000_000_000,
        "end_time_millis": 1_790_000_004_000,
        "measurements": [
            {
                "name": "vdd_5v",
                "outcome": "FAIL",
                "measured_value": 5.31,
                "units": "V",
                "lower_limit": 4.85,
                "upper_limit": 5.15,
            }
        ],
    },
    {
        "name": "leds",
        "outcome": "PASS",
        "start_time_millis": 1_790_000_004_000,
        "end_time_millis": 1_790_000_005_000,
        "measurements": [{"name": "colour", "outcome": "PASS", "measured_value": "green"}],
    },
]
run = {
    "procedure_id": "FVT1",
    "procedure_name": "Functional Verification",
    "unit_under_test": {"serial_number": serial_number, "part_number": "PCB01", "revision": "A"},
    "run_passed": False,
    "phases": phases,
    "sub_units": [{"serial_number": f"{serial_number}-SUB"}],
    "started_at": datetime(2026, 9, 21, 12, 0, 0, tzinfo=UTC),
    "duration": timedelta(minutes=2, seconds=5),
}
sub_unit = {
    "procedure_id": "FVT1",
    "unit_under_test": {"serial_number": f"{serial_number}-SUB", "part_number": "PCB02", "revision": "A"},
    "run_passed": True,
}
results = {
    "sub_unit": client.create_run(**sub_unit),
    "created": client.create_run(**run, attachments=[attachment]),
    "imported": client.create_run_from_openhtf_report(report),
    "runs": client.get_runs(serial_number),
    "no_such_unit": client.get_runs(f"{serial_number}-NOBODY"),
    "refused": stranger.get_runs(serial_number),
}
with open(answer, "w", encoding="utf-8") as file:
    json.dump(results, file)
