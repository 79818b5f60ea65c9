"""The public keys of a token issuer: found through its metadata, kept a while, asked for again when one is unknown."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit, urlunsplit

import httpx2

from testlab_mcp.access.settings import LOOPBACK, OAuthSettings

logger = logging.getLogger("testlab_mcp")

FRESH_S = 600.0
"""How long keys are taken as they are: one that is withdrawn is refused after that."""
AGAIN_S = 30.0
"""At most so often the issuer is asked, however many unknown keys are named, and whether it answers or not."""
STALE_S = 3600.0
"""How long keys are still taken while the issuer does not answer."""
MOST_BYTES = 2**20
SECONDS = 5.0


ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""By the type of the key. Public-key ones alone: with a secret-key one, whoever knows the public key could sign."""


class Key(NamedTuple):
    """A public key, and the algorithms that signatures by it may be of."""

    public: Any
    algorithms: tuple[str, ...]


class KeySet:
    """The keys of one issuer, by `kid`."""

    def __init__(
        self,
        settings: OAuthSettings,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._keys: dict[str, Key] = {}
        self._read_at = self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def key(self, kid: str) -> Key | None:
        """The key of that id; without an id, the only one there is. None when there is none, or the issuer is silent
        for too long."""
        if self._clock() - self._read_at > FRESH_S or self._found(kid) is None:
            await self._refresh(kid)
        return self._found(kid) if self._clock() - self._read_at <= STALE_S else None

    def _found(self, kid: str) -> Key | None:
        if kid:
            return self._keys.get(kid)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    async def _refresh(self, kid: str) -> None:
        async with self._asking:
            if self._clock() - self._asked_at < AGAIN_S:
                return
            self._asked_at = self._clock()
            try:
                self._keys = _usable(await self._fetched())
                self._read_at = self._clock()
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
                logger.warning("the keys of [http.oauth] issuer cannot be read (%s)", type(error).__name__)

    async def _fetched(self) -> dict[str, Any]:
        limits = httpx2.Timeout(SECONDS)
        async with (
            asyncio.timeout(2 * SECONDS),
            httpx2.AsyncClient(transport=self._transport, follow_redirects=False, timeout=limits) as client,
        ):
            url = self._settings.jwks_url or await self._discovered(client)
            found = await _document(client, url)
            if found is None:
                raise ValueError("no keys at jwks_url")
            return found

    async def _discovered(self, client: httpx2.AsyncClient) -> str:
        """By RFC 8414, section 3, else by OpenID Connect Discovery, section 4. Either must name the very issuer."""
        parts = urlsplit(self._settings.issuer)
        path = parts.path.rstrip("/")
        inserted = urlunsplit(parts._replace(path=f"/.well-known/oauth-authorization-server{path}"))
        appended = urlunsplit(parts._replace(path=f"{path}/.well-known/openid-configuration"))
        for place in (inserted, appended):
            metadata = await _document(client, place)
            if metadata is None or metadata.get("issuer") != self._settings.issuer:
                continue
            url = str(metadata.get("jwks_uri", ""))
            to = urlsplit(url)
            local = parts.hostname in LOOPBACK and to.hostname in LOOPBACK
            if to.scheme == "https" or (to.scheme == "http" and local):
                return url
        raise ValueError("no metadata of the issuer names its keys")


async def _document(client: httpx2.AsyncClient, url: str) -> dict[str, Any] | None:
    """A JSON object; None when there is none at the URL. Raises ValueError for one that is too large."""
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as reply:
        if reply.status_code != 200:
            return None
        body = bytearray()
        async for chunk in reply.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                raise ValueError("the document is too large")
    value = json.loads(body)
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def _usable(document: dict[str, Any]) -> dict[str, Key]:
    """The public keys that can verify signatures; others, and those not understood, are left out."""
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
