"""Writes what a place's serial console writes to standard output, until it is killed:
`python -m testlab_tools.adapters.labgrid.console_reader PLACE`. `listening` on standard error says that it has begun.

labgrid's own `console` needs a terminal, and microcom or telnet; this is its SerialDriver ("Drivers" in its manual).
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

LISTENING = b"listening\n"
NO_CONSOLE = 3
SEVERAL = 4
_PAUSE_S = 0.2
_CHUNK = 4096


def main(place: str) -> int:
    """Read until killed, or until the console is closed. Returns the exit code."""
    labgrid: Any = importlib.import_module("labgrid")
    drivers: Any = importlib.import_module("labgrid.driver")
    resources: Any = importlib.import_module("labgrid.resource.remote")
    exceptions: Any = importlib.import_module("labgrid.exceptions")
    silent: Any = importlib.import_module("pexpect").TIMEOUT
    target = labgrid.Target(place)
    resources.RemotePlace(target, name=place)
    try:
        console = drivers.SerialDriver(target, name=None)
    except exceptions.NoSupplierFoundError:
        kinds: Any = importlib.import_module("labgrid.resource")
        ports = [each for each in target.resources if isinstance(each, (kinds.SerialPort, kinds.NetworkSerialPort))]
        return SEVERAL if len(ports) > 1 else NO_CONSOLE
    target.activate(console)
    sys.stderr.buffer.write(LISTENING)
    sys.stderr.flush()
    while True:
        try:
            sys.stdout.buffer.write(console.read(size=1, timeout=_PAUSE_S, max_size=_CHUNK))
            sys.stdout.flush()
        except silent:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
