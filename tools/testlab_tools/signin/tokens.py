"""The tokens of a sign-in, and how they are written down."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

EARLY_SECONDS = 60
"""Tokens are renewed this long before they expire, as hardpy does."""
_LASTING_SECONDS = 3600
"""How long an access token is taken to last where the server does not say (RFC 6749 section 5.1: it may not)."""


class Tokens(BaseModel):
    """An access token until `expires_at` (Unix time), and the refresh token that gets the next."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    access_token: SecretStr
    refresh_token: SecretStr
    expires_at: float

    def fresh(self, now: float) -> bool:
        """Whether it can be used without being renewed first."""
        return self.expires_at - now > EARLY_SECONDS

    def write(self) -> str:
        """For the store alone: secrets in plain text."""
        secrets = {"access_token": self.access_token, "refresh_token": self.refresh_token}
        told = {name: secret.get_secret_value() for name, secret in secrets.items()}
        return json.dumps({**told, "expires_at": self.expires_at})

    @classmethod
    def read(cls, text: str) -> Tokens | None:
        """What `write` wrote; None when it is something else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None


class TokenReply(BaseModel):
    """A token endpoint's answer (RFC 6749 section 5.1), as it came."""

    model_config = ConfigDict(defer_build=True)

    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr | None = None
    expires_in: float | None = None

    def tokens(self, now: float, before: Tokens | None = None) -> Tokens | None:
        """The tokens from `now` on; a refresh token that is not replaced stays. None when there is none at all."""
        refresh = self.refresh_token or (before.refresh_token if before else None)
        usable = all(_sendable(secret) for secret in (self.access_token, refresh) if secret)
        if refresh is None or not usable:
            return None
        lasting = _LASTING_SECONDS if self.expires_in is None else self.expires_in
        return Tokens(access_token=self.access_token, refresh_token=refresh, expires_at=now + lasting)


def token_reply(body: Any) -> TokenReply | None:
    """A token endpoint's answer, None when it is none."""
    try:
        return TokenReply.model_validate(body)
    except ValidationError:
        return None


def _sendable(secret: SecretStr) -> bool:
    text = secret.get_secret_value()
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
