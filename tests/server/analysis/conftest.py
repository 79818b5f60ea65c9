"""What truly failed in the simulated lab, read from its own endpoints and not through our tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab

SPAN = timedelta(days=9)
"""Long enough to hold a weekly check of the sample units, however the last one fell."""


class Fact(NamedTuple):
    """One case that failed in one run: `cause` is what went wrong, as the lab planted it."""

    service: str
    run_id: str
    test: str
    case: str
    cause: Any
    unit: str
    station: str
    at: datetime
    sample: bool = False


@dataclass
class Truth:
    """Everything that failed between `before` and `until`; the window asked about begins at `since`."""

    since: datetime
    until: datetime
    facts: list[Fact] = field(default_factory=lambda: list[Fact]())

    @property
    def before(self) -> datetime:
        return self.since - (self.until - self.since)

    def counted(self) -> list[Fact]:
        """Failures in the window that triage counts."""
        return [f for f in self.facts if f.at >= self.since and not f.sample]

    def samples(self) -> int:
        """Failures of golden, failing and ignored units in the window."""
        return sum(f.at >= self.since and f.sample for f in self.facts)

    def causes(self, test: str = "") -> dict[Any, list[Fact]]:
        """Failures in the window by cause, oldest first; of one test, or of all."""
        return _by_cause(f for f in self.counted() if test in ("", f.test))

    def causes_before(self, test: str = "") -> dict[Any, list[Fact]]:
        """The same of the window before."""
        return _by_cause(f for f in self.facts if f.at < self.since and not f.sample and test in ("", f.test))


def _by_cause(facts: Iterable[Fact]) -> dict[Any, list[Fact]]:
    """One message at several tests and cases is one cause."""
    found: dict[Any, list[Fact]] = {}
    for fact in sorted(facts, key=lambda f: f.at):
        found.setdefault((fact.service, fact.cause), []).append(fact)
    return found


@pytest.fixture(scope="session")
def truth_of() -> Callable[[Any], Truth]:
    """What failed in a simulated lab, in some days up to two hours ago: nothing still happens there."""

    def read(sim: SimLab) -> Truth:
        until = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
        truth = Truth(until - SPAN, until)
        services = sim.services()
        for facts in (_portal(services["stbtester"]), _factory(services["tofupilot"], truth), _cloud(services, truth)):
            truth.facts += [f for f in facts if truth.before <= f.at < truth.until]
        return truth

    return read


def _portal(service: dict[str, Any]) -> Iterator[Fact]:
    headers = {"Authorization": f"token {service['token']}"}
    for result in ("fail", "error"):
        params = {"filter": f"result:{result}", "sort": "date:desc", "tz": "UTC"}
        rows = httpx2.get(f"{service['url']}/api/v2/results", params=params, headers=headers).json()
        assert len(rows) < 2_000
        for row in rows:
            node, test = row["result_id"].strip("/").partition("/")[0], row["test_case"]
            at = datetime.fromisoformat(row["start_time"])
            yield Fact("portal", f"portal:{row['result_id']}", test, test, row["failure_reason"], "", node, at)


def _factory(service: dict[str, Any], truth: Truth) -> Iterator[Fact]:
    headers = {"Authorization": f"Bearer {service['token']}"}
    with httpx2.Client(base_url=f"{service['url']}/api/v2", headers=headers) as client:
        cursor: int | None = 0
        while cursor is not None:
            params = {
                "limit": 100,
                "cursor": cursor,
                "outcomes": ["FAIL", "ERROR", "TIMEOUT"],
                "started_after": truth.before.isoformat(),
            }
            page = client.get("/runs", params=params).json()
            for row in page["data"]:
                yield from _phases(client.get(f"/runs/{row['id']}").json())
            cursor = page["meta"]["next_cursor"] if page["meta"]["has_more"] else None


def _phases(run: dict[str, Any]) -> Iterator[Fact]:
    last = {phase["name"]: phase for phase in run["phases"]}
    for phase in last.values():
        if phase["outcome"] in ("FAIL", "ERROR"):
            failed = [m for m in phase["measurements"] if m["outcome"] == "FAIL"]
            cause = frozenset((m["name"], _side(m)) for m in failed) or _words(run, phase)
            yield Fact(
                "factory",
                f"factory:{run['id']}",
                run["procedure"]["name"],
                phase["name"],
                cause,
                run["unit"]["serial_number"],
                run["created_by_station"]["name"],
                datetime.fromisoformat(run["started_at"]),
                run["unit"]["sample"] is not None,
            )


def _words(run: dict[str, Any], phase: dict[str, Any]) -> str:
    """The error in the run's log; a time-out names its phase."""
    words = next((line["message"] for line in run["logs"] if line["level"] == "ERROR"), "")
    return f"{phase['name']} timed out" if "timed out" in words else words


def _side(measurement: dict[str, Any]) -> str:
    return next(v["operator"] for v in measurement["validators"] if v["outcome"] == "FAIL")


def _is_below(measured: dict[str, Any]) -> bool:
    """Whether the lower limit was broken, and not the upper one."""
    return measured["lower_limit"] is not None and measured["value"] < measured["lower_limit"]


def _cloud(services: dict[str, Any], truth: Truth) -> Iterator[Fact]:
    service = services["standcloud"]
    root = f"{service['url']}/integration/api/v1/test_run"
    with httpx2.Client(headers={"X-API-KEY": service["token"]}) as client:
        for row in client.get(root, params={"status": "fail"}).json():
            at = datetime.fromisoformat(row["start_time"])
            for case in client.get(f"{root}/{row['test_run_id']}/failed_case").json() if at >= truth.before else ():
                yield Fact(
                    "cloud",
                    f"cloud:{row['test_run_id']}",
                    row["test_plan_name"],
                    case["name"],
                    (case["name"], _is_below(case["measurements"][0])),
                    row["serial_number"],
                    row["test_stand_name"],
                    at,
                )
