"""What HTTP adds to a server: sign-in, limits, callers' own service tokens, and keys that replicas share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from testlab_mcp.access.scopes import Connect
from testlab_mcp.config.settings import HttpSettings
from testlab_tools.errors import ConfigError, did_you_mean
from testlab_tools.tools import all_tools

if TYPE_CHECKING:
    from mcp.server.request_state import RequestStateSecurity

    from testlab_mcp.access.authentication import CallerTokenVerifier
    from testlab_mcp.config.config import Config

MIN_KEY_BYTES = 32


@dataclass(frozen=True)
class HttpSecurity:
    """`token_verifier` is None without sign-in: every request is then from the user who started the server. `connect`
    makes, by name, the services that take a caller's own token."""

    http: HttpSettings = field(default_factory=HttpSettings)
    token_verifier: CallerTokenVerifier | None = None
    request_state: RequestStateSecurity | None = None
    connect: Mapping[str, Connect] = field(default_factory=dict[str, Connect])

    @classmethod
    def from_config(cls, config: Config) -> HttpSecurity:
        """From a config. Raises ConfigError for an unknown tool in a caller's table, and for unusable keys."""
        from testlab_mcp.access.authentication import CallerTokenVerifier

        _check_tools(config)
        sign_in = CallerTokenVerifier(config.http, config.callers) if config.signs_in else None
        connect = {name: partial(config.connect_as, name) for name in config.callers_own}
        return cls(config.http, sign_in, load_shared_keys(config.http), connect)


def _check_tools(config: Config) -> None:
    """Raises ConfigError for an unknown tool: a mistyped name in `deny` would deny nothing."""
    known = [tool.name for tool in all_tools()]
    for name, caller in config.callers.items():
        for tool in (*caller.allow, *caller.deny):
            if tool not in known:
                hint = did_you_mean(tool, known, "`testlab-mcp tools` lists them.")
                raise ConfigError(f"[callers.{name}]: there is no tool {tool!r}", "", hint)


def load_shared_keys(http: HttpSettings) -> RequestStateSecurity | None:
    """The keys for pending questions, of which the first seals; None when no other replica has to read them.

    Raises:
        ConfigError: the keys cannot be read, or a key is too short.
    """
    if not http.state_key_env and not http.state_key_file:
        return None
    if http.state_key_env:
        place, given = "[http] state_key_env", os.environ.get(http.state_key_env, "")
    else:
        place = "[http] state_key_file"
        try:
            given = Path(http.state_key_file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{place} cannot be read ({type(error).__name__})", "", "Check the path.") from None
    keys = given.replace(",", " ").split()
    if not keys:
        raise ConfigError(f"{place} holds no key", "", _MAKE)
    if any(len(key.encode()) < MIN_KEY_BYTES for key in keys):
        raise ConfigError(f"{place} holds a key of fewer than {MIN_KEY_BYTES} characters", "", _MAKE)
    from mcp.server.request_state import RequestStateSecurity

    return RequestStateSecurity(keys=keys)


_MAKE = "`openssl rand -hex 32` makes one; several stand on lines of their own, or between commas, the newest first."
