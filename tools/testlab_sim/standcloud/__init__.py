"""StandCloud as its clients meet it. `api` has every operation, as the modules that declare them are imported here."""

from testlab_sim.standcloud import reader, signin
from testlab_sim.standcloud.service import api

__all__ = ["api", "reader", "signin"]
