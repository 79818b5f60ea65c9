"""Limits of a measurement: numbers where they are numbers, text where they are not.

OpenHTF writes limits only as text (`4.85 <= Marginal:4.9 <= x <= Marginal:5.1 <= 5.15`); TofuPilot v2 as validators
(`{"operator": "<=", "expected_value": 5.15}`), v1 as lower and upper limit; HardPy as lower and upper, or an operation
with a comparison value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf"
_RANGE = re.compile(
    rf"^\s*(?:(?P<lower>{_NUMBER})\s*<=?\s*(?:Marginal:\s*(?:{_NUMBER})\s*<=?\s*)?)?"
    rf"x"
    rf"(?:\s*<=?\s*(?:Marginal:\s*(?:{_NUMBER})\s*<=?\s*)?(?P<upper>{_NUMBER}))?\s*$"
)
_EQUALS = re.compile(rf"^\s*'?x'?\s*==\s*(?P<value>{_NUMBER})\s*$")
_MATCHES = re.compile(r"^\s*'x' matches /(?P<regex>.*)/\s*$")


@dataclass(frozen=True)
class Limits:
    """`lower <= x <= upper`, each if given; `expected` is any limit that is not such a range, as text."""

    lower: float | None = None
    upper: float | None = None
    expected: str = ""

    @classmethod
    def parse(cls, text: str) -> Limits:
        """Read one OpenHTF validator.

        >>> Limits.parse("4.85 <= Marginal:4.9 <= x <= Marginal:5.1 <= 5.15")
        Limits(lower=4.85, upper=5.15, expected='')
        >>> Limits.parse(r"'x' matches /^1\\.4\\.2$/")
        Limits(lower=None, upper=None, expected='1.4.2')
        """
        if (found := _RANGE.match(text)) and (found["lower"] or found["upper"]):
            return cls(_number(found["lower"]), _number(found["upper"]))
        if found := _EQUALS.match(text):
            value = _number(found["value"])
            return cls(value, value)
        if found := _MATCHES.match(text):
            return cls(expected=_literal(found["regex"]) or f"matches /{found['regex']}/")
        return cls(expected=text)

    @classmethod
    def parse_all(cls, texts: Iterable[str]) -> Limits:
        """Read all validators of a measurement; ranges narrow each other, texts are joined by `and`."""
        limits = cls()
        for text in texts:
            limits = limits.narrowed(cls.parse(text))
        return limits

    @classmethod
    def validator(cls, operator: str, expected: object) -> Limits:
        """Read one TofuPilot v2 validator."""
        if isinstance(expected, int | float) and not isinstance(expected, bool):
            value = float(expected)
            match operator:
                case ">=" | ">":
                    return cls(lower=value)
                case "<=" | "<":
                    return cls(upper=value)
                case "==":
                    return cls(value, value)
                case _:
                    return cls(expected=f"{operator} {expected}".strip())
        match operator:
            case "==" | "matches":
                text = str(expected)
                return cls(expected=text if operator == "==" else f"matches /{text}/")
            case _:
                return cls(expected=f"{operator} {expected}".strip())

    def allow(self, value: object) -> bool | None:
        """Whether `value` keeps the range; None when that cannot be said from numbers."""
        if isinstance(value, bool) or not isinstance(value, int | float) or self.lower is self.upper is None:
            return None
        return (self.lower is None or value >= self.lower) and (self.upper is None or value <= self.upper)

    def narrowed(self, other: Limits) -> Limits:
        """Both limits at once."""
        texts = [text for text in (self.expected, other.expected) if text]
        return replace(
            self,
            lower=max((v for v in (self.lower, other.lower) if v is not None), default=None),
            upper=min((v for v in (self.upper, other.upper) if v is not None), default=None),
            expected=" and ".join(dict.fromkeys(texts)),
        )


def _number(text: str | None) -> float | None:
    if text is None or "inf" in text:
        return None
    return float(text)


def _literal(regex: str) -> str:
    """The one text that `^…$` matches, when nothing in it is special; empty otherwise."""
    body = regex.removeprefix("^").removesuffix("$")
    if len(body) != len(regex) - 2:
        return ""
    text = re.sub(r"\\([^\w\s])", r"\1", body)
    return text if f"^{re.escape(text)}$" == regex or re.escape(text) == body else ""
