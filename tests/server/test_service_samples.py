"""Every kind of service has a sample, so that every test about all services tries it."""

from __future__ import annotations

from testlab_mcp.commands.tools import connect_kind
from testlab_sim import BESIDES, SERVICES
from testlab_tools.services import HttpServiceSettings, known_kinds, load_kind
from testlab_tools.tools import all_tools
from tests.service_samples import SERVICE_SAMPLES
from tests.tool_samples import SAMPLES

ADD = (
    "mount its simulated counterpart in tools/testlab_sim/app.py, add it to BESIDES in tools/testlab_sim/__init__.py "
    "and a ServiceSample to SERVICE_SAMPLES in tests/service_samples.py"
)
ADD_CALLS = "name the service in the samples of these tools in tests/tool_samples.py, with what a call of them needs"


def test_every_kind_that_is_reached_over_http_has_a_sample() -> None:
    kinds = {kind for kind in known_kinds() if issubclass(load_kind(kind).Settings, HttpServiceSettings)}
    missing = kinds - {sample.kind for sample in SERVICE_SAMPLES.values()} | kinds - SERVICES.keys() - BESIDES.keys()
    gone = {sample.kind for sample in SERVICE_SAMPLES.values()} - kinds
    assert not missing, f"nothing tries {', '.join(sorted(missing))}: {ADD}"
    assert not gone, f"samples of what is no kind reached over HTTP: {', '.join(sorted(gone))}"


def test_every_service_is_tried_with_every_tool_it_has() -> None:
    untried: dict[str, list[str]] = {}
    for sample in SERVICE_SAMPLES.values():
        service = connect_kind(sample.kind, **sample.settings)
        asking = [tool for tool in all_tools() if SAMPLES[tool.name].services]
        able = {tool.name for tool in asking if isinstance(service, tool.needs)}
        tried = {name for name, tool in SAMPLES.items() if sample.name in tool.services}
        untried |= {sample.name: sorted(able ^ tried)} if able ^ tried else {}
    assert not untried, f"{untried}: {ADD_CALLS}"
