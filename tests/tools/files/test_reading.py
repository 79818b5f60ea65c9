"""A file is read whole, if it is a regular one and of bounded size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.files.io import read_file


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x00\r\n\xff")

    assert read_file(tmp_path / "a") == b"\x00\r\n\xff"


def test_a_file_of_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 11)

    assert len(read_file(tmp_path / "a", 11)) == 11
    with pytest.raises(BadInput, match="larger than 10 bytes, the most that is read"):
        read_file(tmp_path / "a", 10)


def test_a_file_larger_than_is_read_at_all_is_not_opened_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(65 * 2**20)

    with pytest.raises(BadInput, match="larger than 64 MiB"):
        read_file(tmp_path / "huge")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(BadInput, match="not that of a regular file"):
        read_file(tmp_path / "pipe")


def test_a_folder_and_a_device_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(BadInput, match=r"not that of a regular file|cannot be read"):
            read_file(path)


def test_a_symlink_put_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "a").symlink_to(tmp_path / "secret")

    with pytest.raises(BadInput, match=r"cannot be read|was replaced"):
        read_file(tmp_path / "a")


def test_a_folder_replaced_by_a_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").write_bytes(b"s")
    (tmp_path / "reports").symlink_to(tmp_path / "outside")

    with pytest.raises(BadInput, match="was replaced"):
        read_file(tmp_path / "reports" / "a")


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_file(tmp_path / "none")
