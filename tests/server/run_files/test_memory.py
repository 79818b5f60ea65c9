"""Logs and artifacts larger than the server itself."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.run_files.conftest import Portal

MB = 2**20


def server_process() -> int:
    """The `testlab-mcp serve` that this process started."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                stat = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if int(stat[1]) == os.getpid() and b"testlab_mcp" in command and b"serve" in command:
                    return int(entry.name)
    raise AssertionError("no server is running")


def peak_megabytes(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


@pytest.fixture
def command() -> list[str]:
    """Whose memory is its own: a fork would have that of what it is a fork of."""
    return [sys.executable, "-m", "testlab_mcp"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc, which Linux has")
async def test_a_200_mb_artifact_and_a_100_mb_log_pass_through_a_server_of_150_mb(
    lab: SimLab, portal: Portal, spawn: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    run = portal.failed()["result_id"]
    portal.enlarge(run, "capture/frames of the test.bin", 200 * MB)
    portal.enlarge(run, "stbt.log", 100 * MB)
    async with spawn(lab.config_toml(str(tmp_path))) as client:
        process = server_process()
        saved = await ask(
            client, "get_artifact", run_id=f"portal:{run}", name="capture/frames of the test.bin", save_to="frames.bin"
        )
        tail = await ask(client, "read_log", run_id=f"portal:{run}", tail=3)
        found = await ask(client, "read_log", run_id=f"portal:{run}", search="frame 777777:", context=1)
        everywhere = await ask(client, "read_log", run_id=f"portal:{run}", search="black=false", context=20)
        peak = peak_megabytes(process)
    assert (tmp_path / "frames.bin").stat().st_size == saved["size"] == 200 * MB
    with (tmp_path / "frames.bin").open("rb") as file:
        file.seek(-(2**18), os.SEEK_END)
        assert int.from_bytes(file.read(8), "big") == 799
    assert tail["total_bytes"] >= 100 * MB
    last = tail["lines"].split("\n")[-1]
    assert last.startswith(f"{tail['total_lines']}:")
    assert f"frame {tail['total_lines']}:" in last
    assert [line[:7] for line in found["lines"].split("\n")] == ["777776-", "777777:", "777778-"]
    assert everywhere["matches"] == tail["total_lines"] > 1_000_000
    assert peak < 150, f"{peak:.0f} MB"
