"""Requests to a KindName, and what its statuses mean."""

from __future__ import annotations

from testlab_tools.capabilities import Health
from testlab_tools.errors import AuthError, NotFound, ServiceDown
from testlab_tools.http import Reply, clock_skew
from testlab_tools.http.errors import limited, unlisted
from testlab_tools.http.response import Wire, decode
from testlab_tools.services import HttpService

SETTLED = frozenset({200, 201, 204, 400, 401, 403, 404, 409})
"""Answers that KindName documents for changes. Any other may be a proxy's, after the work."""


class KindNameApi(HttpService):
    """Shared by the capabilities."""

    kind = "kind_name"

    async def probe(self) -> Health:
        reply = self.checked(await self.client.get("/api/account"), "account")
        return Health(decode(reply, _Account).login, clock_skew(reply.headers))

    async def change(self, method: str, path: str, body: object = None) -> Reply:
        """Send a change, once. Raises AnswerLost where no documented answer comes: look what became of it."""
        return await self.client.send(method, path, body=body, settled=lambda reply: reply.status in SETTLED)

    def checked(self, reply: Reply, what: str) -> Reply:
        """Return the reply if it is a success, otherwise raise what its status means. Its text is never quoted."""
        match reply.status:
            case 200 | 201 | 204:
                return reply
            case 401 | 403:
                remedy = f"Check the token of [services.{self.name}]."
                raise AuthError(self.name, f"{self.name} refuses the {what} (HTTP {reply.status})", "", remedy)
            case 404:
                raise NotFound(f"{self.name} has no such {what}", "", "The list tools show what there is.")
            case 429:
                raise limited(self.name, reply.headers)
            case status if status >= 500:
                raise ServiceDown(self.name, f"{self.name} failed (HTTP {status})", "", "Call again later.")
            case status:
                raise unlisted(self.name, status, what)


class _Account(Wire):
    login: str
