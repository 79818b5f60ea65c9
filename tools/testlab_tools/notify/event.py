"""What has happened, as receivers get it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import ConfigDict

from testlab_tools.known_secrets import mask
from testlab_tools.late_model import LateModel
from testlab_tools.times import iso
from testlab_tools.untrusted import shorten

MAX_TEXT = 300
MAX_FACTS = 10


class Event(LateModel):
    """`event_id` is the same however often it is given: it is sent once to each receiver.

    `title`, `facts` and `next` are in our words and ids; `untrusted` is what devices and people wrote. `at` is in
    seconds since 1970, UTC.
    """

    model_config = ConfigDict(frozen=True)

    event_id: str
    type: Literal["watch.ended", "campaign.ended"]
    title: str
    state: str
    at: float
    facts: dict[str, str] = {}
    untrusted: dict[str, str] = {}
    next: str = ""

    @property
    def time(self) -> str:
        """When it happened, ISO 8601 in UTC."""
        return iso(datetime.fromtimestamp(self.at, UTC))


def clean(text: str) -> str:
    """A text as it may leave the lab: short, on one line, without secrets and what acts on a terminal."""
    return shorten(" ".join(mask(text).split()), MAX_TEXT)


def clean_facts(facts: dict[str, str]) -> dict[str, str]:
    """The facts that are not empty, as they may leave the lab."""
    shown = {clean(name)[:60]: clean(value) for name, value in facts.items() if value}
    return dict(list(shown.items())[:MAX_FACTS])
