"""The access token of a sign-in, renewed in time by one process at a time, and never lost: its tokens are in the
operating system's keyring, else in a file that only its user can read."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pydantic import SecretStr

from testlab_tools.errors import AuthError, ConfigError, ServiceDown
from testlab_tools.files.io import replace_file
from testlab_tools.files.lock import FileLock
from testlab_tools.http.credentials import keychain
from testlab_tools.signin.protocol import Provider, Tokens, request_tokens


class SignedIn:
    """Gives the access token of a sign-in.

    A sign-in made while the server runs is found by the next request. Tokens that another process has renewed are read
    before they would be renewed again, since a refresh token may be valid only once.
    """

    def __init__(self, provider: Provider, store: TokenStore, clock: Callable[[], float] = time.time) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._tokens: Tokens | None = None
        self._spent: SecretStr | None = None
        self._renewal: asyncio.Task[Tokens] | None = None

    async def secret(self) -> SecretStr:
        """An access token that has not expired. Raises ConfigError when nobody is signed in."""
        if self._tokens is None or not self._tokens.is_fresh(self._clock()):
            self._tokens = await self._join_renewal(None)
        return self._tokens.access_token

    async def identify(self) -> str:
        """The sign-in's own name, which its tokens keep when they are renewed. Raises ConfigError as `secret`."""
        await self.secret()
        assert self._tokens is not None
        return self._tokens.sign_in or self._tokens.refresh_token.get_secret_value()

    async def renew(self, refused: SecretStr) -> bool:
        """Whether there is now another token than the one that the service refused. Raises ConfigError as `secret`."""
        for _ in range(2):  # the renewal that was under way may have been begun for another reason
            self._tokens = await self._join_renewal(refused)
            if self._tokens.access_token != refused:
                return True
        return False

    async def _join_renewal(self, refused: SecretStr | None) -> Tokens:
        """All callers share one renewal, which is not cancelled with them: a new refresh token might be lost."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.ensure_future(self._renew(refused))
        return await asyncio.shield(self._renewal)

    async def _renew(self, refused: SecretStr | None) -> Tokens:
        if (kept := await self._load()) and self._is_usable(kept, refused):
            return kept
        try:
            async with self._store.lock():
                if (kept := await self._load()) and self._is_usable(kept, refused):
                    return kept
                if kept is None:
                    raise self._provider.missing_error()
                return await self._refresh(kept, refused)
        except TimeoutError:
            raise ServiceDown(
                self._provider.service,
                f"The sign-in to service {self._provider.service} is being renewed by another process",
                "It has not ended in time",
                "Call again in a minute.",
            ) from None

    async def _refresh(self, kept: Tokens, refused: SecretStr | None) -> Tokens:
        """RFC 6749 section 6; the audience again, as hardpy sends it."""
        if kept.refresh_token == self._spent:
            raise self._provider.ended_error()
        form = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token.get_secret_value()}
        if self._provider.audience:
            form["audience"] = self._provider.audience
        try:
            answer = await request_tokens(self._provider, form, self._clock(), kept)
        except ServiceDown:
            if refused is None and kept.expires_at > self._clock():
                return kept
            raise
        if isinstance(answer, Tokens):
            self._tokens = answer
            with suppress(OSError):
                await asyncio.to_thread(self._store.save, answer)
            return answer
        if answer != "invalid_grant":
            raise AuthError(
                self._provider.service,
                f"Service {self._provider.service} does not renew the sign-in",
                "It refused the request as invalid",
                self._provider.remedy,
            )
        self._spent = kept.refresh_token
        raise self._provider.ended_error()

    async def _load(self) -> Tokens | None:
        """The stored tokens, or newer ones that could not be stored. None once they were deleted."""
        try:
            stored = await asyncio.to_thread(self._store.load)
        except OSError as error:
            raise ConfigError(
                f"The sign-in to service {self._provider.service} cannot be read ({type(error).__name__})",
                "",
                self._provider.remedy,
            ) from None
        if stored and self._tokens and self._tokens.expires_at > stored.expires_at:
            return self._tokens
        return stored

    def _is_usable(self, tokens: Tokens, refused: SecretStr | None) -> bool:
        return tokens.is_fresh(self._clock()) and tokens.access_token != refused


KEYCHAIN_SERVICE = "testlab-mcp"
LOCK_TIMEOUT_S = 12.0
_LOCK_POLL_S = 0.05
_OTHERS = 0o077


def sign_in_folder() -> Path:
    """In the user's own data folder."""
    from platformdirs import user_data_path

    return user_data_path("testlab-mcp", appauthor=False) / "sign-in"


class TokenStore:
    """Keeps one sign-in's tokens. All but `lock` blocks: call it off the event loop."""

    def __init__(self, provider: Provider, folder: Path | None = None) -> None:
        self._provider = provider
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where the tokens' file and its lock are."""
        return self._folder or sign_in_folder()

    @property
    def path(self) -> Path:
        """The file for tokens where there is no keyring."""
        return self.folder / f"{self._provider.key}.json"

    @asynccontextmanager
    async def lock(self) -> AsyncGenerator[None]:
        """Keep other processes from changing the tokens. Raises TimeoutError when another does so for too long."""
        private_folder(self.folder)
        lock = FileLock(self.folder / f"{self._provider.key}.lock")
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while not lock.acquire():
            if time.monotonic() >= deadline:
                raise TimeoutError
            await asyncio.sleep(_LOCK_POLL_S)
        try:
            yield
        finally:
            lock.release()

    def load(self) -> Tokens | None:
        """The tokens; None when nobody has signed in. Raises ConfigError when others could have read the file."""
        found = (_read_keyring(self._provider.key), self._read_file())
        return max((tokens for tokens in found if tokens), key=lambda tokens: tokens.expires_at, default=None)

    def save(self, tokens: Tokens) -> str:
        """Store tokens in place of the old ones, and return where. The old ones stay until the new ones are written."""
        if _write_keyring(self._provider.key, tokens):
            self.path.unlink(missing_ok=True)
            return "the keyring of this system"
        private_folder(self.folder)
        replace_file(self.path, tokens.to_json())
        _delete_from_keyring(self._provider.key)
        return str(self.path)

    def delete(self) -> bool:
        """Delete the tokens wherever they are; returns False when there were none."""
        kept = self.path.exists()
        self.path.unlink(missing_ok=True)
        return _delete_from_keyring(self._provider.key) or kept

    def _read_file(self) -> Tokens | None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unsafe_error(f"It cannot be opened ({type(error).__name__})") from None
        with os.fdopen(descriptor, "r", encoding="utf-8", errors="replace") as file:
            if os.name == "posix":
                facts = (os.fstat(descriptor), self.folder.stat())
                if any(stat.S_IMODE(fact.st_mode) & _OTHERS or fact.st_uid != os.getuid() for fact in facts):
                    raise self._unsafe_error("Others can read it, so the tokens in it may be known")
            return Tokens.from_json(file.read())

    def _unsafe_error(self, why: str) -> ConfigError:
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


def _read_keyring(key: str) -> Tokens | None:
    """None also where the keyring is locked or gone."""
    with suppress(Exception):
        if ring := keychain():
            return Tokens.from_json(ring.get_password(KEYCHAIN_SERVICE, key) or "")
    return None


def _write_keyring(key: str, tokens: Tokens) -> bool:
    """False when the keyring did not keep the tokens: it is locked, or takes only shorter ones (Windows: 1280)."""
    with suppress(Exception):
        if ring := keychain():
            ring.set_password(KEYCHAIN_SERVICE, key, tokens.to_json())
            return ring.get_password(KEYCHAIN_SERVICE, key) == tokens.to_json()
    return False


def _delete_from_keyring(key: str) -> bool:
    with suppress(Exception):
        if ring := keychain():
            ring.delete_password(KEYCHAIN_SERVICE, key)
            return True
    return False
