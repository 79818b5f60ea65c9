"""The `[audit]` table of the config."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AuditSettings(BaseModel):
    """The `[audit]` table: where calls that change something, and refusals, are written down.

    With `stderr` they go to standard error, and to a file only if one is named. A file of `max_megabytes` is renamed
    and a new one begun; none is deleted.
    """

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    file: str = Field(default="", description="default: a file for this config in the user's own data folder")
    stderr: bool = False
    reads: bool = Field(default=False, description="write down calls that only look, too")
    max_megabytes: int = Field(default=64, ge=1, le=10_000)
