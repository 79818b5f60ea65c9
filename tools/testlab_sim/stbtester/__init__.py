"""The simulated Stb-tester portal: REST API v2 as documented, with what the vendor's own client needs besides.

`api` has every operation, as the modules that declare them are imported here.
"""

from testlab_sim.stbtester import job_endpoints, node_endpoints, reservations, results
from testlab_sim.stbtester.service import api

__all__ = ["api", "job_endpoints", "node_endpoints", "reservations", "results"]
