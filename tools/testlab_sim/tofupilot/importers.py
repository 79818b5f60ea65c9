"""Reports to runs: which importer reads what."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from testlab_sim.production.history import History
from testlab_sim.production.records import Run, Station
from testlab_sim.tofupilot.intake import record
from testlab_sim.tofupilot.service import Refusal
from testlab_sim.tofupilot.unreadable import Unreadable
from testlab_sim.world import Person

if TYPE_CHECKING:
    from testlab_sim.tofupilot.intake import Draft

Reader = Callable[[History, bytes, float], "list[Draft]"]


def import_report(
    history: History, importer: str, data: bytes, who: Person | Station, now: float, *, files: bool = True
) -> list[Run]:
    """The runs made from a report, with or without the `files` inside it; a `Refusal` with 422 if it cannot be read."""
    reader = _reader(importer)
    try:
        drafts = reader(history, data, now)
    except Unreadable as error:
        raise Refusal(422, f"{importer} import failed: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        raise Refusal(422, f"{importer} import failed: damaged report ({error})") from None
    if not files:
        for draft in drafts:
            history.uploads.drop(draft.detail.attachments)
            draft.detail.attachments = []
    return [record(history, draft, who, now) for draft in drafts]


def _reader(importer: str) -> Reader:
    from testlab_sim.tofupilot import openhtf, reports

    readers: dict[str, Reader] = {
        "OPENHTF": openhtf.read,
        "WATS": reports.read_wats,
        "WSXF": reports.read_wats,
        "ATML": reports.read_atml,
        "TESTSTAND": reports.read_atml,
        "STDF": reports.read_stdf,
        "ATDF": reports.read_atdf,
    }
    if importer not in readers:
        raise Refusal(400, f"Unknown importer {importer}")
    return readers[importer]
