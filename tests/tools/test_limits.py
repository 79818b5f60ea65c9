"""Limits: a plain range becomes numbers, everything else stays text that a person can read."""

from __future__ import annotations

import pytest

from testlab_tools.limits import Limits


@pytest.mark.parametrize(
    ("text", "lower", "upper"),
    [
        ("4.85 <= x <= 5.15", 4.85, 5.15),
        ("4.85<=x<=5.15", 4.85, 5.15),
        ("4.85 <= Marginal:4.9 <= x <= Marginal:5.1 <= 5.15", 4.85, 5.15),
        ("4.85 <= Marginal:4.9 <= x <= 5.15", 4.85, 5.15),
        ("x <= Marginal:0.1 <= 0.12", None, 0.12),
        ("x <= 0.12", None, 0.12),
        ("-3.5e-3 <= x", -0.0035, None),
        ("x == 3", 3, 3),
        ("x >= 3", 3, None),
        ("<= 0.12", None, 0.12),
        (">= -40", -40, None),
        ("== 5", 5, 5),
        ("-inf <= x <= 5", None, 5),
        ("'x' is within 10% of 5.", 4.5, 5.5),
        ("'x' is within 2.5% of -40.0.", -41, -39),
        ("'x' is within 10% of 5. Marginal: 5% of 5", 4.5, 5.5),
        ("  x <= 0.12\n", None, 0.12),
    ],
)
def test_a_range_is_read_as_numbers(text: str, lower: float | None, upper: float | None) -> None:
    assert Limits.parse(text) == Limits(lower, upper)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"'x' matches /^1\.4\.2$/", "1.4.2"),
        (r"'x' matches /^rev\ B\-1$/", "rev B-1"),
        (r"'x' matches /^1.4.2$/", "matches /^1.4.2$/"),
        (r"'x' matches /^\d+$/", r"matches /^\d+$/"),
        ("'x' matches /a/b/", "matches /a/b/"),
        ("'x' is equal to '(1, 2)'", "(1, 2)"),
        ("x == True", "True"),
        ("All values pass: 0 <= x <= 5", "All values pass: 0 <= x <= 5"),
        ("<function <lambda> at 0x7f04ff610720>", "accepted by <lambda>"),
        ("<bound method Rack.ok of <rack.Rack object at 0x7f04>>", "accepted by Rack.ok"),
        ("<rack.Validator object at 0x7f04ff610720>", "accepted by rack.Validator"),
        ("1.4.2", "1.4.2"),
        ("<5 V>", "<5 V>"),
        ("x", "x"),
        ("5 +- 1", "5 +- 1"),
        ("4,85 <= x", "4,85 <= x"),
    ],
)
def test_anything_else_is_kept_as_readable_text(text: str, expected: str) -> None:
    assert Limits.parse(text) == Limits(expected=expected)


@pytest.mark.parametrize("text", ["x < 5", "4 < x", "4 < x <= 5", "> 4"])
def test_a_limit_without_its_bound_is_not_taken_for_one_with_it(text: str) -> None:
    limits = Limits.parse(text)

    assert limits == Limits(expected=text)
    assert limits.allow(5) is None


@pytest.mark.parametrize(
    "text",
    [
        "0" * 1_000_000,
        "1<=x<=" + "0" * 1_000_000 + "y",
        "'x' is within " + "1" * 1_000_000 + "y",
        "x<=1 and " * 100_000,
    ],
    ids=["digits", "range", "within", "many"],
)
def test_what_is_far_too_long_for_limits_is_text(text: str) -> None:
    assert Limits.parse(text) == Limits(expected=text.strip())


def test_several_validators_hold_together() -> None:
    assert Limits.parse_all(["1 <= x <= 5", "2 <= x <= 7"]) == Limits(2, 5)
    assert Limits.parse_all(["1 <= x", "'x' matches /^a/", "odd"]) == Limits(1, None, "matches /^a/ and odd")
    assert Limits.parse_all(["odd", "odd"]) == Limits(expected="odd")
    assert Limits.parse_all([]) == Limits()


@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        Limits(4.85, 5.15),
        Limits(lower=1e-9),
        Limits(upper=-0.0),
        Limits(3, 3),
        Limits(0.1 + 0.2, 1e300),
        Limits(expected="1.4.2"),
        Limits(1, 5, "matches /^a and b$/"),
        Limits(expected="matches /^a/ and accepted by f"),
        Limits(1, None, "odd and 2 <= x"),
        Limits(expected="x <= 5"),
        Limits(expected="1 <= x and odd"),
        Limits(expected=" padded\n"),
        Limits(expected="'x' matches /^a$/"),
        Limits(expected="<function f at 0x12>"),
    ],
    ids=str,
)
def test_limits_are_read_back_from_their_text(limits: Limits) -> None:
    assert Limits.parse(str(limits)) == limits


@pytest.mark.parametrize(
    ("operator", "expected", "limits"),
    [
        (">=", 4.85, Limits(lower=4.85)),
        (">", 4.85, Limits(lower=4.85)),
        ("<=", 5, Limits(upper=5)),
        ("<", 5, Limits(upper=5)),
        ("==", 3, Limits(3, 3)),
        ("!=", 3, Limits(expected="!= 3")),
        ("==", "1.4.2", Limits(expected="1.4.2")),
        ("==", True, Limits(expected="True")),
        ("matches", r"^\d+$", Limits(expected=r"matches /^\d+$/")),
        ("in", ["a", "b"], Limits(expected="in ['a', 'b']")),
        ("range", [1, 2], Limits(expected="range [1, 2]")),
    ],
)
def test_validators_of_tofupilot_are_read(operator: str, expected: object, limits: Limits) -> None:
    assert Limits.validator(operator, expected) == limits


@pytest.mark.parametrize(
    ("limits", "value", "allowed"),
    [
        (Limits(4.85, 5.15), 5, True),
        (Limits(4.85, 5.15), 4.85, True),
        (Limits(4.85, 5.15), 5.15, True),
        (Limits(4.85, 5.15), 5.1501, False),
        (Limits(lower=0), 0, True),
        (Limits(lower=0), -1e-12, False),
        (Limits(upper=0.12), 0.13, False),
        (Limits(4.85, 5.15), float("nan"), False),
        (Limits(), 5, None),
        (Limits(expected="5"), 5, None),
        (Limits(0, 5), "3", None),
        (Limits(0, 5), True, None),
        (Limits(0, 5), None, None),
        (Limits(0, 5), [1, 2], None),
    ],
)
def test_a_number_is_within_a_range_or_not_and_nothing_else_is_said(
    limits: Limits, value: object, allowed: bool | None
) -> None:
    assert limits.allow(value) is allowed
