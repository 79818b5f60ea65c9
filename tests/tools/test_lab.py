"""The lab finds a service by what it can do, or by whose id it is given, and says which names there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.capabilities import Health, RunArchive, Runs, RunSink, Service
from testlab_tools.errors import BadInput, NotFound, Unsupported
from testlab_tools.lab import Lab
from testlab_tools.models.lab import FailedRun
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import RunDetail

if TYPE_CHECKING:
    from tests.tools.conftest import Sink


class Archive(RunArchive):
    kind = "archive"

    def __init__(self, name: str, begins: str = "") -> None:
        super().__init__(name)
        self.begins = begins
        self.closed = 0

    async def probe(self) -> Health:
        return Health(self.name)

    async def get_run(self, run_id: str) -> RunDetail:
        raise NotFound(self.name)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        return []

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        return Runs([], more=False)

    def owns_run(self, run_id: str) -> bool:
        return run_id.startswith(self.begins)

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture
def archives() -> list[Archive]:
    return [Archive("portal", "/"), Archive("factory", "run-"), Archive("cloud", "run-")]


@pytest.fixture
def lab(archives: list[Archive], sink: Sink) -> Lab:
    return Lab([*archives, sink])


def names(services: list[Any]) -> list[str]:
    return [service.name for service in services]


def test_all_services_with_a_capability_are_found_in_the_configs_order(lab: Lab) -> None:
    assert names(lab.offering(RunArchive)) == ["portal", "factory", "cloud"]
    assert names(lab.offering(RunSink)) == ["sink"]
    assert names(lab.offering(RunArchive, "cloud")) == ["cloud"]


def test_a_service_without_the_capability_is_told_with_those_that_have_it(lab: Lab) -> None:
    with pytest.raises(Unsupported, match=r"Service sink cannot do this\. These can: portal, factory, cloud\."):
        lab.offering(RunArchive, "sink")


def test_a_capability_nobody_has_is_told() -> None:
    with pytest.raises(Unsupported, match=r"^No configured service can do this\.$"):
        Lab([]).offering(RunArchive)


def test_a_mistyped_service_is_answered_with_the_nearest_name(lab: Lab) -> None:
    with pytest.raises(BadInput, match=r"no service of that name\. Did you mean 'portal'\?"):
        lab.offering(RunArchive, "protal")


def test_an_unknown_service_is_answered_with_all_names(lab: Lab) -> None:
    with pytest.raises(BadInput, match=r"Configured: portal, factory, cloud, sink\.") as error:
        lab.offering(RunArchive, "zzz")
    assert "zzz" not in str(error.value)


def test_without_services_the_answer_says_so() -> None:
    with pytest.raises(BadInput, match=r"Configured: none\."):
        Lab([]).offering(RunArchive, "portal")


def test_the_only_service_with_a_capability_need_not_be_named(lab: Lab, sink: Sink) -> None:
    assert lab.one(RunSink) is sink
    assert lab.one(RunArchive, "cloud").name == "cloud"


def test_one_of_several_must_be_named(lab: Lab) -> None:
    with pytest.raises(
        BadInput, match=r"Several services can do this\. Give service as one of portal, factory, cloud\."
    ):
        lab.one(RunArchive)


@pytest.mark.parametrize(
    ("handle", "service", "native"),
    [
        ("portal:/node/1/2", "portal", "/node/1/2"),
        ("cloud:run-1", "cloud", "run-1"),
        ("cloud:/node/1/2", "cloud", "/node/1/2"),
        ("/node/1/2", "portal", "/node/1/2"),
        (" portal:/node/1/2 ", "portal", "/node/1/2"),
    ],
)
def test_a_handle_or_a_bare_id_that_fits_one_service_leads_to_it(
    lab: Lab, handle: str, service: str, native: str
) -> None:
    found, ours = lab.run_owner(handle, RunArchive)

    assert (found.name, ours) == (service, native)


def test_a_bare_id_that_fits_several_asks_for_the_service(lab: Lab) -> None:
    with pytest.raises(BadInput, match=r"could belong to several services\. Put one of factory, cloud and a colon"):
        lab.run_owner("run-1", RunArchive)
    with pytest.raises(BadInput, match="Put one of portal, factory, cloud and a colon"):
        lab.owner("/node/1/2", RunArchive)


def test_a_bare_id_that_fits_none_says_how_ids_look(lab: Lab) -> None:
    with pytest.raises(
        BadInput, match=r"Ids look like <service>:<id>.*Services: portal, factory, cloud, sink\."
    ) as error:
        lab.run_owner("?hm", RunArchive)
    assert "?hm" not in str(error.value)


@pytest.mark.parametrize("handle", ["protal:/node/1/2", "Portal:/node/1/2", "portal1:run-1", "factori:run-1"])
def test_a_mistyped_service_before_an_id_is_answered_with_the_nearest_name(lab: Lab, handle: str) -> None:
    with pytest.raises(BadInput, match=r"begins with no configured service\. Did you mean (portal|factory):…\?"):
        lab.run_owner(handle, RunArchive)


@pytest.mark.parametrize("handle", ["", "  ", "portal:", "portal: "])
def test_an_empty_id_is_refused(lab: Lab, handle: str) -> None:
    with pytest.raises(BadInput, match="The id is empty"):
        lab.run_owner(handle, RunArchive)


def test_a_handle_of_a_service_without_the_capability_is_unsupported(lab: Lab) -> None:
    with pytest.raises(Unsupported, match="Service sink cannot do this"):
        lab.owner("sink:1", RunArchive)


def test_a_service_makes_handles_of_its_ids(archives: list[Archive]) -> None:
    assert archives[0].handle("/node/1/2") == "portal:/node/1/2"


async def test_closing_the_lab_closes_every_service(archives: list[Archive]) -> None:
    services: list[Service] = [*archives]
    await Lab(services).aclose()

    assert [archive.closed for archive in archives] == [1, 1, 1]
