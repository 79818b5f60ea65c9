"""The repository's own words: what `./do check` ends with, and from where uv installs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from repository import words


@pytest.mark.parametrize(
    ("codes", "code", "last"),
    [
        ({"ruff": 0, "pyright": 0}, 0, "do: all checks pass"),
        ({"ruff": 1, "pyright": 0}, 1, "do: failed: ruff check ."),
        ({"ruff": 2, "pyright": 1}, 2, "do: failed: ruff check ., pyright"),
    ],
)
def test_the_last_line_of_several_commands_names_those_that_failed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    codes: dict[str, int],
    code: int,
    last: str,
) -> None:
    monkeypatch.setattr(words, "_wait", lambda command, *arguments: codes[command.name])
    assert words._run_all(Path("bin"), (("ruff", "check", "."), ("pyright",)), "all checks pass") == code
    assert capsys.readouterr().err.splitlines()[-1] == last


@pytest.mark.parametrize("section", [":env:", "global", "install"])
def test_uv_installs_from_the_index_that_pip_is_configured_for(monkeypatch: pytest.MonkeyPatch, section: str) -> None:
    listed = f"global.cert='/a.pem'\n{section}.index-url='https://index.example/simple'"
    monkeypatch.setattr(words, "PIP", (sys.executable, "-c", f"print({listed!r})"))
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    assert words.uv_settings()["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")
    assert words.uv_settings()["UV_DEFAULT_INDEX"] == "https://other.example/simple"
