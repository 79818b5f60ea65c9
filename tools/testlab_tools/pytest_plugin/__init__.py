"""`pytest --testlab`: a session's results become a production run, written to a folder or recorded at a service.

Every pytest of an environment loads this module: it imports nothing else until the option is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest

FIELDS = {
    "serial": ("serial_number", "serial number of the unit tested"),
    "procedure": ("procedure_id", "id or name of the procedure"),
    "procedure-version": ("procedure_version", "its version"),
    "part": ("part_number", "part number of the unit"),
    "revision": ("revision", "revision of the part"),
    "batch": ("batch_number", "batch of the unit"),
    "station": ("station", "where it is tested; by default the name of this machine"),
    "operator": ("operator", "who tests it"),
}
"""Options and ini keys, with the field of the run they are for."""

Measurement = dict[str, Any]
_MEASURED = pytest.StashKey[list[Measurement]]()
_FAILED = pytest.StashKey[list[str]]()
UNIT = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, and an ini key for each of them but `--testlab`."""
    group = parser.getgroup("testlab", "production results (testlab-mcp)")
    group.addoption("--testlab", action="store_true", help="record this session as a production run")
    places = {
        "folder": "folder that the run is written to, a testlab-run file",
        "service": "service of testlab-mcp's config that the run is recorded at",
        "config": "testlab-mcp's config; by default the one testlab-mcp finds",
    }
    for name, what in (places | {name: what for name, (_, what) in FIELDS.items()}).items():
        group.addoption(f"--testlab-{name}", default="", metavar=name.upper(), help=what)
        parser.addini(f"testlab_{name.replace('-', '_')}", what, default="")


def read_option(config: pytest.Config, name: str) -> str:
    """An option, else its ini key."""
    key = f"testlab_{name.replace('-', '_')}"
    return str(config.getoption(key) or config.getini(key) or "")


def pytest_configure(config: pytest.Config) -> None:
    """Start recording, in the controller of pytest-xdist where there is one."""
    if not is_recording(config):
        return
    from testlab_tools.pytest_plugin import unit

    config.pluginmanager.register(unit, "testlab-unit")
    if not hasattr(config, "workerinput"):
        from testlab_tools.pytest_plugin.recorder import Recorder

        config.pluginmanager.register(Recorder(config), "testlab-recorder")


def is_recording(config: pytest.Config) -> bool:
    """Whether the session becomes a run."""
    return bool(config.getoption("testlab")) and not config.getoption("collectonly", False)


@pytest.fixture(scope="session")
def testlab_unit() -> Mapping[str, str]:
    """What is tested, by the fields of a run (`serial_number`, `part_number`, …): for a suite to replace. Options of
    the command line come first, the ini file last."""
    return {}


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[..., bool]:
    """Record a measurement: `measure("rail_5v", 5.02, unit="V", low=4.75, high=5.25)`; True within its limits.

    Limits are inclusive; `expected` is a value to be equal to. A measurement outside its limits does not end the test,
    and fails it when it has ended, with or without `--testlab`, as OpenHTF does. So does a number that is none (NaN).

    Raises:
        TypeError: limits are given for what is not a number.
        ValueError: a limit is NaN, or `low` is above `high`.
    """

    def measure(
        name: str,
        value: object,
        *,
        unit: str = "",
        low: float | None = None,
        high: float | None = None,
        expected: object = None,
    ) -> bool:
        measured = judge(name, _to_plain(value), unit, low, high, _to_plain(expected))
        request.node.stash[_MEASURED].append(measured)
        if measured["outcome"] == "fail":
            request.node.stash[_FAILED].append(describe(measured))
        return measured["outcome"] == "pass"

    return measure


def judge(name: str, value: Any, unit: str, low: float | None, high: float | None, expected: Any) -> Measurement:
    """The measurement with its outcome, in types that travel between processes."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    limits = [float(limit) for limit in (low, high) if limit is not None]
    if limits and not is_number:
        raise TypeError(f"measure({name!r}): low and high are limits of a number")
    if any(math.isnan(limit) for limit in limits) or limits != sorted(limits):
        raise ValueError(f"measure({name!r}): low is above high, or a limit is no number")
    kept = not (isinstance(value, float) and math.isnan(value))
    kept = kept and (low is None or value >= low) and (high is None or value <= high)
    kept = kept and (expected is None or value == expected)
    return {
        "name": str(name),
        "outcome": "pass" if kept else "fail",
        "value": value,
        "units": str(unit),
        "lower": None if low is None else float(low),
        "upper": None if high is None else float(high),
        "expected": "" if expected is None else str(expected),
    }


def _to_plain(value: Any) -> Any:
    """A value in types that JSON has; NumPy's numbers and arrays have `tolist`, what has no such type is its text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return str(value)


def describe(measured: Measurement) -> str:
    """`rail_5v is 5.31 V, above 5.25`, of a measurement that fails."""
    value, low, high = measured["value"], measured["lower"], measured["upper"]
    text = f"{measured['name']} is {value}{' ' if measured['units'] else ''}{measured['units']}"
    if measured["expected"] and str(value) != measured["expected"]:
        return f"{text}, not {measured['expected']}"
    if low is not None and value < low:
        return f"{text}, below {low:g}"
    return f"{text}, above {high:g}" if high is not None and value > high else text


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin an attempt: a test that is run again measures anew."""
    item.stash[_MEASURED] = []
    item.stash[_FAILED] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that has ended well with a measurement outside its limits."""
    result = yield
    _fail_measured(item)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """As pytest_runtest_call, of what was measured after the test."""
    result = yield
    _fail_measured(item)
    return result


def _fail_measured(item: pytest.Item) -> None:
    none: list[str] = []
    failed, item.stash[_FAILED] = item.stash.get(_FAILED, none), []
    if failed:
        pytest.fail("; ".join(failed), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the report what was measured since the one before; it travels with it from a worker."""
    report = yield
    if is_recording(item.config):
        unit: dict[str, str] = {}
        told = {"measured": take_measured(item), "unit": item.config.stash.get(UNIT, unit)}
        report.testlab = told  # pyright: ignore[reportAttributeAccessIssue]
        item.stash[_MEASURED] = []
    return report


def take_measured(item: pytest.Item) -> list[Measurement]:
    """What a test has measured since its last report."""
    none: list[Measurement] = []
    return item.stash.get(_MEASURED, none)
