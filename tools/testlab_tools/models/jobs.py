"""What tools report of jobs: their state and counts, what failed in them, and the test cases that they can run."""

from __future__ import annotations

from testlab_tools.models.lab import Outcome, ResultModel
from testlab_tools.models.nodes import Dialog
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted


class FailedTest(ResultModel):
    """A run of a job that did not pass: the step that failed, and why."""

    run_id: str
    outcome: Outcome
    case: Untrusted
    reason: Untrusted = ""


class Job(ResultModel):
    """A test job. `done` counts the tests that have finished, of `total`; a soak job's total grows.

    `started_by` is of a running job: a login, `you`, or NOT_TOLD. `failures` are of a finished one, newest first, and
    `more_failures` counts those not shown. `waiting_for` are dialogs of a running one that wait for a person.
    """

    job_uid: str
    node_id: str
    finished: bool
    passed: int
    failed: int
    errored: int
    total: int
    started_by: Untrusted = ""
    started_at: Moment | None = None
    ended_at: Moment | None = None
    waiting_for: list[Dialog] = []
    failures: list[FailedTest] = []
    more_failures: int = 0
    note: str = ""
    next: str = ""

    @property
    def done(self) -> int:
        """Tests that have finished so far."""
        return self.passed + self.failed + self.errored


class StoppedJob(ResultModel):
    """A job that was told to stop: `stopped` once it has. `done` of its `total` tests had finished."""

    job_uid: str
    node_id: str
    stopped: bool
    done: int
    total: int
    note: str = ""
    next: str = ""


class TestCases(ResultModel):
    """A page of test case names; `total` counts all that match. `cursor` fetches the next page.

    Compared with another revision, the names `added` to that, and those `removed` from it, in place of `test_cases`.
    `nearest` are names written alike where none matches.
    """

    __test__ = False

    test_cases: list[Untrusted] | None = None
    added: list[Untrusted] | None = None
    removed: list[Untrusted] | None = None
    total: int
    nearest: list[Untrusted] = []
    cursor: str = ""
    next: str = ""


class AnsweredDialog(ResultModel):
    """A dialog that was sent an answer: `answered` once it waits no more."""

    dialog_id: str
    answered: bool
    note: str = ""
