"""What a test run tells besides the lab's own nouns: all of it, as tags."""

from __future__ import annotations

from typing import Any

from testlab_tools.records import labels
from testlab_tools.standcloud.filters import dut_info
from testlab_tools.standcloud.models import TestRunRow
from testlab_tools.times import iso

_SOURCES = ("dut_info", "test_stand_info", "test_run_artifact")


def tags_of(row: TestRunRow) -> dict[str, str]:
    """The keys of a run's `dut_info`, `test_stand_info` and `test_run_artifact`, and every field that no noun holds.

    A name that is taken is written with where it stands: `test_stand_info.revision`.
    """
    extra = {key: value for key, value in (row.model_extra or {}).items() if value is not None}
    extra.pop("stop_time", None)  # where it stands beside finish_time
    if row.start_time and row.finish_time and abs((row.finish_time - row.start_time).total_seconds() - row.seconds) > 1:
        extra["finish_time"] = iso(row.finish_time)
    if row.test_stand_name and row.test_stand_hw_id:
        extra["test_stand_hw_id"] = row.test_stand_hw_id
    tags: dict[str, Any] = {}
    for source in _SOURCES:
        told = dut_info({source: row.dut_info}) if source == "dut_info" else getattr(row, source)
        for name, value in (told or {}).items():
            tags[f"{source}.{name}" if name in tags else name] = value
    for name, value in extra.items():
        tags[f"test_run.{name}" if name in tags else name] = value
    return labels(tags)
