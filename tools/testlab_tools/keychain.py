"""The operating system's keyring, where there is one: macOS Keychain, Windows Credential Locker, Secret Service, …

The library `keyring` reaches it (`pip install testlab-mcp[keyring]`); it is imported when a secret is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast


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
