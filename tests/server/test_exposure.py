"""Exposure is one pure filter: services, then access, then toolsets, then allow and deny."""

from __future__ import annotations

import pytest

from testlab_mcp.exposure import Policy, exposed, refusal
from testlab_tools.catalog import all_tools
from testlab_tools.kinds import load_kind

TOOLS = {tool.name: tool for tool in all_tools()}


def service(kind: str, **keys: str):
    module = load_kind(kind)
    return module.connect(kind, module.Settings.model_validate({"kind": kind, "url": "http://127.0.0.1", **keys}))


NAMED_CLOUD = load_kind("standcloud").connect(
    "cloud", load_kind("standcloud").Settings.model_validate({"kind": "standcloud", "url": "http://127.0.0.1"})
)
PORTAL, FACTORY, CLOUD = service("stbtester"), service("tofupilot"), service("standcloud")
RUNS = {"list_runs", "get_run", "get_failed_cases"}
READING = RUNS | {"explain_failure"}
FILES = {"read_log", "get_artifact", "export_runs"}
NODES = {"list_nodes", "grab_screenshot", "get_job", "list_test_cases"}
OPERATING = {"reserve_nodes", "extend_reservation", "end_reservation", "press_key", "run_tests", "stop_job"}
ADMIN = {"interrupt_reservation", "delete_run", "delete_unit"}
LOGS, UNITS, INSIGHT = {"read_log"}, {"get_unit"}, {"triage"}
PRODUCTION = {"create_run", "import_report", "update_unit"}
CATALOG = {"list_catalog"}
DELIVERIES = {"list_deliveries", "release_delivery"}


@pytest.mark.parametrize(
    ("services", "policy", "names"),
    [
        ([], Policy(), set()),
        ([CLOUD], Policy(), READING | UNITS | INSIGHT),
        ([FACTORY], Policy(), READING | LOGS | UNITS | CATALOG | PRODUCTION | INSIGHT),
        ([FACTORY], Policy("observe"), READING | LOGS | UNITS | CATALOG | INSIGHT),
        ([service("tofupilot", api_version="v1")], Policy(), READING | UNITS | PRODUCTION),
        ([PORTAL], Policy("observe"), READING | FILES | NODES | INSIGHT),
        ([PORTAL], Policy(), READING | FILES | NODES | OPERATING | INSIGHT),
        ([PORTAL, FACTORY, CLOUD], Policy(), set(TOOLS) - ADMIN - DELIVERIES),
        ([PORTAL, FACTORY, CLOUD], Policy("admin"), set(TOOLS) - DELIVERIES),
        ([FACTORY], Policy.of("operate", ["deliveries"], [], []), DELIVERIES),
        ([PORTAL], Policy.of("operate", ["runs"], [], []), RUNS | FILES),
        ([PORTAL], Policy.of("operate", ["runs"], ["get_job"], []), RUNS | FILES | {"get_job"}),
        ([PORTAL], Policy.of("observe", ["runs"], ["run_tests"], []), RUNS | FILES),
        ([PORTAL], Policy.of("operate", ["all"], [], ["run_tests"]), READING | FILES | NODES | OPERATING | INSIGHT),
        (
            [PORTAL],
            Policy.of("operate", ["default"], ["run_tests"], ["run_tests"]),
            READING | FILES | NODES | INSIGHT | OPERATING - {"run_tests"},
        ),
    ],
)
def test_only_what_is_configured_and_allowed_is_exposed(services, policy, names) -> None:
    names = names - {"run_tests"} if "run_tests" in policy.deny else names
    assert {tool.name for tool in exposed(all_tools(), services, policy)} == names


def test_a_refusal_names_the_setting_that_would_allow_it() -> None:
    assert '[server] access = "operate"' in refusal(TOOLS["run_tests"], [PORTAL], Policy("observe"))
    assert "[server] toolsets" in refusal(TOOLS["run_tests"], [PORTAL], Policy.of("operate", ["runs"], [], []))
    assert "[server] deny" in refusal(TOOLS["run_tests"], [PORTAL], Policy.of("operate", ["all"], [], ["run_tests"]))
    assert "[services." in refusal(TOOLS["run_tests"], [CLOUD], Policy())


def caller(access="admin", toolsets=("all",), allow=(), deny=(), services=None) -> Policy:
    return Policy.of(access, toolsets, allow, deny, "[callers.alice]", services)


ROOT = Policy.of("admin", ["all"], [], [])


@pytest.mark.parametrize(
    ("policy", "narrowed", "names"),
    [
        (ROOT, caller(), set(TOOLS)),
        (Policy(), caller(), set(TOOLS) - ADMIN - DELIVERIES),
        (Policy("observe"), caller(allow=["run_tests"]), READING | FILES | NODES | UNITS | INSIGHT | CATALOG),
        (ROOT, caller("observe"), {name for name, tool in TOOLS.items() if tool.access == "observe"}),
        (ROOT, caller(toolsets=["runs"], allow=["get_job"]), RUNS | FILES | {"get_job"}),
        (Policy.of("admin", ["nodes"], [], []), caller(toolsets=["runs"]), set()),
        (Policy.of("admin", ["runs"], [], ["get_run"]), caller(deny=["list_runs"]), FILES | {"get_failed_cases"}),
        (ROOT, caller(allow=["run_tests"], deny=["run_tests"]), set(TOOLS) - {"run_tests"}),
        (ROOT, caller(services=["stbtester", "tofupilot", "cloud"]), set(TOOLS)),
        (ROOT, caller(services=[]), set()),
        (ROOT, caller("operate", services=["cloud"]), READING | UNITS | INSIGHT),
    ],
)
def test_a_caller_has_what_both_allow_and_its_services_can_do(policy, narrowed, names) -> None:
    services = [service("stbtester"), service("tofupilot"), NAMED_CLOUD]
    assert {tool.name for tool in exposed(all_tools(), services, policy, narrowed)} == names


@pytest.mark.parametrize(
    ("policy", "narrowed", "told"),
    [
        (ROOT, caller("observe"), '[callers.alice] access = "operate"'),
        (Policy("observe"), caller("observe"), '[server] access = "operate"'),
        (ROOT, caller(toolsets=["runs"]), "[callers.alice] toolsets"),
        (ROOT, caller(deny=["run_tests"]), "[callers.alice] deny"),
        (ROOT, caller(services=["cloud"]), "[callers.alice] services"),
    ],
)
def test_a_refusal_names_the_table_that_would_allow_it(policy, narrowed, told) -> None:
    assert told in refusal(TOOLS["run_tests"], [PORTAL, NAMED_CLOUD], policy, narrowed)


def test_listing_keeps_the_catalogs_order() -> None:
    every = exposed(all_tools(), [PORTAL, FACTORY, CLOUD], Policy.of("admin", ["all"], [], []))
    assert [tool.name for tool in every] == [tool.name for tool in all_tools()]
