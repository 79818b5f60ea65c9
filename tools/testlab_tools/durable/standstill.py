"""Whether anybody runs what is stored, in words for who waits for it."""

from __future__ import annotations

from testlab_tools.durable.engine import Engine
from testlab_tools.durable.threads import run_in_thread

_REMEDY = "`testlab-mcp worker` on the same database runs it"


def find_standstill(engine: Engine) -> str:
    """Why what is stored may not be run at all; empty where it is run. Blocks."""
    if engine.runs_here:
        return ""
    led = engine.database.has_leader()
    if led is None:
        return f"Whether any process runs what is stored is unknown: the database does not say. {_REMEDY}."
    if led:
        return ""
    return (
        f"No process runs what is stored just now, and this server may not ([durable] run_here = false): {_REMEDY}, "
        "unless a server that may takes it up within seconds."
    )


async def say_standstill(engine: Engine, waits: bool = True) -> str:
    """As `find_standstill`, in a thread; empty for what `waits` no longer."""
    return "" if engine.runs_here or not waits else await run_in_thread(find_standstill, engine)
