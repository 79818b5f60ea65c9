"""Decides for each request of a caller whether it may go ahead: by the policy, its rate, and its calls at once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from testlab_mcp.access.callers import LOCAL, Caller, caller_of, caller_tokens
from testlab_mcp.access.policy import Policy, effective_access, exposed_tools, refusal
from testlab_mcp.access.scopes import ScopeCache
from testlab_mcp.config.settings import HttpSettings
from testlab_tools.capabilities import Service
from testlab_tools.deadline import Deadline
from testlab_tools.errors import nearest
from testlab_tools.http.policy import asking_for
from testlab_tools.jobs import Progress
from testlab_tools.registry import Call, ToolSpec

MAX_BUCKETS = 10_000
MAX_POLICIES = 256


@dataclass
class _Bucket:
    left: float
    at: float


class RateLimiter:
    """Allows bursts of `per_minute` calls and the same number each minute; 0 for no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, caller: str) -> int:
        """Count a call and return 0, or return the whole seconds to wait before the next call is allowed."""
        if not self.per_minute:
            return 0
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            self._forget_full(now)
            bucket = self._buckets[caller] = _Bucket(self.per_minute, now)
        bucket.left = self._filled(bucket, now)
        bucket.at = now
        if bucket.left >= 1:
            bucket.left -= 1
            return 0
        return max(1, math.ceil((1 - bucket.left) * 60 / self.per_minute))

    def _filled(self, bucket: _Bucket, now: float) -> float:
        return min(self.per_minute, bucket.left + (now - bucket.at) * self.per_minute / 60)

    def _forget_full(self, now: float) -> None:
        if len(self._buckets) >= MAX_BUCKETS:
            full = self.per_minute
            self._buckets = {name: b for name, b in self._buckets.items() if self._filled(b, now) < full}


class RequestGuard:
    """Decides for each request of a server whether it may go ahead, and gives it the caller's scope."""

    def __init__(self, scopes: ScopeCache, policy: Policy, tools: Sequence[ToolSpec], http: HttpSettings) -> None:
        self._max_concurrent = http.calls_at_once
        self._in_flight: Counter[str] = Counter()
        self._scopes = scopes
        self.policy = policy
        self._tools = {tool.name: tool for tool in tools}
        self._rate_limiter = RateLimiter(http.calls_per_minute)
        self._list_exposed = lru_cache(MAX_POLICIES)(self._find_exposed)
        self._list_others = lru_cache(MAX_POLICIES)(self._find_others)

    def listed_tools(self, caller: Caller) -> tuple[str, ...]:
        """Names of the tools that the caller may see and call."""
        return self._list_exposed(caller.policy)

    def _find_exposed(self, policy: Policy | None) -> tuple[str, ...]:
        found = exposed_tools(self._tools.values(), self._scopes.services, self.policy, policy)
        return tuple(tool.name for tool in found)

    def _find_others(self, policy: Policy | None) -> frozenset[str]:
        return frozenset(self._tools.keys() - set(self._list_exposed(policy)))

    def visible_services(self, caller: Caller) -> list[Service]:
        """The services that the caller may use, as they are configured."""
        return [service for service in self._scopes.services if caller.may_use(service.name)]

    def services_by_tool(self, caller: Caller) -> dict[str, list[str]]:
        """The tools that the caller may see and call, each with the names of the services that can do it."""
        services = self.visible_services(caller)
        return {
            name: [service.name for service in services if isinstance(service, self._tools[name].needs)]
            for name in self.listed_tools(caller)
        }

    def rate_refusal(self, caller: Caller, apart: str = "") -> str:
        """Why a request has to wait; empty when it may go ahead, and is counted then. Requests of a sort named by
        `apart` have a rate of their own."""
        if caller != LOCAL and self._max_concurrent and self._in_flight[caller.name] >= self._max_concurrent:
            most = f"[http] calls_at_once allows each caller {self._max_concurrent}"
            return f"Too many calls at once: {most}. Wait for the answer to one of them."
        if caller == LOCAL or not (wait := self._rate_limiter.take(f"{caller.name} {apart}".strip())):
            return ""
        most = f"[http] calls_per_minute allows each caller {self._rate_limiter.per_minute}"
        return f"Too many calls: {most}. Call again in {wait} s."

    @contextmanager
    def counted(self, caller: Caller) -> Generator[None]:
        """Count a request as concurrent while it is answered."""
        self._in_flight[caller.name] += 1
        try:
            yield
        finally:
            self._in_flight[caller.name] -= 1
            if not self._in_flight[caller.name]:
                del self._in_flight[caller.name]

    def refusal(self, caller: Caller, tool: str) -> str:
        """Why a caller does not have a tool; empty when it does. Nothing is counted."""
        return refusal(self._tools[tool], self._scopes.services, self.policy, caller.policy)

    @asynccontextmanager
    async def enter(self, request: Any, progress: Progress) -> AsyncGenerator[Call]:
        """The call that handlers get, for an HTTP request or None."""
        caller = caller_of(request)
        access, raising = effective_access(self.policy, caller.policy)
        async with self._scopes.enter(caller, caller_tokens(request, self._scopes.callers_own)) as scope:
            pictures = self.policy.pictures and (caller.policy is None or caller.policy.pictures)
            with asking_for("" if caller == LOCAL else caller.name):
                deadline = Deadline(scope.lab.longest_wait_s)
                given = (scope.lab, scope.files, progress, access, raising, caller.name, deadline)
                yield Call(*given, unavailable=self._list_others(caller.policy), pictures=pictures)

    def hold(self, request: Any) -> AbstractAsyncContextManager[object]:
        """Keep the scope of a request's caller open after the request."""
        return self._scopes.enter(caller_of(request), caller_tokens(request, self._scopes.callers_own))

    async def aclose(self) -> None:
        """Close the scopes."""
        await self._scopes.aclose()

    def unknown_tool(self, caller: Caller, name: str) -> str:
        """The error for a tool that does not exist."""
        listed = self.listed_tools(caller)
        near = nearest(name, listed)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(listed)}."
        return f"There is no such tool. {hint}"
