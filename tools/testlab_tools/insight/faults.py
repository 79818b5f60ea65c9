"""What a failure's message says of the equipment: lost nodes, missing pictures, silent instruments, connections."""

from __future__ import annotations

import re

from testlab_tools.capabilities import Failure

MOST_CHARS = 400
"""How much of a message is looked at."""

_SILENT = (
    r"(?:(?:is |was |does |did )?not (?:respond|answer|reply|found|connected|reachable)\w*|no (?:response|answer|reply)"
    r"|unreachable|unresponsive|disconnected|offline|lost|time(?:d[ -]?)?out)"
)
_INSTRUMENT = (
    r"(?:dmm|multimeter|oscilloscope|signal generator|(?:spectrum|network|logic|audio) analy[sz]er|emi receiver|"
    r"test receiver|electronic load|instrument|visa|fixture|switch matrix|relay board|barcode scanner|programmer|"
    r"debug probe|jtag|serial port|com\d+|tty\w+|daq|smu)"
)
_TABLE = (
    ("a lost node", rf"\b(?:node|test pc|test station)\b[^.]{{0,40}}\b{_SILENT}|\blost (?:the )?(?:test )?node\b"),
    ("no picture from the device", r"\bno video\b|\bnovideo\b|\bno (?:hdmi|video) (?:signal|input)\b"),
    ("an instrument that does not answer", rf"\b{_INSTRUMENT}\b[^.]{{0,60}}\b{_SILENT}"),
    ("an instrument that does not answer", rf"\b{_SILENT}\b[^.]{{0,60}}(?:gpib|tcpip|usb|asrl)\d*::"),
    ("an instrument that does not answer", rf"(?:gpib|tcpip|usb|asrl)\d*::\S*[^.]{{0,40}}\b{_SILENT}"),
    ("an instrument that does not answer", rf"\b{_SILENT}\b[^.]{{0,30}}\b(?:on|from|by) (?:the )?{_INSTRUMENT}\b"),
)
_CONNECTION = re.compile(
    r"connection (?:refused|reset|aborted|closed|lost|timed out)|connection ?(?:refused|reset|aborted)error|broken pipe"
    r"|\betimedout\b|\beconn\w+|no route to host|(?:host|network) (?:is )?unreachable|name or service not known",
    re.IGNORECASE,
)
_FAULTS = [(words, re.compile(pattern, re.IGNORECASE)) for words, pattern in _TABLE]


def fault_of(failure: Failure) -> str:
    """As `fault_in`, of a failure's message."""
    return fault_in(failure.reason, failure.run.outcome == "error")


def fault_in(message: str, errored: bool) -> str:
    """What the message says is wrong with the equipment, in our words; empty when it says no such thing.

    A broken connection counts only where the run `errored`: a test that asserts on one judges the product.
    """
    message = message[:MOST_CHARS]
    found = next((words for words, pattern in _FAULTS if pattern.search(message)), "")
    if not found and errored and _CONNECTION.search(message):
        return "a broken connection"
    return found
