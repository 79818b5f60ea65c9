"""A real labgrid: its coordinator and its exporter as processes, with a power port and a serial console to switch and
read, and labgrid-client beside them as a colleague."""

from __future__ import annotations

import asyncio
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from labgrid.remote.generated import labgrid_coordinator_pb2 as pb
from labgrid.remote.generated import labgrid_coordinator_pb2_grpc as rpc

from testlab_tools.adapters.labgrid.session import OPTIONS

COLLEAGUE = "desk/colleague"
YOU = "desk/you"
BOOT = b"U-Boot 2026.10\r\nStarting kernel ...\r\n"
DEADLINE_S = 20


class Board:
    """A device with a power port that answers HTTP and a console on a TCP port. It boots when it is switched on."""

    def __init__(self) -> None:
        self.power, self.is_refusing = b"1", False
        self.switched: list[bytes] = []
        self.listeners: list[socket.socket] = []
        board = self

        class Relay(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(board.power)

            def do_PUT(self) -> None:
                value = self.rfile.read(int(self.headers["Content-Length"]))
                board.switch(value)
                self._answer(value)

            def _answer(self, value: bytes) -> None:
                self.send_response(500 if board.is_refusing else 200)
                self.send_header("Content-Length", str(len(value)))
                self.end_headers()
                self.wfile.write(value)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Console(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                board.listeners.append(self.request)
                while self.request.recv(64):
                    pass

        self.relay = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
        self.console = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Console)
        self.console.daemon_threads = True
        for server in (self.relay, self.console):
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def switch(self, value: bytes) -> None:
        self.power = value
        self.switched.append(value)
        if value == b"1":
            self.say(BOOT)

    def say(self, data: bytes) -> None:
        for listener in self.listeners:
            with suppress(OSError):
                listener.sendall(data)

    def hang_up(self) -> None:
        """Close the console under those who listen."""
        for listener in self.listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for server in (self.relay, self.console):
            server.shutdown()
            server.server_close()


class Rack:
    """labgrid with the places `rack1` (with a board) and `rack2` (with nothing), both of type stb4k."""

    def __init__(self, folder: Path, board: Board) -> None:
        self.folder, self.board = folder, board
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._stub: Any = rpc.CoordinatorStub(grpc.insecure_channel(self.address, OPTIONS))
        self.start_coordinator()
        relay = f"http://127.0.0.1:{board.relay.server_port}/{{{{index}}}}"
        wired = {
            "NetworkPowerPort": f"model: rest, host: '{relay}', index: '1'",
            "NetworkSerialPort": f"host: 127.0.0.1, port: {board.console.server_address[1]}, protocol: raw",
        }
        exported = "".join(f"  {cls}: {{{params}}}\n" for cls, params in wired.items())
        ports = "".join(f"  {name}: {{cls: NetworkSerialPort, {wired['NetworkSerialPort']}}}\n" for name in "ab")
        (folder / "exporter.yaml").write_text(f"rack1:\n{exported}two_ports:\n{ports}", "utf-8")
        self.start_exporter()

    def config(self, **keys: str) -> str:
        every = {"kind": "labgrid", "coordinator": self.address, "holder": YOU, **keys}
        return "[services.rack]\n" + "".join(f'{key} = "{value}"\n' for key, value in every.items())

    def client(self, *arguments: str, holder: str = COLLEAGUE, check: bool = True) -> str:
        """What labgrid-client says."""
        host, user = holder.split("/")
        settings = {"LG_COORDINATOR": self.address, "LG_HOSTNAME": host, "LG_USERNAME": user}
        done = subprocess.run(
            [sys.executable, "-m", "labgrid.remote.client", *arguments],
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert not check or not done.returncode, done.stderr
        return done.stdout + done.stderr

    def holder(self, place: str = "rack1") -> str:
        """Who has a place, as the coordinator says; empty for nobody."""
        told = self._stub.GetPlaces(pb.GetPlacesRequest(), timeout=DEADLINE_S)
        return {each.name: each.acquired for each in told.places}[place]

    def queue(self) -> list[str]:
        """Who stands in the queue, or has been given a place."""
        told = self._stub.GetReservations(pb.GetReservationsRequest(), timeout=DEADLINE_S)
        return [each.owner for each in told.reservations]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until the coordinator says so: it tells no one outside of a session."""
        deadline = time.monotonic() + DEADLINE_S
        while not is_so():
            assert time.monotonic() < deadline, "it does not come"
            await asyncio.sleep(0.02)

    def start_coordinator(self) -> None:
        """It writes its places down after half a minute, and who holds them never: they are made here."""
        self.coordinator = self._start("coordinator", "-l", self.address)
        for name in ("rack1", "rack2"):
            self._stub.AddPlace(pb.AddPlaceRequest(name=name), wait_for_ready=True, timeout=DEADLINE_S)
            self._stub.SetPlaceTags(pb.SetPlaceTagsRequest(placename=name, tags={"board": "stb4k"}))
        self._stub.AddPlaceMatch(pb.AddPlaceMatchRequest(placename="rack1", pattern="shelf/rack1/*"))

    def stop(self) -> None:
        """Kill the coordinator and its exporter."""
        for process in (self.coordinator, self._exporter):
            process.kill()
            process.wait(DEADLINE_S)

    def release(self, place: str = "rack1") -> None:
        self._stub.ReleasePlace(pb.ReleasePlaceRequest(placename=place), timeout=DEADLINE_S)

    def release_all(self) -> None:
        for place in ("rack1", "rack2"):
            if self.holder(place):
                self.release(place)
        for each in self._stub.GetReservations(pb.GetReservationsRequest(), timeout=DEADLINE_S).reservations:
            self._stub.CancelReservation(pb.CancelReservationRequest(token=each.token), timeout=DEADLINE_S)

    def start_exporter(self) -> None:
        self._exporter = self._start("exporter", "-c", self.address, "-n", "shelf", "exporter.yaml")
        deadline = time.monotonic() + DEADLINE_S
        while "NetworkSerialPort" not in self.client("resources"):
            assert time.monotonic() < deadline, "the exporter offers nothing"

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{program}.log").open("ab") as log:
            command = [sys.executable, "-m", f"labgrid.remote.{program}", *arguments]
            return subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@pytest.fixture(scope="session")
def rack_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    board = Board()
    rack = Rack(tmp_path_factory.mktemp("labgrid"), board)
    yield rack
    rack.stop()
    board.close()


@pytest.fixture
def rack(rack_of_session: Rack) -> Iterator[Rack]:
    """A rack that nobody holds anything of."""
    rack_of_session.board.is_refusing = False
    rack_of_session.board.switched.clear()
    yield rack_of_session
    rack_of_session.release_all()
