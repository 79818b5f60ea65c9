"""An access token is renewed in time, once for all who ask, and what replaces it is never lost."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from testlab_tools.errors import AuthError, ConfigError, ServiceDown
from testlab_tools.http import Credentials, Endpoint, RetryPolicy, ServiceClient, Token
from testlab_tools.signin import Provider
from testlab_tools.signin.protocol import Tokens
from testlab_tools.signin.session import SignedIn, TokenStore

if TYPE_CHECKING:
    from tests.tools.conftest import Origin
    from tests.tools.signin.conftest import Grants

Session = Callable[[], SignedIn]
TokensOf = Callable[..., Tokens]


async def secret(session: SignedIn) -> str:
    return (await session.secret()).get_secret_value()


async def test_without_a_sign_in_the_command_is_named(session: Session) -> None:
    with pytest.raises(ConfigError, match=r"needs you to sign in\. .* Run `testlab-mcp login cloud`\."):
        await session().secret()


async def test_whoever_signs_in_while_the_server_runs_is_found(
    session: Session, store: TokenStore, tokens_of: TokensOf
) -> None:
    running = session()
    with pytest.raises(ConfigError):
        await running.secret()
    store.save(tokens_of())
    assert await secret(running) == "access-0"


async def test_a_token_is_used_until_a_minute_before_its_end(
    session: Session, store: TokenStore, tokens_of: TokensOf, grants: Grants
) -> None:
    store.save(tokens_of(61))
    assert await secret(session()) == "access-0"
    assert grants.forms == []

    store.save(tokens_of(59))
    assert await secret(session()) == "access-1"
    assert grants.forms == [
        {
            "grant_type": "refresh_token",
            "refresh_token": "refresh-0",
            "client_id": "a-client",
            "audience": "http://audience.example",
        }
    ]


async def test_a_new_refresh_token_is_kept_and_one_that_stays_too(
    session: Session, store: TokenStore, tokens_of: TokensOf, grants: Grants
) -> None:
    store.save(tokens_of(0))
    await session().secret()
    kept = store.load()
    assert kept is not None
    assert kept.refresh_token.get_secret_value() == "refresh-1"

    grants.rotates, grants.renewed = False, 0
    store.save(tokens_of(0))
    await session().secret()
    kept = store.load()
    assert kept is not None
    assert (kept.access_token.get_secret_value(), kept.refresh_token.get_secret_value()) == ("access-1", "refresh-0")


async def test_all_who_ask_at_once_share_one_renewal(
    session: Session, store: TokenStore, tokens_of: TokensOf, grants: Grants
) -> None:
    store.save(tokens_of(0))
    running = session()
    assert set(await asyncio.gather(*(secret(running) for _ in range(20)))) == {"access-1"}
    assert grants.renewed == 1


async def test_of_several_servers_one_renews_and_the_others_find_it(
    session: Session, store: TokenStore, tokens_of: TokensOf, grants: Grants
) -> None:
    store.save(tokens_of(0))
    assert set(await asyncio.gather(*(secret(session()) for _ in range(5)))) == {"access-1"}
    assert grants.renewed == len(grants.forms) == 1


async def test_whoever_gives_up_waiting_does_not_lose_the_new_refresh_token(
    session: Session, store: TokenStore, tokens_of: TokensOf, grants: Grants, origin: Origin
) -> None:
    store.save(tokens_of(0))
    go = asyncio.Event()

    async def late(request: Any) -> bytes:
        await go.wait()
        return await grants(request)

    origin.answer = late
    running = session()
    asking = asyncio.create_task(running.secret())
    await origin.until(lambda: origin.open == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    go.set()
    assert await secret(running) == "access-1"
    assert grants.renewed == 1


async def test_a_sign_in_that_has_ended_names_the_command_and_is_not_asked_again(
    session: Session, store: TokenStore, tokens_of: TokensOf, grants: Grants
) -> None:
    store.save(tokens_of(0, number=7))
    running = session()
    for _ in range(3):
        with pytest.raises(ConfigError, match=r"has ended\. Run `testlab-mcp login cloud`\.") as ended:
            await running.secret()
        assert "refresh-7" not in str(ended.value)
    assert len(grants.forms) == 1

    store.save(tokens_of(number=8))
    assert await secret(running) == "access-8"


async def test_other_refusals_are_the_services(
    session: Session, store: TokenStore, tokens_of: TokensOf, grants: Grants
) -> None:
    store.save(tokens_of(0))
    grants.error = "invalid_client"
    with pytest.raises(AuthError, match="does not renew the sign-in") as refused:
        await session().secret()
    assert "their words" not in str(refused.value)


async def test_while_the_sign_in_is_down_a_token_serves_to_its_end(
    session: Session, store: TokenStore, tokens_of: TokensOf, origin: Origin
) -> None:
    origin.answers(origin.reply(503))
    store.save(tokens_of(30))
    assert await secret(session()) == "access-0"
    store.save(tokens_of(-1))
    with pytest.raises(ServiceDown):
        await session().secret()


async def test_a_disk_that_is_full_does_not_end_the_sign_in(
    session: Session, store: TokenStore, tokens_of: TokensOf, grants: Grants, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(tokens_of(0))
    grants.lasting = 10
    running = session()

    def full(_: Tokens) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "save", full)
    assert await secret(running) == "access-1"
    assert await secret(running) == "access-2"


class Guarded:
    """A service that takes one access token only."""

    def __init__(self, origin: Origin, valid: str, grants: Grants) -> None:
        self.origin, self.valid, self.grants = origin, valid, grants
        self.sent: list[str] = []

    async def __call__(self, request: Any) -> bytes:
        if request.target.startswith("/token"):
            return await self.grants(request)
        self.sent.append(request.headers["authorization"])
        return self.origin.reply(200 if self.sent[-1] == f"Bearer {self.valid}" else 401)


@pytest.fixture
async def client(provider: Provider, session: Session) -> Any:
    """A client of the service that is signed in to."""
    made = ServiceClient(
        Endpoint("cloud", provider.endpoint.url, retry=RetryPolicy(attempts=1)),
        Credentials("cloud", "bearer", Token(), session()),
    )
    yield made
    await made.aclose()


async def test_a_token_that_is_refused_is_renewed_once_and_the_request_sent_again(
    client: ServiceClient, store: TokenStore, tokens_of: TokensOf, grants: Grants, origin: Origin
) -> None:
    store.save(tokens_of())
    origin.answer = guarded = Guarded(origin, "access-1", grants)
    replies = await asyncio.gather(
        *(client.get(f"/{n}") for n in range(4)), client.send("POST", "/x", settled=bool, body={})
    )

    assert {reply.status for reply in replies} == {200}
    assert grants.renewed == 1
    async with client.stream("/log") as stream:
        assert stream.status == 200
    assert guarded.sent[-1] == "Bearer access-1"


async def test_a_stream_that_is_refused_is_opened_again(
    client: ServiceClient, store: TokenStore, tokens_of: TokensOf, grants: Grants, origin: Origin
) -> None:
    store.save(tokens_of())
    origin.answer = guarded = Guarded(origin, "access-1", grants)
    async with client.stream("/log") as stream:
        assert stream.status == 200
    assert guarded.sent == ["Bearer access-0", "Bearer access-1"]


async def test_one_that_is_refused_again_is_the_answer(
    client: ServiceClient, store: TokenStore, tokens_of: TokensOf, grants: Grants, origin: Origin
) -> None:
    store.save(tokens_of())
    origin.answer = guarded = Guarded(origin, "none", grants)
    assert (await client.get("/a")).status == 401
    assert guarded.sent == ["Bearer access-0", "Bearer access-1"]


async def test_a_token_that_another_process_has_renewed_is_taken_over(
    session: Session, store: TokenStore, tokens_of: TokensOf, grants: Grants
) -> None:
    store.save(tokens_of())
    running = session()
    await running.secret()
    store.save(tokens_of(number=5, lasting=4000))
    assert await running.renew(SecretStr("access-0"))
    assert (await secret(running), grants.forms) == ("access-5", [])


RENEWING = """
import asyncio, sys
from pathlib import Path
from testlab_tools.http.policy import Endpoint
from testlab_tools.signin import Provider
from testlab_tools.signin.session import SignedIn
from testlab_tools.signin.session import TokenStore
sys.modules["keyring"] = None
provider = Provider(Endpoint("cloud", sys.argv[1]), "/device", "/token", "a-client", "offline_access read",
                    "http://audience.example")
session = SignedIn(provider, TokenStore(provider, Path(sys.argv[2])))
print(asyncio.run(session.secret()).get_secret_value())
"""


async def test_of_several_processes_one_renews_and_the_others_find_it(
    store: TokenStore, grants: Grants, origin: Origin
) -> None:
    store.save(Tokens(access_token=SecretStr("access-0"), refresh_token=SecretStr("refresh-0"), expires_at=time.time()))
    command = [sys.executable, "-c", RENEWING, origin.url, str(store.folder)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [await asyncio.create_subprocess_exec(*command, **pipes) for _ in range(4)]
    told = [await process.communicate() for process in processes]

    assert [out.decode().strip() for out, _ in told] == ["access-1"] * 4, told
    assert len(grants.forms) == 1


def test_tokens_are_in_no_repr(tokens_of: TokensOf, session: Session, store: TokenStore) -> None:
    tokens = tokens_of()
    assert "access-0" not in f"{tokens} {tokens!r} {vars(session())!r}"
    assert json.loads(tokens.to_json())["refresh_token"] == "refresh-0"
    assert Tokens.from_json(tokens.to_json()) == tokens
    assert Tokens.from_json("{}") is None


def test_another_server_is_another_sign_in(provider: Provider, tmp_path: Path, tokens_of: TokensOf) -> None:
    from dataclasses import replace

    TokenStore(provider, tmp_path).save(tokens_of())
    elsewhere = replace(provider, endpoint=Endpoint("cloud", "https://evil.example"))
    assert TokenStore(elsewhere, tmp_path).load() is None
    assert os.listdir(tmp_path) == [f"{provider.key}.json"]
