"""Limits of a measurement: numbers where they are numbers, text where they are not.

OpenHTF writes limits only as text (`4.85 <= Marginal:4.9 <= x <= Marginal:5.1 <= 5.15`); TofuPilot v2 as validators
(`{"operator": "<=", "expected_value": 5.15}`), v1 as lower and upper limit; HardPy as lower and upper, or an operation
with a comparison value.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

_LARGEST = sys.float_info.max
_NUMBER = r"(?:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf)"
_RANGE = re.compile(
    rf"(?:(?P<lower>{_NUMBER})\s*<=\s*(?:Marginal:\s*{_NUMBER}\s*<=\s*)?)?"
    rf"x"
    rf"(?:\s*<=\s*(?:Marginal:\s*{_NUMBER}\s*<=\s*)?(?P<upper>{_NUMBER}))?"
)
_COMPARED = re.compile(rf"(?:'?x'?\s*)?(?P<operator>==|>=|<=)\s*(?P<value>{_NUMBER})")
_WITHIN = re.compile(rf"'x' is within (?P<percent>{_NUMBER})% of (?P<middle>{_NUMBER})\.(?: Marginal: .*)?", re.DOTALL)
_MATCHES = re.compile(r"'x' matches /(?P<regex>.*)/", re.DOTALL)
_IS = re.compile(r"'x' is equal to '(?P<value>.*)'|x == (?P<flag>True|False)", re.DOTALL)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_CODE = re.compile(r"<(?:function |built-in function |bound method )?(?P<name>.+?)(?: object| of .*)?>", re.DOTALL)

MAX_CHARS = 2_000
"""Of a text that is read as limits; a longer one stays text."""


@dataclass(frozen=True)
class Limits:
    """`lower <= x <= upper`, each if given; `expected` is any limit that is not such a range, as text."""

    lower: float | None = None
    upper: float | None = None
    expected: str = ""

    @classmethod
    def parse(cls, text: str) -> Limits:
        """Read one validator as OpenHTF 1.6.3 writes it (`openhtf/util/validators.py`), or what `str` gave.

        Marginal limits are left out. A limit without its bound (`x < 5`) is no such range and stays text.

        >>> Limits.parse("4.85 <= Marginal:4.9 <= x <= Marginal:5.1 <= 5.15")
        Limits(lower=4.85, upper=5.15, expected='')
        >>> Limits.parse(r"'x' matches /^1\\.4\\.2$/")
        Limits(lower=None, upper=None, expected='1.4.2')
        >>> Limits.parse("'x' is within 10% of 5.")
        Limits(lower=4.5, upper=5.5, expected='')
        """
        text = text.strip()
        if len(text) > MAX_CHARS:
            return cls(expected=text)
        if limits := _parse_range(text):
            return cls(*limits)
        if found := _MATCHES.fullmatch(text):
            return cls(expected=_parse_literal(found["regex"]) or f"matches /{found['regex']}/")
        if found := _IS.fullmatch(text):
            return cls(expected=found["value"] or found["flag"] or text)
        head, joined, tail = text.partition(" and ")
        if joined and (limits := _parse_range(head)):
            return cls(*limits).narrow(cls.parse(tail))
        return cls(expected=_clean_repr(text))

    @classmethod
    def parse_all(cls, texts: Iterable[str]) -> Limits:
        """Read all validators of a measurement; ranges narrow each other, texts are joined by `and`."""
        limits = cls()
        for text in texts:
            limits = limits.narrow(cls.parse(text))
        return limits

    @classmethod
    def validator(cls, operator: str, expected: object) -> Limits:
        """Read one TofuPilot v2 validator."""
        if isinstance(expected, int | float) and not isinstance(expected, bool) and abs(expected) <= _LARGEST:
            value = float(expected)
            if operator in (">=", ">"):
                return cls(lower=value)
            if operator in ("<=", "<"):
                return cls(upper=value)
            if operator == "==":
                return cls(value, value)
        elif operator == "==":
            return cls(expected=str(expected))
        elif operator == "matches":
            return cls(expected=f"matches /{expected}/")
        return cls(expected=f"{operator} {expected}".strip())

    def __str__(self) -> str:
        """The text that `parse` reads back as these limits; empty for none."""
        if self.lower is not None and self.lower == self.upper:
            texts = [f"x == {_short(self.lower)}"]
        elif self.lower is not None or self.upper is not None:
            lower = "" if self.lower is None else f"{_short(self.lower)} <= "
            texts = [f"{lower}x" + ("" if self.upper is None else f" <= {_short(self.upper)}")]
        else:
            texts = []
        if self.expected:
            misread = Limits.parse(self.expected) != Limits(expected=self.expected)
            texts.append(f"'x' matches /^{re.escape(self.expected)}$/" if misread else self.expected)
        return " and ".join(texts)

    def allow(self, value: object) -> bool | None:
        """Whether `value` keeps the range; None when that cannot be said from numbers."""
        if isinstance(value, bool) or not isinstance(value, int | float) or self.lower is self.upper is None:
            return None
        return (self.lower is None or value >= self.lower) and (self.upper is None or value <= self.upper)

    def narrow(self, other: Limits) -> Limits:
        """Both limits at once."""
        texts = [text for text in (self.expected, other.expected) if text]
        return replace(
            self,
            lower=max((v for v in (self.lower, other.lower) if v is not None), default=None),
            upper=min((v for v in (self.upper, other.upper) if v is not None), default=None),
            expected=" and ".join(dict.fromkeys(texts)),
        )


def _parse_range(text: str) -> tuple[float | None, float | None] | None:
    """Lower and upper limit, if the text is such a range."""
    if (found := _RANGE.fullmatch(text)) and (found["lower"] or found["upper"]):
        return _parse_number(found["lower"]), _parse_number(found["upper"])
    if found := _COMPARED.fullmatch(text):
        value = _parse_number(found["value"])
        return (None if found["operator"] == "<=" else value), (None if found["operator"] == ">=" else value)
    if found := _WITHIN.fullmatch(text):
        # Worked out as OpenHTF does, so that a value on the limit is judged alike.
        middle = float(found["middle"])
        spread = abs(middle * float(found["percent"]) / 100.0)
        return middle - spread, middle + spread
    return None


def _parse_number(text: str | None) -> float | None:
    value = float(text or "inf")
    return value if math.isfinite(value) else None


def _parse_literal(regex: str) -> str:
    """The one text that `^…$` matches, when nothing in it is special; empty otherwise."""
    body = regex.removeprefix("^").removesuffix("$")
    text = re.sub(r"\\(\W)", r"\1", body)
    return text if f"^{re.escape(text)}$" == regex else ""


def _clean_repr(text: str) -> str:
    """A validator that is a Python function is written as its repr, with the address it had in that process."""
    bare = _ADDRESS.sub("", text)
    if bare != text and (found := _CODE.fullmatch(bare)):
        return f"accepted by {found['name']}"
    return bare


def _short(value: float) -> str:
    return repr(value).removesuffix(".0")
