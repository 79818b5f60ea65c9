"""`/metrics`: the figures of this process for Prometheus, and who may read them."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import Response

from testlab_mcp.access.callers import digest_token
from testlab_mcp.config.settings import HttpSettings
from testlab_mcp.telemetry import INSTALL, is_installed
from testlab_tools.errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

PATH = "/metrics"


def check_page(http: HttpSettings, sign_in: bool) -> None:
    """Raises ConfigError for a page that cannot be shown, or that anybody could read where callers sign in."""
    if not http.metrics:
        return
    if not is_installed():
        what = "[http] metrics is set, and what measures is not installed"
        raise ConfigError(what, "", f"{INSTALL}, where the server is installed.")
    if sign_in and not http.metrics_token_sha256:
        raise ConfigError(
            "[http] metrics is set, callers sign in, and nobody would have to sign in to /metrics",
            "It names tools and services",
            "Set [http] metrics_token_sha256: testlab-mcp token new NAME prints a token and its hash.",
        )


class MetricsPage:
    """Shows a registry. With a token, to who has it; without one, to the names and origins that the server itself is
    reached by, so that no page in a browser can read it."""

    def __init__(self, registry: CollectorRegistry, http: HttpSettings, names: TransportSecuritySettings) -> None:
        self._registry = registry
        self._digest = http.metrics_token_sha256
        self._names = TransportSecurityMiddleware(names)

    async def show(self, request: Request) -> Response:
        """The page, or why not."""
        if self._digest:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(digest_token(token.strip()), self._digest):
                return Response("Unauthorized", 401, {"WWW-Authenticate": "Bearer"})
        elif (refusal := await self._names.validate_request(request)) is not None:
            return refusal
        from prometheus_client.exposition import choose_encoder

        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        # In a thread: what is counted for it may ask a database.
        text = await asyncio.to_thread(encode, self._registry)
        return Response(text, media_type=media_type)
