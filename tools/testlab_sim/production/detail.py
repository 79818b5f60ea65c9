"""What a run of the seeded history contains, derived from the seed and the run's number whenever it is asked for."""

from __future__ import annotations

from functools import lru_cache
from random import Random

from testlab_sim.production.effects import FLASH_ATTEMPTS
from testlab_sim.production.plant import Gauge, Plan, Step, limits
from testlab_sim.production.records import (
    Attachment,
    Detail,
    LogLine,
    Measurement,
    Phase,
    Run,
    Series,
    Validator,
    limits_of,
    mint,
    number_of,
)

_FILES = 1 << 44
_FREQUENCIES = (0.15, 0.5, 1.0, 5.0, 10.0, 30.0)


@lru_cache(maxsize=1024)
def derive(seed: int, run: Run) -> Detail:
    """The detail of a seeded run: always the same for the same seed and run."""
    assert run.story is not None
    assert run.procedure.plan is not None
    return _Telling(seed, run, run.procedure.plan, run.story).tell()


class _Telling:
    """One run being told: steps in order until the run's trouble, if it has one."""

    def __init__(self, seed: int, run: Run, plan: Plan, story: tuple[str, int, float]) -> None:
        self._rng = Random((seed << 32) | run.number)
        self._run = run
        self._plan = plan
        self._cause, self._retries, self._tracked = story
        self._tag = run.version.tag if run.version else ""
        self._now = run.started
        self._detail = Detail()

    def tell(self) -> Detail:
        run, detail = self._run, self._detail
        self._say("INFO", f"Run started on {run.station.name if run.station else 'bench'}", "runner.py", 41)
        for step in self._plan.steps:
            if self._step(step):
                break
        self._say("INFO", f"Run finished: {run.outcome}", "runner.py", 88)
        return detail

    def _step(self, step: Step) -> bool:
        """Tell one step with its attempts; True if the run ends there."""
        for attempt in range(self._attempts(step)):
            missed = attempt < self._retries
            if self._attempt(step, attempt, missed):
                return True
        if self._cause == "aborted":
            self._say("WARNING", "Run aborted by the operator", "runner.py", 77)
            return True
        return False

    def _attempts(self, step: Step) -> int:
        return min(self._retries + 1, FLASH_ATTEMPTS) if step.name == self._plan.retried else 1

    def _attempt(self, step: Step, attempt: int, missed: bool) -> bool:
        begun = self._now
        self._say("INFO", f"Executing phase {step.name}", "runner.py", 52)
        if step.name == self._plan.trouble[0] and self._cause in ("error", "timeout"):
            self._trouble(step, begun, attempt)
            return True
        missed = missed and step.name == self._plan.retried
        measurements = [self._measure(gauge, missed) for gauge in step.gauges]
        if step.spectrum:
            measurements.append(self._spectrum())
        outcome = "FAIL" if any(m.outcome == "FAIL" for m in measurements) else "PASS"
        self._now += step.seconds
        self._detail.phases.append(Phase(step.name, outcome, begun, self._now, attempt, measurements))
        for m in measurements:
            if m.outcome == "FAIL":
                self._say("ERROR", f"{m.name} = {m.value} failed {m.validators[-1].expression}", f"{step.name}.py", 30)
        return False

    def _trouble(self, step: Step, begun: float, attempt: int) -> None:
        if self._cause == "error":
            self._now += step.seconds / 2
            message = f"RuntimeError: {self._plan.trouble[1]}"
        else:
            self._now = self._run.ended
            message = f"Phase {step.name} timed out after {self._now - begun:.0f} s"
        self._say("ERROR", message, f"{step.name}.py", 17)
        self._detail.phases.append(Phase(step.name, "ERROR", begun, self._now, attempt))

    def _measure(self, gauge: Gauge, missed: bool) -> Measurement:
        failing = gauge.name == self._cause
        if gauge.text:
            return _equal(gauge, "1.4.1" if missed else gauge.text, gauge.text, f'x == "{gauge.text}"')
        if gauge.flag:
            return _equal(gauge, not failing, True, "x == True")
        low, high = limits(gauge, self._tag)
        drawn = self._rng.gauss(gauge.mean, gauge.sigma)
        if gauge.name == self._plan.tracked:
            drawn = self._tracked
        elif failing:
            drawn = self._beyond(gauge, low, high)
        value = round(drawn, 4)
        validators = limits_of(low, high, value)
        failed = any(v.outcome == "FAIL" for v in validators)
        return Measurement(gauge.name, "FAIL" if failed else "PASS", value, gauge.units, validators)

    def _beyond(self, gauge: Gauge, low: float | None, high: float | None) -> float:
        excess = (0.3 + self._rng.random() * 2.5) * gauge.sigma
        if high is None or (low is not None and self._rng.random() < 0.5):
            assert low is not None
            return low - excess
        return high + excess

    def _spectrum(self) -> Measurement:
        levels = [round(self._rng.gauss(46 - 3 * i, 1.5), 2) for i in range(len(_FREQUENCIES))]
        rows = [[f, level] for f, level in zip(_FREQUENCIES, levels, strict=True)]
        series = [Series(list(_FREQUENCIES), "MHz", "frequency"), Series(levels, "dBuV", "level")]
        text = "frequency_mhz,level_dbuv\n" + "".join(f"{f},{level}\n" for f, level in rows)
        file = Attachment(mint("file", _FILES + self._run.number), "prescan.csv", "text/csv", text.encode())
        self._detail.attachments.append(file)
        return Measurement("spectrum", "PASS", rows, "dBuV", series=series)

    def _say(self, level: str, message: str, source: str, line: int) -> None:
        self._detail.logs.append(LogLine(level, self._now, message, source, line))


def _equal(gauge: Gauge, value: object, expected: object, expression: str) -> Measurement:
    outcome = "PASS" if value == expected else "FAIL"
    return Measurement(gauge.name, outcome, value, None, [Validator("==", expected, expression, outcome)])


def conditions(seed: int, run: Run) -> dict[str, str | float | bool]:
    """The metadata of a seeded run: ambient temperature in C, shift, and whether it was the unit's first run there."""
    rng = Random((seed << 33) | run.number)
    first = next((r for r in run.unit.runs if r.procedure is run.procedure), run) is run
    return {"ambient_c": round(rng.gauss(23.0, 0.8), 1), "shift": "ABC"[int(run.started // 28800) % 3], "first": first}


def run_number_of_file(uuid: str) -> int | None:
    """The number of the seeded run that file belongs to, or None if it is no seeded run's file."""
    number = number_of("file", uuid)
    return None if number is None or not number >> 44 else number - _FILES
