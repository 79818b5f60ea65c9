"""Tools about units: what is known of one, what is built into it, and deleting it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from testlab_tools.archive.archive import forget_runs
from testlab_tools.archive.known_runs import use_history
from testlab_tools.capabilities import RunArchive, UnitArchive, UnitRegistry
from testlab_tools.errors import BadInput, Conflict
from testlab_tools.late_module import LateModule
from testlab_tools.models.lab import Deleted, Unit
from testlab_tools.models.requests import UnitChange
from testlab_tools.registry import DESTROY, END, LOOK, Call, Question, tool
from testlab_tools.untrusted import quote

if TYPE_CHECKING:
    from testlab_tools.passport import passport
else:
    passport = LateModule("testlab_tools.passport.passport")

SerialNumber = Annotated[str, Field(min_length=1)]
SHOWN = 20
"""How many runs a question names."""


@tool(toolset="units", access="observe", needs=UnitArchive, hints=LOOK, title="Get unit passport")
async def get_unit(
    call: Call, serial_number: SerialNumber, service: str = "", limit: Annotated[int, Field(ge=1, le=200)] = 20
) -> passport.Passport:
    """Get a unit's passport: ship or not and why, gaps, open failures, procedures, runs, sub-units, over all services.

    explain_failure tells why a run failed.
    """
    archives = call.lab.offering(UnitArchive, service)
    unasked = [other.name for other in call.lab.offering(UnitArchive) if other not in archives]
    others = [] if service else call.lab.offering(RunArchive)
    blind = [other.name for other in others if not isinstance(other, UnitArchive)]
    known = partial(use_history, call.lab)
    return await passport.make_passport(archives, serial_number, limit, call.deadline, unasked, blind, known)


@tool(toolset="production", access="operate", needs=UnitRegistry, hints=END)
async def update_unit(
    call: Call,
    serial_number: SerialNumber,
    sub_units: Annotated[list[str], Field(description="Serial numbers to add")] = [],
    remove_sub_units: list[str] = [],
    batch_number: str = "",
    sample: Literal["", "production", "golden", "failing", "ignored"] = "",
    service: str = "",
) -> Unit:
    """Update a unit: add or remove sub-units, put it in a batch, mark it as a sample. What is left out stays.

    Sub-units must be known units. TofuPilot v1 only adds.
    """
    registry = call.lab.one(UnitRegistry, service)
    change = UnitChange(tuple(sub_units), tuple(remove_sub_units), batch_number, sample)
    if change == UnitChange():
        raise BadInput("Nothing is to be changed", "", "Give sub_units, remove_sub_units, batch_number or sample.")
    return await registry.update_unit(serial_number, change)


async def _ask_before_deleting(call: Call, serial_number: str, service: str, confirm: str) -> Question:
    """The unit and its runs, as they are now. Who agrees, agrees to these: the word to confirm with is made of them.

    Raises Conflict where they are too many to be read.
    """
    registry = call.lab.one(UnitRegistry, service)
    unit = await registry.get_unit(serial_number)
    runs, all_read = await registry.list_unit_runs(serial_number)
    if not all_read:
        raise Conflict(
            f"This unit has more than {len(runs)} runs, too many to agree to",
            "A unit is deleted only with the runs that were shown",
            "Delete it in the service itself.",
        )
    mark = _name_runs(registry, serial_number, runs)
    parts = f" Its {len(unit.sub_units)} sub-units stay, in no unit." if unit.sub_units else ""
    shown = [repr(run.rpartition("/")[2]) for run in runs[:SHOWN]]
    others = f" and {len(runs) - SHOWN} others ({mark})" if len(runs) > SHOWN else ""
    listed = f"\nRuns: {', '.join(shown)}{others}" if runs else ""
    return Question(
        f"Delete a unit of {registry.name} with its {len(runs)} run{'' if len(runs) == 1 else 's'}, for good?"
        f"{parts}{listed}",
        target=mark,
        quoted=f"\nUnit: {quote(unit.serial_number)}\nPart: {quote(unit.part)}",
    )


def _name_runs(registry: UnitRegistry, serial_number: str, runs: Sequence[str]) -> str:
    """The same for the same runs of the same unit, in any order."""
    return "those-" + sha256("\n".join((registry.name, serial_number, *sorted(runs))).encode()).hexdigest()[:12]


@tool(toolset="production", access="admin", needs=UnitRegistry, hints=DESTROY, asks=_ask_before_deleting)
async def delete_unit(
    call: Call,
    serial_number: SerialNumber,
    service: Annotated[str, Field(min_length=1)],
    confirm: Annotated[str, Field(description="If the client cannot ask: from its refusal")] = "",
) -> Deleted:
    """Delete a unit with all its runs from a service, for good. A person is asked first, and sees which."""
    registry = call.lab.one(UnitRegistry, service)
    runs, _ = await registry.list_unit_runs(serial_number)
    if call.agreed is None or call.agreed.target != _name_runs(registry, serial_number, runs):
        raise Conflict("The unit's runs are others than those agreed to", "", "Call again: a person is asked anew.")
    await registry.delete_unit(serial_number)
    await forget_runs(call, registry, [registry.handle(run) for run in runs])
    return Deleted(deleted=serial_number, runs=len(runs))
