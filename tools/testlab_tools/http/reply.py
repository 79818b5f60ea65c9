"""An answer of a service, whole."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from testlab_tools.errors import BadReply


@dataclass(frozen=True)
class Reply:
    """An answer: what an adapter decodes. A change without an answer has none: it raises AnswerLost."""

    service: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_web_page(self) -> bool:
        """Whether it is HTML to be looked at. Web frameworks call an empty answer HTML, too: that is none."""
        return self.headers.get("content-type", "").startswith("text/html") and self.body.lstrip().startswith(b"<")

    def json(self) -> Any:
        """The body as JSON. Raises BadReply when it is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "no content type").split(";")[0]
            raise BadReply(
                self.service,
                f"Service {self.service} answered {self.status} with something that is not JSON",
                f"It sent {len(self.body)} bytes of {kind if kind.isascii() and len(kind) < 60 else 'unknown type'}",
                "Check that url in its config table points at the service itself; `testlab-mcp doctor` tests it.",
            ) from None


def clock_skew(headers: Mapping[str, str]) -> float | None:
    """Seconds that the service's clock is ahead of ours, by its Date header."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp() - time.time()
    except (KeyError, ValueError):
        return None
