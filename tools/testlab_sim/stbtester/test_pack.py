"""The test pack in git: its revisions, the names that lead to them, and the test cases each one holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1

from testlab_sim.stbtester.test_cases import CASES, TestCase

REMOTE_CONTROLS = ("stb4k", "roku", "firetv", "appletv", "Sony_RM-ED022")
"""Files in `config/remote-control/`; the first is `test_pack.default_remote_control`."""


@dataclass(frozen=True)
class Revision:
    """A commit of the test pack. `age` counts commits that matter here: 0 is the oldest."""

    label: str
    age: int

    @cached_property
    def sha(self) -> str:
        return sha1(f"testlab test pack {self.label}".encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def cases(self) -> dict[str, TestCase]:
        return {c.name: c for c in CASES if c.since <= self.age}


RELEASED = Revision("released", 0)
CURRENT = Revision("current", 1)
REDESIGN = Revision("redesign", 2)
REVISIONS = (RELEASED, CURRENT, REDESIGN)

_REFS = {
    "refs/heads/main": CURRENT,
    "refs/heads/master": CURRENT,
    "refs/heads/release/2.3": RELEASED,
    "refs/heads/feature/epg/redesign": REDESIGN,
    "refs/tags/v2.3.0": RELEASED,
}


def resolve(name: str) -> tuple[Revision, str | None] | None:
    """The revision a branch, tag or commit sha names, and the full ref (None for a sha); None if there is none such."""
    if name == "HEAD":
        return CURRENT, "refs/heads/main"
    for ref in (name, f"refs/heads/{name}", f"refs/tags/{name}"):
        if ref in _REFS:
            return _REFS[ref], ref
    if len(name) >= 7:
        return next(((r, None) for r in REVISIONS if r.sha.startswith(name.lower())), None)
    return None
