"""Reads the fixture `testlab_unit` once in each process of a session that is recorded."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from testlab_tools.pytest_plugin import UNIT


@pytest.fixture(scope="session", autouse=True)
def testlab_read_unit(testlab_unit: Mapping[str, object], request: pytest.FixtureRequest) -> None:
    """Keep what the suite says of its unit, for the reports of its tests."""
    request.config.stash[UNIT] = {str(name): str(value) for name, value in testlab_unit.items() if value}
