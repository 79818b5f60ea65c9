"""The runs in the panel's storage. All are read at once, so every filter is exact and every count is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from testlab_tools.adapters.hardpy.cases import NOT_PASSED, make_case, name_cases
from testlab_tools.adapters.hardpy.models import ENDED, StateDocument
from testlab_tools.adapters.hardpy.store import EndedRun, StateStore, Store, is_run, summarise
from testlab_tools.capabilities import Failure, FailureArchive, Failures, Runs, UnitArchive
from testlab_tools.errors import BadInput, BadReply, NotFound
from testlab_tools.models.lab import Case, FailedRun, Outcome, Run
from testlab_tools.models.requests import FILTERS, RunQuery, refuse_filters, refuse_outcome
from testlab_tools.models.results import KnownRun, RunDetail, labels

FAILED = ("fail", "error")
"""How a run ends that did not pass; one that a person stopped says nothing of its unit."""
_CASES_UNTOLD = "HardPy keeps the data of a case's last attempt alone, and its files nowhere."


class StandRuns(StateStore, UnitArchive, FailureArchive):
    """Runs that have ended. Their ids are when they ended, in milliseconds; their times are whole seconds."""

    def owns_run(self, run_id: str) -> bool:
        return is_run(run_id)

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        refuse_filters(self.name, query, FILTERS.keys() - {"category", "text"}, "HardPy's runs have none")
        refuse_outcome(self.name, query, tuple(ENDED.values()))
        store = await self.read_store()
        found = self._sort(query, [run for run in store.runs if self._matches(run, query)])
        counts = Counter[Outcome](run.outcome for run in found)
        rest = found if not after else found[self._place_after(query, found, after) :]
        note = _UNREAD.format(store.unread) if store.unread else ""
        if query.explain_empty and query.test and not found:
            note = f"{self._explain_empty(query, store)} {note}".strip()
        runs = [self.make_run(run) for run in rest[:limit]]
        return Runs(runs, len(rest) > limit, len(found), bool(store.unread), by_outcome=counts, note=note)

    def _matches(self, run: EndedRun, query: RunQuery) -> bool:
        exact = {"outcome": run.outcome, "unit": run.unit, "part": run.part, "job": job_of(run), "user": run.user}
        return (
            all(not getattr(query, name) or getattr(query, name) == value for name, value in exact.items())
            and (not query.test or query.test.casefold() == run.test.casefold())
            and (not query.station or query.station == self.name)
            and query.contains(run.began)
        )

    def _sort(self, query: RunQuery, runs: list[EndedRun]) -> list[EndedRun]:
        if query.longest_first:
            return sorted(runs, key=lambda run: (run.duration_s or 0, run.order), reverse=True)
        return sorted(runs, key=lambda run: run.order, reverse=not query.oldest_first)

    def _place_after(self, query: RunQuery, runs: Sequence[EndedRun], after: str) -> int:
        """Where to go on. A run that has gone meanwhile leaves its place, as long as its order is by time."""
        place = next((n for n, run in enumerate(runs) if run.run_id == after.partition(" ")[2]), None)
        if place is not None:
            return place + 1
        moment, _, run_id = after.partition(" ")
        if query.longest_first or not is_run(run_id):
            raise BadInput("The run that the page before ended with is gone", "", "Ask again without cursor.")
        last = (datetime.fromisoformat(moment), int(run_id))
        past = [run.order > last if query.oldest_first else run.order < last for run in runs]
        return past.index(True) if True in past else len(runs)

    def _explain_empty(self, query: RunQuery, store: Store) -> str:
        if any(run.test.casefold() == query.test.casefold() for run in store.runs):
            return "It has runs of such a test, but none that matches the rest."
        return "No run here, of any time, is of such a test: its name must be whole."

    def make_run(self, run: EndedRun) -> Run:
        """The run as tools report it."""
        return Run(
            run_id=self.handle(run.run_id),
            outcome=run.outcome,
            test=run.test,
            started_at=run.began,
            duration_s=run.duration_s or 0,
            station=self.name,
            unit=run.unit,
            part=run.part,
            job_uid=self.handle(job_of(run)) if run.started is not None else "",
            reason=run.reason,
            position=f"{run.began.isoformat()} {run.run_id}",
        )

    async def get_run(self, run_id: str) -> RunDetail:
        document = await self.read_run(run_id)
        run = self._run_of(document)
        cases, unread = list_cases(document)
        notes = [_CASES_UNTOLD, *([f"{unread} cases have a status that HardPy 0.25 does not have."] if unread else [])]
        stand, process, dut = document.test_stand, document.process, document.dut
        named = {
            "tests": document.name,
            "unit_revision": dut.revision,
            "unit_name": dut.name,
            "test_stand": stand.name,
            "location": stand.location,
            "process_number": process.number,
            "error_code": document.error_code,
        }
        tags = {name: value for name, value in named.items() if value}
        for source, info in (("dut", dut.info), ("test_stand", stand.info), ("process", process.info)):
            tags |= {f"{source}.{name}": value for name, value in info.items()}
        known = KnownRun(
            **run.model_dump(), user=document.user, batch=document.batch_serial_number, cases_run=len(document.cases)
        )
        failed = run.outcome in NOT_PASSED
        return RunDetail(
            run=known,
            cases=cases,
            tags=labels(tags),
            note=" ".join(notes),
            next="get_failed_cases explains what failed." if failed else "",
        )

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        if not is_run(run_id) or len(run_id) <= JOB_DIGITS:
            return await self._failures_of_job(run_id)
        document = await self.read_run(run_id)
        run = self._run_of(document)
        cases = [case for case in list_cases(document)[0] if case.outcome in NOT_PASSED]
        return [FailedRun(**run.model_dump(), cases=cases, cases_run=len(document.cases))]

    async def _failures_of_job(self, job_uid: str) -> list[FailedRun]:
        """Of a job that still runs, none: its run is kept when it ends."""
        store = await self.read_store(fresh=True)
        run = store.of_job(job_uid)
        if run is None:
            if store.live is not None and job_uid == uid_of(store.live):
                return []
            raise NotFound(f"{self.name} has no such run", "", "list_runs shows the runs there are.").naming(job_uid)
        return await self.get_failures(run.run_id) if run.outcome != "pass" else []

    def _run_of(self, document: StateDocument) -> Run:
        """Raises BadReply for a status that HardPy 0.25 does not have: how the run ended is not known."""
        if document.status not in ENDED:
            raise BadReply(
                self.name,
                f"{self.name} tells of this run a status that HardPy 0.25 does not have",
                "How it ended is not known",
                "The panel's own page shows it.",
            )
        return self.make_run(summarise(document))

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        store = await self.read_store()
        refuse_filters(self.name, query, FILTERS.keys() - {"category", "text"}, "HardPy's runs have none")
        wanted = (query.outcome,) if query.outcome else FAILED
        found = [run for run in store.runs if run.outcome in wanted and self._matches(run, query)]
        failures: list[Failure] = []
        for run in found[:limit]:
            made = self.make_run(run)
            failures += [
                Failure(made, case, reason, retried=max(0, attempts - 1)) for case, reason, attempts in run.failed
            ] or [Failure(made, "", run.reason)]
        return Failures(failures, len(found[:limit]), len(found) > limit)


JOB_DIGITS = 11
"""A job's id is when its run began, in seconds; a run's id has three digits more."""
_UNREAD = "{} runs with a status that HardPy 0.25 does not have are left out."


def job_of(run: EndedRun) -> str:
    """The id of the job that a run is of; empty of one that never began."""
    return "" if run.started is None else f"{run.started:.0f}"


def uid_of(live: StateDocument) -> str:
    """The id of the job that the live state is of; empty where no test has begun."""
    return "" if live.start_time is None else f"{live.start_time:.0f}"


def list_cases(document: StateDocument) -> tuple[list[Case], int]:
    """The cases of a run, and how many of a status that HardPy 0.25 does not have are left out."""
    made = [make_case(name, case) for name, case in name_cases(document)]
    cases = [case for case in made if case is not None]
    return cases, len(made) - len(cases)
