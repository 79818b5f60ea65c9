"""The portal behind every Stb-tester call: what its status codes mean, said from what we asked."""

from __future__ import annotations

import re
from urllib.parse import quote

from testlab_tools.capabilities import Health, Service
from testlab_tools.errors import AuthError, BadInput, Gone, LabError, NotFound, ServiceDown
from testlab_tools.http import Reply, clock_skew
from testlab_tools.http.failures import limited, unlisted
from testlab_tools.stbtester.models import NodeStatus
from testlab_tools.wire import Wire, decode

NODE_ID = re.compile(r"[\w.-]{1,60}", re.ASCII)


class Portal(Service):
    """Shared by the portal's capabilities: ids, paths and errors."""

    kind = "stbtester"

    async def probe(self) -> Health:
        """`GET /api/v2/user` is not documented; the vendor's stbt-rig asks it first, and so do we."""
        reply = self.checked(await self.client.get("/api/v2/user"), "the account")
        return Health(decode(reply, _User).login, clock_skew(reply.headers))

    def checked(self, reply: Reply, what: str, missing: str = "", *, later: bool = False) -> Reply:
        """The reply, if it is a success; otherwise raises what its status means. With `later`, 202 is one too: not yet.

        `what` is what was asked for, in our words; `missing` the next step when it does not exist.
        """
        if reply.status in (200, 204) or (later and reply.status == 202):
            return reply
        raise self.failure(reply, what, missing)

    def failure(self, reply: Reply, what: str, missing: str = "") -> LabError:
        """What a status means ("Status Codes" of each section). The body is not quoted: it may hold anybody's text."""
        name = self.name
        match reply.status:
            case 400:
                return BadInput(f"{name} does not accept {what}", "", "Check the arguments' values.")
            case 401 | 403:
                return AuthError(
                    name,
                    f"{name} refuses {what} (HTTP {reply.status})",
                    "Its token is missing, wrong or revoked",
                    f"Make a new access token in the portal's user menu and set it for [services.{name}].",
                )
            case 404:
                known = f"{name} has no {what}" if what.startswith("list") else f"{name} has no such {what}"
                return NotFound(known, "", missing or f"Check the ids; [services.{name}] url may point elsewhere.")
            case 410:
                return Gone(f"{name} has deleted this {what}", "", "Nothing of it can be read any more.")
            case 429:
                return limited(name, reply.headers)
            case 503:
                return ServiceDown(
                    name,
                    f"{name} says the node is offline",
                    "",
                    "list_nodes(available=true) shows nodes that answer.",
                )
            case status if status >= 500:
                return ServiceDown(name, f"{name} failed over {what} (HTTP {status})", "", "Call again later.")
            case status:
                return unlisted(name, status, what)

    async def statuses(self) -> list[NodeStatus]:
        """Every node as the portal tells it."""
        return decode(self.checked(await self.client.get("/api/v2/nodes"), "list of nodes"), list[NodeStatus])

    async def node_status(self, node_id: str) -> NodeStatus:
        """One node as the portal tells it."""
        reply = await self.client.get(f"/api/v2/nodes/{quote(node_id, safe='')}")
        named = f"node {node_id}" if NODE_ID.fullmatch(node_id) else "node"
        return decode(self.checked(reply, named, "list_nodes shows all nodes."), NodeStatus)


class _User(Wire):
    login: str


def path_of(native: str) -> str:
    """A result or job id as it stands in a path: the portal's ids begin with `/` and are joined as they are.

    Raises NotFound for what would lead elsewhere in a path.
    """
    if {"", ".", ".."} & set(native.strip("/").split("/")):
        raise NotFound("There is no such run or job", "", "list_runs and list_nodes show the ids there are.")
    return quote("/" + native.strip("/"), safe="/:._-")
