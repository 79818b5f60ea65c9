"""Files are written below the folders the config names, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from testlab_tools.errors import BadInput, NotFound, Refused
from testlab_tools.files.folders import Folders
from testlab_tools.files.io import Writer, write_file


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    return folder


@pytest.fixture
def folders(allowed: Path, tmp_path: Path) -> Folders:
    return Folders([allowed, tmp_path / "also"])


def test_no_path_writes_nothing(folders: Folders) -> None:
    assert folders.to_write("") is None


def test_a_bare_name_goes_to_the_first_folder(folders: Folders, allowed: Path) -> None:
    assert folders.to_write("screen.png") == allowed / "screen.png"
    assert folders.to_write("run 7/screen.png") == allowed / "run 7" / "screen.png"
    assert folders.to_write("a/../screen.png") == allowed / "screen.png"


def test_a_whole_path_below_any_of_the_folders_is_taken(folders: Folders, tmp_path: Path) -> None:
    assert folders.to_write(str(tmp_path / "also" / "screen.png")) == tmp_path / "also" / "screen.png"


@pytest.mark.parametrize(
    "path",
    ["../screen.png", "a/../../screen.png", "/etc/passwd", "../allowed-too/screen.png", "~/screen.png", "../also/../x"],
)
def test_a_path_that_leads_outside_is_refused(path: str, folders: Folders) -> None:
    with pytest.raises(Refused, match=r"Files are not saved there.*Give a bare file name"):
        folders.to_write(path)


def test_a_folder_whose_name_only_begins_alike_is_outside(folders: Folders, allowed: Path) -> None:
    with pytest.raises(Refused):
        folders.to_write(f"{allowed}-too/screen.png")


def test_a_symlink_that_leads_outside_is_refused(folders: Folders, allowed: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (allowed / "link").symlink_to(tmp_path / "outside")
    (allowed / "file.png").symlink_to(tmp_path / "outside" / "file.png")

    with pytest.raises(Refused):
        folders.to_write("link/screen.png")
    with pytest.raises(Refused):
        folders.to_write("file.png")


def test_a_folder_that_is_itself_a_symlink_works(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert Folders([tmp_path / "link"]).to_write("screen.png") == tmp_path / "real" / "screen.png"


def test_symlinks_in_a_circle_are_refused(folders: Folders, allowed: Path) -> None:
    (allowed / "a").symlink_to(allowed / "b")
    (allowed / "b").symlink_to(allowed / "a")

    with pytest.raises((BadInput, Refused)):
        folders.to_write("a/screen.png")


@pytest.mark.parametrize("path", [".", "new/", "new\\"])
def test_a_folder_is_no_file_name(path: str, folders: Folders) -> None:
    with pytest.raises(BadInput, match="names a folder"):
        folders.to_write(path)


@pytest.mark.parametrize("path", [".", "a/..", "x/../."])
def test_the_folder_itself_is_no_file_name_before_it_is_there_either(path: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="names a folder"):
        Folders([tmp_path / "not-yet"]).to_write(path)


@pytest.mark.parametrize("path", ["a\x00b", "~no-such-user/screen.png", "a" * 100_000])
def test_a_path_the_system_cannot_have_is_bad_input(path: str, folders: Folders) -> None:
    with pytest.raises((BadInput, Refused)):
        folders.to_write(path)


def test_without_folders_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="save_to"):
        Folders([]).to_write("screen.png")


def test_writing_makes_the_folders_in_between(allowed: Path) -> None:
    assert write_file(allowed / "a" / "b" / "screen.png", b"data") == str(allowed / "a" / "b" / "screen.png")
    assert (allowed / "a" / "b" / "screen.png").read_bytes() == b"data"


def test_a_file_that_is_there_is_kept(allowed: Path) -> None:
    (allowed / "runs.csv").write_bytes(b"runs")

    with pytest.raises(BadInput, match="Files are not overwritten"):
        write_file(allowed / "runs.csv", b"a screenshot")

    assert (allowed / "runs.csv").read_bytes() == b"runs"


def test_a_file_the_system_refuses_is_told_with_its_reason(allowed: Path) -> None:
    (allowed / "taken").write_bytes(b"")

    with pytest.raises(BadInput, match=r"cannot be saved there \(.+\)\. Give another save_to"):
        write_file(allowed / "taken" / "screen.png", b"data")


@pytest.fixture
def readable(allowed: Path, tmp_path: Path) -> Folders:
    """May read below `reports`, and below `allowed`, where it may write."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "a.json").write_text("{}", encoding="utf-8")
    (allowed / "saved.json").write_text("{}", encoding="utf-8")
    (tmp_path / "outside.json").write_text("{}", encoding="utf-8")
    return Folders([allowed], read_from=[tmp_path / "reports"])


def test_what_lies_in_a_folder_to_read_from_or_was_saved_is_read(readable: Folders, tmp_path: Path) -> None:
    report = tmp_path / "reports" / "a.json"

    assert readable.to_read("a.json") == readable.to_read(str(report)) == report
    assert readable.to_read("../reports/a.json") == report
    assert readable.to_read("saved.json") == tmp_path / "allowed" / "saved.json"


@pytest.mark.parametrize("path", ["../outside.json", "/etc/passwd", "x/../../outside.json", "~/a.json", "../no-such"])
def test_what_lies_outside_is_refused_whether_it_is_there_or_not(path: str, readable: Folders) -> None:
    with pytest.raises(Refused, match=r"\[files\] read_from"):
        readable.to_read(path)


def test_symlinks_that_lead_outside_are_not_read(readable: Folders, tmp_path: Path) -> None:
    (tmp_path / "reports" / "link.json").symlink_to(tmp_path / "outside.json")
    (tmp_path / "reports" / "up").symlink_to(tmp_path)

    for path in ("link.json", "up/outside.json"):
        with pytest.raises(Refused):
            readable.to_read(path)


def test_with_no_folder_nothing_is_read_and_the_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}", encoding="utf-8")

    with pytest.raises(Refused, match=r"\[files\] read_from"):
        Folders(()).to_read(str(tmp_path / "a.json"))


def test_a_file_that_is_not_there_is_said(readable: Folders) -> None:
    with pytest.raises(NotFound, match="no such file"):
        readable.to_read("b.json")
    with pytest.raises(BadInput, match="not one this system can have"):
        readable.to_read("a\0b")


async def test_a_name_too_long_for_a_new_folder_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    target = Folders([tmp_path / "new"]).to_write("x" * 300)
    assert target is not None
    with pytest.raises(BadInput, match="cannot be saved there"):
        async with Writer(target) as out:
            await out.write(b"content")
    assert list((tmp_path / "new").iterdir()) == []
