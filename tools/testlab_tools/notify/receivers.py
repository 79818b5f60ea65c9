"""A receiver of the config, its secrets, and what is wrong with them."""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from typing import Literal

from testlab_tools.errors import ConfigError
from testlab_tools.http.ssrf import UnsafeUrl, check_receiver
from testlab_tools.known_secrets import remember

ReceiverKind = Literal["webhook", "slack", "teams"]
PREFIX = "whsec_"
LEAST_SECRET, MOST_SECRET = 24, 64
"""Bytes of a secret. Standard Webhooks, "Signature scheme": "between 24 bytes (192 bits) and 64 bytes (512 bits)"."""
MAKING = "`openssl rand -base64 32` makes one."


@dataclass(frozen=True)
class Receiver:
    """Where messages go. The URL, which is a secret of Slack's and Teams', is given or in a variable."""

    name: str
    kind: ReceiverKind
    url: str = ""
    url_env: str = ""
    secret_env: str = ""
    allow_private: bool = False
    give_up_hours: float = 24.0

    @property
    def table(self) -> str:
        """Its table in the config."""
        return f"[notify.{self.name}]"

    def read_url(self) -> str:
        """Where messages are posted. Raises ConfigError, which does not quote it."""
        url = self.url or os.environ.get(self.url_env, "")
        if not url:
            raise ConfigError(f"{self.table}: the variable {self.url_env} is not set", "", "Set it to the URL.")
        try:
            check_receiver(url, self.allow_private)
        except UnsafeUrl as unsafe:
            step = "allow_private = true allows addresses within the network."
            raise ConfigError(f"{self.table}: nothing is sent to its URL", str(unsafe), step) from None
        remember(f"notify {self.name} url", url)
        return url

    def read_secret(self) -> bytes:
        """The key of the signature; empty where none is asked for. Raises ConfigError."""
        if not self.secret_env:
            return b""
        text = os.environ.get(self.secret_env, "")
        if not text:
            raise ConfigError(f"{self.table}: the variable {self.secret_env} is not set", "", MAKING)
        remember(f"notify {self.name} secret", text)
        try:
            key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not LEAST_SECRET <= len(key) <= MOST_SECRET:
            what = f"{self.table}: {self.secret_env} is not base64 of {LEAST_SECRET} to {MOST_SECRET} bytes"
            raise ConfigError(what, "", MAKING)
        return key

    def find_problem(self) -> str:
        """What is wrong with it, as far as it can be told without sending; empty where nothing is."""
        try:
            self.read_url()
            self.read_secret()
        except ConfigError as error:
            return str(error)
        return ""
