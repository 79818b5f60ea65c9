"""Arguments that several tools share, with the words the model reads about them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Service = Annotated[str, Field(description="Empty: all")]
RunId = Annotated[str, Field(description="From list_runs", min_length=1)]
NodeId = Annotated[str, Field(description="Node handle or id", min_length=1)]
Since = Annotated[str, Field(description="Run start: ISO 8601, or 24h, 7d back")]
Until = Annotated[str, Field(description="As since; exclusive")]
Limit = Annotated[int, Field(ge=1, le=200)]
Cursor = Annotated[str, Field(description="From the page before")]
Wait = Annotated[int, Field(ge=0, le=45, description="Hold up to this long for the end")]
AnyOutcome = Literal["", "pass", "fail", "error", "skip", "stopped"]
