"""Charts beside the answers of tools, and in files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import Field

from testlab_tools.capabilities import Image
from testlab_tools.extra import require_statistics
from testlab_tools.files.io import write_file
from testlab_tools.registry import Call, Illustrated

if TYPE_CHECKING:
    from testlab_tools.charts.canvas import Chart
    from testlab_tools.statistics.answer import Drawn

SaveTo = Annotated[str, Field(description="Chart file, .svg or .png")]
A = TypeVar("A", bound="Drawn")


def find_target(call: Call, save_to: str) -> Path | None:
    """The file to save a chart to; None where none is asked for.

    Raises:
        Unsupported: no chart can be drawn.
        Refused, BadInput: the path is none that may be written.
    """
    require_statistics("matplotlib")
    return call.files.to_write(save_to)


async def illustrate(call: Call, found: A, chart: Chart, target: Path | None) -> Illustrated[A]:
    """The answer with its chart, saved as SVG, or as PNG where the file's name ends so."""
    if target is not None:
        data = chart.png if target.suffix.lower() == ".png" else chart.svg
        await call.files.make_room(target, len(data))
        found.saved_to = await asyncio.to_thread(write_file, target, data)
    return Illustrated(found, Image(chart.png, "image/png"))
