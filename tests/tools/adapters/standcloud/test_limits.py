"""A failed case's reason and limits: each is said once."""

from __future__ import annotations

from typing import Any

import pytest

from testlab_tools.adapters.standcloud.models import FailedCaseRow
from testlab_tools.adapters.standcloud.runs import case_of


def case(measured: dict[str, Any], **fields: Any) -> Any:
    row = FailedCaseRow.model_validate({"name": "Temperature", "measurements": [{"name": "t", **measured}], **fields})
    return case_of(row)


@pytest.mark.parametrize(
    ("measured", "lower", "upper", "expected"),
    [
        ({"upper_limit": 120}, None, 120, ""),
        ({"operation": "le", "comparison_value": 120}, None, 120, ""),
        ({"operation": "ge", "comparison_value": 5, "lower_limit": 5}, 5, None, ""),
        ({"operation": "eq", "comparison_value": 5}, 5, 5, ""),
        ({"operation": "eq", "comparison_value": "1.4.2"}, None, None, "1.4.2"),
        ({"comparison_value": 120, "upper_limit": 120}, None, 120, ""),
        ({"comparison_value": "ok"}, None, None, "ok"),
    ],
)
def test_a_limit_is_a_bound_or_what_is_expected_and_not_both(
    measured: dict[str, Any], lower: float | None, upper: float | None, expected: str
) -> None:
    (found,) = case(measured).measurements
    assert (found.lower, found.upper, found.expected) == (lower, upper, expected)


def test_a_message_that_the_assertion_repeats_is_said_once() -> None:
    text = "case_temperature 73.7 C"
    told = case({}, assertion_msg=f"AssertionError: {text} is above 70", msg={"0": text, "1": "Fan is off"})
    assert told.reason == f"AssertionError: {text} is above 70; Fan is off"
