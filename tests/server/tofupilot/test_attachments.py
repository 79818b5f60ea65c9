"""`create_run` with attachments: looked at before the run is recorded, kept with it afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.tofupilot.conftest import Factory

VERSIONS = ("v1", "v2")


def order(factory: Factory, *files: str) -> dict[str, Any]:
    names = {"procedure_id": "Main board FCT", "serial_number": factory.serial(), "part_number": "UT"}
    return {**names, "outcome": "pass", "attachments": list(files)}


@pytest.fixture
def kept(factory: Factory) -> Any:
    """Names and sizes of the files the service keeps with a run."""

    def of(handle: str) -> list[tuple[str, int]]:
        return [(f["name"], f["size"]) for f in factory.get(f"/v2/runs/{handle[-36:]}")["attachments"]]

    return of


@pytest.mark.parametrize("version", VERSIONS)
async def test_files_below_the_folders_are_kept_with_the_run(
    version: str, factory: Factory, connect: Connect, ask: ToolCaller, kept: Any, tmp_path: Path
) -> None:
    (tmp_path / "scope.png").write_bytes(b"PNG")
    (tmp_path / "log.txt").write_text("four", encoding="utf-8")
    async with connect(factory.config(version)) as client:
        created = await ask(client, "create_run", **order(factory, "scope.png", str(tmp_path / "log.txt")))
    assert kept(created["run_id"]) == [("scope.png", 3), ("log.txt", 4)]
    assert "note" not in created


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_file_that_cannot_be_sent_is_told_before_the_run_is_recorded(
    version: str, factory: Factory, connect: Connect, refused: RefusedCaller, tmp_path: Path
) -> None:
    (tmp_path / "small.txt").write_bytes(b"1")
    (tmp_path / "big.bin").write_bytes(bytes(10 * 2**20 + 1))
    (tmp_path / "folder").mkdir()
    outside = tmp_path.parent / f"{tmp_path.name}-outside.txt"
    outside.write_bytes(b"1")
    (tmp_path / "way-out").symlink_to(outside)
    async with connect(factory.config(version)) as client:
        for path in ("big.bin", "folder", "none.txt", "../x", str(outside), "way-out", "/etc/hostname"):
            wanted = order(factory, "small.txt", path)
            await refused(client, "create_run", **wanted)
            assert factory.runs(wanted["serial_number"]) == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_file_the_store_does_not_take_now_is_told_and_the_run_stays(
    version: str, factory: Factory, connect: Connect, ask: ToolCaller, kept: Any, tmp_path: Path
) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_bytes(b"1")
    factory.fault(action="slow", seconds=0, method="PUT", path_prefix="/storage/", times=1)
    factory.fault(status=500, method="PUT", path_prefix="/storage/", times=0)
    async with connect(factory.config(version)) as client:
        created = await ask(client, "create_run", **order(factory, "a.txt", "b.txt", "c.txt"))
    told = "2 of 3 attachments are still to be sent (The store of factory did not take the file (HTTP 500))"
    assert told in created["note"]
    assert ("a.txt", 1) in kept(created["run_id"])


@pytest.mark.parametrize("version", VERSIONS)
async def test_without_deliveries_a_file_the_store_does_not_take_is_told_by_its_name(
    version: str, factory: Factory, connect: Connect, ask: ToolCaller, kept: Any, tmp_path: Path
) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_bytes(b"1")
    factory.fault(action="slow", seconds=0, method="PUT", path_prefix="/storage/", times=1)
    factory.fault(status=500, method="PUT", path_prefix="/storage/", times=0)
    async with connect(factory.config(version) + "\n[durable]\nenabled = false\n") as client:
        created = await ask(client, "create_run", **order(factory, "a.txt", "b.txt", "c.txt"))
    assert "Not attached: b.txt, c.txt (The store of factory did not take the file (HTTP 500))." in created["note"]
    assert ("a.txt", 1) in kept(created["run_id"])


@pytest.mark.parametrize("version", VERSIONS)
async def test_files_of_a_run_that_waits_to_be_delivered_are_said_to_be_kept_with_it(
    version: str, factory: Factory, connect: Connect, ask: ToolCaller, dead_url: str, tmp_path: Path, no_backoff: None
) -> None:
    (tmp_path / "a.txt").write_bytes(b"1")
    async with connect(factory.config(version, url=dead_url)) as client:
        created = await ask(client, "create_run", **order(factory, "a.txt"))
    assert created["queued"]
    assert "1 attachment is kept and sent with it" in created["note"]
