"""TofuPilot's `api`, with every operation of v1 and v2 declared on it by importing its modules."""

from __future__ import annotations

from testlab_sim.tofupilot import batches, files, imports, parts, parts_of_runs, procedures, runs, stations, units, v1
from testlab_sim.tofupilot.service import api

__all__ = ["api"]

OPERATIONS = (v1, runs, units, parts_of_runs, files, imports, procedures, parts, batches, stations)
