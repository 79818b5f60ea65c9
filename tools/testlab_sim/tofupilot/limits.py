"""Limits told as text, the only form OpenHTF's JSON has (openhtf 1.6.3, `util/validators.py`), as validators."""

from __future__ import annotations

import re

from testlab_sim.production.records import Measurement, Validator
from testlab_sim.tofupilot.intake import judge

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BOUND = re.compile(rf"(Marginal:)?({_NUMBER})")
_RANGE = re.compile(rf"(?:(?:Marginal:)?{_NUMBER} <= )*x(?: <= (?:Marginal:)?{_NUMBER})*")
_EXACT = re.compile(rf"x == ({_NUMBER})")
_FLAG = re.compile(r"x == (True|False)")
_EQUAL = re.compile(r"'?x'? is equal to '(.*)'", re.S)
_MATCH = re.compile(r"'?x'? matches /(.*)/", re.S)
_WITHIN = re.compile(rf"'?x'? is within ({_NUMBER})% of ({_NUMBER})\.?(?: Marginal: ({_NUMBER})% of ({_NUMBER}))?")


def validators_of(texts: list[str], item: Measurement) -> list[Validator]:
    """Validators of a measurement; a text that is none of the known forms is kept as an expression alone."""
    return [validator for text in texts for validator in _validators(text, item)]


def _validators(text: str, item: Measurement) -> list[Validator]:
    if text != "x" and _RANGE.fullmatch(text):
        return _range(text, item)
    if found := _FLAG.fullmatch(text):
        return [Validator("==", found[1] == "True", text, item.outcome)]
    if found := _EXACT.fullmatch(text):
        expected = float(found[1])
        return [Validator("==", expected, text, judge("==", expected, item))]
    if found := _WITHIN.fullmatch(text):
        return _within(found, item)
    if found := _EQUAL.fullmatch(text):
        return [Validator("==", found[1], text, item.outcome)]
    if found := _MATCH.fullmatch(text):
        return [Validator("matches", found[1], text, item.outcome)]
    return [Validator(None, None, text, item.outcome)]


def _range(text: str, item: Measurement) -> list[Validator]:
    """`4.85 <= Marginal:4.9 <= x <= Marginal:5.1 <= 5.15`: marginal bounds warn, the others decide."""
    terms = text.split(" <= ")
    middle = terms.index("x")
    found: list[Validator] = []
    for place, term in enumerate(terms):
        if place == middle:
            continue
        bound = _BOUND.fullmatch(term)
        assert bound is not None
        operator = ">=" if place < middle else "<="
        found.append(_bound(operator, float(bound[2]), item, decisive=bound[1] is None))
    return found


def _within(found: re.Match[str], item: Measurement) -> list[Validator]:
    made: list[Validator] = []
    for percent, centre, decisive in ((found[1], found[2], True), (found[3], found[4], False)):
        if percent is None:
            continue
        spread = abs(float(centre)) * float(percent) / 100
        made.append(_bound(">=", float(centre) - spread, item, decisive=decisive))
        made.append(_bound("<=", float(centre) + spread, item, decisive=decisive))
    return made


def _bound(operator: str, limit: float, item: Measurement, *, decisive: bool) -> Validator:
    return Validator(operator, limit, f"x {operator} {limit:g}", judge(operator, limit, item), decisive)
