"""Limits each caller's sessions over HTTP (protocol revisions before 2026-07-28): a new session ends the idlest one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

Admit = Callable[[AuthorizationContext | None], StreamableHTTPServerTransport | None]


def limit_sessions(manager: StreamableHTTPSessionManager, most: int) -> None:
    """Limit the sessions of each caller to `most`; 0 for no limit. The SDK limits only those of all callers together.

    A caller none of whose sessions is idle gets HTTP 503 for another, as beyond the SDK's own limit.
    """
    inner: Any = manager
    admit: Admit = inner._admit_session

    def bounded(requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        if requestor is not None and most:
            sessions: dict[str, StreamableHTTPServerTransport] = inner._server_instances
            owners: dict[str, AuthorizationContext] = inner._session_owners
            theirs = [
                session
                for name, session in sessions.items()
                if _is_same_caller(owners.get(name), requestor) and not _is_ending(session)
            ]
            if len(theirs) >= most and not _end_idlest(theirs):
                return None
        return admit(requestor)

    inner._admit_session = bounded


def _is_same_caller(owner: AuthorizationContext | None, other: AuthorizationContext) -> bool:
    """Whether both are the same caller, perhaps with different clients."""
    if owner is None:
        return False
    who = "subject" if other["subject"] else "client_id"
    return (owner["issuer"], owner[who]) == (other["issuer"], other[who])


def _is_ending(session: StreamableHTTPServerTransport) -> bool:
    return session.idle_scope is not None and session.idle_scope.cancel_called


def _end_idlest(sessions: Sequence[StreamableHTTPServerTransport]) -> bool:
    """End the session whose last request was answered longest ago. False when each is answering a request."""
    scopes = [idle for session in sessions if (idle := session.idle_scope) and idle.deadline < math.inf]
    idlest = min(scopes, key=lambda scope: scope.deadline, default=None)
    if idlest is None:
        return False
    idlest.cancel()
    return True
