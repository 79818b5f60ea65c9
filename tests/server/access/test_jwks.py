"""What an issuer's metadata and keys may be: an issuer that is wrong or hostile costs its tokens, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import pytest

from testlab_mcp.access.jwks import JwksCache
from testlab_mcp.config.settings import OAuthSettings

ISSUER = "https://issuer.example/lab"
Serve = Callable[[dict[str, bytes]], tuple[JwksCache, list[str]]]


@pytest.fixture
def issuer() -> Serve:
    """The keys of an issuer that answers with such documents, by path; and the URLs asked for."""

    def answering(documents: dict[str, bytes]) -> tuple[JwksCache, list[str]]:
        asked: list[str] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            asked.append(str(request.url))
            body = documents.get(request.url.path)
            return httpx2.Response(404) if body is None else httpx2.Response(200, content=body)

        return JwksCache(OAuthSettings(issuer=ISSUER), transport=httpx2.MockTransport(answer)), asked

    return answering


@pytest.mark.parametrize(
    "jwks_uri",
    ["http://127.0.0.1:9200/keys", "http://localhost/keys", "http://issuer.example/keys", "file:///etc/passwd", ""],
)
async def test_an_issuer_elsewhere_sends_us_to_no_plain_http_here_or_there(jwks_uri: str, issuer: Serve) -> None:
    metadata = json.dumps({"issuer": ISSUER, "jwks_uri": jwks_uri}).encode()
    keys, asked = issuer({"/lab/.well-known/openid-configuration": metadata, "/keys": b"{}"})
    assert await keys.find_key("a") is None
    assert all(url.startswith("https://issuer.example/") for url in asked)
    assert len(asked) == 2


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"keys": [{"kty": "RSA", "n": 1}, 5, null, {}]}', b"null", b"\xff", b" " * (2**20 + 1)],
    ids=["deep", "no keys", "null", "no text", "large"],
)
async def test_what_are_no_keys_is_no_key_and_no_failure(body: bytes, issuer: Serve) -> None:
    metadata = json.dumps({"issuer": ISSUER, "jwks_uri": "https://issuer.example/keys"}).encode()
    keys, asked = issuer({"/lab/.well-known/openid-configuration": metadata, "/keys": body})
    assert await keys.find_key("a") is None
    assert asked[-1] == "https://issuer.example/keys"
