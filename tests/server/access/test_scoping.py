"""What a caller with some of the nodes asks tells nothing of the others, however the portal's search reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from mcp_types import CallToolResult

from tests.fixture_types import RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk

MINE, ALSO, OTHER = "stb-mine", "stb-also", "stb-other"
COUNTS = {MINE: 30, ALSO: 12, OTHER: 50}
ONLY_OTHER = "tests/secret.py::test_launch"


def row(node: str, n: int) -> dict[str, Any]:
    case = ONLY_OTHER if node == OTHER and n % 2 else "tests/a.py::test_a"
    return {
        "result_id": f"/{node}/0a23/{n}/2026-11-20_08.00.{n:02}",
        "job_uid": f"/{node}/0a23/{n}",
        "start_time": f"2026-11-20T08:{n:02}:00Z",
        "test_case": case,
        "result": "fail",
        "failure_reason": "No match",
    }


ROWS = sorted((row(node, n) for node, count in COUNTS.items() for n in range(count)), key=lambda r: r["start_time"])


def found(expression: str, sort: str) -> list[dict[str, Any]]:
    """As a search may read it that splits at any white space, takes `\\` as an escape, and knows OR."""
    words = re.findall(r'(?:"(?:\\.|[^"\\])*"|\S)+', expression)
    either: list[list[str]] = [[]]
    for word in words:
        if word == "OR":
            either.append([])
        else:
            either[-1].append(word.replace('"', ""))
    rows = [r for r in ROWS if any(all(holds(term, r) for term in terms) for terms in either)]
    return rows if sort.endswith(":asc") else rows[::-1]


def holds(term: str, r: dict[str, Any]) -> bool:
    key, colon, value = term.partition(":")
    if key == "node" and colon:
        return r["result_id"].split("/")[1] == value
    if key == "date":
        return True
    return value in {"testcase": r["test_case"], "result": r["result"], "job": r["job_uid"]}.get(key, "")


class Lax(BaseHTTPRequestHandler):
    """A portal of three nodes whose search has more grammar than is documented."""

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(target.query).items()}
        if target.path == "/api/v2/nodes":
            body = json.dumps([{"node_id": node, "available": True, "online": True} for node in COUNTS])
            return self.give(200, body)
        if not target.path.startswith("/api/v2/results"):
            return self.give(404, "{}")
        rows = found(query.get("filter", ""), query.get("sort", "date:desc"))
        if target.path.endswith(".csv"):
            lines = ["result_id,test_case", *(f"{r['result_id']},{r['test_case']}" for r in rows)]
            return self.give(200, "\r\n".join(lines) + "\r\n")
        return self.give(200, json.dumps(rows))

    def give(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def portal() -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lax)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saved")


@pytest.fixture(scope="module")
def url(desk: Desk, saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """erin may use two of the three nodes, alice all."""
    callers = [
        desk.table_of("alice", access="admin"),
        desk.table_of("erin", access="admin", nodes=[f"portal:{MINE}", "stb-als?"]),
    ]
    with portal() as at:
        secret = tmp_path_factory.mktemp("secrets") / "token"
        secret.write_text("t-portal-token")
        secret.chmod(0o600)
        secret = tmp_path_factory.mktemp("secrets") / "token"
        secret.write_text("t-portal-token")
        secret.chmod(0o600)
        service = f"[services.portal]\nkind = 'stbtester'\nurl = '{at}'\ntoken_file = '{secret}'\n"
        durable = f"[durable]\npath = '{saved / 'd.sqlite'}'\n"
        with desk.served(
            desk.everything + f"[files]\nsave_to = ['{saved}']\n" + durable + "".join(callers) + service
        ) as served:
            yield served


BREAKING = ["\t", "\n", "\v", "\x1c", "\x85", "\u00a0", "\u2003", "\u2028", "\u2029", "\u3000", "\u200b"]


@pytest.mark.parametrize("space", BREAKING)
async def test_no_white_space_in_a_value_makes_it_more_than_a_value(
    space: str, url: str, desk: Desk, refused: RefusedCaller
) -> None:
    text = f"zzz{space}OR{space}node:{OTHER}"
    asked = {"list_runs": {}, "export_runs": {"save_to": "x.csv", "station": MINE}, "triage": {"since": "9d"}}
    async with desk.signed_in(url, "erin") as erin:
        for tool, more in asked.items():
            told = await refused(erin, tool, test=text, service="portal", **more)
            assert "test holds a character" in told
            assert OTHER not in told


@pytest.mark.parametrize("text", [f"zzz OR node:{OTHER}", f"zzz\\ OR node:{OTHER}", 'zzz" OR node:x', "zzz\\"])
async def test_words_of_the_grammar_find_nothing_of_another_node(
    text: str, url: str, desk: Desk, saved: Path, text_of: Callable[[CallToolResult], str]
) -> None:
    name = f"{len(text)}.csv"
    async with desk.signed_in(url, "erin") as erin:
        listed = await erin.call_tool("list_runs", {"test": text, "service": "portal"})
        await erin.call_tool("export_runs", {"service": "portal", "test": text, "station": MINE, "save_to": name})
    assert listed.is_error or not listed.structured_content["runs"]
    assert OTHER not in text_of(listed)
    for file in saved.rglob("*.csv"):
        assert OTHER not in file.read_text()


async def test_a_filter_in_the_services_grammar_is_refused_and_tells_nothing(
    url: str, desk: Desk, refused: RefusedCaller, ask: ToolCaller
) -> None:
    async with desk.signed_in(url, "erin") as erin, desk.signed_in(url, "alice") as alice:
        said = {
            await refused(erin, "list_runs", service="portal", limit=1, filter=text)
            for text in (f"testcase:{ONLY_OTHER}", "testcase:none", f"node:{OTHER}", f"node:{MINE}")
        }
        assert len(said) == 1
        assert "[callers.erin] nodes" in said.pop()
        told = await refused(
            erin, "export_runs", service="portal", station=MINE, save_to="f.csv", filter=f"node:{OTHER}"
        )
        assert "[callers.erin] nodes" in told
        assert (await ask(alice, "list_runs", service="portal", filter=f"node:{OTHER}", limit=1))["runs"]


async def test_whether_forbidden_nodes_have_such_runs_is_not_told(
    url: str, desk: Desk, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with desk.signed_in(url, "erin") as erin:
        answers = [
            await ask(erin, "list_runs", service="portal", limit=1, test=test)
            for test in (ONLY_OTHER, "tests/nothing.py::test")
        ]
        assert answers[0] == answers[1]
        assert answers[0]["services"][0]["total"] == 0
        told = {
            await refused(erin, "list_runs", service="portal", station=station, test=test)
            for station in (OTHER, "no-such-node")
            for test in ("", ONLY_OTHER, "nothing")
        }
    assert len(told) == 1


async def test_totals_and_pages_are_of_the_callers_nodes(
    url: str, desk: Desk, ask: ToolCaller, refused: RefusedCaller
) -> None:
    seen: list[dict[str, Any]] = []
    cursor = ""
    async with desk.signed_in(url, "erin") as erin, desk.signed_in(url, "alice") as alice:
        for _ in range(20):
            page = await ask(erin, "list_runs", service="portal", limit=5, cursor=cursor)
            assert page["services"][0]["total"] == COUNTS[MINE] + COUNTS[ALSO]
            seen += page["runs"]
            if not (cursor := page.get("cursor", "")):
                break
        counted = await ask(erin, "list_runs", service="portal", limit=0)
        nothing = await ask(erin, "list_runs", service="portal", test="test_of_nothing")
        theirs = (await ask(alice, "list_runs", service="portal", limit=5))["cursor"]
        assert "cursor" in await refused(erin, "list_runs", service="portal", limit=5, cursor=theirs)
    assert sum(counted["services"][0]["by_outcome"].values()) == COUNTS[MINE] + COUNTS[ALSO]
    assert "note" not in nothing["services"][0]
    assert len({run["run_id"] for run in seen}) == len(seen) == COUNTS[MINE] + COUNTS[ALSO]
    assert {run["station"] for run in seen} == {MINE, ALSO}
    assert [run["started_at"] for run in seen] == sorted((run["started_at"] for run in seen), reverse=True)


async def test_causes_are_counted_over_the_callers_nodes(url: str, desk: Desk, ask: ToolCaller) -> None:
    window = {"since": "2026-11-19T00:00:00Z", "until": "2026-11-21T00:00:00Z"}
    async with desk.signed_in(url, "erin") as erin:
        told = await ask(erin, "triage", service="portal", **window)
    assert told["totals"]["failures"] == COUNTS[MINE] + COUNTS[ALSO]


async def test_the_report_of_a_node_has_its_runs(url: str, desk: Desk, ask: ToolCaller, saved: Path) -> None:
    async with desk.signed_in(url, "erin") as erin:
        made = await ask(erin, "export_runs", service="portal", station=MINE, save_to="mine.csv", test="test_a")
    text = Path(made["saved_to"]).read_text()
    assert made["runs"] == COUNTS[MINE] == text.count(f"/{MINE}/")
    assert OTHER not in text


@pytest.mark.parametrize("job", [f"/a/b/1 OR node:{OTHER}", f"/{OTHER}/0a23/1\tOR", "/a/b/c"])
async def test_an_id_is_no_way_into_the_search(job: str, url: str, desk: Desk, refused: RefusedCaller) -> None:
    async with desk.signed_in(url, "erin") as erin:
        assert "no such run or job" in await refused(erin, "get_failed_cases", run_id=f"portal:{job}")
