"""`testlab-mcp sync` reads ahead, says what is held, and exits with 1 where something could not be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testlab_mcp.commands.main import main
from tests.server.archive.conftest import Upstream

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def path(config: Callable[..., str], tmp_path: Path) -> str:
    """A config file of the simulated lab."""
    file = tmp_path / "config.toml"
    file.write_text(config(), encoding="utf-8")
    return str(file)


def test_it_shows_what_is_held_and_doctor_says_so(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "--config", path, "--service", "cloud"]) == 0
    out = capsys.readouterr().out
    assert "cloud" in out
    assert "6," in out
    assert "portal" not in out
    assert main(["doctor", "--config", path]) == 0
    assert "in 1 histories" in capsys.readouterr().out


def test_a_service_that_is_down_is_said_and_the_others_are_read(
    path: str, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.fault("standcloud", action="status", status=503, times=0)
    assert main(["sync", "--config", path]) == 1
    out = capsys.readouterr().out
    assert "cloud: Service cloud is not available (HTTP 503)" in out
    assert all(name in out for name in ("portal", "factory"))


def test_measurements_are_read_on_request(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "--config", path, "--service", "factory", "--measurements"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("factory"))
    assert int(row.split()[3].replace(",", "")) > 10_000


def test_without_an_archive_it_says_which_key_switched_it_off(
    config: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "off.toml"
    file.write_text(config(enabled="false"), encoding="utf-8")
    assert main(["sync", "--config", str(file)]) == 2
    assert "[archive] enabled" in capsys.readouterr().err
