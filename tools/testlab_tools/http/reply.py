"""An answer of a service, whole."""

from __future__ import annotations

import json
import re
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
        """The body as JSON; half a surrogate pair, which is no text, becomes `?`. Raises BadReply when it is not."""
        try:
            value = json.loads(self.body)
            if _HALVES.search(self.body):
                value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
            return value
        except (ValueError, RecursionError):
            raise BadReply(
                self.service,
                f"Service {self.service} answered {self.status} with something that is not JSON",
                f"It sent {len(self.body)} bytes of {self._kind()}",
                "Check that url in its config table points at the service itself; `testlab-mcp doctor` tests it.",
            ) from None

    def _kind(self) -> str:
        """The content type, if it is one of the common ones: any other may be somebody's words."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind if kind in _KINDS else "another type" if kind else "no type"


_HALVES = re.compile(rb"\\u[dD]|\xed")
_KINDS = frozenset(
    {"application/json", "application/octet-stream", "application/xml", "image/jpeg", "image/png"}
    | {"text/csv", "text/html", "text/plain", "text/xml"}
)


def clock_skew(headers: Mapping[str, str]) -> float | None:
    """Seconds that the service's clock is ahead of ours, by its Date header."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp() - time.time()
    except (KeyError, ValueError, OverflowError):
        return None
