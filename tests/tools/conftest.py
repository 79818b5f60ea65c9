"""Fixtures of the lab's tests: a scriptable HTTP server on loopback, a client of it, a sink, fast time."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import selectors
import socket
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from testlab_tools.capabilities import Health, RunSink, Service
from testlab_tools.files.folders import Folders
from testlab_tools.http import Credentials, Endpoint, RetryPolicy, ServiceClient, Token
from testlab_tools.lab import Lab
from testlab_tools.models.lab import CreatedRun
from testlab_tools.models.requests import NewRun
from testlab_tools.registry import Call

T = TypeVar("T")


class Hurried(Protocol):
    """Runs a coroutine in a loop whose sleeps take no time."""

    def __call__(self, coroutine: Coroutine[Any, Any, T]) -> T: ...


TOKEN = "tk-5d41402abc4b2a76b9719d911017c592"


@dataclass
class Asked:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Origin:
    """An HTTP/1.1 server, one request per connection. `answer` says what it sends: bytes, or None to reset.

    After the answer it sends what stands in `trickle` again and again, each after as many seconds as it says.
    """

    url: str = ""
    answer: Callable[[Asked], Awaitable[bytes | None]] | None = None
    trickle: tuple[float, bytes] | None = None
    asked: list[Asked] = field(default_factory=lambda: list[Asked]())
    open: int = 0
    most_open: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _talks: set[asyncio.Task[None]] = field(default_factory=lambda: set[asyncio.Task[None]]())

    @staticmethod
    def reply(status: int = 200, body: object = None, **headers: str) -> bytes:
        """A response; `body` is sent as JSON unless it is bytes. Underscores in header names stand for dashes."""
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        said = {"Content-Type": "application/json", "Content-Length": str(len(content)), **said}
        lines = [f"HTTP/1.1 {status} X", "Connection: close", *(f"{name}: {value}" for name, value in said.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + content

    def answers(self, *replies: bytes | None) -> None:
        """Give these in turn, the last again and again."""
        left = list(replies)

        async def answer(_: Asked) -> bytes | None:
            return left.pop(0) if len(left) > 1 else left[0]

        self.answer = answer

    async def start(self, tls: ssl.SSLContext | None = None) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        return server

    async def stop(self, server: asyncio.Server) -> None:
        server.close()
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.ensure_future(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            try:
                content = await self._answered(reader, await _read(reader))
                if content is None:
                    _reset(writer)
                else:
                    writer.write(content)
                    await writer.drain()
                while self.trickle:
                    await asyncio.sleep(self.trickle[0])
                    writer.write(self.trickle[1])
                    await writer.drain()
            finally:
                writer.close()
                await writer.wait_closed()

    async def _answered(self, reader: asyncio.StreamReader, asked: Asked) -> bytes | None:
        """What `answer` gives; the wait for it ends when the client hangs up, as a real server would notice."""
        assert self.answer is not None, "the test has not said what the server answers"
        self.asked.append(asked)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self._tell()
        gone = asyncio.ensure_future(reader.read(1))
        work = asyncio.ensure_future(self.answer(asked))
        try:
            await asyncio.wait([gone, work], return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else b""
        finally:
            gone.cancel()
            work.cancel()
            self.open -= 1
            self._tell()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something about this server is true; it is looked at when a request comes or goes."""
        async with asyncio.timeout(5):
            while not true():
                await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed.clear()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST, as a broken proxy does."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is reached directly, whatever the environment of the tests says."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def token() -> str:
    """The token every client of these tests sends."""
    return TOKEN


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """A server for the length of a test."""
    made = Origin()
    server = await made.start()
    yield made
    await made.stop(server)


@pytest.fixture
async def other_origin() -> AsyncIterator[Origin]:
    """A second server, for what must not reach it."""
    made = Origin()
    server = await made.start()
    yield made
    await made.stop(server)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signed itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "testlab")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
async def secured(origin: Origin, certificate: Path) -> AsyncIterator[Origin]:
    """A server with that certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server = await origin.start(tls)
    origin.answers(origin.reply(200))
    yield origin
    await origin.stop(server)


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keyring of whoever runs the tests is left alone."""
    monkeypatch.setitem(sys.modules, "keyring", None)


class KeyringLocked(Exception):
    """As keyring.errors has it."""


@pytest.fixture
def keyring_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[tuple[str, str], str]]:
    """Put a keyring in the place of the library (25.7: `get_keyring` and three functions); gives what it holds.

    It may be locked, be a backend of another priority, or take only secrets up to `most` characters.
    """

    def put(locked: bool = False, priority: float = 5, most: int = 10_000) -> dict[tuple[str, str], str]:
        held: dict[tuple[str, str], str] = {}

        def unlocked() -> None:
            if locked:
                raise KeyringLocked("a word of the keyring")

        def get_password(service_name: str, username: str) -> str | None:
            unlocked()
            return held.get((service_name, username))

        def set_password(service_name: str, username: str, password: str) -> None:
            unlocked()
            if len(password) > most:
                raise OSError(1783, "CredWrite", "The stub received bad data")
            held[service_name, username] = password

        def delete_password(service_name: str, username: str) -> None:
            unlocked()
            if held.pop((service_name, username), None) is None:
                raise LookupError("no such password")

        library = ModuleType("keyring")
        backend = SimpleNamespace(priority=priority)
        functions = (get_password, set_password, delete_password)
        vars(library).update({f.__name__: f for f in functions} | {"get_keyring": lambda: backend})
        monkeypatch.setitem(sys.modules, "keyring", library)
        return held

    return put


@pytest.fixture
def slept() -> list[float]:
    """How long a client of `client_of` was told to wait, in seconds; it did not."""
    return []


@pytest.fixture
async def client_of(slept: list[float]) -> AsyncIterator[Callable[..., ServiceClient]]:
    """Make a client of a URL, which notes its waits in `slept` instead of sleeping."""
    made: list[ServiceClient] = []

    async def note(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    def client(url: str, **endpoint: Any) -> ServiceClient:
        endpoint.setdefault("retry", RetryPolicy(jitter=lambda: 1.0))
        endpoint.setdefault("timeout_seconds", 5.0)
        credentials = Credentials("portal", "bearer", Token(env="TESTLAB_TOKEN"))
        made.append(ServiceClient(Endpoint("portal", url, **endpoint), credentials, sleep=note))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTLAB_TOKEN", TOKEN)
        yield client
        for one in made:
            await one.aclose()


class Sink(RunSink):
    """Keeps the runs it is given."""

    kind = "sink"

    def __init__(self, name: str = "sink") -> None:
        super().__init__(name)
        self.runs: list[NewRun] = []

    async def probe(self) -> Health:
        return Health("")

    async def create_run(self, run: NewRun) -> CreatedRun:
        self.runs.append(run)
        return CreatedRun(run_id=self.handle("1"), procedure=run.procedure_id)

    async def find_created(self, run: NewRun) -> CreatedRun | None:
        return CreatedRun(run_id=self.handle("1"), procedure=run.procedure_id) if run in self.runs else None


@pytest.fixture
def sink() -> Sink:
    """A service that takes runs and keeps them."""
    return Sink()


@pytest.fixture
def call_on(tmp_path: Path) -> Callable[..., Call]:
    """Make the `Call` of a tool over some services; files go below the test's own folder."""

    async def no_progress(done: float, total: float, words: str) -> None:
        return None

    def call(*services: Service, files: Sequence[Path] = ()) -> Call:
        return Call(Lab(services), Folders(list(files) or [tmp_path]), no_progress)

    return call


class _HurriedSelector(selectors.SelectSelector):
    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.skipped += timeout
        return ready


class _HurriedLoop(asyncio.SelectorEventLoop):
    """Time passes at once whenever everything waits for it."""

    def __init__(self) -> None:
        self._hurried = _HurriedSelector()
        super().__init__(self._hurried)

    def time(self) -> float:
        return super().time() + self._hurried.skipped


@pytest.fixture
def hurried() -> Iterator[Hurried]:
    """Run a coroutine in a loop whose sleeps take no time; `asyncio.get_running_loop().time()` tells its time."""
    with asyncio.Runner(loop_factory=_HurriedLoop) as runner:
        yield lambda coroutine: runner.run(coroutine)
