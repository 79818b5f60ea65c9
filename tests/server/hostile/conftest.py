"""Fixtures: a corpus of hostile texts, and a lab of three services that writes them wherever a service may write."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client
from mcp_types import ElicitRequestParams, ElicitResult

from testlab_mcp.commands.serve import policy_of
from testlab_mcp.config.loading import parse_config
from testlab_mcp.protocol.server import build_server
from testlab_sim.app import create_app, create_world
from testlab_sim.listening import HOST, listen
from testlab_sim.serving import LabServer
from testlab_sim.world import YOU
from testlab_tools.untrusted import sanitize
from tests.service_samples import SERVICE_SAMPLES

CORPUS = Path(__file__).parents[2] / "samples" / "hostile" / "corpus.json"
CANARY = "kq7canary"
"""Stands at both ends of every text, so that where it comes out can be seen."""

SHORT = 250
"""As long as a text may be that stands with others in one value, of which 2,000 characters are shown."""
IN_A_FIELD = 380
IN_A_BODY = 750
"""As long as these others and it may be together."""

Mode = Literal["clean", "values", "everything", "refused", "garbage", "numbers"]
_IDS = {"_id", "result_id", "job_uid", "node_id", "reservation_id", "test_run_id", "id", "next_cursor"}
_TIMES = {"start_time", "end_time", "expires", "last_used_time", "started_at", "ended_at", "created_at", "finish_time"}
_TIMES |= {"stop_time", "startedAt", "endedAt", "createdAt", "duration"}
_ENUMS = {"result", "status", "outcome", "sample", "type", "level", "login"}
KEPT = frozenset(_IDS | _TIMES | _ENUMS | {"upload_url", "uploadUrl"})
"""What must stay for a reply to be read at all: ids, dates, enums. Mode `everything` changes these too."""

NAMED = frozenset({"config", "tags", "metadata", "dut_info", "test_stand_info", "test_run_artifact", "artifacts"})
OPEN = frozenset(
    {"measured_value", "measuredValue", "value", "expected_value", "comparison_value"} | NAMED - {"artifacts"}
)
"""Members that may hold any JSON; of a mapping among them, the names are somebody's words as well."""


@dataclass(frozen=True)
class Hostile:
    """An entry of the corpus: text, or raw bytes, or raw JSON that stands where a value of any type may."""

    name: str
    text: str = ""
    raw: bytes = b""
    json: str = ""
    file_name: bool = False
    """A text for those alone who have to do with files."""

    @property
    def kind(self) -> str:
        """Its kind in the corpus."""
        return self.name.partition(":")[0]

    @property
    def marked(self) -> str:
        """The text with the canary at both ends."""
        return CANARY + self.text + CANARY

    @property
    def body(self) -> bytes:
        """As a body or a line of a log."""
        return CANARY.encode() + (self.raw or self.json.encode() or self.text.encode("utf-8", "surrogatepass"))


def entries() -> list[Hostile]:
    """The corpus, what is built by a rule included."""
    read = json.loads(CORPUS.read_text(encoding="utf-8"))
    texts = [Hostile(f"{kind}: {name}", text) for kind, named in read["texts"].items() for name, text in named.items()]
    texts += [Hostile(f"repeated: {name}", text * times) for name, (text, times) in read["repeated"].items()]
    texts += [Hostile(f"bytes: {name}", raw=bytes.fromhex(raw)) for name, raw in read["bytes"].items()]
    shapes = read["json"].items()
    return texts + [
        Hostile(f"json: {n}", json=opener * times + closer * times) for n, (opener, times, closer) in shapes
    ]


def together(hostile: Iterable[Hostile], most: int) -> Iterator[Hostile]:
    """Short texts of a kind, so many characters of them, as one; all others by themselves."""
    group: list[Hostile] = []
    for one in hostile:
        short = one.text and len(one.text) < SHORT
        alike = group and group[0].kind == one.kind and len(_joined([*group, one])) <= most
        if group and not (short and alike):
            yield _as_one(group)
            group = []
        if short:
            group.append(one)
        else:
            yield one
    if group:
        yield _as_one(group)


def _as_one(group: list[Hostile]) -> Hostile:
    return replace(group[0], name=", ".join(one.name for one in group), text=_joined(group))


def _joined(group: list[Hostile]) -> str:
    return CANARY.join(one.text for one in group)


@pytest.fixture(scope="session")
def corpus() -> Callable[[str], tuple[int, list[Hostile]]]:
    """How many hostile texts there are for a mode, and these, some together, as one text each time round. What stands
    last of a text that is cut in one mode stands first in another. Where files have names, these are also there one by
    one, for those who have to do with files."""

    def chosen(mode: str) -> tuple[int, list[Hostile]]:
        found = [one for one in entries() if one.json or mode != "numbers"]
        in_fields = mode in ("values", "everything")
        names = [replace(one, file_name=True) for one in found if in_fields and one.kind == "names"]
        ordered = found[::-1] if mode in ("everything", "garbage") else found
        return len(found), [*together(ordered, IN_A_FIELD if in_fields else IN_A_BODY), *names]

    return chosen


@dataclass
class Kept:
    """A reply as the simulated lab gave it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass
class Rewriter:
    """ASGI: keeps the longest that the simulated lab answers to each request while `mode` is `clean`; afterwards gives
    it again, rewritten.

    `fields` are the members that were written to, `service/member`.
    """

    app: Any
    mode: Mode = "clean"
    hostile: Hostile = field(default_factory=lambda: Hostile("none"))
    fields: set[str] = field(default_factory=lambda: set[str]())
    kept: dict[tuple[str, str, str], Kept] = field(default_factory=lambda: dict[tuple[str, str, str], Kept]())
    status: int = 400
    url: str = ""
    _nearest: dict[tuple[str, str, str], tuple[str, str, str] | None] = field(
        default_factory=lambda: dict[tuple[str, str, str], tuple[str, str, str] | None]()
    )
    """By request, the request whose reply is given again; forgotten when another reply is kept."""
    _rewrites: dict[tuple[str, str, str], Kept] = field(default_factory=lambda: dict[tuple[str, str, str], Kept]())
    """By request, what is said to it now; forgotten when the text or the mode is another."""
    _now: tuple[Mode, Hostile, int] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        key = (scope["method"], scope["path"], scope["query_string"].decode("latin-1"))
        if re.search("offset=[1-9]", key[2]):
            reply = self._said(200, b"[]", b"application/json")
        else:
            reply = await self._fresh(key, scope, receive) if self.mode == "clean" else self._known(key)
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _fresh(self, key: tuple[str, str, str], scope: Any, receive: Any) -> Kept:
        reply = Kept(500, [], b"")

        async def keep(message: Any) -> None:
            if message["type"] == "http.response.start":
                reply.status, reply.headers = message["status"], list(message["headers"])
            reply.body += message.get("body", b"")

        await self.app(scope, receive, keep)
        if b"json" in dict(reply.headers).get(b"content-type", b""):
            reply.body = json.dumps(_shorter(json.loads(reply.body or b"null"))).encode()
        length = str(len(reply.body)).encode()
        reply.headers = [(n, v) for n, v in reply.headers if n != b"content-length"] + [(b"content-length", length)]
        if reply.status < 300 and len(reply.body) >= len(self.kept[key].body if key in self.kept else b""):
            self.kept[key] = reply
            self._nearest.clear()
            self._rewrites.clear()
        return reply

    def _known(self, key: tuple[str, str, str]) -> Kept:
        now = (self.mode, self.hostile, self.status)
        if self._now != now:
            self._now = now
            self._rewrites.clear()
        if key not in self._rewrites:
            self._rewrites[key] = self._again(key)
        return self._rewrites[key]

    def _again(self, key: tuple[str, str, str]) -> Kept:
        if key not in self._nearest:
            near = [k for k in self.kept if k[0] == key[0]]
            self._nearest[key] = max(near, key=lambda k: (k == key, k[1] == key[1], _alike(k[1], key[1])), default=None)
        found = self._nearest[key]
        if found is None or self.mode == "refused":
            return self._said(self.status, self._refusal(), b"application/json")
        if self.mode == "garbage":
            return self._said(200, self.hostile.body, self._header())
        reply, service = self.kept[found], key[1].strip("/").partition("/")[0]
        kind = dict(reply.headers).get(b"content-type", b"")
        if ("/artifacts/" in key[1] and not key[1].endswith(("/artifacts/", ".jpg"))) or key[1].endswith("stbt.log"):
            return self._said(200, self.hostile.body + b"\n" + self.hostile.body, b"text/plain")
        if b"json" not in kind:
            return self._said(reply.status, self._file(reply.body, kind), kind)
        body = json.dumps(self._rewritten(json.loads(reply.body), service, ""))
        return self._said(reply.status, self._spliced(body), b"application/json")

    def _said(self, status: int, body: bytes, kind: bytes) -> Kept:
        """A reply whose own headers are hostile as well."""
        extra = [(b"x-request-id", self._header()), (b"server", self._header()), (b"date", self._header())]
        extra += [(b"retry-after", b"0")] if status == 429 else []
        return Kept(status, [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *extra], body)

    def _header(self) -> bytes:
        """As much of the text as HTTP lets stand in a header."""
        allowed = bytes(b for b in self.hostile.body[:300] if b >= 0x20 and b != 0x7F)
        return allowed.strip() or b"x"

    def _refusal(self) -> bytes:
        text = self.hostile.marked
        issue = {"path": [text, 0, text], "message": text, "code": text}
        body = {"message": text, "code": text, "error": {"message": text}, "detail": text, "issues": [issue]}
        return self._spliced(json.dumps(body))

    def _file(self, body: bytes, kind: bytes) -> bytes:
        if b"csv" in kind:
            header, _, rest = body.partition(b"\n")
            cell = b'"' + self.hostile.body.replace(b'"', b'""') + b'"'
            return b"\n".join([header, *(cell for _ in rest.splitlines()[:3])])
        if b"xml" in kind:
            return b"<testsuites><testsuite><testcase name='" + self.hostile.body + b"'/></testsuite></testsuites>"
        return body

    def _rewritten(self, value: Any, service: str, member: str, inside: bool = False) -> Any:
        if isinstance(value, dict):
            named = member in NAMED
            inside = inside or member in OPEN
            given = value.items()
            if named and value:
                size = {"size": 2 * len(self.hostile.body) + 1}
                given = [(self._name(n), size if member == "artifacts" else v) for n, (_, v) in enumerate(given)]
                self.fields.add(f"{service}/{member}.*")
            return {n: self._rewritten(v, service, member if named else n, inside) for n, v in given}
        if isinstance(value, list):
            return [self._rewritten(item, service, member, inside) for item in value]
        if self.mode == "numbers":
            any_number = isinstance(value, int | float) and not isinstance(value, bool)
            return _SPLICE if any_number and self.hostile.json else value
        if isinstance(value, bool) or not isinstance(value, str | int | float) or not value:
            return value
        return self._text(value, service, member, inside)

    def _text(self, value: str | float, service: str, member: str, inside: bool) -> Any:
        anything = inside or member in OPEN
        if self.hostile.json:
            return _SPLICE if anything else value
        if not (isinstance(value, str) or anything) or (member in KEPT and self.mode != "everything"):
            return value
        self.fields.add(f"{service}/{member}")
        return _SPLICE

    @property
    def first_name(self) -> str:
        """The first file's name, as lists show it."""
        return sanitize(self._name(0))

    def _name(self, number: int) -> str:
        text = self.hostile.marked if self.hostile.text else f"{CANARY}{number}"
        return text if number == 0 else f"{text}{number}"

    def _spliced(self, text: str) -> bytes:
        """With raw JSON, a string of raw bytes, or the text where a value was marked for it."""
        if self.hostile.raw:
            value = b'"' + self.hostile.body + b'"'
        else:
            value = (self.hostile.json or json.dumps(self.hostile.marked)).encode()
        return text.encode().replace(_MARK, value)


_SPLICE = "@@splice@@"
_MARK = json.dumps(_SPLICE).encode()
_MOST = 6


def _shorter(value: Any) -> Any:
    """One page; of long lists, as many as a test needs; of nodes, reserved ones and free ones first."""
    if isinstance(value, dict):
        last = {"has_more": False, "next_cursor": None} if "has_more" in value else {}
        return {name: _shorter(item) for name, item in value.items()} | last
    if isinstance(value, list):
        if value and isinstance(value[0], dict) and "friendly_name" in value[0]:
            value = sorted(value, key=lambda node: (not node["reservation"], not node["available"]))
        return [_shorter(item) for item in value[:_MOST]]
    return value


def _alike(one: str, other: str) -> int:
    """How many segments two paths share, from the front and in their ends."""
    a, b = one.split("/"), other.split("/")
    front = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return 4 * front + 2 * (a[-1] == b[-1]) + (len(a) == len(b))


@pytest.fixture
def rewriter() -> Iterator[Rewriter]:
    """The lab behind the rewriter, on loopback."""
    world = create_world()
    listener = listen()
    world.base_url = f"http://{HOST}:{listener.getsockname()[1]}"
    made, ready = Rewriter(create_app(world)), threading.Event()
    server = LabServer(made, ready.set)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    assert ready.wait(20), "the lab did not come up"
    made.url = world.base_url
    yield made
    server.should_exit = True
    thread.join(5)
    listener.close()


def tables(url: str) -> str:
    """A service of every kind, one of them in both of its versions."""
    return "\n".join(sample.table(f"{url}/{sample.kind}", token=YOU.token) for sample in SERVICE_SAMPLES.values())


@dataclass
class Asked:
    """What a person was asked, who always agrees."""

    questions: list[str] = field(default_factory=lambda: list[str]())

    async def __call__(self, context: Any, params: ElicitRequestParams) -> ElicitResult:
        self.questions.append(params.message)
        return ElicitResult(action="accept", content={"go_ahead": True})


@pytest.fixture
def asked() -> Asked:
    """A person who agrees to everything."""
    return Asked()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits between two tries."""
    monkeypatch.setattr("testlab_tools.http.policy.RetryPolicy.backoff", lambda self, attempt: 0.0)
    monkeypatch.setattr("testlab_tools.adapters.stbtester.client.Portal.looks", (0.0, 0.0, 0.0))
    monkeypatch.setattr("testlab_tools.adapters.hardpy.dialogs.Dialogs.looks", (0.0,))


@pytest.fixture
def each_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that stands in hundreds of fields is sanitized in the first."""
    monkeypatch.setattr("testlab_tools.untrusted.sanitize", lru_cache(maxsize=64)(sanitize))


@pytest.fixture
def hostile_client(rewriter: Rewriter, tmp_path: Path, no_pauses: None, each_text_once: None) -> Callable[..., Any]:
    """An MCP client of a server, with every right, in front of the rewritten lab."""

    @asynccontextmanager
    async def opened(
        durable: str = "enabled = false", asking: Asked | None = None, mode: str = "auto"
    ) -> AsyncIterator[Client]:
        config = (
            f'[server]\naccess = "admin"\ntoolsets = ["all"]\n[files]\nsave_to = ["{tmp_path}"]\n'
            f"[durable]\n{durable}\n{tables(rewriter.url)}"
        )
        read = parse_config(config)
        server = build_server(read.lab(), policy_of(read), read.folders())
        async with Client(server, mode=mode, elicitation_callback=asking) as client:
            yield client

    return opened


@dataclass
class Origin:
    """A server on loopback that gives every request the same answer, and keeps the requests' heads."""

    url: str = ""
    asked: list[str] = field(default_factory=lambda: list[str]())
    _reply: bytes = b""

    def answers(self, status: int, body: object, **headers: str) -> None:
        """Header names with underscores for dashes."""
        content = json.dumps(body).encode()
        said = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in said.items()]
        self._reply = "\r\n".join([f"HTTP/1.1 {status} X", "Connection: close", *lines, "", ""]).encode() + content

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
            writer.write(self._reply)
            await writer.drain()
            writer.close()
            await writer.wait_closed()


@pytest.fixture
async def open_origin() -> AsyncIterator[Callable[..., Any]]:
    """Start such servers; they end with the test."""
    servers: list[asyncio.Server] = []

    async def opened() -> Origin:
        made = Origin()
        servers.append(await asyncio.start_server(made.talk, "127.0.0.1", 0))
        made.url = f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}"
        return made

    yield opened
    for server in servers:
        server.close()
        await server.wait_closed()
