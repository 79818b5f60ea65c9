"""What serving over HTTP adds to a server: sign-in, rates, callers' own tokens, keys that replicas share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

from testlab_mcp.access.rates import Rates
from testlab_mcp.access.rooms import Connect
from testlab_mcp.access.settings import HttpSettings
from testlab_tools.catalog import all_tools
from testlab_tools.errors import ConfigError

if TYPE_CHECKING:
    from mcp.server.request_state import RequestStateSecurity

    from testlab_mcp.access.sign_in import SignIn
    from testlab_mcp.config import Config


@dataclass(frozen=True)
class Gate:
    """`sign_in` is None where nobody signs in: then every request is from whoever started the server."""

    http: HttpSettings = field(default_factory=HttpSettings)
    sign_in: SignIn | None = None
    rates: Rates = field(default_factory=lambda: Rates(0))
    state: RequestStateSecurity | None = None
    connect: Mapping[str, Connect] = field(default_factory=dict[str, Connect])

    @classmethod
    def of(cls, config: Config) -> Gate:
        """As a config has it. Raises ConfigError when a caller's table names no tool, or keys cannot be read."""
        from testlab_mcp.access.hosts import shared_state
        from testlab_mcp.access.sign_in import SignIn

        _check_tools(config)
        sign_in = SignIn(config.http, config.callers) if config.signs_in else None
        connect = {name: partial(config.connect_as, name) for name in config.callers_own}
        return cls(config.http, sign_in, Rates(config.http.calls_per_minute), shared_state(config.http), connect)


def _check_tools(config: Config) -> None:
    """A mistyped name in `deny` would deny nothing."""
    known = [tool.name for tool in all_tools()]
    for name, caller in config.callers.items():
        for tool in (*caller.allow, *caller.deny):
            if tool not in known:
                near = get_close_matches(tool, known, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else "`testlab-mcp tools` lists them."
                raise ConfigError(f"[callers.{name}]: there is no tool {tool!r}", "", hint)
