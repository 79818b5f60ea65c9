"""Stb-tester's own shapes (HTTP REST API v2), and how they become the lab's nouns."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from testlab_tools.times import Moment, utc
from testlab_tools.wire import Id, Wire


class ResultRow(Wire):
    """An element of `GET /api/v2/results` ("Get list of test results")."""

    result_id: Id
    job_uid: Id
    start_time: Moment
    end_time: Moment | None = None
    test_case: str
    test_pack_sha: str = ""
    result: Literal["pass", "fail", "error"]
    failure_reason: str | None = None

    @property
    def node_id(self) -> str:
        """The node is the first part of the id: `/stb-tester-abcdef123456/0a23/972/…`."""
        return self.result_id.strip("/").partition("/")[0]


class ArtifactEntry(Wire):
    """A file kept by a test run. The document says `size` is a string; its own example and the portal send a number."""

    size: int = 0


class ResultDetail(ResultRow):
    """`GET /api/v2/results/(result_id)/` ("Get detailed information about a test run")."""

    traceback: str | None = None
    artifacts: dict[str, ArtifactEntry] = {}
    tags: dict[str, Any] = {}
    username: str | None = None
    job_category: str | None = None
    test_pack_branch: str | None = None
    triage_url: str | None = None


class ResultCounts(Wire):
    """`total` can be more than the sum while the job runs, or when it was stopped."""

    passed: int = 0
    fail: int = 0
    error: int = 0
    total: int = 0

    model_config = Wire.model_config | {"alias_generator": lambda name: "pass" if name == "passed" else name}


class JobStatus(Wire):
    """`GET /api/v2/jobs/(job_uid)` ("Inspect a test job")."""

    job_uid: Id
    status: Literal["running", "exited"]
    start_time: Moment | None = None
    end_time: Moment | None = None
    result_counts: ResultCounts

    @property
    def node_id(self) -> str:
        """The node is the first part of the id."""
        return self.job_uid.strip("/").partition("/")[0]


class ReservationEntry(Wire):
    """An element of `POST /api/v2/reservations`' reply, and a node's `reservation`."""

    reservation_id: int
    node_id: Id
    username: str
    start_time: Moment | None = None
    expires: Moment | None = None
    message: str = ""
    reserved_by_you: bool


class ReservationsReply(Wire):
    """Reply to `POST /api/v2/reservations` ("Reserve nodes for exclusive use")."""

    reservations: list[ReservationEntry]


class NodeStatus(Wire):
    """`GET /api/v2/nodes/(node_id)` ("Get a node's current status")."""

    node_id: Id
    available: bool
    online: bool
    not_available_reason: str | None = None
    friendly_name: str | None = None
    device_type: str | None = None
    licence_expiry: str | None = None
    last_used_by: str | None = None
    last_used_time: Moment | None = None
    job: JobStatus | None = None
    reservation: ReservationEntry | None = None
    config: dict[str, Any] = {}
    geoip_city: str | None = None
    geoip_country: str | None = None
    local_ip_address: str | None = None

    def licence_expired(self, today: datetime) -> bool:
        """Whether the licence ended before `today`; the day itself still counts."""
        if not self.licence_expiry:
            return False
        try:
            return date.fromisoformat(self.licence_expiry[:10]) < utc(today).date()
        except ValueError:
            return False
