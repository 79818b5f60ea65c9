"""Reads one file into records for the index: the runs in it, or why it holds none. Nothing of a file is in a reason."""

from __future__ import annotations

import os
import re
import stat
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from hashlib import sha256
from json import dumps, loads
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zlib import compress

from testlab_tools.adapters.folder.places import sign_together, stat_together
from testlab_tools.errors import BadInput, LabError, Unsupported
from testlab_tools.files.io import BY_DESCRIPTOR, OpenFolder
from testlab_tools.limits import Limits
from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun
from testlab_tools.reports.allure import read_allure
from testlab_tools.reports.formats import Format, detect_format
from testlab_tools.reports.read import read_format
from testlab_tools.reports.report import Report, UntimedReport
from testlab_tools.untrusted import shorten

MAX_BYTES = 64 * 2**20
WHY = {
    "damaged": "damaged, cut off, or of no run that has ended",
    "large": f"larger than {MAX_BYTES // 2**20} MiB",
    "forbidden": "without permission to read",
    "changing": "being written just now",
    "unknown": "of a format that is not read here",
    "link": "behind a link that leads out of the folder",
    "name": "with a name that is no text",
    "irregular": "no file but a pipe or device",
}
"""Why a file is left out of the runs, as the end of "3 files are left out: "."""
OTHER = "other"
"""The state of a file that is no report; it is not said to be left out."""
READ = "read"
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
_TRAILING_NUMBER = re.compile(r"[-_. ]*\d[\d\-_.:T+Z]*$")
_STATIONS = ("station", "station_name", "station_id", "test_stand")
_HOST_PORT = re.compile(r".+_\d{1,5}")
_ID_CHARS = 16
_FRESH_NS = 2_000_000_000
"""A file that was written so short a time before may be written again within one tick of its file system's clock."""
_TICK_NS = 100_000_000
_MAX_REASON = 500
_MAX_RUN_REASON = 200
_MAX_WORDS = 4_000


class Request(NamedTuple):
    """A file to read: its root, its path below that with `/`, and its key and signature in the index. A path that is
    empty or ends with `/` is that of a folder of Allure results."""

    root: str
    relative: str
    key: str
    signature: str

    @property
    def is_folder(self) -> bool:
        return not self.relative or self.relative.endswith("/")

    @property
    def path(self) -> Path:
        return Path(os.path.realpath(self.root), *self.relative.split("/"))


Record = dict[str, Any]
"""What is known of a file: `key`, `signature`, `format`, `state`, `why` and the `runs` in it, as JSON."""


def read_record(request: Request) -> Record:
    """The record of a file; whatever goes wrong is a state of it."""
    try:
        if request.is_folder:
            return _read_together(request)
        content, written_ns, young = _read_file(request)
        if not content:
            raise _LeftOut("damaged")
        form = detect_format(content)
        if form == "hardpy" and _is_live_state(request.relative, content):
            raise _LeftOut(OTHER)
        reports, timed = _read(form, content, written_ns)
        runs = list(_describe_runs(request, reports, timed))
    except _LeftOut as left:
        return _record(request, "", left.state)
    except Unsupported:
        return _record(request, "", "unknown")
    except LabError as error:
        return _record(request, "", _judge(error), f"{error.what}. {error.why}".rstrip(". "))
    except RecursionError:
        return _record(request, "", "damaged", "It is nested too deeply")
    # Read again at the next look: the clock of its file system may not have told two writings apart.
    signature = f"{request.signature}?" if young else request.signature
    return {**_record(request, form, READ), "signature": signature, "runs": runs}


def _is_live_state(relative: str, content: bytes) -> bool:
    """Whether it is what HardPy keeps of the run under way, or of the last one, which has a report besides: a document
    of the id and name `HOST_PORT`."""
    name = PurePosixPath(relative).stem
    return _HOST_PORT.fullmatch(name) is not None and loads(content).get("_id") == name


class _LeftOut(Exception):
    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


def _record(request: Request, form: str, state: str, why: str = "") -> Record:
    retried = "!" if state == "changing" else ""
    return {
        "key": request.key,
        "signature": request.signature + retried,
        "format": form,
        "state": state,
        "why": why,
        "runs": [],
    }


def _judge(error: LabError) -> str:
    """Whether the file is a damaged report, or none at all."""
    unknown = error.what == "The format of the report is not known" and "damaged" not in error.why
    return OTHER if unknown else "damaged"


def open_below(root: str, relative: str) -> int:
    """A descriptor of a regular file below a root, reached through no link. Raises OSError."""
    path = Request(root, relative, "", "").path
    if not BY_DESCRIPTOR and Path(os.path.realpath(path)) != path:  # where links are followed unasked
        raise OSError("behind a link")
    with closing(OpenFolder.at(path.parent)) as folder:
        descriptor = folder.open(path.name, _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no regular file")
    return descriptor


def _read_file(request: Request) -> tuple[bytes, int, bool]:
    """The content, when it was written, and whether it is so young that it may change without a trace."""
    try:
        with os.fdopen(open_below(request.root, request.relative), "rb") as file:
            before = os.fstat(file.fileno())
            if before.st_size > MAX_BYTES:
                raise _LeftOut("large")
            content = file.read(MAX_BYTES + 1)
            after = os.fstat(file.fileno())
    except FileNotFoundError:
        raise _LeftOut("changing") from None
    except OSError:
        raise _LeftOut("forbidden") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(content) != after.st_size:
        raise _LeftOut("changing")
    if not request.signature.startswith(f"{after.st_size}.{after.st_mtime_ns}."):
        raise _LeftOut("changing")
    coarse = after.st_mtime_ns % 1_000_000 == 0
    return content, after.st_mtime_ns, time.time_ns() - after.st_mtime_ns < (_FRESH_NS if coarse else _TICK_NS)


def _read_together(request: Request) -> Record:
    """The record of a folder of Allure results, which are one run."""
    before = sign_together(_stat(request))
    reports = [read_allure(request.path)]
    if not before == request.signature == sign_together(_stat(request)):
        raise _LeftOut("changing")
    return {**_record(request, "allure", READ), "runs": list(_describe_runs(request, reports))}


def _stat(request: Request) -> dict[str, os.stat_result]:
    try:
        return stat_together(str(request.path))
    except OSError:
        raise _LeftOut("changing") from None


def _read(form: Format, content: bytes, written_ns: int) -> tuple[list[Report], bool]:
    """The reports, and whether they themselves say when they began."""
    try:
        return read_format(form, content), True
    except UntimedReport:
        return read_format(form, content, datetime.fromtimestamp(written_ns / 1e9, UTC)), False


def _describe_runs(request: Request, reports: list[Report], timed: bool = True) -> Iterator[Record]:
    seen: set[str] = set()
    for nth, report in enumerate(reports):
        run_id = make_id(report.run.ref)
        if run_id in seen:
            run_id = make_id(f"{report.run.ref} {nth}")
        seen.add(run_id)
        described = _describe_run(report, run_id, nth, request.relative or os.path.basename(request.root))
        yield {**described, "said": _digest_said(report.run, timed)}


def make_id(ref: str) -> str:
    """The native id of a run, made from its `ref`."""
    with suppress(ValueError):
        ref = str(UUID(ref))
    return _digest(ref)


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:_ID_CHARS]


def _digest_said(run: NewRun, timed: bool) -> str:
    """Of what two files of one run must agree in."""
    times = (run.started_at, run.ended_at) if timed else ()
    phases = [(p.name, p.outcome, [_describe_measurement(m) for m in p.measurements]) for p in run.phases]
    return _digest(dumps([run.outcome, run.serial_number, run.part_number, times, phases], default=str))


def _describe_run(report: Report, run_id: str, nth: int, relative: str) -> Record:
    run = report.run
    variables = dict(report.variables)
    cases = list(describe_cases(run.phases, run.notes))
    failed = [case for case in cases if case["outcome"] in ("fail", "error")]
    test = shorten(run.procedure_name or run.procedure_id, 200).strip() or name_test(relative)
    reason = "; ".join(f"{case['case']}: {case['reason']}" if case["reason"] else case["case"] for case in failed)
    body = {
        "cases": cases,
        "tags": variables,
        "sub_units": list(run.sub_units),
        "part_name": run.part_name,
        "notes": run.notes,
        "dropped": list(report.dropped),
        "inside": [[file.name, len(file.data)] for file in report.attachments],
        "beside": list(report.files),
        "log": bool(report.log),
    }
    return {
        "run_id": run_id,
        "nth": nth,
        "outcome": run.outcome,
        "started": to_micros(run.started_at),
        "ended": to_micros(run.ended_at),
        "test": test,
        "procedure": run.procedure_id,
        "station": report.station or next((variables[name] for name in _STATIONS if variables.get(name)), ""),
        "unit": run.serial_number,
        "part": run.part_number,
        "part_revision": run.revision,
        "batch": run.batch_number,
        "revision": run.procedure_version,
        "operator": report.operator,
        "reason": shorten(reason, _MAX_RUN_REASON),
        "words": "\n".join((relative, run.notes, reason))[:_MAX_WORDS].casefold(),
        "body": b64encode(compress(dumps(body).encode(), 1)).decode(),
    }


def name_test(relative: str) -> str:
    """What a run is called whose report names no procedure: its file, without a number or date at the end, else its
    folder.

    >>> name_test("nightly/junit-2026-11-29.xml")
    'junit'
    >>> name_test("nightly/2026-11-29.xml")
    'nightly'
    """
    path = PurePosixPath(relative)
    stem = path.name.removesuffix(".gz")
    stem = stem if relative.endswith("/") else stem.rpartition(".")[0] or stem
    return _TRAILING_NUMBER.sub("", stem) or path.parent.name or "report"


def describe_cases(phases: tuple[NewPhase, ...], notes: str) -> Iterator[Record]:
    """One case per name, in order of its first attempt, with its last attempt's outcome and measurements."""
    attempts: dict[str, list[NewPhase]] = {}
    for phase in phases:
        attempts.setdefault(phase.name, []).append(phase)
    for name, tries in attempts.items():
        last = tries[-1]
        bad = last.outcome in ("fail", "error")
        yield {
            "case": name,
            "outcome": last.outcome,
            "attempts": len(tries),
            "reason": shorten(last.reason or _explain(last, notes), _MAX_REASON) if bad else "",
            "traceback": last.traceback if bad else "",
            "measurements": [_describe_measurement(m) for m in last.measurements],
        }


def _explain(phase: NewPhase, notes: str) -> str:
    """The values that broke their limits; else what the run's notes say of the phase."""
    if broken := "; ".join(_sentence(m) for m in phase.measurements if m.outcome == "fail"):
        return broken
    start = f"{phase.name}: "
    return next((line.removeprefix(start) for line in notes.split("\n") if line.startswith(start)), "")


def _sentence(m: NewMeasurement) -> str:
    unit = f" {m.units}" if m.units else ""
    if Limits(m.lower, m.upper).allow(m.value) is False:
        below = m.lower is not None and m.value < m.lower
        limit = m.lower if below else m.upper
        return f"{m.name} {m.value:g}{unit} is {'below' if below else 'above'} {limit:g}{unit}"
    return f"{m.name} is {m.value}{unit}{f', expected {m.expected}' if m.expected else ''}"


def _describe_measurement(m: NewMeasurement) -> Record:
    given = {
        "name": m.name,
        "outcome": m.outcome,
        "value": m.value,
        "units": m.units,
        "lower": m.lower,
        "upper": m.upper,
        "expected": m.expected,
    }
    return {name: value for name, value in given.items() if value not in (None, "")}


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def read_report(request: Request, nth: int) -> Report:
    """The report of one of the runs in a file, read again. Raises BadInput or OSError."""
    if request.is_folder:
        return read_allure(request.path)
    with os.fdopen(open_below(request.root, request.relative), "rb") as file:
        content = file.read(MAX_BYTES + 1)
        written_ns = os.fstat(file.fileno()).st_mtime_ns
    reports, _ = _read(detect_format(content), content, written_ns)
    if nth >= len(reports):
        raise BadInput("The report holds fewer runs than before", "It has changed", "Call again.")
    return reports[nth]
