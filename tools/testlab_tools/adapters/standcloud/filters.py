"""A question as filters of `GET /test_run`, and rows held against it again.

HardPy's document ("StandCloud reader") lets any key of `dut.info` stand among the filters; no source says what a server
does with a key it does not know. So each row is looked at here too: a filter that was ignored gives no wrong runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, cast

from testlab_tools.adapters.standcloud.models import outcome
from testlab_tools.capabilities import FilterKeys
from testlab_tools.errors import BadInput, BadReply
from testlab_tools.models.requests import RunQuery
from testlab_tools.times import seconds, utc
from testlab_tools.untrusted import shorten

_STATUS = {"pass": "pass", "fail": "fail", "skip": "skip", "stopped": "stop"}
"""The statuses that StandCloud's own enum has; runs of any other outcome are picked out here."""
TWINS = {"finish_time": "stop_time", "stop_time": "finish_time"}
_TIMES = frozenset({"start_time", "finish_time", "stop_time"})
_PAGING = frozenset({"limit", "offset"})
MAX_KEYS, KEY_CHARS = 40, 80
"""How many keys are told, those that most runs carry, and how much of each."""


class Filters:
    """What is sent (`params`), the outcome asked for, which not every wire status has, and the keys in `query.text`.

    It is noted which of them the rows read carry: a server may leave out a field, though none was null; and it answers
    a key that no device has with an empty list, as it does a value that none has.
    """

    def __init__(self, params: Mapping[str, str], outcome: str, keys: Collection[str]) -> None:
        self.params, self.outcome, self.keys = params, outcome, keys
        self.read = 0
        self._lacking = {key for key in params if key in _OWN and key not in keys}
        self._carried: Counter[str] = Counter()

    def allow(self, service: str, row: Mapping[str, Any]) -> bool:
        """Whether a row is one that was asked for.

        Raises:
            BadReply: it lacks what would tell.
        """
        if self.outcome and outcome(str(row.get("status"))) != self.outcome:
            return False
        told = {key: _read_key(row, key) for key in self.params}
        if not all(_same(key, wanted, told[key]) for key, wanted in self.params.items() if told[key] is not _UNTOLD):
            return False
        if _UNTOLD in told.values():
            raise BadReply(
                service,
                f"{service} sent runs without their dut_info",
                "Whether they match the filter cannot be checked",
                "Leave out the keys of dut.info from filter.",
            )
        return True

    def note(self, row: Mapping[str, Any]) -> None:
        """Look at a row."""
        self.read += 1
        self._lacking -= {key for key in self._lacking if key in row or TWINS.get(key, key) in row}
        if self.keys:
            own = {key: value for key, value in row.items() if not isinstance(value, dict)}
            self._carried.update(key for key, value in (own | (dut_info(row) or {})).items() if value is not None)

    def check(self, service: str) -> None:
        """Raises BadReply where rows were read and none has a field that was asked for: none could match."""
        if self.read and self._lacking:
            raise BadReply(
                service,
                f"{service} sent {self.read} runs or devices and none has its {min(self._lacking)}",
                "Whether one matches cannot be told",
                "Ask by something else: a test, a station, a time.",
            )

    def missing_keys(self) -> FilterKeys | None:
        """None where each key in `query.text` is carried by some row, or no row was read."""
        lacking = [key for key in self.keys if not {key, TWINS.get(key, key)} & self._carried.keys()]
        if not lacking or not self.read:
            return None
        carried = [shorten(key, KEY_CHARS) for key, _ in self._carried.most_common(MAX_KEYS)]
        return FilterKeys(self.read, lacking, carried)


def filters_of(query: RunQuery) -> Filters:
    """`query.text` holds more filters, as `key=value&key=value`. Raises BadInput when it does not."""
    params = {
        "status": _STATUS.get(query.outcome, ""),
        "serial_number": query.unit,
        "part_number": query.part,
        "test_plan_name": query.test,
        "test_stand_name": query.station,
    }
    params = {key: value for key, value in params.items() if value}
    keys: list[str] = []
    for pair in filter(None, query.text.split("&")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not key or not value:
            raise BadInput("filter is not key=value", "", "For example: batch_number=LOT-42&status=fail")
        if key in _PAGING:
            raise BadInput("filter cannot set limit or offset", "", "Give limit, and cursor for what follows.")
        if key in params:
            raise BadInput("filter gives a key that is given already", "", "Give each once, in filter or by itself.")
        params[key] = value
        keys.append(key)
    return Filters(params, query.outcome, keys)


def dut_info(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """`dut.info` of a run, None where the row does not have it: flat, or within the DUT as HardPy's example shows."""
    told = row.get("dut_info")
    if not isinstance(told, dict):
        return None
    known = cast(dict[str, Any], told)
    within = known.get("info")
    if not isinstance(within, dict):
        return known
    return {key: value for key, value in known.items() if key != "info"} | cast(dict[str, Any], within)


_UNTOLD = object()


def _read_key(row: Mapping[str, Any], key: str) -> object:
    """What a row says of a filter's key: its own field, else one of `dut.info`; None when it has none such."""
    for name in (key, TWINS.get(key, key)):
        if name in row:
            return row[name]
    info = dut_info(row)
    if info is None:
        return None if key in _OWN else _UNTOLD
    return info.get(key)


def _same(key: str, wanted: str, told: object) -> bool:
    """Alike in any case, and in any of the forms a status, a time, a duration or a number is written in."""
    text = "" if told is None else str(told)
    if text.casefold() == wanted.casefold():
        return True
    if key == "status":
        return outcome(text) == outcome(wanted) != "error"
    try:
        if key in _TIMES:
            return utc(datetime.fromisoformat(text)) == utc(datetime.fromisoformat(wanted))
        if key == "duration":
            return seconds(text) == seconds(wanted)
        return not isinstance(told, str | bool) and told is not None and float(text) == float(wanted)
    except ValueError:
        return False


_OWN = frozenset(
    {
        *(_TIMES | {"test_run_id", "test_plan_name", "number_of_attempt", "attempt_count", "status", "duration"}),
        *("serial_number", "part_number", "batch_number"),
        *("test_stand_hw_id", "test_stand_name", "test_stand_number", "test_stand_location"),
    }
)
"""Filters that are a row's own fields; a null one may be left out of a reply."""
