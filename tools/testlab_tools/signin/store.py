"""Where the tokens of a sign-in are kept: the operating system's keyring, else a file that only its user can read."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from testlab_tools.errors import ConfigError
from testlab_tools.keychain import Keychain, keychain
from testlab_tools.signin.provider import Provider
from testlab_tools.signin.tokens import Tokens

KEYCHAIN_SERVICE = "testlab-mcp"
_OTHERS = 0o077


def sign_in_folder() -> Path:
    """In the user's own data folder."""
    from platformdirs import user_data_path

    return user_data_path("testlab-mcp", appauthor=False) / "sign-in"


class TokenStore:
    """Keeps one sign-in's tokens. All of it blocks: call it off the event loop."""

    def __init__(self, provider: Provider, folder: Path | None = None) -> None:
        self._provider = provider
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where files are kept, the lock among them."""
        return self._folder or sign_in_folder()

    @property
    def path(self) -> Path:
        """The file that is used where there is no keyring."""
        return self.folder / f"{self._provider.key}.json"

    def load(self) -> Tokens | None:
        """The tokens, None when nobody has signed in. Raises ConfigError when others could have read the file."""
        ring = keychain()
        found = (_from(ring, self._provider.key) if ring else None, self._from_file())
        return max((tokens for tokens in found if tokens), key=lambda tokens: tokens.expires_at, default=None)

    def save(self, tokens: Tokens) -> str:
        """Keep these in place of all others; tells where. The old ones stay whole until the new ones are."""
        ring = keychain()
        if ring and _into(ring, self._provider.key, tokens):
            self.path.unlink(missing_ok=True)
            return "the keyring of this system"
        self._into_file(tokens.write())
        if ring:
            _forget(ring, self._provider.key)
        return str(self.path)

    def forget(self) -> bool:
        """Delete them wherever they are; False when there were none."""
        ring = keychain()
        kept = self.path.exists()
        self.path.unlink(missing_ok=True)
        return bool(ring and _forget(ring, self._provider.key)) or kept

    def _from_file(self) -> Tokens | None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unsafe(f"It cannot be opened ({type(error).__name__})") from None
        with os.fdopen(descriptor, "r", encoding="utf-8", errors="replace") as file:
            if os.name == "posix":
                facts = (os.fstat(descriptor), self.folder.stat())
                if any(stat.S_IMODE(fact.st_mode) & _OTHERS or fact.st_uid != os.getuid() for fact in facts):
                    raise self._unsafe("Others can read it, so the tokens in it may be known")
            return Tokens.read(file.read())

    def _into_file(self, text: str) -> None:
        """The file is replaced by one that is whole, so that a reader finds the old tokens or the new."""
        private_folder(self.folder)
        descriptor, name = tempfile.mkstemp(prefix=f"{self._provider.key}.", suffix=".part", dir=self.folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise

    def _unsafe(self, why: str) -> ConfigError:
        return ConfigError(
            f"The file with the sign-in to service {self._provider.service} is not used",
            why,
            f"Run `testlab-mcp logout {self._provider.service}`, then `testlab-mcp login {self._provider.service}`.",
        )


def private_folder(folder: Path) -> None:
    """Make a folder that only its user can enter."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix" and stat.S_IMODE(folder.stat().st_mode) & _OTHERS:
        folder.chmod(0o700)


def _from(ring: Keychain, key: str) -> Tokens | None:
    """A keyring that is locked, or gone, has no tokens for us."""
    with suppress(Exception):
        return Tokens.read(ring.get_password(KEYCHAIN_SERVICE, key) or "")
    return None


def _into(ring: Keychain, key: str, tokens: Tokens) -> bool:
    """Some take only short secrets (Windows: 1280 characters), some are locked: False when it did not keep them."""
    with suppress(Exception):
        ring.set_password(KEYCHAIN_SERVICE, key, tokens.write())
        return ring.get_password(KEYCHAIN_SERVICE, key) == tokens.write()
    return False


def _forget(ring: Keychain, key: str) -> bool:
    with suppress(Exception):
        ring.delete_password(KEYCHAIN_SERVICE, key)
        return True
    return False
