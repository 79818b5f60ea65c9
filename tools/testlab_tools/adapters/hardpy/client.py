"""The panel behind every call: what its answers mean. Its OpenAPI page documents no errors, and it has no accounts.

`/api/hardpy_config`, `/api/couch` and `/api/database_document_id` answer secrets; nothing here asks them.
"""

from __future__ import annotations

from collections.abc import Mapping

from testlab_tools.adapters.hardpy.models import Answer, PanelAnswer
from testlab_tools.capabilities import Health
from testlab_tools.errors import AuthError, BadInput, BadReply, LabError, NotFound, ServiceDown
from testlab_tools.http import Credentials, Params, Reply, Token, clock_skew
from testlab_tools.http.errors import foreign, limited, unlisted
from testlab_tools.http.response import decode
from testlab_tools.services import HttpService

PANEL = "a HardPy panel"


class NoCredentials(Credentials):
    """Nothing is sent: the panel asks for nothing."""

    def __init__(self, service: str) -> None:
        super().__init__(service, "bearer", Token())

    async def prepare(self) -> Mapping[str, str]:
        return {}

    async def identify(self) -> str:
        return "nobody"


class Panel(HttpService):
    """Shared by the stand's capabilities: its one node, and what the panel's answers mean.

    The stand's native node id is the service's name in the config, so that stands of several panels stay apart.
    """

    kind = "hardpy"
    limits = "one stand; what it runs and ran is told only of panels with JSON storage"

    async def probe(self) -> Health:
        """`GET /api/status` is the panel's own; a stand has no accounts."""
        reply = await self.client.get("/api/status")
        self.read_answer(reply, "its status", "ready", "busy")
        return Health("", clock_skew(reply.headers))

    async def is_busy(self, *, patient: bool = True) -> bool:
        """Whether a test process runs, be it at tests, before them or after them."""
        reply = await self.client.get("/api/status", retry=patient)
        return self.read_answer(reply, "its status", "ready", "busy") == "busy"

    async def order(self, path: str, what: str, *answers: Answer, params: Params | None = None) -> Answer:
        """Send a GET that changes something, once, and return which of `answers` it has.

        Raises:
            AnswerLost: it may have been done all the same.
        """
        reply = await self.client.send("GET", path, params=params, settled=lambda reply: reply.status == 200)
        return self.read_answer(reply, what, *answers)

    def read_answer(self, reply: Reply, what: str, *answers: Answer) -> Answer:
        """The `status` in a reply. Raises BadReply for one that is not among `answers`."""
        answer = decode(self.check(reply, what), PanelAnswer).status
        if answer not in answers:
            raise foreign(self.name, PANEL, reply.status)
        return answer

    def check(self, reply: Reply, what: str) -> Reply:
        """The reply, if it is a success; otherwise raises what its status means. `what` is in our words."""
        if reply.is_web_page:
            raise foreign(self.name, PANEL, reply.status)
        if reply.status == 200:
            return reply
        raise self.failure(reply, what)

    def failure(self, reply: Reply, what: str) -> LabError:
        """What a status means: the panel documents 200 alone, and 422 for arguments that are of no shape it takes."""
        match reply.status:
            case 401 | 403:
                return AuthError(
                    self.name,
                    f"{self.name} refuses {what} (HTTP {reply.status})",
                    "A HardPy panel asks nobody who they are: a proxy in front of it refuses",
                    f"Give [services.{self.name}] a token that the proxy takes.",
                )
            case 422:
                return BadInput(f"{self.name} does not accept {what}", "", "Check the arguments' values.")
            case 429:
                return limited(self.name, reply.headers)
            case 400 | 404 | 405 | 410:
                return foreign(self.name, PANEL, reply.status)
            case status if status >= 500:
                return ServiceDown(
                    self.name, f"{self.name} failed over {what} (HTTP {status})", "", "Call again later."
                )
            case status:
                return unlisted(self.name, status, what)

    def check_node(self, node_id: str) -> None:
        """Raises NotFound for another node than the stand."""
        if node_id != self.name:
            raise NotFound(f"{self.name} has no such node", "", f"Its one stand is {self.node!r}.").naming(node_id)

    @property
    def node(self) -> str:
        """The handle of the stand."""
        return self.handle(self.name)

    def unreadable(self, why: str) -> BadReply:
        """What the panel tells of its runs cannot be read."""
        return BadReply(
            self.name,
            f"What {self.name} tells of its runs cannot be read",
            why,
            f"It may be of another version than HardPy 0.25, or [services.{self.name}] url lead to another service; "
            "`testlab-mcp doctor` tests it.",
        )
