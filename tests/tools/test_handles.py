"""Handles: the service is told by its name in the config, never guessed from the native id."""

from __future__ import annotations

import pytest

from testlab_tools.capabilities import Handle

SERVICES = ("portal", "factory", "cloud")


@pytest.mark.parametrize(
    ("text", "service", "native"),
    [
        ("portal:/stb-tester-abcdef123456/0a23/972", "portal", "/stb-tester-abcdef123456/0a23/972"),
        ("portal:rack-1", "portal", "rack-1"),
        ("factory:SN-1/2024-09-05T08:38:17+00:00", "factory", "SN-1/2024-09-05T08:38:17+00:00"),
        ("cloud:portal:1", "cloud", "portal:1"),
        ("  portal:rack-1\n", "portal", "rack-1"),
        ("portal:", "portal", ""),
        ("rack-1", "", "rack-1"),
        ("portal", "", "portal"),
        ("elsewhere:rack-1", "", "elsewhere:rack-1"),
        ("Portal:rack-1", "", "Portal:rack-1"),
        (":rack-1", "", ":rack-1"),
        ("SN-1/2024-09-05T08:38:17", "", "SN-1/2024-09-05T08:38:17"),
        ("", "", ""),
    ],
)
def test_a_handle_is_split_after_the_name_of_a_service(text: str, service: str, native: str) -> None:
    assert Handle.parse(text, SERVICES) == (service, native)


def test_a_handle_is_written_as_it_is_read() -> None:
    assert str(Handle("portal", "/node/1/2")) == "portal:/node/1/2"
    assert Handle.parse(str(Handle("portal", "/node/1/2")), SERVICES) == Handle("portal", "/node/1/2")
