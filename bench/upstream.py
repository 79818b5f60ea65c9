"""A Stb-tester portal that never limits a measurement: replies are rendered at the start, requests are counted.

`python -m bench.upstream [NODES RESULTS]` prints its URL and serves until its standard input ends. `GET /count` says
how many requests came. Filters, tokens and changes are not looked at.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from testlab_sim.stbtester.screens import Screen, png

NODES = 200
"""More than any measure has calls outstanding, so that no two of them read the same node."""
LISTED_NODES, RESULTS = 50, 2000
OUTCOMES = (*["pass"] * 16, "fail", "fail", "fail", "error")
REASONS = {"fail": "EPG is empty", "error": "NoVideo: no frame for 10 seconds"}
CASES = (
    "epg.py::test_epg_opens",
    "menu.py::test_menu_closes",
    "live.py::test_pause_and_resume",
    "vod.py::test_bookmark",
)


def node_id(number: int) -> str:
    return f"stb-tester-{0x5AB000000000 + number * 6151:012x}"


def make_node(number: int) -> dict[str, Any]:
    """A node as "Get a node's current status" shows it; every third is reserved."""
    name, job = node_id(number), f"/{node_id(number)}/0000/{number + 7}"
    reservation = {
        "reservation_id": number,
        "node_id": name,
        "username": "colleague",
        "start_time": "2026-11-20T08:00:00+00:00",
        "expires": "2099-11-20T16:00:00+00:00",
        "message": "Soak test of release 2.4",
        "message_html": "<p>Soak test of release 2.4</p>",
        "reserved_by_you": False,
    }
    held = number % 3 == 0
    return {
        "node_id": name,
        "node_url": f"https://portal.example/api/v2/nodes/{name}",
        "friendly_name": f"Rack {number // 8 + 1}, Node {number % 8 + 1}",
        "available": not held,
        "not_available_reason": f"Node {name} is reserved by @colleague" if held else None,
        "online": True,
        "device_type": "stb4k",
        "config": {"node": {"friendly_name": f"Rack {number // 8 + 1}"}, "device_under_test": {"device_type": "stb4k"}},
        "geoip_city": "Leeds",
        "geoip_country": "United Kingdom",
        "external_ip_address": f"203.0.113.{number}",
        "local_ip_address": f"192.168.1.{number}",
        "licence_expiry": "2099-01-31",
        "last_used_by": "colleague",
        "last_used_time": "2026-11-20T08:14:25.156078+00:00",
        "job": {
            "job_uid": job,
            "job_url": f"https://portal.example/api/v2/jobs{job}",
            "triage_url": f"https://portal.example/app/#/results?filter=job:{job}",
            "status": "exited",
            "start_time": "2026-11-20T07:12:26.139210+00:00",
            "end_time": "2026-11-20T07:53:15.908299+00:00",
            "result_counts": {"pass": 38, "fail": 2, "error": 1, "total": 41},
        },
        "reservation": reservation if held else None,
    }


def make_result(number: int) -> dict[str, Any]:
    """An element of "Get list of test results"."""
    job = f"/{node_id(number % LISTED_NODES)}/0a23/{number // 40}"
    day, clock = 1 + number % 20, (number % 24, number % 60, number * 7 % 60)
    run = f"{job}/2026-11-{day:02d}_{'.'.join(f'{part:02d}' for part in clock)}"
    minute = f"2026-11-{day:02d}T{clock[0]:02d}:{clock[1]:02d}"
    outcome = OUTCOMES[number % len(OUTCOMES)]
    return {
        "result_id": run,
        "result_url": f"https://portal.example/api/v2/results{run}",
        "triage_url": f"https://portal.example/app/#/result{run}",
        "job_uid": job,
        "start_time": f"{minute}:{clock[2]:02d}.100000Z",
        "end_time": f"{minute}:{clock[2]:02d}.925432Z",
        "test_pack_sha": f"{number * 7919:040x}",
        "test_case": f"tests/{CASES[number % len(CASES)]}",
        "result": outcome,
        "failure_reason": REASONS.get(outcome),
    }


def render_replies(listed: int, results: int) -> dict[str, bytes]:
    """Path to whole HTTP reply; so many nodes and results are in the lists."""
    nodes = [make_node(number) for number in range(max(listed, NODES))]
    bodies: dict[str, Any] = {f"/api/v2/nodes/{node['node_id']}": node for node in nodes}
    bodies["/api/v2/nodes"] = nodes[:listed]
    bodies["/api/v2/results"] = [make_result(number) for number in range(results)]
    replies = {path: _render(json.dumps(body).encode(), "application/json") for path, body in bodies.items()}
    picture = _render(png(Screen("home", "20:15", "Friday 20 November")), "image/png")
    return replies | {f"/api/v2/nodes/{node['node_id']}/screenshot.png": picture for node in nodes}


def _render(body: bytes, media_type: str, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Upstream(asyncio.Protocol):
    """One connection; requests have no bodies."""

    requests = 0

    def __init__(self, replies: dict[str, bytes]) -> None:
        self._replies = replies
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1].partition(b"?")[0].decode()
            self._transport.write(self._answer(path))

    def _answer(self, path: str) -> bytes:
        if path == "/count":
            return _render(str(Upstream.requests).encode(), "text/plain")
        Upstream.requests += 1
        return self._replies.get(path) or _render(b"{}", "application/json", "404 Not Found")


async def serve(listed: int = LISTED_NODES, results: int = RESULTS) -> None:
    loop = asyncio.get_running_loop()
    replies = render_replies(listed, results)
    server = await loop.create_server(lambda: Upstream(replies), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:])))
