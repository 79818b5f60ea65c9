"""Tools about units: what is known of one, what is built into it, and deleting it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from testlab_tools.capabilities import UnitArchive, UnitRegistry
from testlab_tools.errors import BadInput
from testlab_tools.models import Deleted, Unit
from testlab_tools.passport.nouns import Passport
from testlab_tools.passport.passport import passport_of
from testlab_tools.questions import UnitChange
from testlab_tools.registry import DESTROY, END, LOOK, Call, Question, tool
from testlab_tools.untrusted import quoted

SerialNumber = Annotated[str, Field(min_length=1)]


@tool(toolset="units", access="observe", needs=UnitArchive, hints=LOOK)
async def get_unit(
    call: Call, serial_number: SerialNumber, service: str = "", limit: Annotated[int, Field(ge=1, le=200)] = 20
) -> Passport:
    """Get a unit's passport: ship or not and why, gaps, open failures, procedures, runs, sub-units, over all services.

    explain_failure tells why a run failed.
    """
    archives = call.lab.offering(UnitArchive, service)
    unasked = [other.name for other in call.lab.offering(UnitArchive) if other not in archives]
    return await passport_of(archives, serial_number, limit, unasked)


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

    Sub-units must be known units. TofuPilot v1 only adds. create_run makes new units.
    """
    registry = call.lab.one(UnitRegistry, service)
    change = UnitChange(tuple(sub_units), tuple(remove_sub_units), batch_number, sample)
    if change == UnitChange():
        raise BadInput("Nothing is to be changed", "", "Give sub_units, remove_sub_units, batch_number or sample.")
    return await registry.update_unit(serial_number, change)


async def _what_goes(call: Call, serial_number: str, service: str, confirm: str) -> Question:
    """The unit's runs, counted now."""
    registry = call.lab.one(UnitRegistry, service)
    unit = await registry.get_unit(serial_number)
    parts = f" Its {len(unit.sub_units)} sub-units stay, in no unit." if unit.sub_units else ""
    return Question(
        f"Delete a unit of {registry.name} with its {await _count(registry, serial_number)}, for good?{parts}",
        target=serial_number,
        quoted=f"\nUnit: {quoted(unit.serial_number)}\nPart: {quoted(unit.part)}",
    )


@tool(toolset="production", access="admin", needs=UnitRegistry, hints=DESTROY, asks=_what_goes)
async def delete_unit(
    call: Call,
    serial_number: SerialNumber,
    service: Annotated[str, Field(min_length=1)],
    confirm: Annotated[str, Field(description="Only if the client cannot ask: the serial number")] = "",
) -> Deleted:
    """Delete a unit with all its runs from a service, for good. A person is asked first, and sees how many.

    delete_run deletes one run.
    """
    registry = call.lab.one(UnitRegistry, service)
    runs, all_counted = await registry.count_runs(serial_number)
    await registry.delete_unit(serial_number)
    return Deleted(deleted=serial_number, runs=runs if all_counted else None)


async def _count(registry: UnitRegistry, serial_number: str) -> str:
    runs, all_counted = await registry.count_runs(serial_number)
    return f"{'' if all_counted else 'more than '}{runs} run{'' if runs == 1 else 's'}"
