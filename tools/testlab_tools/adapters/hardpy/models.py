"""HardPy's own shapes: the documents of its state store, version 1, as `GET /api/json_data` of 0.25.2 lists them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from testlab_tools.http.response import Wire
from testlab_tools.models.lab import Outcome
from testlab_tools.reports.hardpy import Measured
from testlab_tools.reports.report import Seconds

Answer = Literal["ready", "busy", "started", "stopped", "collected", "error"]
"""What the panel answers to status, start, stop and collect ("Status" of its OpenAPI page)."""

ENDED: dict[str, Outcome] = {"passed": "pass", "failed": "fail", "stopped": "stopped", "error": "error"}
"""How a run ends. `skipped` is of cases alone."""
OUTCOMES: dict[str, Outcome] = {**ENDED, "skipped": "skip", "ready": "skip", "run": "running"}
"""Of a case. `ready`: not begun."""


def _text(value: object) -> object:
    """Null where there is no text, and a number where a text is meant."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_text)]


def _or_empty(value: object) -> object:
    return value if value is not None else {}


Info = Annotated[dict[str, Any], BeforeValidator(_or_empty)]


class PanelAnswer(Wire):
    """What status, start, stop and collect answer. `message` is there where the operator is choosing tests."""

    status: Answer


class Widget(Wire):
    """The input of a dialog box. `info` holds the `fields` to choose from, or the `steps` to go through."""

    type: str
    info: Info = {}


class DialogBox(Wire):
    """The `dialog_box` of a case, while the test waits for its operator. `image` and `html` may be megabytes."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    dialog_text: str
    title_bar: Text = ""
    widget: Widget
    pass_fail: bool
    button_text: list[Text] | None = None
    image: dict[str, Any] | None = None
    html: dict[str, Any] | None = None


class OperatorMessage(Wire):
    """The `operator_msg` of a run. Whether its test waits for it to be closed is not in it."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    msg: str
    title: Text = ""
    visible: Any = None
    image: dict[str, Any] | None = None
    html: dict[str, Any] | None = None


class CaseState(Wire):
    """A test function. HardPy keeps the data of its last attempt, and how many there were."""

    status: str
    name: Text = ""
    start_time: Seconds | None = None
    stop_time: Seconds | None = None
    assertion_msg: Text = ""
    msg: Info = {}
    measurements: list[Measured] = []
    attempt: int = 0
    dialog_box: Info = {}

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None for a status that HardPy 0.25 does not have."""
        return OUTCOMES.get(self.status)


class ModuleState(Wire):
    """A test module, with its cases in the order in which they run."""

    name: Text = ""
    cases: dict[str, CaseState]


class Dut(Wire):
    """The unit under test, as far as the tests have said."""

    name: Text = ""
    serial_number: Text = ""
    part_number: Text = ""
    revision: Text = ""
    info: Info = {}


class TestStand(Wire):
    """The stand, as far as the tests have said; `hw_id` and `timezone` HardPy sets itself."""

    __test__ = False

    hw_id: Text = ""
    name: Text = ""
    revision: Text = ""
    timezone: Text = ""
    location: Text = ""
    number: Text = ""
    info: Info = {}
    instruments: list[dict[str, Any]] = []


class Process(Wire):
    """The production process."""

    name: Text = ""
    number: Text = ""
    info: Info = {}


class StateDocument(Wire):
    """A document of the state store: the live state, or a run that has ended. Its times are whole seconds.

    `name` is that of the tests folder, and of the test configuration if one is chosen.
    """

    id: Annotated[str, Field(alias="_id")]
    name: Text
    status: str
    start_time: Seconds | None
    stop_time: Seconds | None
    modules: dict[str, ModuleState]
    dut: Dut
    test_stand: TestStand
    process: Process
    progress: float | None = None
    user: Text = ""
    batch_serial_number: Text = ""
    caused_dut_failure_id: Text = ""
    error_code: Text = ""
    alert: Text = ""
    operator_msg: Info = {}

    @property
    def cases(self) -> dict[str, tuple[ModuleState, CaseState]]:
        """Every case with its module, by the name that the panel takes for it: `module::case`."""
        return {
            f"{module_id}::{case_id}": (module, case)
            for module_id, module in self.modules.items()
            for case_id, case in module.cases.items()
        }
