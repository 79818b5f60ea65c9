"""A small TofuPilot made from the documents alone, that does its work and then answers what it is told to.

v1: "REST API" (`tofupilot-rest-api-v1.txt`): its list of a unit's runs tells neither ids, procedure nor files.
v2: the shapes and errors of client 2.26.1 (`tofupilot-v2-shapes.txt`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

import pytest

PROCEDURE = "0196434d-e8f7-7ce1-81f7-000000000001"
PAGE = "<!DOCTYPE html><html><body>Bad gateway</body></html>"
CREATED_AT = "2024-09-05T15:58:30.891Z"
CODES = {400: "BAD_REQUEST", 403: "FORBIDDEN", 404: "NOT_FOUND", 409: "CONFLICT", 422: "UNPROCESSABLE_CONTENT"}
Answer = tuple[int, Any]


@dataclass
class Trouble:
    """What a request gets in the place of its answer; `after`: once the work is done. `times` more times."""

    method: str
    path: str
    answer: Answer
    after: bool = True
    times: int = 1


@dataclass
class Strict:
    """Its state. `answers_all` is given to every request, as by another server at the url."""

    url: str = ""
    runs: list[dict[str, Any]] = field(default_factory=lambda: list[dict[str, Any]]())
    units: dict[str, dict[str, Any]] = field(default_factory=lambda: dict[str, dict[str, Any]]())
    uploads: dict[str, dict[str, Any]] = field(default_factory=lambda: dict[str, dict[str, Any]]())
    imported: dict[bytes, str] = field(default_factory=lambda: dict[bytes, str]())
    troubles: list[Trouble] = field(default_factory=lambda: list[Trouble]())
    answers_all: Answer | None = None
    left_out: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=lambda: list[str]())

    def config(self, version: str, durable: bool = False, path: str = "") -> str:
        table = f'[services.factory]\nkind = "tofupilot"\napi_version = "{version}"\nurl = "{self.url}{path}"\n'
        switched = "" if durable else "[durable]\nenabled = false\n"
        return f'[server]\naccess = "admin"\n{switched}{table}token = "t"\n'

    def trouble(self, method: str, path: str, status: int, body: Any = None, **more: Any) -> None:
        self.troubles.append(Trouble(method, path, (status, body), **more))

    def of(self, serial: str) -> list[dict[str, Any]]:
        return [run for run in self.runs if run["serial"] == serial]

    def record(self, serial: str, passed: bool = True, **fields: Any) -> dict[str, Any]:
        self.units.setdefault(serial, {"parent": "", "children": []})
        run = {"id": str(uuid4()), "serial": serial, "passed": passed, "started": "2024-09-05T08:38:17.115Z"}
        run |= {"ended": "2024-09-05T08:38:29.115Z", "phases": [], "files": [], "ref": "", "created": CREATED_AT}
        run["outcome"] = "PASS" if passed else "FAIL"
        self.runs.append(run | fields)
        return self.runs[-1]

    def answer(self, method: str, target: str, data: bytes) -> Answer:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        self.asked.append(f"{method} {path}")
        if self.answers_all is not None:
            return self.answers_all
        trouble = next((t for t in self.troubles if t.method == method and path.startswith(t.path) and t.times), None)
        if trouble is not None:
            trouble.times -= 1
            if not trouble.after:
                return trouble.answer
        try:
            body = json.loads(data) if data and not path.startswith("/store/") else {}
            told = self._done(method, path, query, body, data)
        except Refused as refused:
            told = refused.answer(path)
        return trouble.answer if trouble is not None else told

    def _done(self, method: str, path: str, query: dict[str, list[str]], body: Any, data: bytes) -> Answer:
        if path.startswith("/store/"):
            self._store(path.rpartition("/")[2], data)
            return 200, ""
        for start, handle in (("/api/v1/", self._v1), ("/api/v2/", self._v2)):
            if path.startswith(start):
                return handle(method, path.removeprefix(start).split("/"), query, body)
        return 404, PAGE

    def _v1(self, method: str, path: list[str], query: dict[str, list[str]], body: Any) -> Answer:
        match method, *path:
            case "GET", "runs":
                (serial,) = query["serial_number"]
                if serial not in self.units:
                    raise Refused(404, "No unit found")
                rows = [self._documented(run) for run in self.of(serial)]
                return 200, {"message": "Runs fetched successfuly.", "data": rows}
            case "POST", "runs":
                if body["procedure_id"] != "FVT1":
                    raise Refused(404, "Procedure not found")
                serial = self._checked(body["unit_under_test"]["serial_number"], self._children(body))
                phases = [{key: phase[key] for key in ("name", "outcome")} for phase in body.get("phases", [])]
                run = self.record(serial, body["run_passed"], started=body["started_at"], phases=phases)
                return 200, self._said("Run created", run)
            case "POST", "import":
                content = json.loads(self.uploads[body["upload_id"]]["data"])
                return 200, self._said("Run created", self.record(content["serial"]))
            case "POST", "uploads", "initialize":
                return 200, {"id": (one := self._announced(body["name"])), "uploadUrl": f"{self.url}/store/{one}"}
            case "POST", "uploads", "sync":
                self._run(body["run_id"])["files"].append(self.uploads[body["upload_id"]])
                return 200, {"message": "Synced."}
            case "DELETE", "runs", run_id:
                self.runs.remove(self._run(run_id))
                return 200, {"message": f"Run {run_id} deleted successfully."}
            case "DELETE", "units", serial:
                self._drop(unquote(serial))
                return 200, {"message": f"Unit {serial} deleted successfully."}
            case "PATCH", "units", serial:
                self._checked(serial, self._children(body))
                return 200, {"message": f"Unit {serial} updated successfully."}
            case _:
                return 404, PAGE

    def _v2(self, method: str, path: list[str], query: dict[str, list[str]], body: Any) -> Answer:
        last = {"has_more": False, "next_cursor": None}
        match method, *path:
            case "GET", "whoami":
                organization = {"id": "o", "slug": "acme", "name": "Acme"}
                return 200, {"type": "station", "station": None, "user": None, "organization": organization}
            case "GET", "procedures":
                who = {"id": "u", "name": None, "email": None}
                row = {"id": PROCEDURE, "name": "FVT1", "created_at": CREATED_AT, "created_by_user": who}
                return 200, {"data": [row | {"linkedRepository": None}], "meta": last}
            case "GET", "runs":
                found = [run for run in self.runs if run["serial"] in query.get("serial_numbers", [run["serial"]])]
                found = [run for run in found if run["id"] in query.get("ids", [run["id"]])]
                return 200, {"data": [self._head(run) for run in found], "meta": last}
            case "GET", "runs", run_id:
                files = [{"id": f["id"], "name": f["name"], "size": len(f["data"])} for f in self._run(run_id)["files"]]
                files = [file | {"content_type": None, "is_report": False} for file in files]
                return 200, self._head(self._run(run_id)) | {"config": [], "secrets": [], "attachments": files}
            case "POST", "runs":
                if known := [run for run in self.runs if run["ref"] == body["client_run_ref"]]:
                    return 200, {"id": known[0]["id"]}
                serial = self._checked(body["serial_number"], body.get("sub_units", []))
                fields = {"started": body["started_at"], "ended": body["ended_at"], "ref": body["client_run_ref"]}
                run = self.record(serial, body["outcome"] == "PASS", outcome=body["outcome"], **fields)
                return 200, {"id": run["id"]}
            case "POST", "runs", run_id, "attachments":
                one = self._announced(body["name"], self._run(run_id)["files"])
                return 200, {"id": one, "upload_url": f"{self.url}/store/{one}"}
            case "POST", "attachments":
                return 200, {"id": (one := self._announced(body["name"])), "upload_url": f"{self.url}/store/{one}"}
            case "POST", "attachments", _, "finalize":
                return 200, {"url": "https://signed.example/file"}
            case "POST", "imports", "structured":
                (item,) = body["items"]
                content = self.uploads[item["upload_id"]]["data"]
                already = content in self.imported and not body["allow_duplicate"]
                if not already:
                    self.imported[content] = self.record(json.loads(content)["serial"])["id"]
                told = {"upload_id": item["upload_id"], "success": True, "id": self.imported[content]}
                return 200, {"results": [told | {"already_imported": already}]}
            case "DELETE", "runs":
                self.runs.remove(self._run(query["ids"][0]))
                return 200, {"id": query["ids"]}
            case "DELETE", "units":
                self._drop(query["serial_numbers"][0])
                return 200, {"id": ["u"]}
            case "GET", "units", serial:
                return 200, self._unit(serial)
            case "PUT", "units", serial, "children":
                self._checked(serial, [body["child_serial_number"]])
                return 200, {"id": "u"}
            case _:
                raise Refused(404, "Not found")

    def _documented(self, run: dict[str, Any]) -> dict[str, Any]:
        name = "Pass" if run["passed"] else "Fail"
        row = {"duration": "PT12S", "createdAt": run["created"], "startedAt": run["started"], "phases": run["phases"]}
        row |= {"createdBy": {"email": "user@acmecorp.com"}, "status": {"name": name, "category": f"{name}ed"}}
        return {key: value for key, value in row.items() if key not in self.left_out}

    def _head(self, run: dict[str, Any]) -> dict[str, Any]:
        row = {"id": run["id"], "created_at": CREATED_AT, "started_at": run["started"], "ended_at": run["ended"]}
        row |= {"duration": "PT12S", "outcome": run["outcome"], "execution_id": None, "slot_key": None}
        row |= {"slot_name": None, "procedure": {"id": PROCEDURE, "name": "FVT1", "version": None}}
        part = {"id": "p", "number": "PN", "name": "", "revision": {"id": "r", "number": "A"}}
        return row | {"unit": {"id": "u", "serial_number": run["serial"], "sample": None, "part": part}}

    def _unit(self, serial: str) -> dict[str, Any]:
        if serial not in self.units:
            raise Refused(404, "Unit not found")
        unit = self.units[serial]
        children = [{"id": "u", "serial_number": child, "part": None} for child in unit["children"]]
        parent = {"id": "u", "serial_number": unit["parent"], "part": None} if unit["parent"] else None
        part = {"id": "p", "number": "PN", "name": "", "revision": {"id": "r", "number": "A"}}
        told = {"id": "u", "serial_number": serial, "created_at": CREATED_AT, "sample": None, "part": part}
        return told | {"parent": parent, "children": children}

    def _checked(self, serial: str, children: list[str]) -> str:
        """Attach the sub-units, all or none; the unit's serial number."""
        for child in children:
            if child not in self.units:
                raise Refused(404, f"Sub-unit {child} not found")
            if self.units[child]["parent"] not in ("", serial):
                raise Refused(409, f"Sub-unit {child} belongs to another unit")
        unit = self.units.setdefault(serial, {"parent": "", "children": []})
        for child in children:
            self.units[child]["parent"] = serial
            unit["children"] = sorted({*unit["children"], child})
        return serial

    def _children(self, body: Any) -> list[str]:
        return [unit["serial_number"] for unit in body.get("sub_units", [])]

    def _run(self, run_id: str) -> dict[str, Any]:
        found = next((run for run in self.runs if run["id"] == run_id), None)
        if found is None:
            raise Refused(404, "Run not found")
        return found

    def _drop(self, serial: str) -> None:
        if self.units.pop(serial, None) is None:
            raise Refused(404, "Unit not found")
        self.runs = [run for run in self.runs if run["serial"] != serial]

    def _announced(self, name: str, kept: list[Any] | None = None) -> str:
        one = str(uuid4())
        self.uploads[one] = {"id": one, "name": name, "data": b"", "kept": kept}
        return one

    def _store(self, upload: str, data: bytes) -> None:
        file = self.uploads[upload]
        file["data"] = data
        if file["kept"] is not None and file not in file["kept"]:
            file["kept"].append(file)

    @staticmethod
    def _said(what: str, run: dict[str, Any]) -> dict[str, str]:
        return {"message": f"{what} successfully: https://tofupilot.app/yourcompany/runs/{run['id']}"}


class Refused(Exception):
    """A refusal of the service's own."""

    def answer(self, path: str) -> Answer:
        status, message = self.args
        if path.startswith("/api/v1/"):
            return status, {"error": {"message": message}}
        return status, {"message": message, "code": CODES[status], "issues": [{"message": message}]}


def handler_of(strict: Strict) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one piece: between two, the kernel waits for 40 ms

        def _answer(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, body = strict.answer(self.command, self.path, data)
            page = isinstance(body, str)
            content = body.encode() if page else json.dumps({} if body is None else body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if page else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def strict() -> Iterator[Strict]:
    """A TofuPilot as documented."""
    made = Strict()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(made))
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run_of() -> Callable[..., dict[str, Any]]:
    """Arguments of `create_run`."""

    def make(serial: str, **changes: Any) -> dict[str, Any]:
        times = {"started_at": "2024-09-05T08:38:17.115Z", "ended_at": "2024-09-05T08:38:29.115Z"}
        return (
            {"procedure_id": "FVT1", "serial_number": serial, "outcome": "pass", "part_number": "PN"} | times | changes
        )

    return make
