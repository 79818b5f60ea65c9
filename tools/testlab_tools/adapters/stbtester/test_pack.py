"""Stb-tester's test pack: "List testcases" of its REST API."""

from __future__ import annotations

from urllib.parse import quote

from testlab_tools.adapters.stbtester.client import PORTAL, Portal
from testlab_tools.capabilities import TestPack
from testlab_tools.errors import BadInput
from testlab_tools.http.errors import foreign
from testlab_tools.http.response import decode

GIVE = "Give a branch, tag or commit SHA of the test pack."


class Pack(Portal, TestPack):
    """Lists what can be run."""

    async def list_test_cases(self, revision: str) -> list[str]:
        reply = await self.client.get(f"/api/v2/test_pack/{_path_of(revision)}/test_case_names")
        if reply.is_web_page:
            raise foreign(self.name, PORTAL, reply.status)
        await self.check_found(reply, "revision", GIVE, self.has_nothing_like_it)
        return decode(reply, list[str])


def _path_of(revision: str) -> str:
    """A branch's slashes stand in the path as they are. What git would not take as a name could lead elsewhere."""
    if not revision.isprintable() or any(part in ("", ".", "..") for part in revision.split("/")):
        raise BadInput("This cannot be a revision", "", GIVE)
    return quote(revision, safe="/")
