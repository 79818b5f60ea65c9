"""The access token of a sign-in, renewed in time by one process at a time, and never lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from pydantic import SecretStr

from testlab_tools.errors import AuthError, ConfigError, ServiceDown
from testlab_tools.signin import protocol
from testlab_tools.signin.protocol import Provider, Tokens
from testlab_tools.signin.store import TokenStore


class SignedIn:
    """Gives the access token of a sign-in.

    A sign-in made while the server runs is found by the next request. Tokens that another process has renewed are read
    before they would be renewed again, since a refresh token may be valid only once.
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
        if self._tokens is None or not self._tokens.is_fresh(self._clock()):
            self._tokens = await self._join_renewal(None)
        return self._tokens.access_token

    async def renew(self, refused: SecretStr) -> bool:
        """Whether there is now another token than the one that the service refused. Raises ConfigError as `secret`."""
        for _ in range(2):  # the renewal that was under way may have been begun for another reason
            self._tokens = await self._join_renewal(refused)
            if self._tokens.access_token != refused:
                return True
        return False

    async def _join_renewal(self, refused: SecretStr | None) -> Tokens:
        """All callers share one renewal, which is not cancelled with them: a new refresh token might be lost."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.ensure_future(self._renew(refused))
        return await asyncio.shield(self._renewal)

    async def _renew(self, refused: SecretStr | None) -> Tokens:
        if (kept := await self._load()) and self._is_usable(kept, refused):
            return kept
        try:
            async with self._store.lock():
                if (kept := await self._load()) and self._is_usable(kept, refused):
                    return kept
                if kept is None:
                    raise self._provider.missing_error()
                return await self._refresh(kept, refused)
        except TimeoutError:
            raise ServiceDown(
                self._provider.service,
                f"The sign-in to service {self._provider.service} is being renewed by another process",
                "It has not ended in time",
                "Call again in a minute.",
            ) from None

    async def _refresh(self, kept: Tokens, refused: SecretStr | None) -> Tokens:
        """RFC 6749 section 6; the audience again, as hardpy sends it."""
        if kept.refresh_token == self._spent:
            raise self._provider.ended_error()
        form = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token.get_secret_value()}
        if self._provider.audience:
            form["audience"] = self._provider.audience
        try:
            answer = await protocol.request_tokens(self._provider, form, self._clock(), kept)
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
        raise self._provider.ended_error()

    async def _load(self) -> Tokens | None:
        """The stored tokens, or newer ones that could not be stored. None once they were deleted."""
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

    def _is_usable(self, tokens: Tokens, refused: SecretStr | None) -> bool:
        return tokens.is_fresh(self._clock()) and tokens.access_token != refused
