"""The process that the tests' simulated labs are forks of: `open` starts a lab and says where it is, `close PID` ends
it, the end of standard input ends all.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time

from testlab_sim.__main__ import describe_lab
from testlab_sim.app import create_app
from testlab_sim.listening import HOST, listen
from testlab_sim.production.history import History
from testlab_sim.serving import serve
from testlab_sim.stbtester.portal import Portal
from testlab_sim.world import Clock, World

SEED = 7
LASTS_S = 60.0
"""How old a history may be when a lab begins: its last runs are of the moment it was made."""


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal it reaches the tests as well, which end this
    alive, held = os.pipe()
    made, history = 0.0, None
    while line := sys.stdin.readline():
        word, _, pid = line.strip().partition(" ")
        if word == "close":
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)
            _say({})
            continue
        if history is None or time.time() - made > LASTS_S:
            made, history = time.time(), History.seeded(SEED, time.time())
            gc.collect()
            gc.freeze()
        if not os.fork():
            os.close(held)
            os.dup2(alive, 0)  # it ends when this process does
            _serve(history)
            os._exit(0)


def _serve(history: History) -> None:
    clock = Clock()
    with listen() as listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        app = create_app(World(Portal.seeded(SEED, clock), history, clock, SEED, url))
        serve(app, listener, lambda: _say({**describe_lab(url), "pid": os.getpid()}), with_stdin=True)


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
