"""The SDK still has what a connection is served by."""

from __future__ import annotations

import pytest
from mcp.server import runner, streamable_http_manager

from testlab_mcp import http
from testlab_mcp.era import LEGACY, MODERN
from testlab_mcp.http_session import HttpSession


@pytest.mark.parametrize("name", [MODERN, LEGACY])
def test_the_sdk_has_the_loop_of_each_era(name: str) -> None:
    assert callable(getattr(runner, name))


def test_the_sdk_makes_sessions_over_http_of_a_class_that_can_be_replaced() -> None:
    assert http.PATH
    assert streamable_http_manager.StreamableHTTPServerTransport is HttpSession  # pyright: ignore[reportPrivateImportUsage]
