"""What waits for the operator; each answer is measured, so that it can be read in the run."""

from __future__ import annotations

import hardpy
import pytest

pytestmark = pytest.mark.module_name("Operator")


def keep(name: str, answer: object) -> None:
    hardpy.set_case_measurement(hardpy.StringMeasurement(name=name, value=repr(answer)))


def test_pass_fail() -> None:
    box = hardpy.DialogBox("Is the LED green?", "LED", pass_fail=True, button_text=["Green", "Not green"])
    said = hardpy.run_dialog_box(box)
    keep("led", said.result)


def test_text() -> None:
    keep("text", hardpy.run_dialog_box(hardpy.DialogBox("Scan the label", widget=hardpy.TextInputWidget())))


def test_number() -> None:
    keep("number", hardpy.run_dialog_box(hardpy.DialogBox("Volts?", widget=hardpy.NumericInputWidget())))


def test_choice() -> None:
    widget = hardpy.RadiobuttonWidget(["red", "blue's 100%"])
    keep("choice", hardpy.run_dialog_box(hardpy.DialogBox("Which wire?", widget=widget)))


def test_choices() -> None:
    widget = hardpy.CheckboxWidget(["one", 'two "2"', "three"])
    keep("choices", hardpy.run_dialog_box(hardpy.DialogBox("Which are lit?", widget=widget)))


def test_message() -> None:
    hardpy.set_operator_message("Take the unit out", "Done")


def test_noted() -> None:
    hardpy.set_operator_message("Bay 3", block=False)
    box = hardpy.DialogBox("Is the LED green?", "LED", pass_fail=True)
    assert hardpy.run_dialog_box(box).result
