"""How uv installs here: with the Python that is there, from the package index that pip is configured for."""

from __future__ import annotations

import os
import re
import subprocess
import sys

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def uv_settings() -> dict[str, str]:
    """Return the environment variables for uv; those that are set already win."""
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout
    index = re.search(r"^(?::env:|global|install)\.index-url='(.+)'$", listed, re.MULTILINE)
    own = {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1", "UV_COMPILE_BYTECODE": "1"}
    return ({"UV_DEFAULT_INDEX": index[1]} if index else {}) | own | os.environ
