"""An OpenHTF 1.6.3 test with TofuPilot's output callback. Arguments: URL, API key, serial number, answer file."""

import json
import sys

import openhtf as htf
from openhtf.util import units
from tofupilot.openhtf import upload

url, key, serial_number, answer = sys.argv[1:]
flashed = []


@htf.measures(htf.Measurement("firmware").equals("1.4.2"))
@htf.PhaseOptions(repeat_on_measurement_fail=True, repeat_limit=2)
def flash_firmware(test):
    flashed.append(test)
    test.measurements.firmware = "1.4.1" if len(flashed) == 1 else "1.4.2"


@htf.measures(htf.Measurement("rail_5v").in_range(4.85, 5.15).with_units(units.VOLT))
def power_rails(test):
    test.measurements.rail_5v = 5.31
    test.attach("trace.csv", b"0.1;5.31\n", "text/csv")


test = htf.Test(
    flash_firmware,
    power_rails,
    test_name="Station test",
    procedure_id="FVT1",
    procedure_name="Functional Verification",
    part_number="PCB01",
    revision="A",
)
test.add_output_callbacks(upload(api_key=key, url=url))
passed = test.execute(test_start=lambda: serial_number)
with open(answer, "w", encoding="utf-8") as file:
    json.dump({"passed": passed}, file)
