"""TofuPilot as its clients meet it: REST v1 and v2 over one store (`testlab_sim.production`).

`api` has every operation, as the modules that declare them are imported here.
"""

from testlab_sim.tofupilot import catalog, files, imports, run_parts, runs, units, v1
from testlab_sim.tofupilot.service import api

__all__ = ["api", "catalog", "files", "imports", "run_parts", "runs", "units", "v1"]
