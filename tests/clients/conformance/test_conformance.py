"""The official conformance suite 0.2.0-alpha.12, over HTTP.

On this server with the suite's fixtures beside its own tools, both requirement sets pass whole. On this server as it
is, what needs no fixture passes; what needs one fails, which shows that the suite sees a difference.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
REVISIONS = ["2025-11-25", "2026-07-28"]
SCORED = {"2025-11-25": 30, "2026-07-28": 37}
"""Scenarios that a revision requires of a server, of those that the suite runs for it."""
TASKS = {
    "tasks-lifecycle": 8,
    "tasks-capability-negotiation": 4,
    "tasks-wire-fields": 3,
    "tasks-request-state-removal": 2,
    "tasks-mrtr-input": 3,
    "tasks-request-headers": 4,
    "tasks-dispatch-and-envelope": 8,
    "tasks-required-task-error": 2,
    "tasks-mrtr-composition": 1,
}
"""Scenarios of the extension io.modelcontextprotocol/tasks, and how many checks each has of its own."""
NOT_OFFERED = {
    # No stream of the older era is resumed: an answer that was missed is asked for again.
    "server-sse-polling": {"server-sse-priming-event", "server-sse-retry-field"},
    # No list changes while the server runs, and it announces none: clients listen to resources.
    "server-stateless": {
        "sep-2575-server-sends-prompts-list-changed-on-subscription",
        "sep-2575-server-sends-tools-list-changed-on-subscription",
    },
}
"""Checks of what the protocol leaves to a server: skipped, or a warning."""
SAID = {
    "tools-call-simple-text": "This is a simple text response for testing.",
    "tools-call-error": "This tool intentionally returns an error for testing",
    "tools-call-sampling": "This is a test response from the client",
    "tools-call-elicitation": "test@example.com",
    "tools-call-with-progress": "Three steps.",
    "input-required-result-basic-elicitation": "Hello, Alice!",
    "input-required-result-basic-sampling": "The capital of France is Paris.",
    "input-required-result-basic-list-roots": "file:///test/root",
    "input-required-result-request-state": "state-ok",
    "input-required-result-multiple-input-requests": "Three answers.",
    "input-required-result-multi-round": "Alice likes blue.",
    "input-required-result-ignore-extra-params": "Hello, Alice!",
}
"""What a fixture says at the end: several scenarios pass with whatever text comes, that of an error too."""
PLAIN = {
    *("server-initialize", "ping", "server-session-lifecycle", "server-sse-multiple-streams"),
    *("tools-list", "resources-list", "prompts-list", "caching", "dns-rebinding-protection", "http-header-validation"),
    *("sep-2164-resource-not-found", "input-required-result-unsupported-methods"),
}
"""Scenarios that need no fixture."""
HOLLOW = {"tasks-status-notifications", "input-required-result-validate-input"}
"""Scenarios that pass with any error."""

Checks = dict[str, list[dict[str, Any]]]
Run = Callable[..., tuple[int, Checks]]


@pytest.fixture(scope="module")
def run(
    node: str,
    node_modules: Callable[[Path], Path],
    client_settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """The suite's exit code, and its checks by scenario."""
    program = node_modules(HERE / "suite") / "@modelcontextprotocol/conformance/dist/index.js"

    @cache
    def ran(url: str, *which: str) -> tuple[int, Checks]:
        folder = tmp_path_factory.mktemp("conformance")
        done = subprocess.run(
            [node, program, "server", "--url", url, *which, "-o", folder],
            env=client_settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=90,
        )
        checks: Checks = {}
        for file in folder.glob("server-*/checks.json"):
            scenario = re.sub(r"^server-|-\d{4}-\d\d-\d\dT[\w-]+$", "", file.parent.name)
            checks[scenario] = json.loads(file.read_text(encoding="utf-8"))
        assert checks, done.stdout + done.stderr
        return done.returncode, checks

    return ran


@pytest.fixture(scope="module")
def fixture_url(serve: Callable[[list[str]], AbstractContextManager[str]], server_config: Path) -> Iterator[str]:
    """This server, with the suite's fixtures beside its own tools, prompts and resources."""
    program = [sys.executable, "-m", "tests.clients.conformance.fixture_server"]
    with serve([*program, "serve", "--config", str(server_config)]) as url:
        yield url


def those(checks: Checks, *statuses: str) -> dict[str, set[str]]:
    """The checks with one of these statuses, by scenario."""
    found = {name: {each["id"] for each in of if each["status"] in statuses} for name, of in checks.items()}
    return {name: ids for name, ids in found.items() if ids}


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_requirement_set_passes_whole(revision: str, run: Run, fixture_url: str) -> None:
    code, checks = run(fixture_url, "--requirements", revision)
    failed = those(checks, "FAILURE")
    assert failed == {}
    assert code == 0, "its own count of the scored scenarios differs"
    assert len(checks) >= SCORED[revision]


@pytest.mark.parametrize("revision", REVISIONS)
def test_no_scenario_passes_by_what_was_not_asked_or_answered(revision: str, run: Run, fixture_url: str) -> None:
    _, checks = run(fixture_url, "--requirements", revision)
    left_out = those(checks, "SKIPPED", "WARNING")
    assert {name: ids for name, ids in left_out.items() if not name.startswith("tasks-")} == {
        name: ids for name, ids in NOT_OFFERED.items() if name in checks
    }
    said = {name: json.dumps([each.get("details") for each in of]) for name, of in checks.items()}
    assert [name for name in SAID if name in said and SAID[name] not in said[name]] == []
    assert [name for name in said if '"isError": true' in said[name]] == ["tools-call-error"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_needs_no_fixture_passes_on_the_server_as_it_is_and_the_rest_does_not(
    revision: str, run: Run, server_url: str
) -> None:
    code, checks = run(server_url, "--requirements", revision)
    passed = set(checks) - set(those(checks, "FAILURE", "WARNING"))
    assert passed - HOLLOW == PLAIN & set(checks)
    assert code == 1


def test_requests_without_a_session_are_answered_as_they_should_be_by_the_server_as_it_is(
    run: Run, server_url: str
) -> None:
    checks = run(server_url, "--requirements", "2026-07-28")[1]["server-stateless"]
    wrong = [each["id"] for each in checks if each["status"] == "FAILURE" and not each["details"].get("untestable")]
    assert wrong == []
    assert len([each for each in checks if each["status"] == "SUCCESS"]) >= 24


@pytest.mark.parametrize("scenario", TASKS)
def test_tasks_are_made_asked_for_answered_and_cancelled_as_their_extension_says(
    scenario: str, run: Run, fixture_url: str
) -> None:
    code, checks = run(fixture_url, "--scenario", scenario)
    assert code == 0, those(checks, "FAILURE", "WARNING")
    of = [each for each in checks[scenario] if each["id"] != "wire-schema-valid"]
    assert {each["status"] for each in of} == {"SUCCESS"}
    assert len(of) >= TASKS[scenario]


@pytest.mark.parametrize("scenario", ["sep-2640-skills-enumeration", "sep-2640-skills-manifest"])
def test_skills_are_listed_and_read_as_their_extension_says(scenario: str, run: Run, server_url: str) -> None:
    code, checks = run(server_url, "--scenario", scenario)
    assert code == 0
    assert {each["status"] for each in checks[scenario]} == {"SUCCESS"}
    assert len(checks[scenario]) >= 6


def test_directories_of_skills_are_not_read_since_each_skill_is_one_file(run: Run, server_url: str) -> None:
    """`directoryRead` is an option of the extension, and not announced."""
    code, checks = run(server_url, "--scenario", "sep-2640-skills-directory")
    (of,) = checks.values()
    assert code == 0
    assert {each["status"] for each in of if each["id"] != "wire-schema-valid"} == {"SKIPPED"}
