"""Reads Allure results (Allure 2): a folder with a `*-result.json` for each test, a `*-container.json` for fixtures,
files kept with them and `environment.properties`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import Field

from testlab_tools.errors import BadInput
from testlab_tools.models.requests import NewPhase, NewRun, PhaseOutcome
from testlab_tools.reports.properties import apply_properties
from testlab_tools.reports.report import (
    EPOCH,
    MAX_TRACEBACK,
    Framework,
    Millis,
    Report,
    Shape,
    check_relative,
    format_count,
    make_ref,
    parse_json,
    validate,
)
from testlab_tools.untrusted import sanitize, shorten, shorten_start

RESULT, CONTAINER, ENVIRONMENT = "-result.json", "-container.json", "environment.properties"
MAX_FILES = 20_000
MAX_BYTES = 64 * 2**20
"""Of all results together."""
MAX_DEPTH = 20

_BY = Framework("an Allure", "Allure 2", "an Allure adapter")
_OUTCOMES: dict[str, PhaseOutcome] = {
    "passed": "pass",
    "failed": "fail",
    "broken": "error",
    "unknown": "error",
    "skipped": "skip",
}
Status = Literal["passed", "failed", "broken", "unknown", "skipped"]


class _Details(Shape):
    message: str | None = None
    trace: str | None = None


class _File(Shape):
    source: str = ""


class _Named(Shape):
    name: str | None = None
    value: object = None


class _Step(Shape):
    attachments: list[_File] = []
    steps: list[_Step] = []


class _Timed(_Step):
    """A fixture, or a test; one that was cut short has no status."""

    name: str = ""
    status: Status | None = None
    details: _Details = Field(default=_Details(), alias="statusDetails")
    start: Millis = 0
    stop: Millis = 0

    @property
    def outcome(self) -> PhaseOutcome:
        return _OUTCOMES[self.status or "unknown"]


class _Result(_Timed):
    """A test, once for each attempt, which have one `historyId`."""

    uuid: str = ""
    full_name: str | None = Field(default=None, alias="fullName")
    history_id: str | None = Field(default=None, alias="historyId")
    parameters: list[_Named] = []
    labels: list[_Named] = []


class _Container(Shape):
    """The fixtures around tests, whose uuids are `children`."""

    children: list[str] = []
    befores: list[_Timed] = []
    afters: list[_Timed] = []


_FIELDS = {name for shape in (_Result, _Container, _Details) for name in shape.model_fields}


def read_allure(folder: Path) -> Report:
    """Read a folder of results as one run: a test is a phase, one for each attempt; the run fails if a test's last
    attempt failed, else errs if one is broken or unknown. A fixture that did not pass is a phase where no test says so.

    Allure has no unit and no procedure but by the names in environment.properties. `files` are those kept with tests,
    as far as they are in the folder. Symlinks are not followed. `ref` is made from the results.

    Raises:
        BadInput: there are none, one of them is damaged, they are too many or too large, or no test ran. The error
            quotes nothing of them.
    """
    contents = _read_files(folder)
    results = [validate(parse_json(c, _BY), _Result, _FIELDS, _BY) for n, c in contents.items() if n.endswith(RESULT)]
    containers = [
        validate(parse_json(c, _BY), _Container, _FIELDS, _BY) for n, c in contents.items() if n.endswith(CONTAINER)
    ]
    fixtures = [fixture for box in containers for fixture in (*box.befores, *box.afters)]
    if not results or all(result.outcome == "skip" for result in results):
        why = "All its tests were skipped" if results else "The folder holds no *-result.json"
        raise BadInput("The Allure results are of no run that can be recorded", why, "Give the results of a run.")
    if not all(result.start for result in results):
        raise BadInput("An Allure result does not say when its test began", "", "Give the results of a finished run.")
    phases, last = _to_phases(results)
    phases += _list_broken_fixtures(results, containers)
    outcomes = {*last, *(phase.outcome for phase in phases[len(results) :])}
    told = dict.fromkeys(
        f"{phase.name}: {phase.reason}" for phase in phases if phase.reason and phase.outcome != "skip"
    )
    run = NewRun(
        procedure_id="",
        serial_number="",
        outcome="fail" if "fail" in outcomes else "error" if "error" in outcomes else "pass",
        started_at=min(phase.started_at for phase in phases),
        ended_at=max(phase.ended_at for phase in phases),
        ref=make_ref("allure", sha256(b"".join(sorted(sha256(c).digest() for c in contents.values()))).hexdigest()),
        notes=shorten("\n".join(told)),
        phases=tuple(phases),
    )
    named = dict.fromkeys(source for step in (*results, *fixtures) for source in _list_sources(step))
    files = tuple(name for name in named if _is_kept(folder, name))
    hosts = {str(label.value) for result in results for label in result.labels if label.name == "host" and label.value}
    dropped = (
        *format_count(sum(len(r.steps) for r in results), "step"),
        *format_count(len(named) - len(files), "attachment"),
    )
    station = shorten(hosts.pop(), 200) if len(hosts) == 1 else ""
    report = Report(run, dropped, files=files, station=station)
    return apply_properties(report, list(_read_environment(contents.get(ENVIRONMENT, b""))))


def _read_files(folder: Path) -> dict[str, bytes]:
    """The results, containers and environment, by name."""
    found: dict[str, bytes] = {}
    room = MAX_BYTES
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.endswith((RESULT, CONTAINER)) or e.name == ENVIRONMENT]
    if len(names) > MAX_FILES:
        raise BadInput("The Allure results are too many", f"They are more than {MAX_FILES}", "Give those of one run.")
    for name in sorted(names):
        path = folder / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                continue
            with path.open("rb") as file:
                found[name] = file.read(room + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BadInput(f"An Allure result cannot be read ({reason})", "", "Check its permissions.") from None
        room -= len(found[name])
        if room < 0:
            raise BadInput("The Allure results are too large", f"More than {MAX_BYTES} bytes", "Give those of one run.")
    return found


def _to_phases(results: list[_Result]) -> tuple[list[NewPhase], list[PhaseOutcome]]:
    """The attempts of each test, in order, and how the last of each ended."""
    tests: dict[tuple[str, str], list[_Result]] = {}
    for result in sorted(results, key=lambda result: (result.start, result.stop)):
        name = _name(result)
        tests.setdefault((result.history_id or name, name), []).append(result)
    seen: dict[str, int] = {}
    phases: list[NewPhase] = []
    for (_, name), attempts in tests.items():
        count = seen[name] = seen.get(name, 0) + 1
        shown = shorten(f"{name} ({count})" if count > 1 else name, 200)
        phases += [_to_phase(shown, attempt) for attempt in attempts]
    return phases, [attempts[-1].outcome for attempts in tests.values()]


def _list_broken_fixtures(results: list[_Result], containers: list[_Container]) -> Iterator[NewPhase]:
    """Fixtures that did not pass, where none of their tests says so."""
    in_trouble = {result.uuid for result in results if result.outcome in ("fail", "error")}
    for box in containers:
        for fixture in (*box.befores, *box.afters):
            if fixture.status in ("failed", "broken") and fixture.start and not in_trouble & {*box.children}:
                yield _to_phase(shorten(fixture.name, 200) or "fixture", fixture)


def _name(result: _Result) -> str:
    """The full name, which has no parameters, with those of the name or of the test."""
    name, full = sanitize(result.name).strip(), sanitize(result.full_name or "").strip().replace("#", "::")
    if not full:
        return name or "test"
    if name.startswith(full.rpartition("::")[2]):
        return full.rpartition("::")[0] + "::" + name if "::" in full else name
    values = ", ".join(sanitize(str(parameter.value)) for parameter in result.parameters)
    return f"{full}[{values}]" if values else full


def _to_phase(name: str, step: _Timed) -> NewPhase:
    begun = _to_datetime(step.start)
    outcome = step.outcome
    reason = "" if outcome == "pass" else (step.details.message or "").strip().partition("\n")[0]
    trace = "" if outcome in ("pass", "skip") else step.details.trace or ""
    ended = max(begun, _to_datetime(step.stop))
    return NewPhase(name, outcome, begun, ended, (), shorten(reason, 500), shorten_start(trace, MAX_TRACEBACK))


def _list_sources(step: _Step, depth: int = 0) -> Iterator[str]:
    """The names of files kept with a test and its steps."""
    yield from (file.source for file in step.attachments)
    if depth < MAX_DEPTH:
        for inner in step.steps:
            yield from _list_sources(inner, depth + 1)


def _is_kept(folder: Path, name: str) -> bool:
    if "/" in name or not check_relative(name):
        return False
    try:
        return stat.S_ISREG((folder / name).lstat().st_mode)
    except OSError:
        return False


def _read_environment(content: bytes) -> Iterator[tuple[str, str]]:
    """The lines `name=value` of a Java properties file."""
    for line in content.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        if value.strip() and not line.lstrip().startswith(("#", "!")):
            yield name.strip().replace("\\ ", " "), value.strip()


def _to_datetime(millis: int) -> datetime:
    return EPOCH + timedelta(milliseconds=millis)
