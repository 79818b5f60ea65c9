"""Exposure is one pure filter: services, then access, then toolsets, then allow and deny."""

from __future__ import annotations

from typing import get_args

import pytest

from testlab_mcp.access.policy import Policy, exposed_tools, refusal
from testlab_tools.registry import Access, Toolset
from testlab_tools.services import load_kind
from testlab_tools.tools import all_tools
from tests.tool_samples import SAMPLES, offered

TOOLS = {tool.name: tool for tool in all_tools()}


def service(kind: str, **keys: str):
    module = load_kind(kind)
    return module.connect(kind, module.Settings.model_validate({"kind": kind, **module.Settings.example, **keys}))


NAMED_CLOUD = load_kind("standcloud").connect(
    "cloud", load_kind("standcloud").Settings.model_validate({"kind": "standcloud", "url": "http://127.0.0.1"})
)
PORTAL, FACTORY, CLOUD, RACK, BENCH = map(service, ("stbtester", "tofupilot", "standcloud", "labgrid", "hardpy"))
EVERY_SERVICE = ("portal", "factory", "cloud", "rack", "bench")
EVERY = set(SAMPLES)
TOOLSETS: tuple[Toolset, ...] = get_args(Toolset)
DELIVERIES = offered("factory", toolsets=["deliveries"])
RUNS = offered("portal", toolsets=["runs"])


@pytest.mark.parametrize(
    ("services", "policy", "names"),
    [
        ([], Policy(), set()),
        ([CLOUD], Policy(), offered("cloud")),
        ([FACTORY], Policy(), offered("factory")),
        ([FACTORY], Policy("observe"), offered("factory", access="observe")),
        ([service("tofupilot", api_version="v1")], Policy(), offered("old")),
        ([PORTAL], Policy("observe"), offered("portal", access="observe")),
        ([PORTAL], Policy(), offered("portal")),
        ([PORTAL, FACTORY, CLOUD, RACK, BENCH], Policy(), offered(*EVERY_SERVICE)),
        ([PORTAL, FACTORY, CLOUD, RACK, BENCH], Policy("admin"), offered(*EVERY_SERVICE, access="admin")),
        ([FACTORY], Policy.from_table("operate", ["deliveries"], [], []), DELIVERIES),
        ([PORTAL], Policy.from_table("operate", ["runs"], [], []), RUNS),
        ([PORTAL], Policy.from_table("operate", ["runs"], ["get_job"], []), RUNS | {"get_job"}),
        ([PORTAL], Policy.from_table("observe", ["runs"], ["run_tests"], []), RUNS),
        ([PORTAL], Policy.from_table("operate", ["all"], [], ["run_tests"]), offered("portal", toolsets=TOOLSETS)),
        (
            [PORTAL],
            Policy.from_table("operate", ["default"], ["run_tests"], ["run_tests"]),
            offered("portal") - {"run_tests"},
        ),
    ],
)
def test_only_what_is_configured_and_allowed_is_exposed(services, policy, names) -> None:
    names = names - {"run_tests"} if "run_tests" in policy.deny else names
    assert {tool.name for tool in exposed_tools(all_tools(), services, policy)} == names


def test_a_refusal_names_the_setting_that_would_allow_it() -> None:
    assert '[server] access = "operate"' in refusal(TOOLS["run_tests"], [PORTAL], Policy("observe"))
    assert "[server] toolsets" in refusal(TOOLS["run_tests"], [PORTAL], Policy.from_table("operate", ["runs"], [], []))
    assert "[server] deny" in refusal(
        TOOLS["run_tests"], [PORTAL], Policy.from_table("operate", ["all"], [], ["run_tests"])
    )
    assert "[services." in refusal(TOOLS["run_tests"], [CLOUD], Policy())


def caller(access: Access = "admin", toolsets=("all",), allow=(), deny=(), services=None) -> Policy:
    return Policy.from_table(access, toolsets, allow, deny, "[callers.alice]", services)


ROOT = Policy.from_table("admin", ["all"], [], [])


@pytest.mark.parametrize(
    ("policy", "narrowed", "names"),
    [
        (ROOT, caller(), EVERY),
        (Policy(), caller(), offered(*EVERY_SERVICE)),
        (Policy("observe"), caller(allow=["run_tests"]), offered(*EVERY_SERVICE, access="observe")),
        (ROOT, caller("observe"), {tool for tool, sample in SAMPLES.items() if not sample.changes}),
        (ROOT, caller(toolsets=["runs"], allow=["get_job"]), RUNS | {"get_job"}),
        (Policy.from_table("admin", ["nodes"], [], []), caller(toolsets=["runs"]), set()),
        (
            Policy.from_table("admin", ["runs"], [], ["get_run"]),
            caller(deny=["list_runs"]),
            RUNS - {"get_run", "list_runs"},
        ),
        (ROOT, caller(allow=["run_tests"], deny=["run_tests"]), EVERY - {"run_tests"}),
        (ROOT, caller(services=["stbtester", "tofupilot", "cloud", "labgrid", "hardpy"]), EVERY),
        (ROOT, caller(services=[]), set()),
        (ROOT, caller("operate", services=["cloud"]), offered("cloud", toolsets=TOOLSETS)),
    ],
)
def test_a_caller_has_what_both_allow_and_its_services_can_do(policy, narrowed, names) -> None:
    services = [PORTAL, FACTORY, NAMED_CLOUD, RACK, BENCH]
    assert {tool.name for tool in exposed_tools(all_tools(), services, policy, narrowed)} == names


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
    services = [PORTAL, FACTORY, CLOUD, RACK, BENCH]
    every = exposed_tools(all_tools(), services, Policy.from_table("admin", ["all"], [], []))
    assert [tool.name for tool in every] == [tool.name for tool in all_tools()]
