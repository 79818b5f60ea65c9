"""Write `report.json` here: a report by OpenHTF 1.6.3 with every validator it brings, dimensions and subtests.

usage: python generate.py    (needs openhtf==1.6.3; the report changes only in its times and addresses)
"""

from pathlib import Path

import openhtf as htf
from openhtf.output.callbacks import json_factory
from openhtf.util import units, validators

VALUES = {
    "within_percent": 5.2,
    "within_percent_marginal": 5.4,
    "equals_number": 3,
    "equals_text": "rev B-1.4_ü",
    "equals_tuple": (1, 2),
    "equals_flag": True,
    "matches_regex": "123",
    "all_in_range": [1, 2, 3],
    "all_equal": [3, 3],
    "custom": 3,
    "custom_failed": 1,
    "two_ranges": 3,
    "minimum": 2,
    "tiny": 2e-8,
    "infinite": float("inf"),
    "not_a_number": float("nan"),
    "rounded": 1.23456,
    "falsy": 0,
    "empty": "",
}


def accepts(value):
    return value > 2


@htf.measures(
    htf.Measurement("within_percent").within_percent(5, 10).with_units(units.VOLT),
    htf.Measurement("within_percent_marginal").within_percent(5, 10, 5),
    htf.Measurement("equals_number").equals(3),
    htf.Measurement("equals_text").equals("rev B-1.4_ü"),
    htf.Measurement("equals_tuple").equals((1, 2)),
    htf.Measurement("equals_flag").equals(True),
    htf.Measurement("matches_regex").matches_regex(r"^\d+$"),
    htf.Measurement("all_in_range").all_in_range(1, 5, 2, 4),
    htf.Measurement("all_equal").all_equals(3),
    htf.Measurement("custom").with_validator(accepts),
    htf.Measurement("custom_failed").in_range(0, 5).with_validator(accepts),
    htf.Measurement("two_ranges").in_range(1, 5).in_range(2, 7),
    htf.Measurement("minimum").in_range(minimum=1),
    htf.Measurement("tiny").in_range(1e-9, 1e-7),
    htf.Measurement("infinite").in_range(minimum=0),
    htf.Measurement("not_a_number"),
    htf.Measurement("rounded").with_precision(2),
    htf.Measurement("falsy").with_units(units.NO_DIMENSION),
    htf.Measurement("empty"),
    htf.Measurement("never_set").in_range(1, 2),
    htf.Measurement("pivot")
    .with_dimensions(units.HERTZ, units.SECOND)
    .with_units(units.VOLT)
    .dimension_pivot_validate(validators.in_range(0, 5)),
    htf.Measurement("consistent_end")
    .with_dimensions("step")
    .consistent_end_dimension_pivot_validate(validators.in_range(0, 5)),
)
def measure(test):
    for name, value in VALUES.items():
        setattr(test.measurements, name, value)
    test.measurements.pivot[100, 1] = 3
    test.measurements.pivot[200, 1] = 4
    test.measurements.consistent_end[1] = 7
    test.measurements.consistent_end[2] = 3


def skipped(test):
    return htf.PhaseResult.SKIP


def repeated(test):
    test.state["tries"] = test.state.get("tries", 0) + 1
    return htf.PhaseResult.REPEAT if test.state["tries"] < 3 else htf.PhaseResult.CONTINUE


def inside(test):
    return htf.PhaseResult.CONTINUE


test = htf.Test(
    measure, skipped, repeated, htf.Subtest("left", inside), htf.Subtest("right", inside), test_name="Valid"
)
test.add_output_callbacks(json_factory.OutputToJSON(str(Path(__file__).with_name("report.json")), indent=1))
test.execute(test_start=lambda: "SN-0100")
