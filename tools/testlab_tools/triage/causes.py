"""The cause of a failure: its message without numbers, times, names and places; and faults of the equipment in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Literal, NamedTuple

from testlab_tools.capabilities import Failure
from testlab_tools.untrusted import sanitize

MAX_CHARS = 400
"""How much of a message is looked at."""

_UNIT = (
    r"(?:[pnuµμmkMGT]?(?:s|V|A|W|Wh|Ah|F|H|m|g|N|Hz|Ohm|Ω|Pa|B|b|bit|bps)(?:/s)?|dB[a-zA-Zµμ]{0,3}|[KMGT]iB|°?[CF]|%|ppm"
    r"|sec|secs|seconds?|minutes?|mins?|hours?|h|days?|bytes?|fps|rpm|px|bar|K)"
)
_PARTS = {
    "keep": r"(?i:\b(?:GPIB|TCPIP|USB|ASRL|PXI|VXI)\d*::[\w.:-]+"
    r"|\b(?:HTTP|errno|exit (?:code|status)|status(?: code)?|error(?: code)?)\W{0,2}-?\d+\b)",
    "id": r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\b(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}\b"
    r"|\b0[xX][0-9a-fA-F]+\b"
    r"|\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b"
    r"|\b(?:S/N|SN|[Ss]erial(?: number)?)[:#=\s-]*(?=[\w-]*\d)[A-Za-z0-9][\w-]*"
    r"|\b(?:id|uid|uuid)[=:]\s*[^\s,;)]+"
    r"|\b(?!ERR|CODE|HTTP)[A-Z][A-Z0-9]{1,11}(?:-[A-Z0-9]+)*-[A-Z]?\d{4,}\b",
    "time": r"\b\d{4}-\d\d-\d\d(?:[T _]\d\d[:.]\d\d(?:[:.]\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?\b"
    r"|\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?\b",
    "quoted": r"(?<!\w)(?P<q>['\"`])[^'\"`\n]*(?P=q)(?!\w)|“[^”\n]*”|‘[^’\n]*’|«[^»\n]*»",
    "place": r"\b[a-z][a-z0-9+.-]*://[^\s,;)\]]+"
    r"|(?<![\w.])(?:[A-Za-z]:\\|~?/|\.{1,2}/)[\w.@+~%-]+(?:[/\\][\w.@+~%-]+)*/?"
    r"|(?<![\w/.])[\w.-]+(?:/[\w.-]+)*/[\w-]+\.[A-Za-z]\w{0,5}\b",
    "number": r"(?<![\w#.])(?<![A-Za-z_]-)[-+]?(?:\d+(?:[.,]\d+)*|\.\d+)(?:[eE][-+]?\d+)?(?:\s?"
    + _UNIT
    + r"(?![\w]))?(?!\w)"
    r"|(?<=[A-Za-z_])\d{5,}(?!\w)",
}
_STAND_INS = re.compile(r"<(?:id|time|…|place)>")
_STANDS_FOR = {"id": "<id>", "time": "<time>", "quoted": "<…>", "place": "<place>", "number": "#"}


GroupBy = Literal["cause", "case", "reason", "station"]


class Cause(NamedTuple):
    """What failures are counted by; `message` is normalised. What does not tell them apart is empty."""

    service: str
    test: str = ""
    case: str = ""
    message: str = ""
    station: str = ""


@lru_cache(maxsize=4_096)
def normalise(message: str) -> str:
    """The message without what changes from run to run.

    Standing for themselves remain instrument addresses and error codes, which are causes, and digits inside names.

    >>> normalise("Channel change took 2.64 s (limit 2.00 s)")
    'channel change took # (limit #)'
    """
    return _replace(message, ("keep",))


@lru_cache(maxsize=4_096)
def normalise_but_quotes(message: str) -> str:
    """As `normalise`, but what is quoted stays: two tests that miss two pictures have two causes.

    >>> normalise_but_quotes("Didn't find match for 'epg.png' within 10 seconds")
    "didn't find match for 'epg.png' within #"
    """
    return _replace(message, ("keep", "quoted"))


Grouped = dict[Cause, list[Failure]]
"""Failures by cause, the newest first in each; causes by last seen, newest first."""


def group_failures(spans: Sequence[Mapping[str, Iterable[Failure]]], group_by: GroupBy = "cause") -> list[Grouped]:
    """Failures of each service, grouped alike in several spans of time.

    A cause is a message, at whatever tests and stations. Where a case has several messages that differ in what they
    quote, or none, the cause is the case's own.
    """
    exact: dict[Cause, set[str]] = {}
    for service, failure in ((name, failure) for span in spans for name, every in span.items() for failure in every):
        exact.setdefault(_find_own(service, failure), set()).add(normalise_but_quotes(failure.reason))

    def find(service: str, failure: Failure) -> Cause:
        own = _find_own(service, failure)
        match group_by:
            case "case":
                return Cause(service, case=failure.case or failure.run.test)
            case "station":
                return Cause(service, station=failure.run.station)
            case "reason":
                return Cause(service, message=own.message)
            case _:
                (message, *others) = exact[own]
                return Cause(service, message=message) if _has_words(message) and not others else own

    return [_group(span, find) for span in spans]


def _group(span: Mapping[str, Iterable[Failure]], find: Callable[[str, Failure], Cause]) -> Grouped:
    found: Grouped = {}
    for service, every in span.items():
        for failure in every:
            found.setdefault(find(service, failure), []).append(failure)
    for same in found.values():
        same.sort(key=lambda failure: failure.run.started_at, reverse=True)
    return dict(sorted(found.items(), key=lambda item: item[1][0].run.started_at, reverse=True))


def _find_own(service: str, failure: Failure) -> Cause:
    return Cause(service, failure.run.test, failure.case, normalise(failure.reason))


def _has_words(message: str) -> bool:
    """Whether something is left of a message besides what stands for numbers, names and places."""
    return any(sign.isalnum() for sign in _STAND_INS.sub("", message))


@cache
def _read_parts() -> re.Pattern[str]:
    """Compiled at its first use, as what follows is: a start would have both for nothing."""
    return re.compile("|".join(f"(?P<{name}>{part})" for name, part in _PARTS.items()))


def _replace(message: str, kept: Sequence[str]) -> str:
    def stand_in(match: re.Match[str]) -> str:
        kind = next(name for name in _PARTS if match[name] is not None)
        return match[0] if kind in kept else _STANDS_FOR[kind]

    return _read_parts().sub(stand_in, " ".join(sanitize(message)[:MAX_CHARS].split())).casefold()


_SILENT = (
    r"(?:(?:is |was |does |did )?not (?:respond|answer|reply|found|connected|reachable)\w*|no (?:response|answer|reply)"
    r"|unreachable|unresponsive|disconnected|offline|lost|time(?:d[ -]?)?out)"
)
_INSTRUMENT = (
    r"(?:dmm|multimeter|oscilloscope|signal generator|(?:spectrum|network|logic|audio) analy[sz]er|emi receiver|"
    r"test receiver|electronic load|instrument|visa|fixture|switch matrix|relay board|barcode scanner|programmer|"
    r"debug probe|jtag|serial port|com\d+|tty\w+|daq|smu)"
)
_TABLE = (
    ("a lost node", rf"\b(?:node|test pc|test station)\b[^.]{{0,40}}\b{_SILENT}|\blost (?:the )?(?:test )?node\b"),
    ("no picture from the device", r"\bno video\b|\bnovideo\b|\bno (?:hdmi|video) (?:signal|input)\b"),
    ("an instrument that does not answer", rf"\b{_INSTRUMENT}\b[^.]{{0,60}}\b{_SILENT}"),
    ("an instrument that does not answer", rf"\b{_SILENT}\b[^.]{{0,60}}(?:gpib|tcpip|usb|asrl)\d*::"),
    ("an instrument that does not answer", rf"(?:gpib|tcpip|usb|asrl)\d*::\S*[^.]{{0,40}}\b{_SILENT}"),
    ("an instrument that does not answer", rf"\b{_SILENT}\b[^.]{{0,30}}\b(?:on|from|by) (?:the )?{_INSTRUMENT}\b"),
)
_CONNECTION = (
    r"connection (?:refused|reset|aborted|closed|lost|timed out)|connection ?(?:refused|reset|aborted)error|broken pipe"
    r"|\betimedout\b|\beconn\w+|no route to host|(?:host|network) (?:is )?unreachable|name or service not known"
)


@cache
def _ignore_case(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def find_fault(failure: Failure) -> str:
    """As `read_fault`, of a failure's message."""
    return read_fault(failure.reason, failure.run.outcome == "error")


def read_fault(message: str, errored: bool) -> str:
    """What the message says is wrong with the equipment, in our words; empty when it says no such thing.

    A broken connection counts only where the run `errored`: a test that asserts on one judges the product.
    """
    message = message[:MAX_CHARS]
    found = next((words for words, pattern in _TABLE if _ignore_case(pattern).search(message)), "")
    if not found and errored and _ignore_case(_CONNECTION).search(message):
        return "a broken connection"
    return found
