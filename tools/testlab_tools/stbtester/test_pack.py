"""Stb-tester's test pack: "List testcases" of its REST API."""

from __future__ import annotations

from urllib.parse import quote

from testlab_tools.capabilities import TestPack
from testlab_tools.errors import BadInput, NotFound
from testlab_tools.stbtester.portal import Portal
from testlab_tools.wire import decode


class Pack(Portal, TestPack):
    """Lists what can be run."""

    async def list_test_cases(self, revision: str) -> list[str]:
        reply = await self.client.get(f"/api/v2/test_pack/{_path_of(revision)}/test_case_names")
        if reply.status == 404:
            raise no_revision()
        return decode(self.checked(reply, "list of test cases"), list[str])


def no_revision() -> NotFound:
    """What 404 means where a revision was named."""
    return NotFound("The test pack has no such revision", "", "Give a branch, tag or commit SHA of the test pack.")


def _path_of(revision: str) -> str:
    """A branch's slashes stand in the path as they are. What git would not take as a name could lead elsewhere."""
    if not revision.isprintable() or any(part in ("", ".", "..") for part in revision.split("/")):
        raise BadInput("This cannot be a revision", "", "Give a branch, tag or commit SHA of the test pack.")
    return quote(revision, safe="/")
