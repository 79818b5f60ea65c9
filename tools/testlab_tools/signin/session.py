"""The token of a sign-in as requests need it: renewed in time, by one process at a time, and never lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from pydantic import SecretStr

from testlab_tools.errors import AuthError, ConfigError, ServiceDown
from testlab_tools.signin import exchange
from testlab_tools.signin.lock import sole
from testlab_tools.signin.provider import Provider
from testlab_tools.signin.store import TokenStore
from testlab_tools.signin.tokens import Tokens


class SignedIn:
    """Gives the access token of a sign-in.

    Whoever signs in while the server runs is found by the next request; another process that has renewed the tokens is
    noticed before they are renewed again, since a refresh token may be good only once.
    """

    def __init__(self, provider: Provider, store: TokenStore, clock: Callable[[], float] = time.time) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._tokens: Tokens | None = None
        self._spent: SecretStr | None = None
        self._renewal: asyncio.Task[Tokens] | None = None

    async def secret(self) -> SecretStr:
        """An access token that has not expired. Raises ConfigError when nobody is signed in."""
        if self._tokens is None or not self._tokens.fresh(self._clock()):
            self._tokens = await self._renewed(None)
        return self._tokens.access_token

    async def renew(self, refused: SecretStr) -> bool:
        """Another token than the one that the service refused. Raises ConfigError when there is none to be had."""
        for _ in range(2):  # the renewal that was under way may have been begun for another reason
            self._tokens = await self._renewed(refused)
            if self._tokens.access_token != refused:
                return True
        return False

    async def _renewed(self, refused: SecretStr | None) -> Tokens:
        """All callers share one renewal; it is not cancelled with them, or a new refresh token might be lost."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.ensure_future(self._renew(refused))
        return await asyncio.shield(self._renewal)

    async def _renew(self, refused: SecretStr | None) -> Tokens:
        if (kept := await self._kept()) and self._good(kept, refused):
            return kept
        try:
            async with sole(self._store.folder / f"{self._provider.key}.lock"):
                if (kept := await self._kept()) and self._good(kept, refused):
                    return kept
                if kept is None:
                    raise self._provider.missing()
                return await self._refreshed(kept, refused)
        except TimeoutError:
            raise ServiceDown(
                self._provider.service,
                f"The sign-in to service {self._provider.service} is being renewed by another process",
                "It has not ended in time",
                "Call again in a minute.",
            ) from None

    async def _refreshed(self, kept: Tokens, refused: SecretStr | None) -> Tokens:
        """RFC 6749 section 6; the audience again, as hardpy sends it."""
        if kept.refresh_token == self._spent:
            raise self._provider.ended()
        form = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token.get_secret_value()}
        if self._provider.audience:
            form["audience"] = self._provider.audience
        try:
            answer = await exchange.token(self._provider, form, self._clock(), kept)
        except ServiceDown:
            if refused is None and kept.expires_at > self._clock():
                return kept
            raise
        if isinstance(answer, Tokens):
            self._tokens = answer
            with suppress(OSError):
                await asyncio.to_thread(self._store.save, answer)
            return answer
        if answer != "invalid_grant":
            raise AuthError(
                self._provider.service,
                f"Service {self._provider.service} does not renew the sign-in",
                "It refused the request as invalid",
                self._provider.remedy,
            )
        self._spent = kept.refresh_token
        raise self._provider.ended()

    async def _kept(self) -> Tokens | None:
        """What is stored; if it could not be stored last time, what is known here. Nothing once it was forgotten."""
        try:
            stored = await asyncio.to_thread(self._store.load)
        except OSError as error:
            raise ConfigError(
                f"The sign-in to service {self._provider.service} cannot be read ({type(error).__name__})",
                "",
                self._provider.remedy,
            ) from None
        if stored and self._tokens and self._tokens.expires_at > stored.expires_at:
            return self._tokens
        return stored

    def _good(self, tokens: Tokens, refused: SecretStr | None) -> bool:
        return tokens.fresh(self._clock()) and tokens.access_token != refused
