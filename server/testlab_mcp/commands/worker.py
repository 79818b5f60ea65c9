"""`testlab-mcp worker`: runs what servers have stored, and serves nobody.

Of all workers and servers on one database one runs what there is; the others stand by, and one of them goes on within
seconds when it dies.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from types import FrameType

from testlab_mcp.config.loading import find_config, load_config
from testlab_mcp.logs import set_up_logging
from testlab_tools.errors import ConfigError


def work(config_file: str) -> int:
    """Run what is stored until SIGINT or SIGTERM. What has not ended then goes on in another process, or the next.

    Raises:
        ConfigError: the config is wrong, or stores nothing.
    """
    set_up_logging()
    config = load_config(find_config(config_file))
    lab = config.lab()
    if lab.work is None:
        raise ConfigError("there is nothing to run", "[durable] enabled is false", "Take the line out of the config.")
    engine = lab.work.engine
    engine.database.check()
    engine.runs_here, engine.rests = True, False

    async def run_until_told() -> None:
        told = asyncio.Event()

        def tell(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(told.set)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, tell)
        engine.start()
        print("testlab-mcp worker runs what is stored, or stands by for the one that does", file=sys.stderr, flush=True)
        try:
            await told.wait()
        finally:
            await lab.aclose()

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        runner.run(run_until_told())
    return 0
