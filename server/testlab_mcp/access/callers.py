"""Callers, their static tokens, and the tokens they send for services.

A static token is 256 random bits after a prefix that secret scanners recognise. Only its SHA-256 is kept: random bits
cannot be guessed from a hash, however fast that is. Over stdio, and on a loopback port without sign-in, the caller is
`LOCAL`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mcp.server.auth.provider import AccessToken
from pydantic import SecretStr

from testlab_mcp.access.policy import Policy
from testlab_mcp.config.settings import CallerSettings
from testlab_tools.registry import LEVELS, Access
from testlab_tools.services import token_header

PREFIX = "tlm_"
MAX_TOKEN_CHARS = 8192
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@|-]{0,79}")


def make_token() -> str:
    """Make a static token."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_token(token: str) -> str:
    """The hash of a token, as the config keeps it: 64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def token_owner(token: str, digests: Mapping[str, str]) -> str:
    """The name of a token's owner in `digests` (name by digest); empty for an unknown token. The time it takes does not
    depend on which digest matches."""
    given, found = digest_token(token), ""
    for known, name in digests.items():
        if hmac.compare_digest(given, known):
            found = name
    return found


@dataclass(frozen=True)
class Caller:
    """A caller. `policy` narrows the deployment's; `nodes` are globs over handles or native ids, None for all."""

    name: str
    policy: Policy | None = None
    nodes: tuple[str, ...] | None = None

    @property
    def services(self) -> frozenset[str] | None:
        """Names of the services that the caller may use, None for all."""
        return self.policy.services if self.policy else None

    def may_use(self, service: str) -> bool:
        """Whether the caller may use a service."""
        return self.services is None or service in self.services

    @property
    def folder(self) -> str:
        """The name of the caller's own folder for files; no other caller has it."""
        plain = self.name.replace("-", "").replace("_", "").isalnum()
        return self.name if plain else f"oauth.{_hash(self.name)}"


LOCAL = Caller("local")
"""The user who started the server."""
ANONYMOUS = Caller("stranger", Policy("observe", frozenset(), table="[callers.…]", services=frozenset()), ())
"""A caller who has not signed in. The SDK refuses such requests; should a request get through, it may do nothing."""


class CallerToken(AccessToken):
    """A verified token, without its text, and its caller."""

    caller: Caller


class CallerDirectory:
    """Finds the callers of a config by their credentials."""

    def __init__(self, callers: Mapping[str, CallerSettings], access_claim: str = "scope") -> None:
        self._callers = callers
        self._claim = access_claim
        self._digests = {caller.token_sha256: name for name, caller in callers.items() if caller.token_sha256}
        self._subjects = {caller.subject: name for name, caller in callers.items() if caller.subject}

    def find_by_token(self, token: str) -> Caller | None:
        """The caller with a static token."""
        name = token_owner(token, self._digests)
        return self._caller(name, self._callers[name].access or "observe") if name else None

    def find_by_subject(self, subject: str, granted: Access | None) -> Caller | None:
        """The caller with the subject of a verified OAuth token, whose claim grants `granted`.

        The lower of the table's access and the token's applies; None when neither states an access and no table names
        the subject.
        """
        name = self._subjects.get(subject)
        stated = self._callers[name].access if name else None
        bounds: list[Access] = [known for known in LEVELS if known in (stated, granted)]
        level = bounds[0] if bounds else None
        lowered = granted is not None and level == granted and level != stated
        raised_by = f'"testlab:{{access}}" in the {self._claim} of its token' if lowered else ""
        if name is not None:
            return self._caller(name, level or "observe", raised_by)
        if level is None:
            return None
        called = f"oauth:{subject if _PLAIN.fullmatch(subject) else '#' + _hash(subject)}"
        return Caller(called, Policy(level, None, table="this caller's", raised_by=raised_by))

    def _caller(self, name: str, access: Access, raised_by: str = "") -> Caller:
        table = self._callers[name]
        policy = Policy.from_table(
            access, table.toolsets, table.allow, table.deny, f"[callers.{name}]", table.services, raised_by
        )
        policy = replace(policy, pictures=table.pictures)
        return Caller(name, policy, None if table.nodes is None else tuple(table.nodes))


def caller_of(request: Any) -> Caller:
    """The caller of an HTTP request by its token; LOCAL for None (stdio) and without sign-in.

    >>> caller_of(context.request_context.request).name
    'alice'
    """
    if request is None or "user" not in request.scope:
        return LOCAL
    token = getattr(request.scope["user"], "access_token", None)
    return token.caller if isinstance(token, CallerToken) else ANONYMOUS


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def caller_tokens(request: Any, services: Iterable[str]) -> dict[str, SecretStr]:
    """The tokens in an HTTP request's headers by service, of these services. A header that comes twice is ignored."""
    if request is None:
        return {}
    found: dict[str, SecretStr] = {}
    for service in services:
        values = request.headers.getlist(token_header(service))
        if len(values) == 1 and 0 < len(values[0].strip()) <= MAX_TOKEN_CHARS:
            found[service] = SecretStr(values[0].strip())
    return found
