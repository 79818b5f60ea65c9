"""The process's own standard streams, taken for the protocol alone."""

from __future__ import annotations

import os
import sys


def take_streams() -> tuple[int, int]:
    """Descriptors of standard input and output. What else the process prints goes to standard error, and it reads
    nothing. The streams are not given back."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(nothing, 1)
    os.close(nothing)
    if sys.platform == "win32":
        from mcp.os.win32.utilities import rebind_std_handle_to_fd

        rebind_std_handle_to_fd(0)
        rebind_std_handle_to_fd(1)
    return source, sink
