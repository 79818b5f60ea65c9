"""What the tests' simulated labs are forks of: each says on standard output where it is, and serves."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import Any

from testlab_sim.__main__ import describe_lab
from testlab_sim.app import create_app
from testlab_sim.listening import HOST, listen
from testlab_sim.production.history import History
from testlab_sim.serving import serve
from testlab_sim.stbtester.portal import Portal
from testlab_sim.world import Clock, World
from tests.fork_server import Become, freeze

SEED = 7
LASTS_S = 60.0
"""How old a history may be when a lab begins: its last runs are of the moment it was made."""
_made: list[tuple[float, History]] = []


def prepare() -> Become:
    """Make the history that labs begin with, once a minute."""
    if not _made or time.time() - _made[0][0] > LASTS_S:
        _made[:] = [(time.time(), History.seeded(SEED, time.time()))]
        freeze()
    return partial(_serve, _made[0][1])


def _serve(history: History, request: dict[str, Any]) -> int:
    clock = Clock()
    with listen() as listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        app = create_app(World(Portal.seeded(SEED, clock), history, clock, SEED, url))
        serve(app, listener, partial(_say, describe_lab(url)), with_stdin=True)
    return 0


def _say(where: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(where)}\n")
    sys.stdout.flush()
