"""The tools whose calls can become tasks.

A tool that begins work elsewhere is followed: its own answer names the work, and another tool tells how far it is. A
tool that only looks goes on in the process that took the call, and another process runs it again if that one dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Follow:
    """Work that goes on elsewhere. `tool` tells how far it is; `key` is the field of both tools' answers and the
    argument that names it. `stop` is the tool that ends it. The work has ended when the answer's `ended` field is true
    or holds one of the words."""

    tool: str
    key: str
    stop: str
    ended: str
    words: frozenset[str] = frozenset()

    def has_ended(self, answer: Mapping[str, Any]) -> bool:
        """Whether the work has ended, by an answer's structure."""
        said = answer.get(self.ended)
        return said in self.words if self.words else said is True

    def describe(self, answer: Mapping[str, Any]) -> str:
        """How far the work is, by an answer's structure."""
        by_outcome: Mapping[str, int] = answer.get("by_outcome", {})
        done = answer.get("done", sum(by_outcome.values()))
        failed = answer.get("failed", by_outcome.get("fail", 0))
        total = answer.get("total", answer.get("runs", 0))
        return f"{answer.get(self.key, '')}: {done} of {total} tests done, {failed} failed"


FOLLOWED: Mapping[str, Follow] = {
    "run_tests": Follow("get_job", "job_uid", "stop_job", "finished"),
    "start_campaign": Follow(
        "get_campaign", "campaign_id", "cancel_campaign", "state", frozenset({"finished", "cancelled", "failed"})
    ),
}
READING = frozenset(
    {"summarize_runs", "measurement_stats", "flakiness", "compare_runs", "triage", "explain_failure", "get_unit"}
)
"""Tools that only look, and can take long while histories are read for the first time."""
