"""Arguments that several tools share, with the words the model reads about them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Service = Annotated[str, Field(description="Empty: all")]
RunId = Annotated[str, Field(min_length=1)]
NodeId = Annotated[str, Field(min_length=1)]
Since = Annotated[str, Field(description="ISO 8601, or 24h, 7d back")]
Until = Annotated[str, Field(description="Exclusive")]
Limit = Annotated[int, Field(ge=1, le=200)]
Wait = Annotated[int, Field(ge=0, le=45, description="Wait for the end")]
AnyOutcome = Literal["", "pass", "fail", "error", "skip", "stopped"]
