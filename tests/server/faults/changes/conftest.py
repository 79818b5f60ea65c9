"""Fixtures of the changes: what each does to its service, counted there, and what was told of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from mcp import Client

from tests.fixture_types import Connect, RefusedCaller
from tests.server.faults.changes.answers import ANSWERS, BEFORE, DOWN, Answer, faults

if TYPE_CHECKING:
    from tests.server.faults.conftest import Judge, Plant

STDF = Path(__file__).parents[3] / "samples" / "stdf" / "two_parts.stdf"
LATER = "2026-11-20T08:00:00Z"
JUNIT = f'<testsuite timestamp="{LATER[:-1]}"><testcase name="a"/></testsuite>'
UNSURE = ("may or may not", "is not known", "is not certain")
LOOKS = re.compile(r"\b(list_nodes|get_job|list_runs|get_run|get_unit|grab_screenshot|list_deliveries|doctor)\b")
"""The tools by which a caller finds out; with a url that leads elsewhere, the operator does."""
SERVICE_ERRORS = {"ServiceDown", "RateLimited", "AnswerLost", "BadReply"}


NUMBERS = count(1)
KNOWN = {
    ("stop_job", 429, DOWN): "the document has 429 for it, so the portal's word is taken; asking again does no harm",
}
"""What is told otherwise than this file would have it, and why that is right."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test the answers it asks for."""
    if "answer" in metafunc.fixturenames:
        metafunc.parametrize("answer", ANSWERS.values(), ids=ANSWERS)


@pytest.fixture
def every_answer() -> list[dict[str, dict[str, object]]]:
    """The faults of every answer that is no service's own word, by when they strike."""
    return [faults(answer, "") for answer in ANSWERS.values() if not answer.own]


class Change(NamedTuple):
    """A call that changes something; `done` counts in the service how often that has happened, `away` says that it
    takes something away, so that "no such thing" afterwards is true; `files` counts those kept with it."""

    name: str
    tool: str
    service: str
    arguments: dict[str, Any]
    done: Callable[[], int]
    away: bool = False
    files: Callable[[], int] | None = None

    def lost_files(self, text: str) -> str:
        """What is false about the one file that was to be kept with it."""
        if self.files is None or not self.done():
            return ""
        kept = self.files()
        if kept > 1:
            return f"keeps the file {kept} times"
        if kept != ("Not attached" not in text) and not any(word in text for word in UNSURE):
            return f"keeps {kept} files, and something else is told"
        return ""


class Told(NamedTuple):
    """What an answer says has happened: `done`, `not done`, `unsure`, or that it is `there` or `gone` already."""

    happened: str
    text: str

    def lies(self, change: Change, done: int) -> str:
        """What is false about it, when the change was made `done` times."""
        if done > 1:
            return f"was made {done} times"
        if self.happened == "done" and not done:
            return "is told as done, and was not"
        if self.happened == "not done" and done:
            return "is told as not done, and was"
        if self.happened == "gone" and not change.away and done:
            return "is told as impossible, and was done"
        if self.happened == "unsure" and not LOOKS.search(self.text):
            return "is told as unsure, and not how to find out"
        if self.happened == "there" and done and not (LOOKS.search(self.text) or "by you" in self.text):
            return "is told as there already, and neither that it is yours nor how to find out"
        return ""


@pytest.fixture
def told(judge: Judge) -> Callable[[Any], Told]:
    """What an answer says has happened."""

    def read(result: Any) -> Told:
        text, kind = judge.text_of(result), judge.class_of(result)
        if not result.is_error:
            structured: dict[str, Any] = result.structured_content or {}
            unsure = structured.get("queued") or structured.get("stopped") is False
            return Told("unsure" if unsure else "done", text)
        if kind in SERVICE_ERRORS and any(word in text for word in UNSURE):
            return Told("unsure", text)
        if "Nothing is known" in text and "safe to call" not in text:
            return Told("unsure", text)
        return Told({"Conflict": "there", "NotFound": "gone", "Gone": "gone"}.get(kind, "not done"), text)

    return read


@pytest.fixture
def go_through(
    plant: Plant, connect: Connect, strike: Callable[..., Any], tmp_path: Path, impatient: None
) -> Callable[..., Any]:
    """Make every change of a service, made ready by `changes`, for every time at which an answer can strike."""

    async def through(answer: Answer, service: str, changes: Callable[[str], Sequence[Change]]) -> None:
        lane = f"changes-{service}"
        wrong: list[str] = []
        async with connect(plant.config(f"{plant.root}/_lane/{lane}", str(tmp_path))) as client:
            for when, fault in faults(answer, service).items():
                for change in changes(f"{''.join(filter(str.isalnum, when))}-{next(NUMBERS)}"):
                    known = (change.name, answer.fault.get("status"), when) in KNOWN
                    if not known and (when == BEFORE or change.away in answer.again):
                        wrong += [f"{when}: {what}" for what in await strike(client, lane, change, fault)]
        assert not wrong, "\n".join([f"{len(wrong)} cells are wrong", *wrong])

    return through


@pytest.fixture
def strike(plant: Plant, judge: Judge, word_for: RefusedCaller, told: Callable[[Any], Told]) -> Callable[..., Any]:
    """Make a change whose requests meet a fault, compare what is told with what is, and do what then is to be done."""

    async def struck(client: Client, lane: str, change: Change, fault: dict[str, object]) -> list[str]:
        arguments = change.arguments
        if change.tool == "delete_unit":
            arguments = {**arguments, "confirm": await word_for(client, change.tool, **arguments)}
        plant.disturb(lane, method="POST PUT PATCH DELETE", **fault)
        result = await judge.call(client, change.tool, arguments)
        plant.calm(lane)
        judge.cell()
        answer, done = told(result), change.done()
        wrong: list[str] = judge.words(change.tool, change.service, result)
        if lie := answer.lies(change, done):
            wrong.append(f"{change.name} of {change.service} {lie}: {judge.class_of(result)}: {answer.text[:400]}")
        elif not result.is_error and (lie := change.lost_files(answer.text)):
            wrong.append(f"{change.name} of {change.service} {lie}: {answer.text[:400]}")
        elif not done:
            again = await judge.call(client, change.tool, arguments)
            if again.is_error or change.done() != 1:
                which = f"is {change.done()} times there after a second call"
                wrong.append(f"{change.name} of {change.service} {which}: {judge.text_of(again)[:400]}")
        return wrong

    return struck


@pytest.fixture
def portal_changes(plant: Plant) -> Callable[[str], Sequence[Change]]:
    """Every change of the portal, each on a node of its own."""
    case = plant.portal.get("/test_pack/main/test_case_names").json()[0]

    def made(name: str) -> Sequence[Change]:
        plant.clear()
        nodes = [node["node_id"] for node in plant.nodes() if node["available"]]
        return [
            _reserve(plant, nodes[0], name),
            _extend(plant, nodes[1]),
            _end(plant, nodes[2]),
            _interrupt(plant, nodes[3]),
            _press(plant, nodes[4]),
            _run(plant, nodes[5], case),
            _stop(plant, nodes[6], case),
        ]

    return made


def _reserve(plant: Plant, node: str, message: str) -> Change:
    def done() -> int:
        held = plant.node(node)["reservation"]
        return int(held is not None and held["reserved_by_you"] and held["message"] == message)

    arguments = {"node_ids": [node], "message": message, "duration_minutes": 10}
    return Change("reserve_nodes", "reserve_nodes", "portal", arguments, done)


def _extend(plant: Plant, node: str) -> Change:
    reservation = plant.reserve("you", node)

    def end() -> datetime:
        return datetime.fromisoformat(plant.node(node)["reservation"]["expires"])

    before = end()
    return Change(
        "extend_reservation",
        "extend_reservation",
        "portal",
        {"reservation_id": reservation, "minutes": 10},
        lambda: round((end() - before).total_seconds() / 600),
    )


def _end(plant: Plant, node: str) -> Change:
    arguments = {"reservation_id": plant.reserve("you", node)}
    return Change("end_reservation", "end_reservation", "portal", arguments, _freed(plant, node), away=True)


def _interrupt(plant: Plant, node: str) -> Change:
    reservation = plant.reserve("colleague", node)
    arguments = {"reservation_id": f"portal:{reservation}", "message": "m", "confirm": f"portal:{node}"}
    return Change("interrupt_reservation", "interrupt_reservation", "portal", arguments, _freed(plant, node), away=True)


def _freed(plant: Plant, node: str) -> Callable[[], int]:
    return lambda: int(plant.node(node)["reservation"] is None)


def _press(plant: Plant, node: str) -> Change:
    path = f"/api/v2/nodes/{node}/press"
    before = plant.handled("POST", path)
    arguments = {"node_id": node, "key": "KEY_OK"}
    return Change("press_key", "press_key", "portal", arguments, lambda: plant.handled("POST", path) - before)


def _run(plant: Plant, node: str, case: str) -> Change:
    def started() -> int:
        job = plant.node(node)["job"]
        return int(job["job_uid"].rpartition("/")[2]) if job else 0

    before = started()
    arguments = {"node_id": node, "test_pack_revision": "main", "test_cases": [case], "soak": "run forever"}
    return Change("run_tests", "run_tests", "portal", arguments, lambda: started() - before)


def _stop(plant: Plant, node: str, case: str) -> Change:
    job = plant.occupy(node, case)

    def done() -> int:
        return int(plant.portal.get(f"/jobs{job}").json()["status"] == "exited")

    return Change("stop_job", "stop_job", "portal", {"job_uid": job, "confirm": f"portal:{job}"}, done, away=True)


@pytest.fixture
def production_changes(plant: Plant, tmp_path: Path) -> Callable[[str, str], Sequence[Change]]:
    """Every change of a production service, each to a unit of its own."""
    (tmp_path / "small.txt").write_text("small", encoding="utf-8")
    (tmp_path / "lot.stdf").write_bytes(STDF.read_bytes())

    def made(service: str, name: str) -> Sequence[Change]:
        changes = [
            _create(plant, service, f"{name}-create", []),
            _create(plant, service, f"{name}-files", ["small.txt"]),
            _import(plant, service, f"{name}-import"),
            _add(plant, service, f"{name}-add"),
            _delete_run(plant, service, f"{name}-run"),
            _delete_unit(plant, service, f"{name}-unit"),
        ]
        if service == "factory":
            changes += [_remove(plant, f"{name}-remove"), _sample(plant, f"{name}-sample")]
        return changes

    return made


def _create(plant: Plant, service: str, serial: str, files: list[str]) -> Change:
    arguments: dict[str, Any] = {
        "serial_number": serial,
        "procedure_id": plant.procedure,
        "part_number": "UT",
        "outcome": "pass",
        "started_at": LATER,
        "service": service,
    }
    if files:
        arguments["attachments"] = files
    name = "create_run with a file" if files else "create_run"
    kept = (lambda: plant.attachments(serial)) if files else None
    return Change(name, "create_run", service, arguments, lambda: len(plant.runs(serial)), files=kept)


def _import(plant: Plant, service: str, serial: str) -> Change:
    arguments = {"serial_number": serial, "procedure_id": plant.procedure, "part_number": "UT", "service": service}
    arguments["content"] = JUNIT
    return Change("import_report", "import_report", service, arguments, lambda: len(plant.runs(serial)))


def _add(plant: Plant, service: str, serial: str) -> Change:
    for each in (serial, f"{serial}-1"):
        plant.record(each)
    arguments = {"serial_number": serial, "service": service, "sub_units": [f"{serial}-1"]}
    return Change(
        "update_unit add", "update_unit", service, arguments, lambda: len((plant.unit(serial) or {})["children"])
    )


def _remove(plant: Plant, serial: str) -> Change:
    for each in (serial, f"{serial}-1"):
        plant.record(each)
    plant.factory.put(f"/units/{serial}/children", json={"child_serial_number": f"{serial}-1"}).raise_for_status()
    arguments = {"serial_number": serial, "service": "factory", "remove_sub_units": [f"{serial}-1"]}

    def done() -> int:
        return 1 - len((plant.unit(serial) or {})["children"])

    return Change("update_unit remove", "update_unit", "factory", arguments, done, away=True)


def _sample(plant: Plant, serial: str) -> Change:
    plant.record(serial)
    arguments = {"serial_number": serial, "service": "factory", "sample": "golden"}

    def done() -> int:
        return int((plant.unit(serial) or {})["sample"] == "golden")

    return Change("update_unit sample", "update_unit", "factory", arguments, done)


def _delete_run(plant: Plant, service: str, serial: str) -> Change:
    run = plant.record(serial)
    handle = f"factory:{run}" if service == "factory" else f"old:{serial}/{run}"

    def done() -> int:
        return 1 - len(plant.runs(serial))

    return Change("delete_run", "delete_run", service, {"run_id": handle, "confirm": handle}, done, away=True)


def _delete_unit(plant: Plant, service: str, serial: str) -> Change:
    plant.record(serial)
    arguments = {"serial_number": serial, "service": service}

    def done() -> int:
        return int(plant.unit(serial) is None)

    return Change("delete_unit", "delete_unit", service, arguments, done, away=True)
