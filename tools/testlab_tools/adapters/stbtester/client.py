"""The portal behind every Stb-tester call: what its status codes mean, said from what we asked.

Its documentation has no bodies of errors, so none is a proof. What an answer says is not there is looked for in a
documented list (nodes, results) before it is told: another server, a proxy or a missing endpoint answers 404 as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Generator
from contextlib import contextmanager

from testlab_tools.adapters.stbtester.models import NODE_ID, ArtifactEntry, NodeStatus, ResultRow, path_of
from testlab_tools.capabilities import Health
from testlab_tools.errors import (
    AnswerLost,
    AuthError,
    BadInput,
    BadReply,
    Gone,
    LabError,
    NotFound,
    RateLimited,
    ServiceDown,
)
from testlab_tools.http import Reply, clock_skew
from testlab_tools.http.errors import foreign, limited, lost, reason_in, unlisted
from testlab_tools.http.response import Wire, date_of, decode
from testlab_tools.services import HttpService

PORTAL = "a Stb-tester portal"
NODES = "/api/v2/nodes"


class Portal(HttpService):
    """Shared by the portal's capabilities: ids, paths and errors."""

    kind = "stbtester"
    looks = (0.0, 1.0, 1.0)
    """Seconds before each look for what a change whose answer was lost may have made."""

    @contextmanager
    def in_doubt(self, done: str, shown: str) -> Generator[None]:
        """Whatever a change that was sent is looked up by can fail; then it is not known whether it was `done`, which
        is what is raised, with what will have `shown` it. Refusals told from what was found stay."""
        try:
            yield
        except (ServiceDown, RateLimited, BadReply, AuthError) as error:
            unknown = f"Whether {done} is not known: the answer was lost"
            raise AnswerLost(self.name, unknown, f"It cannot be looked up: {error.what}", shown) from None

    async def probe(self) -> Health:
        """`GET /api/v2/user`, which the vendor's stbt-rig asks first, is not documented. Where it is not there, the
        documented list of nodes is asked: a reservation of ours on one of them says who we are."""
        try:
            reply = self.check(await self.client.get("/api/v2/user"), "the account")
            return Health(decode(reply, _User).login, clock_skew(reply.headers))
        except (BadReply, BadInput):
            reply = await self.client.get(NODES)
            held = [status.reservation for status in self._statuses(reply) if status.reservation]
            account = next((entry.username for entry in held if entry.reserved_by_you), "")
            return Health(account, clock_skew(reply.headers))

    async def change(self, method: str, path: str, documented: Collection[int], body: object = None) -> Reply:
        """Send a change. Raises AnswerLost unless it is answered with a status that its section lists."""
        return await self.client.send(method, path, body=body, settled=lambda reply: reply.status in documented)

    def check(self, reply: Reply, what: str, *, later: bool = False) -> Reply:
        """The reply, if it is a success; otherwise raises what its status means. With `later`, 202 is one too: not yet.

        `what` is what was asked for, in our words. Where 404 is documented, use `found`.
        """
        if reply.status == 200 or (later and reply.status == 202):
            return reply
        raise self.failure(reply, what)

    async def check_found(
        self,
        reply: Reply,
        what: str,
        missing: str,
        listed: Callable[[], Awaitable[bool]],
        *,
        about: str = "",
        later: bool = False,
    ) -> Reply:
        """As `check`, where 404 means that there is no such thing (and 410 that it was deleted), if `listed`, which
        asks otherwise, does not find it. `missing` is the next step then, `about` the id."""
        if reply.status not in (404, 410):
            return self.check(reply, what, later=later)
        if await listed():
            raise foreign(self.name, PORTAL, reply.status)
        if reply.status == 410:
            raise Gone(f"{self.name} has deleted this {what}", "", "Nothing of it can be read any more.").naming(about)
        raise NotFound(f"{self.name} has no such {what}", "", missing).naming(about)

    async def check_node(self, reply: Reply, node_id: str) -> Reply:
        """As `check_found`, for a node."""
        shown = "list_nodes shows all nodes."
        return await self.check_found(reply, "node", shown, lambda: self.has_node(node_id), about=node_id)

    async def check_result(self, reply: Reply, run_id: str) -> Reply:
        """As `check_found`, for a result."""
        shown = "list_runs shows the runs there are."
        return await self.check_found(reply, "result", shown, lambda: self.has_result(run_id), about=run_id)

    def failure(self, reply: Reply, what: str) -> LabError:
        """What a status means ("Status Codes" of each section). The body may hold anybody's text."""
        name = self.name
        match reply.status:
            case 400 if not reply.is_web_page:
                refused = BadInput(f"{name} does not accept {what}", "", "Check the arguments' values.")
                return refused.saying(reason_in(reply))
            case 401 | 403:
                return AuthError(
                    name,
                    f"{name} refuses {what} (HTTP {reply.status})",
                    "Its token is missing, wrong or revoked"
                    + (", or a proxy in front of it refuses: what came is a web page" if reply.is_web_page else ""),
                    f"Make a new access token in the portal's user menu and set it for [services.{name}].",
                )
            case 400 | 404 | 405 | 410:
                return foreign(name, PORTAL, reply.status)
            case 429:
                return limited(name, reply.headers)
            case status if status >= 500:
                return ServiceDown(name, f"{name} failed over {what} (HTTP {status})", "", "Call again later.")
            case status:
                return unlisted(name, status, what)

    def contradiction(self, reply: Reply, method: str) -> AnswerLost:
        """A change that was refused as if there were no such thing, when there is: nothing says what became of it."""
        why = f"HTTP {reply.status} is not true of what it lists: a proxy may have answered, or a wrong url"
        return lost(self.name, method, why)

    async def list_statuses(self) -> list[NodeStatus]:
        """Every node as the portal tells it."""
        return self._statuses(await self.client.get(NODES))

    def node_path(self, node_id: str) -> str:
        """Where a node is. Raises NotFound for what cannot be a node's id: that never stands in a path."""
        if not NODE_ID.fullmatch(node_id):
            raise NotFound(f"{self.name} has no such node", "", "list_nodes shows all nodes.").naming(node_id)
        return f"{NODES}/{node_id}"

    async def get_status(self, node_id: str) -> NodeStatus:
        """One node as the portal tells it."""
        reply = await self.client.get(self.node_path(node_id))
        await self.check_node(reply, node_id)
        return decode(reply, NodeStatus).as_of(date_of(reply.headers))

    async def has_node(self, node_id: str) -> bool:
        """Whether the list of nodes has it."""
        return any(status.node_id == node_id for status in await self.list_statuses())

    async def has_job(self, job_uid: str) -> bool:
        """Whether a node runs or ran it last, or results of it are listed."""
        uid = "/" + job_uid.strip("/")
        return any(s.job and s.job.job_uid == uid for s in await self.list_statuses()) or bool(
            await self._results_of(uid)
        )

    async def has_result(self, run_id: str) -> bool:
        """Whether the list of results has it."""
        named = "/" + run_id.strip("/")
        job, _, _ = named.rpartition("/")
        return any(row.result_id == named for row in await self._results_of(job))

    async def has_file(self, run_id: str, name: str) -> bool:
        """Whether the result's list of files has it."""
        reply = await self.client.get(f"/api/v2/results{path_of(run_id)}/artifacts/")
        if reply.status in (404, 410):
            return await self.has_result(run_id)
        return name in decode(self.check(reply, "list of files"), dict[str, ArtifactEntry])

    async def has_nothing_like_it(self) -> bool:
        """Where no list tells: no, once the list of nodes has shown that this is a portal."""
        await self.list_statuses()
        return False

    async def _results_of(self, job_uid: str) -> list[ResultRow]:
        reply = await self.client.get("/api/v2/results", {"filter": f"job:{job_uid}", "sort": "date:desc", "tz": "UTC"})
        if reply.status == 400:
            await self.list_statuses()
            return []
        return decode(self.check(reply, "list of results"), list[ResultRow])

    def _statuses(self, reply: Reply) -> list[NodeStatus]:
        told = date_of(reply.headers)
        return [status.as_of(told) for status in decode(self.check(reply, "list of nodes"), list[NodeStatus])]


class _User(Wire):
    login: str
