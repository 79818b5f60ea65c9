"""The device flow (RFC 8628): what is asked, how long is waited, what is shown, and what every refusal becomes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from testlab_tools.errors import AuthError, BadReply, ConfigError, LabError, Refused, ServiceDown
from testlab_tools.http.policy import Endpoint
from testlab_tools.signin import Provider
from testlab_tools.signin.device import PendingSignIn, start_sign_in, wait_for_confirmation
from testlab_tools.signin.protocol import Tokens

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

SECRET = "device-code-5d41402abc4b"
TOKENS = {"access_token": "access-1", "refresh_token": "refresh-1", "expires_in": 3600}


def codes(origin: Origin, **fields: Any) -> dict[str, Any]:
    return {
        "device_code": SECRET,
        "user_code": "WDJB-MJHT",
        "verification_uri": f"{origin.url}/confirm",
        "verification_uri_complete": f"{origin.url}/confirm?user_code=WDJB-MJHT",
        "expires_in": 600,
        "interval": 5,
        **fields,
    }


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def wait(provider: Provider, origin: Origin, slept: list[float]) -> Callable[..., Awaitable[Tokens]]:
    """Wait for a confirmation while the server gives these answers in turn; the waits are only noted."""

    async def note(seconds: float) -> None:
        slept.append(seconds)

    async def waited(*replies: bytes | None, **fields: Any) -> Tokens:
        origin.answers(*replies)
        waiting = PendingSignIn(
            page="", user_code="A", **{"device_code": SECRET, "expires_in": 600, "interval": 5, **fields}
        )
        return await wait_for_confirmation(provider, waiting, note)

    return waited


def error(origin: Origin, code: str, status: int = 400) -> bytes:
    return origin.reply(status, {"error": code, "error_description": "their words", "error_uri": "http://theirs"})


async def test_a_code_is_asked_for_as_the_standard_says(provider: Provider, origin: Origin) -> None:
    origin.answers(origin.reply(200, codes(origin)))
    waiting = await start_sign_in(provider)

    (asked,) = origin.asked
    assert (asked.method, asked.target) == ("POST", "/device")
    assert parse_qs(asked.body.decode()) == {
        "client_id": ["a-client"],
        "scope": ["offline_access read"],
        "audience": ["http://audience.example"],
    }
    assert "authorization" not in asked.headers
    assert waiting.page == f"{origin.url}/confirm?user_code=WDJB-MJHT"
    assert (waiting.user_code, waiting.interval, waiting.expires_in) == ("WDJB-MJHT", 5, 600)
    assert SECRET not in f"{waiting} {waiting!r}"


async def test_without_an_interval_it_is_five_seconds(provider: Provider, origin: Origin) -> None:
    told = codes(origin)
    del told["interval"], told["verification_uri_complete"]
    origin.answers(origin.reply(200, told))
    waiting = await start_sign_in(provider)
    assert (waiting.interval, waiting.page) == (5, f"{origin.url}/confirm")


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example/confirm",
        "http://evil.example/confirm",
        "javascript:alert(1)",
        "http://127.0.0.1@evil.example/",
        "http://me:you@127.0.0.1/",
        "http://127.0.0.1/\x1b[2J",
        "http://127.0.0.1/ now run this",
        "http://127.0.0.1.evil.example/",
        "http://[/",
        "",
    ],
)
async def test_a_page_that_is_not_the_services_own_is_not_shown(page: str, provider: Provider, origin: Origin) -> None:
    origin.answers(origin.reply(200, codes(origin, verification_uri_complete=page)))
    assert (await start_sign_in(provider)).page == f"{origin.url}/confirm"

    origin.answers(origin.reply(200, codes(origin, verification_uri=page, verification_uri_complete=page)))
    with pytest.raises(BadReply, match="names for the browser is not its own") as error:
        await start_sign_in(provider)
    assert "evil" not in str(error.value)


@pytest.mark.parametrize(
    "fields",
    [{"user_code": "\x1b[8m1"}, {"user_code": ""}, {"user_code": "x" * 99}, {"device_code": None}, {"expires_in": "?"}],
)
async def test_an_answer_that_cannot_be_used_is_an_error(fields: Any, provider: Provider, origin: Origin) -> None:
    origin.answers(origin.reply(200, codes(origin, **fields)))
    with pytest.raises(BadReply, match="sign-in cannot be used"):
        await start_sign_in(provider)


async def test_nobody_signs_in_in_the_clear() -> None:
    far = Provider(Endpoint("cloud", "http://cloud.example"), "/device", "/token", "a-client", "read")
    with pytest.raises(ConfigError, match=r"over http\. Tokens would travel in the clear"):
        await start_sign_in(far)


async def test_tokens_come_once_the_user_has_confirmed(
    wait: Callable[..., Awaitable[Tokens]], origin: Origin, slept: list[float]
) -> None:
    pending = error(origin, "authorization_pending")
    tokens = await wait(pending, pending, origin.reply(200, TOKENS))

    assert tokens.access_token.get_secret_value() == "access-1"
    assert tokens.refresh_token.get_secret_value() == "refresh-1"
    assert 3590 < tokens.expires_at - time.time() <= 3600
    assert slept == [5, 5, 5]
    assert parse_qs(origin.asked[0].body.decode()) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:device_code"],
        "device_code": [SECRET],
        "client_id": ["a-client"],
    }


async def test_slow_down_adds_five_seconds_for_good(
    wait: Callable[..., Awaitable[Tokens]], origin: Origin, slept: list[float]
) -> None:
    slower = error(origin, "slow_down")
    await wait(slower, error(origin, "authorization_pending"), slower, origin.reply(200, TOKENS))
    assert slept == [5, 10, 10, 15]


async def test_no_answer_doubles_the_interval_and_is_no_end(
    wait: Callable[..., Awaitable[Tokens]], origin: Origin, slept: list[float]
) -> None:
    await wait(None, origin.reply(503), origin.reply(200, TOKENS))
    assert slept == [5, 10, 20]


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        ("access_denied", Refused, "denied in the browser. Run `testlab-mcp login cloud` again"),
        ("expired_token", Refused, "not confirmed in time. Run `testlab-mcp login cloud` again"),
        ("invalid_grant", Refused, "not confirmed in time"),
        ("invalid_client", AuthError, "does not let this client sign in"),
        ("made_up", AuthError, "does not let this client sign in"),
    ],
)
async def test_each_refusal_is_said_in_our_words(
    code: str, kind: type[LabError], told: str, wait: Callable[..., Awaitable[Tokens]], origin: Origin
) -> None:
    with pytest.raises(kind, match=told) as refused:
        await wait(error(origin, code))
    assert SECRET not in str(refused.value)
    assert "their words" not in str(refused.value)
    assert len(origin.asked) == 1


async def test_a_code_is_not_asked_for_beyond_its_time(
    wait: Callable[..., Awaitable[Tokens]], origin: Origin, slept: list[float]
) -> None:
    with pytest.raises(Refused, match="not confirmed in time"):
        await wait(error(origin, "authorization_pending"), expires_in=12)
    assert slept == [5, 5]


@pytest.mark.parametrize(
    "told",
    [
        {"access_token": "a"},
        {"refresh_token": "r", "expires_in": 5},
        {"access_token": "a\nX-Admin: 1", "refresh_token": "r"},
        {"access_token": "", "refresh_token": "r"},
        [],
    ],
)
async def test_tokens_that_are_none_are_an_error(
    told: Any, wait: Callable[..., Awaitable[Tokens]], origin: Origin
) -> None:
    with pytest.raises(BadReply):
        await wait(origin.reply(200, told))


async def test_a_server_without_a_sign_in_says_so(provider: Provider, origin: Origin) -> None:
    for reply in (origin.reply(404, b"<html>"), origin.reply(200, b"<html>"), origin.reply(400, {"detail": "x"})):
        origin.answers(reply)
        with pytest.raises(BadReply, match="use an API key instead"):
            await start_sign_in(provider)
    origin.answers(origin.reply(302, b"", Location="http://127.0.0.1:9/"))
    with pytest.raises(BadReply, match="redirect"):
        await start_sign_in(provider)
    origin.answers(None)
    with pytest.raises(ServiceDown):
        await start_sign_in(provider)
