"""StandCloud's `api`, with its operations declared on it by importing their modules."""

from __future__ import annotations

from testlab_sim.standcloud import reader, signin
from testlab_sim.standcloud.service import api

__all__ = ["api"]

OPERATIONS = (reader, signin)
