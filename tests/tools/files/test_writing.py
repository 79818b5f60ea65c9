"""A file is there when it is whole, and not before; nothing is written over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.files.io import Writer


async def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "log"
    async with Writer(path) as out:
        for _ in range(40):
            await out.write(b"x" * 100_000)
        assert not path.exists()

    assert path.read_bytes() == b"x" * 4_000_000
    assert out.size == 4_000_000
    assert [p.name for p in path.parent.iterdir()] == ["log"]


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
async def test_whatever_goes_wrong_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    async def fails() -> None:
        async with Writer(tmp_path / "log") as out:
            await out.write(b"x" * 3_000_000)
            raise error

    with pytest.raises(error):
        await fails()

    assert list(tmp_path.iterdir()) == []


async def test_what_exists_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"mine")

    with pytest.raises(BadInput, match="a file of that name already"):
        async with Writer(tmp_path / "log"):
            pytest.fail("it must not get this far")
    assert (tmp_path / "log").read_bytes() == b"mine"


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
async def test_a_file_that_came_up_meanwhile_is_not_touched(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError("not on this file system")

    if not links:
        monkeypatch.setattr("os.link", no_links)
    out = Writer(tmp_path / "log")
    await out.__aenter__()
    await out.write(b"ours")
    (tmp_path / "log").write_bytes(b"mine")
    with pytest.raises(BadInput, match="a file of that name already"):
        await out.__aexit__(None, None, None)

    assert (tmp_path / "log").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 1


async def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError("not on this file system")

    monkeypatch.setattr("os.link", no_links)
    async with Writer(tmp_path / "log") as out:
        await out.write(b"whole")

    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("log", b"whole")]


async def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, data: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("testlab_tools.files.io._write_all", full)
    with pytest.raises(BadInput, match=r"cannot be saved there \(No space left on device\)"):
        async with Writer(tmp_path / "log") as out:
            await out.write(b"x")

    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(BadInput, match=r"cannot be saved there \(.+\)"):
        async with Writer(tmp_path / "taken" / "log"):
            pytest.fail("it must not get this far")
