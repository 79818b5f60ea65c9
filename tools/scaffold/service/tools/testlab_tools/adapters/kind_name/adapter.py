"""KindName, https://example.com/link-to-its-documentation

[services.bench]
kind = "kind_name"
url = "https://kind-name.example.com"
token_env = "KIND_NAME_TOKEN"
"""

from __future__ import annotations

from testlab_tools.adapters.kind_name.nodes import KindNameNodes
from testlab_tools.adapters.kind_name.runs import KindNameRuns
from testlab_tools.services import HttpServiceSettings


class Settings(HttpServiceSettings):
    """Keys of a `kind = "kind_name"` table: those of every service reached over HTTP."""


class KindName(KindNameRuns, KindNameNodes):
    """An archive of runs, and nodes that can be reserved."""


def connect(name: str, settings: Settings) -> KindName:
    """Make the service of a config table; its token goes in `Authorization: Bearer …`."""
    return KindName(name, settings.client(name, "bearer"))
