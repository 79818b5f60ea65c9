"""The optional dependencies, and what is said where they are not installed."""

from __future__ import annotations

from importlib.util import find_spec

from testlab_tools.errors import Unsupported

STATISTICS = ("duckdb", "scipy", "matplotlib")
"""What `testlab-mcp[statistics]` installs; imported only by the functions that compute, store or draw."""


def has_statistics() -> bool:
    """Whether all of the extra is installed."""
    return all(find_spec(name) is not None for name in STATISTICS)


def require_statistics(*modules: str) -> None:
    """Raise Unsupported, with the line that installs them, where one of the modules is missing (by default any)."""
    missing = [name for name in modules or STATISTICS if find_spec(name) is None]
    if missing:
        raise Unsupported(
            f"Statistics are not installed: {', '.join(missing)} cannot be imported",
            "They are an extra of this server, and large",
            'Where the server is installed: pip install "testlab-mcp[statistics]"; then restart it.',
        )
