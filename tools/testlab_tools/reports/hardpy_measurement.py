"""A measurement of HardPy's: what was compared with what, and how it came out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from testlab_tools.limits import Limits
from testlab_tools.questions import NewMeasurement
from testlab_tools.reports.json_document import Shape
from testlab_tools.untrusted import capped


def _finite(limit: float | None) -> float | None:
    return limit if limit is not None and math.isfinite(limit) else None


Limit = Annotated[float | None, AfterValidator(_finite)]
"""An infinite limit is none."""


class Measured(Shape):
    """`result` is null where HardPy was told no `operation`."""

    name: str | None = None
    operation: str | None = None
    result: bool | None = None
    value: Any = None
    unit: str | None = None
    comparison_value: Any = None
    lower_limit: Limit = None
    upper_limit: Limit = None


_RANGES: dict[str, Callable[[Any, Any], str]] = {
    "gtlt": lambda low, high: f"{low} < x < {high}",
    "gelt": lambda low, high: f"{low} <= x < {high}",
    "gtle": lambda low, high: f"{low} < x <= {high}",
    "ltgt": lambda low, high: f"x < {low} or x > {high}",
    "lege": lambda low, high: f"x <= {low} or x >= {high}",
    "legt": lambda low, high: f"x <= {low} or x > {high}",
    "ltge": lambda low, high: f"x < {low} or x >= {high}",
}
_SIGNS = {"ne": "!=", "gt": ">", "lt": "<"}


def measurement(m: Measured, number: int) -> NewMeasurement:
    """As a service takes it; one without a name is named for its `number` within the case."""
    limits = _limits(m)
    name = capped((m.name or "").strip()) or f"measurement {number}"
    return NewMeasurement(
        name, _outcome(m, limits), m.value, m.unit or "", limits.lower, limits.upper, capped(limits.expected)
    )


def _limits(m: Measured) -> Limits:
    """Both limits belong to a range; a `ComparisonOperation` that is not such a range, or is strict, stays text."""
    operation, wanted = (m.operation or "").casefold(), m.comparison_value
    number = float(wanted) if isinstance(wanted, int | float) and not isinstance(wanted, bool) else None
    match operation:
        case "eq":
            return Limits(expected=str(wanted)) if number is None else Limits(number, number)
        case "ge":
            return Limits(lower=number)
        case "le":
            return Limits(upper=number)
        case operation if operation in _SIGNS:
            return Limits(expected=f"x {_SIGNS[operation]} {wanted}")
        case operation if operation in _RANGES:
            return Limits(expected=_RANGES[operation](m.lower_limit, m.upper_limit))
        case _:
            return Limits(m.lower_limit, m.upper_limit)


def _outcome(m: Measured, limits: Limits) -> Literal["pass", "fail", "unset"]:
    if m.result is not None:
        return "pass" if m.result else "fail"
    if m.value is None:
        return "unset"
    if limits == Limits():
        return "pass"
    kept = limits.allow(m.value)
    return "unset" if kept is None else "pass" if kept else "fail"
