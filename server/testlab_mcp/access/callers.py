"""Callers: who a request is from, and what they may do. Over stdio, and on a loopback port without sign-in, `LOCAL`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.auth.provider import AccessToken

from testlab_mcp.access.settings import CallerSettings
from testlab_mcp.access.tokens import owner
from testlab_mcp.exposure import Policy
from testlab_tools.registry import LEVELS, Access

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@|-]{0,79}")


@dataclass(frozen=True)
class Caller:
    """Somebody who calls. `policy` narrows the deployment's and is None where nothing does; `nodes` are globs over
    handles or native ids, None for all."""

    name: str
    policy: Policy | None = None
    nodes: tuple[str, ...] | None = None

    @property
    def folder(self) -> str:
        """A name for the folder of their files, the same for nobody else."""
        plain = self.name.replace("-", "").replace("_", "").isalnum()
        return self.name if plain else f"oauth.{hashlib.sha256(self.name.encode()).hexdigest()[:24]}"


LOCAL = Caller("local")
"""Whoever started the server."""
STRANGER = Caller("stranger", Policy("observe", frozenset(), table="[callers.…]", services=frozenset()), ())
"""Somebody who should have signed in and has not: the SDK lets none through, and this one could do nothing."""


class CallerToken(AccessToken):
    """A token that was found right, without its text, and whose it is."""

    caller: Caller


class Roster:
    """The callers of a config, found by what they bring."""

    def __init__(self, callers: Mapping[str, CallerSettings], access_claim: str = "scope") -> None:
        self._callers = callers
        self._claim = access_claim
        self._digests = {caller.token_sha256: name for name, caller in callers.items() if caller.token_sha256}
        self._subjects = {caller.subject: name for name, caller in callers.items() if caller.subject}

    def by_token(self, token: str) -> Caller | None:
        """Whose static token it is."""
        name = owner(token, self._digests)
        return self._listed(name, self._callers[name].access or "observe") if name else None

    def by_subject(self, subject: str, granted: Access | None) -> Caller | None:
        """Whose the subject of a token is that was found right; `granted` is what it grants by its claim.

        A `[callers.NAME]` table bounds what the token grants, and the token what the table does; None if neither says.
        """
        name = self._subjects.get(subject)
        stated = self._callers[name].access if name else None
        bounds: list[Access] = [one for one in LEVELS if one in (stated, granted)]
        level = bounds[0] if bounds else None
        lowered = granted is not None and level == granted and level != stated
        raised_by = f'"testlab:{{access}}" in the {self._claim} of its token' if lowered else ""
        if name is not None:
            return self._listed(name, level or "observe", raised_by)
        if level is None:
            return None
        called = f"oauth:{subject if _PLAIN.fullmatch(subject) else '#' + _hash(subject)}"
        return Caller(called, Policy(level, None, table="this caller's", raised_by=raised_by))

    def _listed(self, name: str, access: Access, raised_by: str = "") -> Caller:
        table = self._callers[name]
        policy = Policy.of(
            access, table.toolsets, table.allow, table.deny, f"[callers.{name}]", table.services, raised_by
        )
        return Caller(name, policy, None if table.nodes is None else tuple(table.nodes))


def caller_of(request: Any) -> Caller:
    """Whose an HTTP request is, as its token said; LOCAL for None (stdio), and where there is no sign-in.

    >>> caller_of(context.request_context.request).name
    'alice'
    """
    if request is None or "user" not in request.scope:
        return LOCAL
    token = getattr(request.scope["user"], "access_token", None)
    return token.caller if isinstance(token, CallerToken) else STRANGER


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
