"""The simulated portal's operations, all of them, ready to mount on a world."""

from __future__ import annotations

from testlab_sim.routing import Api
from testlab_sim.stbtester.endpoints import account, jobs, nodes, reservations, results, screenshots
from testlab_sim.stbtester.wire import PREFIX, check_token
from testlab_sim.world import World

api = Api[World](PREFIX, "Stb-tester portal, REST API v2", guard=check_token)
for chapter in (screenshots, jobs, results, nodes, reservations, account):
    api.endpoints.extend(chapter.routes.endpoints)
