"""Stb-tester's own shapes (HTTP REST API v2). Ids of one shape each: they stand in paths, in its search grammar, in
handles and in sentences.

From the examples of its REST API: node `stb-tester-abcdef123456`; job `/stb-tester-abcdef123456/0a23/972`;
result `/stb-tester-abcdef123456/0a23/972/2015-05-28_14.46.34` ("Run tests", "Get list of test results").
Only a node's can hold words: 40 characters, without spaces.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from testlab_tools.errors import NotFound
from testlab_tools.http.response import Wire
from testlab_tools.times import Moment, utc

_NODE = r"(?!\.|[\w.-]*\.\.)[\w.-]{1,40}"
_JOB = rf"/?{_NODE}/[0-9A-Za-z]{{1,8}}/[0-9]{{1,10}}"
_RESULT = rf"{_JOB}/(?![\w.:-]*\.\.)[\w.:-]{{1,32}}"
NODE_ID = re.compile(_NODE, re.ASCII)
JOB_UID = re.compile(_JOB, re.ASCII)
RESULT_ID = re.compile(_RESULT, re.ASCII)
QUOTED = 80
"""Characters of an id that is of nothing, in the sentence that says so."""

NodeId = Annotated[str, Field(pattern=re.compile(rf"^{_NODE}\Z", re.ASCII))]
JobUid = Annotated[str, Field(pattern=re.compile(rf"^{_JOB}\Z", re.ASCII))]
ResultId = Annotated[str, Field(pattern=re.compile(rf"^{_RESULT}\Z", re.ASCII))]


def node_of(native: str) -> str:
    """The node in a job's or result's id."""
    return native.strip("/").partition("/")[0]


def path_of(native: str) -> str:
    """A result or job id as it stands in a path: the portal's ids begin with `/` and are joined as they are.

    Raises NotFound for what cannot be the id of either.
    """
    bare = native.strip("/")
    if not (JOB_UID.fullmatch(bare) or RESULT_ID.fullmatch(bare)):
        raise NotFound("There is no such run or job", "", "list_runs and list_nodes show the ids there are.").naming(
            native
        )
    return quote("/" + bare, safe="/:._-")


class ResultRow(Wire):
    """An element of `GET /api/v2/results` ("Get list of test results")."""

    result_id: ResultId
    job_uid: JobUid
    start_time: Moment
    end_time: Moment | None = None
    test_case: str
    test_pack_sha: str = ""
    result: Literal["pass", "fail", "error"]
    failure_reason: str | None = None

    @property
    def node_id(self) -> str:
        """The first part of the id."""
        return node_of(self.result_id)


class ArtifactEntry(Wire):
    """A file kept by a test run. The document says `size` is a string; its own example and the portal send a number."""

    size: int | None = None


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
    """All are documented, and none is taken for zero. `total` can be more than the sum while the job runs, or when it
    was stopped."""

    passed: int
    fail: int
    error: int
    total: int

    model_config = Wire.model_config | {"alias_generator": lambda name: "pass" if name == "passed" else name}


class JobStatus(Wire):
    """`GET /api/v2/jobs/(job_uid)` ("Inspect a test job")."""

    job_uid: JobUid
    status: Literal["running", "exited"]
    start_time: Moment | None = None
    end_time: Moment | None = None
    result_counts: ResultCounts

    @property
    def node_id(self) -> str:
        """The first part of the id."""
        return node_of(self.job_uid)


class ReservationEntry(Wire):
    """An element of `POST /api/v2/reservations`' reply, and a node's `reservation`."""

    reservation_id: Annotated[int, Field(ge=0, lt=2**63)]
    node_id: NodeId
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

    node_id: NodeId
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

    @cached_property
    def told_at(self) -> datetime | None:
        """When the portal said this, by its own clock; None where it gave no `Date`, or before `as_of`."""
        return None

    def as_of(self, moment: datetime | None) -> NodeStatus:
        """This, with when the portal said it. A private attribute would take as long as the model's other fields."""
        vars(self)["told_at"] = moment
        return self

    @property
    def licence_expired(self) -> bool:
        """Whether the licence ended before the portal's own day, which still counts. Not judged by our clock, nor
        against a portal that calls the node available."""
        if self.available or not self.licence_expiry or self.told_at is None:
            return False
        try:
            return date.fromisoformat(self.licence_expiry[:10]) < utc(self.told_at).date()
        except ValueError:
            return False
