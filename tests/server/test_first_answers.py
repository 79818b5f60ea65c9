"""A start over stdio gives the first answers of the last start: the same bytes, and never those of another server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from testlab_mcp.startup import document as documents
from testlab_mcp.startup.document import FORMAT, MAX_DOCUMENTS, Document
from testlab_mcp.startup.options import read_options, read_surface, user_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="on Windows nothing is answered early")

SECRET = "tk-1f0c9d5e77"
CLIENT = {"name": "test", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
LISTS = ("tools/list", "resources/list", "resources/templates/list", "prompts/list", "skills/list")
Message = dict[str, Any]


def request(number: int | str, method: str, params: object = None) -> Message:
    return {"jsonrpc": "2.0", "id": number, "method": method} | ({} if params is None else {"params": params})


HELLO = [
    request(1, "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": CLIENT}),
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
]
LOOK = request("look", "server/discover", {"_meta": META})
ALL = [request(number, method) for number, method in enumerate(LISTS, 2)]
ODD = [
    request("ping", "ping"),
    request("empty", "tools/list", {}),
    request("cursor", "tools/list", {"cursor": "nonsense"}),
    request("unknown", "no/such/method"),
]
LEGACY = [*HELLO, *ALL, *ODD]
CALL = request("call", "tools/call", {"name": "list_nodes", "arguments": {}})
MODERN = [LOOK, *({**asked, "params": {**asked.get("params", {}), "_meta": META}} for asked in [*ALL, *ODD])]
BOTH = [LOOK, *LEGACY]

PORTAL = f"""
[services.portal]
kind = "stbtester"
url = "http://127.0.0.1:9"
token = "{SECRET}"
"""
ONE = f'[server]\naccess = "observe"{PORTAL}'
MANY = f"""[server]
access = "admin"
toolsets = ["all"]
{PORTAL}
[services.factory]
kind = "tofupilot"
url = "http://127.0.0.1:9"
token = "{SECRET}"
[services.rack]
kind = "labgrid"
coordinator = "127.0.0.1"
"""


class Starts:
    """Starts the real program, again and again, on one cache folder."""

    def __init__(self, folder: Path) -> None:
        self.cache, self.config, self.log = folder / "cache", folder / "config.toml", folder / "log.txt"
        self.arguments: tuple[str, ...] = ("--config", str(self.config))
        self.environment = {"XDG_CACHE_HOME": str(self.cache), "XDG_DATA_HOME": str(folder / "data")}

    def write(self, text: str) -> None:
        self.config.write_text(f"{text}[audit]\nstderr = true\nreads = true\n", encoding="utf-8")

    def open(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "testlab_mcp", "serve", *self.arguments]
        env = os.environ | self.environment
        with self.log.open("wb") as err:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env=env)

    def run(self, messages: list[Message], answers: int | None = None) -> tuple[dict[object, bytes], str]:
        """What it answers by id, notifications by their method, and what it logs."""
        wanted = sum("id" in message for message in messages) if answers is None else answers
        with self.open() as process:
            tell(process, messages)
            found = dict(hear(process) for _ in range(wanted))
            assert end(process) == b""
        log = self.log.read_text(encoding="utf-8")
        assert (process.returncode, "Traceback" in log) == (0, False), log
        return found, log

    def documents(self) -> list[Path]:
        return sorted((self.cache / "testlab-mcp" / "answers").glob("*"))

    def read(self) -> list[bytes]:
        """The answers in the only document, sorted."""
        (path,) = self.documents()
        head, _, body = path.read_bytes().partition(b"\n")
        assert head == FORMAT + sha256(body).hexdigest().encode()
        return sorted(body.splitlines())

    def replace(self, old: bytes, new: bytes) -> None:
        """Change an answer in the only document, whose first line says that it is whole."""
        (path,) = self.documents()
        body = path.read_bytes().partition(b"\n")[2]
        assert old in body
        body = body.replace(old, new)
        path.write_bytes(FORMAT + sha256(body).hexdigest().encode() + b"\n" + body)


def tell(process: subprocess.Popen[bytes], messages: list[Message]) -> None:
    assert process.stdin
    process.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
    process.stdin.flush()


def hear(process: subprocess.Popen[bytes]) -> tuple[object, bytes]:
    assert process.stdout
    line = process.stdout.readline()
    message = json.loads(line)
    return message.get("id", message.get("method")), line


def end(process: subprocess.Popen[bytes]) -> bytes:
    """Close its input, and wait for its end. Returns what it still wrote."""
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    rest = process.stdout.read()
    process.wait(timeout=20)
    return rest


@pytest.fixture
def starts(tmp_path: Path) -> Starts:
    starts = Starts(tmp_path)
    starts.write(ONE)
    return starts


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Starts, dict[object, bytes]]:
    """A first start, and its answers."""
    starts = Starts(tmp_path_factory.mktemp("first"))
    starts.write(ONE)
    return starts, starts.run(LEGACY)[0]


@pytest.fixture
def again(starts: Starts, first: tuple[Starts, dict[object, bytes]]) -> Starts:
    """What is started has been started before, with the same config at another place."""
    shutil.copytree(first[0].cache, starts.cache)
    return starts


@pytest.mark.parametrize(("config", "messages"), [(ONE, LEGACY), (MANY, MODERN), (MANY, BOTH)])
def test_a_second_start_answers_in_the_same_bytes_as_the_first(
    config: str, messages: list[Message], starts: Starts
) -> None:
    starts.write(config)
    first, _ = starts.run(messages)
    written = starts.documents()[0].stat()
    second, log = starts.run(messages)
    assert second == first
    assert log == ""
    assert starts.documents()[0].stat().st_mtime_ns == written.st_mtime_ns, "there was nothing new to keep"
    assert SECRET not in starts.documents()[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", ["--demo", "--folder"])
def test_the_demo_and_a_folder_start_as_a_config_does(arguments: str, starts: Starts, tmp_path: Path) -> None:
    starts.arguments = (arguments,) if arguments == "--demo" else (arguments, str(tmp_path))
    first, _ = starts.run(LEGACY)
    starts.replace(b'"serverInfo":{', b'"serverInfo":{"old":1,')
    old, log = starts.run(LEGACY)
    assert b'"old":1' in old[1]
    assert {**old, 1: first[1]} == first
    assert "initialize was answered as at the last start" in log


def test_a_call_waits_for_the_server_and_lists_do_not(again: Starts) -> None:
    with again.open() as process:
        tell(process, [*HELLO, CALL, *ALL])
        assert [hear(process)[0] for _ in range(7)] == [1, 2, 3, 4, 5, 6, "call"]
        end(process)
    audited = [json.loads(line)["tool"] for line in again.log.read_text(encoding="utf-8").splitlines()]
    assert audited == ["list_nodes"], "and nothing of the lists"


def test_what_is_cancelled_while_it_waits_ends_as_ever_and_what_was_answered_is_not_cancelled(again: Starts) -> None:
    cancelled = [
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
        for number in (2, "call", {"no": "id"})
    ]
    last = request("last", "logging/setLevel", {"level": "error"})
    warm, log = again.run([*HELLO, ALL[0], CALL, *cancelled, last], answers=3)
    assert {1, 2} < set(warm)
    assert "answered as at the last start" not in log


def test_another_config_has_answers_of_its_own(again: Starts, first: tuple[Starts, dict[object, bytes]]) -> None:
    again.write(ONE.replace("observe", "operate"))
    second, _ = again.run(LEGACY)
    assert b'"run_tests"' not in first[1][2]
    assert b'"run_tests"' in second[2]
    assert len(again.documents()) == 2


def test_a_config_that_is_wrong_now_ends_the_start_before_any_answer(again: Starts) -> None:
    again.write(ONE.replace("observe", "everything"))
    with again.open() as process:
        tell(process, LEGACY)
        assert end(process) == b""
    assert process.returncode == 2
    assert "access must be one of" in again.log.read_text(encoding="utf-8")


def test_an_answer_that_is_another_now_is_corrected_and_its_document_is_renewed(
    again: Starts, first: tuple[Starts, dict[object, bytes]]
) -> None:
    again.replace(b'"name":"list_runs"', b'"name":"list_old"')
    old, log = again.run(LEGACY, answers=len(first[1]) + 1)
    assert b'"list_old"' in old[2]
    assert b'"list_old"' in old["empty"]
    assert "notifications/tools/list_changed" in old
    assert log.count("tools/list was answered as at the last start") == 1
    assert again.read() == first[0].read()


def test_of_lists_that_are_made_once_more_only_the_one_that_is_another_is_renewed(
    again: Starts, first: tuple[Starts, dict[object, bytes]]
) -> None:
    (path,) = again.documents()
    before, name, after = path.read_bytes().rpartition(b'"name":"list_runs"')
    assert name in before, "another answer has it as well"
    body = (before + name.replace(b"runs", b"late") + after).partition(b"\n")[2]
    path.write_bytes(FORMAT + sha256(body).hexdigest().encode() + b"\n" + body)
    old, log = again.run(LEGACY, answers=len(first[1]) + 1)
    assert [b'"list_late"' in old[asked] for asked in (2, "empty", "cursor")] == [False, False, True]
    assert "notifications/tools/list_changed" in old
    assert log.count("was answered as at the last start") == 1


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"list_runs", b"list_evil"))


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def publish(path: Path) -> None:
    path.chmod(0o644)


def link(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def give_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives a file to another user")
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize("harm", [spoil, shorten, publish, link, give_away])
def test_a_document_that_is_damaged_or_not_ours_alone_is_not_used(
    harm: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    document = Document(["--demo"])
    document.write({"key": b'{"tools":["list_runs"]}', "other": b"{}"})
    assert document.read() == {"key": b'{"tools":["list_runs"]}', "other": b"{}"}
    harm(Path(document.path))
    assert document.read() == {}
    document.write({"key": b"{}"})
    assert document.read() == {"key": b"{}"}


@pytest.mark.parametrize("place", ["file", "/proc"])
def test_a_server_that_can_keep_nothing_serves_all_the_same(place: str, starts: Starts, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    starts.environment["XDG_CACHE_HOME"] = str(tmp_path / place)
    found, log = starts.run(HELLO + ALL)
    assert len(found) == 6
    assert log == ""


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    document = Document(["--demo"])
    folder = Path(document.path).parent
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(PermissionError):
        document.write({"key": b"{}"})


def test_only_the_latest_documents_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = [Document([str(number)]) for number in range(MAX_DOCUMENTS + 3)]
    for number, document in enumerate(made):
        document.write({"key": b"{}"})
        os.utime(document.path, (number, number))
    assert sum(bool(document.read()) for document in made) == MAX_DOCUMENTS
    assert made[-1].read()


def test_two_servers_that_start_at_once_both_serve_and_leave_a_whole_document(
    starts: Starts, first: tuple[Starts, dict[object, bytes]]
) -> None:
    with starts.open() as one, starts.open() as other:
        for process in (one, other):
            tell(process, LEGACY)
        heard = [dict(hear(process) for _ in first[1]) for process in (one, other)]
        assert heard == [first[1], first[1]]
        assert [end(process) for process in (one, other)] == [b"", b""]
    assert starts.read() == first[0].read()


def test_the_end_of_input_while_the_server_is_imported_ends_it_well(again: Starts) -> None:
    with again.open() as process:
        tell(process, LEGACY)
        assert hear(process)[0] == 1
        out = end(process)
    assert process.returncode == 0
    assert again.log.read_bytes() == b""
    assert all(json.loads(line)["id"] in {message.get("id") for message in LEGACY} for line in out.split(b"\n")[:-1])


def test_a_signal_while_the_server_is_imported_ends_it_at_once(again: Starts) -> None:
    with again.open() as process:
        tell(process, HELLO)
        assert hear(process)[0] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == -signal.SIGTERM
    assert again.log.read_bytes() == b""


def test_another_version_package_or_environment_has_another_document(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [Document(["--demo"]).path, Document(["--demo", "--no-pictures"]).path]
    for name, value in (("__version__", "99"), ("_INSTALLED", ("nowhere",))):
        with monkeypatch.context() as patch:
            patch.setattr(documents, name, value)
            paths.append(Document(["--demo"]).path)
    monkeypatch.setenv("TESTLAB_NEW", "1")
    paths.append(Document(["--demo"]).path)
    assert len(set(paths)) == 5


def test_changed_code_has_another_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "part" / "module.py"
    module.parent.mkdir()
    module.write_text("VALUE = 1", encoding="utf-8")
    monkeypatch.setattr("testlab_tools.__path__", [str(tmp_path)])
    before = Document(["--demo"]).path
    os.utime(module, (1, 1))
    assert Document(["--demo"]).path != before


def test_folders_are_those_of_platformdirs(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "relative", "/absolute"):
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(name, value)
        assert user_folder("XDG_CACHE_HOME") == platformdirs.user_cache_dir("testlab-mcp", appauthor=False)
        assert user_folder("XDG_CONFIG_HOME") == platformdirs.user_config_dir("testlab-mcp", appauthor=False)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("serve", {}),
        ("serve --config a.toml", {"--config": "a.toml"}),
        ("serve --config=a.toml --no-pictures", {"--config": "a.toml", "--no-pictures": ""}),
        ("serve --demo", {"--demo": ""}),
        ("serve --folder reports", {"--folder": "reports"}),
        ("serve --demo --config a.toml", None),
        ("serve --http 127.0.0.1:0", None),
        ("serve --config", None),
        ("serve --config --demo", None),
        ("serve --demo --demo", None),
        ("serve --help", None),
        ("serve extra", None),
        ("doctor", None),
        ("", None),
    ],
)
def test_only_a_command_line_that_serves_over_stdio_is_answered_early(line: str, read: dict[str, str] | None) -> None:
    assert read_options(line.split()) == read


def test_a_config_that_is_not_a_file_is_not_read_ahead(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_surface({"--config": str(tmp_path / "pipe")}) is None
    assert read_surface({"--config": str(tmp_path / "none.toml")}) is None
    assert read_surface({"--folder": str(tmp_path / "none")}) is None
