"""TLS: an authority of one's own by `ca_file`, and never without verification."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testlab_tools.errors import ConfigError, ServiceDown
from testlab_tools.http import RetryPolicy, ServiceClient

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

ONCE = RetryPolicy(attempts=1)


async def test_a_service_with_an_authority_of_its_own_is_reached_by_ca_file(
    secured: Origin, certificate: Path, client_of: Callable[..., ServiceClient]
) -> None:
    assert (await client_of(secured.url, ca_file=str(certificate)).get("/a")).status == 200


async def test_an_unknown_authority_is_not_trusted(secured: Origin, client_of: Callable[..., ServiceClient]) -> None:
    with pytest.raises(ServiceDown, match="certificate is wrong"):
        await client_of(secured.url, retry=ONCE).get("/a")
    assert secured.asked == []


async def test_a_certificate_for_another_name_is_not_trusted(
    secured: Origin, certificate: Path, client_of: Callable[..., ServiceClient]
) -> None:
    url = secured.url.replace("127.0.0.1", "localhost")

    with pytest.raises(ServiceDown):
        await client_of(url, ca_file=str(certificate), retry=ONCE).get("/a")
    assert secured.asked == []


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
async def test_a_ca_file_that_is_none_is_an_error_of_the_config(
    content: bytes | None, tmp_path: Path, client_of: Callable[..., ServiceClient]
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(
        ConfigError, match=r"ca_file cannot be used .*\[services\.portal\] ca_file must name a PEM file"
    ):
        await client_of("https://127.0.0.1:9", ca_file=str(path)).get("/a")
