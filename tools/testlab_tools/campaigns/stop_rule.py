"""The hook for rules that end a campaign early, or have it repeat tests more often: a soak until a bound is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from testlab_tools.models.lab import Outcome


class Decision(NamedTuple):
    """`stop` says why the campaign is to end now, empty to go on; `more` are test cases to run once more each."""

    stop: str = ""
    more: tuple[str, ...] = ()


class StopRule(Protocol):
    """Is told every counted result, in the order in which they were counted. A process that takes a campaign up tells a
    new rule all results so far, and does not heed what that decides of them."""

    def count(self, test_case: str, outcome: Outcome) -> Decision:
        """Take a result into account, and decide."""
        ...


MakeRule = Callable[[Mapping[str, Any]], StopRule]
"""Makes a rule of its settings, `CampaignOrder.stop_rule`; the key `rule` names it among `StopRules`."""
StopRules = Mapping[str, MakeRule]
