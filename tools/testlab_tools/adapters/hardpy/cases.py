"""The cases of a run, with what they measured: HardPy keeps a case's last attempt."""

from __future__ import annotations

from collections.abc import Iterator

from testlab_tools.adapters.hardpy.models import CaseState, StateDocument
from testlab_tools.models.lab import Case, Measurement
from testlab_tools.reports.hardpy import to_measurement
from testlab_tools.untrusted import sanitize, shorten

NOT_PASSED = ("fail", "error", "stopped")
_NAME_CHARS = 200


def name_cases(document: StateDocument) -> Iterator[tuple[str, CaseState]]:
    """Each case as `module: case`, by their names or else by those of their functions, as in an imported report; two of
    one name are told apart by these."""
    seen: set[str] = set()
    for key, (module, case) in document.cases.items():
        module_key, _, case_key = key.partition("::")
        name = f"{module.name or module_key}: {case.name or case_key}"
        name = shorten(f"{name} ({sanitize(key)})" if name in seen else name, _NAME_CHARS)
        seen.add(name)
        yield name, case


def failed_cases(document: StateDocument) -> list[tuple[str, CaseState]]:
    """The cases that failed, broke or were stopped. A status that HardPy 0.25 does not have is none of these."""
    return [(name, case) for name, case in name_cases(document) if case.outcome in NOT_PASSED]


def reason_of(document: StateDocument) -> str:
    """The message of the case that the panel names as the first that failed, else of one that did; the alert of a run
    that tested nothing."""
    _, case = document.cases.get(document.caused_dut_failure_id, (None, None))
    failed = [case] if case else [case for _, case in failed_cases(document)]
    said = next((case.assertion_msg for case in failed if case.assertion_msg), "")
    return shorten(said or document.alert, 500)


def make_case(name: str, case: CaseState) -> Case | None:
    """The case with its measurements; None for a status that HardPy 0.25 does not have."""
    if case.outcome is None:
        return None
    return Case(
        case=name,
        outcome=case.outcome,
        attempts=max(1, case.attempt),
        reason=case.assertion_msg if case.outcome in (*NOT_PASSED, "skip") else "",
        measurements=list(make_measurements(case)),
    )


def make_measurements(case: CaseState) -> Iterator[Measurement]:
    """What a case measured, each with its limits. One that HardPy did not judge, and that has no limits, is unset."""
    for number, measured in enumerate(case.measurements, 1):
        made = to_measurement(measured, number)
        judged = measured.result is not None or (made.lower, made.upper, made.expected) != (None, None, "")
        yield Measurement(
            name=made.name,
            outcome=made.outcome if judged else "unset",
            value=made.value,
            units=made.units,
            lower=made.lower,
            upper=made.upper,
            expected=made.expected,
        )
