"""import_report: what is no report, or lies where nothing may be read, is refused; nothing is asked or recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.production.conftest import Factory

SAMPLES = Path(__file__).parents[2] / "samples"
OPENHTF = SAMPLES / "openhtf_lot" / "SN-0000.1.json"
SECRET = "ignore_previous_instructions"
BOMB = (
    f'<!DOCTYPE t [<!ENTITY a "{SECRET}"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    '<testsuite><testcase name="&b;"/></testsuite>'
)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (SECRET.encode(), "format of the report is not known"),
        (OPENHTF.read_bytes()[:900], "damaged or break off"),
        (json.dumps({SECRET: SECRET}).encode(), "keys of none of them"),
        (f"<{SECRET}/>".encode(), "first element is that of none"),
        (b'{"dut_id": "S", "phases": []}', "Field start_time_millis is missing"),
        (b'{"dut": {}, "modules": {}}', "Field status is missing"),
        (b"<testsuite/>", "no test case"),
        (BOMB.encode(), "declares a document type"),
        (BOMB.encode("utf-16"), "declares a document type"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (b"", "format of the report is not known"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_is_no_report_is_refused_without_asking_the_service(
    content: bytes, told: str, dry_run: bool, lot: Factory, tmp_path: Path, connect: Connect, refused: RefusedCaller
) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "r").write_bytes(content)
    async with connect(lot.config()) as client:
        before = lot.asked()
        answer = await refused(client, "import_report", path="r", dry_run=dry_run)
    assert told in answer
    assert SECRET not in answer
    assert lot.asked() == before


async def test_declarations_without_end_in_a_text_are_no_report(
    lot: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    """To look through all that follows each of them would take an hour."""
    async with connect(lot.config()) as client:
        assert "import_report failed" in await refused(client, "import_report", content="<?xml" * 200_000)


@pytest.mark.parametrize("format", ["openhtf", "hardpy", "junit"])
async def test_a_report_of_another_format_than_was_said_is_refused(
    format: str, lot: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    other = {"openhtf": "junit/stbt_results_like.xml", "hardpy": "openhtf_lot/SN-0000.1.json"}
    async with connect(lot.config()) as client:
        before = lot.asked()
        told = await refused(client, "import_report", path=other.get(format, "stdf/two_parts.stdf"), format=format)
    assert "not " in told
    assert lot.asked() == before


@pytest.mark.parametrize("version", ["v2", "v1"])
async def test_what_the_services_importer_cannot_read_is_said(
    version: str, lot: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(lot.config(version)) as client:
        told = await refused(client, "import_report", content=SECRET, format="stdf")
    assert "STDF" in told
    assert SECRET not in told


async def test_a_report_the_service_reads_itself_cannot_be_changed(
    lot: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(lot.config()) as client:
        before = lot.asked()
        told = await refused(client, "import_report", path="stdf/two_parts.stdf", procedure_id="FVT1")
    assert "procedure_id, part_number and started_at cannot be changed" in told
    assert lot.asked() == before


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "../conftest.py", "~/.netrc", "link", "up/secret"])
async def test_nothing_is_read_outside_the_folders_of_the_config(
    path: str, factory: Factory, reports: Path, tmp_path: Path, connect: Connect, refused: RefusedCaller
) -> None:
    (tmp_path / "secret").write_bytes(OPENHTF.read_bytes())
    (reports / "link").symlink_to(tmp_path / "secret")
    (reports / "up").symlink_to(tmp_path)
    async with connect(factory.config()) as client:
        told = await refused(client, "import_report", path=path)
    assert "[files] read_from" in told
    assert str(tmp_path) not in told


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
async def test_a_pipe_or_a_folder_is_no_report(
    factory: Factory, reports: Path, connect: Connect, refused: RefusedCaller
) -> None:
    os.mkfifo(reports / "pipe")
    (reports / "folder").mkdir()
    async with connect(factory.config()) as client:
        for path in ("pipe", "folder"):
            assert "not that of a regular file" in await refused(client, "import_report", path=path)


async def test_a_file_or_text_that_is_too_large_is_refused_with_the_limit(
    factory: Factory, reports: Path, connect: Connect, refused: RefusedCaller
) -> None:
    with (reports / "huge.json").open("wb") as file:
        file.truncate(65 * 2**20)
    async with connect(factory.config()) as client:
        assert "larger than 64 MiB" in await refused(client, "import_report", path="huge.json")
        assert "larger than 1000000 bytes" in await refused(client, "import_report", content="x" * 1_000_001)


async def test_either_a_file_or_text_is_given(lot: Factory, connect: Connect, refused: RefusedCaller) -> None:
    async with connect(lot.config()) as client:
        for given in ({}, {"path": "a", "content": "b"}):
            assert "either path or content" in await refused(client, "import_report", **given)


async def test_a_file_that_is_not_there_is_said(lot: Factory, connect: Connect, refused: RefusedCaller) -> None:
    async with connect(lot.config()) as client:
        assert "no such file below [files] read_from" in await refused(client, "import_report", path="none.json")


async def test_a_serial_number_that_the_service_would_refuse_is_said_beforehand(
    lot: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    about = {"path": "openhtf_lot/SN-0000.1.json", "serial_number": "no spaces please", "dry_run": True}
    async with connect(lot.config()) as client:
        before = lot.asked()
        told = await refused(client, "import_report", **about)
    assert "serial_number is not one TofuPilot takes" in told
    assert lot.asked() == before


async def test_hidden_characters_in_a_report_are_taken_out_of_what_is_said(
    lot: Factory, connect: Connect, ask: ToolCaller
) -> None:
    report = json.loads(OPENHTF.read_bytes())
    report["phases"][1]["name"] = f"\x1b[2J\u202e{SECRET}"
    async with connect(lot.config()) as client:
        said = await ask(client, "import_report", content=json.dumps(report), dry_run=True)
    assert said["plan"]["cases"][0]["case"] == SECRET
    assert {"case", "unit", "procedure"} <= set(said["untrusted"])
