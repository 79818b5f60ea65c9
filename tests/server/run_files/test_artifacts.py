"""get_artifact: listed, shown and saved, and nothing written where it must not be."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mcp_types import ImageContent
from PIL import Image

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.run_files.conftest import Portal

PING = "diagnostics/network during the test/ping.log"


async def test_every_artifact_is_saved_as_it_is_in_its_own_folder(
    lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    run = portal.failed()["result_id"]
    kept = portal.get(f"results{run}/artifacts/").json()
    async with connect(lab.config_toml(str(tmp_path))) as client:
        listed = await ask(client, "get_artifact", run_id=f"portal:{run}")
        for name in kept:
            answer = await ask(client, "get_artifact", run_id=f"portal:{run}", name=name, save_to="run 90/")
            assert Path(answer["saved_to"]) == tmp_path / "run 90" / name
    assert {file["name"]: file["size"] for file in listed["artifacts"]} == {n: e["size"] for n, e in kept.items()}
    assert PING in kept
    for name, entry in kept.items():
        saved = (tmp_path / "run 90" / name).read_bytes()
        assert (len(saved), hashlib.md5(saved).hexdigest()) == (entry["size"], entry["md5"])
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".part"] == []


async def test_a_text_is_shown_an_image_too_and_anything_else_is_for_saving(
    lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller
) -> None:
    run = portal.failed()["result_id"]
    async with connect(lab.config_toml()) as client:
        text = await ask(client, "get_artifact", run_id=f"portal:{run}", name=PING)
        video = await ask(client, "get_artifact", run_id=f"portal:{run}", name="video.mp4")
        folder = await ask(client, "get_artifact", run_id=f"portal:{run}", name="diagnostics/")
        result = await client.call_tool("get_artifact", {"run_id": f"portal:{run}", "name": "screenshot.png"})
    assert text["text"] == portal.get(f"results{run}/artifacts/{PING}").text
    assert "text" in text["untrusted"]
    assert "save_to" in video["note"]
    assert "text" not in video
    assert [file["name"] for file in folder["artifacts"]] == [PING]
    image = next(block for block in result.content if isinstance(block, ImageContent))
    with Image.open(io.BytesIO(base64.b64decode(image.data))) as shown:
        assert shown.size == (1280, 720)
    assert "original 1280x720" in result.structured_content["note"]


async def test_of_a_large_text_the_beginning_is_shown_and_the_cut_said(
    lab: SimLab,
    portal: Portal,
    connect: Connect,
    ask: ToolCaller,
    hostile: Callable[..., AbstractAsyncContextManager[str]],
    run: str,
) -> None:
    async with hostile({"notes.txt": b"line of text\n" * 100_000}) as config, connect(config) as client:
        answer = await ask(client, "get_artifact", run_id=run, name="notes.txt")
    assert answer["text"] == ("line of text\n" * 100_000)[:16_000]
    assert answer["size"] == 1_300_000
    assert "first 16000 characters" in answer["note"]


async def test_what_exists_is_not_overwritten(
    lab: SimLab, portal: Portal, connect: Connect, refused: RefusedCaller, tmp_path: Path
) -> None:
    run = portal.failed()["result_id"]
    (tmp_path / "mine.log").write_bytes(b"mine")
    async with connect(lab.config_toml(str(tmp_path))) as client:
        for tool, arguments in (
            ("get_artifact", {"run_id": f"portal:{run}", "name": PING}),
            ("export_runs", {"outcome": "fail", "service": "portal"}),
        ):
            told = await refused(client, tool, **arguments, save_to="mine.log")
            assert "There is a file of that name already" in told
    assert (tmp_path / "mine.log").read_bytes() == b"mine"


@pytest.mark.parametrize("save_to", ["../out.log", "/etc/out.log", "a/../../out/", "../"])
async def test_nothing_is_saved_outside_the_folders(
    save_to: str, lab: SimLab, portal: Portal, connect: Connect, refused: RefusedCaller, tmp_path: Path
) -> None:
    run = portal.failed()["result_id"]
    async with connect(lab.config_toml(str(tmp_path / "in"))) as client:
        told = await refused(client, "get_artifact", run_id=f"portal:{run}", name=PING, save_to=save_to)
        assert "Only below the folders" in told
        if not save_to.endswith("/"):
            assert "Only below the folders" in await refused(client, "export_runs", service="portal", save_to=save_to)
    assert list(tmp_path.rglob("*.log")) == []


@pytest.mark.parametrize("name", ["../../nodes", "a/../../b", "/etc/passwd", "a//b", "..\\..\\b", "."])
async def test_an_artifact_whose_name_leads_elsewhere_is_neither_asked_for_nor_saved(
    name: str,
    connect: Connect,
    refused: RefusedCaller,
    tmp_path: Path,
    hostile: Callable[..., AbstractAsyncContextManager[str]],
    run: str,
) -> None:
    asked: list[str] = []
    async with hostile({name: b"x"}, asked=asked, save_to=tmp_path) as config, connect(config) as client:
        for how in ({}, {"save_to": "here/"}, {"save_to": "file"}):
            told = await refused(client, "get_artifact", run_id=run, name=name, **how)
            assert "leads elsewhere" in told
            assert name not in told or name == "."
    assert {target.rpartition("/artifacts/")[2] for target in asked} == {""}
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "config.toml"] == []
