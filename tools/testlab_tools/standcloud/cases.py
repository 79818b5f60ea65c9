"""Failed cases, from `GET /test_run/{id}/failed_case` to the lab's nouns."""

from __future__ import annotations

from testlab_tools.limits import Limits
from testlab_tools.models import Case, Measurement, Outcome
from testlab_tools.standcloud.models import CaseMeasurement, FailedCaseRow, outcome


def case_of(row: FailedCaseRow) -> Case:
    """A failed case; one that calls itself passed is failed all the same, since it is in that list."""
    said = list(row.msg.values()) if isinstance(row.msg, dict) else row.msg if isinstance(row.msg, list) else [row.msg]
    ended: Outcome = outcome(row.status)
    return Case(
        case=row.name,
        outcome="fail" if ended == "pass" else ended,
        attempts=max(1, row.attempt),
        reason="; ".join(text for text in (row.assertion_msg, *said) if text),
        measurements=[_measurement(m) for m in row.measurements or []],
    )


def _measurement(m: CaseMeasurement) -> Measurement:
    kept = m.result if m.result is not None else Limits(m.lower_limit, m.upper_limit).allow(m.value)
    return Measurement(
        name=m.name,
        outcome="unset" if kept is None else "pass" if kept else "fail",
        value=m.value,
        units=m.unit or "",
        lower=m.lower_limit,
        upper=m.upper_limit,
        expected="" if m.comparison_value is None else str(m.comparison_value),
    )
