"""Keys that runs carry: what a filter can go by, and what of it no run has.

A server answers a key that no device has with an empty list, as it does a value that none has. So where nothing
matches, the filter's keys are held against runs that were read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from testlab_tools.adapters.standcloud.filters import TWINS, dut_info
from testlab_tools.adapters.standcloud.paging import Body
from testlab_tools.capabilities import FilterKeys
from testlab_tools.untrusted import shorten

MAX_KEYS, KEY_CHARS = 40, 80
"""How many keys are told, those that most runs carry, and how much of each."""


class Tally:
    """Counts the runs that carry each key."""

    def __init__(self) -> None:
        self.read = 0
        self._carried: Counter[str] = Counter()

    def note(self, body: Body, _: datetime) -> bool:
        """Count a run. It is not kept."""
        self.read += 1
        own = {key: value for key, value in body.items() if not isinstance(value, dict)}
        self._carried.update(key for key, value in (own | (dut_info(body) or {})).items() if value is not None)
        return False

    def missing_keys(self, asked: Collection[str]) -> FilterKeys | None:
        """None where each key that is asked for is carried by some run, or no run was read."""
        lacking = [key for key in asked if not {key, TWINS.get(key, key)} & self._carried.keys()]
        if not lacking or not self.read:
            return None
        carried = [shorten(key, KEY_CHARS) for key, _ in self._carried.most_common(MAX_KEYS)]
        return FilterKeys(self.read, lacking, carried)
