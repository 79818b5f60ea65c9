"""labgrid: boards that a team shares, with their power, consoles and queue.

https://labgrid.readthedocs.io/en/latest/ ("Remote Resources and Places", "Reservations"). Spoken to as labgrid 26.0's
own client speaks to its coordinator, over gRPC.
"""

from __future__ import annotations

from getpass import getuser
from pathlib import Path
from socket import gethostname
from typing import ClassVar

from pydantic import Field

from testlab_tools.adapters.labgrid.leases import Leases
from testlab_tools.adapters.labgrid.wiring import Wiring
from testlab_tools.services import ServiceSettings

PORT = 20408


class Settings(ServiceSettings):
    """`[services.NAME]` with `kind = "labgrid"`."""

    example: ClassVar[dict[str, object]] = {"coordinator": "127.0.0.1"}
    place: ClassVar[str] = "coordinator"

    coordinator: str = Field(
        pattern=r"^[\w.-]+(:\d{1,5})?$", description="its host, and its port if that is not 20408, as in LG_COORDINATOR"
    )
    holder: str = Field(
        default="",
        pattern=r"^$|^[^/\s]+/[^/\s]+$",
        description="`host/user` that places are acquired for (default: this host, and your user name with `-testlab`, "
        "so that what you hold by labgrid-client is not mixed up with it)",
    )
    priority: float = Field(default=0.0, description="in labgrid's queue; the higher come first")
    type_tag: str = Field(default="board", description="the tag of a place that names its type of device")
    timeout_seconds: float = Field(default=15.0, gt=0, le=40, description="of one request")


class Labgrid(Wiring):
    """A coordinator with its places."""

    limits = (
        "keeps no message with a reservation, and ends none by itself: this server gives places back at their end, and "
        "the next one of the same user what a killed one could not"
    )

    def __init__(self, name: str, settings: Settings, folder: Path) -> None:
        host, colon, port = settings.coordinator.partition(":")
        self.address = f"{host}{colon or ':'}{port or PORT}"
        holder = settings.holder or f"{gethostname()}/{getuser()}-testlab"
        super().__init__(name, self.address, holder, settings.timeout_seconds)
        self.priority = settings.priority
        self.type_tag = settings.type_tag
        self.leases = Leases(folder, self.location, holder)


def connect(name: str, settings: Settings) -> Labgrid:
    """Make the service. Nothing is opened or imported before it is asked."""
    from platformdirs import user_data_path

    return Labgrid(name, settings, user_data_path("testlab-mcp", appauthor=False) / "leases")
