"""Which messages tell of the equipment, and which of the product."""

from __future__ import annotations

import pytest

from testlab_tools.triage.causes import read_fault

SILENT = "an instrument that does not answer"


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("No video", "no picture from the device"),
        ("stbt_core.NoVideo: No video", "no picture from the device"),
        ("No HDMI signal", "no picture from the device"),
        ("RuntimeError: DMM not responding on GPIB0::22", SILENT),
        ("Signal generator not responding on TCPIP0::sg-1::INSTR", SILENT),
        ("EMI receiver lost reference lock", SILENT),
        ("VISA: timed out", SILENT),
        ("No answer from USB0::0x0957::0x0407::INSTR", SILENT),
        ("Node lost", "a lost node"),
        ("The node is offline", "a lost node"),
        ("Lost the node", "a lost node"),
    ],
)
def test_a_fault_of_the_equipment_is_known_by_its_message(message: str, fault: str) -> None:
    assert read_fault(message, errored=False) == fault


@pytest.mark.parametrize("message", ["ConnectionResetError: [Errno 104]", "connection timed out", "Broken pipe"])
def test_a_broken_connection_is_the_equipments_only_where_there_was_no_verdict(message: str) -> None:
    assert read_fault(message, errored=True) == "a broken connection"
    assert read_fault(message, errored=False) == ""


@pytest.mark.parametrize(
    "message",
    [
        "EPG is empty",
        "rail_5v 5.2 V is above 5.1 V",
        "Phase tuner timed out after 264 s",
        "tuner_lock is False, expected True",
        "No audio for 5 s",
        "Video is not fluent",
        "eth_link is False, expected True",
        "The box did not answer the remote control",
        "Didn't find match for 'images/settings/online.png' within 10 seconds.",
        "",
    ],
)
def test_what_a_product_may_do_is_no_fault_of_the_equipment(message: str) -> None:
    assert read_fault(message, errored=True) == ""
