"""Who signs in, with which token; the server's own tokens and an issuer's side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import RefusedCaller

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk, Serve

AUDIENCE = "https://lab.example.com/mcp"
FIRST, SECOND, STRANGER = (rsa.generate_private_key(65537, 2048) for _ in range(3))
CURVE = ec.generate_private_key(ec.SECP256R1())
PING = {"jsonrpc": "2.0", "id": 1, "method": "initialize"} | {
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
}


class Issuer:
    """An issuer of tokens over real HTTP: its metadata, its keys, and how often it was asked for them."""

    def __init__(self) -> None:
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                body = issuer.documents().get(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.asked: list[str] = []
        self.keys = [self.public("first", FIRST)]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self._server.server_port}/realms/lab"
        Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def public(kid: str, key: Any, **facts: str) -> dict[str, Any]:
        algorithm: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
        return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, **facts}

    def documents(self) -> dict[str, Any]:
        keys = f"{self.url}/keys"
        return {
            "/realms/lab/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": keys},
            "/realms/lab/keys": {"keys": self.keys},
        }

    def token(self, key: Any = FIRST, kid: str = "first", algorithm: str = "RS256", **claims: Any) -> str:
        said = {"iss": self.url, "aud": AUDIENCE, "sub": "ada", "exp": time.time() + 300, "scope": "testlab:observe"}
        kept = {name: value for name, value in {**said, **claims}.items() if value is not None}
        return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": kid} if kid else {})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.close()


@pytest.fixture
def url(issuer: Issuer, sim: SimLab, desk: Desk, serve: Serve) -> str:
    tables = f'[http]\npublic_url = "{AUDIENCE}"\n[http.oauth]\nissuer = "{issuer.url}"\n'
    callers = desk.table_of("alice", access="admin") + '[callers.grace]\nsubject = "g-1"\naccess = "operate"\n'
    return serve(desk.everything + tables + callers + sim.config_toml())


async def knock(url: str, token: str = "") -> httpx2.Response:
    """A first message, as a client sends it."""
    headers = {"Accept": "application/json, text/event-stream"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx2.AsyncClient() as http:
        return await http.post(url, json=PING, headers=headers)


async def rights(desk: Desk, url: str, token: str) -> set[str]:
    """The access levels of the tools that a token's bearer sees."""
    from testlab_tools.tools import all_tools

    access = {tool.name: tool.access for tool in all_tools()}
    async with desk.signed_in(url, headers={"Authorization": f"Bearer {token}"}) as client:
        return {access[tool.name] for tool in (await client.list_tools()).tools}


async def test_no_token_is_401_and_says_where_the_issuer_is_found(url: str, issuer: Issuer) -> None:
    reply = await knock(url)
    assert reply.status_code == 401
    place = "https://lab.example.com/.well-known/oauth-protected-resource/mcp"
    assert f'resource_metadata="{place}"' in reply.headers["www-authenticate"]
    async with httpx2.AsyncClient() as http:
        told = (await http.get(url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"))).json()
    assert told["resource"] == AUDIENCE
    assert told["authorization_servers"] == [issuer.url]
    assert told["scopes_supported"] == ["testlab:observe", "testlab:operate", "testlab:admin"]


async def test_a_static_token_and_an_issuers_are_good_at_one_server(url: str, issuer: Issuer, desk: Desk) -> None:
    assert (await knock(url, desk.token_of("alice"))).status_code == 200
    assert (await knock(url, issuer.token())).status_code == 200


@pytest.mark.parametrize(
    ("claims", "levels"),
    [
        ({}, {"observe"}),
        ({"scope": "openid testlab:operate testlab:observe"}, {"observe", "operate"}),
        ({"scope": ["testlab:admin"]}, {"observe", "operate", "admin"}),
        ({"sub": "g-1", "scope": None}, {"observe", "operate"}),
        ({"sub": "g-1", "scope": "testlab:admin"}, {"observe", "operate"}),
        ({"sub": "g-1", "scope": "testlab:observe"}, {"observe"}),
    ],
)
async def test_the_claim_and_the_callers_table_bound_each_other(
    claims: dict[str, Any], levels: set[str], url: str, issuer: Issuer, desk: Desk
) -> None:
    assert await rights(desk, url, issuer.token(**claims)) == levels


async def test_a_refusal_says_what_the_token_lacks(
    url: str, issuer: Issuer, desk: Desk, refused: RefusedCaller
) -> None:
    for claims in ({}, {"sub": "g-1"}):
        headers = {"Authorization": f"Bearer {issuer.token(**claims)}"}
        async with desk.signed_in(url, headers=headers) as client:
            assert 'needs "testlab:operate" in the scope of its token' in await refused(client, "press_key")


async def test_a_right_token_that_grants_nothing_here_is_403(url: str, issuer: Issuer) -> None:
    for scope in (None, "openid", "testlab:owner", "xtestlab:admin", {"testlab:admin": True}, 7):
        reply = await knock(url, issuer.token(scope=scope))
        assert reply.status_code == 403
        assert 'error="insufficient_scope"' in reply.headers["www-authenticate"]


WRONG = {
    "another issuer": {"iss": "https://elsewhere.example"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "https://other.example/mcp"},
    "audiences without ours": {"aud": ["a", "b"]},
    "no audience": {"aud": None},
    "no expiry": {"exp": None},
    "expired": {"exp": 1_700_000_000},
    "not yet valid": {"nbf": 4_000_000_000},
    "issued in the future": {"iat": 4_000_000_000},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject too long": {"sub": "x" * 300},
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_token_with_wrong_claims_is_401(what: str, url: str, issuer: Issuer) -> None:
    assert (await knock(url, issuer.token())).status_code == 200
    assert (await knock(url, issuer.token(**WRONG[what]))).status_code == 401


@pytest.mark.parametrize("late", [20, 40])
async def test_clocks_may_differ_by_half_a_minute(late: int, url: str, issuer: Issuer) -> None:
    token = issuer.token(exp=time.time() - late)
    assert (await knock(url, token)).status_code == (200 if late < 30 else 401)


def _unsigned(issuer: Issuer) -> str:
    return issuer.token(key="", algorithm="none")


def _by_public_key(issuer: Issuer) -> str:
    """HS256 with the public key as its secret: what the confusion of algorithms is about."""
    import base64
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = FIRST.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, _ = issuer.token().split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "first"}).encode()).decode()
    signed = f"{head.rstrip('=')}.{body}"
    tag = base64.urlsafe_b64encode(hmac.digest(pem, signed.encode(), "sha256")).decode().rstrip("=")
    return f"{signed}.{tag}"


FORGED = {
    "unsigned": _unsigned,
    "signed with the public key": _by_public_key,
    "signed by a stranger": lambda issuer: issuer.token(STRANGER),
    "of a curve where the key is RSA": lambda issuer: issuer.token(CURVE, algorithm="ES256"),
    "with an unknown key": lambda issuer: issuer.token(STRANGER, kid="nobody's"),
    "altered": lambda issuer: issuer.token()[:-8] + "AAAAAAAA",
    "cut": lambda issuer: issuer.token().rpartition(".")[0],
    "not a token": lambda issuer: "a.b.c",
    "enormous": lambda issuer: f"{'a' * 20_000}.b.c",
    "points": lambda issuer: "..",
}


@pytest.mark.parametrize("how", FORGED)
async def test_a_forged_token_is_401(how: str, url: str, issuer: Issuer) -> None:
    assert (await knock(url, issuer.token())).status_code == 200
    assert (await knock(url, FORGED[how](issuer))).status_code == 401


async def test_keys_change_and_the_issuer_is_asked_again_but_not_by_every_guess(url: str, issuer: Issuer) -> None:
    issuer.keys.append(issuer.public("second", SECOND, alg="PS256"))
    issuer.keys.append(issuer.public("curve", CURVE))
    issuer.keys.append({"kty": "oct", "k": "c2VjcmV0", "kid": "secret"})
    issuer.keys.append({**issuer.public("sealing", STRANGER), "use": "enc"})
    assert (await knock(url, issuer.token(SECOND, "second", "PS256"))).status_code == 200
    assert (await knock(url, issuer.token(CURVE, "curve", "ES256"))).status_code == 200
    assert (await knock(url, issuer.token(SECOND, "second", "RS256"))).status_code == 401
    assert (await knock(url, issuer.token(STRANGER, "sealing"))).status_code == 401
    for guess in range(5):
        assert (await knock(url, issuer.token(STRANGER, f"guess-{guess}"))).status_code == 401
    assert issuer.asked.count("/realms/lab/keys") == 1


@pytest.mark.parametrize(
    "token", ["tlm_", "tlm_of-alice-and-nobody-els", "TLM_OF-ALICE-AND-NOBODY-ELSE", "ä", "x" * 9000]
)
async def test_a_wrong_static_token_is_401_and_is_told_nothing(
    token: str, sim: SimLab, desk: Desk, serve: Serve
) -> None:
    url = serve(desk.table_of("alice") + sim.config_toml())
    async with httpx2.AsyncClient() as http:
        reply = await http.post(url, json=PING, headers=[(b"Authorization", f"Bearer {token}".encode())])
    assert reply.status_code == 401
    assert "resource_metadata" not in reply.headers["www-authenticate"]
    assert "alice" not in reply.text


async def test_a_session_is_its_callers_alone(url: str, issuer: Issuer, desk: Desk) -> None:
    opened = await knock(url, desk.token_of("alice"))
    session = opened.headers["mcp-session-id"]
    say = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    accepts = {"Accept": "application/json, text/event-stream", "Mcp-Session-Id": session}
    statuses = []
    async with httpx2.AsyncClient() as http:
        for token in (desk.token_of("alice"), issuer.token(), issuer.token(sub="g-1"), "wrong"):
            reply = await http.post(url, json=say, headers={**accepts, "Authorization": f"Bearer {token}"})
            statuses.append(reply.status_code)
    assert statuses == [200, 404, 404, 401]
