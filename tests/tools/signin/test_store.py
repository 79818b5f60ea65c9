"""Tokens are kept in the keyring where there is one, else in a file that only its user can read."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from testlab_tools.errors import ConfigError
from testlab_tools.signin.protocol import Tokens
from testlab_tools.signin.session import TokenStore

TokensOf = Callable[..., Tokens]


def test_without_a_keyring_they_are_in_a_file_of_the_user_alone(store: TokenStore, tokens_of: TokensOf) -> None:
    where = store.save(tokens_of())

    assert where == str(store.path)
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert store.load() == tokens_of()


def test_a_folder_that_others_could_enter_is_closed(store: TokenStore, tokens_of: TokensOf) -> None:
    store.folder.mkdir(mode=0o755)
    store.save(tokens_of())
    assert store.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_read_is_refused(mode: int, store: TokenStore, tokens_of: TokensOf) -> None:
    store.save(tokens_of())
    store.path.chmod(mode)
    with pytest.raises(ConfigError, match=r"not used\. Others can read it.*logout cloud`, then `testlab-mcp login clo"):
        store.load()

    store.path.chmod(0o600)
    store.folder.chmod(0o755)
    with pytest.raises(ConfigError, match="Others can read it"):
        store.load()


def test_a_link_in_its_place_is_not_followed(store: TokenStore, tokens_of: TokensOf) -> None:
    store.save(tokens_of())
    elsewhere = store.folder / "elsewhere"
    store.path.rename(elsewhere)
    store.path.symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="cannot be opened"):
        store.load()


def test_a_file_that_is_broken_is_no_sign_in(store: TokenStore, tokens_of: TokensOf) -> None:
    store.save(tokens_of())
    store.path.write_bytes(b'{"access_token": "a\xff')
    assert store.load() is None


def test_a_save_that_fails_leaves_the_old_tokens_whole(
    store: TokenStore, tokens_of: TokensOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(tokens_of())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            store.save(tokens_of(number=1))
    assert store.load() == tokens_of()
    assert os.listdir(store.folder) == [store.path.name]


def test_with_a_keyring_they_are_there_and_in_no_file(
    store: TokenStore, tokens_of: TokensOf, keyring_of: Callable[..., dict[tuple[str, str], str]]
) -> None:
    store.save(tokens_of(number=1))
    held = keyring_of()

    assert store.save(tokens_of(number=2)) == "the keyring of this system"
    assert list(held) == [("testlab-mcp", store.path.stem)]
    assert not store.path.exists()
    assert store.load() == tokens_of(number=2)


@pytest.mark.parametrize("keyring", [{"locked": True}, {"most": 20}, {"priority": 0}, {"priority": -1}])
def test_a_keyring_that_does_not_take_them_leaves_them_to_the_file(
    keyring: dict[str, Any],
    store: TokenStore,
    tokens_of: TokensOf,
    keyring_of: Callable[..., dict[tuple[str, str], str]],
) -> None:
    keyring_of(**keyring)

    assert store.save(tokens_of()) == str(store.path)
    assert store.load() == tokens_of()
    assert store.delete()
    assert store.load() is None


def test_what_is_forgotten_is_gone_from_both(
    store: TokenStore, tokens_of: TokensOf, keyring_of: Callable[..., dict[tuple[str, str], str]]
) -> None:
    assert not store.delete()
    held = keyring_of()
    store.save(tokens_of())
    assert store.delete()
    assert (held, store.load(), store.delete()) == ({}, None, False)
