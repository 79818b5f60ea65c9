"""Every tool has a sample, so that every test about all tools tries it."""

from __future__ import annotations

from testlab_tools.tools import all_tools
from tests.service_samples import SERVICE_SAMPLES
from tests.tool_calls import RACK
from tests.tool_samples import SAMPLES

ADD = (
    "add a ToolSample for each to SAMPLES in tests/tool_samples.py, at its place in the order of all_tools(): its "
    "toolset and access, the services that have it, and the arguments of a call that works on the simulated lab"
)


def test_every_tool_has_a_sample() -> None:
    tools = [tool.name for tool in all_tools()]
    missing, gone = [name for name in tools if name not in SAMPLES], sorted(SAMPLES.keys() - set(tools))
    assert not missing, f"no sample of {', '.join(missing)}: {ADD}"
    assert not gone, f"samples of tools that there are not: {', '.join(gone)}; take them out of tests/tool_samples.py"
    assert list(SAMPLES) == tools, "samples in tests/tool_samples.py stand in another order than tools in all_tools()"


def test_a_sample_says_of_its_tool_what_is_so() -> None:
    for tool in all_tools():
        sample = SAMPLES[tool.name]
        assert (sample.toolset, sample.access) == (tool.toolset, tool.access), tool.name
        assert set(sample.services) <= SERVICE_SAMPLES.keys() | {RACK}, tool.name
