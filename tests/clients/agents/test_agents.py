"""What the model of each agent gets to see of our server, over stdio, through the client that the agent really has."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
AGENTS = {
    "openai-agents-0.24.0": "with_openai_agents.py",
    "google-adk-2.13.0": "with_google_adk.py",
    "llama-index-tools-mcp-0.6.0": "with_llama_index.py",
    "langchain-mcp-adapters-0.3.2": "with_langchain.py",
    "pydantic-ai-2.68.0": "with_pydantic_ai.py",
    "fastmcp-4.2.3": "with_fastmcp.py",
    "mcp-1.30.0": "with_mcp_1.py",
    "ai-sdk": "with_ai_sdk.mjs",
}
MANY_PROCESSES = {"llama-index-tools-mcp-0.6.0", "mcp-1.30.0"}
"""These start our server several times: on one lab, not each on a demo of its own."""
SENTENCE = "The id is empty"
NEXT = "Ids look like <service>:<id>, as the list tools return them."

See = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def seen(request: pytest.FixtureRequest, see: Callable[..., Any], server: str, server_command: list[str]) -> See:
    """What an agent saw in one go: `tools`, a `read`, an `error`, and what else its script tells."""

    @cache
    def by(agent: str) -> dict[str, Any]:
        command = server_command if agent in MANY_PROCESSES else [server, "serve", "--demo"]
        if agent == "ai-sdk":
            modules = request.getfixturevalue("node_modules")(HERE / "ai-sdk")
            return see(request.getfixturevalue("node"), AGENTS[agent], command, modules)
        return see(request.getfixturevalue("agent_python")(agent), AGENTS[agent], command)

    return by


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_connects_lists_the_tools_and_reads_an_answer(agent: str, seen: See) -> None:
    saw = seen(agent)
    assert {"list_runs", "get_failed_cases", "list_nodes", "run_tests"} <= set(saw["tools"])
    assert "portal:stb-tester-00044b80f101" in saw["read"]
    assert "Rack 1, Node 1" in saw["read"]


@pytest.mark.parametrize("agent", AGENTS)
def test_its_model_sees_what_is_wrong_and_what_to_do_next(agent: str, seen: See) -> None:
    told = seen(agent)["error"]
    assert SENTENCE in told
    assert NEXT in told


def test_vercels_ai_sdk_connects_each_time_though_it_waits_one_second_for_an_answer(seen: See) -> None:
    """It gives up its look around then, and shakes hands in the old way."""
    saw = seen("ai-sdk")
    assert saw["failures"] == []
    assert saw["connected"] == 6


def test_llama_index_may_send_the_nulls_it_advertises(seen: See) -> None:
    saw = seen("llama-index-tools-mcp-0.6.0")
    assert None in saw["sent"].values()
    assert '"runs":[{"run_id":"factory:' in saw["runs"]


def test_fastmcps_data_has_our_own_words_and_which_fields_are_untrusted(seen: See) -> None:
    saw = seen("fastmcp-4.2.3")
    assert "holder" in saw["untrusted"]
    assert all(saw["notes"]), saw["notes"]
    assert saw["structure"] == {"error": {"what": SENTENCE, "next": NEXT}}


def test_pydantic_ais_model_sees_the_structure_of_an_error_alone(seen: See) -> None:
    """Which is why it has to say what the text says, beside what else it holds."""
    saw = seen("pydantic-ai-2.68.0")
    told, conflict = (json.loads(json.loads(saw[error])["error"]) for error in ("error", "conflict"))
    assert told == {"error": {"what": SENTENCE, "next": NEXT}}
    assert "reserved" in conflict["error"]["what"]
    assert conflict["error"]["next"]
    assert conflict["taken"]


def test_a_program_on_the_sdk_before_2_may_end_while_a_call_is_pending(seen: See) -> None:
    """It has stopped listening before it closes our input, and dies of whatever is written after."""
    assert seen("mcp-1.30.0")["ends"] == [[], ["Over"], []]
