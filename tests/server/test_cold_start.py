"""A cold start pays only for what serving over stdio uses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

UNUSED = {"PIL", "testlab_sim", "bpe_openai", "dbos", "sqlalchemy", "psycopg", "junitparser", "xml.etree.ElementTree"}
"""Screens, the simulated lab, token counts, exports and the like: imported by the call that needs them."""


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
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "testlab_mcp", "serve", "--config", str(config)],
        input="".join(json.dumps(message) + "\n" for message in asked),
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=True,
    )
    assert '"list_runs"' in done.stdout
    imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "testlab_tools.stbtester.jobs" in imported
    assert imported & UNUSED == set()
