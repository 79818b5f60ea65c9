"""How each simulated service words an error that a test asks of it, so that it is the service's own unless a body is
given."""

from __future__ import annotations

WORDS = "Fault injected by the test"
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    408: "TIMEOUT",
    409: "CONFLICT",
    422: "UNPROCESSABLE_CONTENT",
    429: "TOO_MANY_REQUESTS",
    502: "BAD_GATEWAY",
}
"""Of TofuPilot's API v2, as its client 2.26.1 reads them."""


def own_error(path: str, status: int) -> object:
    """The JSON of an error at that path of the lab."""
    if path.startswith("/tofupilot/api/v1/"):
        return {"error": {"message": WORDS}}
    if path.startswith("/tofupilot/api/v2/"):
        code = _CODES.get(status, "INTERNAL_SERVER_ERROR")
        return {"message": WORDS, "code": code, "issues": [{"message": WORDS}]}
    return {"message": WORDS}
