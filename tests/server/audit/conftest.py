"""Fixtures of the audit's tests: its lines as they stand in its file, and configs that keep one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab


@pytest.fixture
def audit_file(tmp_path: Path) -> Path:
    """Where the servers of a test write their audit."""
    return tmp_path / "audit" / "audit.jsonl"


@pytest.fixture
def audited(audit_file: Path) -> Callable[..., str]:
    """A config of a simulated lab's services that keeps an audit; `extra` goes into its table."""

    def config(sim: SimLab, access: str = "operate", extra: str = "") -> str:
        table = f"[audit]\nfile = '{audit_file}'\n{extra}\n"
        toolsets = 'toolsets = ["all"]\n'
        plain = sim.config_toml().replace("[audit]\nenabled = false\n", "")
        return f'[server]\naccess = "{access}"\n{toolsets}{table}{plain}'

    return config


@pytest.fixture
def lines(audit_file: Path) -> Callable[[], list[dict[str, Any]]]:
    """The audit so far."""

    def read() -> list[dict[str, Any]]:
        if not audit_file.exists():
            return []
        return [json.loads(line) for line in audit_file.read_text(encoding="ascii").splitlines()]

    return read


@pytest.fixture
def control(fresh_sim: SimLab) -> Any:
    """The control plane of the simulated lab, to disturb it and to see what it was asked."""
    url = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]
    with httpx2.Client(base_url=f"{url}/_sim", trust_env=False) as client:
        yield client
