"""Stb-tester's test pack: "List testcases" of its REST API, and an order of tests, held against the rules of "Run
tests" before it is sent."""

from __future__ import annotations

from urllib.parse import quote

from testlab_tools.adapters.stbtester.client import PORTAL, Portal
from testlab_tools.adapters.stbtester.models import QUOTED
from testlab_tools.capabilities import TestPack
from testlab_tools.errors import BadInput
from testlab_tools.http.errors import foreign
from testlab_tools.http.response import decode
from testlab_tools.models.requests import TestOrder
from testlab_tools.untrusted import quote as quote_text

GIVE = "Give a branch, tag or commit SHA of the test pack."


class Pack(Portal, TestPack):
    """Lists what can be run."""

    async def list_test_cases(self, revision: str) -> list[str]:
        reply = await self.client.get(f"/api/v2/test_pack/{_path_of(revision)}/test_case_names")
        if reply.is_web_page:
            raise foreign(self.name, PORTAL, reply.status)
        await self.check_found(reply, "revision", GIVE, self.has_nothing_like_it, about=revision)
        return decode(reply, list[str])


def _path_of(revision: str) -> str:
    """A branch's slashes stand in the path as they are. What git would not take as a name could lead elsewhere."""
    if not revision.isprintable() or any(part in ("", ".", "..") for part in revision.split("/")):
        raise BadInput(f"{quote_text(revision, QUOTED)} cannot be a revision", "", GIVE)
    return quote(revision, safe="/")


def body_of(node_id: str, order: TestOrder) -> dict[str, object]:
    """The order as the portal takes it; what is at its default is left out. Raises BadInput for what it refuses."""
    body: dict[str, object] = {
        "node_id": node_id,
        "test_pack_revision": order.test_pack_revision,
        "test_cases": list(order.test_cases),
    }
    if order.remote_control:
        body["remote_control"] = order.remote_control
    if order.category:
        body["category"] = check_category(order.category)
    if order.soak:
        body["soak"] = "run forever"
    if order.shuffle:
        body["shuffle"] = True
    if order.tags:
        body["tags"] = check_tags(dict(order.tags))
    return body


def check_category(category: str) -> str:
    """The category, if it keeps the rules of "Run tests": not empty, no `/ : $`, no control character, not led by
    `.` or `-`. Raises BadInput otherwise."""
    if not category or any(c in "/:$" or not _encodes(c) for c in category) or category[0] in ".-":
        raise BadInput(
            "The category is not one Stb-tester takes",
            "It must not contain / : $ or control characters, be empty, or begin with . or -",
            "Give another category, or none for 'default'.",
        )
    return category


def check_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags, if their names keep the rules of the manual's "Tags": shorter than 500 characters, none of `: = $ < >`,
    no line break, not led by `/ - . _`. Raises BadInput otherwise."""
    for name in tags:
        if not 0 < len(name) < 500 or any(c in ":=$<>" or not _encodes(c) for c in name) or name[0] in "/-._":
            raise BadInput(
                "A tag's name is not one Stb-tester takes",
                "It must have 1 to 499 characters, none of : = $ < > or control characters, nor begin with / - . or _",
                "Give the tag another name.",
            )
    return tags


def _encodes(char: str) -> bool:
    """Neither a control character nor half of a surrogate pair, which is no UTF-8."""
    return not (ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000)
