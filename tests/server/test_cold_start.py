"""A cold start pays only for what serving over stdio uses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

UNUSED = {
    *("PIL", "testlab_sim", "bpe_openai", "dbos", "sqlalchemy", "psycopg", "junitparser", "xml.etree.ElementTree"),
    *("keyring", "rich", "testlab_tools.signin.session", "testlab_tools.signin.device"),
    *("duckdb", "numpy", "scipy", "matplotlib"),
    *("opentelemetry.sdk", "opentelemetry.exporter", "prometheus_client", "google.protobuf", "requests"),
    *("testlab_mcp.access.authentication", "testlab_mcp.access.authentication", "testlab_mcp.access.scoping"),
}
"""Screens, the simulated lab, token counts, exports, sign-in and the like: imported by the call that needs them."""


def test_listing_the_tools_imports_nothing_that_only_some_calls_need(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f"[files]\nsave_to = [{json.dumps(str(tmp_path))}]\n"
        '[services.portal]\nkind = "stbtester"\nurl = "http://127.0.0.1:9"\ntoken = "t"\n'
        '[services.factory]\nkind = "tofupilot"\nurl = "http://127.0.0.1:9"\ntoken = "t"\n'
        '[services.cloud]\nkind = "standcloud"\nurl = "http://127.0.0.1:9"\ntoken = "t"\n',
        encoding="utf-8",
    )
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    command = [sys.executable, "-X", "importtime", "-m", "testlab_mcp", "serve", "--config", str(config)]
    log = tmp_path / "imports.txt"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with log.open("w", encoding="utf-8") as err, subprocess.Popen(command, stderr=err, text=True, **pipes) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.writelines(json.dumps(message) + "\n" for message in asked)
        process.stdin.flush()
        while '"list_runs"' not in (line := process.stdout.readline()):
            assert line, "the server ended before it had listed its tools"
        process.communicate(timeout=10)
    imported = set(re.findall(r"\| +([\w.]+)$", log.read_text(encoding="utf-8"), re.MULTILINE))
    assert "testlab_tools.adapters.stbtester.jobs" in imported
    assert imported & UNUSED == set()
