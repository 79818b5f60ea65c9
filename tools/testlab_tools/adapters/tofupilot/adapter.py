"""TofuPilot, https://www.tofupilot.com/docs

[services.factory]
kind = "tofupilot"
url = "https://www.tofupilot.app"
api_version = "v2"                 # or "v1", for older self-hosted servers
token_env = "TOFUPILOT_API_KEY"    # a user's or a station's API key
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from testlab_tools.adapters.tofupilot.history import V2History
from testlab_tools.adapters.tofupilot.v1_recording import V1Recording
from testlab_tools.adapters.tofupilot.v2_recording import V2Recording
from testlab_tools.adapters.tofupilot.v2_units import V2Units
from testlab_tools.services import HttpServiceSettings


class Settings(HttpServiceSettings):
    """Keys of a `kind = "tofupilot"` table."""

    api_version: Literal["v1", "v2"] = Field(default="v2", description="`v1` for older self-hosted servers")


class TofuPilotV1(V1Recording):
    """All that API v1 offers: it lists runs by serial number only, so it cannot tell its history."""


class TofuPilotV2(V2History, V2Recording, V2Units):
    """All that is used of API v2."""


def connect(name: str, settings: Settings) -> TofuPilotV1 | TofuPilotV2:
    """The organisation that the key belongs to; the key goes in `Authorization: Bearer …`."""
    api = TofuPilotV2 if settings.api_version == "v2" else TofuPilotV1
    return api(name, settings.client(name, "bearer"))
