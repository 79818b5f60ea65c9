"""Requests to StandCloud, and what is said when it refuses one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

from testlab_tools.adapters.standcloud.paging import Body, Listing, PagingTraits, Row
from testlab_tools.capabilities import Health
from testlab_tools.errors import AuthError, BadInput, BadReply, LabError, ServiceDown
from testlab_tools.http import Reply, ServiceClient, clock_skew
from testlab_tools.http.errors import foreign, limited, reason_in, unlisted
from testlab_tools.http.response import decode_value
from testlab_tools.services import HttpService

T = TypeVar("T")
LIST_SECONDS = 25.0
_OF_A_ROW = frozenset({"test_run_id", "test_plan_name", "name", "case_name", "test_case_name"})
"""Each row of every list has one of these at least; an error's body, or a health page, has none."""


class StandCloudApi(HttpService):
    """The reading half of StandCloud's API; `remedy` is what to do when it does not accept the token."""

    kind = "standcloud"

    def __init__(self, name: str, client: ServiceClient, api: str = "integration", remedy: str = "") -> None:
        super().__init__(name, client)
        self._api = api
        self._root = f"/{api}/api/v1"
        self._remedy = remedy
        self._traits = PagingTraits()

    async def probe(self) -> Health:
        """No account endpoint is documented; a list that matches nothing needs the key as well."""
        nobody: dict[str, str | int] = {"serial_number": "testlab-mcp-doctor"}
        what = "list of test runs"
        try:
            reply = self.check(await self.get("test_run", {**nobody, "limit": 1}), what)
        except BadInput:
            reply = self.check(await self.get("test_run", nobody), what)
        self.read_list(reply)
        return Health("", clock_skew(reply.headers))

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Reply:
        """The answer to a GET, whatever it is."""
        return await self.client.get(f"{self._root}/{path}", params)

    def check(self, reply: Reply, what: str) -> Reply:
        """The answer, which is 200. Raises what `what` being refused means."""
        if reply.status == 200:
            return reply
        raise self._failure(reply, what)

    def read_list(self, reply: Reply) -> list[Any]:
        """A list, or the single row that HardPy's document shows for a list of one. Raises BadReply for all else."""
        body: object = reply.json()
        if isinstance(body, list):
            return cast(list[Any], body)
        if _OF_A_ROW & reply.members.keys():
            return [body]
        body = None  # as in `decode_value`
        reply.drop()
        raise self.foreign(reply)

    def decode_row(self, row: Row, shape: type[T]) -> T:
        """A row of a list that was read."""
        return decode_value(Reply(self.name, 200, {}, b""), row.body, shape)

    def foreign(self, reply: Reply) -> BadReply:
        """What to say of an answer that StandCloud does not give."""
        return foreign(self.name, f"StandCloud under api = {self._api}", reply.status)

    async def read_rows(
        self,
        params: Mapping[str, str],
        id_of: Callable[[Body], str],
        keep: Callable[[Body, datetime], bool],
        enough: Callable[[Listing], bool],
        at: int = 0,
        follows: Callable[[Body], bool] = bool,
    ) -> Listing:
        """Read the list of test runs, filtered by `params`, however many pages it has, within what one call may take;
        see `Listing`."""

        listing = self.listing(params, id_of, keep)
        most = max(LIST_SECONDS, self.client.endpoint.timeout_seconds + 1)
        try:
            async with asyncio.timeout(most):
                await listing.read(enough, at, follows)
        except TimeoutError:
            raise ServiceDown(
                self.name,
                f"{self.name}'s list was not read to its end within {most:.0f} s",
                "It has many pages, or each takes long",
                "Narrow the question: by unit, part, test, or a later since.",
            ) from None
        self.refuse_cut(listing)
        return listing

    def listing(
        self, params: Mapping[str, str], id_of: Callable[[Body], str], keep: Callable[[Body, datetime], bool]
    ) -> Listing:
        """The list of test runs, of which nothing has been read yet."""

        async def ask(page: Mapping[str, int]) -> list[Body]:
            reply = self.check(await self.get("test_run", {**params, **page}), "list of test runs")
            return decode_value(reply, self.read_list(reply), list[dict[str, Any]])

        return Listing(ask, id_of, keep, self._traits)

    def refuse_cut(self, listing: Listing) -> None:
        """Raise BadReply for a list that could not be read whole."""
        if listing.cut:
            raise BadReply(
                self.name,
                f"{self.name} gives only a part of its list, and no way to the rest",
                "Neither a limit and an offset nor their absence brought all of it",
                "Narrow the question: by unit, part, test or outcome.",
            )

    def _failure(self, reply: Reply, what: str) -> LabError:
        """What a status means for `what`, which is there if this is StandCloud: 404 means another server or path.

        Error bodies are not documented. Its pages come from FastAPI, whose errors are `{"detail": …}`.
        """
        name = self.name
        match reply.status:
            case 400 | 422 if is_own_error(reply):
                refused = f"{name} does not accept the arguments of the {what}"
                return BadInput(refused, "", "Check filter and ids.").saying(reason_in(reply))
            case status if status == 401 or (status == 403 and is_own_error(reply)):
                return AuthError(
                    name,
                    f"{name} does not accept the token (HTTP {status})",
                    "It is missing, wrong or revoked, or sent in the wrong header",
                    self._remedy,
                )
            case 429:
                return limited(name, reply.headers)
            case 400 | 403 | 404 | 405 | 422:
                return self.foreign(reply)
            case status if status >= 500:
                return ServiceDown(name, f"{name} failed over the {what} (HTTP {status})", "", "Call again later.")
            case status:
                return unlisted(name, status)


def is_own_error(reply: Reply) -> bool:
    """Whether an error is told as FastAPI has operations tell it: `{"detail": …}`, with words of their own.

    "Not Found" alone is what every such server says of a path that it does not have.
    """
    detail = reply.members.get("detail")
    if isinstance(detail, str):
        return detail.strip(" .").casefold() not in ("", "not found")
    return isinstance(detail, list) and detail != []
