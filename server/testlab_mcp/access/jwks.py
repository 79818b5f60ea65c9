"""Caches the public keys of a token issuer, found through its metadata; an unknown key makes it ask again."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit, urlunsplit

import httpx2

from testlab_mcp.config.settings import LOOPBACK, OAuthSettings
from testlab_tools.bounded_json import load_json

logger = logging.getLogger("testlab_mcp")

FRESH_S = 600.0
"""How long keys are used without asking again: a withdrawn key is refused after that."""
MIN_REFRESH_S = 30.0
"""Shortest time between requests to the issuer, whether it answers or not."""
STALE_S = 3600.0
"""How long keys are used while the issuer does not answer."""
MAX_BYTES = 2**20
TIMEOUT_S = 5.0
ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""By type of key. Public-key algorithms only: with HMAC, anybody who knows the public key could sign."""


class Key(NamedTuple):
    """A public key, and the algorithms that its signatures may use."""

    public: Any
    algorithms: tuple[str, ...]


class JwksCache:
    """The keys of one issuer, by `kid`."""

    def __init__(self, settings: OAuthSettings, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._transport = transport
        self._keys: dict[str, Key] = {}
        self._read_at = self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find_key(self, kid: str) -> Key | None:
        """The key with this id, or the only key for an empty id. None when it does not exist, or the issuer has not
        answered for STALE_S."""
        if time.monotonic() - self._read_at > FRESH_S or self._lookup(kid) is None:
            await self._refresh(kid)
        return self._lookup(kid) if time.monotonic() - self._read_at <= STALE_S else None

    def _lookup(self, kid: str) -> Key | None:
        if kid:
            return self._keys.get(kid)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    async def _refresh(self, kid: str) -> None:
        async with self._lock:
            if time.monotonic() - self._asked_at < MIN_REFRESH_S:
                return
            self._asked_at = time.monotonic()
            try:
                self._keys = _parse_keys(await self._fetch())
                self._read_at = time.monotonic()
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
                logger.warning("the keys of [http.oauth] issuer cannot be read (%s)", type(error).__name__)

    async def _fetch(self) -> dict[str, Any]:
        limits = httpx2.Timeout(TIMEOUT_S)
        async with (
            asyncio.timeout(2 * TIMEOUT_S),
            httpx2.AsyncClient(transport=self._transport, follow_redirects=False, timeout=limits) as client,
        ):
            url = self._settings.jwks_url or await self._discover_url(client)
            found = await _fetch_object(client, url)
            if found is None:
                raise ValueError("no keys at jwks_url")
            return found

    async def _discover_url(self, client: httpx2.AsyncClient) -> str:
        """The URL of the keys by RFC 8414, section 3, else by OpenID Connect Discovery, section 4. The metadata must
        name the same issuer."""
        parts = urlsplit(self._settings.issuer)
        path = parts.path.rstrip("/")
        inserted = urlunsplit(parts._replace(path=f"/.well-known/oauth-authorization-server{path}"))
        appended = urlunsplit(parts._replace(path=f"{path}/.well-known/openid-configuration"))
        for place in (inserted, appended):
            metadata = await _fetch_object(client, place)
            if metadata is None or metadata.get("issuer") != self._settings.issuer:
                continue
            url = str(metadata.get("jwks_uri", ""))
            to = urlsplit(url)
            local = parts.hostname in LOOPBACK and to.hostname in LOOPBACK
            if to.scheme == "https" or (to.scheme == "http" and local):
                return url
        raise ValueError("no metadata of the issuer names its keys")


async def _fetch_object(client: httpx2.AsyncClient, url: str) -> dict[str, Any] | None:
    """The JSON object at a URL; None when the answer is another. Raises ValueError when it is too large."""
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as reply:
        if reply.status_code != 200:
            return None
        body = bytearray()
        async for chunk in reply.aiter_bytes():
            body += chunk
            if len(body) > MAX_BYTES:
                raise ValueError("the document is too large")
    value: object = load_json(bytes(body))
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def _parse_keys(document: dict[str, Any]) -> dict[str, Key]:
    """The public keys that can verify signatures, by id; other keys, and unreadable ones, are left out."""
    from jwt import PyJWK, PyJWTError

    found: dict[str, Key] = {}
    entries: object = document.get("keys")
    for number, entry in enumerate(cast(list[object], entries) if isinstance(entries, list) else []):
        if not isinstance(entry, dict):
            continue
        data = cast(dict[str, Any], entry)
        fitting = ALGORITHMS.get(str(data.get("kty")), ())
        stated = tuple(alg for alg in fitting if data.get("alg") in (None, alg))
        if not stated or data.get("use", "sig") != "sig":
            continue
        try:
            found[str(data.get("kid") or f"\0{number}")] = Key(PyJWK(data, stated[0]).key, stated)
        except (PyJWTError, ValueError, TypeError, KeyError):
            continue
    return found
