"""A sample of every kind of service: the one table that tests about all services draw from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.tool_calls import BENCH, CLOUD, FACTORY, OLD, PORTAL

CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    408: "TIMEOUT",
    409: "CONFLICT",
    422: "UNPROCESSABLE_CONTENT",
    500: "INTERNAL_SERVER_ERROR",
}
"""By which API v2 of TofuPilot names its errors."""


@dataclass(frozen=True)
class ServiceSample:
    """What tests about all services know of a service in their labs.

    `settings`: further keys of its config table.
    `path`: what the paths of its API begin with.
    `error`: the body with which it answers a status, with a text in it that somebody wrote.
    """

    name: str
    kind: str
    error: Callable[[int, str], object]
    path: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)

    def table(self, url: str, **keys: object) -> str:
        """Its config table; `keys` are as JSON writes them, which TOML reads."""
        every = {"kind": self.kind, **self.settings, "url": url, **keys}
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in every.items()]
        return "".join([f"[services.{self.name}]\n", *lines])


SERVICE_SAMPLES: Mapping[str, ServiceSample] = {
    sample.name: sample
    for sample in [
        ServiceSample(PORTAL, "stbtester", lambda status, text: {"message": text}),
        ServiceSample(
            FACTORY,
            "tofupilot",
            lambda status, text: {
                "message": text,
                "code": CODES.get(status, ""),
                "issues": [{"message": text, "path": [text]}],
            },
            path="/api/v2",
        ),
        ServiceSample(
            OLD,
            "tofupilot",
            lambda status, text: {"error": {"message": text}},
            path="/api/v1",
            settings={"api_version": "v1"},
        ),
        ServiceSample(CLOUD, "standcloud", lambda status, text: {"detail": text}),
        ServiceSample(BENCH, "hardpy", lambda status, text: {"detail": text}, settings={"allow_insecure": True}),
    ]
}
