"""Files are written below the folders the config names, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from testlab_tools.errors import BadInput, Refused
from testlab_tools.files import Folders, write


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


@pytest.mark.parametrize("path", ["a\x00b", "~no-such-user/screen.png"])
def test_a_path_the_system_cannot_have_is_bad_input(path: str, folders: Folders) -> None:
    with pytest.raises((BadInput, Refused)):
        folders.to_write(path)


def test_without_folders_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="save_to"):
        Folders([]).to_write("screen.png")


def test_writing_makes_the_folders_in_between(allowed: Path) -> None:
    assert write(allowed / "a" / "b" / "screen.png", b"data") == str(allowed / "a" / "b" / "screen.png")
    assert (allowed / "a" / "b" / "screen.png").read_bytes() == b"data"


def test_a_file_that_is_there_is_kept(allowed: Path) -> None:
    (allowed / "runs.csv").write_bytes(b"runs")

    with pytest.raises(BadInput, match="Files are not overwritten"):
        write(allowed / "runs.csv", b"a screenshot")

    assert (allowed / "runs.csv").read_bytes() == b"runs"


def test_a_file_the_system_refuses_is_told_with_its_reason(allowed: Path) -> None:
    (allowed / "taken").write_bytes(b"")

    with pytest.raises(BadInput, match=r"cannot be saved there \(.+\)\. Give another save_to"):
        write(allowed / "taken" / "screen.png", b"data")
