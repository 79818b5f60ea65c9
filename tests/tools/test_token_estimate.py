"""The estimate of tokens against a real tokenizer."""

from __future__ import annotations

import pytest

from testlab_mcp.commands.tools import count_tokens
from testlab_tools.token_estimate import estimate_tokens


@pytest.mark.parametrize(
    "text",
    [
        "All 7 failures at one station, with 2 passes there, while 3 others passed 40 of the same test.",
        '{"service":"factory","test":"Main board FCT","case":"power_rails","failures":8,"runs":8,"new":true}',
        "factory:960474dc-57da-48d7-8541-249db9c62796",
        "portal:/stb-tester-00044b80f101/0a21/90/2026-11-20_01.40.01",
        "tests/live_tv.py::test_that_channel_change_is_under_two_seconds",
        "2026-11-20T22:35Z",
        "电源轨电压超出范围",
        "Überspannung an der Versorgungsschiene",
        "STB4K-003062 FVT-02 QZXJ7741-A",
        "#@!~^&*()_+{}|:<>?[];',./`=-$%^#@!~^&*",
        "2026-11-21T03:47:11.075+00:00 INFO runner.py:41 Run started on EMC-02",
    ],
)
def test_the_estimate_is_hardly_below_the_truth_and_not_far_above(text: str) -> None:
    assert 0.95 * count_tokens(text) <= estimate_tokens(text) <= 2.5 * count_tokens(text)
