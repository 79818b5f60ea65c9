"""What was allowed is what is opened: a folder swapped for a symlink afterwards leads nowhere."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from testlab_tools.errors import BadInput, LabError
from testlab_tools.files.folders import Folders
from testlab_tools.files.io import BY_DESCRIPTOR, Writer, read_file, write_file

pytestmark = pytest.mark.skipif(not BY_DESCRIPTOR, reason="this system opens files by their paths alone")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """One folder with `sub/report.json` in it, beside a folder outside with a secret of that name."""
    for name, text in (("lab", "ours"), ("outside", "secret")):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "report.json").write_text(text)
    return Folders([(tmp_path / "lab").resolve()])


def swap(tmp_path: Path) -> None:
    """Put a symlink to the folder outside in the place of `sub`."""
    (tmp_path / "lab" / "sub").rename(tmp_path / "lab" / "was")
    (tmp_path / "lab" / "sub").symlink_to(tmp_path / "outside" / "sub")


def test_a_folder_swapped_after_the_look_is_not_read_through(folders: Folders, tmp_path: Path) -> None:
    target = folders.to_read("sub/report.json")
    assert read_file(target) == b"ours"
    swap(tmp_path)
    with pytest.raises(BadInput, match="was replaced"):
        read_file(target)


async def test_a_folder_swapped_after_the_look_is_not_written_through(folders: Folders, tmp_path: Path) -> None:
    target, small = folders.to_write("sub/new.csv"), folders.to_write("sub/new.png")
    assert target
    assert small
    swap(tmp_path)
    with pytest.raises(BadInput, match="cannot be saved there"):
        async with Writer(target) as out:
            await out.write(b"x")
    with pytest.raises(BadInput, match="cannot be saved there"):
        write_file(small, b"x")
    assert [path.name for path in (tmp_path / "outside" / "sub").iterdir()] == ["report.json"]


async def test_a_folder_swapped_while_a_file_is_written_does_not_take_it_along(
    folders: Folders, tmp_path: Path
) -> None:
    target = folders.to_write("sub/new.csv")
    assert target
    async with Writer(target) as out:
        await out.write(b"x" * 3_000_000)
        swap(tmp_path)
    assert not (tmp_path / "outside" / "sub" / "new.csv").exists()
    assert (tmp_path / "lab" / "was" / "new.csv").stat().st_size == 3_000_000, "in the folder that was allowed"
    assert len(list((tmp_path / "lab" / "was").iterdir())) == 2, "and nothing beside it"


def test_a_race_of_renames_never_yields_what_lies_outside(folders: Folders, tmp_path: Path) -> None:
    sub, kept, link = (tmp_path / "lab" / name for name in ("sub", "kept", "link"))
    link.symlink_to(tmp_path / "outside" / "sub")
    ended = threading.Event()

    def race() -> None:
        while not ended.is_set():
            sub.rename(kept)
            link.rename(sub)
            sub.rename(link)
            kept.rename(sub)

    racing = threading.Thread(target=race)
    racing.start()
    found: set[bytes] = set()
    try:
        for _ in range(2_000):
            try:
                found.add(read_file(folders.to_read("sub/report.json")))
            except LabError:
                continue
    finally:
        ended.set()
        racing.join()
    assert found <= {b"ours"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
async def test_what_is_saved_is_its_owners_alone(folders: Folders, tmp_path: Path) -> None:
    for path in ("a/b/log", "a/c/screen.png"):
        target = folders.to_write(path)
        assert target
        if path.endswith("log"):
            async with Writer(target) as out:
                await out.write(b"x")
        else:
            write_file(target, b"x")
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(target.parent.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("user", ["root", "no-such-user", "nobody"])
def test_the_homes_of_known_and_unknown_users_are_refused_alike(user: str, folders: Folders) -> None:
    for ask in (folders.to_write, folders.to_read):
        with pytest.raises(BadInput, match=r"not (a path|one) this system can have"):
            ask(f"~{user}/report.json")


@pytest.mark.parametrize("path", ["a/" * 1990, "a/" * 1990 + "x", "a" * 100_000, "a/" * 40 + "x"])
def test_a_path_without_measure_is_refused_in_a_sentence(path: str, folders: Folders, tmp_path: Path) -> None:
    for ask in (folders.to_write, folders.to_read):
        with pytest.raises(BadInput, match=r"not (a path|one) this system can have"):
            ask(path)
    assert sorted(found.name for found in (tmp_path / "lab").iterdir()) == ["sub"]


def test_no_descriptor_is_left_open(folders: Folders, tmp_path: Path) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0

    before = opened()
    for _ in range(20):
        read_file(folders.to_read("sub/report.json"))
        with pytest.raises(BadInput):
            read_file(tmp_path / "lab" / "none" / "x")
        target = folders.to_write("sub/report.json")
        assert target
        with pytest.raises(BadInput, match="Files are not overwritten"):
            write_file(target, b"x")
    assert opened() == before
