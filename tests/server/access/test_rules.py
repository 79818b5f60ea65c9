"""A method of a service is called for a caller by its rule, or not at all."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractAsyncContextManager
from inspect import isfunction

import pytest

from testlab_mcp.access.callers import Caller
from testlab_mcp.access.scoping import NODE, RULES, ScopedService, scoped
from testlab_mcp.access.service_scope import OwnershipRegistry, ServiceScope
from testlab_tools.capabilities import ArtifactKeeper, Download, Health, KeptFile, Service
from testlab_tools.errors import Refused


class Lamp(Service):
    """A capability that nobody has written rules for."""

    async def light(self) -> bool:
        return True


class Bench(ArtifactKeeper, Lamp):
    """A service with a capability that has rules and one that has none."""

    kind = "bench"

    async def probe(self) -> Health:
        return Health("me")

    async def list_artifacts(self, run_id: str) -> list[KeptFile]:
        return [KeptFile(run_id)]

    def open_artifact(self, run_id: str, name: str) -> AbstractAsyncContextManager[Download]:
        raise NotImplementedError


@pytest.fixture
def bench() -> Service:
    """The service as a caller with all nodes has it."""
    return ScopedService(ServiceScope(Bench("bench"), Caller("erin"), OwnershipRegistry()))


async def test_a_method_with_a_rule_is_passed_on(bench: Service) -> None:
    assert isinstance(bench, ArtifactKeeper)
    assert await bench.list_artifacts("r") == await bench.list_artifacts(run_id="r") == [KeptFile("r")]


async def test_a_new_method_of_a_capability_is_refused_until_it_has_a_rule(
    bench: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def erase_artifacts(self: ArtifactKeeper, run_id: str) -> str:
        return run_id

    monkeypatch.setattr(ArtifactKeeper, "erase_artifacts", erase_artifacts, raising=False)
    with pytest.raises(Refused, match="erase_artifacts is not offered"):
        await getattr(bench, "erase_artifacts")("r")  # noqa: B009


def test_a_capability_without_rules_is_not_offered(bench: Service) -> None:
    assert not isinstance(bench, Lamp)
    assert not hasattr(bench, "light")


def test_a_rule_that_finds_no_node_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="`unscoped`"):
        scoped()
    assert scoped(NODE)


def test_each_method_of_a_capability_with_rules_has_one() -> None:
    for capability, rules in RULES.items():
        declared = {name for name, value in vars(capability).items() if isfunction(value) and name[0] != "_"}
        assert rules.keys() == declared, capability
    assert set(Counter(name for rules in RULES.values() for name in rules).values()) == {1}
    assert not {name for rules in RULES.values() for name in rules} & set(dir(ScopedService))
