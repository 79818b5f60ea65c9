"""Every change of the factory by v1 and every answer, before and after the work: what is told is so, and it is once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.server.faults.changes.conftest import Change


async def test_what_is_told_of_a_change_is_so_and_it_is_made_once(
    answer: Any, go_through: Callable[..., Any], production_changes: Callable[[str, str], Sequence[Change]]
) -> None:
    await go_through(answer, "old", partial(production_changes, "old"))
