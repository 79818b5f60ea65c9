"""Answers other than success: a status and `{"message": …}`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Refusal(Exception):
    """Raised anywhere in the portal to answer with `status`; `message` tells apart what one status stands for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def response(self) -> Response:
        return JSONResponse({"message": self.message}, self.status)


async def answer_refusal(request: Request, exc: Exception) -> Response:
    """The application's handler for `Refusal`."""
    assert isinstance(exc, Refusal)
    return exc.response()
