"""An OpenHTF 1.6.3 test that writes its report as JSON. Arguments: serial number, voltage, file."""

import sys

import openhtf as htf
from openhtf.output.callbacks.json_factory import OutputToJSON
from openhtf.util import units

serial_number, voltage, report = sys.argv[1:]


@htf.measures(htf.Measurement("rail_5v").in_range(4.85, 5.15).with_units(units.VOLT))
def power_rails(test):
    test.measurements.rail_5v = float(voltage)


test = htf.Test(power_rails, test_name="Station test", procedure_id="FVT1", part_number="PCB01")
test.add_output_callbacks(OutputToJSON(report, inline_attachments=True))
test.execute(test_start=lambda: serial_number)
