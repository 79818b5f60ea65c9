"""What the stand tests, and the documents of HardPy's state store: the tests as they stand, and ended runs."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, NamedTuple

from testlab_sim.seeded_random import between, chance

Document = dict[str, Any]
DOC_ID = "localhost_8000"
SUITE = "fct"
RUNS = 120
DAYS = 30
FAIL_RATE = 0.08


class Measured(NamedTuple):
    """What a case measures."""

    name: str
    unit: str
    lower: float
    upper: float


class CaseSpec(NamedTuple):
    """A test function: `seconds` it takes at the pace of life; one with a `dialog` waits for its operator as well."""

    module: str
    case: str
    name: str
    seconds: float
    measured: Measured | None = None
    dialog: str = ""


MODULES = {"test_1_power": "Power", "test_2_audio": "Audio", "test_3_operator": "Operator"}
CASES = (
    CaseSpec("test_1_power", "test_identify", "Identify DUT", 1.0),
    CaseSpec("test_1_power", "test_rail", "5 V rail", 2.0, Measured("rail_5v", "V", 4.75, 5.25)),
    CaseSpec("test_1_power", "test_leak", "Leakage", 2.0, Measured("leak", "mA", 0.0, 0.1)),
    CaseSpec("test_2_audio", "test_tone", "1 kHz tone", 3.0, Measured("thd", "%", 0.0, 1.0)),
    CaseSpec("test_3_operator", "test_led", "LED", 1.0, dialog="Is the LED green?"),
)


def key_of(spec: CaseSpec) -> str:
    """The name that the panel takes for a case."""
    return f"{spec.module}::{spec.case}"


def collected(selected: list[str]) -> Document:
    """The live state after a collection: of the selected tests or modules, all where none is."""
    chosen = [spec for spec in CASES if not selected or key_of(spec) in selected or spec.module in selected]
    modules: Document = {}
    for spec in chosen:
        module = modules.setdefault(spec.module, {**_begun_not(MODULES[spec.module]), "cases": {}})
        module["cases"][spec.case] = {**_begun_not(spec.name), "attempt": 0}
    return {
        "_id": DOC_ID,
        "_rev": DOC_ID,
        "modules": modules,
        "dut": {},
        "test_stand": {"timezone": "Etc/UTC", "hw_id": "3d1219c7c4c5404aaa1f6d2a48adfda4"},
        "process": {},
        "name": SUITE,
        "status": "ready",
        "start_time": None,
        "stop_time": None,
        "progress": 0,
        "operator_msg": {},
        "alert": "",
        "operator_data": {"dialog": ""},
    }


def _begun_not(name: str) -> Document:
    return {"status": "ready", "name": name, "group": "main", "start_time": None, "stop_time": None}


def begin(state: Document, spec: CaseSpec, at: float, number: int) -> None:
    """A case begins; the first says which unit it is."""
    case = _case(state, spec)
    case |= {"status": "run", "start_time": int(at), "attempt": 1}
    module = state["modules"][spec.module]
    module["status"], module["start_time"] = "run", module["start_time"] or int(at)
    if spec.case == "test_identify":
        serial = f"SN-{number:05d}"
        state["dut"] = {"serial_number": serial, "part_number": "PCB-100", "info": {"firmware": "1.4.2"}}
        state["test_stand"] |= {"name": "FCT-01", "location": "Lab A"}
        state["process"] = {"name": "Final test"}


def end(state: Document, spec: CaseSpec, at: float, number: int, *, said_no: bool = False) -> None:
    """A case ends; one in twelve, always the same ones, fails."""
    case = _case(state, spec)
    failed = said_no
    if spec.measured is not None:
        low, high = spec.measured.lower, spec.measured.upper
        failed = chance("hardpy", number, spec.case) < FAIL_RATE
        value = high * 1.02 if failed else round(between(low, high, "hardpy value", number, spec.case), 4)
        case["measurements"] = [_measurement(spec.measured, value, passed=not failed)]
        case["msg"] = {"value": f"{spec.measured.name} = {value} {spec.measured.unit}"}
    case |= {"status": "failed" if failed else "passed", "stop_time": int(at), "assertion_msg": None}
    if failed:
        case["assertion_msg"] = f"AssertionError: {spec.name} is out of its limits\nassert False"
        state.setdefault("caused_dut_failure_id", key_of(spec))
    _end_module(state, spec.module, at)
    ended = [c for m in state["modules"].values() for c in m["cases"].values() if c["stop_time"] is not None]
    state["progress"] = 100 * len(ended) // sum(len(m["cases"]) for m in state["modules"].values())


def _measurement(measured: Measured, value: float, *, passed: bool) -> Document:
    limits = {"lower_limit": measured.lower, "upper_limit": measured.upper}
    told = {"type": "numeric", "name": measured.name, "operation": "gele", "result": passed, "value": value}
    return {**told, "unit": measured.unit, **limits}


def _end_module(state: Document, name: str, at: float) -> None:
    module = state["modules"][name]
    statuses = [case["status"] for case in module["cases"].values()]
    if "ready" not in statuses and "run" not in statuses:
        module |= {"status": "failed" if "failed" in statuses else "passed", "stop_time": int(at)}


def finish(state: Document, at: float, *, stopped: bool = False) -> Document:
    """The run ends. Returns its document in the history."""
    _end_run(state, at, stopped=stopped)
    return _file(deepcopy(state), at)


def _end_run(state: Document, at: float, *, stopped: bool) -> None:
    cases = [case for module in state["modules"].values() for case in module["cases"].values()]
    if stopped:
        going = True
        for case in (case for case in cases if case["status"] in ("run", "ready")):
            case |= {"status": "stopped" if going else "skipped", "dialog_box": {}}
            going = False
    failed = any(case["status"] == "failed" for case in cases)
    state |= {"status": "stopped" if stopped else "failed" if failed else "passed", "stop_time": int(at)}


def _file(state: Document, at: float) -> Document:
    """`state` as a document of the history."""
    state["_id"] = str(int(at * 1000))
    del state["_rev"]
    return state


def history(now: float) -> list[Document]:
    """The runs of the last weeks, oldest first."""
    made: list[Document] = []
    for number in range(RUNS):
        at = now - DAYS * 86_400 + number * DAYS * 86_400 / RUNS
        state = collected([])
        state |= {"status": "run", "start_time": int(at)}
        for spec in CASES:
            begin(state, spec, at, number)
            at += spec.seconds
            end(state, spec, at, number)
        _end_run(state, at, stopped=False)
        made.append(_file(state, at))
    return json.loads(json.dumps(made))


def _case(state: Document, spec: CaseSpec) -> Document:
    return state["modules"][spec.module]["cases"][spec.case]
