"""What all of API v1 goes by: a unit's runs, which it finds only by serial number."""

from __future__ import annotations

from typing import cast
from urllib.parse import quote

from testlab_tools.errors import BadInput, BadReply, Unsupported
from testlab_tools.http import Reply
from testlab_tools.tofupilot.api import TofuPilotApi
from testlab_tools.tofupilot.v1_models import V1Run
from testlab_tools.wire import decode_value

MOST_SERIAL = 100
"""TofuPilot takes 60 characters ("Create a run"). It stands in the ids of its runs, which so have an end as well."""


class V1Api(TofuPilotApi):
    """Shared by what v1 offers of runs and units."""

    async def rows(self, serial: str) -> list[V1Run] | None:
        """All runs of a unit; None when the service knows no such unit."""
        if len(serial) > MOST_SERIAL:
            raise BadInput("That is no serial number", f"It has {len(serial)} characters", f"At most {MOST_SERIAL}.")
        reply = await self.client.get("/api/v1/runs", {"serial_number": serial})
        if reply.status == 404 and says_error(reply):
            return None
        return _decode_rows(self.checked(reply, "list of runs"))


def says_error(reply: Reply) -> bool:
    """Whether it is v1's own 404 (`{"error": {"message"}}`: no such unit) and not that of some other web server."""
    try:
        body: object = reply.json()
    except BadReply:
        return False
    return isinstance(body, dict) and "error" in body


def quoted(serial: str) -> str:
    """A serial number as a part of a run's native id."""
    return quote(serial, safe="")


def split(run_id: str) -> tuple[str, str]:
    """Serial number (as quoted) and key of a native id. Raises BadInput when it holds no serial number."""
    serial, _, key = run_id.rpartition("/")
    if not serial:
        raise BadInput(
            "The run's id does not say whose run it is",
            "TofuPilot v1 finds runs only by serial number",
            "list_runs(unit=…) gives ids that do.",
        )
    return serial, key


def deletable(service: str, run_id: str) -> str:
    """The id that `DELETE /v1/runs/{run_id}` takes. Raises Unsupported for a run the server sent no id of."""
    return quote(told_id(service, run_id, "it cannot be deleted"), safe="")


def told_id(service: str, run_id: str, without: str) -> str:
    """The run's own id. Raises Unsupported for a run the server sent no id of, which is named by its start."""
    key = run_id.rpartition("/")[2]
    if ":" in key or key in ("", ".", ".."):
        raise Unsupported(f"{service} does not tell this run's id, without which {without}")
    return key


def _decode_rows(reply: Reply) -> list[V1Run]:
    """Three shapes: `{"data": […]}` (the document), `{"result": […]}` (client 1.12.1), a bare list (2.26.1)."""
    body: object = reply.json()
    if isinstance(body, dict):
        shapes = cast(dict[str, object], body)
        body = shapes.get("data", shapes.get("result"))
    return decode_value(reply, body, list[V1Run])
