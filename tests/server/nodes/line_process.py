"""A process that serves the line for nodes: `line_process.py CONFIG DATABASE`, until its standard input closes."""

from __future__ import annotations

import sys
from pathlib import Path

from testlab_mcp.config.loading import load_config
from testlab_tools.durable.database import open_database
from testlab_tools.durable.engine import Engine
from testlab_tools.long_services import LaunchServices
from testlab_tools.node_queue import granter
from testlab_tools.node_queue.queue import ReservationQueue


def main(config: Path, database: str) -> None:
    granter.SETTLE_S = 1.0
    place = open_database(database if "://" in database else Path(database))
    place.poll_interval_s = min(place.poll_interval_s, 1.0)
    engine = Engine(place)
    ReservationQueue(engine, LaunchServices(engine, load_config(config).connect_services), poll_s=0.05)
    engine.start()
    sys.stdin.read()
    engine.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
