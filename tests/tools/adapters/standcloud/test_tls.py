"""StandCloud's certificate is always verified, for data and for signing in; the vendor's own client does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.standcloud.adapter import Settings, connect
from testlab_tools.errors import ServiceDown
from testlab_tools.models.requests import RunQuery
from testlab_tools.signin.device import start_sign_in

if TYPE_CHECKING:
    from tests.tools.conftest import Origin


def settings(url: str, **more: Any) -> Settings:
    return Settings(kind="standcloud", url=url, timeout_seconds=5, **more)


@pytest.mark.parametrize("prefix", ["integration", "hardpy"])
async def test_a_server_with_a_certificate_of_its_own_making_gets_no_key(prefix: Any, secured: Origin) -> None:
    cloud = connect("cloud", settings(secured.url, api=prefix, token="tk-secret"))
    with pytest.raises(ServiceDown, match="certificate is wrong"):
        await cloud.client.get("/a", retry=False)
    await cloud.aclose()
    assert secured.asked == []


async def test_nobody_signs_in_to_it(secured: Origin) -> None:
    provider = settings(secured.url, auth="login").sign_in("cloud")
    assert provider is not None
    with pytest.raises(ServiceDown, match="certificate is wrong"):
        await start_sign_in(provider)
    assert secured.asked == []


async def test_it_is_read_once_its_authority_is_configured(secured: Origin, certificate: Path) -> None:
    secured.answers(secured.reply(200, []))
    cloud = connect("cloud", settings(secured.url, token="tk-secret", ca_file=str(certificate)))
    assert (await cloud.list_runs(RunQuery(), 5)).runs == []
    await cloud.aclose()
    assert secured.asked[0].headers["x-api-key"] == "tk-secret"
