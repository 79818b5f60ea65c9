"""What each client makes of our server, over stdio and over HTTP, is what docs/clients.md says; and its recipe runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
SENTENCE = "The id is empty"
NEXT = "Ids look like <service>:<id>, as the list tools return them."
FACTS = re.compile(r"<!-- facts: begin -->(.*?)<!-- facts: end -->", re.DOTALL)
BASE64_CHARS = 10_000
"""No answer without a picture has as many."""


class Client(NamedTuple):
    """Where a client is pinned, the script that asks it, and its recipe in docs/clients/."""

    environment: str
    script: str
    recipe: str = ""


CLIENTS = {
    "openai-agents 0.24.0": Client("openai-agents-0.24.0", "with_openai_agents.py", "openai-agents"),
    "google-adk 2.13.0": Client("google-adk-2.13.0", "with_google_adk.py", "google-adk"),
    "pydantic-ai 2.68.0": Client("pydantic-ai-2.68.0", "with_pydantic_ai.py", "pydantic-ai"),
    "llama-index-tools-mcp 0.6.0": Client("llama-index-tools-mcp-0.6.0", "with_llama_index.py", "llama-index"),
    "langchain-mcp-adapters 0.3.2": Client("langchain-mcp-adapters-0.3.2", "with_langchain.py", "langchain"),
    "fastmcp 4.2.3": Client("fastmcp-4.2.3", "with_fastmcp.py", "fastmcp"),
    "mcp 1.30.0 (Python SDK)": Client("mcp-1.30.0", "with_mcp_1.py", "python-sdk"),
    "@ai-sdk/mcp 2.0.99": Client("ai-sdk", "with_ai_sdk.mjs", "ai-sdk"),
    "@modelcontextprotocol/sdk 1.32.2": Client("ts-sdk", "with_ts_sdk_1.mjs"),
    "@modelcontextprotocol/client 2.4.0, 2025 era": Client("ts-sdk", "with_ts_sdk_2_legacy.mjs"),
    "@modelcontextprotocol/client 2.4.0, 2026 era": Client("ts-sdk", "with_ts_sdk_2.mjs", "typescript-sdk"),
}
Seen = Callable[[str], dict[str, Any]]


def rows() -> dict[str, list[str]]:
    """The table of facts: the cells of each client."""
    table = FACTS.findall((DOCS / "clients.md").read_text(encoding="utf-8"))[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    return {re.sub(r"\[(.*?)\]\(.*?\)", r"\1", name): cells for name, *cells in lines}


ROWS = rows()


@pytest.fixture(scope="session")
def seen(request: pytest.FixtureRequest, see: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What a client saw in one go, over each transport."""

    @cache
    def by(name: str) -> dict[str, Any]:
        client = CLIENTS[name]
        recipe = tmp_path_factory.mktemp("recipe") / f"recipe.{'mjs' if client.script.endswith('mjs') else 'py'}"
        if client.recipe:
            page = (DOCS / "clients" / f"{client.recipe}.md").read_text(encoding="utf-8")
            recipe.write_text(re.findall(r"^```(?:python|js)\n(.*?)^```$", page, re.M | re.S)[0], encoding="utf-8")
        return see(client.environment, client.script, ROWS[name][3] == "base64", recipe if client.recipe else "")

    return by


def test_the_table_has_the_clients_that_are_tried() -> None:
    assert [name for name in ROWS if not name.startswith("MCP Inspector")] == list(CLIENTS)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_does_what_the_table_says_over_both_transports(name: str, seen: Seen) -> None:
    saw = seen(name)
    assert {transport: facts_of(saw[transport]) for transport in ("stdio", "http")} == {
        "stdio": ROWS[name],
        "http": ROWS[name],
    }


def facts_of(saw: dict[str, Any]) -> list[str]:
    """The cells that what was seen comes to: lists, calls, progress, picture, error."""
    lists = {"list_runs", "get_failed_cases", "list_nodes", "run_tests"} <= set(saw["tools"])
    calls = "portal:stb-tester-00044b80f101" in saw["read"]["text"] and "Rack 1, Node 1" in saw["read"]["text"]
    progress = any("tests done" in message for message in saw["progress"])
    return [*(("no", "yes")[fact] for fact in (lists, calls, progress)), _picture(saw), _error(saw["error"]["text"])]


def _picture(saw: dict[str, Any]) -> str:
    text = saw["picture"]["text"]
    assert "original 1280x720" in text, "the facts come in any case"
    return "image" if saw["picture"]["image"] else "base64" if len(text) > BASE64_CHARS else "none"


def _error(text: str) -> str:
    assert SENTENCE in text
    assert NEXT in text
    parts = {"text": "get_run failed" in text, "structure": re.search(r'\\*"what\\*"', text)}
    return " and ".join(part for part, there in parts.items() if there)


@pytest.mark.parametrize("name", [name for name in CLIENTS if ROWS[name][3] == "base64"])
def test_a_client_that_hands_on_base64_is_spared_it_and_told_how_to_get_the_picture(name: str, seen: Seen) -> None:
    told = seen(name)["without pictures"]["picture"]["text"]
    assert len(told) < 1_000
    assert "original 1280x720" in told
    assert "save_to" in told


@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if client.recipe])
def test_the_recipe_of_a_client_runs(name: str, seen: Seen) -> None:
    printed = seen(name)["recipe"]
    assert "portal:stb-tester-" in printed or re.search(r"has \d\d tools", printed), printed


def test_vercels_ai_sdk_connects_each_time_though_it_waits_one_second_for_an_answer(seen: Seen) -> None:
    """It gives up its look around then, and shakes hands in the old way."""
    saw = seen("@ai-sdk/mcp 2.0.99")["extra"]
    assert saw["failures"] == []
    assert saw["connected"] == 6


def test_llama_index_may_send_the_nulls_it_advertises(seen: Seen) -> None:
    saw = seen("llama-index-tools-mcp 0.6.0")["extra"]
    assert None in saw["sent"].values()
    assert "runs[" in saw["runs"]
    assert "run_id" in saw["runs"]


def test_fastmcps_data_has_our_own_words_and_which_fields_are_untrusted(seen: Seen) -> None:
    saw = seen("fastmcp 4.2.3")["extra"]
    assert "portal:stb-tester-00044b80f101" in saw["nodes"]
    assert "holder" in saw["untrusted"]
    assert all(saw["notes"]), saw["notes"]
    assert saw["structure"] == {"error": {"what": SENTENCE, "next": NEXT}}


def test_pydantic_ais_model_sees_the_structure_of_an_error_alone(seen: Seen) -> None:
    """Which is why it has to say what the text says, beside what else it holds."""
    saw = seen("pydantic-ai 2.68.0")
    errors = (saw["stdio"]["error"]["text"], saw["extra"]["conflict"])
    told, conflict = (json.loads(json.loads(error)["error"]) for error in errors)
    assert told == {"error": {"what": SENTENCE, "next": NEXT}}
    assert "reserved" in conflict["error"]["what"]
    assert conflict["error"]["next"]
    assert conflict["taken"]


def test_a_program_on_the_sdk_before_2_may_end_while_a_call_is_pending(seen: Seen) -> None:
    """It has stopped listening before it closes our input, and dies of whatever is written after."""
    assert seen("mcp 1.30.0 (Python SDK)")["extra"]["ends"] == [[], ["Over"], []]
