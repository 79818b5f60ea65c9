"""What the tests' simulated labs are forks of: each says on standard output where it is, and serves."""

from __future__ import annotations

import importlib
import json
import sys
import time
from functools import partial
from typing import Any

from testlab_sim.__main__ import describe_lab
from testlab_sim.app import create_app, create_world
from testlab_sim.listening import HOST, listen
from testlab_sim.serving import serve
from testlab_sim.world import World
from tests.fork_server import Become, freeze

SEED = 7
LATE = (
    *("anyio._backends._asyncio", "encodings.idna", "testlab_sim.stbtester.bodies", "testlab_sim.tofupilot.run_body"),
    *("testlab_sim.stbtester.screens.encode", "testlab_sim.tofupilot.openhtf", "testlab_sim.tofupilot.reports"),
    *("uvicorn.lifespan.off", "uvicorn.loops.asyncio", "uvicorn.protocols.http.h11_impl"),
)
"""What others import when it is first used."""
LASTS_S = 60.0
"""How old a world may be when a lab begins: its last runs are of the moment it was made."""
_made: list[tuple[float, World]] = []


def prepare() -> Become:
    """Make the world that labs begin with, once a minute."""
    if not _made or time.time() - _made[0][0] > LASTS_S:
        for name in LATE:
            importlib.import_module(name)
        world = create_world(SEED)
        world.portal.runs()  # which plans what its jobs have run
        _made[:] = [(time.time(), world)]
        freeze()
    return partial(_serve, _made[0][1])


def _serve(world: World, request: dict[str, Any]) -> int:
    with listen() as listener:
        world.base_url = f"http://{HOST}:{listener.getsockname()[1]}"
        serve(create_app(world), listener, partial(_say, describe_lab(world.base_url)), with_stdin=True)
    return 0


def _say(where: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(where)}\n")
    sys.stdout.flush()
