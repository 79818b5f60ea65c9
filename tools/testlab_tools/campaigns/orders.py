"""A campaign as it was ordered, and what an order may not be."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import ConfigDict

from testlab_tools.errors import BadInput, NotFound, nearest
from testlab_tools.late_model import LateModel
from testlab_tools.models.lab import UNKNOWN
from testlab_tools.models.nodes import Node
from testlab_tools.node_queue.matching import check_licence, is_licensed, no_licence
from testlab_tools.stopping.rules import StopRule
from testlab_tools.untrusted import quote

MAX_ITEMS = 100_000
"""Tests times repetitions of one campaign."""
TAG = "testlab-campaign"
"""The tag of a campaign's jobs: its value is `<campaign id>/<batch>`."""
MAX_SOAKED = 100
MAX_REVISIONS = 256
_PLAIN = re.compile(r"[\w.-]{1,40}", re.ASCII)
"""Other device types are not quoted in our text."""


class CampaignOrder(LateModel):
    """What a campaign runs, where, and how it goes on after an error. Ids are native.

    `node_count` nodes of `device_type`, 0 for all that are free, or else all of `node_ids`. `retries` is how often an
    item that ended in an infrastructure error is run again. `allowed` are the only nodes that the caller may use; None
    is no restriction.

    With `repeat` 0 each test is repeated until its failure rate is shown to be below `until_below` or above it, or is
    known ± `until_within`, or the time is over. With `bisected`, a test case, the campaign's tests are revisions of the
    test pack, the oldest first, and the first bad one is looked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str
    test_pack_revision: str
    node_ids: tuple[str, ...] = ()
    device_type: str = ""
    node_count: int = 0
    repeat: int = 1
    until_below: float = 0.0
    until_within: float = 0.0
    bisected: str = ""
    retries: int = 1
    confirm_failures: bool = False
    remote_control: str = ""
    category: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    message: str = ""
    max_hours: float = 12.0
    caller: str = "local"
    allowed: tuple[str, ...] | None = None

    @property
    def is_open(self) -> bool:
        """Whether how many runs it takes depends on what they come to."""
        return not self.repeat

    def tag(self, campaign_id: str, batch: int) -> tuple[tuple[str, str], ...]:
        """The tags of a batch's job."""
        return (*self.tags, (TAG, f"{campaign_id}/{batch}"))


def check_size(tests: int, repeat: int) -> None:
    """Raises BadInput for a campaign of no test, or of more than MAX_ITEMS runs."""
    if not tests:
        raise BadInput(
            "The campaign has no test to run",
            "",
            "Give test_cases, all_tests=true, or failed_of a run, job or campaign in which something failed.",
        )
    if tests * repeat > MAX_ITEMS:
        raise BadInput(
            f"{tests} tests run {repeat} times are {tests * repeat:,} runs, and a campaign has at most {MAX_ITEMS:,}",
            "Nothing was started",
            "Give fewer tests or a smaller repeat.",
        )


def check_soak(tests: int, below: float, within: float) -> None:
    """Raises BadInput for more tests than are soaked at once, or a rule that can never end the soak."""
    StopRule(within, below)
    if tests > MAX_SOAKED:
        what = f"{tests} tests are to be soaked, and a campaign soaks at most {MAX_SOAKED}"
        raise BadInput(what, "Nothing was started", "Give fewer tests.")


def check_revisions(revisions: Sequence[str]) -> None:
    """Raises BadInput for revisions that cannot be bisected."""
    if not 2 <= len(revisions) <= MAX_REVISIONS or len(set(revisions)) < len(revisions):
        raise BadInput(
            f"A bisection takes 2 to {MAX_REVISIONS} revisions, each once",
            f"These are {len(revisions)}, {len(set(revisions))} different ones",
            "Give them oldest first, a good one to a bad one: `git log --reverse --format=%H good^..bad` prints them.",
        )


def check_tags(tags: Sequence[str]) -> None:
    """Raises BadInput for the tag by which a campaign finds its jobs again."""
    if TAG in tags:
        raise BadInput(f"The tag {TAG} is the campaign's own", "", "Give yours another name.")


def check_nodes(listed: Sequence[Node], service: str, node_ids: Sequence[str], device_type: str, count: int) -> None:
    """Raise an error where such nodes can never be had, of those that the caller may see. `node_ids` are native.

    Raises:
        BadInput: neither nodes nor a device type are given, or both; too many nodes of it are wanted, or none has a
            licence.
        NotFound: no such node, or no node of such a type.
        Refused: a node that is named has no licence.
    """
    if bool(node_ids) == bool(device_type):
        raise BadInput("Give either node_ids or device_type", "", "list_nodes shows both.")
    known = {node.node_id.removeprefix(f"{service}:"): node for node in listed}
    if wrong := [node_id for node_id in dict.fromkeys(node_ids) if node_id not in known]:
        near = nearest(wrong[0], known)
        hint = f"Did you mean {near[0]!r}?" if near else "list_nodes shows all nodes."
        more = f", nor {len(wrong) - 1} more" if len(wrong) > 1 else ""
        what = f"{service} has no node {quote(wrong[0], 80)} that you may use{more}"
        raise NotFound(what, "Nothing was started", hint)
    for node_id in node_ids:
        check_licence(known[node_id])
    if not device_type:
        return
    of_type = [node for node in listed if node.device_type.casefold() == device_type.casefold()]
    if not of_type:
        types = sorted({node.device_type for node in listed if _PLAIN.fullmatch(node.device_type)} - {UNKNOWN})
        near = nearest(device_type, types)
        known_types = f"Types there are: {', '.join(types[:5])}." if types else "list_nodes shows device types."
        hint = f"Did you mean {near[0]!r}?" if near else known_types
        raise NotFound(f"{service} has no node of that device type", "Nothing was started", hint).naming(device_type)
    licensed = sum(is_licensed(node) for node in of_type)
    if not licensed:
        raise no_licence(device_type, listed)
    if count > licensed:
        what = f"{service} has {licensed} nodes of that device type that you may use, not {count}"
        raise BadInput(what, "The campaign would wait for ever", "Give a smaller node_count, or 0 for all free ones.")
