"""What needs nobody: the unit, and a rail that fails where the start argument `rail` says so."""

from __future__ import annotations

import hardpy
import pytest

pytestmark = pytest.mark.module_name("Power")


@pytest.mark.case_name("Identify DUT")
def test_identify(hardpy_start_args: dict[str, str]) -> None:
    hardpy.set_dut_serial_number(hardpy_start_args.get("serial", "SN-0001"))
    hardpy.set_dut_part_number("PCB-100")
    hardpy.set_stand_name("FCT-01")
    hardpy.set_process_name("Final test")


@pytest.mark.case_name("5 V rail")
@pytest.mark.attempt(2)
def test_rail(hardpy_start_args: dict[str, str]) -> None:
    volts = float(hardpy_start_args.get("rail", "5.02"))
    hardpy.set_case_measurement(
        hardpy.NumericMeasurement(
            name="rail_5v",
            value=volts,
            unit="V",
            operation=hardpy.ComparisonOperation.GELE,
            lower_limit=4.75,
            upper_limit=5.25,
        )
    )
    assert 4.75 <= volts <= 5.25, f"rail_5v {volts} V out of 4.75..5.25"


def test_unnamed() -> None:
    hardpy.set_message("no case_name here")
