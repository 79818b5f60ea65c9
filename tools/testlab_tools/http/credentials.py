"""Where a service's token comes from, and how it is sent. It is read at the first request, and kept secret.

A `Source` gives tokens that change, as those of a sign-in do. The operating system's keyring is reached through the
library `keyring` (`pip install testlab-mcp[keyring]`), which is imported when a secret is asked for.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import shlex
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from pydantic import SecretStr

from testlab_tools.errors import ConfigError
from testlab_tools.known_secrets import remember


class Keychain(Protocol):
    """What is used of the library."""

    def get_password(self, service_name: str, username: str) -> str | None:
        """A secret, None where there is none."""
        ...

    def set_password(self, service_name: str, username: str, password: str) -> None:
        """Keep a secret."""
        ...

    def delete_password(self, service_name: str, username: str) -> None:
        """Forget a secret."""
        ...


def keychain() -> Keychain | None:
    """The keyring; None without the library, or where it finds no keyring (its `fail` and `null` backends say so)."""
    try:
        library: Any = importlib.import_module("keyring")
        return cast(Keychain, library) if library.get_keyring().priority > 0 else None
    except Exception:  # noqa: BLE001 - a backend raises what it likes; whatever it is, there is no keyring to use
        return None


Scheme = Literal["token", "bearer", "x-api-key"]
_COMMAND_SECONDS = 10


@dataclass(frozen=True)
class Token:
    """The places a token may stand; exactly one is given. `keyring` is `service/user`; `header` is where a caller
    brings its own instead."""

    value: SecretStr | None = None
    env: str = ""
    file: str = ""
    command: str = ""
    keyring: str = ""
    header: str = ""

    def read(self, service: str) -> SecretStr:
        """The token itself.

        Raises:
            ConfigError: naming the setting to mend, never what it holds.
        """
        if self.header:
            return self._caller_token(service)
        if self.value is not None:
            text = self.value.get_secret_value()
            where = "its token"
        elif self.env:
            text, where = os.environ.get(self.env, ""), f"the environment variable {self.env}"
        elif self.file:
            text, where = _read_file(service, self.file), "its token_file"
        elif self.command:
            text, where = _run(service, self.command), "its token_command"
        elif self.keyring:
            text, where = _look_up(service, self.keyring), "the entry of token_keyring"
        else:
            raise ConfigError(
                f"Service {service} has no token",
                "",
                f"Set token_env, token_file, token_command, token_keyring or token under [services.{service}].",
            )
        if not text.strip():
            raise ConfigError(
                f"Service {service} has no token: {where} is empty or not set",
                "",
                f"Set it, or point [services.{service}] at another place, and restart the server.",
            )
        if not (text.strip().isascii() and text.strip().isprintable()):
            raise ConfigError(
                f"Service {service}'s token is not plain text",
                f"{where} holds several lines or other characters",
                f"Put the token alone where [services.{service}] says.",
            )
        remember(service, text.strip())
        return SecretStr(text.strip())

    def _caller_token(self, service: str) -> SecretStr:
        """The caller's own token, which came in a header of its request."""
        text = self.value.get_secret_value().strip() if self.value else ""
        if text and text.isascii() and text.isprintable():
            return SecretStr(text)
        raise ConfigError(
            f"Service {service} takes each caller's own token, and this call brought none that can be used",
            f'[services.{service}] credentials is "caller"',
            f"Have the client send it over HTTP, in the header {self.header}.",
        )


class Source(Protocol):
    """Gives tokens that change."""

    async def secret(self) -> SecretStr:
        """The token for the next request. Raises ConfigError when there is none."""
        ...

    async def renew(self, refused: SecretStr) -> bool:
        """Whether there is now another token than this one, which the service refused."""
        ...

    async def identify(self) -> str:
        """What is the same for all tokens of one sign-in, and for no other. Raises ConfigError when there is none."""
        ...


class Credentials:
    """Turns a token into the header that the service reads. A `source` takes the place of `token`.

    >>> Credentials("portal", "token", Token(env="STBT_AUTH_TOKEN")).headers
    {'Authorization': 'token …'}
    """

    def __init__(self, service: str, scheme: Scheme, token: Token, source: Source | None = None) -> None:
        self._service = service
        self._scheme = scheme
        self._token = token
        self._source = source

    @cached_property
    def _secret(self) -> SecretStr:
        return self._token.read(self._service)

    async def prepare(self) -> Mapping[str, str]:
        """The header to send, its token read off the event loop. Raises ConfigError when there is none."""
        if self._source is not None:
            self._secret = await self._source.secret()
            remember(self._service, self._secret.get_secret_value())
        elif "_secret" not in self.__dict__:
            self._secret = await asyncio.to_thread(self._token.read, self._service)
        return self.headers

    async def identify(self) -> str:
        """What is the same as long as the credentials are: secret, unless hashed. Raises ConfigError without any."""
        if self._source is not None:
            return await self._source.identify()
        return repr(sorted((await self.prepare()).items()))

    async def renew(self, sent: Mapping[str, str]) -> bool:
        """Whether the headers that were `sent`, and refused, have been replaced by others."""
        if self._source is None:
            return False
        refused = sent.get("X-API-KEY") or sent["Authorization"].partition(" ")[2]
        return await self._source.renew(SecretStr(refused))

    @property
    def headers(self) -> Mapping[str, str]:
        """The header to send. Raises ConfigError when there is no token."""
        secret = self._secret.get_secret_value()
        if self._scheme == "x-api-key":
            return {"X-API-KEY": secret}
        return {"Authorization": f"{'Bearer' if self._scheme == 'bearer' else 'token'} {secret}"}


def _read_file(service: str, path: str) -> str:
    try:
        with Path(path).expanduser().open(encoding="utf-8") as file:
            shared = os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
            text = "" if shared else file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"Service {service}'s token_file cannot be read ({type(error).__name__})",
            "",
            f"Check the path in [services.{service}] token_file.",
        ) from None
    if shared:
        raise ConfigError(
            f"Service {service}'s token_file is not used",
            "Other users of this machine can read or change it",
            "Take their rights away (chmod 600), and get a new token if they may have read it.",
        )
    return text


def _look_up(service: str, entry: str) -> str:
    """An entry of the keyring, `service/user`; the service may have slashes in it. Empty where there is none."""
    where, _, user = entry.rpartition("/")
    ring = keychain()
    if ring is None:
        raise ConfigError(
            f"Service {service}'s token_keyring cannot be read: there is no keyring to use",
            "",
            "Install testlab-mcp[keyring] where the system has a keyring; else use token_env or token_file.",
        )
    try:
        return ring.get_password(where, user) or ""
    except Exception as error:  # noqa: BLE001 - a backend raises what it likes
        raise ConfigError(
            f"Service {service}'s token_keyring cannot be read ({type(error).__name__})",
            "",
            "Unlock the keyring, and start the server in the same session.",
        ) from None


def _run(service: str, command: str) -> str:
    try:
        done = subprocess.run(
            shlex.split(command), capture_output=True, timeout=_COMMAND_SECONDS, check=True, stdin=subprocess.DEVNULL
        )
        return done.stdout.decode("utf-8")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ConfigError(
            f"Service {service}'s token_command failed ({type(error).__name__})",
            "",
            f"Run the command in [services.{service}] token_command by hand; it must print the token and exit 0.",
        ) from None
