"""A unit over all services: what each that keeps units knows of it, and its runs from each that finds them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from testlab_tools.capabilities import UnitArchive, UnitRegistry
from testlab_tools.errors import BadInput, LabError, NotFound
from testlab_tools.merged import list_merged
from testlab_tools.models import Unit, UnitHistory
from testlab_tools.questions import RunQuery


async def history_of(archives: Sequence[UnitArchive], serial_number: str, limit: int) -> UnitHistory:
    """The unit with its newest runs. What a service did not answer is said, and is never an empty list.

    Raises:
        NotFound: every service answered, and none knows it.
    """
    registries = [archive for archive in archives if isinstance(archive, UnitRegistry)]
    page, looks = await asyncio.gather(
        list_merged(archives, RunQuery(unit=serial_number), limit, "", ""),
        asyncio.gather(*(_look(registry, serial_number) for registry in registries)),
    )
    units = [look for look in looks if isinstance(look, Unit)]
    silent = {share.service: share.error for share in page.services if share.error}
    for registry, look in zip(registries, looks, strict=True):
        if isinstance(look, LabError):
            silent.setdefault(registry.name, str(look))
    if not units and not page.runs and not silent:
        raise NotFound("No service knows a unit of that serial number", "", "It must be exact; list_runs shows units.")
    services = [share.model_copy(update={"error": silent.get(share.service, "")}) for share in page.services]
    return UnitHistory(
        units=units,
        runs=page.runs,
        services=services,
        note=_note(bool(page.cursor), list(silent)),
        next="list_runs(unit=…) lists them all." if page.cursor else "",
    )


async def _look(registry: UnitRegistry, serial_number: str) -> Unit | LabError | None:
    try:
        return await registry.get_unit(serial_number)
    except (NotFound, BadInput):
        return None
    except LabError as error:
        return error


def _note(more: bool, silent: list[str]) -> str:
    notes = ["These are the newest runs; there are more."] if more else []
    if silent:
        notes.append(f"Not all is told: {', '.join(silent)} failed (see services).")
    return " ".join(notes)
