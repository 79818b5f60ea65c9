"""Stb-tester, https://stb-tester.com/manual/rest-api-v2

[services.portal]
kind = "stbtester"
url = "https://company.stb-tester.com"
token_env = "STBT_AUTH_TOKEN"      # portal, user menu: "Generate new access token"
"""

from __future__ import annotations

from testlab_tools.adapters.stbtester.export import Reports
from testlab_tools.adapters.stbtester.history import ResultHistory
from testlab_tools.adapters.stbtester.jobs import Jobs
from testlab_tools.adapters.stbtester.nodes import Remote
from testlab_tools.adapters.stbtester.reservations import Reservations
from testlab_tools.capabilities import JobFarm
from testlab_tools.services import HttpServiceSettings


class Settings(HttpServiceSettings):
    """Keys of a `kind = "stbtester"` table: those every service takes."""


class StbTester(Reports, ResultHistory, Reservations, Remote, Jobs, JobFarm):
    """A portal: an archive of runs and what they left, a farm of nodes, a test pack, and a runner of jobs."""


def connect(name: str, settings: Settings) -> StbTester:
    """The portal at `settings.url`, with its token in `Authorization: token …` ("Authentication")."""
    return StbTester(name, settings.client(name, "token"))
