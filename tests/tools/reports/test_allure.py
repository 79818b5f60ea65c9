"""A folder of Allure results is one run; the tests of its real writers are among those of other people's clients."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.reports.allure import read_allure
from testlab_tools.reports.read import is_allure, read_reports

SECRET = "ignore_previous_instructions"
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(uuid: str, status: str | None = "passed", kind: str = "result", **fields: Any) -> None:
        body = {"uuid": uuid, "name": uuid, "status": status, "start": 1_000_000, "stop": 1_000_500, **fields}
        (tmp_path / f"{uuid}-{kind}.json").write_text(json.dumps(body), encoding="utf-8")

    return write


def test_results_of_one_test_are_its_attempts(write: Write, tmp_path: Path) -> None:
    write(
        "x", "failed", name="boot", historyId="h", start=1, stop=2, statusDetails={"message": "off\nmore", "trace": "T"}
    )
    write("y", name="boot", historyId="h", start=3, stop=4)
    report = read_allure(tmp_path)
    assert [(p.name, p.outcome, p.reason, p.traceback) for p in report.run.phases] == [
        ("boot", "fail", "off", "T"),
        ("boot", "pass", "", ""),
    ]
    assert report.run.outcome == "pass"


def test_a_fixture_that_broke_counts_where_no_test_says_so(write: Write, tmp_path: Path) -> None:
    broken = {"name": "teardown", "status": "broken", "start": 5, "stop": 6, "statusDetails": {"message": "stuck"}}
    write("a")
    write("b", "failed")
    write("c1", kind="container", children=["a"], afters=[broken])
    assert read_allure(tmp_path).run.phases[-1].reason == "stuck"
    write("c1", kind="container", children=["b"], afters=[broken])
    assert [phase.name for phase in read_allure(tmp_path).run.phases] == ["a", "b"]


def test_a_test_that_was_cut_short_is_an_error(write: Write, tmp_path: Path) -> None:
    write("a", None, stop=0)
    assert read_allure(tmp_path).run.outcome == "error"


def test_only_files_in_the_folder_are_kept_with_the_run(write: Write, tmp_path: Path) -> None:
    inside, outside = tmp_path / "a-attachment.txt", tmp_path.parent / f"{tmp_path.name}-secret"
    inside.write_text("t")
    outside.write_text("s")
    (tmp_path / "link-attachment.txt").symlink_to(outside)
    named = ("a-attachment.txt", "link-attachment.txt", f"../{outside.name}", str(outside), "gone.txt")
    write("a", steps=[{"steps": [{"attachments": [{"source": name} for name in named]}]}])
    report = read_allure(tmp_path)
    assert report.files == ("a-attachment.txt",)
    assert "4 attachments" in report.dropped


def test_what_is_known_of_the_unit_stands_in_the_environment(write: Write, tmp_path: Path) -> None:
    write("a", labels=[{"name": "host", "value": "bench-3"}])
    (tmp_path / "environment.properties").write_text("# c\nSerial\\ Number=SN-1\nprocedure_id = FVT1\nbad\n")
    report = read_allure(tmp_path)
    assert (report.run.serial_number, report.run.procedure_id, report.station) == ("SN-1", "FVT1", "bench-3")


def test_the_same_results_have_the_same_ref(write: Write, tmp_path: Path) -> None:
    write("a")
    first = read_allure(tmp_path).run.ref
    os.utime(tmp_path / "a-result.json", (1, 1))
    assert read_allure(tmp_path).run.ref == first
    write("b")
    assert read_allure(tmp_path).run.ref != first


def test_a_folder_without_results_or_with_a_damaged_one_is_refused(write: Write, tmp_path: Path) -> None:
    assert not is_allure(tmp_path)
    with pytest.raises(BadInput, match=r"no \*-result.json"):
        read_allure(tmp_path)
    write("a")
    assert is_allure(tmp_path)
    for content in (b"", b'{"uuid": ', b"[" * 50_000, f'{{"name": "{SECRET}", "status": "{SECRET}"}}'.encode()):
        (tmp_path / "z-result.json").write_bytes(content)
        with pytest.raises(BadInput) as refused:
            read_allure(tmp_path)
        assert SECRET not in str(refused.value)


def test_deep_steps_are_no_crash(write: Write, tmp_path: Path) -> None:
    step: dict[str, Any] = {}
    for _ in range(150):
        step = {"steps": [step]}
    write("a", **step)
    assert read_allure(tmp_path).run.outcome == "pass"


def test_one_file_of_a_folder_is_no_run(write: Write, tmp_path: Path) -> None:
    write("a")
    with pytest.raises(BadInput, match="whole folder"):
        read_reports((tmp_path / "a-result.json").read_bytes(), "a-result.json")
