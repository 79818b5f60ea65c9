"""A report as read, whichever framework wrote it; the run it would become; and what readers of JSON reports share.
Errors quote nothing of a report."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import PureWindowsPath
from typing import Annotated, Any, NamedTuple, TypeVar, cast
from uuid import NAMESPACE_OID, UUID, uuid5

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from testlab_tools.bounded_json import MAX_ELEMENTS, TooManyElements, load_json
from testlab_tools.errors import BadInput
from testlab_tools.http.response import make_fail_fast
from testlab_tools.late_model import LateModel
from testlab_tools.models.lab import Case, Measurement, Outcome, ResultModel
from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted, sanitize


class UntimedReport(BadInput):
    """The report does not say when its run began."""


@dataclass(frozen=True)
class Attachment:
    """A file inside a report."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Report:
    """The run in a report. Its `serial_number` and `procedure_id` are empty where the report names none; `ref` is made
    from the content. `dropped` says what of the report a run does not keep.

    `attachments` are inside the report, `files` beside it, by paths relative to its folder. `log` is the run's log,
    lines of text.
    """

    run: NewRun
    dropped: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    files: tuple[str, ...] = ()
    station: str = ""
    operator: str = ""
    log: str = ""

    @property
    def missing(self) -> list[str]:
        """What a run must have and the report does not name."""
        return [name for name in ("serial_number", "procedure_id") if not getattr(self.run, name)]

    def override(self, serial_number: str = "", procedure_id: str = "", part_number: str = "") -> Report:
        """The report with these values for its own. Another unit or procedure is another run, with another ref."""
        run = self.run
        serial = sanitize(serial_number).strip() or run.serial_number
        procedure = sanitize(procedure_id).strip() or run.procedure_id
        ref = run.ref
        if (serial, procedure) != (run.serial_number, run.procedure_id):
            ref = str(uuid5(UUID(ref), f"{serial.casefold()}\n{procedure.casefold()}"))
        name = run.procedure_name if procedure == run.procedure_id else ""
        part = sanitize(part_number).strip() or run.part_number
        changed = replace(
            run, serial_number=serial, procedure_id=procedure, procedure_name=name, part_number=part, ref=ref
        )
        return replace(self, run=changed)

    def require_run(self) -> NewRun:
        """The run to record. Raises BadInput when the serial number or procedure is missing."""
        if self.missing:
            names = " and ".join(self.missing)
            raise BadInput(f"The report names no {' and no '.join(self.missing)}", "", f"Give {names} as well.")
        return replace(self.run, variables=self.variables)

    @property
    def variables(self) -> tuple[tuple[str, str], ...]:
        """The run's variables; a service says itself which station and operator a run has, so those are among them."""
        known = {name for name, _ in self.run.variables}
        places = (("station", self.station), ("operator", self.operator))
        return (*self.run.variables, *((name, value) for name, value in places if value and name not in known))


def make_ref(framework: str, digest: str) -> str:
    """The `ref` of the run in a report with this digest."""
    return str(uuid5(NAMESPACE_OID, f"{framework} {digest}"))


def format_count(number: int, what: str) -> tuple[str, ...]:
    """`2 charts`, `1 chart`; nothing for none."""
    return (f"{number} {what}{'' if number == 1 else 's'}",) if number else ()


MAX_CASES = 100
MAX_NAMES = 50
MAX_POINTS = 20


class PlannedRun(ResultModel):
    """A run as it would be recorded. `cases` show only measurements that fail, of `measurements` in all.

    Of a report that the service itself reads: its `importer`, and how many `bytes` it would get.
    """

    service: str
    unit: Untrusted = ""
    procedure: Untrusted = ""
    outcome: Outcome | None = None
    started_at: Moment | None = None
    duration_s: float = 0
    part: Untrusted = ""
    revision: Untrusted = ""
    batch: Untrusted = ""
    procedure_version: Untrusted = ""
    notes: Untrusted = ""
    cases: list[Case] = []
    cases_run: int = 0
    measurements: int = 0
    sub_units: list[Untrusted] = []
    attachments: list[Untrusted] = []
    variables: dict[Untrusted, Untrusted] = {}
    importer: str = ""
    bytes: int = 0


def plan_run(service: str, report: Report) -> PlannedRun:
    """The run of a report. Long lists are cut, with failed cases first; the counts are of all."""
    run = report.run
    cases = _list_cases(run.phases)
    if len(cases) > MAX_CASES:
        cases.sort(key=lambda case: case.outcome not in ("fail", "error"))
    return PlannedRun(
        service=service,
        unit=run.serial_number,
        procedure=run.procedure_id,
        outcome=run.outcome,
        started_at=run.started_at,
        duration_s=round((run.ended_at - run.started_at).total_seconds(), 3),
        part=run.part_number,
        revision=run.revision,
        batch=run.batch_number,
        procedure_version=run.procedure_version,
        notes=run.notes,
        cases=cases[:MAX_CASES],
        cases_run=len(cases),
        measurements=sum(len(phase.measurements) for phase in run.phases),
        sub_units=list(run.sub_units[:MAX_NAMES]),
        attachments=[attachment.name for attachment in report.attachments[:MAX_NAMES]],
        variables=dict(report.variables[:MAX_NAMES]),
    )


def _list_cases(phases: tuple[NewPhase, ...]) -> list[Case]:
    """One case per name, with its last attempt's outcome."""
    attempts: dict[str, list[NewPhase]] = {}
    for phase in phases:
        attempts.setdefault(phase.name, []).append(phase)
    return [
        Case(
            case=name,
            outcome=tries[-1].outcome,
            attempts=len(tries),
            measurements=[_shorten(m) for m in tries[-1].measurements if m.outcome == "fail"],
        )
        for name, tries in attempts.items()
    ]


def _shorten(m: NewMeasurement) -> Measurement:
    value: Any = m.value
    value = cast("list[Any]", value)[:MAX_POINTS] if isinstance(value, list) else value
    return Measurement(
        name=m.name, outcome=m.outcome, value=value, units=m.units, lower=m.lower, upper=m.upper, expected=m.expected
    )


MAX_MILLIS = 253_402_300_799_999
"""The end of the year 9999, in milliseconds since 1970: what a datetime can hold."""
Millis = Annotated[int, Field(ge=0, le=MAX_MILLIS)]
Seconds = Annotated[float, Field(ge=0, le=MAX_MILLIS // 1000, allow_inf_nan=False)]


MAX_TRACEBACK = 4_000
"""Characters kept of a traceback: its end."""
MAX_LOG = 2**20
"""Characters kept of what tests printed: the end."""
MAX_PATH = 1_000
MAX_FOLDERS = 30


def check_relative(path: str) -> bool:
    """Whether it is the path of a file below the report's folder, whatever system reads it."""
    parts = path.split("/")
    unsafe = "\\" in path or PureWindowsPath(path).drive or {"", ".", ".."} & {*parts}
    return not unsafe and len(path) <= MAX_PATH and len(parts) <= MAX_FOLDERS and sanitize(path) == path


class Shape(LateModel):
    """Base of the models of a report; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return make_fail_fast(handler(source))


S = TypeVar("S", bound=Shape)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Framework(NamedTuple):
    """The framework of a report, for errors: `article` is `an OpenHTF`, `writer` is `OpenHTF's OutputToJSON`."""

    article: str
    version: str
    writer: str


def parse_json(content: bytes, by: Framework) -> object:
    """The JSON value of a report. Raises BadInput."""
    try:
        return load_json(
            content, parse_constant=_parse_constant, parse_float=_parse_float, object_pairs_hook=_make_object
        )
    except TooManyElements:
        raise BadInput(
            "The report is too large",
            f"It holds more than {MAX_ELEMENTS} values",
            "Record the run with fewer measurements, and attach the file to it.",
        ) from None
    except (ValueError, RecursionError):
        raise BadInput(
            "The report is not JSON",
            f"It is {len(content)} bytes that cannot be read as JSON, or give a name in it twice",
            f"Give the file that {by.writer} wrote, whole.",
        ) from None


def validate(body: object, shape: type[S], fields: Collection[str], by: Framework) -> S:
    """The value as a model. Raises BadInput that names the first wrong field, as far as it is one of `fields`."""
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in fields)
        missing = first["type"] == "missing"
        raise BadInput(
            f"The JSON is not {by.article} report",
            f"Field {where or '(the whole)'} {'is missing' if missing else f'is not what {by.version} writes there'}",
            f"Give the file that {by.writer} wrote after the test had ended.",
        ) from None


def digest(body: object) -> str:
    """The SHA-256 of a JSON value, whatever its indentation was."""
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _make_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Which of two values of one name counts, readers disagree about."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return made


def _parse_constant(name: str) -> str:
    """NaN and infinities as the texts `nan`, `inf` and `-inf`, which OpenHTF writes in quotes."""
    return name.lower().replace("infinity", "inf")


def _parse_float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text
