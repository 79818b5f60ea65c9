"""Requests to StandCloud, and what is said when it refuses one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

from testlab_tools.capabilities import Health, Service
from testlab_tools.errors import AuthError, BadInput, LabError, NotFound, ServiceDown
from testlab_tools.http import Reply, ServiceClient, clock_skew
from testlab_tools.http.failures import limited, unlisted
from testlab_tools.standcloud.pages import Body, Listing, Manners
from testlab_tools.wire import decode_value

LIST_SECONDS = 25.0


class StandCloudApi(Service):
    """The reading half of StandCloud's API; `remedy` is what to do when it does not accept the token."""

    kind = "standcloud"

    def __init__(self, name: str, client: ServiceClient, api: str = "integration", remedy: str = "") -> None:
        super().__init__(name, client)
        self._root = f"/{api}/api/v1"
        self._remedy = remedy
        self._manners = {"test_run": Manners(), "tested_dut": Manners()}

    async def probe(self) -> Health:
        """No account endpoint is documented; a list that matches nothing needs the key as well."""
        params = {"serial_number": "testlab-mcp-doctor", "limit": 1}
        return Health("", clock_skew((await self.reply("test_run", "list of test runs", params)).headers))

    async def reply(self, path: str, what: str, params: Mapping[str, str | int] | None = None) -> Reply:
        """The answer to a GET, which is 200. Raises what `what` being refused means."""
        reply = await self.client.get(f"{self._root}/{path}", params)
        if reply.status == 200:
            return reply
        raise self._failure(reply, what)

    def run_path(self, run_id: str) -> str:
        """Where a test run is."""
        return f"test_run/{quote(run_id, safe='')}"

    def listing(
        self,
        endpoint: str,
        params: Mapping[str, str],
        id_of: Callable[[Body], str],
        keep: Callable[[Body, datetime], bool],
    ) -> Listing:
        """A list to be read: `test_run` or `tested_dut`, filtered by `params`."""

        async def ask(page: Mapping[str, int]) -> list[Body]:
            reply = await self.reply(endpoint, f"list of {endpoint.replace('_', ' ')}s", {**params, **page})
            return decode_value(reply, listed(reply), list[dict[str, Any]])

        return Listing(ask, id_of, keep, self._manners[endpoint])

    async def in_time(self, reading: Coroutine[Any, Any, None]) -> None:
        """Read a list, however many pages it has, within what one call may take."""
        most = max(LIST_SECONDS, self.client.endpoint.timeout_seconds + 1)
        try:
            async with asyncio.timeout(most):
                await reading
        except TimeoutError:
            raise ServiceDown(
                self.name,
                f"{self.name}'s list was not read to its end within {most:.0f} s",
                "It has many pages, or each takes long",
                "Narrow the question: by unit, part, test, or a later since.",
            ) from None

    def _failure(self, reply: Reply, what: str) -> LabError:
        """Error bodies are not documented; the vendor's client knows 401 and 404."""
        name = self.name
        match reply.status:
            case 400 | 422:
                return BadInput(f"{name} does not accept the arguments of the {what}", "", "Check filter and ids.")
            case 401 | 403:
                return AuthError(
                    name,
                    f"{name} does not accept the token (HTTP {reply.status})",
                    "It is missing, wrong or revoked, or sent in the wrong header",
                    self._remedy,
                )
            case 404:
                return NotFound(
                    f"{name} has no such {what}",
                    "",
                    f'list_runs shows what is there; [services.{name}] api ("integration" or "hardpy") sets the path.',
                )
            case 429:
                return limited(name, reply.headers)
            case status if status >= 500:
                return ServiceDown(name, f"{name} failed over the {what} (HTTP {status})", "", "Call again later.")
            case status:
                return unlisted(name, status)


def listed(reply: Reply) -> list[Any]:
    """A list, or the single object that HardPy's document shows for a list of one."""
    body: object = reply.json()
    return cast(list[Any], body) if isinstance(body, list) else [body] if body else []
