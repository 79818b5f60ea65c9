"""Where a service's token comes from, and how it is sent. It is read at the first request, and kept secret."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from testlab_tools.errors import ConfigError

Scheme = Literal["token", "bearer", "x-api-key"]
_COMMAND_SECONDS = 10


@dataclass(frozen=True)
class Token:
    """The four places a token may stand; exactly one is given. `header` is where a caller brings its own instead."""

    value: SecretStr | None = None
    env: str = ""
    file: str = ""
    command: str = ""
    header: str = ""

    def read(self, service: str) -> SecretStr:
        """The token itself.

        Raises:
            ConfigError: naming the setting to mend, never what it holds.
        """
        if self.header:
            return self._brought(service)
        if self.value is not None:
            text = self.value.get_secret_value()
            where = "its token"
        elif self.env:
            text, where = os.environ.get(self.env, ""), f"the environment variable {self.env}"
        elif self.file:
            text, where = _read_file(service, self.file), "its token_file"
        elif self.command:
            text, where = _run(service, self.command), "its token_command"
        else:
            raise ConfigError(
                f"Service {service} has no token",
                "",
                f"Set token_env, token_file, token_command or token under [services.{service}].",
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
        return SecretStr(text.strip())

    def _brought(self, service: str) -> SecretStr:
        """The caller's own token, which came in a header of its request."""
        text = self.value.get_secret_value().strip() if self.value else ""
        if text and text.isascii() and text.isprintable():
            return SecretStr(text)
        raise ConfigError(
            f"Service {service} takes each caller's own token, and this call brought none that can be used",
            f'[services.{service}] credentials is "caller"',
            f"Have the client send it over HTTP, in the header {self.header}.",
        )


class Credentials:
    """Turns a token into the header that the service reads.

    >>> Credentials("portal", "token", Token(env="STBT_AUTH_TOKEN")).headers
    {'Authorization': 'token …'}
    """

    def __init__(self, service: str, scheme: Scheme, token: Token) -> None:
        self._service = service
        self._scheme = scheme
        self._token = token

    @cached_property
    def _secret(self) -> SecretStr:
        return self._token.read(self._service)

    async def ready(self) -> None:
        """Read the token, a file or command off the event loop. Raises ConfigError when there is none."""
        if "_secret" not in self.__dict__:
            self._secret = await asyncio.to_thread(self._token.read, self._service)

    @property
    def headers(self) -> Mapping[str, str]:
        """The header to send. Raises ConfigError when there is no token."""
        secret = self._secret.get_secret_value()
        if self._scheme == "x-api-key":
            return {"X-API-KEY": secret}
        return {"Authorization": f"{'Bearer' if self._scheme == 'bearer' else 'token'} {secret}"}


def _read_file(service: str, path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"Service {service}'s token_file cannot be read ({type(error).__name__})",
            "",
            f"Check the path in [services.{service}] token_file.",
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
