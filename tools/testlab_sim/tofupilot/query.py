"""Query strings of v2: repeated keys, dates, ISO 8601 durations, booleans, and the `metadata` filter."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from starlette.datastructures import QueryParams

from testlab_sim.tofupilot.service import invalid

DEFAULT_LIMIT = 50
MAX_LIMIT = 100
MAX_METADATA_KEYS = 5
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "in": lambda a, b: a in b,
    "contains": lambda a, b: str(b).casefold() in str(a).casefold(),
}


class Query:
    """The query of one request; a value that cannot be read is a 400 that names its key."""

    def __init__(self, params: QueryParams) -> None:
        self._params = params

    def text(self, key: str) -> str:
        return self._params.get(key, "")

    def many(self, key: str) -> frozenset[str]:
        """The values of a repeated key, in lower case."""
        return frozenset(value.lower() for value in self._params.getlist(key) if value)

    def choice(self, key: str, allowed: tuple[str, ...]) -> frozenset[str]:
        """The values of a repeated key out of an enumeration."""
        values = frozenset(self._params.getlist(key))
        if wrong := values - set(allowed):
            raise invalid(key, f"expected one of {'|'.join(allowed)}, got {min(wrong)!r}")
        return values

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        """A single value out of an enumeration; the first is the default."""
        value = self.text(key) or allowed[0]
        if value not in allowed:
            raise invalid(key, f"expected one of {'|'.join(allowed)}, got {value!r}")
        return value

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        text = self.text(key)
        if not text:
            return default
        if not re.fullmatch(r"\d+(\.0+)?", text) or not low <= int(float(text)) <= high:
            raise invalid(key, f"expected a whole number from {low} to {high}, got {text!r}")
        return int(float(text))

    def number(self, key: str) -> float | None:
        text = self.text(key)
        try:
            return float(text) if text else None
        except ValueError:
            raise invalid(key, f"expected a number, got {text!r}") from None

    def flag(self, key: str) -> bool | None:
        text = self.text(key).lower()
        if text not in ("", "true", "false"):
            raise invalid(key, f"expected true or false, got {text!r}")
        return None if not text else text == "true"

    def instant(self, key: str) -> float | None:
        text = self.text(key)
        return parse_instant(text, key) if text else None

    def duration(self, key: str) -> float | None:
        text = self.text(key)
        return parse_duration(text, key) if text else None

    def metadata(self) -> Callable[[Mapping[str, Any]], bool] | None:
        """The `metadata` filter: `{"temp": {"gte": 20}, "shift": "A"}`, at most five keys."""
        text = self.text("metadata")
        if not text:
            return None
        try:
            wanted = json.loads(text)
        except ValueError:
            raise invalid("metadata", "expected a JSON object") from None
        if not isinstance(wanted, dict):
            raise invalid("metadata", "expected a JSON object")
        tests = cast("dict[str, Any]", wanted)
        if len(tests) > MAX_METADATA_KEYS:
            raise invalid("metadata", f"at most {MAX_METADATA_KEYS} keys")
        return lambda found: all(_meets(found.get(key), test) for key, test in tests.items())


def _meets(value: Any, test: Any) -> bool:
    conditions = cast("dict[str, Any]", test) if isinstance(test, dict) else {"eq": test}
    for name, operand in conditions.items():
        if name not in _TESTS:
            raise invalid("metadata", f"unknown operator {name!r}")
        try:
            if value is None or not _TESTS[name](value, operand):
                return False
        except TypeError:
            return False
    return True


def parse_instant(text: str, key: str) -> float:
    """ISO 8601 with zone or `Z` (without: UTC) to seconds since the epoch."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(key, f"expected an ISO 8601 datetime, got {text!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_duration(text: str, key: str) -> float:
    """ISO 8601 duration (`PT1H23M12S`) to seconds."""
    found = _DURATION.fullmatch(text)
    if not found or not any(found.groups()):
        raise invalid(key, f"expected an ISO 8601 duration, got {text!r}")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def duration(seconds: float) -> str:
    """Seconds to an ISO 8601 duration, to the millisecond: `PT1H23M12.5S`."""
    whole, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(whole), 60)
    text = f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes)
    tail = f"{rest:.3f}".rstrip("0").rstrip(".")
    return f"PT{text}{tail}S" if tail != "0" or not text else f"PT{text}"
