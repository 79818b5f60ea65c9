"""An authorization server on the scriptable server, whose answers a test chooses, and a sign-in to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from testlab_tools.http.policy import Endpoint
from testlab_tools.signin import Provider
from testlab_tools.signin.protocol import Tokens
from testlab_tools.signin.session import SignedIn, TokenStore

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

NOW = 1_800_000_000.0


@dataclass
class Grants:
    """Gives tokens for the refresh token that is valid now, each good once: `access-1` after `refresh-0`, …"""

    origin: Any
    renewed: int = 0
    lasting: float = 3600
    rotates: bool = True
    error: str = ""
    forms: list[dict[str, str]] = field(default_factory=lambda: list[dict[str, str]]())

    async def __call__(self, request: Any) -> bytes:
        form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
        self.forms.append(form)
        valid = f"refresh-{self.renewed if self.rotates else 0}"
        if self.error or form.get("refresh_token") != valid:
            return self.origin.reply(400, {"error": self.error or "invalid_grant", "error_description": "their words"})
        self.renewed += 1
        told = {"access_token": f"access-{self.renewed}", "token_type": "bearer", "expires_in": self.lasting}
        if self.rotates:
            told["refresh_token"] = f"refresh-{self.renewed}"
        return self.origin.reply(200, told)


@pytest.fixture
def grants(origin: Origin) -> Grants:
    """The server's token endpoint, which knows the refresh token `refresh-0`."""
    made = Grants(origin)
    origin.answer = made
    return made


@pytest.fixture
def provider(origin: Origin) -> Provider:
    """The server, as an adapter would describe it."""
    endpoint = Endpoint("cloud", origin.url, timeout_seconds=5)
    return Provider(endpoint, "/device", "/token", "a-client", "offline_access read", "http://audience.example")


@pytest.fixture
def store(provider: Provider, tmp_path: Path) -> TokenStore:
    """A store in the test's own folder."""
    return TokenStore(provider, tmp_path / "sign-in")


@pytest.fixture
def tokens_of() -> Callable[..., Tokens]:
    """Tokens `access-0`, `refresh-0` that expire so many seconds after NOW."""

    def made(lasting: float = 3600, number: int = 0) -> Tokens:
        access, refresh = SecretStr(f"access-{number}"), SecretStr(f"refresh-{number}")
        return Tokens(access_token=access, refresh_token=refresh, expires_at=NOW + lasting)

    return made


@pytest.fixture
def session(provider: Provider, store: TokenStore) -> Callable[[], SignedIn]:
    """A sign-in as one server process has it; it is NOW."""
    return lambda: SignedIn(provider, store, lambda: NOW)
