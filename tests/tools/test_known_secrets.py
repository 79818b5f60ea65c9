"""The tokens of the config are taken out of all that is said."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from testlab_tools import known_secrets
from testlab_tools.http import Token
from testlab_tools.known_secrets import MASK, mask, remember


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_secrets, "_tokens", {})


def test_a_token_that_was_read_is_masked_wherever_it_stands() -> None:
    assert Token(SecretStr(" s3cret-token-1 ")).read("portal").get_secret_value() == "s3cret-token-1"
    assert mask('{"line":"Authorization: token s3cret-token-1, s3cret-token-1"}').count(MASK) == 2
    assert mask("no token here") == "no token here"


def test_a_token_in_place_of_another_is_the_one_that_is_masked() -> None:
    remember("cloud", "first-access-token")
    remember("cloud", "other-access-token")
    assert mask("first-access-token other-access-token") == f"first-access-token {MASK}"


def test_what_is_too_short_for_a_token_is_no_secret() -> None:
    remember("portal", "token")
    assert mask("a token") == "a token"
