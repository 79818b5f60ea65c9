"""Where HTTP may be served, under which names, and with which keys replicas share half-answered questions."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from mcp.server.request_state import RequestStateSecurity
from mcp.server.transport_security import TransportSecuritySettings

from testlab_mcp.access.settings import LOOPBACK, HttpSettings
from testlab_tools.errors import ConfigError

KEY_BYTES = 32


def check_address(host: str, http: HttpSettings, sign_in: bool) -> None:
    """Raises ConfigError for an address that others can reach, unless callers sign in and the public name is known."""
    if http.public_url and not sign_in and host in LOOPBACK:
        raise ConfigError(
            "[http] public_url is set, and nobody would have to sign in",
            "Whoever reaches that address could do all that this server may",
            "Add [callers.…] (testlab-mcp token new NAME) or [http.oauth], or take public_url out.",
        )
    if host in LOOPBACK:
        return
    if not sign_in:
        why, todo = "There is no sign-in in the config", "add [callers.…] (testlab-mcp token new NAME) or [http.oauth]"
    elif not http.public_url:
        why, todo = "The name that callers know it by is not in the config", "set [http] public_url"
    else:
        return
    raise ConfigError("--http serves on this machine only", why, f"Use 127.0.0.1:PORT, or {todo}.")


def names(host: str, http: HttpSettings) -> TransportSecuritySettings:
    """The Host and Origin headers to accept: the public ones, and this machine's if it serves on a loopback address."""
    hosts: list[str] = []
    origins = list(http.allowed_origins)
    if host in LOOPBACK:
        hosts += [f"{name}:*" for name in ("127.0.0.1", "localhost", "[::1]")]
        origins += [f"http://{name}" for name in hosts]
    if http.public_url:
        url = urlsplit(http.public_url)
        name = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
        usual = 443 if url.scheme == "https" else 80
        port = url.port or usual
        hosts += [f"{name}:{port}"] + ([name] if port == usual else [])
        origins += [f"{url.scheme}://{name}" + ("" if port == usual else f":{port}")]
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


def shared_state(http: HttpSettings) -> RequestStateSecurity | None:
    """Keys from the config, the first of which seals; None where this process alone answers.

    Raises:
        ConfigError: they cannot be read, or one is too short.
    """
    if not http.state_key_env and not http.state_key_file:
        return None
    place = f"[http] {'state_key_env' if http.state_key_env else 'state_key_file'}"
    try:
        given = os.environ.get(http.state_key_env, "") if http.state_key_env else _read(http.state_key_file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place} cannot be read ({type(error).__name__})", "", "Check the path.") from None
    keys = given.replace(",", " ").split()
    if not keys:
        raise ConfigError(f"{place} holds no key", "", _MAKE)
    if any(len(key.encode()) < KEY_BYTES for key in keys):
        raise ConfigError(f"{place} holds a key of fewer than {KEY_BYTES} characters", "", _MAKE)
    return RequestStateSecurity(keys=keys)


def _read(path: str) -> str:
    return Path(path).expanduser().read_text(encoding="utf-8")


_MAKE = "`openssl rand -hex 32` makes one; several stand on lines of their own, or between commas, the newest first."
