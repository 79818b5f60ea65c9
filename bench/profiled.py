"""`python -m bench.profiled FILE ARGUMENTS`: testlab-mcp, profiled between two SIGUSR1; the second writes FILE.

Time is the processor time of the first thread, so that waiting, and other programs, do not count.
"""

from __future__ import annotations

import cProfile
import os
import signal
import sys
import time
from types import FrameType

from testlab_mcp.commands.main import main


class Switch:
    """The profile that is being made, if any."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._profile: cProfile.Profile | None = None

    def turn(self, number: int, frame: FrameType | None) -> None:
        """Begin a profile, or write the one that was begun."""
        if self._profile is None:
            self._profile = cProfile.Profile(time.thread_time)
            self._profile.enable()
            return
        self._profile.disable()
        self._profile.dump_stats(f"{self._file}.part")
        os.replace(f"{self._file}.part", self._file)
        self._profile = None


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, Switch(sys.argv[1]).turn)
    sys.exit(main(sys.argv[2:]))
